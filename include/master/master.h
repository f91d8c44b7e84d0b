/* master - the process that owns the sockets, redis and the workers. */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include "conf.h"
#include "ipc/start.h"

/* Runs the daemon to its end: opens the log, binds, detaches (where detach is
 * set), forks the workers, subscribes, supervises.  Takes conf; args is what it was made of,
 * for HUP; worker is what each child runs, and its result that child's exit
 * status.  Returns the exit status: 0 after TERM or INT, 1 if it could not start
 * (the reason is on stderr); with detach, in the process that was called, 0 once
 * the daemon is ready.  The children never return from here, they exit(). */
int master_run(struct conf *conf, const struct conf_args *args, int detach,
               int (*worker)(const struct conf *, const struct worker_start *));

#endif
