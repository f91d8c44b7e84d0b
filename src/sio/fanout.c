#include "sio/fanout.h"

#include "codec/json.h"
#include "codec/payload.h"
#include "codec/ws.h"
#include "eio/polling.h"

#define LINE_BYTES 64          /* of the CPU's caches */
#define AHEAD      ((size_t)6) /* sockets by which a fetch from memory precedes what is read there */

void fanout_begin(struct sio *sio, struct fanout *fanout, struct slice json,
                  const struct slice *attachments, size_t nattachments, int is_volatile)
{
    *fanout = (struct fanout){
        .sio = sio,
        .json = json,
        .attachments = attachments,
        .nattachments = nattachments,
        .is_volatile = is_volatile,
        .to = NSP_JOINED,
        .serial = socket_new_mark(sio),
    };
    sio->eio->net->fanning = 1;
    sio->eio->net->gather.fanouts++;
}

void fanout_received(struct fanout *fanout, uint64_t at_us)
{
    fanout->stamp = at_us == 0 ? 0 : stamp_of(at_us);
}

void fanout_ack(struct fanout *fanout, uint64_t id)
{
    fanout->is_acked = 1;
    fanout->ack_id = id;
    fanout->shift = 0;
}

/* An array of nothing would become an event of that name. */
void fanout_offset(struct fanout *fanout, uint64_t offset)
{
    if (offset == 0 || fanout->is_acked || fanout->json.len <= 1)
        return;
    fanout->tail[0] = ',';
    fanout->tail[1] = fanout->tail[FANOUT_TAIL - 1] = '"';
    offset_write(fanout->tail + 2, offset);
    fanout->shift = ENCODINGS;
}

void fanout_replay(struct fanout *fanout)
{
    fanout->to = NSP_REPLAYING;
}

