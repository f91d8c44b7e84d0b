/* The whole of it: what is answered, to whom, and when. */
#include "cluster_world.h"
#include "nomem_nth.h"

#define SSE    "{\"uid\":\"abcdef\",\"type\":6,\"requestId\":\"r1\",\"data\":[\"x\"]}"
#define COMMON "k-response#/axr# "

static void test_queries(void)
{
    uint32_t id;

    world_begin(2);
    comes("{\"uid\":\"abcdef\",\"requestId\":\"q1\",\"type\":5,\"opts\":{\"rooms\":[],\"except\":[]"
          "}}");
    is_str(sent(), "fetch>1 fetch>2 ", "fetch: every worker is asked");
    id = world.last_id;
    is_str(published(), "", "and nothing said yet");
    is_int(fetched_one(1, id, 0, "a"), 0, "one has a client");
    is_int(fetched_one(1, id, 1, NULL), 0, "and no more");
    is_str(published(), "", "the other has not said");
    is_int(fetched_one(2, id, 1, "b"), 0, "the other has one");
    is_str(published(),
           "1 k-response#/axr#abcdef# {\"requestId\":\"q1\",\"sockets\":["
           "{\"id\":\"a\",\"handshake\":{\"h\":1},\"rooms\":[\"r\",7],\"data\":{}},"
           "{\"id\":\"b\",\"handshake\":{\"h\":1},\"rooms\":[\"r\",7],\"data\":{}}]}\n",
           "both in one answer, on the channel of who asks");
    is_int(fetched_one(2, id, 1, "c"), 0, "what comes after that");
    is_str(published(), "", "is for nobody");

    comes("{\"requestId\":\"q2\",\"type\":0,\"rooms\":[\"nobody\"]}");
    is_str(sent(), "", "a room that no worker holds");
    is_str(published(), "1 " COMMON "{\"requestId\":\"q2\",\"sockets\":[]}\n", "is empty at once");
    arrives("{\"requestId\":\"q2\",\"type\":0,\"rooms\":[\"nobody\"]}", 1, 2);
    world_confirm(1);
    is_str(published(), "2 " COMMON "{\"requestId\":\"q2\",\"sockets\":[]}\n",
           "and so is a further copy, by the connection that it came over");
    comes("{\"uid\":\"a b\",\"requestId\":\"q4\",\"type\":0,\"rooms\":[\"nobody\"]}");
    is_str(published(), "1 " COMMON "{\"requestId\":\"q4\",\"sockets\":[]}\n",
           "a uid that is no word of a channel is not used");
    arrives("{\"requestId\":\"q3\",\"type\":1}", 0, 1);
    ordered("{\"requestId\":\"q3\",\"type\":1}");
    is_str(published(), "", "one that is not counted is not answered");
    is_str(sent(), "", "nor asked for");
    world_end();
}

static void test_null(void)
{
    world_begin(1);
    comes(SSE);
    is_str(published(), "1 " COMMON "{\"type\":6,\"requestId\":\"r1\",\"data\":null}\n",
           "serverSideEmit: null, on the common channel");
    comes("{\"uid\":\"abcdef\",\"type\":6,\"data\":[\"x\"]}");
    is_str(published(), "", "without an id: nothing");
    comes("{\"requestid\":\"o\",\"type\":5,\"data\":1}");
    is_str(published(), "1 " COMMON "{\"requestid\":\"o\",\"data\":null}\n", "customRequest: null");
    is_str(sent(), "", "no worker hears of these");
    world_end();
}

static void test_own(void)
{
    struct buf own = {0};

    world_begin(1);
    buf_printf(&own, "{\"uid\":\"%.*s\",\"type\":6,\"requestId\":\"r1\",\"data\":[\"x\"]}%c",
               (int)cluster_uid(world.cluster).len, cluster_uid(world.cluster).ptr, 0);
    comes((const char *)own.data);
    is_str(published(), "", "our own are not answered");
    buf_free(&own);
    world_end();
}

static void test_bad(void)
{
    struct cluster_stats stats;

    world_begin(1);
    comes("{\"requestId\":\"q\",\"type\":5,\"opts\":7}");
    is_str(sent(), "", "a request that is bad in part is not asked for");
    is_str(published(), "1 " COMMON "{\"requestId\":\"q\",\"sockets\":[]}\n", "but is answered");
    comes("{\"requestId\":\"q\",\"type\":77}");
    comes("nonsense");
    comes("{\"type\":2}");
    is_str(published(), "", "others are not");
    cluster_stats(world.cluster, &stats);
    is_int(stats.dropped[REQUEST_UNKNOWN], 1, "an unknown type is counted");
    is_int(stats.dropped[REQUEST_MALFORMED], 3, "and what is malformed, once each");
    world_end();
}

/* --- what is large ------------------------------------------------------------- */

static int decodes;

enum request_result __real_request_decode(struct request *request, struct slice payload,
                                          struct slice nsp, const struct emit_limits *limits);
enum request_result __wrap_request_decode(struct request *request, struct slice payload,
                                          struct slice nsp, const struct emit_limits *limits);

enum request_result __wrap_request_decode(struct request *request, struct slice payload,
                                          struct slice nsp, const struct emit_limits *limits)
{
    decodes++;
    return __real_request_decode(request, payload, nsp, limits);
}

