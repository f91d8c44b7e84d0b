#include "codec/jsonc.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/utf8.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    const char *text;
    size_t len, pos;
    unsigned line;
    size_t line_start; /* offset of the current line's first byte */
    int depth;
    struct jsonc_error *error;
};

static struct jsonc *read_value(struct parser *p);

/* Where at lies in its line, in characters.  at is on the current line. */
static unsigned column_of(const struct parser *p, size_t at)
{
    unsigned column = 1;

    for (size_t i = p->line_start; i < at; i++)
        column += ((unsigned char)p->text[i] & 0xc0) != 0x80;
    return column;
}

__attribute__((format(printf, 3, 4))) static void fail(struct parser *p, size_t at, const char *fmt,
                                                       ...)
{
    va_list ap;

    p->error->line = p->line;
    p->error->column = column_of(p, at);
    va_start(ap, fmt);
    (void)vsnprintf(p->error->text, sizeof(p->error->text), fmt, ap);
    va_end(ap);
}

/* What stands at p->pos, for "found %s": one character and no more. */
static const char *found(const struct parser *p, char dst[16])
{
    const char *at = p->text + p->pos;
    uint32_t point;
    size_t n;

    if (p->pos == p->len)
        return "the end of the text";
    n = utf8_next(at, p->len - p->pos, &point);
    if (n == 0 || point < 0x20 || point == 0x7f)
        (void)snprintf(dst, 16, "byte 0x%02x", (unsigned)(unsigned char)*at);
    else
        (void)snprintf(dst, 16, "'%.*s'", (int)n, at);
    return dst;
}

static void fail_found(struct parser *p, const char *wanted)
{
    char what[16];

    fail(p, p->pos, "found %s, wanted %s", found(p, what), wanted);
}

static int peek(const struct parser *p)
{
    return p->pos < p->len ? (unsigned char)p->text[p->pos] : -1;
}

static void newline(struct parser *p)
{
    p->pos++;
    p->line++;
    p->line_start = p->pos;
}

/* p is at the slash and the star. */
static int skip_block(struct parser *p)
{
    struct parser start = *p;

    p->pos += 2;
    while (p->pos < p->len) {
        if (p->text[p->pos] == '\n') {
            newline(p);
        } else if (p->text[p->pos] == '*' && p->pos + 1 < p->len && p->text[p->pos + 1] == '/') {
            p->pos += 2;
            return 0;
        } else {
            p->pos++;
        }
    }
    fail(&start, start.pos, "found a comment that is not closed, wanted */");
    return -1;
}

static int skip_comment(struct parser *p)
{
    int second = p->pos + 1 < p->len ? p->text[p->pos + 1] : -1;

    if (second == '*')
        return skip_block(p);
    if (second != '/') {
        fail(p, p->pos, "found '/', wanted a comment (// or /* */) or a value");
        return -1;
    }
    while (p->pos < p->len && p->text[p->pos] != '\n')
        p->pos++;
    return 0;
}

/* White space and comments.  Returns 0, or -1 for a broken comment. */
static int skip(struct parser *p)
{
    for (;;) {
        switch (peek(p)) {
        case '\n':
            newline(p);
            break;
        case ' ':
        case '\t':
        case '\r':
            p->pos++;
            break;
        case '/':
            if (skip_comment(p) < 0)
                return -1;
            break;
        default:
            return 0;
        }
    }
}

static struct jsonc *node_new(struct parser *p, enum jsonc_type type)
{
    struct jsonc *node = calloc(1, sizeof(*node));

    if (!node) {
        fail(p, p->pos, "out of memory");
        return NULL;
    }
    node->type = type;
    node->line = p->line;
    return node;
}

/* --- strings --- */

static int hex4(const char *at, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        unsigned digit;

        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (unsigned)((c | 0x20) - 'a') + 10;
        else
            return -1;
        *value = *value << 4 | digit;
    }
    return 0;
}

