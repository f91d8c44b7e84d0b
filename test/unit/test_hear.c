/* What a worker says of clients and rooms, to a relay; what it says of requests is in
 * test_cluster, and all of it over a pipe in test_proc. */
#include "master/hear.h"

#include "base/log.h"
#include "master/relay.h"
#include "master/route.h"

#include "cluster_idle.h"
#include "nomem_nth.h"
#include "recovery_idle.h"
#include "tap.h"

#include <event2/event.h>

static struct event_base *base;
static struct relay *relay;
static struct cluster *cluster;
static struct recovery *recovery;
static struct hear hear;
static struct buf out;
static char said[256]; /* "admitted 7 0, noted 5": what the worker is told */

static void on_send(unsigned lane, const void *message, size_t len, void *arg)
{
    size_t at = strlen(said);
    struct msg msg;

    (void)arg;
    if (lane != 3 || msg_decode(&msg, message, len, 4096) != (long)len || msg.type != MSG_NOTED)
        abort();
    snprintf(said + at, sizeof(said) - at, "%snoted %u", at ? ", " : "",
             (unsigned)msg_get_u32(&msg));
}

static void on_answer(const struct admit *admit, const struct comeback *comeback,
                      enum msg_verdict verdict, void *arg)
{
    size_t at = strlen(said);

    (void)comeback, (void)arg;
    snprintf(said + at, sizeof(said) - at, "%sadmitted %u %d", at ? ", " : "",
             (unsigned)admit->client, verdict);
}

static int on_wake(unsigned ms, void *arg)
{
    (void)ms, (void)arg;
    return 0;
}

static const struct relay_ops ops = {on_send, on_answer, on_wake, NULL, NULL, NULL, NULL};

static void begin(void)
{
    static char nsp[] = "/axr", key[] = "k";
    static struct conf conf;

    conf = (struct conf){.nsp = nsp, .key = key, .message_bytes = 4096};
    relay = relay_new(&conf, &ops, NULL);
    if (relay == NULL)
        abort();
    relay_worker_up(relay, 3);
    cluster = cluster_idle(&conf, relay);
    recovery = recovery_idle(base, &conf, relay, cluster);
    hear =
        (struct hear){.relay = relay, .recovery = recovery, .lane = 3, .has_hello = 1, .is_up = 1};
    said[0] = '\0';
}

static void end(void)
{
    recovery_free(&recovery);
    cluster_free(&cluster);
    relay_free(&relay);
    buf_free(&out);
}

static void put_list(const char *const *names)
{
    struct slices list = {0};

    for (; *names != NULL; names++)
        if (slices_put(&list, slice_str(*names)) < 0)
            abort();
    msg_put_list(&out, &list);
    slices_clear(&list);
}
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NONE      ((const char *const[]){NULL})

/* What was put into out since begin, without so many of its last bytes, or with so many
 * more. */
static enum heard say(size_t mark, int more)
{
    struct msg msg;
    long len;

    if (msg_end(&out, mark) < 0 || (len = msg_decode(&msg, out.data, out.len, 4096)) <= 0)
        abort();
    msg.end += more;
    return hear_message(&hear, &msg);
}

static enum heard admit(uint64_t client, const char *uid, const char *const *rooms, int more)
{
    size_t mark;

    buf_reset(&out);
    mark = msg_begin(&out, MSG_ADMIT);
    msg_put_u64(&out, client);
    msg_put_bytes(&out, uid, strlen(uid));
    put_list(rooms);
    msg_put_bytes(&out, NULL, 0); /* session and pid */
    msg_put_bytes(&out, NULL, 0);
    msg_put_u8(&out, 0);
    msg_put_u64(&out, 0); /* offset */
    msg_put_u64(&out, 0); /* opened_ms */
    return say(mark, more);
}

static enum heard rooms(uint32_t id, uint64_t client, const char *const *joined,
                        const char *const *left, int more)
{
    size_t mark;

    buf_reset(&out);
    mark = msg_begin(&out, MSG_ROOMS);
    msg_put_u32(&out, id);
    msg_put_u64(&out, client);
    msg_put_u8(&out, 0); /* by request */
    put_list(joined);
    put_list(left);
    return say(mark, more);
}

/* How many workers hold it. */
static int held(const char *name)
{
    struct slice room = slice_str(name);

    return (int)route_find(relay_route(relay), &(struct slices){.at = &room, .n = 1})->n;
}

static void test_rooms(void)
{
    begin();
    is_int(admit(7, "ann", LIST("guild", "clan"), 0), HEARD_GOOD, "a client with rooms");
    is_str(said, "admitted 7 0", "is answered");
    ok(held("guild") && held("clan") && held("ann"), "and in all of them");
    is_int(rooms(0, 7, LIST("game", "chat"), LIST("clan"), 0), HEARD_GOOD, "joins and leaves");
    ok(held("game") && held("chat") && held("guild") && !held("clan"), "others");
    is_int(rooms(5, 7, NONE, LIST("game", "chat"), 0), HEARD_GOOD,
           "leaves only, and wants to know");
    is_str(said, "admitted 7 0, noted 5", "when it is known");
    ok(!held("game") && !held("chat") && held("guild"), "which it is");
    is_int(rooms(6, 9, LIST("x"), NONE, 0), HEARD_GOOD, "who is not in is answered, too");
    ok(!held("x"), "but in nothing");
    end();
}

static void test_bad(void)
{
    begin();
    is_int(admit(7, "ann", LIST("guild"), -1), HEARD_BAD, "an admission cut off");
    is_int(admit(7, "", LIST("guild"), 0), HEARD_BAD, "of nobody");
    is_int(rooms(1, 7, LIST("guild"), LIST("x"), -1), HEARD_BAD, "rooms cut off");
    is_int(rooms(1, 7, LIST("guild"), LIST("x"), -10), HEARD_BAD, "by more");
    hear.is_up = 0;
    is_int(rooms(1, 7, LIST("guild"), NONE, 0), HEARD_BAD, "rooms before it is up");
    is_int(admit(7, "ann", NONE, 0), HEARD_BAD, "an admission before it is up");
    is_str(said, "", "none is answered");
    ok(!held("guild"), "nor noted");
    end();
}

/* Each allocation fails once: it is heard again, or its worker counts as one with every room. */
static void test_memory(void)
{
    int starved = 0, wrong = 0;

    begin();
    admit(7, "ann", NONE, 0);
    for (int nth = 1;; nth++) {
        enum heard heard;
        size_t mark;
        buf_reset(&out);
        mark = msg_begin(&out, MSG_ROOMS);
        msg_put_u32(&out, 9);
        msg_put_u64(&out, 7);
        msg_put_u8(&out, 1);
        put_list(LIST("a", "b"));
        put_list(LIST("c", "d"));
        said[0] = '\0';
        nomem_nth = nth;
        heard = say(mark, 0);
        if (nomem_nth > 0)
            break;
        starved += heard == HEARD_STARVED;
        wrong += heard == HEARD_STARVED ? said[0] != '\0' || held("a")
                                        : !held("a") || !held("b") || strcmp(said, "noted 9") != 0;
        relay_left(relay, 3, 7, SLICE("ann"));
        wrong += held("a") || held("b");
        admit(7, "ann", NONE, 0);
    }
    nomem_nth = 0;
    ok(starved >= 2 && wrong == 0, "without memory nothing is lost (%d are heard again)", starved);
    end();
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    base = event_base_new();
    test_rooms();
    test_bad();
    test_memory();
    event_base_free(base);
    return tap_done();
}
