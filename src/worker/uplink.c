#include "worker/uplink.h"
#include "base/buf.h"
#include "base/log.h"
#include "ipc/counters.h"
#include "ipc/link.h"
#include "ipc/msg.h"
#include "ipc/start.h"
#include "ipc/worst.h"

#include <event2/event.h>
#include <stdlib.h>

#define OUT_MIN_BYTES      (START_UP_PART + 4096) /* as any message but MSG_ADMIT with many rooms */
#define OUT_MAX_BYTES      (2 * OUT_MIN_BYTES)    /* are kept */
#define BEHIND_BYTES       ((size_t)1 << 20)      /* as much as its pipe takes at once */
#define ROOMS_HEAD_BYTES   32                     /* of MSG_ROOMS, beside the names */
#define FETCHED_HEAD_BYTES 32                     /* of MSG_FETCHED, beside the records */
#define ACKS_WAIT_BYTES    ((size_t)12 << 20)     /* 100,000 of 100 bytes; the link takes 16 MB */
_Static_assert(COUNTERS * sizeof(uint64_t) + 64 <= OUT_MIN_BYTES, "the longest message");

struct uplink {
    struct link *link;
    struct buf out;             /* one message; reused */
    struct event *failed_event; /* a message could not be sent */
    void (*failed)(void *arg);
    void *arg;
    int shut;
};

static void on_failed(evutil_socket_t fd, short what, void *arg)
{
    struct uplink *uplink = arg;

    (void)fd;
    (void)what;
    uplink->failed(uplink->arg);
}

struct uplink *uplink_new(struct event_base *base, struct link *link, void (*failed)(void *arg),
                          void *arg)
{
    struct uplink *uplink = calloc(1, sizeof(*uplink));

    if (uplink == NULL)
        return NULL;
    uplink->link = link;
    uplink->failed = failed;
    uplink->arg = arg;
    uplink->failed_event = event_new(base, -1, 0, on_failed, uplink);
    if (uplink->failed_event == NULL || buf_reserve(&uplink->out, OUT_MIN_BYTES) == NULL)
        uplink_free(&uplink);
    return uplink;
}

void uplink_free(struct uplink **uplink_ptr)
{
    struct uplink *uplink = *uplink_ptr;

    *uplink_ptr = NULL;
    if (uplink == NULL)
        return;
    if (uplink->failed_event != NULL)
        event_free(uplink->failed_event);
    buf_free(&uplink->out);
    free(uplink);
}

void uplink_shut(struct uplink *uplink)
{
    uplink->shut = 1;
}

int uplink_is_shut(const struct uplink *uplink)
{
    return uplink->shut;
}

/* --- sending --- */

/* result: of what made the message. */
static void send_out(struct uplink *uplink, int result)
{
    if (uplink->shut)
        return;
    if (result == 0 && link_send(uplink->link, uplink->out.data, uplink->out.len) == 0)
        return;
    log_event(ERROR, "master_untold", "cannot tell the master[: queued={}]; leaving",
              LOG_UINT("queued", link_queued(uplink->link)));
    uplink->shut = 1;
    link_read_enable(uplink->link, 0); /* what comes could not be answered */
    event_active(uplink->failed_event, EV_TIMEOUT, 0);
}

/* What was large is not kept. */
static void make_room(struct uplink *uplink)
{
    struct buf *out = &uplink->out;
    uint8_t *data;

    if (out->cap > OUT_MAX_BYTES && (data = realloc(out->data, OUT_MIN_BYTES)) != NULL) {
        out->data = data;
        out->cap = OUT_MIN_BYTES;
    }
    buf_reset(out);
}

static size_t begin(struct uplink *uplink, enum msg_type type)
{
    make_room(uplink);
    return msg_begin(&uplink->out, type);
}

static void end(struct uplink *uplink, size_t mark)
{
    send_out(uplink, msg_end(&uplink->out, mark));
}

void uplink_hello(struct uplink *uplink)
{
    size_t mark = begin(uplink, MSG_WORKER_HELLO);

    msg_put_u32(&uplink->out, MSG_VERSION);
    end(uplink, mark);
}

void uplink_ready(struct uplink *uplink)
{
    end(uplink, begin(uplink, MSG_READY));
}

void uplink_admit(struct uplink *uplink, const struct msg_admit *admit)
{
    make_room(uplink);
    send_out(uplink, msg_put_admit(&uplink->out, admit));
}

void uplink_left(struct uplink *uplink, uint64_t client, struct slice uid, int ended)
{
    size_t mark = begin(uplink, MSG_LEFT);

    msg_put_u64(&uplink->out, client);
    msg_put_bytes(&uplink->out, uid.ptr, uid.len);
    msg_put_u8(&uplink->out, ended != 0);
    end(uplink, mark);
}

