#include "master/relay.h"

#include "base/clock.h"
#include "base/log.h"
#include "ipc/start.h"
#include "master/pending.h"
#include "master/route.h"

#include "tap.h"

#include <unistd.h>

static const char nsp[] = "/axr", key[] = "k";

/* --- what goes to the workers ----------------------------------------------------- */

static struct {
    struct relay *relay;
    unsigned lanes[16]; /* who got a message, in order */
    size_t n;
    uint64_t seq;
    char json[64];
    unsigned kill;   /* this worker turns out to be dead when it is sent to */
    char kicks[128]; /* "0:7 ann, 2:8 ann": who was told to leave */
    uint64_t asked;  /* who was asked for last, and its answer or WAITS */
    int verdict;
    char answers[4096]; /* "1:9 ok, 2:6 limit": those that came since begin() */
    int wakes;          /* how often one was asked for, and the last */
    unsigned wake_ms;
    int wake_fails;
    char noted[64];        /* "1:9 2:3": workers that were told so, and of what */
    const char *at_answer; /* this room is looked for when a client is answered */
    int at_answer_found;
} sent;

static void on_kick(unsigned lane, struct msg *msg)
{
    size_t at = strlen(sent.kicks);
    uint64_t client = msg_get_u64(msg);
    struct slice uid = msg_get_bytes(msg);

    is_int(msg_get_u8(msg), MSG_KICK_REPLACED, "a kick has its reason");
    is_int(msg_close(msg), 0, "and is whole");
    snprintf(sent.kicks + at, sizeof(sent.kicks) - at, "%s%u:%u %.*s", at ? ", " : "", lane,
             (unsigned)client, (int)uid.len, uid.ptr);
}

static void on_send(unsigned lane, const void *message, size_t len, void *arg)
{
    struct msg msg;
    struct msg_broadcast bc = {0};

    (void)arg;
    if (lane == sent.kill)
        relay_worker_down(sent.relay, lane);
    if (msg_decode(&msg, message, len, 1 << 20) == (long)len && msg.type == MSG_KICK) {
        on_kick(lane, &msg);
        return;
    }
    if (msg.type == MSG_NOTED) {
        size_t at = strlen(sent.noted);
        snprintf(sent.noted + at, sizeof(sent.noted) - at, "%s%u:%u", at ? " " : "", lane,
                 (unsigned)msg_get_u32(&msg));
        is_int(msg_close(&msg), 0, "whole");
        return;
    }
    ok(msg_decode(&msg, message, len, 1 << 20) == (long)len && msg.type == MSG_BROADCAST &&
           msg_get_broadcast(&msg, &bc) == 0,
       "one whole broadcast to worker %u", lane);
    is_int(bc.epoch == relay_epoch(sent.relay), 1, "of this run");
    is_int(bc.received_us, 4711, "with the time of its receipt");
    sent.seq = bc.seq;
    snprintf(sent.json, sizeof(sent.json), "%.*s", (int)bc.json.len, bc.json.ptr);
    sent.lanes[sent.n++ % 16] = lane;
    msg_broadcast_clear(&bc);
}

static void on_answer(const struct admit *admit, const struct comeback *comeback,
                      enum msg_verdict verdict, void *arg)
{
    unsigned lane = admit->lane;
    uint64_t client = admit->client;
    static const char *const names[] = {"ok", "limit", "memory"};
    size_t at = strlen(sent.answers);

    (void)comeback, (void)arg;
    if (lane == sent.kill)
        relay_worker_down(sent.relay, lane);
    if (client == sent.asked)
        sent.verdict = (int)verdict;
    if (sent.at_answer != NULL) {
        struct slice room = slice_str(sent.at_answer);
        sent.at_answer_found =
            (int)route_find(relay_route(sent.relay), &(struct slices){.at = &room, .n = 1})->n;
    }
    snprintf(sent.answers + at, sizeof(sent.answers) - at, "%s%u:%u %s", at ? ", " : "", lane,
             (unsigned)client, names[verdict]);
}

static int on_wake(unsigned ms, void *arg)
{
    (void)arg;
    if (sent.wake_fails)
        return -1;
    sent.wakes++;
    sent.wake_ms = ms;
    return 0;
}

static char changes[256]; /* "ann@1 ", and how often she is connected then: "ann@1=2 " */

static void on_changed(struct slice uid, unsigned lane, void *arg)
{
    size_t len = strlen(changes);

    (void)arg;
    snprintf(changes + len, sizeof(changes) - len, "%.*s@%u=%zu ", (int)uid.len, uid.ptr, lane,
             relay_user_connections(sent.relay, uid));
}

static const struct relay_ops ops = {on_send, on_answer, on_wake, on_changed, NULL, NULL, NULL};

#define WAITS (-1)
#define FAR   (clock_ms() + 3600000) /* by then nobody waits any more */

