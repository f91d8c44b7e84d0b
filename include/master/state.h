/* state - what master.c and reload.c share; nobody else includes this. */
#ifndef MASTER_STATE_H
#define MASTER_STATE_H

#include "base/log.h"
#include "conf.h"
#include "ipc/start.h"
#include "master/listen.h"
#include "master/pidfile.h"
#include "master/privileges.h"
#include "master/splice.h"
#include "master/systemd.h"

#include <stdint.h>

struct admin;
struct admin_ops;
struct event;
struct event_base;
struct keywatch;
struct pool;
struct redis;
struct redis_ops;
struct relay;
struct tally;

#define MASTER_SIGNALS 5

struct master {
    struct conf *conf; /* what is in force */
    struct conf_args args;
    int (*worker)(const struct conf *, const struct worker_start *);
    struct privileges privileges;
    struct listeners listeners;
    struct listeners admin_listeners; /* until admin has them */
    struct pidfile pidfile;
    int status_fd; /* to whoever waits for the start; -1: nobody */
    int detached;  /* what goes to stderr goes to syslog */

    struct event_base *base;
    struct event *signals[MASTER_SIGNALS];
    struct event *redis_wait, *start_wait;
    struct relay *relay;
    struct tally *tally;
    struct pool *pool;
    struct redis *redis;
    struct admin *admin;

    int64_t started_ms;       /* of the wall clock, for whoever asks */
    uint64_t started_mono_ms; /* the same on the other */
    uint64_t reloads, reloads_failed;

    /* A reload that is under way. */
    struct conf *wanted;               /* of the generation that starts, or NULL */
    struct listeners wanted_listeners; /* likewise */
    int again;                         /* another was asked for meanwhile */
    struct redis *redis_next;          /* takes the place of redis when it is subscribed */
    struct event *redis_swap;          /* ... and redis has handed over what it had */
    struct splice splice;              /* what may come over both */
    struct keywatch *keywatch;         /* of conf's JWKS file, or NULL */
    struct systemd systemd;

    int workers_ready, redis_tried, announced;
    int stops; /* how often it was told to stop */
    int draining;
    int status;
};

/* Logs each line of text. */
void master_log_lines(const struct buf *text, void (*log)(const char *, ...), const char *prefix);

/* Of m->redis and m->admin; arg is the master. */
extern const struct redis_ops master_redis_ops;
extern const struct admin_ops master_admin_ops;

#endif
