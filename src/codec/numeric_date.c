#include "codec/numeric_date.h"

#include "codec/shortest.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define YEAR_3000_S INT64_C(32503680000)
#define MS_FROM     INT64_C(1000000000000) /* 2001 in milliseconds, 33658 in seconds */
#define MAX_MS      ((uint64_t)NUMERIC_DATE_MAX_S * 1000)

/* What is written like an integer is taken digit by digit; anything else has been a double,
 * for libjwt too, and is what its fewest digits say: what was written, up to 15 of them.
 * Without its sign; returns 0 if it is no number, or an integer that is too large. */
static int parse_decimal(const char *json, struct decimal *number)
{
    size_t len = strlen(json), digits = strspn(json, "0123456789");
    double value;
    char *end;

    *number = (struct decimal){0, 0};
    if (digits == 0 || strspn(json, "0123456789+-.eE") != len)
        return 0;
    for (size_t i = 0; digits == len && i < len; i++) {
        if (number->digits > MAX_MS / 10)
            return 0;
        number->digits = number->digits * 10 + (uint64_t)(json[i] - '0');
    }
    if (digits == len)
        return 1;
    value = strtod(json, &end);
    if (*end != '\0' || !isfinite(value))
        return 0;
    if (value > 0)
        *number = shortest(value);
    return 1;
}

/* The smallest integer that is not below number * 10^shift, which negative says to be below
 * 0.  Returns 0 where it is more than MAX_MS away from 0. */
static int round_up(const struct decimal *number, int negative, int shift, int64_t *value)
{
    uint64_t whole = number->digits;
    int rest = 0;

    for (shift += number->exp10; shift > 0 && whole > 0; shift--) {
        if (whole > MAX_MS / 10)
            return 0;
        whole *= 10;
    }
    for (; shift < 0 && whole > 0; shift++) {
        rest |= whole % 10 != 0;
        whole /= 10;
    }
    whole += rest && !negative;
    if (whole > MAX_MS)
        return 0;
    *value = negative ? -(int64_t)whole : (int64_t)whole;
    return 1;
}

enum numeric_date numeric_date_parse(const char *json, int64_t *ms)
{
    int negative = *json == '-';
    struct decimal number;

    if (!parse_decimal(json + negative, &number) || !round_up(&number, negative, 3, ms))
        return NUMERIC_DATE_BAD;
    if (*ms <= YEAR_3000_S * 1000)
        return NUMERIC_DATE_FINE;
    if (*ms < MS_FROM * 1000)
        return NUMERIC_DATE_FAR;
    return round_up(&number, negative, 0, ms) ? NUMERIC_DATE_MS : NUMERIC_DATE_BAD;
}
