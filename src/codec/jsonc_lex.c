#include "codec/jsonc_lex.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where at lies in its line, in characters.  at is on the current line. */
static unsigned column_of(const struct lexer *lex, size_t at)
{
    unsigned column = 1;

    for (size_t i = lex->line_start; i < at; i++)
        column += ((unsigned char)lex->text[i] & 0xc0) != 0x80;
    return column;
}

void lex_fail(struct lexer *lex, size_t at, const char *fmt, ...)
{
    va_list ap;

    lex->error->line = lex->line;
    lex->error->column = column_of(lex, at);
    va_start(ap, fmt);
    (void)vsnprintf(lex->error->text, sizeof(lex->error->text), fmt, ap);
    va_end(ap);
}

/* What stands at lex->pos, for "found %s": one character and no more. */
static const char *found(const struct lexer *lex, char dst[16])
{
    const char *at = lex->text + lex->pos;
    uint32_t point;
    size_t n;

    if (lex->pos == lex->len)
        return "the end of the text";
    n = utf8_next(at, lex->len - lex->pos, &point);
    if (n == 0 || point < 0x20 || point == 0x7f)
        (void)snprintf(dst, 16, "byte 0x%02x", (unsigned)(unsigned char)*at);
    else
        (void)snprintf(dst, 16, "'%.*s'", (int)n, at);
    return dst;
}

void lex_fail_found(struct lexer *lex, const char *wanted)
{
    char what[16];

    lex_fail(lex, lex->pos, "found %s, wanted %s", found(lex, what), wanted);
}

static void newline(struct lexer *lex)
{
    lex->pos++;
    lex->line++;
    lex->line_start = lex->pos;
}

/* lex is at the slash and the star. */
static int skip_block(struct lexer *lex)
{
    struct lexer start = *lex;

    lex->pos += 2;
    while (lex->pos < lex->len) {
        if (lex->text[lex->pos] == '\n') {
            newline(lex);
        } else if (lex->text[lex->pos] == '*' && lex->pos + 1 < lex->len &&
                   lex->text[lex->pos + 1] == '/') {
            lex->pos += 2;
            return 0;
        } else {
            lex->pos++;
        }
    }
    lex_fail(&start, start.pos, "found a comment that is not closed, wanted */");
    return -1;
}

static int skip_comment(struct lexer *lex)
{
    int second = lex->pos + 1 < lex->len ? lex->text[lex->pos + 1] : -1;

    if (second == '*')
        return skip_block(lex);
    if (second != '/') {
        lex_fail(lex, lex->pos, "found '/', wanted a comment (// or /* */) or a value");
        return -1;
    }
    while (lex->pos < lex->len && lex->text[lex->pos] != '\n')
        lex->pos++;
    return 0;
}

