#include "master/pidkeys.h"

#include "base/rand.h"

#include <string.h>

/* The first n are of secrets, that of chance is the next. */
static void set(struct pidkeys *pidkeys, size_t n)
{
    pidkeys->keys = (struct pid_keys){pidkeys->at, n + 1};
    pidkeys->is_shared = n > 0;
}

void pidkeys_init(struct pidkeys *pidkeys)
{
    memset(pidkeys, 0, sizeof(*pidkeys));
    rand_bytes(pidkeys->at, sizeof(pidkeys->at[0]));
    set(pidkeys, 0);
}

/* Returns how many there are, or -1. */
static int derive(struct pid_key *keys, const struct conf *conf)
{
    size_t all = conf->keys != NULL ? token_keys_count(conf->keys) : 0;
    int n = 0;

    if (conf->recovery_secret != NULL) {
        struct slice secret = {conf->recovery_secret, conf->recovery_secret_len};

        return pid_key_derive(keys, secret) == 0 ? 1 : -1;
    }
    for (size_t i = 0; i < all; i++) {
        struct slice secret = token_keys_secret(conf->keys, i);

        if (secret.len > 0 && pid_key_derive(&keys[n++], secret) < 0)
            return -1;
    }
    return n;
}

int pidkeys_derive(struct pidkeys *pidkeys, const struct conf *conf)
{
    struct pid_key keys[KEYS_MAX + 1], chance = pidkeys->at[pidkeys->keys.n - 1];
    int n = derive(keys, conf);

    if (n >= 0) {
        keys[n] = chance;
        pidkeys_wipe(pidkeys);
        memcpy(pidkeys->at, keys, ((size_t)n + 1) * sizeof(keys[0]));
        set(pidkeys, (size_t)n);
    }
    explicit_bzero(keys, sizeof(keys));
    explicit_bzero(&chance, sizeof(chance));
    return n >= 0 ? 0 : -1;
}

int pidkeys_prove(const struct pidkeys *pidkeys, const struct conf *conf,
                  const uint8_t raw[PID_LEN], struct slice uid, struct pid *pid)
{
    return pid_proven(pid, raw, &pidkeys->keys, slice_str(conf->key), slice_str(conf->nsp), uid);
}

int pidkeys_make(const struct pidkeys *pidkeys, const struct conf *conf, uint8_t dst[PID_LEN],
                 const struct pid *pid, struct slice uid)
{
    return pid_make(dst, pid, pidkeys->at, slice_str(conf->key), slice_str(conf->nsp), uid);
}

void pidkeys_wipe(struct pidkeys *pidkeys)
{
    explicit_bzero(pidkeys, sizeof(*pidkeys));
}
