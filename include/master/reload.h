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

struct conf;
struct master;
struct pool;

/* For HUP. */
void reload(struct master *m);

/* Begins to watch the JWKS file of the configuration, if it has one.  Returns 0, or -1
 * without memory. */
int reload_watch(struct master *m);

/* The pool says: a generation serves that did not before; pool_ops.replaced, .left. */
void reload_ready(struct master *m);
void reload_replaced(struct master *m, int ok);

/* In a child: overwrites secrets that a worker with that configuration has no use for. */
void reload_wipe(struct master *m, const struct conf *own);

/* Frees what is under way. */
void reload_clear(struct master *m);

/* Sends all workers that live the settings of conf that they take at once.  Returns 0,
 * or -1 without memory. */
int reload_push(struct pool *pool, const struct conf *conf);

#endif