/* A serverSideEmit of more than a megabyte. */
static void put_large(struct buf *out)
{
    buf_puts(out, "{\"type\":6,\"requestId\":\"r1\",\"data\":[\"");
    for (int i = 0; i < 1200000; i++)
        buf_putc(out, 'x');
    buf_puts(out, "\"]}");
}

static void test_large(void)
{
    struct buf large = {0};

    world_begin(1);
    world.conf.message_bytes = 1 << 21;
    cluster_configure(world.cluster, &world.conf);
    put_large(&large);
    decodes = 0;
    cluster_arrived(world.cluster, slice_of(&large), 1, 1);
    is_str(published(), "1 " COMMON "{\"type\":6,\"requestId\":\"r1\",\"data\":null}\n",
           "a large one is answered");
    is_int(world.wake_ms == world.now_ms, 1, "is looked at again soon, if it is not carried out");
    cluster_request(world.cluster, slice_of(&large), 1);
    is_int(decodes, 1, "and read once");
    cluster_request(world.cluster, slice_of(&large), 1);
    is_int(decodes, 2, "but is not kept when it has been carried out");
    cluster_arrived(world.cluster, slice_of(&large), 1, 1);
    cluster_wake(world.cluster);
    cluster_request(world.cluster, slice_of(&large), 1);
    is_int(decodes, 4, "nor where that comes late");
    buf_free(&large);
    world_end();
}

/* --- no memory -------------------------------------------------------------------- */

/* What is heard of a worker, made before memory is out. */
static struct buf said[8];

static void say(int what, int (*handler)(struct cluster *, unsigned, struct msg *))
{
    struct msg msg;

    if (msg_decode(&msg, said[what].data, said[what].len, 1 << 20) > 0)
        (void)handler(world.cluster, 1, &msg);
}

static void prepare(void)
{
    struct slices none = {0};
    struct buf record = {0};
    size_t mark;

    /* Ids count from 1, and each step below takes one. */
    put_record(&record, "a");
    mark = msg_begin(&said[0], MSG_FETCHED);
    msg_put_u32(&said[0], 1);
    msg_put_u8(&said[0], 1);
    msg_put_u32(&said[0], 1);
    msg_put_bytes(&said[0], record.data, record.len);
    msg_end(&said[0], mark);
    buf_reset(&record);
    msg_put_u8(&record, 0);
    msg_put_bytes(&record, "room", 4);
    mark = msg_begin(&said[1], MSG_FETCHED);
    msg_put_u32(&said[1], 2);
    msg_put_u8(&said[1], 1);
    msg_put_u32(&said[1], 1);
    msg_put_bytes(&said[1], record.data, record.len);
    msg_end(&said[1], mark);
    mark = msg_begin(&said[2], MSG_REACHED);
    msg_put_u32(&said[2], 3);
    msg_put_u32(&said[2], 1);
    msg_end(&said[2], mark);
    mark = msg_begin(&said[3], MSG_ACK);
    msg_put_u32(&said[3], 3);
    msg_put_bytes(&said[3], "1", 1);
    msg_put_list(&said[3], &none);
    msg_end(&said[3], mark);
    mark = msg_begin(&said[4], MSG_ACTED);
    msg_put_u32(&said[4], 4);
    msg_put_u32(&said[4], 1);
    msg_end(&said[4], mark);
    buf_free(&record);
}

static void run(struct slice emit)
{
    comes("{\"requestId\":\"q1\",\"type\":5,\"opts\":{\"rooms\":[],\"except\":[]}}");
    say(0, cluster_fetched);
    comes("{\"requestId\":\"q2\",\"type\":1}");
    say(1, cluster_fetched);
    cluster_arrived(world.cluster, emit, 1, 1);
    cluster_request(world.cluster, emit, 1);
    say(3, cluster_ack);
    say(2, cluster_reached);
    say(3, cluster_ack);
    comes("{\"requestId\":\"d1\",\"type\":2,\"sid\":\"x\",\"room\":\"r\"}");
    comes("{\"type\":2,\"opts\":{\"rooms\":[],\"except\":[]},\"rooms\":[\"x\"]}");
    say(4, cluster_acted);
    comes(SSE);
}

static void test_nomem(void)
{
    struct buf emit = {0};
    int n = 0, whole = 0, failed;

    prepare();
    do {
        world_begin(1);
        put_emit(&emit, "e1", NULL, 5000);
        nomem_nth = ++n;
        run(slice_of(&emit));
        failed = nomem_nth == 0;
        nomem_nth = 0;
        pass(2000);
        buf_reset(&world.sent);
        buf_reset(&world.published);
        comes("{\"requestId\":\"q9\",\"type\":0,\"rooms\":[\"nobody\"]}");
        pass(1000); /* a worker that is not known to have nobody is asked */
        whole += strcmp(published(), "1 " COMMON "{\"requestId\":\"q9\",\"sockets\":[]}\n") == 0;
        world_end();
    } while (failed);
    ok(n > 30, "one allocation fails, each of %d", n);
    is_int(whole, n, "and the next request is answered");
    for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++)
        buf_free(&said[i]);
    buf_free(&emit);
}

int main(void)
{
    test_nomem();
    test_queries();
    test_null();
    test_own();
    test_bad();
    test_large();
    return tap_done();
}
