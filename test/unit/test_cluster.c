/* The whole of it: what is answered, to whom, and when. */
#include "cluster_world.h"

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
    is_str(published(), "2 " COMMON "{\"requestId\":\"q2\",\"sockets\":[]}\n",
           "and so is a further copy, by the connection that it came over");
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

int main(void)
{
    test_queries();
    test_null();
    test_own();
    test_bad();
    return tap_done();
}
