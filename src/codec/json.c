#include "codec/json.h"

#include "base/utf8.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ESCAPE_MAX   6  /* bytes that one byte of a string can become: \u001f */
#define NUMBER_MAX   32 /* -1.2345678901234567e-308 and more */
#define CHUNK_BYTES  512
#define SAFE_INTEGER 9007199254740992.0 /* 2^53 */

/* ---- strings ---- */

/* What follows the backslash of an ASCII character that is escaped; 'u' for
 * the six-character form; 0 for what stands for itself. */
static const char escapes[128] = {
    [0 ... 7] = 'u', ['\b'] = 'b', ['\t'] = 't',          ['\n'] = 'n', [0x0b] = 'u',
    ['\f'] = 'f',    ['\r'] = 'r', [0x0e ... 0x1f] = 'u', ['"'] = '"',  ['\\'] = '\\',
};

#define EACH(byte) (0x0101010101010101u * (byte))

/* Whether one of eight bytes is a control character, a quote, a backslash or
 * not ASCII.  Among ASCII bytes only those that are too small borrow, and that
 * sets their top bit; what a borrow does to the next byte does not matter. */
static int needs_care(uint64_t eight)
{
    uint64_t quote = eight ^ EACH('"'), slash = eight ^ EACH('\\');

    return ((eight | (eight - EACH(0x20)) | (quote - EACH(1)) | (slash - EACH(1))) & EACH(0x80)) !=
           0;
}

/* Length of what the WHATWG decoder replaces by one U+FFFD: the longest start of
 * a valid sequence, or one byte.  bytes do not start with a valid sequence. */
static size_t broken_len(const uint8_t *bytes, size_t len)
{
    uint8_t probe[4] = {bytes[0], 0x80, 0x80, 0x80};
    size_t n;

    for (n = 1; n < 3 && n < len; n++) {
        probe[n] = bytes[n];
        if (utf8_next(probe, sizeof(probe), NULL) == 0)
            break;
    }
    return n;
}

/* Writes one character that is not plain ASCII.  Returns how much it took;
 * *to moves by at most ESCAPE_MAX. */
static size_t put_special(uint8_t **to, const uint8_t *at, size_t len, int lossy)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t *dst = *to;
    size_t n;

    if (at[0] >= 0x80) {
        n = lossy ? utf8_next(at, len, NULL) : 1;
        memcpy(dst, n > 0 ? (const void *)at : "\xef\xbf\xbd", n > 0 ? n : 3);
        *to += n > 0 ? n : 3;
        return n > 0 ? n : broken_len(at, len);
    }
    *dst++ = '\\';
    *dst++ = (uint8_t)escapes[at[0]];
    if (escapes[at[0]] == 'u') {
        *dst++ = '0';
        *dst++ = '0';
        *dst++ = (uint8_t)hex[at[0] >> 4];
        *dst++ = (uint8_t)hex[at[0] & 15];
    }
    *to = dst;
    return 1;
}

/* Writes what starts before stop; a sequence may reach beyond, up to end. */
static const uint8_t *put_chunk(uint8_t **to, const uint8_t *at, const uint8_t *stop,
                                const uint8_t *end, int lossy)
{
    uint8_t *dst = *to;
    uint64_t eight;

    while (at < stop) {
        while (stop - at >= 8) {
            memcpy(&eight, at, 8);
            if (needs_care(eight))
                break;
            memcpy(dst, &eight, 8);
            at += 8;
            dst += 8;
        }
        while (at < stop && *at < 0x80 && escapes[*at] == 0)
            *dst++ = *at++;
        while (at < stop && (*at >= 0x80 || escapes[*at] != 0))
            at += put_special(&dst, at, (size_t)(end - at), lossy);
    }
    *to = dst;
    return at;
}

static int put_string(struct buf *out, const char *bytes, size_t len, int lossy)
{
    const uint8_t *at = (const uint8_t *)bytes, *end = at + len, *stop;
    uint8_t *start, *to;

    do {
        stop = end - at > CHUNK_BYTES ? at + CHUNK_BYTES : end;
        start = to = buf_reserve(out, (size_t)(stop - at) * ESCAPE_MAX + 2);
        if (to == NULL)
            return -1;
        if (at == (const uint8_t *)bytes)
            *to++ = '"';
        at = put_chunk(&to, at, stop, end, lossy);
        if (at == end)
            *to++ = '"';
        out->len += (size_t)(to - start);
    } while (at < end);
    return 0;
}

int json_put_string(struct buf *out, const char *bytes, size_t len)
{
    return put_string(out, len > 0 ? bytes : "", len, 0);
}

int json_put_string_lossy(struct buf *out, const char *bytes, size_t len)
{
    return put_string(out, len > 0 ? bytes : "", len, 1);
}

/* \u and four digits. */
static uint8_t *put_unit(uint8_t *to, uint32_t unit)
{
    static const char hex[] = "0123456789abcdef";

    *to++ = '\\';
    *to++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4)
        *to++ = (uint8_t)hex[unit >> shift & 15];
    return to;
}

/* As put_chunk(), but all that is ASCII stays and nothing else does. */
static const uint8_t *put_ascii_chunk(uint8_t **to, const uint8_t *at, const uint8_t *stop,
                                      const uint8_t *end)
{
    uint8_t *dst = *to;

    while (at < stop) {
        uint32_t point = 0xfffd;
        size_t n;

        if (*at < 0x80) {
            *dst++ = *at++;
            continue;
        }
        n = utf8_next(at, (size_t)(end - at), &point);
        if (point > 0xffff)
            dst = put_unit(dst, 0xd800 + ((point - 0x10000) >> 10));
        dst = put_unit(dst, point > 0xffff ? 0xdc00 + (point & 0x3ff) : point);
        at += n > 0 ? n : broken_len(at, (size_t)(end - at));
    }
    *to = dst;
    return at;
}

