/* json_number - numbers and dates as JavaScript writes them. */
#include "codec/json.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX   32                 /* -1.2345678901234567e-308 and more */
#define SAFE_INTEGER 9007199254740992.0 /* 2^53 */

/* The number digits * 10^exp10. */
struct decimal {
    uint64_t digits;
    int exp10;
};

/* Writes value right before end; returns its first digit. */
static char *digits_before(char *end, uint64_t value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return end;
}

int json_put_uint64(struct buf *out, uint64_t value)
{
    char text[NUMBER_MAX], *at;

    if (value > (uint64_t)SAFE_INTEGER)
        return json_put_double(out, (double)value);
    at = digits_before(text + sizeof(text), value);
    return buf_put(out, at, (size_t)(text + sizeof(text) - at));
}

int json_put_int64(struct buf *out, int64_t value)
{
    char text[NUMBER_MAX], *at;

    if (value >= 0)
        return json_put_uint64(out, (uint64_t)value);
    if (value < -(int64_t)SAFE_INTEGER)
        return json_put_double(out, (double)value);
    at = digits_before(text + sizeof(text), (uint64_t)-value);
    *--at = '-';
    return buf_put(out, at, (size_t)(text + sizeof(text) - at));
}

/* Of the integers low to high, takes the one with the most trailing zeros and,
 * among those, the one nearest to whole plus a fraction (fraction: -1, 0 or 1 as
 * it is below, at or above a half; exact: it is zero).  A tie goes to the even
 * digit.  low <= whole + 1, whole <= high. */
static struct decimal roundest(uint64_t low, uint64_t high, uint64_t whole, int fraction, int exact)
{
    struct decimal best = {whole, 0};
    uint64_t ten = 1, rest, down;

    while (high / (ten * 10) * (ten * 10) >= low && high >= ten * 10) {
        ten *= 10;
        best.exp10++;
    }
    down = whole / ten * ten;
    rest = whole - down;
    best.digits = whole / ten;
    if (ten > 1) /* the fraction counts only where rest is just a half */
        fraction = rest > ten / 2 || (rest == ten / 2 && !exact) ? 1 : rest == ten / 2 ? 0 : -1;
    if (down < low ||
        (down + ten <= high && (fraction > 0 || (fraction == 0 && best.digits % 2 == 1))))
        best.digits++;
    return best;
}

/* floor(log10(2^exp2)), for |exp2| < 1650 */
static int log10_of_pow2(int exp2)
{
    return (exp2 * 78913) >> 18;
}

/* The shortest digits, by exact integer arithmetic, where 128 bits hold it:
 * 1e-11 < value < 2^62.  value = c * 2^q is scaled by 10^k so that its integer
 * part has 17 or 18 digits (or is the value); then the gap to its neighbours is
 * wider than 1, and the best of the integers between the middles of these gaps
 * is what we look for.  (Steele and White, 1990; Adams, 2018.) */
static struct decimal shortest_exact(double value)
{
    unsigned __int128 factor = 1, one, v, low, high;
    struct decimal best;
    uint64_t bits, c;
    int q, k, shift;

    memcpy(&bits, &value, sizeof(bits));
    c = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52;
    q = (int)(bits >> 52) - 1075;
    k = q < 0 ? 16 - log10_of_pow2(q + 52) : 0;
    for (int i = 0; i < k; i++)
        factor *= 5;
    /* Now in units of 2^-shift: a quarter of 2^q at most, to have the middles. */
    shift = 2 - q - k;
    for (; shift < 1; shift++)
        factor *= 2;
    one = (unsigned __int128)1 << shift;
    v = factor * c * 4;
    /* Below a power of two the neighbour is nearer. */
    low = v - factor * (c == (uint64_t)1 << 52 ? 1 : 2);
    high = v + factor * 2;
    if (c % 2 != 0) { /* the middles themselves read as the even neighbour */
        low++;
        high--;
    }
    unsigned __int128 rest = v & (one - 1), half = one >> 1;
    best = roundest((uint64_t)((low + one - 1) >> shift), (uint64_t)(high >> shift),
                    (uint64_t)(v >> shift), rest < half ? -1 : rest > half, rest == 0);
    best.exp10 -= k;
    return best;
}

static int reads_back(struct decimal decimal, double value)
{
    char text[NUMBER_MAX + 16];

    snprintf(text, sizeof(text), "%" PRIu64 "e%d", decimal.digits, decimal.exp10);
    return strtod(text, NULL) == value; // NOLINT(cert-err34-c): it is our own text
}

/* The same for the very large and the very small, where it may take longer:
 * fewer and fewer digits of what printf rounds correctly, until it no longer
 * reads back.  Below a power of two the neighbour is nearer than above, so that
 * the nearest may fail and the one above it still be right. */
