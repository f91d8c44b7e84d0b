/* Broadcasts that are to be acknowledged, with sockets and a master that are made up: who
 * counts, what is told, what is dropped and why, and how much is kept. */
#include "worker/acks.h"

#include "base/clock.h"
#include "codec/sio.h"
#include "log_file.h"
#include "sio/socket.h"
#include "tap.h"
#include "worker/uplink.h"

#include <event2/event.h>
#include <stdlib.h>

#define MANY 100000

/* --- time, sockets, the master --- */

static uint64_t now_ms = 1000;

uint64_t clock_ms(void)
{
    return now_ms;
}

static struct socket *sockets; /* MANY, each in the slot of its number, in since 0 */
static struct sio sio;

uint64_t socket_handle(const struct socket *socket)
{
    return (uint64_t)7 << 32 | socket->session.index;
}

int socket_was_in(const struct socket *socket, uint64_t serial)
{
    return socket->nsp == NSP_JOINED && socket->in_since < serial;
}

static uint32_t reached_request, reached_clients, told_request;
static int nreached, ntold, full;
static char told[200];

void uplink_reached(struct uplink *uplink, uint32_t id, uint32_t clients)
{
    (void)uplink;
    nreached++;
    reached_request = id;
    reached_clients = clients;
}

int uplink_ack(struct uplink *uplink, uint32_t id, struct slice json,
               const struct slice *attachments, size_t n)
{
    int len;

    (void)uplink;
    if (full)
        return -1;
    ntold++;
    told_request = id;
    len = snprintf(told, sizeof(told), "%.*s", (int)json.len, json.ptr);
    for (size_t i = 0; i < n && (size_t)len < sizeof(told); i++)
        len += snprintf(told + len, sizeof(told) - (size_t)len, " %.*s", (int)attachments[i].len,
                        attachments[i].ptr);
    return 0;
}

/* --- broadcasts and acknowledgements --- */

static struct event_base *base;
static struct ack_stats stats;
static struct acks *acks;

static void begin(void)
{
    memset(&stats, 0, sizeof(stats));
    for (int i = 0; i < MANY; i++) {
        sockets[i].nsp = NSP_JOINED;
        sockets[i].in_since = 0;
        sockets[i].session.index = (uint32_t)i;
    }
    sio.fanout_serial = 0;
    nreached = ntold = full = 0;
    acks = acks_new(base, "/axr", NULL, &stats);
    if (acks == NULL)
        abort();
}

static void end(void)
{
    acks_free(&acks);
    acks_free(&acks);
}

/* One for those from first on, n of them.  Returns its id. */
static uint32_t emit(uint32_t request, uint32_t timeout_ms, int first, int n)
{
    struct ack_round round;

    acks_begin(acks, &round, request, timeout_ms, ++sio.fanout_serial);
    for (int i = 0; i < n; i++)
        acks_note(&round, &sockets[first + i]);
    acks_end(&round);
    return round.id;
}

static struct sio_packet packet_of(enum sio_type type, uint32_t id, const char *args)
{
    return (struct sio_packet){
        .type = type, .nsp = SLICE("/axr"), .has_id = 1, .id = id, .data = slice_str(args)};
}

static void ack(int who, uint32_t id, const char *args)
{
    struct sio_packet packet = packet_of(SIO_ACK, id, args);

    acks_packet(acks, &sockets[who], &packet, NULL);
}

static int on_event(const struct event_base *of, const struct event *event, void *arg)
{
    (void)of;
    (void)arg;
    if (event_pending(event, EV_TIMEOUT, NULL))
        event_active((struct event *)(uintptr_t)event, EV_TIMEOUT, 0);
    return 0;
}

/* It is so much later, and timers have run out. */
static void later(uint64_t ms)
{
    now_ms += ms;
    event_base_foreach_event(base, on_event, NULL);
    event_base_loop(base, EVLOOP_NONBLOCK);
}

#define IS_DROPPED(why, n, name) is_int((long)stats.dropped[why], n, name)

/* --- tests --- */