int lex_skip(struct lexer *lex)
{
    for (;;) {
        switch (lex_peek(lex)) {
        case '\n':
            newline(lex);
            break;
        case ' ':
        case '\t':
        case '\r':
            lex->pos++;
            break;
        case '/':
            if (skip_comment(lex) < 0)
                return -1;
            break;
        default:
            return 0;
        }
    }
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

/* One \uXXXX at lex->pos, the u being next.  Returns 0 or -1. */
static int read_unit(struct lexer *lex, uint32_t *unit)
{
    if (lex->len - lex->pos < 6 || hex4(lex->text + lex->pos + 2, unit) < 0) {
        lex_fail(lex, lex->pos,
                 "found a broken \\u escape, wanted four hexadecimal digits after it");
        return -1;
    }
    lex->pos += 6;
    return 0;
}

static int read_unicode(struct lexer *lex, struct buf *out)
{
    size_t at = lex->pos;
    uint32_t point, low;
    uint8_t utf8[4];

    if (read_unit(lex, &point) < 0)
        return -1;
    if (point >= 0xd800 && point < 0xdc00 && lex->len - lex->pos >= 2 &&
        lex->text[lex->pos] == '\\' && lex->text[lex->pos + 1] == 'u') {
        if (read_unit(lex, &low) < 0)
            return -1;
        if (low >= 0xdc00 && low < 0xe000)
            point = 0x10000 + ((point - 0xd800) << 10 | (low - 0xdc00));
    }
    if (point >= 0xd800 && point < 0xe000) {
        lex_fail(lex, at, "found half a surrogate pair, wanted both halves (\\ud83d\\ude00)");
        return -1;
    }
    if (point == 0) {
        lex_fail(lex, at, "found \\u0000, wanted a string without NUL");
        return -1;
    }
    buf_put(out, utf8, utf8_put(utf8, point));
    return 0;
}

static int read_escape(struct lexer *lex, struct buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *which;
    int c = lex->pos + 1 < lex->len ? lex->text[lex->pos + 1] : 0;

    if (c == 'u')
        return read_unicode(lex, out);
    which = c ? strchr(from, c) : NULL;
    if (which == NULL) {
        lex->pos += lex->pos + 1 < lex->len;
        lex_fail_found(lex, "one of \" \\ / b f n r t u after the backslash");
        return -1;
    }
    buf_putc(out, (uint8_t)to[which - from]);
    lex->pos += 2;
    return 0;
}

static int read_plain(struct lexer *lex, struct buf *out)
{
    const char *at = lex->text + lex->pos;
    size_t n;

    if (lex->pos == lex->len || *at == '\n' || *at == '\r') {
        lex_fail(lex, lex->pos, "found the end of the %s in a string, wanted its closing quote",
                 lex->pos == lex->len ? "text" : "line");
        return -1;
    }
    n = utf8_next(at, lex->len - lex->pos, NULL);
    if (n == 0) {
        lex_fail_found(lex, "valid UTF-8");
        return -1;
    }
    if ((unsigned char)*at < 0x20) {
        lex_fail_found(lex, "control characters written as \\u00XX or \\t");
        return -1;
    }
    buf_put(out, at, n);
    lex->pos += n;
    return 0;
}

char *lex_string(struct lexer *lex, size_t *len)
{
    struct buf out = {.secret = 1}; /* a value may be one */
    char *str = NULL;

    lex->pos++;
    while (lex_peek(lex) != '"') {
        if ((lex_peek(lex) == '\\' ? read_escape(lex, &out) : read_plain(lex, &out)) < 0)
            goto out;
    }
    lex->pos++;
    if (!out.failed)
        str = malloc(out.len + 1);
    if (str == NULL) {
        lex_fail(lex, lex->pos, "out of memory");
        goto out;
    }
    if (out.len > 0)
        memcpy(str, out.data, out.len);
    str[out.len] = '\0';
    *len = out.len;
out:
    buf_free(&out);
    return str;
}

/* --- numbers --- */

static size_t digits(struct lexer *lex)
{
    size_t start = lex->pos;

    while (lex_peek(lex) >= '0' && lex_peek(lex) <= '9')
        lex->pos++;
    return lex->pos - start;
}

int lex_number(struct lexer *lex)
{
    if (lex_peek(lex) == '-')
        lex->pos++;
    if (lex_peek(lex) == '0') {
        lex->pos++;
        if (lex_peek(lex) >= '0' && lex_peek(lex) <= '9') {
            lex_fail(lex, lex->pos - 1, "found a number with a leading zero, wanted it without");
            return -1;
        }
    } else if (digits(lex) == 0) {
        lex_fail_found(lex, "a digit");
        return -1;
    }
    if (lex_peek(lex) == '.') {
        lex->pos++;
        if (digits(lex) == 0) {
            lex_fail_found(lex, "a digit after the decimal point");
            return -1;
        }
    }
    if (lex_peek(lex) == 'e' || lex_peek(lex) == 'E') {
        lex->pos++;
        lex->pos += lex_peek(lex) == '+' || lex_peek(lex) == '-';
        if (digits(lex) == 0) {
            lex_fail_found(lex, "a digit in the exponent");
            return -1;
        }
    }
    return 0;
}