/* The verdict, or WAITS. */
static int admit_into(unsigned lane, uint64_t client, struct slice uid, struct slice room)
{
    sent.asked = client;
    sent.verdict = WAITS;
    relay_admit(sent.relay, &(struct admit){.lane = lane,
                                            .client = client,
                                            .uid = uid,
                                            .rooms = {.at = &room, .n = room.ptr != NULL}});
    return sent.verdict;
}

static int admit(unsigned lane, uint64_t client, struct slice uid)
{
    return admit_into(lane, client, uid, (struct slice){NULL, 0});
}

/* What was answered since it was last asked. */
static const char *answers(void)
{
    static char text[sizeof(sent.answers)];

    memcpy(text, sent.answers, sizeof(text));
    sent.answers[0] = '\0';
    return text;
}

/* "2 3": the workers that got the last message, in order. */
static const char *got(void)
{
    static char text[64];
    size_t at = 0;

    text[0] = '\0';
    for (unsigned lane = 0; lane < 16; lane++)
        for (size_t i = 0; i < sent.n; i++)
            if (sent.lanes[i] == lane)
                at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%u", at ? " " : "", lane);
    return text;
}

static void publish(const char *const *rooms, const char *json)
{
    struct buf channel = {0}, payload = {0};
    struct slices to = {0}, none = {0};

    for (; rooms != NULL && *rooms != NULL; rooms++)
        if (slices_put(&to, slice_str(*rooms)) < 0)
            exit(1);
    if (emit_encode(&channel, &payload, slice_str(key), slice_str(nsp), &to, &none, 0,
                    slice_str(json)) < 0)
        exit(1);
    sent.n = 0;
    relay_message(sent.relay, (struct slice){(char *)channel.data, channel.len},
                  (struct slice){(char *)payload.data, payload.len}, 4711, 0);
    buf_free(&channel);
    buf_free(&payload);
    free(to.at);
}
#define ROOMS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct conf *conf_make(void)
{
    static struct conf conf;
    static char conf_nsp[] = "/axr", conf_key[] = "k";

    memset(&conf, 0, sizeof(conf));
    conf.nsp = conf_nsp;
    conf.key = conf_key;
    conf.message_bytes = 4096;
    conf.attachments = 10;
    conf.workers = 3;
    return &conf;
}

static void begin(const struct conf *conf)
{
    memset(&sent, 0, sizeof(sent));
    sent.kill = 99;
    sent.relay = relay_new(conf, &ops, NULL);
    if (sent.relay == NULL)
        exit(1);
    for (unsigned lane = 0; lane < 3; lane++)
        relay_worker_up(sent.relay, lane);
}

/* --- tests ------------------------------------------------------------------------- */

static void test_routes(void)
{
    begin(conf_make());
    is_int(admit(1, 1, SLICE("ann")), MSG_ADMIT_OK, "ann is let in");
    is_int(admit(2, 2, SLICE("bob")), MSG_ADMIT_OK, "bob too");
    is_int((long)relay_seq(sent.relay), 0, "nothing was relayed before");
    publish(ROOMS("ann"), "[\"msg\",1]");
    is_str(got(), "1", "to ann: her worker");
    is_str(sent.json, "[\"msg\",1", "the array without its bracket");
    is_int((long)sent.seq, 1, "numbered from 1");
    publish(ROOMS("ann", "bob"), "[\"msg\",2]");
    is_str(got(), "1 2", "to both: both workers");
    is_int((long)sent.seq, 2, "one number for both");
    publish(ROOMS("eve"), "[\"msg\",3]");
    is_str(got(), "", "to somebody who is not here: none");
    publish(NULL, "[\"msg\",4]");
    is_str(got(), "0 1 2", "to all: all workers");
    is_int((long)sent.seq, 4, "what nobody got has its number too");
    is_int((long)relay_seq(sent.relay), 4, "which an admission would be told");
    relay_left(sent.relay, 1, 1, SLICE("ann"));
    publish(ROOMS("ann"), "[\"msg\",5]");
    is_str(got(), "", "ann has left");
    is_int((long)relay_stats(sent.relay)->relayed, 3, "three were relayed");
    is_int((long)relay_stats(sent.relay)->nobody, 2, "two found nobody");
    relay_free(&sent.relay);
}

static void test_dying(void)
{
    begin(conf_make());
    admit(0, 3, SLICE("ann"));
    sent.kill = 0;
    publish(NULL, "[\"msg\"]");
    is_str(got(), "0 1 2", "a worker that fails while it is sent to: the others get theirs");
    sent.kill = 99;
    publish(NULL, "[\"msg\"]");
    is_str(got(), "1 2", "then it gets no more");
    publish(ROOMS("ann"), "[\"msg\"]");
    is_str(got(), "", "and who was on it is not here");
    relay_free(&sent.relay);
}

