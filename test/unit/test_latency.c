/* Quantiles of a histogram, against another way of computing them and against what was observed. */
#include "base/latency.h"

#include "tap.h"

#include <math.h>

#define ROUNDS 2000

static const double bounds[] = {0,   0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                0.1, 0.25,   0.5,   1,      2.5,   5,    10};
static uint64_t seed = 1;

static uint64_t chance(uint64_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % n;
}

/* Each observation has its own place in its bucket, at the end of its share; between two of them
 * it goes on evenly. */
static double reference(const uint64_t buckets[LATENCY_BUCKETS], double q)
{
    static double begins[100000], ends[100000];
    size_t n = 0, whole;
    double rank;

    for (unsigned b = 0; b < LATENCY_BUCKETS - 1; b++) {
        double width = (bounds[b + 1] - bounds[b]) / (double)buckets[b];
        for (uint64_t k = 0; k < buckets[b]; k++) {
            begins[n] = bounds[b] + width * (double)k;
            ends[n++] = bounds[b] + width * (double)(k + 1);
        }
    }
    rank = q * (double)(n + buckets[LATENCY_BUCKETS - 1]);
    whole = (size_t)rank;
    if (rank > (double)n)
        return bounds[LATENCY_BUCKETS - 1];
    if ((double)whole == rank)
        return ends[whole - 1];
    return begins[whole] + (ends[whole] - begins[whole]) * (rank - (double)whole);
}

static void test_reference(void)
{
    int bad = 0;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t buckets[LATENCY_BUCKETS] = {0};
        double q = (double)(1 + chance(1000)) / 1000, got, want;

        for (int i = (int)chance(6); i >= 0; i--)
            buckets[chance(LATENCY_BUCKETS)] += 1 + chance(round % 2 ? 1000 : 3);
        got = latency_quantile(buckets, q);
        want = reference(buckets, q);
        if (!(fabs(got - want) <= 1e-9 * (1 + want)) && bad++ < 3)
            printf("#   q=%g got %.12g want %.12g\n", q, got, want);
    }
    is_int(bad, 0, "the same as computed one by one");
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* The bucket of an observation, from bounds[] to the next. */
static unsigned bucket_of(double s)
{
    unsigned b = 0;

    while (b < LATENCY_BUCKETS - 1 && s > bounds[b + 1])
        b++;
    return b;
}

static void test_observed(void)
{
    static uint64_t us[1000];
    int bad = 0;

    for (int round = 0; round < 200; round++) {
        struct latency latency = {0};
        size_t n = 1 + chance(1000);
        double q = round % 2 ? 0.5 : 0.99, got, true_s;

        for (size_t i = 0; i < n; i++) {
            us[i] = 1 + chance(UINT64_C(1) << (4 + chance(20)));
            latency_observe(&latency, us[i]);
        }
        qsort(us, n, sizeof(*us), compare);
        got = latency_quantile(latency.buckets, q);
        true_s = (double)us[(size_t)ceil(q * (double)n) - 1] / 1e6;
        bad += true_s <= 10 ? bucket_of(got) != bucket_of(true_s) : got != 10;
    }
    is_int(bad, 0, "in the bucket of what was observed");
}

static void test_ends(void)
{
    uint64_t none[LATENCY_BUCKETS] = {0}, one[LATENCY_BUCKETS] = {0}, last[LATENCY_BUCKETS] = {0},
             many[LATENCY_BUCKETS];

    ok(isnan(latency_quantile(none, 0.5)), "of nothing there is none");
    one[0] = 1;
    ok(latency_quantile(one, 0.5) == 0.00025 && latency_quantile(one, 1) == 0.0005, "one alone");
    ok(latency_quantile(one, 0) == 0, "all are above 0");
    one[0] = 0;
    one[5] = 4;
    ok(fabs(latency_quantile(one, 0.25) - 0.01375) < 1e-12, "evenly within a bucket");
    ok(latency_quantile(one, 0) == 0, "whoever asks for the part 0 of those further up hears 0");
    last[LATENCY_BUCKETS - 1] = 3;
    ok(latency_quantile(last, 0.5) == 10, "of the last bucket its lower bound");
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        many[i] = UINT64_MAX;
    ok(latency_quantile(many, 0.5) > 0.05, "as many as there may be");
}

int main(void)
{
    test_ends();
    test_reference();
    test_observed();
    return tap_done();
}
