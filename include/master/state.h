/* state - what master.c, start.c and reload.c share; nobody else includes this.
 *
 *     master  from the start to the end: what is begun when, and what comes of it
 *     start   the steps by which a process becomes the daemon
 *     reload  another configuration (reload.h) */
#ifndef MASTER_STATE_H
#define MASTER_STATE_H

#include "base/log.h"
#include "conf.h"
#include "ipc/start.h"
#include "master/listen.h"
#include "master/pidfile.h"
#include "master/privileges.h"
#include "master/systemd.h"

#include <stdint.h>

struct admin;
struct admin_ops;
struct event;
struct event_base;
struct feed;
struct keywatch;
struct names;
struct pool;
struct relay;
struct stats;

#define MASTER_SIGNALS 5

struct master {
    struct conf *conf; /* what is in force */
    struct conf_args args;
    int (*worker)(const struct conf *, const struct worker_start *);
    struct privileges privileges;
    struct listeners listeners;
    struct listeners admin_listeners; /* until admin has them: at the start, and wanted's */
    struct pidfile pidfile;
    int status_fd; /* to whoever waits for the start; -1: nobody */
    int detached;  /* what goes to stderr goes to syslog */

    struct event_base *base;
    struct event *signals[MASTER_SIGNALS];
    struct event *redis_wait, *start_wait;
    struct event *relay_wake; /* pending while an admission waits */
    struct relay *relay;
    struct stats *stats;
    struct pool *pool;
    struct feed *feed;
    struct admin *admin;

    int64_t started_ms;       /* of the wall clock, for whoever asks */
    uint64_t started_mono_ms; /* the same on the other */
    uint64_t reloads, reloads_failed;

    /* A reload that is under way. */
    struct conf *asking;               /* whose host names are being looked up, or NULL */
    struct names *names;               /* of asking or wanted, or NULL */
    struct conf *wanted;               /* of the generation that starts, or NULL */
    struct listeners wanted_listeners; /* likewise */
    int again;                         /* another was asked for meanwhile */
    struct keywatch *keywatch;         /* of conf's JWKS file, or NULL */
    struct systemd systemd;

    int workers_ready, redis_tried, announced;
    int stops; /* how often it was told to stop */
    int draining;
    int status;
};

/* --- master.c --- */
/* Logs each line of text. */
void master_log_lines(const struct buf *text, void (*log)(const char *, ...), const char *prefix);

/* Of m->admin; arg is the master. */
extern const struct admin_ops master_admin_ops;

/* --- start.c --- */
/* The start is over, and so is the process soon: error has one line, for whoever started
 * us and for the log, and is freed; or it is made of what and errno.  Returns -1. */
int start_failed(struct master *m, struct buf *error);
int start_failed_errno(struct master *m, const char *what);
/* Opens the log.  Returns 0, or -1 after start_failed(). */
int start_log(struct master *m);
/* Goes on in a process of its own, without a terminal.  Returns 0 there; in the one that
 * was called 1, and -1 after start_failed(): then *status is its exit status. */
int start_detach(struct master *m, int *status);
/* Becomes the configured user for good.  Returns 0, or -1 with error. */
int start_privileges(const struct master *m, struct buf *error);
/* Warns of the sandbox where it is off. */
void start_warn_sandbox(const struct conf *conf);
/* How many connections and files there may be: one line of the log. */
void start_limits_log(const struct master *m);
/* Notes when this was. */
void start_clocks(struct master *m);

#endif
