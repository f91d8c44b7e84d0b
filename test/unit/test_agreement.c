/* Daemons on one real redis, with what they make of its order (feed and marks), while their
 * connections are lost and replaced, by users that may hear more or less: no offset may name
 * two places (skipped where there is no redis). */
#include "master/feed.h"
#include "master/marks.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "redis_server.h"
#include "tap.h"

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define CHANNEL     "k#/axr#"
#define OLD_CHANNEL "k#room#/axr#" /* which an ACL may withhold */
#define PEERS       "k-peer#/axr#"
#define WAIT_MS     60000

enum { DAEMONS = 3, PLACES = 1 << 20, MARKS = 1 << 16, MESSAGES = 1 << 17, TURNS = 6000 };

static struct event_base *base;
static struct redis_server server;
static redisContext *context;

/* --- which place an offset names ------------------------------------------------- */

/* Places are numbers of messages; a mark is at that of the last message before it. */
static struct place {
    uint64_t offset;
    unsigned number;
    unsigned who; /* bits of daemons */
} places[PLACES];
static size_t nplaces, nshared, nwrong;

static void note(unsigned who, uint64_t offset, unsigned number)
{
    size_t i = offset % PLACES;

    while (places[i].offset != 0 && places[i].offset != offset)
        i = (i + 1) % PLACES;
    if (places[i].offset == 0) {
        if (++nplaces > PLACES / 2)
            abort();
        places[i] = (struct place){offset, number, 0};
    }
    if (places[i].number != number && nwrong++ < 10)
        printf("# daemon %u: at %u and at %u (of %x)\n", who, places[i].number, number,
               places[i].who);
    nshared += places[i].who != 0 && !(places[i].who & 1U << who);
    places[i].who |= 1U << who;
}

static uint8_t marks_at[MARKS][OFFSETS_MARK]; /* those that were published, and where */
static unsigned marks_number[MARKS];
static size_t nmarks;

static unsigned number;           /* of the last message */
static unsigned new_number;       /* of the last that is not on the old channel */
static unsigned before[MESSAGES]; /* of each of these the one before it */

static unsigned number_of(struct slice mark)
{
    for (size_t i = nmarks; i-- > 0;)
        if (memcmp(marks_at[i], mark.ptr, OFFSETS_MARK) == 0)
            return marks_number[i];
    printf("# a mark that nobody published\n");
    nwrong++;
    return 0;
}

/* --- daemons ---------------------------------------------------------------------- */

static struct daemon {
    unsigned who;
    struct conf confs[2]; /* in turn */
    int at;
    struct feed *feed;
    struct marks *marks;
    unsigned heard; /* the last message that is not on the old channel; 0: behind a gap */
    unsigned place; /* of the last mark or message */
    size_t ngaps, npeers, nlost, shared;
    int is_marked; /* marks_peer() is at work, for the mark of that place */
    unsigned marked;
} daemons[DAEMONS];

static void on_step(uint64_t offset, void *arg)
{
    struct daemon *daemon = arg;

    if (daemon->is_marked)
        note(daemon->who, offset, daemon->marked);
}

static int on_publish(const uint8_t mark[OFFSETS_MARK], void *arg)
{
    (void)mark, (void)arg;
    return 0; /* the test does that */
}

static const struct marks_ops marks_ops = {on_step, on_publish};

static void wrong_if(int is_wrong, const char *what)
{
    if (is_wrong && nwrong++ < 10)
        printf("# %s\n", what);
}

static void on_message(struct slice channel, struct slice payload, uint64_t received_us, void *arg)
{
    struct daemon *daemon = arg;
    uint64_t offset = marks_message(daemon->marks, channel, payload);
    char text[16];
    unsigned came;

    (void)received_us;
    snprintf(text, sizeof(text), "%.*s", (int)payload.len, payload.ptr);
    came = (unsigned)strtoul(text, NULL, 10);
    if (!slice_eq(channel, SLICE(OLD_CHANNEL))) {
        wrong_if(came <= daemon->place, "a message twice, or behind a mark that came later");
        wrong_if(daemon->heard > 0 && before[came] != daemon->heard, "one is lost without a gap");
        daemon->heard = daemon->place = came;
    }
    note(daemon->who, offset, came);
    daemon->shared += (size_t)marks_shared(daemon->marks);
}

