/* shortest - the fewest decimal digits that read back as a given double. */
#ifndef CODEC_SHORTEST_H
#define CODEC_SHORTEST_H

#include <stdint.h>

/* The number digits * 10^exp10. */
struct decimal {
    uint64_t digits;
    int exp10;
};

/* Of the decimals that are nearer to value than to any other double, one with the
 * fewest digits; of several the one nearest to value; of two that are as near the even
 * one (ECMA-262, Number::toString).  digits may end in zeros.  value is finite and
 * more than 0.  It takes the same time for all of them: tens of nanoseconds. */
struct decimal shortest(double value);

/* How long a power of ten is taken to be, and which are needed: those that bring a
 * double of any size to 16 or 17 digits before its point. */
#define SHORTEST_POWER_MIN (-292)
#define SHORTEST_POWER_MAX 324

/* The leading 128 bits of 10^exp10, rounded down, and 1 more.  For the test. */
unsigned __int128 shortest_power(int exp10);

#endif