static void test_user_limit(void)
{
    struct conf *conf = conf_make();

    conf->connections_per_user = 2;
    begin(conf);
    is_int(admit(0, 4, SLICE("ann")), MSG_ADMIT_OK, "first");
    is_int(admit(1, 5, SLICE("ann")), MSG_ADMIT_OK, "second, elsewhere");
    is_int(admit(2, 6, SLICE("ann")), WAITS, "third: not at once");
    relay_wake(sent.relay, FAR);
    is_str(answers(), "0:4 ok, 1:5 ok, 2:6 limit", "but then it is refused");
    is_int(admit(2, 7, SLICE("bob")), MSG_ADMIT_OK, "another user is let in");
    relay_left(sent.relay, 0, 4, SLICE("ann"));
    is_int(admit(2, 8, SLICE("ann")), MSG_ADMIT_OK, "one left: room for one");
    relay_worker_down(sent.relay, 2);
    is_int(admit(1, 9, SLICE("ann")), MSG_ADMIT_OK, "so does a dead worker");
    is_int((long)relay_stats(sent.relay)->admissions[MSG_ADMIT_USER_LIMIT], 1,
           "refusals are counted");
    relay_free(&sent.relay);
}

static struct conf *conf_replace(uint32_t limit)
{
    struct conf *conf = conf_make();

    conf->connections_per_user = limit;
    conf->replace_connections = 1;
    return conf;
}

static long ann(void)
{
    return (long)relay_user_connections(sent.relay, SLICE("ann"));
}

static void test_replace(void)
{
    struct conf *conf = conf_replace(2);

    begin(conf);
    admit(0, 1, SLICE("ann"));
    admit(1, 2, SLICE("ann"));
    admit(1, 3, SLICE("bob"));
    is_str(sent.kicks, "", "within the limit nobody has to leave");
    is_int(admit(2, 4, SLICE("ann")), MSG_ADMIT_OK, "a third is let in");
    is_str(sent.kicks, "0:1 ann", "and the first has to leave");
    is_int(ann(), 2, "who counts no more");
    is_int(admit(2, 5, SLICE("ann")), MSG_ADMIT_OK, "a fourth");
    is_str(sent.kicks, "0:1 ann, 1:2 ann", "then the second, whether the first has left or not");
    relay_left(sent.relay, 2, 4, SLICE("ann"));
    is_int(ann(), 1, "one that leaves by itself");
    relay_left(sent.relay, 1, 2, SLICE("ann"));
    relay_left(sent.relay, 0, 1, SLICE("ann"));
    is_int(ann(), 1, "those that were told to leave do");
    sent.kicks[0] = '\0';
    admit(0, 6, SLICE("ann"));
    is_str(sent.kicks, "", "there is a place");
    is_int((long)relay_stats(sent.relay)->replaced, 2, "kicks are counted");
    is_int((long)relay_stats(sent.relay)->admissions[MSG_ADMIT_USER_LIMIT], 0, "none was refused");
    relay_free(&sent.relay);
}

/* A limit that becomes lower holds from the user's next connection on. */
static void test_replace_many(void)
{
    struct conf *conf = conf_replace(0);

    begin(conf);
    for (uint64_t client = 1; client <= 5; client++)
        admit((unsigned)client % 3, client, SLICE("ann"));
    is_str(sent.kicks, "", "without a limit nobody has to leave");
    conf->connections_per_user = 3;
    admit(0, 6, SLICE("ann"));
    is_str(sent.kicks, "1:1 ann, 2:2 ann, 0:3 ann", "as many leave as there are too many");
    is_int(ann(), 3, "three stay");
    conf->replace_connections = 0;
    is_int(admit(0, 7, SLICE("ann")), WAITS, "the other policy");
    relay_wake(sent.relay, FAR);
    is_int(sent.verdict, MSG_ADMIT_USER_LIMIT, "refuses from then on");
    relay_free(&sent.relay);
}

static void test_replace_dying(void)
{
    begin(conf_replace(2));
    admit(0, 1, SLICE("ann"));
    admit(0, 2, SLICE("ann"));
    sent.kill = 0;
    admit(1, 3, SLICE("ann"));
    is_int(ann(), 1, "a worker that fails while it is told: nobody of it is left");
    sent.kill = 99;
    admit(1, 4, SLICE("ann"));
    is_str(sent.kicks, "0:1 ann", "its places are free");
    sent.kill = 1;
    admit(1, 5, SLICE("ann"));
    is_int(ann(), 0, "the worker that asks fails itself: nobody is in");
    relay_free(&sent.relay);
}

/* --- admissions that wait ------------------------------------------------------------ */

/* Limit 1, and ann's only place is taken by 0:1. */
static struct conf *begin_full(void)
{
    struct conf *conf = conf_make();

    conf->connections_per_user = 1;
    begin(conf);
    admit(0, 1, SLICE("ann"));
    is_str(answers(), "0:1 ok", "ann is in");
    is_int(sent.wakes, 0, "nobody waits");
    return conf;
}

