/* cluster_world - a cluster between a redis and workers that are made up: what is published
 * and sent is noted, what workers say is said for them, and the clock is what the test says
 * (--wrap=clock_ms). */
#ifndef CLUSTER_WORLD_H
#define CLUSTER_WORLD_H

#include "master/cluster.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/sid.h"
#include "ipc/msg.h"
#include "master/relay.h"
#include "master/route.h"

#include "tap.h"

uint64_t __wrap_clock_ms(void);

static struct {
    struct conf conf;
    struct relay *relay;
    struct cluster *cluster;
    uint64_t now_ms;
    uint64_t wake_ms; /* when cluster_wake() is to come; 0: not */
    struct buf published;
    int publish_fails;      /* so many more */
    struct buf unconfirmed; /* struct world_done, in order */
    struct buf sent;        /* "JOIN>1 JOIN>2 " */
    uint32_t last_id;       /* of what was sent last */
    struct buf last;        /* all of it */
    unsigned dies;          /* this worker turns out to be dead when it is sent to; 0: none */
    unsigned nsent;
} world;

struct world_done {
    void (*done)(int ok, void *arg);
    void *arg;
};

uint64_t __wrap_clock_ms(void)
{
    return world.now_ms;
}

/* --- what is sent and published --------------------------------------------------- */

static void world_sent(unsigned lane, const void *message, size_t len, void *arg)
{
    struct msg msg;

    (void)arg;
    if (msg_decode(&msg, message, len, 1 << 26) != (long)len)
        abort();
    buf_printf(&world.sent, "%s>%u ", msg_name(msg.type), lane);
    if (msg.type != MSG_BROADCAST)
        world.last_id = msg_get_u32(&msg);
    buf_reset(&world.last);
    buf_put(&world.last, message, len);
    world.nsent++;
    if (lane == world.dies) {
        world.dies = 0;
        relay_worker_down(world.relay, lane);
        cluster_worker_down(world.cluster, lane);
    }
}

static int world_published(uint32_t via, struct slice channel, struct buf *payload,
                           void (*done)(int ok, void *done_arg), void *done_arg, void *arg)
{
    char text[4096];

    (void)arg;
    if (world.publish_fails > 0) {
        world.publish_fails--;
        return -1;
    }
    log_escape(text, sizeof(text), payload->data, payload->len);
    buf_printf(&world.published, "%u %.*s %s\n", via, (int)channel.len, channel.ptr, text);
    buf_free(payload);
    if (done != NULL)
        buf_put(&world.unconfirmed, &(struct world_done){done, done_arg},
                sizeof(struct world_done));
    return 0;
}

/* Redis has what has been published, or (0) is lost. */
static inline void world_confirm(int ok)
{
    struct buf all = world.unconfirmed;
    struct world_done one;

    world.unconfirmed = (struct buf){0};
    for (size_t at = 0; at < all.len; at += sizeof(one)) {
        memcpy(&one, all.data + at, sizeof(one));
        one.done(ok, one.arg);
    }
    buf_free(&all);
}

static void world_wake(unsigned ms, void *arg)
{
    (void)arg;
    world.wake_ms = world.now_ms + ms;
}

static const struct responder_ops world_ops = {world_sent, world_published, world_wake};

static void world_answer(const struct admit *admit, const struct comeback *comeback,
                         enum msg_verdict verdict, void *arg)
{
    (void)admit, (void)comeback, (void)verdict, (void)arg;
}

static int world_relay_wake(unsigned ms, void *arg)
{
    (void)ms, (void)arg;
    return 0;
}

static const struct relay_ops world_relay_ops = {
    .send = world_sent, .answer = world_answer, .wake = world_relay_wake};

/* --- the beginning and the end ---------------------------------------------------- */

/* With workers in the lanes 1 to n. */
TAP_FN void world_begin(unsigned n)
{
    static char nsp[] = "/axr", key[] = "k";

    memset(&world, 0, sizeof(world));
    world.now_ms = 1000000;
    world.conf = (struct conf){.nsp = nsp,
                               .key = key,
                               .message_bytes = 1 << 20,
                               .attachments = 8,
                               .requests_timeout_ms = 1000};
    world.relay = relay_new(&world.conf, &world_relay_ops, NULL);
    world.cluster = cluster_new(&world.conf, world.relay, &world_ops, NULL);
    if (world.relay == NULL || world.cluster == NULL)
        abort();
    for (unsigned lane = 1; lane <= n; lane++)
        relay_worker_up(world.relay, lane);
}

TAP_FN void world_end(void)
{
    cluster_free(&world.cluster);
    relay_free(&world.relay);
    buf_free(&world.published);
    buf_free(&world.sent);
    buf_free(&world.last);
    buf_free(&world.unconfirmed);
}

TAP_FN const char *world_take(struct buf *from)
{
    static char text[2][65536];
    static int which;

    which = !which;
    snprintf(text[which], sizeof(text[which]), "%.*s", (int)from->len, (const char *)from->data);
    buf_reset(from);
    return text[which];
}

/* What was published, a line each, and sent since this was last asked. */
TAP_FN const char *published(void)
{
    return world_take(&world.published);
}

TAP_FN const char *sent(void)
{
    return world_take(&world.sent);
}

