/* Queries: through cluster.h, as the feed and the workers call it. */
#include "master/inquiry.h"

#include "cluster_world.h"

#include "codec/sid.h"
#include "master/collect.h"
#include "master/owed.h"

static struct cluster_stats stats;

static int result(enum response_result which)
{
    cluster_stats(world.cluster, &stats);
    return (int)stats.results[which];
}

static const char *fetch(const char *id)
{
    static char text[512];

    snprintf(text, sizeof(text),
             "{\"requestId\":\"%s\",\"type\":5,\"opts\":{\"rooms\":[],\"except\":[]}}", id);
    return text;
}

#define HEAD(id) "1 k-response#/axr# {\"requestId\":\"" id "\",\"sockets\":["
#define ONE(id)  "{\"id\":\"" id "\",\"handshake\":{\"h\":1},\"rooms\":[\"r\",7],\"data\":{}}"
#define TAIL     "]}\n"

/* --- time ---------------------------------------------------------------------------- */

static void test_deadline(void)
{
    uint32_t id;

    world_begin(2);
    comes(fetch("q1"));
    id = world.last_id;
    fetched_one(1, id, 0, "a");
    pass(999);
    is_str(published(), "", "a worker hangs, and one is not ready");
    pass(1);
    is_str(published(), HEAD("q1") ONE("a") TAIL, "after a second that is the answer");
    is_int(result(RESPONSE_SHORT), 1, "and counted as short");
    fetched_one(1, id, 1, "b");
    fetched_one(2, id, 1, "c");
    comes(fetch("q1"));
    is_str(published(), "", "a further copy waits until redis has that");
    world_confirm(1);
    is_str(published(), HEAD("q1") TAIL, "then it is answered, empty");
    comes(fetch("q1"));
    is_str(published(), HEAD("q1") TAIL, "as one that comes later is at once");

    world.conf.requests_timeout_ms = 60000;
    cluster_configure(world.cluster, &world.conf);
    comes(fetch("q2"));
    pass(2000);
    is_str(published(), "", "the time may be longer");
    world.conf.requests_timeout_ms = 100;
    cluster_configure(world.cluster, &world.conf);
    pass(100);
    is_str(published(), HEAD("q2") TAIL, "or shorter, at once");
    world_end();
}

/* Over two connections, and before there is an answer. */
static void test_further(void)
{
    uint32_t id;

    world_begin(1);
    comes(fetch("q1"));
    id = world.last_id;
    comes(fetch("q1"));
    comes(fetch("q1"));
    is_str(published(), "", "further copies wait for the first");
    comes(fetch("q1"));
    is_str(published(), HEAD("q1") TAIL, "more than there are connections do not");
    fetched_one(1, id, 1, "a");
    is_str(published(), HEAD("q1") ONE("a") TAIL, "the answer is first");
    world_confirm(1);
    is_str(published(), HEAD("q1") TAIL HEAD("q1") TAIL, "the empty ones follow when redis has it");
    is_int(result(RESPONSE_EMPTY), 3, "each is counted");

    comes(fetch("q2"));
    comes(fetch("q2"));
    fetched_one(1, world.last_id, 1, "a");
    world_confirm(0);
    is_str(published(), HEAD("q2") ONE("a") TAIL, "behind one that is lost none follow");
    comes(fetch("q3"));
    comes(fetch("q3"));
    world.publish_fails = 1;
    fetched_one(1, world.last_id, 1, "a");
    is_str(published(), "", "nor behind one that cannot be sent");
    world_end();
}

static void test_down(void)
{
    uint32_t id;

    world_begin(3);
    comes(fetch("q1"));
    id = world.last_id;
    fetched_one(1, id, 1, "a");
    fetched_one(2, id, 0, "b");
    relay_worker_down(world.relay, 2);
    cluster_worker_down(world.cluster, 2);
    is_str(published(), "", "one has died, one has not said anything");
    relay_worker_up(world.relay, 2);
    fetched_one(2, id, 0, "x");
    fetched_one(3, id, 1, "c");
    is_str(published(), HEAD("q1") ONE("a") "," ONE("b") "," ONE("c") TAIL,
           "what it had said counts, and not what its successor says");
    is_int(result(RESPONSE_FULL), 1, "that is all there is");

    buf_reset(&world.sent);
    world.dies = 1;
    comes(fetch("q2"));
    is_str(sent(), "fetch>1 fetch>3 fetch>2 ", "one turns out to be dead when it is asked");
    fetched_one(2, world.last_id, 1, "b");
    fetched_one(3, world.last_id, 1, NULL);
    is_str(published(), HEAD("q2") ONE("b") TAIL, "the others count");
    relay_worker_down(world.relay, 2);
    relay_worker_down(world.relay, 3);
    cluster_worker_down(world.cluster, 2);
    cluster_worker_down(world.cluster, 3);
    comes(fetch("q3"));
    is_str(published(), HEAD("q3") TAIL, "nobody is there: empty at once");
    world_end();
}