/* One \uXXXX at p->pos, the u being next.  Returns 0 or -1. */
static int read_unit(struct parser *p, uint32_t *unit)
{
    if (p->len - p->pos < 6 || hex4(p->text + p->pos + 2, unit) < 0) {
        fail(p, p->pos, "found a broken \\u escape, wanted four hexadecimal digits after it");
        return -1;
    }
    p->pos += 6;
    return 0;
}

static int read_unicode(struct parser *p, struct buf *out)
{
    size_t at = p->pos;
    uint32_t point, low;
    uint8_t utf8[4];

    if (read_unit(p, &point) < 0)
        return -1;
    if (point >= 0xd800 && point < 0xdc00 && p->len - p->pos >= 2 && p->text[p->pos] == '\\' &&
        p->text[p->pos + 1] == 'u') {
        if (read_unit(p, &low) < 0)
            return -1;
        if (low >= 0xdc00 && low < 0xe000)
            point = 0x10000 + ((point - 0xd800) << 10 | (low - 0xdc00));
    }
    if (point >= 0xd800 && point < 0xe000) {
        fail(p, at, "found half a surrogate pair, wanted both halves (\\ud83d\\ude00)");
        return -1;
    }
    if (point == 0) {
        fail(p, at, "found \\u0000, wanted a string without NUL");
        return -1;
    }
    buf_put(out, utf8, utf8_put(utf8, point));
    return 0;
}

static int read_escape(struct parser *p, struct buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *which;
    int c = p->pos + 1 < p->len ? p->text[p->pos + 1] : 0;

    if (c == 'u')
        return read_unicode(p, out);
    which = c ? strchr(from, c) : NULL;
    if (!which) {
        p->pos += p->pos + 1 < p->len;
        fail_found(p, "one of \" \\ / b f n r t u after the backslash");
        return -1;
    }
    buf_putc(out, (uint8_t)to[which - from]);
    p->pos += 2;
    return 0;
}

static int read_plain(struct parser *p, struct buf *out)
{
    const char *at = p->text + p->pos;
    size_t n;

    if (p->pos == p->len || *at == '\n' || *at == '\r') {
        fail(p, p->pos, "found the end of the %s in a string, wanted its closing quote",
             p->pos == p->len ? "text" : "line");
        return -1;
    }
    n = utf8_next(at, p->len - p->pos, NULL);
    if (n == 0) {
        fail_found(p, "valid UTF-8");
        return -1;
    }
    if ((unsigned char)*at < 0x20) {
        fail_found(p, "control characters written as \\u00XX or \\t");
        return -1;
    }
    buf_put(out, at, n);
    p->pos += n;
    return 0;
}

/* Overwrites what was read of a value that may be a secret. */
static void wipe(struct buf *buf)
{
    if (buf->data)
        explicit_bzero(buf->data, buf->cap);
    buf_free(buf);
}

/* The string at p->pos, which is at its quote.  Returns it terminated, for the
 * caller to free, or NULL. */
static char *read_string(struct parser *p, size_t *len)
{
    struct buf out = {0};
    char *str = NULL;

    p->pos++;
    while (peek(p) != '"') {
        if ((peek(p) == '\\' ? read_escape(p, &out) : read_plain(p, &out)) < 0)
            goto out;
    }
    p->pos++;
    if (!out.failed)
        str = malloc(out.len + 1);
    if (!str) {
        fail(p, p->pos, "out of memory");
        goto out;
    }
    if (out.len > 0)
        memcpy(str, out.data, out.len);
    str[out.len] = '\0';
    *len = out.len;
out:
    wipe(&out);
    return str;
}

static struct jsonc *read_string_value(struct parser *p)
{
    struct jsonc *node = node_new(p, JSONC_STRING);

    if (node) {
        node->text = read_string(p, &node->len);
        if (!node->text)
            jsonc_free(&node);
    }
    return node;
}

/* --- numbers and words --- */

static size_t digits(struct parser *p)
{
    size_t start = p->pos;

    while (peek(p) >= '0' && peek(p) <= '9')
        p->pos++;
    return p->pos - start;
}

