/* pidkeys - what pids are made and proven with: a key of each secret in force that other daemons
 * have too, and one of chance, of this run alone.
 *
 * The secrets are that of connectionStateRecovery:secretFile, or where there is none those of
 * tokens by HMAC.  Behind them, or alone, is the key of chance: what it has made is still
 * proven when a reload brings secrets. */
#ifndef MASTER_PIDKEYS_H
#define MASTER_PIDKEYS_H

#include "codec/keys.h"
#include "codec/pid.h"
#include "conf.h"

struct pidkeys {
    struct pid_keys keys; /* the first makes */
    int is_shared;        /* it is of a secret: what other daemons make is proven here */
    struct pid_key at[KEYS_MAX + 1];
};

/* Draws the key of chance, which alone is in force then. */
void pidkeys_init(struct pidkeys *pidkeys);

/* Those of conf are in force from now on.  Returns 0, or -1 without memory: those of before
 * are. */
int pidkeys_derive(struct pidkeys *pidkeys, const struct conf *conf);

/* pid_proven() and pid_make() with those keys, and the key and namespace of conf. */
int pidkeys_prove(const struct pidkeys *pidkeys, const struct conf *conf,
                  const uint8_t raw[PID_LEN], struct slice uid, struct pid *pid);
int pidkeys_make(const struct pidkeys *pidkeys, const struct conf *conf, uint8_t dst[PID_LEN],
                 const struct pid *pid, struct slice uid);

/* Overwrites them: nothing is made or proven any more. */
void pidkeys_wipe(struct pidkeys *pidkeys);

#endif