int fanout_concerns(const struct fanout *fanout, const struct socket *socket)
{
    return socket->fanout_serial != fanout->serial && socket->nsp == fanout->to;
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

static int is_base64(enum encoding encoding)
{
    return encoding == ENC_WS4_BASE64 || encoding == ENC_WS3_BASE64;
}

static enum eio_version version_of(enum encoding encoding)
{
    return encoding == ENC_WS3 || encoding == ENC_WS3_BASE64 ? EIO3 : EIO4;
}

/* Payload length of an attachment's frame: raw (EIO4), after a type byte (EIO3), or as
 * text. */
static size_t attachment_len(enum encoding encoding, size_t len)
{
    if (is_base64(encoding))
        return eio_base64_len(version_of(encoding), len);
    return (version_of(encoding) == EIO3) + len;
}

static uint8_t *put_attachment(uint8_t *dst, enum encoding encoding, struct slice bytes)
{
    int text = is_base64(encoding);

    dst = put_header(dst, text ? WS_TEXT : WS_BINARY, attachment_len(encoding, bytes.len));
    if (text)
        return eio_base64_write(dst, version_of(encoding), bytes.ptr, bytes.len);
    if (version_of(encoding) == EIO3)
        *dst++ = EIO_MESSAGE;
    return put_bytes(dst, bytes.ptr, bytes.len);
}

/* The packet's head is the same for every event without attachments that nobody
 * acknowledges. */
static const struct buf *event_head(const struct fanout *fanout)
{
    struct sio *sio = fanout->sio;
    struct buf *scratch = &sio->eio->scratch;

    if (fanout->nattachments == 0 && !fanout->is_acked)
        return &sio->event_head;
    buf_reset(scratch);
    sio_put_event_head(scratch, slice_str(sio->options.nsp), fanout->nattachments,
                       fanout->is_acked ? &fanout->ack_id : NULL);
    return scratch;
}

static enum encoding encoding_of(unsigned at)
{
    return (enum encoding)(at % ENCODINGS);
}

/* What comes last in the array of that run. */
static struct slice tail_of(const struct fanout *fanout, unsigned at)
{
    return (struct slice){fanout->tail, at >= ENCODINGS ? sizeof(fanout->tail) : 0};
}

/* The text of the event, as "42/axr,", the array, and its bracket. */
static uint8_t *put_text(uint8_t *dst, const struct buf *head, struct slice json, struct slice tail)
{
    dst = put_bytes(dst, head->data, head->len);
    dst = put_bytes(dst, json.ptr, json.len);
    dst = put_bytes(dst, tail.ptr, tail.len);
    *dst++ = ']';
    return dst;
}

static int make_websocket(struct fanout *fanout, unsigned at, struct run *run)
{
    const struct buf *head = event_head(fanout);
    struct slice tail = tail_of(fanout, at);
    size_t text_len = head->len + fanout->json.len + tail.len + 1, room = WS_HEADER_MAX + text_len;
    enum encoding encoding = encoding_of(at);
    struct chunklog *log = &fanout->sio->eio->logs[at];
    uint8_t *start, *dst;

    if (head->failed)
        return -1;
    for (size_t i = 0; i < fanout->nattachments; i++)
        room += WS_HEADER_MAX + attachment_len(encoding, fanout->attachments[i].len);
    if ((start = chunklog_reserve(log, room, run)) == NULL)
        return -1;
    dst = put_text(put_header(start, WS_TEXT, text_len), head, fanout->json, tail);
    for (size_t i = 0; i < fanout->nattachments; i++)
        dst = put_attachment(dst, encoding, fanout->attachments[i]);
    chunklog_unreserve(log, run, (size_t)(dst - start));
    return 0;
}

/* --- polling --- */

static enum payload_form form_of(enum encoding encoding)
{
    if (encoding == ENC_POLL4)
        return PAYLOAD4;
    return encoding == ENC_POLL3_TEXT ? PAYLOAD3_TEXT : PAYLOAD3_BINARY;
}

static int make_payload(struct fanout *fanout, unsigned at, struct run *run)
{
    enum encoding encoding = encoding_of(at);
    enum payload_form form = form_of(encoding);
    const struct buf *head = event_head(fanout);
    struct slice tail = tail_of(fanout, at);
    struct buf text = {0};
    size_t room;
    uint8_t *dst = NULL;

    buf_put(&text, head->data, head->len);
    if (encoding == ENC_POLL4)
        buf_put(&text, fanout->json.ptr, fanout->json.len);
    else /* 1.x clients decode UTF-8 twice */
        json_put_ascii(&text, fanout->json);
    buf_put(&text, tail.ptr, tail.len);
    buf_putc(&text, ']');
    room = payload_packet_len(form, 0, text.len);
    for (size_t i = 0; i < fanout->nattachments; i++)
        room += payload_packet_len(form, 1, fanout->attachments[i].len);
    if (!head->failed && !text.failed)
        dst = chunklog_reserve(&fanout->sio->eio->logs[at], room, run);
    if (dst != NULL) {
        dst = payload_packet_write(dst, form, 0, text.data, text.len);
        for (size_t i = 0; i < fanout->nattachments; i++)
            dst = payload_packet_write(dst, form, 1, fanout->attachments[i].ptr,
                                       fanout->attachments[i].len);
    }
    buf_free(&text);
    return dst != NULL ? 0 : -1;
}

/* --- which of them --- */

static int make(struct fanout *fanout, unsigned at)
{
    struct run *run = &fanout->runs[at];
    int result = encoding_of(at) >= ENC_POLL4 ? make_payload(fanout, at, run)
                                              : make_websocket(fanout, at, run);

    if (result == 0)
        run_ref(run); /* until fanout_end: nobody may have it queued by then */
    return result;
}

/* Which run the socket gets. */
static unsigned run_of(const struct fanout *fanout, const struct socket *socket)
{
    return (unsigned)session_encoding(&socket->session, fanout->nattachments > 0) +
           (socket->recovers ? fanout->shift : 0U);
}

size_t fanout_cost(const struct fanout *fanout, const struct socket *socket)
{
    unsigned at = run_of(fanout, socket);
    enum encoding encoding = encoding_of(at);
    size_t len = event_head(fanout)->len + fanout->json.len + tail_of(fanout, at).len + 1;
    uint8_t header[WS_HEADER_MAX];

    if (encoding >= ENC_POLL4) {
        len = payload_packet_len(form_of(encoding), 0, len);
        for (size_t i = 0; i < fanout->nattachments; i++)
            len += payload_packet_len(form_of(encoding), 1, fanout->attachments[i].len);
        return len;
    }
    len += ws_header_encode(header, WS_TEXT, len);
    for (size_t i = 0; i < fanout->nattachments; i++) {
        size_t one = attachment_len(encoding, fanout->attachments[i].len);
        len += one + ws_header_encode(header, WS_BINARY, one);
    }
    return len;
}

void fanout_except(struct fanout *fanout, struct socket *socket)
{
    socket->fanout_serial = fanout->serial;
}

/* Output waits that the client does not take: the kernel is full, or others are
 * written to first, or no GET is there. */
static int is_waiting(const struct session *session)
{
    const struct conn *ws = session->ws;

    if (ws != NULL)
        return ws->blocked || (ws->slow && ws->out.bytes > 0);
    return session->polling->get == NULL && session->polling->out.bytes > 0;
}

/* Its transport cannot take it, and ends for that. */
static int dropped(struct sio *sio, const struct session *session)
{
    enum close_reason why = CLOSE_SEND_BUFFER;

    if (session->ws != NULL && session->ws->closing)
        why = (enum close_reason)session->ws->closing_why;
    if (session->ws == NULL && session->polling->closing)
        why = (enum close_reason)session->polling->why;
    sio->stats.dropped[why]++;
    return 0;
}

/* What waits for the client is at least as old as the first that came to it. */
static void stamp(const struct fanout *fanout, const struct session *session)
{
    uint32_t *at = session->ws != NULL ? &session->ws->stamp : &session->polling->stamp;

    if (*at == 0)
        *at = fanout->stamp;
}

void fanout_soon(const struct socket *socket)
{
    if (socket->session.ws != NULL)
        conn_fetch(socket->session.ws);
}

int fanout_send(struct fanout *fanout, struct socket *socket)
{
    struct sio *sio = fanout->sio;
    struct session *session = &socket->session;
    unsigned at = run_of(fanout, socket);

    if (socket->fanout_serial == fanout->serial || socket->nsp != fanout->to)
        return 0;
    socket->fanout_serial = fanout->serial;
    if (fanout->is_volatile && is_waiting(session)) {
        sio->stats.volatile_skipped++;
        return 0;
    }
    if (!(fanout->made & 1U << at)) {
        if (make(fanout, at) < 0) {
            fanout->failed = 1;
            sio->stats.dropped[CLOSE_NO_MEMORY]++;
            return 0;
        }
        fanout->made |= (uint16_t)(1U << at);
    }
    if (session_push(session, &fanout->runs[at]) < 0)
        return dropped(sio, session);
    if (at >= ENCODINGS)
        socket->has_offset = 1;
    sio->stats.deliveries++;
    stamp(fanout, session);
    return 1;
}

/* Many thousands do not fit into the CPU's caches, and each leads to what is written: both
 * are asked for while those before are served.  The slots themselves come one behind the
 * other, which the CPU sees by itself. */
static void fetch_ahead(const struct session_slot *slot, uint32_t n)
{
    if (n > 2 * AHEAD && slot[2 * AHEAD].session != NULL)
        __builtin_prefetch(socket_of(slot[2 * AHEAD].session), 1);
    if (n > AHEAD && slot[AHEAD].session != NULL)
        fanout_soon(socket_of(slot[AHEAD].session));
}

/* The first block from that one on in which somebody is: its slots are asked for.  There is
 * none if it is past the last. */
static uint32_t next_block(const struct eio *eio, uint32_t block)
{
    const char *slots;

    while (block < eio->nslots / SLOT_BLOCK && eio->blocks[block] == 0)
        block++;
    if (block == eio->nslots / SLOT_BLOCK)
        return block;
    slots = (const char *)&eio->slots[(size_t)block * SLOT_BLOCK];
    for (size_t i = 0; i < SLOT_BLOCK * sizeof(*eio->slots); i += LINE_BYTES)
        __builtin_prefetch(slots + i);
    return block;
}

static void send_block(struct fanout *fanout, uint32_t from)
{
    const struct eio *eio = fanout->sio->eio;

    for (uint32_t i = from; i < from + SLOT_BLOCK; i++) {
        struct session *session = eio->slots[i].session;

        fetch_ahead(&eio->slots[i], eio->nslots - i);
        if (session != NULL)
            fanout_send(fanout, socket_of(session));
    }
}

void fanout_send_all(struct fanout *fanout)
{
    const struct eio *eio = fanout->sio->eio;
    uint32_t block = next_block(eio, 0), next;

    for (; block < eio->nslots / SLOT_BLOCK; block = next) {
        next = next_block(eio, block + 1);
        send_block(fanout, block * SLOT_BLOCK);
    }
}

void fanout_end(struct fanout *fanout)
{
    struct eio *eio = fanout->sio->eio;

    eio->net->fanning = 0;
    for (unsigned i = 0; i < EIO_LOGS; i++) {
        if (!(fanout->made & 1U << i))
            continue;
        run_unref(&fanout->runs[i]);
        chunklog_trim(&eio->logs[i]);
    }
    fanout->made = 0;
}