/* Moves over a number as RFC 8259 has it.  Returns 0 or -1. */
static int scan_number(struct parser *p)
{
    if (peek(p) == '-')
        p->pos++;
    if (peek(p) == '0') {
        p->pos++;
        if (peek(p) >= '0' && peek(p) <= '9') {
            fail(p, p->pos - 1, "found a number with a leading zero, wanted it without");
            return -1;
        }
    } else if (digits(p) == 0) {
        fail_found(p, "a digit");
        return -1;
    }
    if (peek(p) == '.') {
        p->pos++;
        if (digits(p) == 0) {
            fail_found(p, "a digit after the decimal point");
            return -1;
        }
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        p->pos++;
        p->pos += peek(p) == '+' || peek(p) == '-';
        if (digits(p) == 0) {
            fail_found(p, "a digit in the exponent");
            return -1;
        }
    }
    return 0;
}

static struct jsonc *read_number(struct parser *p)
{
    size_t start = p->pos;
    struct jsonc *node = node_new(p, JSONC_NUMBER);

    if (!node || scan_number(p) < 0)
        goto fail;
    node->len = p->pos - start;
    node->text = strndup(p->text + start, node->len);
    if (!node->text) {
        fail(p, start, "out of memory");
        goto fail;
    }
    node->number = strtod(node->text, NULL);
    if (!isfinite(node->number)) {
        fail(p, start, "found a number that is too large, wanted at most 1.7e308");
        goto fail;
    }
    return node;
fail:
    jsonc_free(&node);
    return NULL;
}

static struct jsonc *read_word(struct parser *p)
{
    static const struct {
        const char *word;
        size_t len;
        enum jsonc_type type;
    } words[] = {{"true", 4, JSONC_TRUE}, {"false", 5, JSONC_FALSE}, {"null", 4, JSONC_NULL}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t n = words[i].len;

        if (p->len - p->pos >= n && memcmp(p->text + p->pos, words[i].word, n) == 0) {
            struct jsonc *node = node_new(p, words[i].type);

            p->pos += n;
            return node;
        }
    }
    fail_found(p, "a value: a string in \" quotes, a number, true, false, null, [ or {");
    return NULL;
}

/* --- arrays and objects --- */

static int enter(struct parser *p)
{
    if (++p->depth > JSONC_DEPTH_MAX) {
        fail(p, p->pos, "found more than %d arrays and objects within each other", JSONC_DEPTH_MAX);
        return -1;
    }
    p->pos++;
    return skip(p);
}

/* After an element: the comma (1), or the end (0), or neither (-1). */
static int next_element(struct parser *p, int closing, const char *wanted)
{
    if (skip(p) < 0)
        return -1;
    if (peek(p) == closing) {
        p->pos++;
        return 0;
    }
    if (peek(p) != ',') {
        fail_found(p, wanted);
        return -1;
    }
    struct parser comma = *p;

    p->pos++;
    if (skip(p) < 0)
        return -1;
    if (peek(p) == closing) {
        fail(&comma, comma.pos, "found a comma before '%c', wanted none after the last element",
             closing);
        return -1;
    }
    return 1;
}

static void append(struct jsonc *parent, struct jsonc ***tail, struct jsonc *node)
{
    **tail = node;
    *tail = &node->next;
    parent->count++;
}

static struct jsonc *read_array(struct parser *p)
{
    struct jsonc *array = node_new(p, JSONC_ARRAY), *node;
    struct jsonc **tail;
    int more = 1;

    if (!array || enter(p) < 0)
        goto fail;
    tail = &array->first;
    if (peek(p) == ']') {
        p->pos++;
        more = 0;
    }
    while (more) {
        node = read_value(p);
        if (!node)
            goto fail;
        append(array, &tail, node);
        more = next_element(p, ']', "',' or ']'");
        if (more < 0)
            goto fail;
    }
    p->depth--;
    return array;
fail:
    jsonc_free(&array);
    return NULL;
}

