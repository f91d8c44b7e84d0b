/* fan - one event framed once for each encoding and queued for many sessions. */
#include "base/base64.h"
#include "codec/json.h"
#include "codec/payload.h"
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
    engine->fanning = 1;
}

void engine_fan_received(struct engine_fan *fan, uint64_t at_us)
{
    fan->stamp = at_us == 0 ? 0 : stamp_of(at_us);
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

/* --- WebSocket --- */

void fan_put_base64(struct buf *out, enum eio_version version, struct slice bytes)
{
    uint8_t *dst;

    buf_reset(out);
    buf_puts(out, version == EIO3 ? "b4" : "b");
    if ((dst = buf_reserve(out, BASE64_LEN(bytes.len))) != NULL)
        out->len += base64_encode((char *)dst, bytes.ptr, bytes.len);
}

/* Payload length of an attachment's frame: raw (EIO4), after a type byte (EIO3),
 * or as base64 text after "b" or "b4". */
static size_t attachment_len(enum encoding encoding, size_t len)
{
    if (encoding == ENC_WS4)
        return len;
    if (encoding == ENC_WS3)
        return 1 + len;
    return (encoding == ENC_WS4_BASE64 ? 1 : 2) + BASE64_LEN(len);
}

static uint8_t *put_attachment(uint8_t *dst, enum encoding encoding, struct slice bytes)
{
    int text = encoding == ENC_WS4_BASE64 || encoding == ENC_WS3_BASE64;

    dst = put_header(dst, text ? WS_TEXT : WS_BINARY, attachment_len(encoding, bytes.len));
    if (encoding == ENC_WS3)
        *dst++ = EIO_MESSAGE;
    if (text)
        *dst++ = 'b';
    if (encoding == ENC_WS3_BASE64)
        *dst++ = '4';
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

/* The text of the event, as "42/axr,", the array, and its bracket. */
static uint8_t *put_text(uint8_t *dst, const struct buf *head, struct slice json)
{
    dst = put_bytes(dst, head->data, head->len);
    dst = put_bytes(dst, json.ptr, json.len);
    *dst++ = ']';
    return dst;
}

static int make_websocket(struct engine_fan *fan, enum encoding encoding, struct run *run)
{
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
    dst = put_text(put_header(start, WS_TEXT, text_len), head, fan->json);
    for (size_t i = 0; i < fan->nattachments; i++)
        dst = put_attachment(dst, encoding, fan->attachments[i]);
    chunklog_unreserve(log, run, (size_t)(dst - start));
    return 0;
}

/* --- polling --- */

static int make_payload(struct engine_fan *fan, enum encoding encoding, struct run *run)
{
    enum payload_form form = encoding == ENC_POLL4        ? PAYLOAD4
                             : encoding == ENC_POLL3_TEXT ? PAYLOAD3_TEXT
                                                          : PAYLOAD3_BINARY;
    const struct buf *head = event_head(fan);
    struct buf text = {0};
    size_t room;
    uint8_t *dst = NULL;

    buf_put(&text, head->data, head->len);
    if (encoding == ENC_POLL4)
        buf_put(&text, fan->json.ptr, fan->json.len);
    else /* 1.x clients decode UTF-8 twice */
        json_put_ascii(&text, fan->json);
    buf_putc(&text, ']');
    room = payload_packet_len(form, 0, text.len);
    for (size_t i = 0; i < fan->nattachments; i++)
        room += payload_packet_len(form, 1, fan->attachments[i].len);
    if (!head->failed && !text.failed)
        dst = chunklog_reserve(&fan->engine->logs[encoding], room, run);
    if (dst != NULL) {
        dst = payload_packet_write(dst, form, 0, text.data, text.len);
        for (size_t i = 0; i < fan->nattachments; i++)
            dst = payload_packet_write(dst, form, 1, fan->attachments[i].ptr,
                                       fan->attachments[i].len);
    }
    buf_free(&text);
    return dst != NULL ? 0 : -1;
}

static int fan_make(struct engine_fan *fan, enum encoding encoding)
{
    struct run *run = &fan->runs[encoding];
    int result = encoding >= ENC_POLL4 ? make_payload(fan, encoding, run)
                                       : make_websocket(fan, encoding, run);

    if (result == 0)
        run_ref(run); /* until engine_fan_end: nobody may have it queued by then */
    return result;
}

void engine_fan_except(struct engine_fan *fan, struct session *session)
{
    session->fan_serial = fan->serial;
}

/* Output waits that the client does not take: the kernel is full, or others are
 * written to first, or no GET is there. */
static int is_waiting(const struct session *session)
{
    const struct conn *ws = session->ws;

    if (ws != NULL)
        return ws->blocked || (ws->lags && ws->out.bytes > 0);
    return session->polling->get == NULL && session->polling->out.bytes > 0;
}

/* Its transport cannot take it, and ends for that. */
static int dropped(const struct session *session)
{
    enum engine_close why = CLOSE_SEND_BUFFER;

    if (session->ws != NULL && session->ws->doomed)
        why = (enum engine_close)session->ws->doom_why;
    if (session->ws == NULL && session->polling->doomed)
        why = (enum engine_close)session->polling->why;
    session->engine->stats.dropped[why]++;
    return 0;
}

/* What waits for the client is at least as old as the first that came to it. */
static void stamp(const struct engine_fan *fan, const struct session *session)
{
    uint32_t *at = session->ws != NULL ? &session->ws->stamp : &session->polling->stamp;

    if (*at == 0)
        *at = fan->stamp;
}

void engine_fan_soon(const struct session *session)
{
    if (session->ws != NULL)
        conn_fetch(session->ws);
}

int engine_fan_send(struct engine_fan *fan, struct session *session)
{
    struct engine_stats *stats = &fan->engine->stats;
    enum encoding encoding = session_encoding(session, fan->nattachments > 0);

    if (session->fan_serial == fan->serial || session->nsp != NSP_JOINED)
        return 0;
    session->fan_serial = fan->serial;
    if (fan->is_volatile && is_waiting(session)) {
        stats->volatile_skipped++;
        return 0;
    }
    if (!(fan->made & 1 << encoding)) {
        if (fan_make(fan, encoding) < 0) {
            fan->failed = 1;
            stats->dropped[CLOSE_NO_MEMORY]++;
            return 0;
        }
        fan->made |= (uint8_t)(1 << encoding);
    }
    if (session_push(session, &fan->runs[encoding]) < 0)
        return dropped(session);
    stats->deliveries++;
    stamp(fan, session);
    return 1;
}

void engine_fan_end(struct engine_fan *fan)
{
    fan->engine->fanning = 0;
    for (int i = 0; i < ENCODINGS; i++) {
        if (!(fan->made & 1 << i))
            continue;
        run_unref(&fan->runs[i]);
        chunklog_trim(&fan->engine->logs[i]);
    }
    fan->made = 0;
}
