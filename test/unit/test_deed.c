/* Joins, leaves and disconnects: through cluster.h, as the feed and the workers call it. */
#include "master/deed.h"

#include "cluster_world.h"
#include "master/gone.h"
#include "master/sessions.h"

#define JOIN_ALL "{\"type\":2,\"opts\":{\"rooms\":[],\"except\":[\"e\"]},\"rooms\":[\"x\",\"y\"]}"

/* What was sent last: its type, and its fields as text. */
static const char *last(void)
{
    static char text[512];
    struct msg msg;
    struct slices rooms = {0};
    size_t at;

    if (msg_decode(&msg, world.last.data, world.last.len, 1 << 26) <= 0)
        return "nothing";
    (void)msg_get_u32(&msg);
    at = (size_t)snprintf(text, sizeof(text), "%s %u", msg_name(msg.type), msg_get_u8(&msg));
    for (int list = 0; list < (msg.type == MSG_DISCONNECT ? 2 : 3); list++) {
        rooms.n = 0;
        msg_get_list(&msg, &rooms);
        at += (size_t)snprintf(text + at, sizeof(text) - at, " [");
        for (size_t i = 0; i < rooms.n; i++)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%.*s", i > 0 ? "," : "",
                                   (int)rooms.at[i].len, rooms.at[i].ptr);
        at += (size_t)snprintf(text + at, sizeof(text) - at, "]");
    }
    if (msg.type == MSG_DISCONNECT)
        snprintf(text + at, sizeof(text) - at, " %u", msg_get_u8(&msg));
    if (msg_close(&msg) < 0)
        snprintf(text, sizeof(text), "malformed");
    slices_clear(&rooms);
    return text;
}

static void test_bulk(void)
{
    struct slices one = {0};
    const struct route_targets *targets;

    world_begin(2);
    slices_put(&one, SLICE("x"));
    arrives(JOIN_ALL, 1, 1);
    is_str(sent(), "", "nothing before its turn");
    ordered(JOIN_ALL);
    is_str(sent(), "join>1 join>2 ", "then every worker joins who it has");
    is_str(last(), "join 0 [] [e] [x,y]", "those that are meant");
    targets = route_find(relay_route(world.relay), &one);
    is_int(targets->n, 2, "an emit to the room goes to both from then on");
    is_int(acted(1, world.last_id, 0), 0, "one has nobody");
    targets = route_find(relay_route(world.relay), &one);
    is_int(targets->n, 1, "and does not hold the room");
    is_int(acted(2, world.last_id, 3), 0, "the other has");
    comes("{\"type\":3,\"opts\":{\"rooms\":\"x\"},\"rooms\":\"y\"}");
    is_str(sent(), "", "a leave of a room that nobody holds goes nowhere");
    comes("{\"type\":3,\"opts\":{\"rooms\":[\"allusers\"],\"except\":[]},\"rooms\":[\"y\"]}");
    is_str(last(), "leave 0 [allusers] [] [y]", "a leave");
    comes("{\"type\":4,\"opts\":{\"rooms\":[],\"except\":[]},\"close\":true}");
    is_str(last(), "disconnect 0 [] [] 1", "a disconnect that closes");
    comes("{\"type\":4,\"opts\":{\"rooms\":[],\"except\":[]}}");
    is_str(last(), "disconnect 0 [] [] 0", "and one that does not");
    is_str(published(), "", "none of these is answered");
    slices_clear(&one);
    world_end();
}

/* An id of a client in lane 1 (EIO3's form would do as well). */
static const char *client_id(void)
{
    static char id[SIO_SID_LEN + 1];
    struct sid_home home = {.process = 1, .generation = 1, .index = 5};

    sio_sid_encode(id, 4711, &home);
    return id;
}

static const char *by_id(const char *request_id, int type, const char *more)
{
    static char text[512];

    snprintf(text, sizeof(text), "{\"requestId\":\"%s\",\"type\":%d,\"sid\":\"%s\",%s}", request_id,
             type, client_id(), more);
    return text;
}

#define DONE(via, id) via " k-response#/axr# {\"requestId\":\"" id "\"}\n"

