/* reload - another configuration, while everything goes on.
 *
 * It is read and checked whole; if anything of it cannot be, the old one stays in
 * force entirely.  What live workers and the master can take is in force at once,
 * for which see ipc/change.h.  What needs new workers starts a generation of them
 * (pool.h), and all of the change is in force when that serves; if it cannot start,
 * nothing is.  While two generations live another such change has to wait, and is
 * then read anew.  Host names that are new are looked up before (names.h), while the
 * old one is in force; another reload takes the place of one that waits for them. */
#ifndef MASTER_RELOAD_H
#define MASTER_RELOAD_H

#include "conf.h"
#include "master/certificates.h"

#include <stdint.h>

struct reload;
struct running;

struct reload_stats {
    uint64_t good, failed;
    int64_t last_ms; /* when the last was, since 1970; 0: there was none */
    int last_ok;
};

/* running is borrowed.  NULL without memory. */
struct reload *reload_new(struct running *running);

/* What is under way is given up. */
void reload_free(struct reload **reload);

/* For HUP. */
void reload_begin(struct reload *reload);

/* The daemon is ready: from now on its service manager hears of reloads. */
void reload_announced(struct reload *reload);

/* The daemon stops: there are no reloads any more, and nothing more is bound. */
void reload_stop(struct reload *reload);

/* Begins to watch the JWKS file of the configuration, if it has one, and its certificates.
 * Returns 0, or -1 without memory. */
int reload_watch(struct reload *reload);

/* The pool says: a generation serves that did not before; pool_ops.replaced, .left. */
void reload_ready(struct reload *reload);
void reload_replaced(struct reload *reload, int ok);

/* In a child: overwrites secrets that a worker with that configuration has no use for. */
void reload_wipe(struct reload *reload, const struct conf *own);

struct certificates_stats reload_certificates(const struct reload *reload);

const struct reload_stats *reload_stats(const struct reload *reload);

#endif
