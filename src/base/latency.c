#include "base/latency.h"

#include <math.h>

static double bound_s(unsigned i)
{
#define BOUND_US(us, text) us,
    static const uint32_t bounds[] = {LATENCY_BOUNDS(BOUND_US)};
#undef BOUND_US

    return (double)bounds[i] / 1e6;
}

double latency_quantile(const uint64_t buckets[LATENCY_BUCKETS], double q)
{
    double all = 0, below = 0, rank, lower;
    unsigned at = 0;

    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        all += (double)buckets[i];
    if (all <= 0)
        return NAN;
    rank = q * all;
    while (at < LATENCY_BUCKETS - 1 && below + (double)buckets[at] < rank)
        below += (double)buckets[at++];
    if (at == LATENCY_BUCKETS - 1)
        return bound_s(LATENCY_BUCKETS - 2);
    lower = at > 0 ? bound_s(at - 1) : 0;
    if (buckets[at] == 0) /* q is 0, and there is nothing in the first */
        return lower;
    return lower + (bound_s(at) - lower) * ((rank - below) / (double)buckets[at]);
}
