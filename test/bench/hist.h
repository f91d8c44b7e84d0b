/* hist - a histogram of times, each bucket at most 1/256 of its value wide. */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_FINE    8 /* log2 of the buckets in a power of two */
#define HIST_BUCKETS ((64 - HIST_FINE + 1) << HIST_FINE)

struct hist { /* zero-initialised: empty */
    uint64_t n, max_ns;
    uint64_t bucket[HIST_BUCKETS];
};

void hist_add(struct hist *hist, uint64_t ns);

/* The time that share (0 to 1) of all do not exceed; 0 if there are none. */
uint64_t hist_quantile(const struct hist *hist, double share);

#endif
