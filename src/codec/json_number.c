/* json_number - numbers and dates as JavaScript writes them. */
#include "codec/json.h"

#include "codec/shortest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX   32                 /* -1.2345678901234567e-308 and more */
#define SAFE_INTEGER 9007199254740992.0 /* 2^53 */

/* Writes value right before end; returns its first digit. */
static char *digits_before(char *end, uint64_t value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return end;
}

/* Writes value to n places, with zeros in front.  Returns the end. */
static char *put_places(char *to, unsigned value, int n)
{
    for (int i = n - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + n;
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

/* Lays the n digits out as Number::toString does; point is where the decimal
 * point goes, counted from the first digit.  Returns the end. */
static char *put_layout(char *to, const char *digits, int n, int point)
{
    if (point > 21 || point <= -6) {
        unsigned exponent = (unsigned)abs(point - 1);

        *to++ = digits[0];
        if (n > 1)
            *to++ = '.';
        memcpy(to, digits + 1, (size_t)(n - 1));
        to += n - 1;
        *to++ = 'e';
        *to++ = point > 0 ? '+' : '-';
        return put_places(to, exponent, exponent < 10 ? 1 : exponent < 100 ? 2 : 3);
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
    decimal = shortest(fabs(value));
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
    char text[NUMBER_MAX] = "\"", *to = text + 1;
    int64_t time, day, year;
    unsigned month, mday, rest;

    if (!(fabs(ms) <= 8.64e15))
        return buf_put(out, "null", 4);
    time = (int64_t)ms;
    day = (time >= 0 ? time : time - (DAY_MS - 1)) / DAY_MS;
    rest = (unsigned)(time - day * DAY_MS);
    civil(day, &year, &month, &mday);
    if (year < 0 || year > 9999)
        *to++ = year < 0 ? '-' : '+';
    to = put_places(to, (unsigned)llabs(year), year < 0 || year > 9999 ? 6 : 4);
    *to++ = '-';
    to = put_places(to, month, 2);
    *to++ = '-';
    to = put_places(to, mday, 2);
    *to++ = 'T';
    to = put_places(to, rest / 3600000, 2);
    *to++ = ':';
    to = put_places(to, rest / 60000 % 60, 2);
    *to++ = ':';
    to = put_places(to, rest / 1000 % 60, 2);
    *to++ = '.';
    to = put_places(to, rest % 1000, 3);
    *to++ = 'Z';
    *to++ = '"';
    return buf_put(out, text, (size_t)(to - text));
}
