/* latency - how long something took, as counts in fixed ranges: what Prometheus
 * calls a histogram.  Observing one costs a short search and two additions. */
#ifndef BASE_LATENCY_H
#define BASE_LATENCY_H

#include <stdint.h>

/* The upper bounds, each in microseconds and as text in seconds, in rising order.
 * What is above the last goes to one more bucket. */
#define LATENCY_BOUNDS(X)                                                                          \
    X(500, "0.0005")                                                                               \
    X(1000, "0.001")                                                                               \
    X(2500, "0.0025")                                                                              \
    X(5000, "0.005")                                                                               \
    X(10000, "0.01")                                                                               \
    X(25000, "0.025")                                                                              \
    X(50000, "0.05")                                                                               \
    X(100000, "0.1")                                                                               \
    X(250000, "0.25")                                                                              \
    X(500000, "0.5")                                                                               \
    X(1000000, "1")                                                                                \
    X(2500000, "2.5")                                                                              \
    X(5000000, "5")                                                                                \
    X(10000000, "10")

enum { LATENCY_BUCKETS = 15 }; /* the bounds and the last one, which has none */

struct latency {
    uint64_t buckets[LATENCY_BUCKETS]; /* how many were in each range alone */
    uint64_t sum_us;
};

static inline void latency_observe(struct latency *latency, uint64_t us)
{
#define LATENCY_BOUND_US(us, text) us,
    static const uint32_t bounds[] = {LATENCY_BOUNDS(LATENCY_BOUND_US)};
#undef LATENCY_BOUND_US
    unsigned at = 0;

    _Static_assert(sizeof(bounds) / sizeof(bounds[0]) + 1 == LATENCY_BUCKETS, "one for each");
    while (at < LATENCY_BUCKETS - 1 && us > bounds[at])
        at++;
    latency->buckets[at]++;
    latency->sum_us += us;
}

/* Below which time, in seconds, the part q (0 to 1) of those in the buckets took; NaN if there
 * are none.  It is known in which bucket that is and no more: within that they are taken to
 * lie evenly, as Prometheus' histogram_quantile() does, so that it is at most the width of that
 * bucket off.  Of the last bucket only its lower bound is known, which is returned. */
double latency_quantile(const uint64_t buckets[LATENCY_BUCKETS], double q);

#endif