static struct decimal shortest_search(double value)
{
    struct decimal decimal;
    char text[NUMBER_MAX];
    /* All of up to 15 digits are different numbers, so that the one with zeros
     * at its end is the shortest; subnormal ones are not. */
    int digits = value < DBL_MIN ? 1 : 15;

    for (;; digits++) {
        snprintf(text, sizeof(text), "%.*e", digits - 1, value);
        decimal.digits = 0;
        for (const char *at = text; *at != 'e'; at++) {
            if (*at >= '0' && *at <= '9') /* not the locale's decimal point */
                decimal.digits = decimal.digits * 10 + (uint64_t)(*at - '0');
        }
        decimal.exp10 = (int)strtol(strchr(text, 'e') + 1, NULL, 10) - (digits - 1);
        if (digits == 17 || reads_back(decimal, value))
            return decimal;
        decimal.digits++;
        if (reads_back(decimal, value))
            return decimal;
    }
}

/* Lays the n digits out as Number::toString does; point is where the decimal
 * point goes, counted from the first digit.  Returns the end. */
static char *put_layout(char *to, const char *digits, int n, int point)
{
    if (point > 21 || point <= -6) {
        *to++ = digits[0];
        if (n > 1)
            *to++ = '.';
        memcpy(to, digits + 1, (size_t)(n - 1));
        to += n - 1;
        *to++ = 'e';
        *to++ = point > 0 ? '+' : '-';
        return to + snprintf(to, 8, "%d", abs(point - 1));
    }
    if (point <= 0) {
        memcpy(to, "0.00000", (size_t)(2 - point));
        memcpy(to + 2 - point, digits, (size_t)n);
        return to + 2 - point + n;
    }
    if (point < n) {
        memcpy(to, digits, (size_t)point);
        to[point] = '.';
        memcpy(to + point + 1, digits + point, (size_t)(n - point));
        return to + n + 1;
    }
    memcpy(to, digits, (size_t)n);
    memset(to + n, '0', (size_t)(point - n));
    return to + point;
}

int json_put_double(struct buf *out, double value)
{
    char text[NUMBER_MAX], digits[NUMBER_MAX], *end = digits + sizeof(digits), *at, *to = text;
    struct decimal decimal;

    if (!isfinite(value))
        return buf_put(out, "null", 4);
    if (value >= -SAFE_INTEGER && value <= SAFE_INTEGER && value == (double)(int64_t)value)
        return json_put_int64(out, (int64_t)value);
    if (value < 0)
        *to++ = '-';
    value = fabs(value);
    decimal = value > 1e-11 && value < 0x1p62 ? shortest_exact(value) : shortest_search(value);
    while (decimal.digits % 10 == 0) {
        decimal.digits /= 10;
        decimal.exp10++;
    }
    at = digits_before(end, decimal.digits);
    to = put_layout(to, at, (int)(end - at), (int)(end - at) + decimal.exp10);
    return buf_put(out, text, (size_t)(to - text));
}

/* ---- dates ---- */

#define DAY_MS 86400000

/* Civil date of a day since 1970 in the proleptic Gregorian calendar.  Years are
 * counted from March, so that the leap day is the last, and in eras of 400
 * years, which all have 146,097 days. */
static void civil(int64_t day, int64_t *year, unsigned *month, unsigned *mday)
{
    int64_t era, of_era, of_year, y;

    day += 719468; /* from 1970-01-01 back to 0000-03-01 */
    era = (day >= 0 ? day : day - 146096) / 146097;
    of_era = day - era * 146097;
    y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    of_year = of_era - (365 * y + y / 4 - y / 100);
    *month = (unsigned)((5 * of_year + 2) / 153); /* 0: March */
    *mday = (unsigned)(of_year - (153 * (int64_t)*month + 2) / 5 + 1);
    *month = *month < 10 ? *month + 3 : *month - 9;
    *year = y + era * 400 + (*month <= 2);
}

int json_put_date(struct buf *out, double ms)
{
    int64_t time, day, year;
    unsigned month, mday, rest;

    if (!(fabs(ms) <= 8.64e15))
        return buf_put(out, "null", 4);
    time = (int64_t)ms;
    day = (time >= 0 ? time : time - (DAY_MS - 1)) / DAY_MS;
    rest = (unsigned)(time - day * DAY_MS);
    civil(day, &year, &month, &mday);
    buf_putc(out, '"');
    if (year >= 0 && year <= 9999)
        buf_printf(out, "%04d", (int)year);
    else
        buf_printf(out, "%c%06d", year < 0 ? '-' : '+', abs((int)year));
    return buf_printf(out, "-%02u-%02uT%02u:%02u:%02u.%03uZ\"", month, mday, rest / 3600000,
                      rest / 60000 % 60, rest / 1000 % 60, rest % 1000);
}