static void test_waiting(void)
{
    begin_full();
    is_int(admit(1, 2, SLICE("ann")), WAITS, "ann comes again before she has left");
    is_int(sent.wakes, 1, "it is looked after");
    is_int((long)sent.wake_ms, PENDING_MS, "when its time is up");
    is_int(admit(1, 3, SLICE("bob")), MSG_ADMIT_OK, "who has a place does not wait");
    is_int(admit(2, 4, SLICE("ann")), WAITS, "ann waits twice");
    is_int(sent.wakes, 1, "one timer for all");
    answers();
    relay_left(sent.relay, 1, 3, SLICE("bob"));
    is_str(answers(), "", "another user's place does not help");
    relay_left(sent.relay, 0, 1, SLICE("ann"));
    is_str(answers(), "1:2 ok", "the first place goes to who came first");
    relay_wake(sent.relay, clock_ms() - 1);
    is_str(answers(), "", "the other waits on");
    is_int(sent.wakes, 2, "and is looked after");
    ok(sent.wake_ms > 0 && sent.wake_ms <= PENDING_MS + 1, "for the rest of its time");
    relay_left(sent.relay, 1, 2, SLICE("ann"));
    is_str(answers(), "2:4 ok", "in its turn");
    is_int(ann(), 1, "one of them is in");
    relay_wake(sent.relay, FAR);
    is_int(sent.wakes, 2, "nobody waits, nothing is looked after");
    is_int((long)relay_stats(sent.relay)->admissions[MSG_ADMIT_USER_LIMIT], 0,
           "nobody was refused");
    is_int((long)relay_stats(sent.relay)->admissions[MSG_ADMIT_OK], 4, "all are counted");
    relay_free(&sent.relay);
}

static void test_waiting_times_out(void)
{
    begin_full();
    admit(1, 2, SLICE("ann"));
    admit(2, 3, SLICE("ann"));
    relay_wake(sent.relay, FAR);
    is_str(answers(), "1:2 limit, 2:3 limit", "the time is up for both, in order");
    is_int((long)relay_stats(sent.relay)->admissions[MSG_ADMIT_USER_LIMIT], 2,
           "and both are counted");
    relay_left(sent.relay, 0, 1, SLICE("ann"));
    is_str(answers(), "", "too late");
    is_int(admit(2, 4, SLICE("ann")), MSG_ADMIT_OK, "there is a place for the next");
    answers();
    sent.wake_fails = 1;
    is_int(admit(1, 5, SLICE("ann")), MSG_ADMIT_USER_LIMIT, "without a timer nobody waits");
    relay_free(&sent.relay);
}

static void test_waiting_dying(void)
{
    begin_full();
    admit(1, 2, SLICE("ann"));
    admit(2, 3, SLICE("ann"));
    relay_worker_down(sent.relay, 1);
    is_int((long)sent.wake_ms, 0, "a worker dies: those who wait are looked at at once");
    relay_left(sent.relay, 0, 1, SLICE("ann"));
    is_str(answers(), "2:3 ok", "who waited on it is passed over");
    admit(0, 4, SLICE("ann"));
    relay_worker_down(sent.relay, 2);
    is_str(answers(), "", "the worker of who is in dies");
    relay_wake(sent.relay, clock_ms());
    is_str(answers(), "0:4 ok", "which makes a place");
    admit(1, 5, SLICE("ann"));
    admit(1, 6, SLICE("ann"));
    admit(2, 7, SLICE("ann"));
    sent.kill = 1;
    relay_left(sent.relay, 0, 4, SLICE("ann"));
    is_str(answers(), "1:5 ok, 2:7 ok",
           "a worker that fails when it is answered: the place is the next one's");
    is_int(ann(), 1, "who is in");
    relay_free(&sent.relay);
}

static void test_waiting_reload(void)
{
    struct conf *conf = begin_full();

    admit(1, 2, SLICE("ann"));
    admit(2, 3, SLICE("ann"));
    conf->connections_per_user = 2;
    relay_configure(sent.relay, conf);
    is_int((long)sent.wake_ms, 0, "another limit: those who wait are looked at");
    is_int(admit(0, 4, SLICE("ann")), WAITS, "one more does not get ahead of them");
    is_str(answers(), "1:2 ok", "it is the first one's place");
    conf->connections_per_user = 1;
    conf->replace_connections = 1;
    relay_configure(sent.relay, conf);
    relay_wake(sent.relay, clock_ms());
    is_str(answers(), "2:3 ok, 0:4 ok", "another policy: both are let in");
    is_str(sent.kicks, "0:1 ann, 1:2 ann, 2:3 ann", "in place of others");
    conf->replace_connections = 0;
    admit(1, 5, SLICE("ann"));
    conf->connections_per_user = 0;
    relay_configure(sent.relay, conf);
    relay_wake(sent.relay, clock_ms());
    is_str(answers(), "1:5 ok", "no limit");
    conf->connections_per_user = 1;
    admit(1, 6, SLICE("ann"));
    relay_free(&sent.relay); /* with one that waits */
}

