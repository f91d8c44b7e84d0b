/* Schubfach (R. Giulietti, "The Schubfach way to render doubles", 2020).
 *
 * A double is c * 2^q, and what lies between the middles of the gaps to its neighbours
 * reads as it.  This interval is scaled by a power of ten to a width from 1 to below 10:
 * then it holds an integer, and one multiple of ten at most.  If there is one it has the
 * fewest digits; else it is the integer nearest to the double.  To tell which of them
 * lie in the interval, its ends and the double are needed to a quarter, and whether that
 * is exact.  Powers of ten of 128 bits are enough for it. */
#include "codec/shortest.h"

#include <string.h>

#define MANTISSA_BITS 52
#define HIDDEN        ((uint64_t)1 << MANTISSA_BITS)
#define EXP2_MIN      (-1074) /* of the smallest double, and of all subnormal ones */

#define WORDS 18 /* of 64 bits: 10^324 takes 1077 of them, and so does 2^1151 */

typedef unsigned __int128 uint128;

/* --- logarithms, rounded down; each has been compared to the exact one ---------- */

/* log10(2^exp2), and log10(3/4 * 2^exp2), for |exp2| < 1100 */
static int log10_pow2(int exp2)
{
    return (exp2 * 1262611) >> 22;
}

static int log10_pow2_less(int exp2)
{
    return (exp2 * 1262611 - 524031) >> 22;
}

/* log2(10^exp10), for |exp10| < 330 */
static int log2_pow10(int exp10)
{
    return (exp10 * 1741647) >> 19;
}

/* --- powers of ten ---------------------------------------------------------------- */

static uint128 powers[SHORTEST_POWER_MAX - SHORTEST_POWER_MIN + 1];

/* The 128 bits of a number, its lowest word first, that begin with its highest one;
 * what is below them is dropped.  It has as many bits. */
static uint128 leading(const uint64_t *words)
{
    int top = WORDS - 1, shift;
    uint128 bits;

    while (words[top] == 0)
        top--;
    shift = __builtin_clzll(words[top]);
    bits = (uint128)words[top] << 64 | (top > 0 ? words[top - 1] : 0);
    if (shift > 0)
        bits = bits << shift | (top > 1 ? words[top - 2] >> (64 - shift) : 0);
    return bits;
}

static void times_ten(uint64_t *words)
{
    uint64_t carry = 0;

    for (int i = 0; i < WORDS; i++) {
        uint128 product = (uint128)words[i] * 10 + carry;

        words[i] = (uint64_t)product;
        carry = (uint64_t)(product >> 64);
    }
}

/* Rounded down. */
static void by_ten(uint64_t *words)
{
    unsigned rest = 0;

    for (int i = WORDS - 1; i >= 0; i--) {
        uint128 dividend = (uint128)rest << 64 | words[i];

        words[i] = (uint64_t)(dividend / 10);
        rest = (unsigned)(dividend % 10);
    }
}

/* A quotient that is rounded down and divided again, rounded down, is that of both
 * divisors: so the bits that are left of 2^1151 are those of 2^1151 / 10^n. */
static void make_powers(void)
{
    uint64_t words[WORDS] = {1};

    for (int i = 0; i <= SHORTEST_POWER_MAX; i++) {
        powers[i - SHORTEST_POWER_MIN] = leading(words) + 1;
        times_ten(words);
    }
    memset(words, 0, sizeof(words));
    words[WORDS - 1] = (uint64_t)1 << 63;
    for (int i = -1; i >= SHORTEST_POWER_MIN; i--) {
        by_ten(words);
        powers[i - SHORTEST_POWER_MIN] = leading(words) + 1;
    }
}

uint128 shortest_power(int exp10)
{
    if (powers[0] == 0)
        make_powers();
    return powers[exp10 - SHORTEST_POWER_MIN];
}

/* --- the digits ------------------------------------------------------------------- */

/* number * power / 2^128 rounded down, and its last bit set where that is not exact:
 * so it compares to even numbers as the exact one does.  The power is more than the
 * true one by 1 at most, and number is below 2^60, so that an exact product shows no
 * fraction in the 64 bits that are looked at.  Any other does: for all doubles and
 * their middles, it is at least 2^-62.6 above an even number, and 2^-61.5 below one
 * (by the extremes of m * 2^q / 10^k modulo 2, for each q, over all m). */
static uint64_t scale(uint128 power, uint64_t number)
{
    uint128 low = (uint128)(uint64_t)power * number;
    uint128 sum = (power >> 64) * number + (low >> 64);

    return (uint64_t)(sum >> 64) | ((uint64_t)sum != 0);
}

struct decimal shortest(double value)
{
    uint64_t bits, c, at, low, high, whole, tens;
    uint128 power;
    int q, k, shift, lopsided, below, above;

    memcpy(&bits, &value, sizeof(bits));
    c = bits & (HIDDEN - 1);
    q = (int)(bits >> MANTISSA_BITS) + EXP2_MIN - 1;
    lopsided = c == 0 && q > EXP2_MIN; /* a power of two: its lower neighbour is nearer */
    if (q < EXP2_MIN)
        q = EXP2_MIN;
    else
        c |= HIDDEN;
    k = lopsided ? log10_pow2_less(q) : log10_pow2(q);
    power = shortest_power(-k);
    shift = q + log2_pow10(-k) + 1; /* 1 to 4 */
    /* In quarters of 10^k. */
    at = scale(power, 4 * c << shift);
    low = scale(power, (4 * c - (lopsided ? 1 : 2)) << shift) + c % 2;
    high = scale(power, (4 * c + 2) << shift) - c % 2; /* the middles read as the even one */

    whole = at / 4;
    tens = whole / 10;
    below = low <= 40 * tens;
    above = 40 * tens + 40 <= high;
    if (below != above)
        return (struct decimal){tens + (uint64_t)above, k + 1};
    below = low <= 4 * whole;
    above = 4 * whole + 4 <= high;
    if (below == above)
        above = at % 4 > 2 || (at % 4 == 2 && whole % 2 == 1);
    return (struct decimal){whole + (uint64_t)above, k};
}
