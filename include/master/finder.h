/* finder - where the master is, by what the sentinels say and it says itself.
 *
 * All sentinels are connected to at once and stay so (sentinel.h): one that is down or does not
 * answer holds up nobody.  What they say is counted (ballot.h); the best place is tried
 * (probe.h), and where it is not there, or says that it is no master, the next one is.  One that
 * is behind names an older configuration, and is not followed while others, or the master
 * that is in force, know better.
 *
 * The master in force goes on being asked.  Another takes its place when the sentinels have a
 * newer configuration, by an event or an answer, and that one says that it is a master; or when
 * this one says that it is none; or when it cannot be asked any more. */
#ifndef MASTER_FINDER_H
#define MASTER_FINDER_H

#include "conf.h"
#include "master/redis_fault.h"

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct finder;
struct tls_client;

struct finder_ops { /* from the loop; none may call finder_free */
    /* The master is there.  is_other: not where it was found before. */
    void (*found)(const char *host, int port, int is_other, void *arg);
    /* It is not certain any more where it is: connections to it may stay, and no new one is to
     * be made.  is_demoted: what is there has said that it is no master, and is to be left. */
    void (*unsure)(int is_demoted, const char *why, void *arg);
    /* It was looked for, and not found; that goes on. */
    void (*missing)(enum redis_fault_kind kind, const char *why, void *arg);
};

struct finder_stats {
    size_t sentinels, answering;
    uint64_t switches; /* from one place to another */
};

/* Begins at once.  conf has sentinels; client is for the master, NULL without TLS.  They and ops
 * are borrowed.  NULL without memory. */
struct finder *finder_new(struct event_base *base, const struct conf_redis *conf,
                          const struct tls_client *client, const struct finder_ops *ops, void *arg);
/* In a child: gives up the secrets of TLS. */
void finder_disown(struct finder *finder);
void finder_free(struct finder **finder);

/* From anywhere: a connection to the master is lost.  All are asked again. */
void finder_doubt(struct finder *finder);

/* Nothing is asked any more, and nothing told. */
void finder_stop(struct finder *finder);

/* clock_ms() at which the one that was left last was the master for sure; 0: none was. */
uint64_t finder_master_ms(const struct finder *finder);

struct finder_stats finder_stats(const struct finder *finder);

#endif