static void test_malformed(void)
{
    struct buf records = {0};
    size_t mark;

    world_begin(1);
    comes(fetch("q1"));
    buf_putc(&records, 1);
    is_int(fetched(1, world.last_id, 0, 1, &records), -1, "a record that is cut off");
    is_int(fetched(1, world.last_id, 0, 0, &records), -1, "bytes and no record");
    is_int(fetched(1, 4711, 0, 1, &records), 0, "of a query that is over nobody looks at them");
    buf_reset(&records);
    mark = msg_begin(&records, MSG_FETCHED);
    msg_put_u32(&records, 1);
    msg_end(&records, mark);
    is_int(hear(cluster_fetched, 1, &records), -1, "a message that is cut off");
    world_end();
}

static void test_client_rooms(void)
{
    char id[SIO_SID_LEN + 1] = "", text[256];
    struct sid_home home = {.process = 1, .generation = 1, .index = 5};
    struct msg msg;

    sio_sid_encode(id, 4711, &home);
    world_begin(2);
    snprintf(text, sizeof(text), "{\"requestid\":\"o1\",\"type\":1,\"sid\":\"%s\"}", id);
    comes(text);
    is_str(sent(), "fetch>1 ", "the worker that the id names is asked");
    if (msg_decode(&msg, world.last.data, world.last.len, 1 << 20) <= 0)
        exit(1);
    (void)msg_get_u32(&msg);
    is_int(msg_get_u8(&msg), MSG_WHAT_SOCKETS, "for the client");
    is_int(msg_get_u8(&msg), MSG_SELECT_IDS, "by its id");
    fetched_one(1, world.last_id, 1, "a");
    is_str(published(), "1 k-response#/axr# {\"requestid\":\"o1\",\"rooms\":[\"r\",7]}\n",
           "its rooms are the answer");
    arrives(text, 1, 1);
    is_str(published(), "", "once");
    text[14] = 'p';
    comes(text);
    fetched_one(1, world.last_id, 1, NULL);
    is_str(published(), "", "who has not got it does not answer");
    text[14] = 'q';
    comes(text);
    pass(1000);
    is_str(published(), "", "nor a worker that hangs");
    world_end();
}

/* --- many ------------------------------------------------------------------------------ */

static void test_many(void)
{
    char id[16];
    int n = OWED_MAX + INQUIRY_WAITING_MAX;

    world_begin(1);
    for (int i = 0; i <= n; i++) {
        snprintf(id, sizeof(id), "q%d", i);
        comes(fetch(id));
    }
    is_int(world.nsent, OWED_MAX, "so many are asked at a time");
    is_int(result(RESPONSE_BUSY), 1, "so many wait, and one more is not answered");
    comes(fetch(id));
    is_str(published(), "", "nor is a further copy of it");
    fetched_one(1, 1, 1, "a");
    is_str(published(), HEAD("q0") ONE("a") TAIL, "one is answered");
    is_int(world.nsent, OWED_MAX + 1, "and another asked");
    pass(1000);
    is_int(result(RESPONSE_SHORT), OWED_MAX,
           "after a second those that were asked have their answer");
    is_int(result(RESPONSE_BUSY), 1 + INQUIRY_WAITING_MAX - 1, "and the others will have none");
    buf_reset(&world.published);
    fetched_one(1, 7, 1, "a");
    is_str(published(), "", "who has said what it owed can be asked again");
    comes(fetch("next"));
    is_int(world.nsent, OWED_MAX + 2, "at once");
    world_end();
}

