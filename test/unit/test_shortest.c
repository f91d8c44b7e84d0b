#include "codec/shortest.h"

#include "tap.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <openssl/bn.h>
#include <time.h>

/* The leading 128 bits of 10^exp10 and 1, by other arithmetic. */
static unsigned __int128 exact_power(int exp10)
{
    enum { SCALE = 2000 }; /* binary places */
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *ten = BN_new(), *n = BN_new(), *power = BN_new(), *value = BN_new();
    unsigned __int128 bits = 0;
    uint8_t bytes[16];
    int len;

    BN_set_word(ten, 10);
    BN_set_word(n, (BN_ULONG)abs(exp10));
    BN_exp(power, ten, n, ctx);
    BN_one(value);
    BN_lshift(value, value, SCALE);
    if (exp10 < 0)
        BN_div(value, NULL, value, power, ctx);
    else
        BN_mul(value, value, power, ctx);
    len = BN_num_bits(value);
    BN_rshift(value, value, len - 128);
    BN_add_word(value, 1);
    BN_bn2binpad(value, bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        bits = bits << 8 | bytes[i];
    BN_free(ten);
    BN_free(n);
    BN_free(power);
    BN_free(value);
    BN_CTX_free(ctx);
    return bits;
}

static void test_powers(void)
{
    int bad = 0;

    for (int i = SHORTEST_POWER_MIN; i <= SHORTEST_POWER_MAX; i++)
        bad += shortest_power(i) != exact_power(i);
    is_int(bad, 0, "all powers of ten are those of OpenSSL's big numbers");
}

static double read_decimal(struct decimal decimal)
{
    char text[64];

    snprintf(text, sizeof(text), "%" PRIu64 "e%d", decimal.digits, decimal.exp10);
    return strtod(text, NULL);
}

/* The same by trying: fewer digits than these, rightly rounded, read as another number.
 * Below a power of two the gap is narrower than above it: where the nearest decimal is
 * below and reads as another, the next above may still be right. */
static struct decimal by_trial(double value)
{
    struct decimal decimal = {0, 0};

    for (int digits = 1; digits <= 17; digits++) {
        char text[64];

        snprintf(text, sizeof(text), "%.*e", digits - 1, value);
        decimal.digits = 0;
        for (const char *at = text; *at != 'e'; at++)
            if (*at != '.')
                decimal.digits = decimal.digits * 10 + (uint64_t)(*at - '0');
        decimal.exp10 = atoi(strchr(text, 'e') + 1) - (digits - 1);
        if (read_decimal(decimal) == value)
            break;
        decimal.digits++;
        if (read_decimal(decimal) == value)
            break;
        decimal.digits--;
    }
    return decimal;
}

static struct decimal trimmed(struct decimal decimal)
{
    while (decimal.digits > 0 && decimal.digits % 10 == 0) {
        decimal.digits /= 10;
        decimal.exp10++;
    }
    return decimal;
}

/* Returns 1, and shows it, if the two do not agree. */
static int differs(double value)
{
    struct decimal got = trimmed(shortest(value)), want = trimmed(by_trial(value));

    if (got.digits == want.digits && got.exp10 == want.exp10)
        return 0;
    printf("# %a: got %" PRIu64 "e%d, want %" PRIu64 "e%d\n", value, got.digits, got.exp10,
           want.digits, want.exp10);
    return 1;
}

static int differs_around(double value)
{
    int bad = 0;

    for (int step = -2; step <= 2; step++) {
        uint64_t bits;
        double near;

        memcpy(&bits, &value, sizeof(bits));
        bits += (uint64_t)(int64_t)step;
        memcpy(&near, &bits, sizeof(near));
        if (near > 0 && isfinite(near))
            bad += differs(near);
    }
    return bad;
}

static void test_borders(void)
{
    int bad = 0;

    for (int exp2 = -1074; exp2 <= 1023; exp2++)
        bad += differs_around(ldexp(1, exp2));
    is_int(bad, 0, "powers of two and their neighbours");
    for (int exp10 = bad = 0; exp10 <= 308; exp10++) {
        char text[16];

        snprintf(text, sizeof(text), "1e-%d", exp10);
        bad += differs_around(strtod(text, NULL)) + differs_around(1 / strtod(text, NULL));
    }
    is_int(bad, 0, "powers of ten and their neighbours");
    bad = differs_around(DBL_MIN) + differs_around(DBL_MAX) + differs_around(DBL_TRUE_MIN);
    is_int(bad, 0, "the smallest and largest");
}

/* Two decimals of the fewest digits that are as near: the even one. */
static void test_ties(void)
{
    static const struct {
        double value;
        uint64_t digits;
        int exp10;
    } cases[] = {
        {1125899906842624.25, 11258999068426242, -1},
        {1125899906842624.75, 11258999068426248, -1},
        {1125899906842625.25, 11258999068426252, -1},
        {2251799813685248.5, 22517998136852485, -1},
        {9007199254740993, 9007199254740992, 0},
        {0x1p63, 9223372036854775808U / 1000 + 1, 3},
        {5e-324, 5, -324},
        {2e-323, 2, -323},
        {1e23, 1, 23},
        {9e23, 9, 23},
        {2.2250738585072014e-308, 22250738585072014, -324},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct decimal got = trimmed(shortest(cases[i].value));

        ok(got.digits == cases[i].digits && got.exp10 == cases[i].exp10, "%.17g is %" PRIu64 "e%d",
           cases[i].value, got.digits, got.exp10);
    }
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void test_random(uint64_t seed)
{
    int bad = 0;

    printf("# seed %" PRIu64 "\n", seed);
    for (int i = 0; i < 2000; i++) {
        uint64_t bits = next_random(&seed) >> 1;
        double value;

        if (i % 4 == 0) /* few digits, and what is next to them */
            value = (double)(bits % 100000) / pow(10, (double)(bits >> 20 & 15)) + DBL_TRUE_MIN;
        else if (i % 4 == 1) /* subnormal */
            bits &= ((uint64_t)1 << 52) - 1;
        if (i % 4 != 0)
            memcpy(&value, &bits, sizeof(value));
        if (value > 0 && isfinite(value))
            bad += i % 4 == 0 ? differs_around(value) : differs(value);
    }
    is_int(bad, 0, "random numbers");
}

int main(void)
{
    test_powers();
    test_borders();
    test_ties();
    test_random(88172645463325252u);
    test_random((uint64_t)time(NULL) * 2654435761u + (uint64_t)getpid());
    return tap_done();
}