static void test_life(void)
{
    uint32_t id;

    begin();
    id = emit(77, 1000, 10, 3);
    is_int(nreached, 1, "told at once");
    is_int(reached_request, 77, "for whom");
    is_int(reached_clients, 3, "how many are meant");
    is_int((long)stats.broadcasts, 1, "counted");
    is_int((long)stats.waiting, 1, "it waits");
    ack(10, id, "[\"yes\",2]");
    is_int(ntold, 1, "the first one that acknowledges");
    is_int(told_request, 77, "for the request");
    is_str(told, "\"yes\"", "with its first argument");
    ack(10, id, "[\"again\"]");
    is_int(ntold, 1, "counts once");
    IS_DROPPED(ACK_SECOND, 1, "the second is dropped");
    ack(13, id, "[1]");
    is_int(ntold, 1, "who has not got it does not count");
    IS_DROPPED(ACK_FOREIGN, 1, "and is dropped");
    ack(12, id + 1, "[1]");
    IS_DROPPED(ACK_LATE, 1, "under another id nothing is waited for");
    ack(12, id + 64, "[1]");
    IS_DROPPED(ACK_LATE, 2, "nor under one that ends like it");
    ack(12, id, "[]");
    is_int(ntold, 2, "without an argument");
    is_str(told, "", "nothing is told of it");
    ack(11, id, "");
    is_int(ntold, 3, "without an array");
    is_str(told, "", "the same");
    is_int((long)stats.waiting, 0, "all have: it is over");
    ack(11, id, "[1]");
    IS_DROPPED(ACK_LATE, 3, "what comes then is late");
    is_int((long)stats.received, 3, "three were told");
    is_int((long)stats.unawaited, 0, "all were waited for");
    emit(78, 1000, 0, 0);
    is_int(reached_clients, 0, "for nobody");
    is_int((long)stats.waiting, 0, "nothing waits");
    is_int(nreached, 2, "but that is told too");
    end();
}

static void test_packets(void)
{
    struct slice attachments[] = {SLICE("one"), SLICE("two")};
    struct sio_packet packet;
    uint32_t id;

    begin();
    id = emit(1, 1000, 0, 10);
    packet = packet_of(SIO_EVENT, id, "[\"e\"]");
    acks_packet(acks, &sockets[0], &packet, NULL);
    packet = packet_of(SIO_ACK, id, "[1]");
    packet.nsp = SLICE("/");
    acks_packet(acks, &sockets[0], &packet, NULL);
    is_int(ntold, 0, "an event is none, nor is one of another namespace");
    packet = packet_of(SIO_ACK, id, "[1]");
    packet.has_id = 0;
    acks_packet(acks, &sockets[0], &packet, NULL);
    packet = packet_of(SIO_ACK, id, "[1]");
    packet.id += UINT64_C(1) << 32;
    acks_packet(acks, &sockets[0], &packet, NULL);
    packet.id = UINT64_MAX;
    acks_packet(acks, &sockets[0], &packet, NULL);
    IS_DROPPED(ACK_LATE, 3, "without an id, or with one that was never given");

    packet = packet_of(SIO_BINARY_EVENT, id, "[\"e\"]");
    packet.attachments = 2;
    is_int(acks_wants(acks, &sockets[0], &packet), 0, "events are not wanted");
    packet = packet_of(SIO_BINARY_ACK, id, "[null,{\"_placeholder\":true,\"num\":0}]");
    packet.attachments = 2;
    is_int(acks_wants(acks, &sockets[0], &packet), 1, "this is");
    acks_packet(acks, &sockets[0], &packet, attachments);
    is_str(told, "null", "what can have no attachments in it is told without them");
    is_int(acks_wants(acks, &sockets[0], &packet), 0, "once");
    IS_DROPPED(ACK_SECOND, 1, "the second is dropped before it is collected");
    packet.data = SLICE("[ {\"_placeholder\":true,\"num\":1} , 2]");
    is_int(acks_wants(acks, &sockets[1], &packet), 1, "that of another one");
    acks_packet(acks, &sockets[1], &packet, attachments);
    is_str(told, "{\"_placeholder\":true,\"num\":1} one two", "with them");
#define PLACEHOLDER "{\"_placeholder\":true,\"num\":0}"
    packet.data = SLICE("[[" PLACEHOLDER ", " PLACEHOLDER "," PLACEHOLDER "]]");
    acks_packet(acks, &sockets[5], &packet, attachments);
    IS_DROPPED(ACK_MALFORMED, 1, "more placeholders than attachments");
    packet.data = SLICE("[[" PLACEHOLDER ", " PLACEHOLDER "]," PLACEHOLDER "]");
    acks_packet(acks, &sockets[6], &packet, attachments);
    is_str(told, "[" PLACEHOLDER ", " PLACEHOLDER "] one two", "in the first argument only");
    packet = packet_of(SIO_ACK, id, "[[" PLACEHOLDER "]]");
    acks_packet(acks, &sockets[7], &packet, NULL);
    is_str(told, "[" PLACEHOLDER "]", "where there are no attachments it is an object");
    packet = packet_of(SIO_BINARY_ACK, id, "");
    packet.attachments = 2;
    packet.data = SLICE("[]");
    acks_packet(acks, &sockets[2], &packet, attachments);
    is_str(told, "", "no argument, no attachments");
    packet.data = (struct slice){"", 0};
    acks_packet(acks, &sockets[3], &packet, attachments);
    is_str(told, "", "nor where there is no array");
    is_int(acks_wants(acks, &sockets[10], &packet), 0, "who has not got it is not heard");
    IS_DROPPED(ACK_FOREIGN, 1, "foreign");
    packet.nsp = SLICE("/");
    is_int(acks_wants(acks, &sockets[4], &packet), 0, "nor what is of another namespace");
    end();
}