/* A worker is behind with what it was asked before. */
static void test_behind(void)
{
    uint32_t id;

    world_begin(1);
    comes(fetch("a"));
    id = world.last_id;
    comes(fetch("b"));
    pass(500);
    fetched_one(1, id, 0, "x");
    buf_reset(&world.published);
    pass(500);
    is_str(published(), HEAD("a") ONE("x") TAIL, "what it has said is an answer");
    is_int(result(RESPONSE_BUSY), 1, "of the query that it has not come to, nothing is known");
    pass(500);
    comes(fetch("c"));
    pass(1000);
    is_int(result(RESPONSE_SHORT), 2, "one that says nothing more counts as having answered");
    world_end();
}

/* One of two workers hangs. */
static void test_hung(void)
{
    char id[16];

    world_begin(2);
    for (int i = 0; i < OWED_MAX; i++) {
        snprintf(id, sizeof(id), "q%d", i);
        comes(fetch(id));
        fetched_one(1, world.last_id, 1, NULL);
    }
    pass(500);
    buf_reset(&world.sent);
    comes(fetch("a"));
    is_str(sent(), "", "a worker that owes so much may be busy");
    pass(499);
    is_str(sent(), "", "for a while");
    pass(1);
    is_str(sent(), "fetch>1 ", "then the other is asked alone");
    buf_reset(&world.published);
    fetched_one(1, world.last_id, 1, "x");
    is_str(published(), HEAD("a") ONE("x") TAIL, "and that is the answer");
    is_int(result(RESPONSE_SHORT), OWED_MAX + 1, "a short one, like those before it");
    comes(fetch("b"));
    is_str(sent(), "fetch>1 ", "from then on at once");
    fetched_one(1, world.last_id, 1, "x");
    relay_worker_down(world.relay, 2);
    cluster_worker_down(world.cluster, 2);
    relay_worker_up(world.relay, 2);
    comes(fetch("c"));
    is_str(sent(), "fetch>1 fetch>2 ", "its successor owes nothing");
    world_end();
}

static void test_questions(void)
{
    static char text[900000];
    char id[16];
    size_t at = 0;
    int busy;

    world_begin(1);
    world.conf.requests_timeout_ms = 10000;
    for (int i = 0; i < INQUIRY_RUNNING_MAX; i++) {
        snprintf(id, sizeof(id), "q%d", i);
        comes(fetch(id));
    }
    at = (size_t)snprintf(text, sizeof(text),
                          "{\"requestId\":\"----\",\"type\":5,\"opts\":{\"rooms\":[\"allusers\"");
    for (int i = 0; at < sizeof(text) - 1100 && i < 4000; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, ",\"%d%0200d\"", i, i);
    snprintf(text + at, sizeof(text) - at, "],\"except\":[]}}");
    for (int i = 0; i < 30; i++) {
        snprintf(text + 14, 5, "%04u", (unsigned)i % 10000);
        text[18] = '"';
        comes(text);
    }
    busy = result(RESPONSE_BUSY);
    ok(busy >= 5 && busy <= 15, "of large questions fewer wait: %d have no place", busy);
    world_end();
}

/* --- large ----------------------------------------------------------------------------- */

/* So many records of 64 KB each. */
static void fetched_much(unsigned lane, uint32_t id, int n, int is_last)
{
    static char handshake[65536];
    struct buf records = {0};

    memset(handshake, ' ', sizeof(handshake) - 1);
    handshake[0] = '{';
    handshake[sizeof(handshake) - 2] = '}';
    for (int i = 0; i < n; i++) {
        msg_put_bytes(&records, handshake, sizeof(handshake) - 1);
        msg_put_bytes(&records, "{}", 2);
        msg_put_bytes(&records, "", 0);
        fetched(lane, id, is_last && i + 1 == n, 1, &records);
        buf_reset(&records);
    }
    buf_free(&records);
}