/* A name may be there once only, and there may not be so many that looking for
 * the second takes long. */
static int check_key(struct parser *p, const struct jsonc *object, const char *key, size_t at)
{
    const struct jsonc *first = jsonc_member(object, key);
    char name[64];

    if (first) {
        fail(p, at, "found the key \"%s\" again (it is in line %u already), wanted each key once",
             log_escape(name, sizeof(name), key, strlen(key)), first->key_line);
        return -1;
    }
    if (object->count == JSONC_MEMBERS_MAX) {
        fail(p, at, "found more than %d keys in one object", JSONC_MEMBERS_MAX);
        return -1;
    }
    return 0;
}

/* KEY : VALUE.  Returns the value with its key, or NULL. */
static struct jsonc *read_member(struct parser *p, const struct jsonc *object)
{
    unsigned key_line = p->line;
    size_t at = p->pos, len;
    struct jsonc *node = NULL;
    char *key;

    if (peek(p) != '"') {
        fail_found(p, "a key in \" quotes");
        return NULL;
    }
    key = read_string(p, &len);
    if (!key || check_key(p, object, key, at) < 0 || skip(p) < 0)
        goto fail;
    if (peek(p) != ':') {
        fail_found(p, "':' after the key");
        goto fail;
    }
    p->pos++;
    if (skip(p) < 0)
        goto fail;
    node = read_value(p);
    if (!node)
        goto fail;
    node->key = key;
    node->key_line = key_line;
    return node;
fail:
    free(key);
    return NULL;
}

static struct jsonc *read_object(struct parser *p)
{
    struct jsonc *object = node_new(p, JSONC_OBJECT), *node;
    struct jsonc **tail;
    int more = 1;

    if (!object || enter(p) < 0)
        goto fail;
    tail = &object->first;
    if (peek(p) == '}') {
        p->pos++;
        more = 0;
    }
    while (more) {
        node = read_member(p, object);
        if (!node)
            goto fail;
        append(object, &tail, node);
        more = next_element(p, '}', "',' or '}'");
        if (more < 0)
            goto fail;
    }
    p->depth--;
    return object;
fail:
    jsonc_free(&object);
    return NULL;
}

static struct jsonc *read_value(struct parser *p)
{
    switch (peek(p)) {
    case '{':
        return read_object(p);
    case '[':
        return read_array(p);
    case '"':
        return read_string_value(p);
    case '-':
    case '0' ... '9':
        return read_number(p);
    default:
        return read_word(p);
    }
}

struct jsonc *jsonc_parse(const char *text, size_t len, struct jsonc_error *error)
{
    struct parser p = {.text = text, .len = len, .line = 1, .error = error};
    struct jsonc *node;

    memset(error, 0, sizeof(*error));
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        p.pos = p.line_start = 3;
    if (skip(&p) < 0)
        return NULL;
    if (p.pos == p.len)
        error->blank = 1;
    node = read_value(&p);
    if (!node)
        return NULL;
    if (skip(&p) < 0) {
        jsonc_free(&node);
    } else if (p.pos < p.len) {
        fail_found(&p, "nothing after the value");
        jsonc_free(&node);
    }
    return node;
}

/* The tree is at most JSONC_DEPTH_MAX deep, so recursion ends. */
void jsonc_free(struct jsonc **node)
{
    struct jsonc *n = *node;

    *node = NULL;
    if (!n)
        return;
    while (n->first) {
        struct jsonc *child = n->first;

        n->first = child->next;
        jsonc_free(&child);
    }
    if (n->text)
        explicit_bzero(n->text, n->len);
    free(n->text);
    free(n->key);
    free(n);
}

const struct jsonc *jsonc_member(const struct jsonc *object, const char *name)
{
    if (object->type != JSONC_OBJECT)
        return NULL;
    for (const struct jsonc *node = object->first; node; node = node->next)
        if (strcmp(node->key, name) == 0)
            return node;
    return NULL;
}
