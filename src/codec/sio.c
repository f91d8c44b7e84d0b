#include "codec/sio.h"

#include "codec/json.h"

#include <inttypes.h>

/* --- decoding ---------------------------------------------------------------- */

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct slice skip(struct slice s, size_t n)
{
    return (struct slice){s.ptr + n, s.len - n};
}

static struct slice skip_space(struct slice s)
{
    while (s.len > 0 && is_space(s.ptr[0]))
        s = skip(s, 1);
    return s;
}

static int is_binary(enum sio_type type)
{
    return type == SIO_BINARY_EVENT || type == SIO_BINARY_ACK;
}

/* "N-".  Only digits: what else JavaScript's Number() reads ("1e0", "0x1") no
 * client has ever sent. */
static int take_attachments(struct sio_packet *packet, struct slice *text)
{
    unsigned count = 0;
    size_t i = 0;

    for (; i < text->len && is_digit(text->ptr[i]); i++) {
        count = count * 10 + (unsigned)(text->ptr[i] - '0');
        if (count > SIO_ATTACHMENTS_MAX)
            return -1;
    }
    if (count == 0 || i == text->len || text->ptr[i] != '-')
        return -1;
    packet->attachments = count;
    *text = skip(*text, i + 1);
    return 0;
}

/* The comma may be missing where nothing follows.  Clients of revision 4 put
 * the query of their URL into the namespace. */
static void take_nsp(struct sio_packet *packet, enum eio_version version, struct slice *text)
{
    const char *end;
    size_t len;

    packet->nsp = SLICE("/");
    packet->query = (struct slice){"", 0};
    if (text->len == 0 || text->ptr[0] != '/')
        return;
    end = memchr(text->ptr, ',', text->len);
    len = end != NULL ? (size_t)(end - text->ptr) : text->len;
    packet->nsp = (struct slice){text->ptr, len};
    *text = skip(*text, end != NULL ? len + 1 : len);
    if (version == EIO3 && (end = memchr(packet->nsp.ptr, '?', len)) != NULL) {
        packet->nsp.len = (size_t)(end - packet->nsp.ptr);
        packet->query = skip((struct slice){packet->nsp.ptr, len}, packet->nsp.len + 1);
    }
}

static int take_id(struct sio_packet *packet, struct slice *text)
{
    packet->has_id = 0;
    packet->id = 0;
    while (text->len > 0 && is_digit(text->ptr[0])) {
        uint64_t digit = (uint64_t)(text->ptr[0] - '0');

        if (packet->id > (UINT64_MAX - digit) / 10)
            return -1;
        packet->id = packet->id * 10 + digit;
        packet->has_id = 1;
        *text = skip(*text, 1);
    }
    return 0;
}

/* json is one valid value with white space before it at most. */
static int is_event_args(struct slice json)
{
    struct slice name;

    if (json.ptr[0] != '[')
        return 0;
    name = skip_space(skip(json, 1));
    return name.ptr[0] == '"' || name.ptr[0] == '-' || is_digit(name.ptr[0]);
}

static int is_right_kind(enum sio_type type, enum eio_version version, struct slice json)
{
    switch (type) {
    case SIO_CONNECT:
        /* socket.io 2.x takes whatever typeof calls an object. */
        return json.ptr[0] == '{' ||
               (version == EIO3 && (json.ptr[0] == '[' || json.ptr[0] == 'n'));
    case SIO_DISCONNECT:
        return 0;
    case SIO_EVENT:
    case SIO_BINARY_EVENT:
        return is_event_args(json);
    case SIO_ACK:
    case SIO_BINARY_ACK:
        return json.ptr[0] == '[';
    case SIO_CONNECT_ERROR:
        return json.ptr[0] == '{' || json.ptr[0] == '"';
    }
    return 0;
}

/* Every type may come without data: socket.io-parser checks only what is there. */
static int take_data(struct sio_packet *packet, enum eio_version version, struct slice text)
{
    long len;

    packet->data = (struct slice){"", 0};
    if (text.len == 0)
        return 0;
    if ((len = json_span(text.ptr, text.len)) <= 0 || skip_space(skip(text, (size_t)len)).len > 0)
        return -1;
    text.len = (size_t)len;
    packet->data = skip_space(text);
    return is_right_kind(packet->type, version, packet->data) ? 0 : -1;
}

int sio_decode(struct sio_packet *packet, enum eio_version version, struct slice text)
{
    if (text.len == 0 || text.ptr[0] < '0' || text.ptr[0] > '0' + SIO_BINARY_ACK)
        return -1;
    packet->type = (enum sio_type)(text.ptr[0] - '0');
    packet->attachments = 0;
    text = skip(text, 1);
    if (is_binary(packet->type) && take_attachments(packet, &text) != 0)
        return -1;
    take_nsp(packet, version, &text);
    if (take_id(packet, &text) != 0)
        return -1;
    return take_data(packet, version, text);
}

struct slice sio_first(const struct sio_packet *packet)
{
    struct slice rest = packet->data;
    long len;

    if (rest.len == 0 || rest.ptr[0] != '[')
        return (struct slice){"", 0};
    rest = skip_space(skip(rest, 1));
    if (rest.ptr[0] == ']' || (len = json_span(rest.ptr, rest.len)) <= 0)
        return (struct slice){"", 0};
    return (struct slice){rest.ptr, (size_t)len};
}

/* --- encoding ---------------------------------------------------------------- */

static int done(const struct buf *out)
{
    return out->failed ? -1 : 0;
}

static void put_nsp(struct buf *out, struct slice nsp)
{
    if (slice_eq(nsp, SLICE("/")))
        return;
    buf_put(out, nsp.ptr, nsp.len);
    buf_putc(out, ',');
}

int sio_put_connect(struct buf *out, enum eio_version version, struct slice nsp, struct slice sid,
                    struct slice pid)
{
    buf_puts(out, "40");
    put_nsp(out, nsp);
    if (version == EIO4) {
        buf_puts(out, "{\"sid\":");
        json_put_string(out, sid.ptr, sid.len);
        if (pid.len > 0) {
            buf_puts(out, ",\"pid\":");
            json_put_string(out, pid.ptr, pid.len);
        }
        buf_putc(out, '}');
    }
    return done(out);
}

int sio_put_connect_error(struct buf *out, enum eio_version version, struct slice nsp,
                          const char *message, const char *code)
{
    buf_puts(out, "44");
    put_nsp(out, nsp);
    if (version == EIO3) {
        json_put_string(out, message, strlen(message));
        return done(out);
    }
    buf_puts(out, "{\"message\":");
    json_put_string(out, message, strlen(message));
    if (code != NULL) {
        buf_puts(out, ",\"data\":{\"code\":");
        json_put_string(out, code, strlen(code));
        buf_putc(out, '}');
    }
    buf_putc(out, '}');
    return done(out);
}

int sio_put_disconnect(struct buf *out, struct slice nsp)
{
    buf_puts(out, "41");
    put_nsp(out, nsp);
    return done(out);
}

int sio_put_ack(struct buf *out, struct slice nsp, uint64_t id, struct slice json)
{
    buf_puts(out, "43");
    put_nsp(out, nsp);
    buf_printf(out, "%" PRIu64, id);
    buf_put(out, json.ptr, json.len);
    return done(out);
}

int sio_put_event_head(struct buf *out, struct slice nsp, size_t attachments, const uint64_t *id)
{
    if (attachments == 0)
        buf_puts(out, "42");
    else
        buf_printf(out, "45%zu-", attachments);
    put_nsp(out, nsp);
    if (id != NULL)
        buf_printf(out, "%" PRIu64, *id);
    return done(out);
}
