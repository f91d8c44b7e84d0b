#include "hist.h"

static unsigned bucket_of(uint64_t ns)
{
    unsigned shift;

    if (ns >> HIST_FINE == 0)
        return (unsigned)ns;
    shift = 63 - HIST_FINE - (unsigned)__builtin_clzll(ns);
    return (shift << HIST_FINE) + (unsigned)(ns >> shift);
}

/* The largest time that is counted in bucket. */
static uint64_t bucket_end(unsigned bucket)
{
    unsigned shift;

    if (bucket >> HIST_FINE == 0)
        return bucket;
    shift = (bucket >> HIST_FINE) - 1;
    return (((uint64_t)bucket - (shift << HIST_FINE) + 1) << shift) - 1;
}

void hist_add(struct hist *hist, uint64_t ns)
{
    hist->n++;
    if (ns > hist->max_ns)
        hist->max_ns = ns;
    hist->bucket[bucket_of(ns)]++;
}

uint64_t hist_quantile(const struct hist *hist, double share)
{
    uint64_t left = (uint64_t)((double)hist->n * share);
    unsigned bucket = 0;

    if (hist->n == 0)
        return 0;
    while (bucket < HIST_BUCKETS - 1 && left >= hist->bucket[bucket])
        left -= hist->bucket[bucket++];
    return bucket_end(bucket) < hist->max_ns ? bucket_end(bucket) : hist->max_ns;
}
