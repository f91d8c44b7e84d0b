#include "sio/claim.h"

#include "base/base64.h"
#include "codec/http.h"
#include "codec/json.h"

#include <string.h>

#define ESCAPE_LEN 6 /* the longest that JSON has for one character of ours: \u0070 */
#define WORD_MAX   PID_TEXT_LEN

/* --- JSON that has been checked --- */

static void skip(struct slice *s, size_t n)
{
    s->ptr += n;
    s->len -= n;
}

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct slice *s)
{
    while (s->len > 0 && is_space(s->ptr[0]))
        skip(s, 1);
}

/* The value that comes next, without the space before it. */
static struct slice take_value(struct slice *rest)
{
    struct slice value;
    long len;

    skip_space(rest);
    if ((len = json_span(rest->ptr, rest->len)) <= 0) {
        *rest = (struct slice){"", 0};
        return *rest;
    }
    value = (struct slice){rest->ptr, (size_t)len};
    skip(rest, (size_t)len);
    return value;
}

/* rest is behind the bracket or the value before.  Returns 0 at the end of the object. */
static int next_member(struct slice *rest, struct slice *name, struct slice *value)
{
    skip_space(rest);
    if (rest->len > 0 && rest->ptr[0] == ',')
        skip(rest, 1);
    skip_space(rest);
    if (rest->len == 0 || rest->ptr[0] != '"')
        return 0;
    *name = take_value(rest);
    skip_space(rest);
    if (rest->len == 0 || rest->ptr[0] != ':')
        return 0;
    skip(rest, 1);
    *value = take_value(rest);
    return value->len > 0;
}

/* An escape, of which the backslash has been read: its character, or -1 for one that is not
 * ASCII. */
static int take_escape(struct slice *rest)
{
    static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    char letter = rest->ptr[0];
    int value = 0;

    skip(rest, 1);
    if (letter != 'u')
        return means[strchr(letters, letter) - letters];
    for (int i = 0; i < 4; i++) {
        char c = rest->ptr[i];
        value = value * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    skip(rest, 4);
    return value < 0x80 ? value : -1;
}

/* What a string says.  It is empty, in place of what it is, where it is no string, is not ASCII
 * or longer than anything that is looked for here. */
static struct slice unescape(struct slice json, char dst[WORD_MAX])
{
    struct slice rest = json;
    size_t n = 0;

    if (json.ptr[0] != '"' || json.len > (size_t)ESCAPE_LEN * WORD_MAX + 2)
        return (struct slice){"", 0};
    skip(&rest, 1);
    while (rest.ptr[0] != '"') {
        int c = (uint8_t)rest.ptr[0];

        skip(&rest, 1);
        if (c == '\\')
            c = take_escape(&rest);
        if (c < 0 || c >= 0x80 || n == WORD_MAX)
            return (struct slice){"", 0};
        dst[n++] = (char)c;
    }
    return (struct slice){dst, n};
}

/* --- the members --- */

static int is_no(struct slice word)
{
    return slice_eq(word, SLICE("0")) || slice_eq(word, SLICE("false"));
}

static void take_pid(struct sio_claim *out, struct slice value, struct slice text)
{
    out->has_pid =
        text.len == PID_TEXT_LEN && base64url_decode(out->pid, text.ptr, text.len) == PID_LEN;
    out->bad_pid = !out->has_pid && !slice_eq(value, SLICE("null"));
}

static void take_offset(struct sio_claim *out, struct slice value, struct slice text)
{
    out->has_offset = offset_read(text, &out->offset) == 0;
    out->bad_offset = !out->has_offset && !slice_eq(value, SLICE("null"));
}

static void take_member(struct sio_claim *out, struct slice name, struct slice value)
{
    char of_name[WORD_MAX], of_value[WORD_MAX];
    struct slice word = unescape(name, of_name), text;

    if (word.len == 0)
        return;
    text = unescape(value, of_value);
    if (slice_eq(word, SLICE("pid")))
        take_pid(out, value, text);
    else if (slice_eq(word, SLICE("offset")))
        take_offset(out, value, text);
    else if (slice_eq(word, SLICE("recovery")))
        out->wants = !is_no(value.ptr[0] == '"' ? text : value);
}

void sio_claim_get(const struct sio_packet *packet, struct sio_claim *out)
{
    struct slice rest = packet->data, name, value;

    *out = (struct sio_claim){.wants = 1};
    if (rest.len == 0 || rest.ptr[0] != '{')
        return;
    skip(&rest, 1);
    while (next_member(&rest, &name, &value))
        take_member(out, name, value);
}

/* --- the query --- */

int sio_claim_query(struct slice query)
{
    char word[3 * sizeof("false")];
    struct slice value;
    long len;

    if (!http_query(query, "recovery", &value) || value.len > sizeof(word) ||
        (len = http_unescape(word, value, 1)) < 0)
        return 1;
    return !is_no((struct slice){word, (size_t)len});
}
