/* What is said to the master, byte for byte, over a link that is made up here. */
#include "ipc/counters.h"
#include "ipc/link.h"
#include "ipc/msg.h"
#include "ipc/start.h"
#include "ipc/worst.h"
#include "log_file.h"
#include "nomem.h"
#include "tap.h"
#include "worker/uplink.h"

#include <event2/event.h>
#include <stdlib.h>

struct link {
    struct buf sent;
    int full, flushes, deaf;
    size_t queued;
};

static struct link out;

int link_send(struct link *link, const void *messages, size_t len)
{
    return link->full ? -1 : buf_put(&link->sent, messages, len);
}

size_t link_queued(const struct link *link)
{
    return link->full ? 4711 : link->queued;
}

void link_read_enable(struct link *link, int on)
{
    link->deaf = !on;
}

int link_flush(struct link *link)
{
    link->flushes++;
    return 0;
}

/* --- one uplink --- */

static struct event_base *base;
static struct uplink *up;
static int failures;

static void on_failed(void *arg)
{
    failures += arg == &out;
}

static void begin(void)
{
    buf_free(&out.sent);
    memset(&out, 0, sizeof(out));
    failures = 0;
    up = uplink_new(base, &out, on_failed, &out);
}

/* One message, whole, is all that was sent since the last time. */
static struct msg sent(unsigned type)
{
    struct msg msg = {0};
    long used = msg_decode(&msg, out.sent.data, out.sent.len, 65536);

    ok(used > 0 && (size_t)used == out.sent.len && msg.type == type, "one %s, whole",
       msg_name(type));
    return msg;
}

static struct slices rooms_put;
static unsigned ended;

static void sent_client(unsigned type, uint64_t client, struct slice uid)
{
    struct msg msg = sent(type);
    struct slices rooms = {0};

    ok(msg_get_u64(&msg) == client && slice_eq(msg_get_bytes(&msg), uid), "of that client");
    if (type == MSG_ADMIT)
        msg_get_list(&msg, &rooms);
    ok(rooms.n == rooms_put.n && (rooms.n == 0 || slice_eq(rooms.at[0], rooms_put.at[0])),
       "with these rooms");
    if (type == MSG_ADMIT)
        ok(msg_get_bytes(&msg).len == 0 && msg_get_bytes(&msg).len == 0 && msg_get_u8(&msg) == 0 &&
               msg_get_u64(&msg) == 0 && msg_get_u64(&msg) == 0,
           "and no session");
    else
        is_int(msg_get_u8(&msg), ended, "which is over, or not");
    slices_clear(&rooms);
    is_int(msg_close(&msg), 0, "and no more");
    buf_reset(&out.sent);
}

static void admit(uint64_t client, struct slice uid)
{
    const struct msg_admit of = {.client = client, .uid = uid, .rooms = rooms_put};

    uplink_admit(up, &of);
}

/* Of all that was sent since the last time, MSG_ROOMS of client 7: how many, the longest, how
 * many names there are in its lists, and the last id. */
static struct {
    size_t messages, longest, joined, left;
    uint32_t id;
    uint8_t claimed;
} told;

static void sent_rooms(void)
{
    size_t at = 0;

    memset(&told, 0, sizeof(told));
    while (at < out.sent.len) {
        struct slices joined = {0}, left = {0};
        struct msg msg;
        long used = msg_decode(&msg, out.sent.data + at, out.sent.len - at, START_UP_PART);

        if (used <= 0 || msg.type != MSG_ROOMS)
            break;
        at += (size_t)used;
        told.messages++;
        told.longest = (size_t)used > told.longest ? (size_t)used : told.longest;
        if (told.id != 0)
            told.messages = 1000; /* only the last has one */
        told.id = msg_get_u32(&msg);
        if (msg_get_u64(&msg) != 7)
            break;
        told.claimed = msg_get_u8(&msg);
        msg_get_list(&msg, &joined);
        msg_get_list(&msg, &left);
        if (msg_close(&msg) < 0)
            break;
        told.joined += joined.n;
        told.left += left.n;
        slices_clear(&joined);
        slices_clear(&left);
    }
    is_int((long)at, (long)out.sent.len, "messages, whole");
    buf_reset(&out.sent);
}

/* --- tests --- */