/* [uid, {type: 2, data: ["x", <2 attachments>], nsp: "/axr"}, {}] */
static void publish_two(void)
{
    sent.n = 0;
    relay_message(sent.relay, SLICE("k#/axr#"),
                  SLICE("\x93\xa1u\x83\xa4type\x02\xa4"
                        "data\x93\xa1x\xc4\x01\x01\xc4\x01\x02\xa3nsp\xa4/axr\x80"),
                  4711, 0);
}

/* Another configuration, in memory of its own, takes the place of the first. */
static void test_reload_limits(void)
{
    struct conf first = *conf_make(), second = *conf_make(), third = *conf_make();
    char *big = calloc(1, 200016);

    memcpy(big, "[\"msg\",\"", 8);
    memset(big + 8, 'x', 200000);
    memcpy(big + 200008, "\"]", 3);
    first.attachments = 1;
    first.connections_per_user = 1;
    second.message_bytes = 1 << 19;
    second.attachments = 2;
    second.connections_per_user = 2;
    third.attachments = 0;
    third.connections_per_user = 2;
    third.replace_connections = 1;
    begin(&first);
    publish_two();
    publish(NULL, big);
    is_int((long)relay_seq(sent.relay), 0, "too many attachments, and too large");
    is_int(admit(0, 1, SLICE("ann")), MSG_ADMIT_OK, "ann is in");
    is_int(admit(0, 2, SLICE("ann")), WAITS, "once");
    relay_configure(sent.relay, &second);
    memset(&first, 0xff, sizeof(first)); /* nobody looks at it any more */
    publish_two();
    is_int((long)relay_seq(sent.relay), 1, "as many attachments as there may be");
    publish(NULL, big);
    is_int((long)relay_seq(sent.relay), 2, "and as many bytes");
    relay_wake(sent.relay, clock_ms());
    is_str(answers(), "0:1 ok, 0:2 ok", "ann is in twice");
    is_int(admit(1, 3, SLICE("ann")), WAITS, "and not three times");
    relay_configure(sent.relay, &third);
    memset(&second, 0xff, sizeof(second));
    relay_wake(sent.relay, clock_ms());
    is_str(answers(), "1:3 ok", "but in place of another");
    is_str(sent.kicks, "0:1 ann", "who is told");
    publish_two();
    publish(NULL, big);
    is_int((long)relay_seq(sent.relay), 2, "and the limits are low again");
    relay_free(&sent.relay);
    free(big);
}

static void test_waiting_is_bounded(void)
{
    char uid[16];
    int waiting, refused = 0;

    begin_full();
    for (uint64_t client = 2; client < 2 + 1 + PENDING_SPARE; client++)
        admit(1, client, SLICE("ann"));
    is_str(answers(), "", "some of a user's may wait");
    is_int(admit(1, 99, SLICE("ann")), MSG_ADMIT_USER_LIMIT, "more may not");
    waiting = 1 + PENDING_SPARE;
    for (unsigned i = 0; i < PENDING_MAX; i++) {
        int n = snprintf(uid, sizeof(uid), "user %u", i);
        int verdict;
        admit(0, 100 + i, (struct slice){uid, (size_t)n});
        verdict = admit(1, 10000 + i, (struct slice){uid, (size_t)n});
        waiting += verdict == WAITS;
        refused += verdict == MSG_ADMIT_USER_LIMIT;
    }
    is_int(waiting, PENDING_MAX, "of all users so many may wait");
    is_int(refused, 1 + PENDING_SPARE, "then the refusal is at once");
    relay_wake(sent.relay, FAR);
    is_int((long)relay_stats(sent.relay)->admissions[MSG_ADMIT_USER_LIMIT],
           PENDING_MAX + refused + 1, "all are answered");
    is_int(admit(1, 9999, SLICE("ann")), WAITS, "and there is room to wait again");
    relay_free(&sent.relay);
}

static int lines_with(const char *file, const char *text)
{
    char line[1024];
    int n = 0;
    FILE *in = fopen(file, "r");

    while (in != NULL && fgets(line, sizeof(line), in) != NULL)
        n += strstr(line, text) != NULL;
    if (in != NULL)
        fclose(in);
    return n;
}

/* --- further rooms ------------------------------------------------------------------- */

static void rooms(unsigned lane, uint32_t id, uint64_t client, struct slice joined,
                  struct slice left)
{
    struct slices in = {.at = &joined, .n = joined.ptr != NULL};
    struct slices out = {.at = &left, .n = left.ptr != NULL};

    is_int(relay_rooms(sent.relay, lane, id, client, 0, &in, &out), 0, "rooms are heard of");
}
#define NO_ROOM ((struct slice){NULL, 0})