static void test_by_id(void)
{
    uint32_t id;

    world_begin(2);
    comes(by_id("d1", 2, "\"room\":\"x\""));
    is_str(sent(), "join>1 ", "the worker that the id names");
    is_int(strncmp(last(), "join 1 [", 8), 0, "by id only");
    is_str(published(), "", "is asked first");
    id = world.last_id;
    is_int(acted(2, id, 1), 0, "another one has nothing to say");
    is_str(published(), "", "about it");
    is_int(acted(1, id, 1), 0, "it has that client");
    is_str(published(), DONE("1", "d1"), "so we answer");
    is_int(acted(1, id, 1), 0, "twice");
    is_str(published(), "", "is once");

    comes(by_id("d2", 3, "\"room\":\"x\""));
    id = world.last_id;
    is_int(acted(1, id, 0), 0, "it has not");
    is_str(published(), "", "somebody else answers");
    comes(by_id("d4", 2, "\"uid\":\"abcdef\",\"room\":\"x\""));
    acted(1, world.last_id, 1);
    is_str(published(), DONE("1", "d4"), "on the common channel, whoever asks");
    comes("{\"requestId\":\"d3\",\"type\":4,\"sid\":\"elsewhere\",\"close\":true}");
    is_str(published(), "", "the same where no worker is asked");
    world_end();
}

/* C1, C2: copies that are counted; O: in its turn; A: the worker has done it. */
static void test_orders(void)
{
    static const char *const orders[] = {"CcOA", "COcA", "OCcA", "COAc", "OCAc", "OACc", "OA"};

    for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
        const char *text = by_id("d1", 2, "\"room\":\"x\"");
        world_begin(1);
        for (const char *at = orders[i]; *at != '\0'; at++) {
            if (*at == 'C' || *at == 'c')
                arrives(text, 1, *at == 'C' ? 1 : 2);
            else if (*at == 'O')
                ordered(text);
            else
                acted(1, world.last_id, 1);
        }
        ok(strcmp(published(), strchr(orders[i], 'C') != NULL ? DONE("1", "d1") : "") == 0,
           "order %s: one answer, if one is counted", orders[i]);
        world_end();
    }
}

static void test_down(void)
{
    world_begin(1);
    comes(by_id("d1", 2, "\"room\":\"x\""));
    relay_worker_down(world.relay, 1);
    cluster_worker_down(world.cluster, 1);
    is_int(acted(1, world.last_id, 1), 0, "a worker that has gone");
    is_str(published(), "", "has not done it");
    relay_worker_up(world.relay, 1);
    world.dies = 1;
    comes(by_id("d2", 2, "\"room\":\"x\""));
    is_str(published(), "", "nor has one that turns out to be dead");
    comes(JOIN_ALL);
    is_int(world.nsent, 2, "nobody is asked then");
    world_end();
}

static void test_many(void)
{
    char id[16];

    world_begin(1);
    for (int i = 0; i <= DEED_MAX; i++) {
        snprintf(id, sizeof(id), "i%d", i);
        comes(by_id(id, 2, "\"room\":\"x\""));
    }
    is_int(world.nsent, DEED_MAX + 1, "all are done");
    acted(1, world.last_id, 1);
    is_str(published(), "", "one too many is not answered");
    acted(1, 1, 1);
    is_str(published(), DONE("1", "i0"), "the others are");
    pass(SEEN_MS);
    acted(1, 2, 1);
    is_str(published(), "", "but not for ever");
    world_end();
}

static void test_malformed(void)
{
    struct buf out = {0};
    size_t mark;

    world_begin(1);
    mark = msg_begin(&out, MSG_ACTED);
    msg_put_u32(&out, 1);
    msg_end(&out, mark);
    is_int(hear(cluster_acted, 1, &out), -1, "MSG_ACTED without a number");
    world_end();
}