static void test_dropped(void)
{
    static char large[UPLINK_ACK_BYTES + 3], part[UPLINK_ACK_BYTES];
    struct slice attachments[] = {{part, sizeof(part) - 2}, {part, 1}};
    struct sio_packet packet;
    uint32_t id;

    begin();
    log_begin();
    id = emit(1, 1000, 0, 10);
    memset(large, '1', sizeof(large));
    large[0] = '[';
    packet = packet_of(SIO_ACK, id, "");
    large[UPLINK_ACK_BYTES + 1] = ']';
    packet.data = (struct slice){large, UPLINK_ACK_BYTES + 2};
    acks_packet(acks, &sockets[0], &packet, NULL);
    is_int(ntold, 1, "as large as may be");
    large[UPLINK_ACK_BYTES + 1] = '1';
    large[UPLINK_ACK_BYTES + 2] = ']';
    packet.data.len++;
    acks_packet(acks, &sockets[1], &packet, NULL);
    is_int(ntold, 1, "a byte more");
    IS_DROPPED(ACK_TOO_LARGE, 1, "is too large");
    acks_packet(acks, &sockets[1], &packet, NULL);
    IS_DROPPED(ACK_SECOND, 1, "and was its first");
    packet = packet_of(SIO_BINARY_ACK, id, "[{}]");
    packet.attachments = 2;
    acks_packet(acks, &sockets[2], &packet, attachments);
    IS_DROPPED(ACK_TOO_LARGE, 2, "attachments count");
    attachments[0].len--;
    acks_packet(acks, &sockets[3], &packet, attachments);
    is_int(ntold, 2, "as they may");
    full = 1;
    ack(4, id, "[1]");
    ack(5, id, "[1]");
    IS_DROPPED(ACK_QUEUE_FULL, 2, "too much waits for the master");
    is_int(logged("acknowledgements are dropped: too much waits for the master: times=1"), 1,
           "logged once");
    full = 0;
    ack(4, id, "[1]");
    IS_DROPPED(ACK_SECOND, 2, "that was its first");
    ack(6, id, "[1]");
    is_int(ntold, 3, "others count");
    end();
}

/* Who was in then, and is now. */
static void test_in(void)
{
    uint32_t id;

    begin();
    id = emit(1, 1000, 0, 4);
    sockets[0].in_since = sio.fanout_serial; /* another one has its slot, or it is back */
    ack(0, id, "[1]");
    sockets[1].nsp = NSP_LEFT;
    ack(1, id, "[1]");
    is_int(ntold, 0, "who left does not count, nor who came after");
    IS_DROPPED(ACK_FOREIGN, 2, "they are dropped");
    id = emit(2, 1000, 0, 1);
    ack(0, id, "[1]");
    is_int(ntold, 1, "what is sent after counts");
    end();
}

static void test_time(void)
{
    uint32_t first, second, third;

    begin();
    first = emit(1, 100, 0, 2);
    second = emit(2, 200, 0, 2);
    third = emit(3, UINT32_MAX, 0, 2);
    ok(first != second && second != third, "each has its own id");
    later(99);
    ack(0, first, "[1]");
    is_int(ntold, 1, "just in time");
    later(10);
    is_int((long)stats.waiting, 2, "its time is over");
    ack(1, first, "[1]");
    IS_DROPPED(ACK_LATE, 1, "what comes is late");
    ack(1, second, "[1]");
    is_int(ntold, 2, "the other goes on");
    later(200);
    is_int((long)stats.waiting, 1, "until its own is");
    later(ACKS_MAX_MS - 320);
    is_int((long)stats.waiting, 1, "the longest");
    ack(1, third, "[1]");
    is_int(ntold, 3, "is waited for");
    later(20);
    is_int((long)stats.waiting, 0, "an hour");
    emit(4, 0, 0, 1);
    is_int((long)stats.waiting, 1, "without any time");
    later(9);
    is_int((long)stats.waiting, 0, "it is over at once");
    end();
}

