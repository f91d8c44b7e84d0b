#include "codec/pack.h"

#include "base/utf8.h"
#include "codec/json.h"

#include <assert.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A head byte and n bytes of value, big-endian. */
static int put(struct buf *out, uint8_t head, uint64_t value, size_t n)
{
    uint8_t bytes[9] = {head};

    for (size_t i = n; i > 0; i--) {
        bytes[i] = (uint8_t)value;
        value >>= 8;
    }
    return buf_put(out, bytes, n + 1);
}

int pack_str(struct buf *out, const char *bytes, size_t len)
{
    if (len < 0x20)
        put(out, (uint8_t)(0xa0 | len), 0, 0);
    else if (len < 0x100)
        put(out, 0xd9, len, 1);
    else if (len < 0x10000)
        put(out, 0xda, len, 2);
    else
        put(out, 0xdb, len, 4);
    return buf_put(out, bytes, len);
}

static int pack_bin(struct buf *out, struct slice bytes)
{
    if (bytes.len < 0x100)
        put(out, 0xc4, bytes.len, 1);
    else if (bytes.len < 0x10000)
        put(out, 0xc5, bytes.len, 2);
    else
        put(out, 0xc6, bytes.len, 4);
    return buf_put(out, bytes.ptr, bytes.len);
}

int pack_array(struct buf *out, uint32_t elements)
{
    if (elements < 0x10)
        return put(out, (uint8_t)(0x90 | elements), 0, 0);
    return elements < 0x10000 ? put(out, 0xdc, elements, 2) : put(out, 0xdd, elements, 4);
}

int pack_map(struct buf *out, uint32_t pairs)
{
    if (pairs < 0x10)
        return put(out, (uint8_t)(0x80 | pairs), 0, 0);
    return pairs < 0x10000 ? put(out, 0xde, pairs, 2) : put(out, 0xdf, pairs, 4);
}

int pack_bool(struct buf *out, int value)
{
    return buf_putc(out, value ? 0xc3 : 0xc2);
}

static int pack_nil(struct buf *out)
{
    return buf_putc(out, 0xc0);
}

static int pack_uint(struct buf *out, uint64_t value)
{
    if (value < 0x80)
        return put(out, (uint8_t)value, 0, 0);
    if (value < 0x100)
        return put(out, 0xcc, value, 1);
    if (value < 0x10000)
        return put(out, 0xcd, value, 2);
    return value < 0x100000000 ? put(out, 0xce, value, 4) : put(out, 0xcf, value, 8);
}

static int pack_int(struct buf *out, int64_t value)
{
    if (value >= -0x20)
        return put(out, (uint8_t)value, 0, 0);
    if (value >= INT8_MIN)
        return put(out, 0xd0, (uint64_t)value, 1);
    if (value >= INT16_MIN)
        return put(out, 0xd1, (uint64_t)value, 2);
    return value >= INT32_MIN ? put(out, 0xd2, (uint64_t)value, 4)
                              : put(out, 0xd3, (uint64_t)value, 8);
}

int pack_number(struct buf *out, double value)
{
    uint64_t bits;

    if (value >= 0 && value < 0x1p64 && floor(value) == value)
        return pack_uint(out, (uint64_t)value);
    if (value < 0 && value >= (double)INT64_MIN && floor(value) == value)
        return pack_int(out, (int64_t)value);
    memcpy(&bits, &value, sizeof(bits));
    return put(out, 0xcb, bits, 8);
}

/* ---- JSON ---- */

struct source {
    const char *at, *end;
    struct buf counts;         /* uint32_t: elements of each array or object, in the order
                                  of their opening brackets */
    size_t next;               /* the count that the next bracket needs */
    struct buf text;           /* one string or number */
    const struct slices *bins; /* what placeholders stand for; NULL: there are none */
};