/* Those of list from *from on for which there is room, which is less by them. */
static struct slices part_of(const struct slices *list, size_t *from, size_t *room)
{
    struct slices part = {.at = list->n > 0 ? list->at + *from : NULL};

    while (*from < list->n && *room >= 4 + list->at[*from].len) {
        *room -= 4 + list->at[*from].len;
        part.n++;
        ++*from;
    }
    return part;
}

void uplink_rooms(struct uplink *uplink, uint32_t id, uint64_t client, int is_claim,
                  const struct slices *joined, const struct slices *left)
{
    size_t njoined = 0, nleft = 0;

    do {
        size_t room = START_UP_PART - ROOMS_HEAD_BYTES, mark = begin(uplink, MSG_ROOMS);
        struct slices in = part_of(joined, &njoined, &room), out = part_of(left, &nleft, &room);
        int is_last = njoined == joined->n && nleft == left->n;

        msg_put_u32(&uplink->out, is_last ? id : 0);
        msg_put_u64(&uplink->out, client);
        msg_put_u8(&uplink->out, is_claim != 0);
        msg_put_list(&uplink->out, &in);
        msg_put_list(&uplink->out, &out);
        end(uplink, mark);
    } while (njoined < joined->n || nleft < left->n);
}

void uplink_acted(struct uplink *uplink, uint32_t id, uint32_t clients)
{
    size_t mark = begin(uplink, MSG_ACTED);

    msg_put_u32(&uplink->out, id);
    msg_put_u32(&uplink->out, clients);
    end(uplink, mark);
}

void uplink_reached(struct uplink *uplink, uint32_t id, uint32_t clients)
{
    size_t mark = begin(uplink, MSG_REACHED);

    msg_put_u32(&uplink->out, id);
    msg_put_u32(&uplink->out, clients);
    end(uplink, mark);
}

/* What clients say may be much, and the master slow: room stays for what has to be told, and
 * large ones leave room for small ones. */
static int may_wait(const struct uplink *uplink, size_t len)
{
    size_t max = len > START_UP_PART ? ACKS_WAIT_BYTES / 2 : ACKS_WAIT_BYTES;

    return link_queued(uplink->link) + len <= max;
}

int uplink_ack(struct uplink *uplink, uint32_t id, struct slice json,
               const struct slice *attachments, size_t n)
{
    struct buf own = {0}, *out = &uplink->out; /* one that has grown is not kept */
    size_t len = 64 + 4 * n + json.len, mark;
    int result = -1;

    for (size_t i = 0; i < n; i++)
        len += attachments[i].len;
    if (uplink->shut)
        return 0;
    if (!may_wait(uplink, len))
        return -1;
    if (len > OUT_MIN_BYTES)
        out = &own;
    buf_reset(out);
    mark = msg_begin(out, MSG_ACK);
    msg_put_u32(out, id);
    msg_put_bytes(out, json.ptr, json.len);
    msg_put_u32(out, (uint32_t)n); /* "list" */
    for (size_t i = 0; i < n; i++)
        msg_put_bytes(out, attachments[i].ptr, attachments[i].len);
    if (msg_end(out, mark) == 0)
        result = link_send(uplink->link, out->data, out->len);
    buf_free(&own);
    return result;
}

void uplink_fetched(struct uplink *uplink, uint32_t id, int last, uint32_t n, struct slice records)
{
    size_t mark = begin(uplink, MSG_FETCHED);

    if (buf_reserve(&uplink->out, records.len + FETCHED_HEAD_BYTES) == NULL) {
        mark = begin(uplink, MSG_FETCHED);
        records.len = n = 0;
    }
    msg_put_u32(&uplink->out, id);
    msg_put_u8(&uplink->out, last != 0);
    msg_put_u32(&uplink->out, n);
    msg_put_bytes(&uplink->out, records.ptr, records.len);
    end(uplink, mark);
}

void uplink_counters(struct uplink *uplink, uint32_t id, const struct counters *counters)
{
    buf_reset(&uplink->out);
    send_out(uplink, counters_put(&uplink->out, id, counters));
}

void uplink_sources(struct uplink *uplink, uint32_t id, const struct worst *list, size_t n)
{
    buf_reset(&uplink->out);
    send_out(uplink, worst_put(&uplink->out, id, list, n));
}

int uplink_is_behind(const struct uplink *uplink)
{
    return link_queued(uplink->link) > BEHIND_BYTES;
}

void uplink_flush(struct uplink *uplink)
{
    (void)link_flush(uplink->link);
}