static void on_nothing(void *arg)
{
    (void)arg;
}

static void on_state(int state, void *arg)
{
    (void)state, (void)arg;
}

static int on_behind(void *arg)
{
    (void)arg;
    return 0;
}

static void on_arrived(struct slice payload, int is_counted, uint32_t via, void *arg)
{
    (void)payload, (void)is_counted, (void)via, (void)arg;
}

static void on_request(struct slice payload, uint32_t via, void *arg)
{
    (void)payload, (void)via, (void)arg;
}

static void on_peer(struct slice payload, void *arg)
{
    struct daemon *daemon = arg;

    daemon->npeers++;
    daemon->is_marked = payload.len == OFFSETS_MARK;
    if (daemon->is_marked) {
        daemon->marked = number_of(payload);
        wrong_if(daemon->heard > daemon->marked, "a mark behind a message that came later");
        daemon->place = daemon->marked;
    }
    (void)marks_peer(daemon->marks, payload);
    daemon->is_marked = 0;
}

static void on_gap(void *arg)
{
    struct daemon *daemon = arg;

    daemon->ngaps++;
    daemon->heard = 0;
    marks_gap(daemon->marks, feed_node(daemon->feed));
}

static const struct feed_ops feed_ops = {.message = on_message,
                                         .too_large = on_nothing,
                                         .state = on_state,
                                         .synced = on_nothing,
                                         .behind = on_behind,
                                         .arrived = on_arrived,
                                         .request = on_request,
                                         .commands = on_state,
                                         .peer = on_peer,
                                         .gap = on_gap};

static void daemon_start(unsigned who)
{
    static char key[] = "k", nsp[] = "/axr", host[] = "localhost";
    struct daemon *daemon = &daemons[who];

    *daemon = (struct daemon){.who = who};
    daemon->confs[0] =
        (struct conf){.key = key, .nsp = nsp, .message_bytes = 4194304, .recovery = 1};
    daemon->confs[0].redis.host = host;
    daemon->confs[0].redis.path = server.path;
    daemon->marks = marks_new(base, &marks_ops, daemon);
    daemon->feed = feed_new(base, &daemon->confs[0], &feed_ops, daemon);
    if (daemon->marks == NULL || daemon->feed == NULL)
        abort();
}

static void daemon_change(struct daemon *daemon, char *user, int recovery)
{
    static char first[] = "first", second[] = "second";
    const struct conf *was = &daemon->confs[daemon->at];

    daemon->at = !daemon->at;
    daemon->confs[daemon->at] = *was;
    daemon->confs[daemon->at].recovery = recovery;
    daemon->confs[daemon->at].redis.username = user;
    daemon->confs[daemon->at].redis.password =
        was->redis.password == first || rand_below(2) ? second : first;
    feed_configure(daemon->feed, was, &daemon->confs[daemon->at]);
}

/* --- what happens to them ----------------------------------------------------------- */

static void command(const char *text)
{
    redisReply *reply = redisCommand(context, text);

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
        printf("# %s: %s\n", text, reply != NULL ? reply->str : "no answer");
    freeReplyObject(reply);
}

static void users(void)
{
    command("ACL SETUSER all on >first >second allchannels +@all");
    command("ACL SETUSER some on >first >second resetchannels &k#/axr#* &k#emitter &k#/axr "
            "&k#[^/]*/axr#* &k-request#/axr#* &k-response#/axr#* +@all"); /* no daemons */
    command("ACL SETUSER few on >first >second resetchannels &k#/axr#* &k#emitter &k#/axr "
            "&k-peer#/axr# +@all"); /* no old emitters */
}

static void publish(void)
{
    int is_old = rand_below(8) == 0;

    if (++number == MESSAGES)
        abort();
    redisAppendCommand(context, "PUBLISH %s %u", is_old ? OLD_CHANNEL : CHANNEL, number);
    before[number] = new_number;
    if (!is_old)
        new_number = number;
}