static void test_requests(void)
{
    static char name[1024], large[400000], larger[1000000];
    struct slices few = {0}, many = {0}, none = {0};
    struct msg msg;

    begin();
    slices_put(&few, SLICE("a"));
    slices_put(&few, SLICE(""));
    for (int i = 0; i < 200; i++)
        slices_put(&many, (struct slice){name, sizeof(name)});
    uplink_rooms(up, 3, 7, 1, &few, &none);
    sent_rooms();
    ok(told.messages == 1 && told.joined == 2 && told.left == 0 && told.id == 3, "two rooms");
    uplink_rooms(up, 0, 7, 0, &none, &few);
    sent_rooms();
    ok(told.messages == 1 && told.joined == 0 && told.left == 2 && told.id == 0, "two others");
    uplink_rooms(up, 3, 7, 1, &many, &few);
    sent_rooms();
    ok(told.joined == 200 && told.left == 2 && told.id == 3, "many, and a few");
    is_int((long)told.messages, 4, "in parts, of which the last has the id");
    uplink_rooms(up, 3, 7, 0, &few, &many);
    sent_rooms();
    ok(told.joined == 2 && told.left == 200 && told.messages == 4, "the other way round");
    ok(told.longest <= START_UP_PART && told.longest > START_UP_PART - 1100,
       "as long as they may be: %zu", told.longest);
    uplink_acted(up, 5, 6);
    msg = sent(MSG_ACTED);
    is_int(msg_get_u32(&msg), 5, "its id");
    is_int(msg_get_u32(&msg), 6, "and how many");
    is_int(msg_close(&msg), 0, "and no more");
    buf_reset(&out.sent);
    uplink_fetched(up, 8, 0, 2, SLICE("records"));
    msg = sent(MSG_FETCHED);
    ok(msg_get_u32(&msg) == 8 && msg_get_u8(&msg) == 0 && msg_get_u32(&msg) == 2 &&
           slice_eq(msg_get_bytes(&msg), SLICE("records")) && msg_close(&msg) == 0,
       "some of an answer");
    buf_reset(&out.sent);
    uplink_fetched(up, 8, 1, 1, (struct slice){large, sizeof(large)});
    is_int((long)out.sent.len, (long)sizeof(large) + 18, "a large one, which is the end");
    buf_reset(&out.sent);
    nomem = 2; /* to give memory back, and for more of it */
    uplink_fetched(up, 9, 1, 1, (struct slice){larger, sizeof(larger)});
    nomem = 0;
    msg = sent(MSG_FETCHED);
    ok(msg_get_u32(&msg) == 9 && msg_get_u8(&msg) == 1 && msg_get_u32(&msg) == 0 &&
           msg_get_bytes(&msg).len == 0 && msg_close(&msg) == 0,
       "no memory: it is the end all the same");
    buf_reset(&out.sent);
    is_int(uplink_is_behind(up), 0, "little waits");
    out.queued = (1 << 20) + 1;
    is_int(uplink_is_behind(up), 1, "much waits");
    slices_clear(&few);
    slices_clear(&many);
    uplink_free(&up);
}

static void test_messages(void)
{
    static struct counters counters, got;
    struct worst worst[WORST_MAX], got_worst[WORST_MAX];
    size_t n;
    char uid[256];
    struct msg msg;
    uint32_t id;

    begin();
    uplink_hello(up);
    msg = sent(MSG_WORKER_HELLO);
    is_int(msg_get_u32(&msg), MSG_VERSION, "with its version");
    is_int(msg_close(&msg), 0, "and no more");
    buf_reset(&out.sent);
    uplink_ready(up);
    msg = sent(MSG_READY);
    is_int(msg_close(&msg), 0, "and nothing in it");
    buf_reset(&out.sent);

    memset(uid, 'u', sizeof(uid));
    admit(UINT64_MAX, SLICE("a"));
    sent_client(MSG_ADMIT, UINT64_MAX, SLICE("a"));
    admit(0, (struct slice){uid, 255});
    sent_client(MSG_ADMIT, 0, (struct slice){uid, 255});
    slices_put(&rooms_put, SLICE("room"));
    admit(3, SLICE("a"));
    sent_client(MSG_ADMIT, 3, SLICE("a"));
    slices_clear(&rooms_put);
    for (ended = 0; ended < 2; ended++) {
        uplink_left(up, 7, (struct slice){"a\0b", 3}, (int)ended * 2);
        sent_client(MSG_LEFT, 7, (struct slice){"a\0b", 3});
    }

    for (unsigned i = 0; i < COUNTERS; i++)
        counters.at[i] = UINT64_MAX - i;
    for (uint8_t i = 0; i < WORST_MAX; i++)
        worst[i] = (struct worst){.len = 4, .id = {192, 0, 2, i}, .n = {i}};
    uplink_sources(up, 9, worst, WORST_MAX);
    msg = sent(MSG_SOURCES);
    is_int(worst_get(&msg, &id, got_worst, &n), 0, "addresses");
    ok(id == 9 && n == WORST_MAX && got_worst[31].id[3] == 31, "as they were, with the id");
    buf_reset(&out.sent);
    uplink_counters(up, 9, &counters);
    msg = sent(MSG_COUNTERS);
    is_int(counters_get(&msg, &id, &got), 0, "counters");
    ok(id == 9 && memcmp(&got, &counters, sizeof(got)) == 0, "as they were, with the id");
    is_int(out.flushes, 0, "they leave by themselves");
    uplink_flush(up);
    is_int(out.flushes, 1, "or when told");
    is_int(uplink_is_shut(up), 0, "it goes on");
    is_int(out.deaf, 0, "and so does what comes");
    is_int(failures, 0, "nothing failed");
    uplink_free(&up);
    ok(up == NULL, "freed");
}