static void test_rooms(void)
{
    begin(conf_make());
    admit(1, 7, SLICE("ann"));
    admit(2, 7, SLICE("bob"));
    rooms(1, 0, 7, SLICE("game"), NO_ROOM);
    rooms(2, 0, 7, SLICE("game"), NO_ROOM);
    is_str(sent.noted, "", "who wants no answer gets none");
    publish(ROOMS("game"), "[\"msg\"]");
    is_str(got(), "1 2", "a room of two workers");
    rooms(1, 5, 7, SLICE("chat"), SLICE("game"));
    is_str(sent.noted, "1:5", "who wants one does");
    publish(ROOMS("game"), "[\"msg\"]");
    is_str(got(), "2", "one has left it");
    publish(ROOMS("chat"), "[\"msg\"]");
    is_str(got(), "1", "for another");
    relay_left(sent.relay, 1, 7, SLICE("ann"));
    publish(ROOMS("chat"), "[\"msg\"]");
    is_str(got(), "", "who goes is in none");
    relay_free(&sent.relay);
}

static void test_rooms_of_nobody(void)
{
    char file[] = "/tmp/test_relay.XXXXXX";

    close(mkstemp(file));
    begin(conf_make());
    if (log_open(LOG_TO_FILE, file, LOG_TEXT) < 0)
        exit(1);
    for (uint64_t client = 0; client < 10; client++)
        rooms(1, 1 + (uint32_t)client, client, SLICE("game"), SLICE("chat"));
    log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    publish(ROOMS("game"), "[\"msg\"]");
    is_str(got(), "", "clients that are not in join nothing");
    is_str(sent.noted, "1:1 1:2 1:3 1:4 1:5 1:6 1:7 1:8 1:9 1:10", "but are answered");
    is_int(lines_with(file, "worker 2: a client joined rooms that was not in count=1"), 1,
           "one line says so");
    unlink(file);
    relay_free(&sent.relay);
}

/* Those of its token. */
static void test_admission_rooms(void)
{
    begin_full();
    sent.at_answer = "guild";
    is_int(admit_into(2, 5, SLICE("bob"), SLICE("guild")), MSG_ADMIT_OK, "a client with a room");
    is_int(sent.at_answer_found, 1, "which is known before it hears that it is in");
    is_int(admit_into(1, 6, SLICE("eve"), SLICE("eve")), MSG_ADMIT_OK, "one with its own");
    is_int((long)route_rooms(relay_route(sent.relay)), 1, "that is no further one");
    is_int(admit_into(1, 2, SLICE("ann"), SLICE("guild")), WAITS, "one that waits for a place");
    publish(ROOMS("guild"), "[\"msg\"]");
    is_str(got(), "2", "is in no room");
    relay_left(sent.relay, 0, 1, SLICE("ann"));
    is_int(sent.at_answer_found, 2, "until it is let in");
    publish(ROOMS("guild"), "[\"msg\"]");
    is_str(got(), "1 2", "then it is");
    admit_into(0, 3, SLICE("ann"), SLICE("other"));
    relay_wake(sent.relay, FAR);
    is_int(sent.verdict, MSG_ADMIT_USER_LIMIT, "one that is refused");
    publish(ROOMS("other"), "[\"msg\"]");
    is_str(got(), "", "is in none");
    relay_free(&sent.relay);
}

/* --- what is not relayed, and what is said ---------------------------------------------- */

/* --- one that has its session back --- */

static struct comeback again;

static const struct comeback *on_comeback(const struct admit *admit, void *arg)
{
    (void)admit, (void)arg;
    return &again;
}

static char seats[256];

static void visit_seat(const struct route_seat *seat, void *arg)
{
    size_t at = strlen(seats);

    (void)arg;
    snprintf(seats + at, sizeof(seats) - at, "%.*s@%u%s ", (int)seat->room.len, seat->room.ptr,
             (unsigned)seat->seq, seat->is_claimed ? "!" : "");
}

/* "-3 a@5 b@6! ": default rooms that it has left, and the others. */
static const char *rooms_of(unsigned lane, uint64_t client)
{
    static char text[300];
    unsigned left;

    seats[0] = '\0';
    left = route_client_rooms(relay_route(sent.relay), lane, client, visit_seat, NULL);
    snprintf(text, sizeof(text), "-%u %s", left, seats);
    return text;
}