static void publish_mark(void)
{
    rand_bytes(marks_at[nmarks], OFFSETS_MARK);
    marks_number[nmarks] = number;
    redisAppendCommand(context, "PUBLISH %s %b", PEERS, marks_at[nmarks], (size_t)OFFSETS_MARK);
    if (++nmarks == MARKS)
        abort();
}

/* Some of each, and often nothing between two marks. */
static void publish_some(void)
{
    unsigned n = rand_below(4) == 0 ? rand_below(20) : rand_below(3);

    for (unsigned i = 0; i < n; i++)
        rand_below(3) == 0 ? publish_mark() : publish();
    for (unsigned i = 0; i < n; i++) {
        void *reply = NULL;
        if (redisGetReply(context, &reply) == REDIS_OK)
            freeReplyObject(reply);
    }
}

static void turn(void)
{
    const struct timeval tick = {0, 1000};

    event_base_loopexit(base, &tick);
    event_base_loop(base, EVLOOP_ONCE);
}

static char all[] = "all", some[] = "some", few[] = "few";

static void disturb(void)
{
    char *const names[] = {all, all, all, some, few};
    struct daemon *daemon = &daemons[rand_below(DAEMONS)];

    switch (rand_below(12)) {
    case 0:
        command("CLIENT KILL TYPE pubsub");
        for (int i = 0; i < DAEMONS; i++)
            daemons[i].nlost++;
        break;
    case 1:
        daemon_change(daemon, all, 0);
        break;
    case 2:
        feed_sync(daemon->feed); /* a new connection is given up */
        break;
    default:
        daemon_change(daemon, names[rand_below(5)], 1);
        break;
    }
}

static int is_through(void)
{
    for (int i = 0; i < DAEMONS; i++)
        if (daemons[i].heard != number)
            return 0;
    return 1;
}

static void test_agreement(void)
{
    uint64_t stop;

    for (unsigned i = 0; i < DAEMONS; i++)
        daemon_start(i);
    for (int i = 0; i < TURNS; i++) {
        publish_some();
        turn();
        if (rand_below(60) == 0)
            disturb();
    }
    for (unsigned i = 0; i < DAEMONS; i++)
        daemon_change(&daemons[i], all, 1);
    stop = clock_ms() + WAIT_MS;
    do {
        before[++number] = new_number;
        new_number = number;
        freeReplyObject(redisCommand(context, "PUBLISH %s %u", CHANNEL, number));
        for (int i = 0; i < 20 && !is_through(); i++)
            turn();
    } while (!is_through() && clock_ms() < stop);
    ok(is_through(), "all have heard the last of %u messages and %zu marks", number, nmarks);
    is_int((long)nwrong, 0, "no offset names two places, and what is lost is a gap");
    ok(nshared > number / 20, "%zu times one daemon says what another has said", nshared);
    for (int i = 0; i < DAEMONS; i++) {
        printf("# daemon %d: %zu gaps, %zu losses, %zu marks, %zu shared\n", i, daemons[i].ngaps,
               daemons[i].nlost, daemons[i].npeers, daemons[i].shared);
        ok(daemons[i].shared > 0 && daemons[i].ngaps >= 1, "it was in it");
        feed_free(&daemons[i].feed);
        marks_free(&daemons[i].marks);
    }
    turn();
}

int main(void)
{
    char dir[] = "/tmp/test_agreement.XXXXXX";

    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    if (!redis_server_is_there()) {
        ok(1, "real redis # SKIP no redis-server");
        return tap_done();
    }
    if (mkdtemp(dir) == NULL)
        return 1;
    log_set_level(LOG_LEVEL_ERROR);
    base = event_base_new();
    redis_server_start(&server, dir, "one", NULL);
    context = redis_server_connect(&server);
    users();
    test_agreement();
    redisFree(context);
    redis_server_stop(&server);
    event_base_free(base);
    rmdir(dir);
    return tap_done();
}