/* at is at a quote.  Returns what follows the string. */
static const char *string_end(const char *at)
{
    for (at++; *at != '"'; at++) {
        if (*at == '\\')
            at++;
    }
    return at + 1;
}

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A msgpack head has the number of elements that a JSON bracket does not:
 * counts them all beforehand, in one pass. */
static int count_elements(struct source *s)
{
    uint32_t open[JSON_DEPTH_MAX], zero = 0, *counts;
    size_t depth = 0, n = 0;
    int empty = 0; /* nothing yet behind the last opening bracket */

    for (const char *at = s->at; at < s->end;) {
        counts = (uint32_t *)(void *)s->counts.data;
        if (*at == '[' || *at == '{') {
            if (buf_put(&s->counts, &zero, sizeof(zero)) != 0)
                return -1;
            open[depth++] = (uint32_t)n++;
            empty = 1;
        } else if (*at == ']' || *at == '}') {
            assert(depth > 0);
            counts[open[--depth]] += !empty;
            empty = 0;
        } else if (*at == ',') {
            assert(depth > 0);
            counts[open[depth - 1]]++;
        } else if (!is_space(*at)) {
            empty = 0;
        }
        at = *at == '"' ? string_end(at) : at + 1;
    }
    return 0;
}

/* The four digits of a \u escape. */
static uint32_t hex4(const char *at)
{
    char digits[5] = {at[0], at[1], at[2], at[3], 0};

    return (uint32_t)strtoul(digits, NULL, 16);
}

/* at is behind "\u".  Returns what follows the character, of which the second
 * half of a surrogate pair is a part. */
static const char *put_unicode(struct buf *out, const char *at)
{
    uint32_t point = hex4(at), low;
    uint8_t utf8[4];

    at += 4;
    if (point >= 0xd800 && point < 0xdc00 && at[0] == '\\' && at[1] == 'u') {
        low = hex4(at + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            point = 0x10000 + ((point & 0x3ff) << 10 | (low & 0x3ff));
            at += 6;
        }
    }
    if (point >= 0xd800 && point < 0xe000)
        point = 0xfffd;
    buf_put(out, utf8, utf8_put(utf8, point));
    return at;
}

static void read_string(struct source *s)
{
    static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
    const char *at = s->at + 1, *run;

    buf_reset(&s->text);
    while (*at != '"') {
        for (run = at; *at != '"' && *at != '\\'; at++)
            ;
        buf_put(&s->text, run, (size_t)(at - run));
        if (*at == '"')
            break;
        at += 2;
        run = strchr(names, at[-1]);
        if (at[-1] == 'u')
            at = put_unicode(&s->text, at);
        else
            buf_putc(&s->text, (uint8_t)(run != NULL ? values[run - names] : at[-1]));
    }
    s->at = at + 1;
}

/* Reads up to 15 digits with or without a point: neither they as a whole nor the power of ten
 * have more bits than a double, and their quotient is rounded as the number is.  Returns what
 * follows, or NULL: it is not of this form. */
