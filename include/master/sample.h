/* sample - what has been counted up to a moment: by all workers, by each, and by the master; and
 * what two of them say of the time between. */
#ifndef MASTER_SAMPLE_H
#define MASTER_SAMPLE_H

#include "base/latency.h"
#include "codec/emit.h"
#include "codec/request.h"
#include "ipc/counters.h"

#include <stddef.h>
#include <stdint.h>

struct status;

struct sample_worker { /* of one number: one worker after another */
    uint64_t clients, connections, strangers, limit;
    uint64_t deliveries;
    uint64_t latency[LATENCY_BUCKETS];
};

struct sample {     /* zero is empty */
    uint64_t at_ms; /* clock_ms() */
    struct counters sum;
    uint64_t users;
    uint64_t received; /* messages, from redis */
    uint64_t messages_dropped[EMIT_RESULTS];
    uint64_t requests_dropped[REQUEST_RESULTS];
    size_t nworkers; /* the first is number 1 */
    struct sample_worker *workers;
    size_t cap; /* of workers */
};

/* Takes it of status, in place of what was in it.  Without memory it has no workers. */
void sample_take(struct sample *sample, uint64_t now_ms, const struct status *status);
/* What it holds; it is empty. */
void sample_clear(struct sample *sample);

/* Places of strangers that are taken. */
uint64_t sample_strangers(const struct counters *counters);

/* How many a second there were, where a total has grown so within so many ms.  NaN: no time has
 * passed, or the total has gone back. */
double sample_rate(uint64_t now, uint64_t before, uint64_t ms);

/* Below which time the part q of what was observed between these two took, in seconds:
 * latency_quantile().  NaN without any. */
double sample_quantile(const uint64_t now[LATENCY_BUCKETS], const uint64_t before[LATENCY_BUCKETS],
                       double q);

/* --- why something was not done -------------------------------------------------- */

enum cause_kind {
    CAUSE_DROP,    /* a notification, request or acknowledgement that was dropped */
    CAUSE_REFUSAL, /* a client, connection or request that was refused */
    CAUSE_CLOSE,   /* a client that has left, or was told to */
    CAUSE_KINDS
};

struct cause {
    const char *name; /* of its metric, without prefix and "_total"; valid within the call */
    size_t name_len;
    const char *reason; /* the value of its label, likewise */
    size_t reason_len;
    uint64_t total;
};

/* Each of that kind in turn, always in the same order. */
void sample_causes(const struct sample *sample, enum cause_kind kind,
                   void (*each)(const struct cause *cause, void *arg), void *arg);

/* All of that kind together. */
uint64_t sample_causes_total(const struct sample *sample, enum cause_kind kind);

#endif
