/* status - what the master knows of itself, for whoever asks; and how it is said as JSON. */
#ifndef MASTER_STATUS_H
#define MASTER_STATUS_H

#include "base/buf.h"
#include "base/slices.h"
#include "conf.h"
#include "master/certificates.h"
#include "master/cluster.h"
#include "master/feed.h"
#include "master/presence.h"
#include "master/recovery.h"
#include "master/redis.h"
#include "master/relay.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stats;

struct status_worker {
    unsigned number;     /* as in the log */
    int up;              /* serves clients: it has been ready, and is not silent */
    uint64_t restarts;   /* forks after the first */
    uint64_t queued;     /* bytes that wait for it, with what is in its pipe; and for that
                          * of the same number in the other generation */
    pid_t pid;           /* 0: there is none */
    unsigned generation; /* 0: none of that number is in the one that serves */
};

struct status_generation {
    unsigned number;  /* as in the log */
    unsigned workers; /* that live */
    enum status_generation_state { STATUS_STARTS, STATUS_SERVES, STATUS_LEAVES } state;
};

struct status {
    int64_t started_ms; /* since 1970 */
    uint64_t uptime_ms;
    int stopping;
    int redis_subscribed;
    struct redis_stats redis;
    int64_t redis_gap_ms; /* when the last gap began, since 1970; 0: there was none */
    struct finder_stats sentinels;
    const struct conf_redis *redis_server; /* with sentinels: where redis is (feed_server()) */
    struct feed_commands commands;
    struct cluster_stats cluster;
    struct presence_stats presence;
    struct recovery_stats recovery;
    struct relay_stats relay;
    size_t users;
    size_t rooms, memberships;        /* further rooms; clients in these, once for each */
    uint64_t log_lost;                /* of the master's lines */
    uint64_t reloads, reloads_failed; /* of the configuration */
    int64_t reload_ms;                /* when the last was, since 1970; 0: there was none */
    int reload_ok;                    /* it succeeded */
    uint64_t generation;              /* of it: 1 and one more for each reload that succeeded */
    const struct conf *conf;          /* what is in force */
    const struct conf_tls *tls;       /* of that */
    struct certificates_stats certificates;
    const struct stats *stats;
    size_t nworkers; /* of the generation that serves */
    size_t numbers;  /* with those of higher numbers in generations before it, or more */
    struct status_worker workers[CONF_WORKERS_MAX];
    size_t ngenerations;
    struct status_generation generations[2]; /* the older one first */
};

struct status_user {
    size_t connections;
    struct slices rooms; /* that these are in, as roomlist_take() puts them; borrowed names */
    int has_more;        /* there are, or may be, more than these */
};

/* {"name","time","version"} and more. */
void status_put(const struct status *status, struct buf *out);

/* Parts of it: an object, or false; those of the master that sentinels know, of whom there are
 * some; an array of those from which most trouble comes; an array of those that clients get. */
void status_put_recovery(const struct status *status, struct buf *out);
void status_put_sentinels(const struct status *status, struct buf *out);
void status_put_addresses(const struct status *status, struct buf *out);
void status_put_certificates(const struct status *status, struct buf *out);

/* Returns 1 if workers serve, one of them has a place for another client, and redis is
 * subscribed, else 0; either as JSON, with the reasons where it is not so. */
int status_put_health(const struct status *status, struct buf *out);

#endif