static void test_large(void)
{
    uint32_t first, second, third;

    world_begin(1);
    comes(fetch("q1"));
    first = world.last_id;
    comes(fetch("q2"));
    second = world.last_id;
    fetched_much(1, first, 40, 0);
    fetched_much(1, second, 40, 0);
    is_str(sent(), "fetch>1 fetch>1 ", "two become large");
    fetched_much(1, second, 1, 1);
    is_str(published(), "", "the second one is given up");
    fetched_much(1, first, 1, 1);
    ok(strncmp(published(), HEAD("q1"), strlen(HEAD("q1"))) == 0, "the first one is answered");
    is_str(sent(), "", "the second one waits for redis");
    comes("{\"requestId\":\"s\",\"type\":0,\"rooms\":[\"allusers\"]}");
    is_str(sent(), "fetch>1 ", "a small one does not");
    fetched_one(1, world.last_id, 1, NULL);
    comes(fetch("q3"));
    is_str(sent(), "", "one like it does, for it will be large");
    world_confirm(1);
    pass(0);
    is_str(sent(), "", "then for those who listen");
    pass(100);
    is_str(sent(), "fetch>1 ", "then it is asked again");
    third = world.last_id;
    ok(third != second, "with another id");
    buf_reset(&world.published);
    fetched_much(1, second, 1, 1);
    fetched_much(1, third, 40, 1);
    ok(strncmp(published(), HEAD("q2"), strlen(HEAD("q2"))) == 0, "and answered");
    pass(1000);
    is_int(result(RESPONSE_BUSY), 1, "the third one has waited too long for redis");
    world_confirm(0);
    pass(0);
    comes(fetch("q4"));
    pass(100);
    is_str(sent(), "fetch>1 ", "a lost connection is an end, too");
    fetched_one(1, world.last_id, 1, "a");
    comes(fetch("q5"));
    is_str(sent(), "fetch>1 ", "a small answer again: the next is asked at once");
    world_end();
}

static void test_unsendable(void)
{
    world_begin(1);
    comes(fetch("q1"));
    world.publish_fails = 1;
    fetched_much(1, world.last_id, 40, 1);
    is_int(result(RESPONSE_UNSENDABLE), 1, "redis does not take it");
    buf_reset(&world.sent);
    comes(fetch("q2"));
    pass(100);
    is_str(sent(), "fetch>1 ", "the next is asked all the same");
    world_end();
}

static void test_too_large(void)
{
    uint32_t id;

    world_begin(2);
    comes(fetch("q1"));
    id = world.last_id;
    fetched_much(1, id, 400, 0);
    is_int(result(RESPONSE_TOO_LARGE), 1, "above 24 MB there is no answer");
    is_str(published(), "", "whatever the other worker says");
    buf_reset(&world.sent);
    comes(fetch("q2"));
    is_str(sent(), "", "another waits: the workers are still at it");
    fetched_much(1, id, 1, 1);
    is_str(sent(), "", "both");
    relay_worker_down(world.relay, 2);
    cluster_worker_down(world.cluster, 2);
    is_str(sent(), "fetch>1 ", "then it is asked");
    pass(600);
    fetched_much(1, world.last_id, 40, 0);
    pass(400);
    ok(strncmp(published(), HEAD("q2"), strlen(HEAD("q2"))) == 0, "half of an answer");
    world_confirm(1);
    pass(200);
    comes(fetch("q3"));
    is_str(sent(), "", "its worker is still at it");
    pass(399);
    is_str(sent(), "", "or hangs");
    pass(1);
    is_str(sent(), "fetch>1 ", "and is waited for no longer");
    comes(fetch("q4"));
    pass(1000);
    is_int(result(RESPONSE_SHORT), 2, "that one had the time to begin");
    is_int(result(RESPONSE_BUSY), 1, "the next one had not");
    world_end();
}

/* Many that are nearly large are bounded together. */
static void test_sum(void)
{
    char id[16];
    uint32_t ids[100];
    int n;

    world_begin(1);
    for (n = 0; n < 100; n++) {
        snprintf(id, sizeof(id), "q%d", n);
        comes(fetch(id));
        ids[n] = world.last_id;
    }
    for (n = 0; n < 100; n++)
        fetched_much(1, ids[n], 9, 0);
    buf_reset(&world.sent);
    for (n = 0; n < 100; n++)
        fetched_one(1, ids[n], 1, NULL);
    n = result(RESPONSE_FULL);
    ok(n >= 10 && n <= 40, "%d are answered", n);
    world_end();
}

int main(void)
{
    test_deadline();
    test_further();
    test_down();
    test_malformed();
    test_client_rooms();
    test_many();
    test_behind();
    test_hung();
    test_questions();
    test_large();
    test_unsendable();
    test_too_large();
    test_sum();
    return tap_done();
}
