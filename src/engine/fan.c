/* fan - one event framed once for each encoding and queued for many sessions. */
#include "base/base64.h"
#include "codec/ws.h"
#include "engine/state.h"

void engine_fan_begin(struct engine *engine, struct engine_fan *fan, struct slice json,
                      const struct slice *attachments, size_t nattachments, int is_volatile)
{
    *fan = (struct engine_fan){
        .engine = engine,
        .json = json,
        .attachments = attachments,
        .nattachments = nattachments,
        .is_volatile = is_volatile,
        .serial = ++engine->fan_serial,
    };
}

static uint8_t *put_header(uint8_t *dst, enum ws_opcode opcode, size_t len)
{
    return dst + ws_header_encode(dst, opcode, len);
}

static uint8_t *put_bytes(uint8_t *dst, const void *bytes, size_t len)
{
    if (len > 0)
        memcpy(dst, bytes, len);
    return dst + len;
}

/* Payload length of an attachment's frame: raw (EIO4), after a type byte (EIO3),
 * or as base64 text after "b" or "b4". */
static size_t attachment_len(enum encoding encoding, size_t len)
{
    switch (encoding) {
    case ENC_WS3:
        return 1 + len;
    case ENC_WS4_BASE64:
        return 1 + BASE64_LEN(len);
    case ENC_WS3_BASE64:
        return 2 + BASE64_LEN(len);
    case ENC_WS4:
    case ENCODINGS:
        break;
    }
    return len;
}

static uint8_t *put_attachment(uint8_t *dst, enum encoding encoding, struct slice bytes)
{
    int text = encoding == ENC_WS4_BASE64 || encoding == ENC_WS3_BASE64;

    dst = put_header(dst, text ? WS_TEXT : WS_BINARY, attachment_len(encoding, bytes.len));
    switch (encoding) {
    case ENC_WS3:
        *dst++ = EIO_MESSAGE;
        break;
    case ENC_WS4_BASE64:
        *dst++ = 'b';
        break;
    case ENC_WS3_BASE64:
        *dst++ = 'b';
        *dst++ = '4';
        break;
    case ENC_WS4:
    case ENCODINGS:
        break;
    }
    if (text)
        return dst + base64_encode((char *)dst, bytes.ptr, bytes.len);
    return put_bytes(dst, bytes.ptr, bytes.len);
}

/* The packet's head is the same for every event without attachments. */
static const struct buf *event_head(const struct engine_fan *fan)
{
    struct engine *engine = fan->engine;

    if (fan->nattachments == 0)
        return &engine->event_head;
    buf_reset(&engine->scratch);
    sio_put_event_head(&engine->scratch, slice_str(engine->options.nsp), fan->nattachments);
    return &engine->scratch;
}

static int fan_make(struct engine_fan *fan, enum encoding encoding)
{
    struct run *run = &fan->runs[encoding];
    const struct buf *head = event_head(fan);
    size_t text_len = head->len + fan->json.len + 1, room = WS_HEADER_MAX + text_len;
    struct chunklog *log = &fan->engine->logs[encoding];
    uint8_t *start, *dst;

    if (head->failed)
        return -1;
    for (size_t i = 0; i < fan->nattachments; i++)
        room += WS_HEADER_MAX + attachment_len(encoding, fan->attachments[i].len);
    if ((start = chunklog_reserve(log, room, run)) == NULL)
        return -1;
    dst = put_header(start, WS_TEXT, text_len);
    dst = put_bytes(dst, head->data, head->len);
    dst = put_bytes(dst, fan->json.ptr, fan->json.len);
    *dst++ = ']';
    for (size_t i = 0; i < fan->nattachments; i++)
        dst = put_attachment(dst, encoding, fan->attachments[i]);
    chunklog_unreserve(log, run, (size_t)(dst - start));
    run_ref(run); /* until engine_fan_end: nobody may have it queued by then */
    return 0;
}

void engine_fan_except(struct engine_fan *fan, struct session *session)
{
    session->fan_serial = fan->serial;
}

int engine_fan_send(struct engine_fan *fan, struct session *session)
{
    enum encoding encoding = fan->nattachments > 0 ? (enum encoding)session->encoding : ENC_WS4;
    struct conn *conn = session->conn;

    if (session->fan_serial == fan->serial || session->nsp != NSP_JOINED)
        return 0;
    session->fan_serial = fan->serial;
    if (fan->is_volatile && conn->blocked)
        return 0;
    if (!(fan->made & 1 << encoding)) {
        if (fan_make(fan, encoding) < 0) {
            fan->failed = 1;
            return 0;
        }
        fan->made |= (uint8_t)(1 << encoding);
    }
    return conn_push(conn, &fan->runs[encoding]) == 0;
}

void engine_fan_end(struct engine_fan *fan)
{
    for (int i = 0; i < ENCODINGS; i++) {
        if (!(fan->made & 1 << i))
            continue;
        run_unref(&fan->runs[i]);
        chunklog_trim(&fan->engine->logs[i]);
    }
    fan->made = 0;
}