/* A join that cannot be sent is waited for by nobody. */
static void test_unsent(void)
{
    struct buf request = {0};
    struct slices one = {0};
    struct cluster_stats stats;

    world_begin(2);
    slices_put(&one, SLICE("x"));
    buf_puts(&request, "{\"type\":2,\"opts\":{\"rooms\":[]},\"rooms\":[\"x\"");
    for (int i = 0; i < 100; i++)
        buf_printf(&request, ",\"%0900d\"", i);
    buf_puts(&request, "]}");
    buf_putc(&request, '\0');
    world.conf.message_bytes = 1; /* less than when it was decoded */
    comes((const char *)request.data);
    is_str(sent(), "", "a join that is too long for a pipe");
    cluster_stats(world.cluster, &stats);
    is_int(stats.dropped[REQUEST_TOO_LARGE], 1, "is counted as that");
    is_int(stats.requests[REQUEST_JOIN], 0, "and not as a good one");
    is_int(route_find(relay_route(world.relay), &one)->n, 0, "is not expected there");
    is_int(route_rooms(relay_route(world.relay)), 0, "nor are its other rooms");
    world.conf.message_bytes = 1 << 20;
    comes((const char *)request.data);
    is_str(sent(), "join>1 join>2 ", "one that is not");
    is_int(route_find(relay_route(world.relay), &one)->n, 2, "is");
    slices_clear(&one);
    buf_free(&request);
    world_end();
}

/* Those who have gone hear of it in the same moment, and what workers have not done is known. */
static void test_gone(void)
{
    struct sessions *sessions = sessions_new();
    struct gone_session session = {.state = GONE_AWAY, .uid = SLICE("ann")}, found = {0};
    struct gone *gone;

    world_begin(1);
    world.conf.rooms_per_client = 10;
    gone = gone_new(sessions, relay_route(world.relay), 1000);
    if (sessions == NULL || gone == NULL)
        abort();
    comes("{\"type\":2,\"opts\":{\"rooms\":[\"ann\"]},\"rooms\":[\"w\"]}");
    is_int((int)gone_last_request_ms(gone), 0, "whom nobody tells");
    cluster_gone(world.cluster, gone);
    gone_put(gone, &session, 1);
    comes("{\"type\":2,\"opts\":{\"rooms\":[\"ann\"]},\"rooms\":[\"x\"]}");
    is_str(sent(), "", "no worker holds the user");
    gone_find(gone, session.session, &found);
    ok(found.nrooms == 1 && slice_eq(found.rooms[0].name, SLICE("x")), "who has gone joins a room");
    comes("{\"type\":3,\"opts\":{\"rooms\":[]},\"rooms\":[\"x\"]}");
    gone_find(gone, session.session, &found);
    is_int((int)found.nrooms, 0, "or leaves it");
    is_str(sent(), "leave>1 ", "as everybody does");
    acted(1, world.last_id, 0);
    ok(gone_last_request_ms(gone) > 0, "it is known that there was a request");
    comes(JOIN_ALL);
    is_int((int)route_joined_seq(relay_route(world.relay), 1, 7, 99), 0,
           "a worker is at a join of that place in the stream");
    acted(1, world.last_id, 0);
    is_int((int)route_joined_seq(relay_route(world.relay), 1, 7, 99), 99, "until it is done");
    comes("{\"type\":4,\"opts\":{\"rooms\":[]},\"close\":true}");
    gone_find(gone, session.session, &found);
    is_int(found.state, GONE_ENDED, "or is put out");
    cluster_gone(world.cluster, NULL);
    gone_free(&gone);
    sessions_free(&sessions);
    world_end();
}

/* What is too much for us another daemon may do. */
static void test_gone_unsent(void)
{
    struct sessions *sessions = sessions_new();
    struct gone_session session = {.state = GONE_AWAY, .uid = SLICE("ann")}, found = {0};
    struct gone *gone;

    world_begin(1);
    world.conf.rooms_per_client = 10;
    gone = gone_new(sessions, relay_route(world.relay), 1000);
    if (sessions == NULL || gone == NULL)
        abort();
    cluster_gone(world.cluster, gone);
    gone_put(gone, &session, 1);
    world.conf.message_bytes = 20; /* at the next reload */
    cluster_configure(world.cluster, &world.conf);
    comes(JOIN_ALL);
    gone_find(gone, session.session, &found);
    is_int((int)found.nrooms, 0, "a request that is too large does nothing");
    ok(gone_last_request_ms(gone) > 0, "but it is known that there was one");
    cluster_gone(world.cluster, NULL);
    gone_free(&gone);
    sessions_free(&sessions);
    world_end();
}

int main(void)
{
    test_bulk();
    test_by_id();
    test_orders();
    test_down();
    test_many();
    test_malformed();
    test_unsent();
    test_gone();
    test_gone_unsent();
    return tap_done();
}