static void test_comeback(void)
{
    static const struct relay_ops with = {
        .send = on_send, .answer = on_answer, .wake = on_wake, .comeback = on_comeback};
    struct admit admit = {.lane = 1, .client = 7, .uid = SLICE("ann"), .resumes = 1};
    struct buf items = {0};
    struct slice room;

    begin(conf_make());
    relay_free(&sent.relay);
    sent.relay = relay_new(conf_make(), &with, NULL);
    relay_worker_up(sent.relay, 1);
    msg_put_room(&items, 5, SLICE("a"));
    room = (struct slice){(const char *)items.data, items.len};
    again = (struct comeback){
        .left = MSG_LEFT_EVERYBODY | MSG_LEFT_OWN, .rooms = {.at = &room, .n = 1}, .nclaimed = 1};
    relay_admit(sent.relay, &admit);
    is_str(rooms_of(1, 7), "-3 a@5! ", "who comes back is in the rooms of before, since then");
    again.nclaimed = 0;
    again.left = 0;
    admit.client = 8;
    relay_admit(sent.relay, &admit);
    is_str(rooms_of(1, 8), "-0 a@5 ", "by request, where it is so");
    again.has_own_id = 1;
    admit.client = 9;
    relay_admit(sent.relay, &admit);
    is_str(rooms_of(1, 9), "-0 a@5 ", "without an id of its own");
    admit.client = 10;
    admit.session = SLICE("123456789012345");
    again.rooms.n = 0;
    relay_admit(sent.relay, &admit);
    is_str(rooms_of(1, 10), "-0 MTIzNDU2Nzg5MDEyMzQ1@0 ", "an id that it has for once is a room");
    buf_free(&items);
    relay_free(&sent.relay);
}

static void test_drops(void)
{
    char file[] = "/tmp/test_relay.XXXXXX";
    char big[8192] = "[\"msg\",\"";
    const struct relay_stats *stats;

    close(mkstemp(file));
    begin(conf_make());
    if (log_open(LOG_TO_FILE, file, LOG_TEXT) < 0)
        exit(1);
    for (int i = 0; i < 100; i++)
        relay_message(sent.relay, SLICE("k#/axr#\n\x1b"), SLICE("\xc1 garbage"), 1, 0);
    publish(NULL, "[\"disconnect\"]");
    memset(big + 8, 'x', 5000);
    memcpy(big + 5008, "\"]", 3);
    publish(NULL, big);
    /* [uid, {type: 2, data: ["x"], nsp: "/other"}, {}] */
    relay_message(sent.relay, SLICE("k#/other#"),
                  SLICE("\x93\xa1u\x83\xa4type\x02\xa4"
                        "data\x91\xa1x\xa3nsp\xa6/other\x80"),
                  1, 0);
    relay_drop(sent.relay, EMIT_TOO_LARGE, (struct slice){0});
    log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    stats = relay_stats(sent.relay);
    is_int((long)sent.n, 0, "nothing is relayed");
    is_int((long)relay_seq(sent.relay), 0, "nor numbered");
    is_int((long)stats->dropped[EMIT_MALFORMED], 100, "garbage is counted");
    is_int((long)stats->dropped[EMIT_RESERVED_EVENT], 1, "so is a reserved event");
    is_int((long)stats->dropped[EMIT_TOO_LARGE], 2, "a large one, and one given up by redis.c");
    is_int((long)stats->dropped[EMIT_OTHER_NAMESPACE], 1, "and what is for others");
    is_int((long)stats->faulty, 103, "which is no fault");
    is_int(lines_with(file, "reason=malformed"), 1, "one line a reason");
    is_int(lines_with(file, "channel=k#/axr#\\x0a\\x1b"), 1, "with its channel, escaped");
    is_int(lines_with(file, "reason="), 3, "none for others' messages");
    publish(NULL, "[\"msg\",\"still here\"]");
    is_str(got(), "0 1 2", "a good one after all that");
    unlink(file);
    relay_free(&sent.relay);
}

/* A line a minute of each kind, however many. */
static void test_unheard(void)
{
    char file[] = "/tmp/test_relay.XXXXXX";

    close(mkstemp(file));
    begin(conf_make());
    admit(1, 1, SLICE("ann"));
    if (log_open(LOG_TO_FILE, file, LOG_TEXT) < 0)
        exit(1);
    publish(ROOMS("ann"), "[\"msg\"]");
    for (int i = 0; i < 3; i++) {
        publish(ROOMS("eve"), "[\"msg\"]");
        relay_message(sent.relay, SLICE("k#/axr#42#"),
                      SLICE("\x93\xa1u\x83\xa4type\x02\xa4"
                            "data\x91\xa1x\xa3nsp\xa4/axr\x81\xa5rooms\x91\x2a"),
                      1, 0);
        relay_drop(sent.relay, EMIT_NOBODY, SLICE("k#/axr#undefined#"));
    }
    log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    is_int((long)relay_stats(sent.relay)->nobody, 6, "each is counted");
    is_int(lines_with(file, "nobody here is in these rooms: event=msg rooms=eve times=1\n"), 1,
           "a room of nobody: a line");
    is_int(lines_with(file, "String(id): event=x room=42 times=1\n"), 1, "a number: another");
    is_int(lines_with(file, "channel=k#/axr#undefined# times=1\n"), 1, "no name: another");
    is_int(lines_with(file, "\n"), 3, "and no more");
    unlink(file);
    relay_free(&sent.relay);
}