static void test_failed(void)
{
    begin();
    uplink_ready(up);
    out.full = 1;
    admit(1, SLICE("ann"));
    is_int(uplink_is_shut(up), 1, "a message that is not taken shuts it");
    is_int(failures, 0, "whoever sent it goes on in peace");
    is_int(out.deaf, 1, "nothing more is read");
    is_int(logged("cannot tell the master: queued=4711; leaving"), 1, "logged");
    out.full = 0;
    uplink_left(up, 2, SLICE("bob"), 0);
    (void)sent(MSG_READY); /* and none behind the gap */
    event_base_loop(base, EVLOOP_NONBLOCK);
    is_int(failures, 1, "the worker hears of it from the loop");
    uplink_left(up, 3, SLICE("bob"), 0);
    event_base_loop(base, EVLOOP_NONBLOCK);
    is_int(failures, 1, "once");
    is_int(logged("cannot tell"), 1, "and so does the log");
    uplink_free(&up);

    begin();
    out.full = 1;
    uplink_ready(up);
    uplink_free(&up);
    event_base_loop(base, EVLOOP_NONBLOCK);
    is_int(failures, 0, "not when it has gone before that");
}

static void test_shut(void)
{
    begin();
    log_begin();
    uplink_shut(up);
    out.full = 1;
    admit(1, SLICE("ann"));
    out.full = 0;
    admit(1, SLICE("ann"));
    event_base_loop(base, EVLOOP_NONBLOCK);
    is_int((long)out.sent.len, 0, "shut: nothing is said");
    is_int(failures, 0, "and nothing fails");
    is_int(logged("\n"), 0, "in silence");
    uplink_free(&up);
    uplink_free(&up);
}

/* Of one acknowledgement, with n attachments of that length. */
static int ack(size_t len, size_t n)
{
    static char bytes[UPLINK_ACK_BYTES];
    struct slice attachments[SIO_ATTACHMENTS_MAX];

    for (size_t i = 0; i < n; i++)
        attachments[i] = (struct slice){bytes + i, len};
    return uplink_ack(up, 9, SLICE("{}"), attachments, n);
}

static void test_acks(void)
{
    struct slices list = {0};
    struct msg msg;

    begin();
    uplink_reached(up, 5, 1000000);
    msg = sent(MSG_REACHED);
    is_int(msg_get_u32(&msg), 5, "for that request");
    is_int(msg_get_u32(&msg), 1000000, "so many");
    is_int(msg_close(&msg), 0, "and no more");
    buf_reset(&out.sent);
    for (size_t n = 0; n <= SIO_ATTACHMENTS_MAX; n++) {
        is_int(ack(n * 1000, n), 0, "an acknowledgement");
        msg = (struct msg){0};
        ok(msg_decode(&msg, out.sent.data, out.sent.len, START_UP_MAX) == (long)out.sent.len &&
               msg.type == MSG_ACK,
           "is one message, whole");
        is_int(msg_get_u32(&msg), 9, "for that request");
        ok(slice_eq(msg_get_bytes(&msg), SLICE("{}")), "its JSON");
        list.n = 0;
        msg_get_list(&msg, &list);
        ok(list.n == n && (n == 0 || list.at[n - 1].len == n * 1000), "its attachments");
        is_int(msg_close(&msg), 0, "and no more");
        buf_reset(&out.sent);
    }
    is_int(ack(UPLINK_ACK_BYTES / 10 - 1, 10), 0, "as large as may be");
    ok(msg_decode(&msg, out.sent.data, out.sent.len, START_UP_MAX) > 0, "the master takes it");
    buf_reset(&out.sent);
    slices_clear(&list);
    uplink_free(&up);
}

static void test_acks_bounded(void)
{
    begin();
    out.queued = 6 << 20;
    is_int(ack(10, 1), 0, "much waits: a small one is taken");
    is_int(ack(START_UP_PART, 1), -1, "a large one is not");
    out.queued = (12 << 20) - 1000;
    is_int(ack(10, 1), 0, "more waits");
    out.queued = 12 << 20;
    is_int(ack(10, 1), -1, "too much");
    uplink_reached(up, 5, 1);
    is_int(uplink_is_shut(up), 0, "what has to be told still is");
    out.queued = 0;
    out.full = 1;
    is_int(ack(10, 1), -1, "one that is not taken");
    is_int(uplink_is_shut(up), 0, "is lost, and nothing else");
    out.full = 0;
    uplink_shut(up);
    buf_reset(&out.sent);
    is_int(ack(10, 1), 0, "shut: nobody cares");
    is_int((long)out.sent.len, 0, "and nothing is said");
    uplink_free(&up);
}

int main(void)
{
    log_begin_at(LOG_LEVEL_DEBUG);
    base = event_base_new();
    test_messages();
    test_requests();
    test_failed();
    test_shut();
    test_acks();
    test_acks_bounded();
    event_base_free(base);
    buf_free(&out.sent);
    log_end();
    return tap_done();
}