/* Time passes, and who wanted to be woken is. */
TAP_FN void pass(unsigned ms)
{
    uint64_t until_ms = world.now_ms + ms;

    while (world.wake_ms != 0 && world.wake_ms <= until_ms) {
        world.now_ms = world.wake_ms > world.now_ms ? world.wake_ms : world.now_ms;
        world.wake_ms = 0;
        cluster_wake(world.cluster);
    }
    world.now_ms = until_ms;
}

/* --- what comes -------------------------------------------------------------------- */

TAP_FN void arrives(const char *payload, int is_counted, uint32_t via)
{
    cluster_arrived(world.cluster, slice_str(payload), is_counted, via);
}

TAP_FN void ordered(const char *payload)
{
    cluster_request(world.cluster, slice_str(payload), 1);
}

/* As from one connection that is counted. */
TAP_FN void comes(const char *payload)
{
    arrives(payload, 1, 1);
    ordered(payload);
}

TAP_FN int hear(int (*handler)(struct cluster *, unsigned, struct msg *), unsigned lane,
                struct buf *out)
{
    struct msg msg;
    int rc;

    if (msg_decode(&msg, out->data, out->len, 1 << 26) != (long)out->len)
        abort();
    rc = handler(world.cluster, lane, &msg);
    buf_free(out);
    return rc;
}

TAP_FN int acted(unsigned lane, uint32_t id, uint32_t clients)
{
    struct buf out = {0};
    size_t mark = msg_begin(&out, MSG_ACTED);

    msg_put_u32(&out, id);
    msg_put_u32(&out, clients);
    msg_end(&out, mark);
    return hear(cluster_acted, lane, &out);
}

TAP_FN int reached(unsigned lane, uint32_t id, uint32_t clients)
{
    struct buf out = {0};
    size_t mark = msg_begin(&out, MSG_REACHED);

    msg_put_u32(&out, id);
    msg_put_u32(&out, clients);
    msg_end(&out, mark);
    return hear(cluster_reached, lane, &out);
}

TAP_FN int acks(unsigned lane, uint32_t id, const char *json)
{
    struct buf out = {0};
    struct slices none = {0};
    size_t mark = msg_begin(&out, MSG_ACK);

    msg_put_u32(&out, id);
    msg_put_bytes(&out, json, strlen(json));
    msg_put_list(&out, &none);
    msg_end(&out, mark);
    return hear(cluster_ack, lane, &out);
}

TAP_FN int fetched(unsigned lane, uint32_t id, int is_last, uint32_t n, const struct buf *records)
{
    struct buf out = {0};
    size_t mark = msg_begin(&out, MSG_FETCHED);

    msg_put_u32(&out, id);
    msg_put_u8(&out, (uint8_t)is_last);
    msg_put_u32(&out, n);
    msg_put_bytes(&out, records->data, records->len);
    msg_end(&out, mark);
    return hear(cluster_fetched, lane, &out);
}

/* One client's record, as MSG_WHAT_SOCKETS has it. */
TAP_FN void put_record(struct buf *out, const char *id)
{
    struct buf head = {0};

    buf_printf(&head, "{\"id\":\"%s\",\"handshake\":", id);
    msg_put_bytes(out, head.data, head.len);
    msg_put_bytes(out, "{\"h\":1}", 7);
    msg_put_bytes(out, ",\"rooms\":[\"r\",7],\"data\":{}}", 27);
    buf_free(&head);
}

TAP_FN int fetched_one(unsigned lane, uint32_t id, int is_last, const char *client)
{
    struct buf records = {0};
    int rc;

    if (client != NULL)
        put_record(&records, client);
    rc = fetched(lane, id, is_last, client != NULL, &records);
    buf_free(&records);
    return rc;
}

/* --- a broadcast that is to be acknowledged ---------------------------------------- */

TAP_FN void put_fixstr(struct buf *out, const char *text)
{
    buf_putc(out, (uint8_t)(0xa0 | strlen(text)));
    buf_puts(out, text);
}

/* Of the server abcdef to one room, or NULL for everybody; id: or NULL for none. */
TAP_FN void put_emit(struct buf *out, const char *id, const char *room, unsigned timeout_ms)
{
    buf_reset(out);
    buf_putc(out, id != NULL ? 0x85 : 0x84);
    put_fixstr(out, "uid");
    put_fixstr(out, "abcdef");
    if (id != NULL) {
        put_fixstr(out, "requestId");
        put_fixstr(out, id);
    }
    put_fixstr(out, "type");
    buf_putc(out, 7);
    put_fixstr(out, "packet");
    buf_putc(out, 0x83);
    put_fixstr(out, "type");
    buf_putc(out, 2);
    put_fixstr(out, "data");
    buf_putc(out, 0x91);
    put_fixstr(out, "ev");
    put_fixstr(out, "nsp");
    put_fixstr(out, world.conf.nsp);
    put_fixstr(out, "opts");
    buf_putc(out, 0x83);
    put_fixstr(out, "rooms");
    buf_putc(out, room != NULL ? 0x91 : 0x90);
    if (room != NULL)
        put_fixstr(out, room);
    put_fixstr(out, "except");
    buf_putc(out, 0x90);
    put_fixstr(out, "flags");
    buf_putc(out, 0x81);
    put_fixstr(out, "timeout");
    buf_putc(out, 0xce);
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_putc(out, (uint8_t)(timeout_ms >> shift));
}

TAP_FN struct slice slice_of(const struct buf *buf)
{
    return (struct slice){(const char *)buf->data, buf->len};
}

#endif
