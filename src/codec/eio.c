#include "codec/eio.h"

#include "base/base64.h"

const char *eio_error_message(enum eio_error error)
{
    switch (error) {
    case EIO_UNKNOWN_TRANSPORT:
        return "Transport unknown";
    case EIO_UNKNOWN_SID:
        return "Session ID unknown";
    case EIO_BAD_HANDSHAKE_METHOD:
        return "Bad handshake method";
    case EIO_BAD_REQUEST:
        return "Bad request";
    case EIO_FORBIDDEN:
        return "Forbidden";
    case EIO_UNSUPPORTED_VERSION:
        return "Unsupported protocol version";
    }
    return "Bad request";
}

static int set_packet(struct eio_packet *packet, enum eio_type type, int binary, struct slice data)
{
    packet->type = type;
    packet->binary = binary;
    packet->data = data;
    return 0;
}

static struct slice skip(struct slice s, size_t n)
{
    return (struct slice){s.ptr + n, s.len - n};
}

/* Binary is always a message: version 4 sends the bytes alone, version 3 puts
 * the type before them, as a number and not as a digit. */
static int decode_binary(struct eio_packet *packet, enum eio_version version, struct slice payload)
{
    if (version == EIO4)
        return set_packet(packet, EIO_MESSAGE, 1, payload);
    if (payload.len == 0 || payload.ptr[0] != EIO_MESSAGE)
        return -1;
    return set_packet(packet, EIO_MESSAGE, 1, skip(payload, 1));
}

/* text is what follows the 'b'; version 3 has the type there. */
static int decode_base64(struct eio_packet *packet, enum eio_version version, struct slice text,
                         struct buf *scratch)
{
    uint8_t *dst;
    long len;

    if (version == EIO3) {
        if (text.len == 0 || text.ptr[0] != '4')
            return -1;
        text = skip(text, 1);
    }
    if (text.len == 0)
        return set_packet(packet, EIO_MESSAGE, 1, (struct slice){"", 0});
    buf_reset(scratch);
    if ((dst = buf_reserve(scratch, text.len)) == NULL)
        return -1;
    if ((len = base64_decode(dst, text.ptr, text.len)) < 0)
        return -1;
    scratch->len = (size_t)len;
    return set_packet(packet, EIO_MESSAGE, 1, (struct slice){(char *)dst, scratch->len});
}

int eio_decode(struct eio_packet *packet, enum eio_version version, int binary,
               struct slice payload, struct buf *scratch)
{
    if (binary)
        return decode_binary(packet, version, payload);
    if (payload.len == 0)
        return -1;
    if (payload.ptr[0] == 'b')
        return decode_base64(packet, version, skip(payload, 1), scratch);
    if (payload.ptr[0] < '0' || payload.ptr[0] > '0' + EIO_NOOP)
        return -1;
    return set_packet(packet, (enum eio_type)(payload.ptr[0] - '0'), 0, skip(payload, 1));
}

size_t eio_base64_len(enum eio_version version, size_t len)
{
    return (version == EIO3 ? 2 : 1) + BASE64_LEN(len);
}

uint8_t *eio_base64_write(uint8_t *dst, enum eio_version version, const void *bytes, size_t len)
{
    *dst++ = 'b';
    if (version == EIO3)
        *dst++ = '0' + EIO_MESSAGE;
    return dst + base64_encode((char *)dst, bytes, len);
}

int eio_put_base64(struct buf *out, enum eio_version version, struct slice bytes)
{
    size_t len = eio_base64_len(version, bytes.len);
    uint8_t *dst = buf_reserve(out, len);

    if (dst == NULL)
        return -1;
    (void)eio_base64_write(dst, version, bytes.ptr, bytes.len);
    out->len += len;
    return 0;
}

int eio_put_open(struct buf *out, const struct eio_open *open)
{
    return buf_printf(out,
                      "0{\"sid\":\"%s\",\"upgrades\":[%s],\"pingInterval\":%u,\"pingTimeout\":%u,"
                      "\"maxPayload\":%zu}",
                      open->sid, open->upgrade_websocket ? "\"websocket\"" : "",
                      (unsigned)open->ping_interval_ms, (unsigned)open->ping_timeout_ms,
                      open->max_payload);
}