static const char *read_decimal(const char *at, const char *end, double *value)
{
    static const double tens[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const char *point = NULL;
    int is_negative = *at == '-';
    uint64_t all = 0;
    int digits = 0;

    for (at += is_negative; at < end; at++) {
        if (*at >= '0' && *at <= '9' && digits < 15) {
            all = all * 10 + (uint64_t)(*at - '0');
            digits++;
        } else if (*at == '.') {
            point = at + 1;
        } else {
            break;
        }
    }
    if (at < end && ((*at >= '0' && *at <= '9') || *at == 'e' || *at == 'E'))
        return NULL;
    *value = (double)all / tens[point != NULL ? at - point : 0];
    *value = is_negative ? -*value : *value;
    return at;
}

/* Any other, which costs two to five times as much. */
static int read_number(struct source *s, double *value)
{
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* costs nothing */
    const char *from = s->at;

    while (s->at < s->end && *s->at != '\0' && strchr("+-.0123456789eE", *s->at) != NULL)
        s->at++;
    buf_reset(&s->text);
    buf_put(&s->text, from, (size_t)(s->at - from));
    buf_putc(&s->text, '\0');
    if (s->text.failed || c_locale == (locale_t)0)
        return -1;
    *value = strtod_l((const char *)s->text.data, NULL, c_locale);
    freelocale(c_locale);
    return 0;
}

static int pack_json_number(struct source *s, struct buf *out)
{
    double value = 0;
    const char *end = read_decimal(s->at, s->end, &value);

    if (end != NULL)
        s->at = end;
    else if (read_number(s, &value) < 0)
        return -1;
    return pack_number(out, value);
}

/* ---- placeholders ---- */

/* Takes word, and the space before it, off the front of what *at is in, an object. */
static int take_word(const char **at, const char *word)
{
    const char *to = *at;

    while (is_space(*to))
        to++;
    for (; *word != '\0'; word++, to++) {
        if (*to != *word)
            return 0;
    }
    *at = to;
    return 1;
}

/* A small number, likewise. */
static int take_num(const char **at, size_t *num)
{
    const char *to = *at;

    while (is_space(*to))
        to++;
    if (*to < '0' || *to > '9')
        return 0;
    for (*num = 0; *to >= '0' && *to <= '9'; to++) {
        if (*num > UINT16_MAX)
            return 0;
        *num = *num * 10 + (size_t)(*to - '0');
    }
    *at = to;
    return 1;
}

/* Whether the object of two members that s is at is a placeholder.  Then it is read, and *num is
 * which of the attachments it stands for. */
static int take_placeholder(struct source *s, size_t *num)
{
    const char *at = s->at + 1;
    int first = take_word(&at, "\"_placeholder\"");

    if (first && !(take_word(&at, ":") && take_word(&at, "true") && take_word(&at, ",")))
        return 0;
    if (!(take_word(&at, "\"num\"") && take_word(&at, ":") && take_num(&at, num)))
        return 0;
    if (!first && !(take_word(&at, ",") && take_word(&at, "\"_placeholder\"") &&
                    take_word(&at, ":") && take_word(&at, "true")))
        return 0;
    if (!take_word(&at, "}") || *num >= s->bins->n)
        return 0;
    s->at = at;
    return 1;
}

static int pack_object(struct source *s, struct buf *out, uint32_t members)
{
    size_t num;

    if (s->bins != NULL && members == 2 && take_placeholder(s, &num))
        return pack_bin(out, s->bins->at[num]);
    s->at++;
    return pack_map(out, members);
}

static int pack_token(struct source *s, struct buf *out)
{
    const uint32_t *counts = (const uint32_t *)(const void *)s->counts.data;

    switch (*s->at) {
    case '[':
        assert(counts != NULL);
        s->at++;
        return pack_array(out, counts[s->next++]);
    case '{':
        assert(counts != NULL);
        return pack_object(s, out, counts[s->next++]);
    case '"':
        read_string(s);
        if (s->text.failed)
            return -1;
        return pack_str(out, (const char *)s->text.data, s->text.len);
    case 't':
        s->at += 4;
        return pack_bool(out, 1);
    case 'f':
        s->at += 5;
        return pack_bool(out, 0);
    case 'n':
        s->at += 4;
        return pack_nil(out);
    default:
        return pack_json_number(s, out);
    }
}

int pack_json_bins(struct buf *out, const char *text, size_t len, const struct slices *bins)
{
    struct source s = {.at = text, .end = text + len, .bins = bins};
    int result = count_elements(&s);

    while (result == 0 && s.at < s.end) {
        if (is_space(*s.at) || strchr(",:]}", *s.at) != NULL)
            s.at++;
        else
            result = pack_token(&s, out);
    }
    buf_free(&s.counts);
    buf_free(&s.text);
    return result;
}

int pack_json(struct buf *out, const char *text, size_t len)
{
    return pack_json_bins(out, text, len, NULL);
}
