/* Broadcasts that are to be acknowledged: through cluster.h, as the feed and the workers
 * call it. */
#include "master/emission.h"

#include "cluster_world.h"

static struct buf payload; /* the request */

static void counted(uint32_t via)
{
    cluster_arrived(world.cluster, slice_of(&payload), 1, via);
}

static void in_order(void)
{
    cluster_request(world.cluster, slice_of(&payload), 1);
}

static int count_of(const char *text, const char *what)
{
    int n = 0;

    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

#define CHANNEL "k-response#/axr#abcdef# "
#define COUNT(via, id, n)                                                                          \
    via " " CHANNEL "{\"type\":8,\"requestId\":\"" id "\",\"clientCount\":" n "}\n"
#define ACK_OF(via, id, packet)                                                                    \
    via " " CHANNEL "\\x83\\xa4type\\x09\\xa9requestId\\xa2" id "\\xa6packet" packet "\n"

static void test_plain(void)
{
    struct cluster_stats stats;
    uint32_t id;

    world_begin(2);
    put_emit(&payload, "e1", NULL, 5000);
    counted(1);
    is_str(sent(), "", "nothing goes out before its turn");
    in_order();
    is_str(sent(), "emit>1 emit>2 ", "then to everybody");
    id = world.last_id;
    is_int(reached(1, id, 2), 0, "two clients");
    is_int(acks(1, id, "1"), 0, "one of them is quick");
    is_str(published(), "", "nothing is said before all have counted");
    is_int(reached(2, id, 1), 0, "and one");
    is_str(published(), COUNT("1", "e1", "3") ACK_OF("1", "e1", "\\x01"),
           "the number, then what has waited");
    is_int(acks(2, id, "[\"a\"]"), 0, "another");
    is_str(published(), ACK_OF("1", "e1", "\\x91\\xa1a"), "at once");
    is_int(acks(1, id, ""), 0, "one without an argument");
    is_str(published(), "1 " CHANNEL "\\x82\\xa4type\\x09\\xa9requestId\\xa2e1\n", "is undefined");
    is_int(acks(1, id, "1"), 0, "one more than there were");
    is_str(published(), "", "is for nobody");
    cluster_stats(world.cluster, &stats);
    is_int(stats.acks, 3, "three were passed on");
    is_int(stats.acks_lost, 1, "one was not");
    is_int(stats.results[RESPONSE_FULL], 1, "one request was answered in full");
    is_int(stats.requests[REQUEST_BROADCAST], 1, "it was a broadcast");
    world_end();
}

/* --- copies in every order ---------------------------------------------------------- */

enum event { COPY_1, COPY_2, ORDER, REACHED_1, REACHED_2, ACK, EVENTS };

static void do_event(enum event event, uint32_t *id)
{
    switch (event) {
    case COPY_1:
        counted(1);
        break;
    case COPY_2:
        counted(2);
        break;
    case ORDER:
        in_order();
        *id = world.last_id;
        break;
    case REACHED_1:
        reached(1, *id, 3);
        break;
    case REACHED_2:
        reached(2, *id, 0);
        break;
    case ACK:
        acks(1, *id, "7");
        break;
    case EVENTS:
        break;
    }
}

static int comes_after(const enum event *order, enum event late, enum event early)
{
    for (int i = 0; i < EVENTS; i++) {
        if (order[i] == early)
            return 1;
        if (order[i] == late)
            return 0;
    }
    return 0;
}

static int can_be(const enum event *order)
{
    return comes_after(order, REACHED_1, ORDER) && comes_after(order, REACHED_2, ORDER) &&
           comes_after(order, ACK, REACHED_1);
}

static int runs;

static void run_order(const enum event *order)
{
    const char *text, *number, *none, *ack;
    uint32_t id = 0;

    world_begin(2);
    put_emit(&payload, "e1", NULL, 60000);
    for (int i = 0; i < EVENTS; i++)
        do_event(order[i], &id);
    world_confirm(1);
    text = published();
    number = strstr(text, "\"clientCount\":3}");
    none = strstr(text, "\"clientCount\":0}");
    ack = strstr(text, "\\x07\n");
    ok(count_of(text, "\"type\":8") == 2 && count_of(text, "\\x07\n") == 1 && number != NULL &&
           none > number && ack > number,
       "order %d%d%d%d%d%d: one answer has the number, the other none, then the acknowledgement",
       order[0], order[1], order[2], order[3], order[4], order[5]);
    world_end();
    runs++;
}

static void permute(enum event *order, int at)
{
    if (at == EVENTS) {
        if (can_be(order))
            run_order(order);
        return;
    }
    for (int i = at; i < EVENTS; i++) {
        enum event swap = order[at];
        order[at] = order[i];
        order[i] = swap;
        permute(order, at + 1);
        order[i] = order[at];
        order[at] = swap;
    }
}

static void test_orders(void)
{
    enum event order[EVENTS] = {COPY_1, COPY_2, ORDER, REACHED_1, REACHED_2, ACK};

    permute(order, 0);
    is_int(runs, 90, "all orders that there can be");
}

static void test_further(void)
{
    world_begin(1);
    put_emit(&payload, "e1", NULL, 60000);
    for (uint32_t via = 1; via <= 3; via++)
        counted(via);
    is_str(published(), "", "further copies wait for the number");
    counted(4);
    is_str(published(), COUNT("4", "e1", "0"), "more than there are connections do not");
    in_order();
    reached(1, world.last_id, 2);
    is_str(published(), COUNT("1", "e1", "2"), "the number is first");
    world_confirm(1);
    is_str(published(), COUNT("2", "e1", "0") COUNT("3", "e1", "0"),
           "the others follow when redis has it");
    counted(5);
    is_str(published(), COUNT("5", "e1", "0"), "from then on at once");
    put_emit(&payload, "e2", NULL, 60000);
    counted(1);
    counted(2);
    world.publish_fails = 1;
    in_order();
    reached(1, world.last_id, 2);
    is_str(published(), "", "behind one that cannot be sent none follow");
    world_end();
}

/* --- time, and workers that go ------------------------------------------------------- */

static void test_slow_worker(void)
{
    uint32_t id;

    world_begin(2);
    put_emit(&payload, "e1", NULL, 5000);
    counted(1);
    in_order();
    id = world.last_id;
    reached(1, id, 1);
    pass(999);
    is_str(published(), "", "the other one hangs");
    pass(1);
    is_str(published(), COUNT("1", "e1", "1"), "after a second it is left out");
    reached(2, id, 5);
    acks(2, id, "1");
    is_str(published(), "", "and what it says then counts no more");
    acks(1, id, "2");
    is_str(published(), ACK_OF("1", "e1", "\\x02"), "the first one does");
    world_end();
}

static void test_down(void)
{
    uint32_t id;

    world_begin(2);
    put_emit(&payload, "e1", NULL, 5000);
    counted(1);
    in_order();
    id = world.last_id;
    reached(1, id, 2);
    relay_worker_down(world.relay, 2);
    cluster_worker_down(world.cluster, 2);
    is_str(published(), COUNT("1", "e1", "2"), "a worker that has gone has said all");

    put_emit(&payload, "e2", NULL, 5000);
    world.dies = 1;
    counted(1);
    in_order();
    is_str(published(), COUNT("1", "e2", "0"), "so has one that turns out to be dead");
    put_emit(&payload, "e3", NULL, 5000);
    counted(1);
    in_order();
    is_str(published(), COUNT("1", "e3", "0"), "nobody is there: 0 at once");
    world_end();
}

static void test_never_ordered(void)
{
    world_begin(1);
    put_emit(&payload, "e1", NULL, 5000);
    counted(1);
    pass(1000);
    is_str(published(), COUNT("1", "e1", "0"), "it does not come in its place: 0");
    in_order();
    is_str(sent(), "emit>1 ", "when it does it is delivered all the same");
    reached(1, world.last_id, 1);
    acks(1, world.last_id, "1");
    counted(2);
    is_str(published(), "", "a further copy waits until redis has the first answer");
    world_confirm(1);
    is_str(published(), COUNT("2", "e1", "0"), "and nobody hears what came of it");
    world_end();
}

static void test_uncounted(void)
{
    struct cluster_stats stats;

    world_begin(1);
    put_emit(&payload, "e1", NULL, 60000);
    cluster_arrived(world.cluster, slice_of(&payload), 0, 1);
    in_order();
    reached(1, world.last_id, 2);
    acks(1, world.last_id, "1");
    is_str(published(), "", "not counted: no answer");
    pass(9000);
    counted(2);
    is_str(published(), COUNT("2", "e1", "2") ACK_OF("2", "e1", "\\x01"),
           "a copy that is counted comes late: all that there is");
    put_emit(&payload, "e2", NULL, 60000);
    in_order();
    reached(1, world.last_id, 2);
    pass(12000);
    acks(1, world.last_id, "2");
    cluster_stats(world.cluster, &stats);
    is_int(stats.acks_lost, 1, "one that nobody asks for is not kept for ever");
    put_emit(&payload, NULL, NULL, 60000);
    counted(1);
    in_order();
    is_str(published(), "", "without an id it is none");
    is_int(world.nsent, 2, "to anybody");
    world_end();
}

static void test_timeout(void)
{
    uint32_t id;

    world_begin(1);
    put_emit(&payload, "e1", NULL, 500);
    counted(1);
    in_order();
    id = world.last_id;
    reached(1, id, 2);
    is_str(published(), COUNT("1", "e1", "2"), "two clients");
    pass(1600);
    acks(1, id, "1");
    is_str(published(), "", "after its timeout an acknowledgement is for nobody");
    world_end();
}

/* --- bounds -------------------------------------------------------------------------- */

/* In the MSG_EMIT that was sent last. */
static uint32_t sent_timeout(void)
{
    struct msg msg;

    if (msg_decode(&msg, world.last.data, world.last.len, 1 << 26) <= 0)
        abort();
    (void)msg_get_u32(&msg);
    return msg_get_u32(&msg);
}

/* So many wait, all of which have their number if is_known.  Returns the first one's id. */
static uint32_t many(int is_known)
{
    uint32_t first = 0;
    char id[16];

    for (int i = 0; i < EMISSION_MAX; i++) {
        snprintf(id, sizeof(id), "i%d", i);
        put_emit(&payload, id, NULL, 60000);
        counted(1);
        in_order();
        if (i == 0)
            first = world.last_id;
        if (is_known)
            reached(1, world.last_id, 1);
    }
    buf_reset(&world.published);
    return first;
}

static void test_oldest(void)
{
    struct cluster_stats stats;
    uint32_t first;

    world_begin(1);
    first = many(1);
    put_emit(&payload, "last", NULL, 60000);
    counted(1);
    in_order();
    reached(1, world.last_id, 1);
    is_str(published(), COUNT("1", "last", "1"), "one too many takes the place of the oldest");
    buf_reset(&world.published);
    acks(1, first, "1");
    is_str(published(), "", "of which nobody hears any more");
    acks(1, first + 1, "1");
    ok(published()[0] != '\0', "but of the next one");
    cluster_stats(world.cluster, &stats);
    is_int(stats.acks_lost, 1, "which is counted");
    world_end();
}

static void test_many(void)
{
    struct cluster_stats stats;

    world_begin(1);
    many(0);
    put_emit(&payload, "last", NULL, 60000);
    counted(1);
    is_str(published(), COUNT("1", "last", "0"), "one too many is answered with 0");
    buf_reset(&world.sent);
    in_order();
    is_str(sent(), "emit>1 ", "and delivered");
    is_int(sent_timeout(), 0, "but the worker waits for nobody's acknowledgement");
    reached(1, world.last_id, 1);
    acks(1, world.last_id, "1");
    is_str(published(), "", "of which nobody hears");
    cluster_stats(world.cluster, &stats);
    is_int(stats.results[RESPONSE_FULL], 0, "the others wait");
    world_end();
}

static void test_held(void)
{
    static char json[1 << 20];
    struct cluster_stats stats;
    int n = 0;

    memset(json, 'x', sizeof(json) - 1);
    json[0] = json[sizeof(json) - 2] = '"';
    world_begin(2);
    put_emit(&payload, "e1", NULL, 60000);
    counted(1);
    in_order();
    reached(1, world.last_id, 1000);
    do {
        acks(1, world.last_id, json);
        cluster_stats(world.cluster, &stats);
    } while (stats.acks_lost == 0 && ++n < 100);
    ok(n >= 7 && n <= 16, "16 MB of acknowledgements wait: %d", n);
    world.publish_fails = 1;
    reached(2, world.last_id, 0);
    cluster_stats(world.cluster, &stats);
    is_int(stats.acks, n, "then they are passed on");
    is_int(stats.results[RESPONSE_UNSENDABLE], 1, "a number that cannot be published is counted");
    world.publish_fails = 1;
    acks(1, world.last_id, "1");
    cluster_stats(world.cluster, &stats);
    is_int(stats.acks_lost, 2, "and so is an acknowledgement");
    world_end();
}

static void test_malformed(void)
{
    struct buf out = {0};
    size_t mark;

    world_begin(1);
    mark = msg_begin(&out, MSG_REACHED);
    msg_put_u32(&out, 1);
    msg_end(&out, mark);
    is_int(hear(cluster_reached, 1, &out), -1, "MSG_REACHED without a number");
    mark = msg_begin(&out, MSG_ACK);
    msg_put_u32(&out, 1);
    msg_end(&out, mark);
    is_int(hear(cluster_ack, 1, &out), -1, "MSG_ACK without what it says");
    is_int(reached(1, 4711, 1), 0, "of one that is not known");
    is_int(acks(1, 4711, "1"), 0, "likewise");
    world_end();
}

int main(void)
{
    test_plain();
    test_orders();
    test_further();
    test_slow_worker();
    test_down();
    test_never_ordered();
    test_uncounted();
    test_timeout();
    test_oldest();
    test_many();
    test_held();
    test_malformed();
    buf_free(&payload);
    return tap_done();
}
