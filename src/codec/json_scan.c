/* json_scan - JSON text checked, without a tree and without recursion. */
#include "codec/json.h"

#include "base/utf8.h"

#include <string.h>

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
    const char *end = text + len;

    while (text < end && (text = memchr(text, '\\', (size_t)(end - text))) != NULL) {
        if (end - text >= 6 && memcmp(text + 1, "u0000", 5) == 0)
            return 1;
        text += 2;
    }
    return 0;
}