int json_put_ascii(struct buf *out, struct slice json)
{
    const uint8_t *at = (const uint8_t *)json.ptr;
    const uint8_t *end = json.len > 0 ? at + json.len : at;

    while (at < end) {
        const uint8_t *stop = end - at > CHUNK_BYTES ? at + CHUNK_BYTES : end;
        /* The last character may reach beyond stop and become two escapes. */
        uint8_t *to = buf_reserve(out, ((size_t)(stop - at) + 1) * ESCAPE_MAX);

        if (to == NULL)
            return -1;
        at = put_ascii_chunk(&to, at, stop, end);
        out->len = (size_t)(to - out->data);
    }
    return 0;
}

/* ---- numbers ---- */

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

/* ---- checking ---- */

/* at is where reading has come to and, once something is wrong, where. */
struct scan {
    const uint8_t *at, *end;
    unsigned depth;
    uint8_t objects[JSON_DEPTH_MAX / 8]; /* one bit a level: object, not array */
};

static void scan_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

static int scan_escape(struct scan *s)
{
    s->at++;
    if (s->at == s->end || *s->at == 0 || strchr("\"\\/bfnrtu", *s->at) == NULL)
        return -1;
    if (*s->at++ != 'u')
        return 0;
    for (int i = 0; i < 4; i++, s->at++) {
        if (s->at == s->end || *s->at == 0 || strchr("0123456789abcdefABCDEF", *s->at) == NULL)
            return -1;
    }
    return 0;
}

static int scan_string(struct scan *s)
{
    if (s->at == s->end || *s->at != '"')
        return -1;
    s->at++;
    while (s->at < s->end && *s->at >= 0x20) {
        if (*s->at == '"') {
            s->at++;
            return 0;
        }
        if (*s->at == '\\') {
            if (scan_escape(s) != 0)
                return -1;
        } else {
            size_t n = *s->at < 0x80 ? 1 : utf8_next(s->at, (size_t)(s->end - s->at), NULL);

            if (n == 0)
                return -1;
            s->at += n;
        }
    }
    return -1;
}

static int scan_digits(struct scan *s)
{
    const uint8_t *start = s->at;

    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > start ? 0 : -1;
}

static int scan_number(struct scan *s)
{
    if (*s->at == '-')
        s->at++;
    if (s->at < s->end && *s->at == '0')
        s->at++;
    else if (scan_digits(s) != 0)
        return -1;
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (scan_digits(s) != 0)
            return -1;
    }
    if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        return scan_digits(s);
    }
    return 0;
}

static int scan_word(struct scan *s, const char *word)
{
    for (; *word != '\0'; word++, s->at++) {
        if (s->at == s->end || *s->at != (uint8_t)*word)
            return -1;
    }
    return 0;
}

static int in_object(const struct scan *s)
{
    return s->objects[(s->depth - 1) / 8] >> (s->depth - 1) % 8 & 1;
}

/* Key and colon, with the space around them. */
static int scan_key(struct scan *s)
{
    scan_space(s);
    if (scan_string(s) != 0)
        return -1;
    scan_space(s);
    return scan_word(s, ":");
}

/* Enters an array or object, up to its first value.  Returns 1 where there is
 * one to read, 0 if it is empty and thus read, -1 if it is malformed. */
static int scan_open(struct scan *s)
{
    int object = *s->at == '{';
    unsigned bit = 1u << s->depth % 8;

    if (s->depth == JSON_DEPTH_MAX)
        return -1;
    s->at++;
    scan_space(s);
    if (s->at < s->end && *s->at == (object ? '}' : ']')) {
        s->at++;
        return 0;
    }
    s->objects[s->depth / 8] = (uint8_t)(s->objects[s->depth / 8] & ~bit);
    if (object)
        s->objects[s->depth / 8] |= (uint8_t)bit;
    s->depth++;
    return object && scan_key(s) != 0 ? -1 : 1;
}

/* What comes after a value: brackets that close, or a comma.  Returns 1 where
 * another value follows, 0 at the end of the whole, -1 if it is malformed. */
static int scan_after(struct scan *s)
{
    while (s->depth > 0) {
        scan_space(s);
        if (s->at == s->end)
            return -1;
        if (*s->at == ',') {
            s->at++;
            return in_object(s) && scan_key(s) != 0 ? -1 : 1;
        }
        if (*s->at != (in_object(s) ? '}' : ']'))
            return -1;
        s->at++;
        s->depth--;
    }
    return 0;
}

/* As scan_open(); a value that is no array or object is read. */
static int scan_value(struct scan *s)
{
    scan_space(s);
    if (s->at == s->end)
        return -1;
    switch (*s->at) {
    case '{':
    case '[':
        return scan_open(s);
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        return scan_number(s);
    }
}

long json_span_at(const char *text, size_t len, size_t *bad)
{
    struct scan s = {.at = (const uint8_t *)text};
    int more;

    s.end = s.at + len;
    do {
        more = scan_value(&s);
        if (more == 0)
            more = scan_after(&s);
    } while (more > 0);
    if (more < 0 && bad != NULL)
        *bad = (size_t)(s.at - (const uint8_t *)text);
    return more < 0 ? -1 : (long)(s.at - (const uint8_t *)text);
}

long json_span(const char *text, size_t len)
{
    return json_span_at(text, len, NULL);
}

/* A backslash in valid JSON is always in a string and has a character after it. */
int json_has_nul(const char *text, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++) {
        if (text[i] != '\\')
            continue;
        i++;
        if (len - i >= 5 && memcmp(text + i, "u0000", 5) == 0)
            return 1;
    }
    return 0;
}