/* Slots that are far apart, in an order that is not theirs. */
static void test_many(void)
{
    struct ack_round round;
    uint32_t id, other;

    begin();
    for (int i = 0; i < MANY; i++)
        sockets[i].session.index = (uint32_t)(i % 2 == 0 ? i * 9 : i);
    acks_begin(acks, &round, 5, 1000, ++sio.fanout_serial);
    for (int i = 0; i < MANY; i += 2)
        acks_note(&round, &sockets[i * 7919 % MANY]);
    acks_end(&round);
    id = round.id;
    is_int(reached_clients, MANY / 2, "many");
    is_int((long)stats.unawaited, 0, "all are waited for");
    other = emit(6, 1000, 0, MANY);
    for (int i = 0; i < MANY; i++)
        ack(i, id, "[1]");
    is_int(ntold, MANY / 2, "each of them counts");
    IS_DROPPED(ACK_LATE, 1, "the last was one that had not got it, when all had acknowledged");
    IS_DROPPED(ACK_FOREIGN, MANY / 2 - 1, "and so were the others");
    for (int i = MANY; i-- > 0;)
        ack(i, other, "[1]");
    is_int(ntold, MANY / 2 + MANY, "those of both count for each");
    is_int((long)stats.waiting, 0, "all have");
    end();
}

static void test_ids(void)
{
    uint32_t waiting, last = 0, ids[200];
    int sane = 1;

    begin();
    waiting = emit(1, 100000, 0, 1);
    is_int(waiting, 0, "they begin as Node's do");
    for (int i = 0; i < 1000; i++) {
        uint32_t id = emit(2, 100000, 0, 0);

        sane &= id > last && id % 64 != waiting % 64;
        last = id;
    }
    ok(sane, "and are small; the places of those that wait are passed over");
    for (int i = 0; i < 200; i++)
        ids[i] = emit(3, 100000, i, 2);
    is_int((long)stats.waiting, 201, "many wait");
    for (int i = 0; i < 200; i++)
        ack(i + 1, ids[i], "[1]");
    is_int(ntold, 200, "each is found");
    end(); /* with all of them */
}

static void test_bounds(void)
{
    uint32_t id, other;
    int n = 0;

    begin();
    log_begin();
    for (int i = 0; i < ACKS_MAX; i++)
        emit((uint32_t)i, 100000, i, 1);
    is_int((long)stats.waiting, ACKS_MAX, "as many as may wait");
    is_int((long)stats.unawaited, 0, "are waited for");
    id = emit(9, 100000, 0, 5);
    other = emit(9, 100000, 0, 5);
    is_int(reached_clients, 5, "more are delivered, and told");
    is_int((long)stats.unawaited, 10, "and not waited for");
    is_int(logged("too many acknowledgements are waited for"), 1, "which is logged once");
    ok(id != other, "with ids that are nobody's");
    ack(0, id, "[1]");
    IS_DROPPED(ACK_LATE, 1, "of which nothing is heard");
    later(100009);
    is_int((long)stats.waiting, 0, "when their time is over");
    emit(9, 1000, 0, 5);
    is_int((long)stats.waiting, 1, "there is room");
    end();

    begin();
    emit(9, 100000, 0, 1);
    while (stats.unawaited == 0 && n++ < 1000)
        emit(9, 100000, 0, MANY);
    ok(n > 60 && n < 70, "so many broadcasts to many clients are waited for: %d", n);
    is_int(reached_clients, MANY, "the last one is delivered to all");
    ok(stats.unawaited > 0 && stats.unawaited < MANY, "of whom some are waited for");
    is_int((long)stats.waiting, n + 1, "it waits for those");
    later(100009);
    stats.unawaited = 0;
    emit(9, 1000, 0, MANY);
    is_int((long)stats.unawaited, 0, "until their time is over");
    end();
}

int main(void)
{
    sockets = calloc(MANY, sizeof(*sockets));
    base = event_base_new();
    if (sockets == NULL || base == NULL)
        abort();
    log_begin_at(LOG_LEVEL_INFO);
    test_life();
    test_packets();
    test_dropped();
    test_in();
    test_time();
    test_many();
    test_ids();
    test_bounds();
    event_base_free(base);
    free(sockets);
    log_end();
    return tap_done();
}