/* A line for each message, at debug and not before. */
static void test_shown(void)
{
    char file[] = "/tmp/test_relay.XXXXXX", name[40] = "", rooms[2000];
    const char *many[200];

    close(mkstemp(file));
    begin(conf_make());
    admit(1, 1, SLICE("ann"));
    admit(2, 2, SLICE("bob"));
    if (log_open(LOG_TO_FILE, file, LOG_TEXT) < 0)
        exit(1);
    publish(ROOMS("ann"), "[\"early\"]");
    log_set_level(LOG_LEVEL_DEBUG);
    publish(ROOMS("ann", "bob"), "[\"msg\",{\"secret\":1}]");
    publish(NULL, "[\"to all\\n\\u0001\"]");
    publish(ROOMS("eve=1 x=\n"), "[42]");
    for (int i = 0; i < 200; i++) {
        snprintf(rooms + 10 * i, 10, "room%d", i);
        many[i] = rooms + 10 * i;
    }
    many[199] = NULL;
    publish(many, "[\"\"]");
    memset(name, 'n', sizeof(name) - 1);
    publish(ROOMS(name, name), "[\"x\"]");
    relay_drop(sent.relay, EMIT_OTHER_NAMESPACE, SLICE("k#/other#"));
    log_set_level(LOG_LEVEL_INFO);
    log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    is_int(lines_with(file, "notification: "), 5, "a line each");
    is_int(lines_with(file, "message ignored: reason=other_namespace count=1 channel=k#/other#"), 1,
           "one for what is meant for others");
    is_int(lines_with(file, "early"), 0, "none below debug");
    is_int(lines_with(file, "secret"), 0, "no payload");
    is_int(lines_with(file, "event=msg rooms=ann,bob workers=2,3\n") +
               lines_with(file, "event=msg rooms=ann,bob workers=3,2\n"),
           1, "event, rooms and workers");
    is_int(lines_with(file, "event=to\\x20all\\x5cn\\x5cu0001 rooms=* workers="), 1,
           "to everybody, escaped");
    is_int(lines_with(file, "event=42 rooms=eve=1\\x20x=\\x0a workers=nobody\n"), 1, "or nobody");
    is_int(lines_with(file, "event= rooms=room0,room1,"), 1, "an event without a name, many rooms");
    is_int(lines_with(file, ",...(199) workers=nobody\n"), 1, "of which some are shown");
    unlink(file);
    relay_free(&sent.relay);
}

static void test_size(void)
{
    struct conf *conf = conf_make();
    size_t n = 200000;
    const char **rooms;

    begin(conf);
    /* Thousands of rooms of one byte: small for redis, four times that on a pipe. */
    rooms = calloc(n + 1, sizeof(*rooms));
    for (size_t i = 0; i < n; i++)
        rooms[i] = "a";
    conf->message_bytes = 1 << 20;
    relay_free(&sent.relay);
    begin(conf);
    admit(0, 10, SLICE("a"));
    publish(rooms, "[\"msg\"]");
    is_int((long)sent.n <= 1, 1, "many rooms: sent once or refused");
    if (sent.n == 0)
        is_int((long)relay_stats(sent.relay)->dropped[EMIT_TOO_LARGE], 1, "refused as too large");
    free(rooms);
    relay_free(&sent.relay);
    ok(sent.relay == NULL, "relay_free clears the pointer");
}

static void visit(struct slice uid, void *arg)
{
    size_t *n = arg;

    *n += uid.len;
}

/* Who comes and goes is told. */
static void test_changes(void)
{
    size_t bytes = 0;
    uint32_t cursor = 0;

    begin(conf_make());
    changes[0] = '\0';
    is_int(admit(1, 1, SLICE("ann")), MSG_ADMIT_OK, "ann");
    is_int(admit(2, 2, SLICE("ann")), MSG_ADMIT_OK, "twice");
    is_int(admit(2, 3, SLICE("bob")), MSG_ADMIT_OK, "and bob");
    do
        cursor = relay_scan_users(sent.relay, cursor, visit, &bytes);
    while (cursor != 0);
    is_int((long)bytes, 6, "both are visited, once each");
    relay_left(sent.relay, 1, 1, SLICE("ann"));
    relay_left(sent.relay, 1, 1, SLICE("ann"));
    relay_worker_down(sent.relay, 2);
    is_str(changes, "ann@1=1 ann@2=2 bob@2=1 ann@1=1 @2=0 ", "each is told of");
    relay_free(&sent.relay);
}

int main(void)
{
    test_routes();
    test_dying();
    test_user_limit();
    test_replace();
    test_replace_many();
    test_replace_dying();
    test_waiting();
    test_waiting_times_out();
    test_waiting_dying();
    test_waiting_reload();
    test_reload_limits();
    test_waiting_is_bounded();
    test_rooms();
    test_rooms_of_nobody();
    test_admission_rooms();
    test_comeback();
    test_drops();
    test_unheard();
    test_shown();
    test_size();
    test_changes();
    return tap_done();
}
