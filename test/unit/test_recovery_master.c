/* master/recovery: its parts together, on and off, and from one configuration to another. */
#include "master/recovery.h"

#include "base/base64.h"
#include "codec/pack.h"
#include "codec/sid.h"
#include "ipc/history.h"
#include "master/relay.h"
#include "master/route.h"

#include "cluster_idle.h"
#include "tap.h"

#include <event2/event.h>
#include <unistd.h>

#define LANE   3
#define CLIENT UINT64_C(0x500000007) /* the fifth in place 7 */

static char nsp[] = "/axr", key[] = "k", secret[] = "a secret that is long enough: 01234567";
static struct conf conf, other;
static struct event_base *base;
static struct relay *relay;
static struct cluster *cluster;
static struct recovery *recovery;

static struct {
    struct msg_admitted admitted; /* the last */
    uint8_t pid[PID_LEN], session[SESSION_LEN];
    unsigned answers, offsets;
    uint64_t seq, offset; /* of the last MSG_OFFSET */
    unsigned published;
    int may_publish;
} got;

/* --- what is around it ------------------------------------------------------------------ */

static void on_send(unsigned lane, const void *message, size_t len, void *arg)
{
    (void)lane, (void)message, (void)len, (void)arg;
}

static void on_send_all(const struct buf *message, void *arg)
{
    struct msg msg;

    (void)arg;
    is_int(msg_decode(&msg, message->data, message->len, 64) > 0 && msg.type == MSG_OFFSET, 1,
           "all hear an offset");
    got.seq = msg_get_u64(&msg);
    got.offset = msg_get_u64(&msg);
    is_int(msg_close(&msg), 0, "and no more");
    got.offsets++;
}

static int on_publish(struct buf *payload, void (*done)(int ok, void *done_arg), void *done_arg,
                      void *arg)
{
    (void)done, (void)done_arg, (void)arg;
    got.published++;
    if (!got.may_publish)
        return -1;
    buf_free(payload);
    return 0;
}

static int on_ping(void *arg)
{
    (void)arg;
    return -1;
}

static const struct recovery_ops ops = {on_send, on_send_all, on_publish, on_ping};

static void on_answer(const struct admit *admit, const struct comeback *comeback,
                      enum msg_verdict verdict, void *arg)
{
    struct msg_admitted admitted = {.client = admit->client, .verdict = (uint8_t)verdict};

    (void)arg;
    if (verdict == MSG_ADMIT_OK)
        recovery_answer(recovery, admit, comeback, &admitted);
    if (admitted.pid.len > 0)
        memcpy(got.pid, admitted.pid.ptr, PID_LEN);
    if (admitted.session.len > 0)
        memcpy(got.session, admitted.session.ptr, SESSION_LEN);
    got.admitted = admitted;
    got.answers++;
}

static int on_wake(unsigned ms, void *arg)
{
    (void)ms, (void)arg;
    return 0;
}

static void on_kept(uint64_t seq, const struct broadcast *bc, struct slice message, void *arg)
{
    (void)arg;
    recovery_kept(recovery, seq, bc, message);
}

static void on_dropped(enum emit_result reason, uint64_t offset, void *arg)
{
    (void)arg;
    recovery_dropped(recovery, reason, offset);
}

static const struct comeback *on_comeback(const struct admit *admit, void *arg)
{
    (void)arg;
    return recovery_comeback(recovery, admit);
}

static const struct relay_ops relay_ops = {on_send, on_answer,  on_wake,    NULL,
                                           on_kept, on_dropped, on_comeback};

static void begin(int is_on)
{

    memset(&got, 0, sizeof(got));
    conf = (struct conf){.nsp = nsp,
                         .key = key,
                         .message_bytes = 4096,
                         .attachments = 10,
                         .ping_interval_ms = 25000,
                         .ping_timeout_ms = 20000,
                         .rooms_per_client = 10,
                         .recovery = is_on,
                         .recovery_ms = 120000,
                         .recovery_bytes = 1 << 20,
                         .recovery_secret = secret,
                         .recovery_secret_len = sizeof(secret) - 1};
    relay = relay_new(&conf, &relay_ops, NULL);
    cluster = cluster_idle(&conf, relay);
    recovery = recovery_new(base, &conf, relay, cluster, &ops, NULL);
    if (relay == NULL || recovery == NULL)
        abort();
    relay_worker_up(relay, LANE);
}

static void end(void)
{
    recovery_free(&recovery);
    cluster_free(&cluster);
    relay_free(&relay);
}

/* --- what happens ----------------------------------------------------------------------- */

static void publish(const char *uid, const char *json)
{
    struct buf channel = {0}, payload = {0};
    struct slice room = slice_str(uid);
    struct slices to = {.at = &room, .n = 1}, none = {0};
    struct slice at, what;

    if (emit_encode(&channel, &payload, slice_str(key), slice_str(nsp), &to, &none, 0,
                    slice_str(json)) < 0)
        abort();
    at = (struct slice){(char *)channel.data, channel.len};
    what = (struct slice){(char *)payload.data, payload.len};
    relay_message(relay, at, what, 1, recovery_message(recovery, at, what));
    buf_free(&channel);
    buf_free(&payload);
}

/* The Socket.IO id that the worker in LANE would give it. */
static struct slice session_at(uint32_t index)
{
    static uint8_t raw[SESSION_LEN + 1];
    char sid[SIO_SID_LEN];

    sio_sid_encode(sid, 4711 + index, &(struct sid_home){LANE, 1, index});
    if (base64url_decode(raw, sid, sizeof(sid)) != SESSION_LEN)
        abort();
    return (struct slice){(const char *)raw, SESSION_LEN};
}

static void come(uint64_t client, const uint8_t *pid, uint64_t offset)
{
    struct admit admit = {.lane = LANE,
                          .client = client,
                          .uid = SLICE("ann"),
                          .session = session_at((uint32_t)client),
                          .has_offset = offset != 0,
                          .offset = offset};

    if (pid != NULL)
        admit.pid = (struct slice){(const char *)pid, PID_LEN};
    got.answers = 0;
    recovery_admit(recovery, &admit);
    is_int(got.answers, 1, "answered");
}

static void go(uint64_t client, int is_ended)
{
    recovery_left(recovery, LANE, client, SLICE("ann"), is_ended);
    relay_left(relay, LANE, client, SLICE("ann"));
}

/* How many messages a worker would read from that position on. */
static int missed(int fd, uint64_t from)
{
    struct history_view *view = history_view_open(fd);
    struct history_entry entry;
    int n = 0;

    if (view == NULL)
        return -2;
    for (; history_next(view, from, &entry) == HISTORY_ENTRY; from = entry.next)
        n++;
    if (history_next(view, from, &entry) == HISTORY_OVERRUN)
        n = -1;
    history_view_close(&view);
    return n;
}

/* --- tests ------------------------------------------------------------------------------ */

static void test_off(void)
{
    begin(0);
    recovery_gap(recovery, (struct slice){0});
    is_int((long)recovery_message(recovery, SLICE("k#/axr#"), SLICE("x")), 0, "no offset");
    is_int(recovery_fd(recovery, &conf), -1, "nothing to read");
    come(CLIENT, NULL, 0);
    ok(got.admitted.pid.len == 0 && got.admitted.offset == 0 && !got.admitted.resumed, "no pid");
    publish("ann", "[\"x\"]");
    go(CLIENT, 0);
    recovery_worker_down(recovery, LANE);
    recovery_peer(recovery, SLICE("0123456789abcdef"));
    recovery_pong(recovery);
    recovery_ready(recovery);
    is_int((long)(got.offsets + got.published), 0, "and nobody is told anything");
    end();
}

static void test_comes_back(void)
{
    uint8_t pid[PID_LEN], session[SESSION_LEN];
    int fd;

    begin(1);
    fd = recovery_fd(recovery, &conf);
    ok(fd >= 0, "workers have something to read");
    recovery_gap(recovery, (struct slice){0});
    is_int(got.offsets, 1, "the stream begins");
    come(CLIENT, NULL, 0);
    ok(got.admitted.pid.len == PID_LEN && !got.admitted.resumed, "a new session has a pid");
    ok(got.admitted.offset == got.offset, "and is told where the stream is");
    memcpy(pid, got.pid, PID_LEN);
    memcpy(session, session_at((uint32_t)CLIENT).ptr, SESSION_LEN);
    publish("ann", "[\"before\"]");
    go(CLIENT, 0);
    publish("ann", "[\"missed\"]");
    publish("bob", "[\"another's\"]");
    come(CLIENT + 1, pid, 0);
    ok(got.admitted.resumed && memcmp(got.pid, pid, PID_LEN) == 0, "it has its session back");
    ok(memcmp(got.session, session, SESSION_LEN) == 0, "and its id");
    is_int(missed(fd, got.admitted.from), 3, "all since it came first");
    ok(got.admitted.offset == got.offset, "with what it would be told, had it missed nothing");
    go(CLIENT + 1, 1);
    come(CLIENT + 2, pid, 0);
    ok(got.admitted.pid.len == PID_LEN && !got.admitted.resumed, "but not where it has ended");
    ok(memcmp(got.pid, pid, PID_LEN) != 0, "then it has another");
    end();
}

/* With the offset that it was told it has nothing twice; and it is told a newer one. */
static void test_offset(void)
{
    static const char mark[] = "0123456789abcdef";
    uint64_t first;

    begin(1);
    recovery_gap(recovery, (struct slice){0});
    come(CLIENT, NULL, 0);
    publish("ann", "[\"x\"]");
    recovery_peer(recovery, (struct slice){mark, 16});
    is_int(got.offsets, 2, "a mark moves the stream");
    is_int((long)got.seq, 1, "behind the message");
    first = got.offset;
    go(CLIENT, 0);
    publish("ann", "[\"y\"]");
    come(CLIENT + 1, got.pid, first);
    ok(got.admitted.resumed, "with the offset of the mark");
    is_int(missed(recovery_fd(recovery, &conf), got.admitted.from), 1, "one was missed");
    ok(got.admitted.offset == first, "where it is, it may be told");
    go(CLIENT + 1, 0);
    publish("ann", "[\"z\"]");
    recovery_peer(recovery, (struct slice){mark, 16});
    come(CLIENT + 2, got.pid, got.offset);
    ok(got.admitted.resumed, "that of a message or a mark is one");
    go(CLIENT + 2, 0);
    come(CLIENT + 3, got.pid, first ^ 1);
    ok(!got.admitted.resumed, "another is none");
    end();
}

static void test_gaps(void)
{
    uint8_t pid[PID_LEN];

    begin(1);
    recovery_gap(recovery, (struct slice){0});
    come(CLIENT, NULL, 0);
    memcpy(pid, got.pid, PID_LEN);
    go(CLIENT, 0);
    recovery_gap(recovery, (struct slice){0});
    come(CLIENT + 1, pid, 0);
    ok(!got.admitted.resumed, "nobody comes back over a gap");
    memcpy(pid, got.pid, PID_LEN);
    go(CLIENT + 1, 0);
    recovery_dropped(recovery, EMIT_MALFORMED, 7);
    recovery_dropped(recovery, EMIT_TOO_LARGE, 8);
    come(CLIENT + 2, pid, 0);
    ok(got.admitted.resumed, "what is dropped for what it is, is no gap");
    go(CLIENT + 2, 0);
    recovery_dropped(recovery, EMIT_NO_MEMORY, 9);
    come(CLIENT + 3, pid, 0);
    ok(!got.admitted.resumed, "for want of memory it is");
    end();
}

static void test_worker_dies(void)
{
    uint8_t pid[PID_LEN];

    begin(1);
    recovery_gap(recovery, (struct slice){0});
    come(CLIENT, NULL, 0);
    memcpy(pid, got.pid, PID_LEN);
    recovery_worker_down(recovery, LANE);
    relay_worker_down(relay, LANE);
    relay_worker_up(relay, LANE);
    come(CLIENT + 1, pid, 0);
    ok(got.admitted.resumed, "those of a worker that died come back");
    end();
}

/* A history of another size: its workers read that, the others what there was. */
static void test_configure(void)
{
    uint8_t pid[PID_LEN];
    int fd, next;

    begin(1);
    recovery_gap(recovery, (struct slice){0});
    come(CLIENT, NULL, 0);
    memcpy(pid, got.pid, PID_LEN);
    fd = recovery_fd(recovery, &conf);
    other = conf;
    is_int(recovery_prepare(recovery, &other), 0, "the same again");
    is_int(recovery_fd(recovery, &other), fd, "is the same history");
    recovery_configure(recovery, &other);
    is_int(recovery_fd(recovery, &other), fd, "then too");
    go(CLIENT, 0);
    come(CLIENT + 1, pid, 0);
    ok(got.admitted.resumed, "and sessions go on");

    conf.recovery_bytes = 2 << 20;
    is_int(recovery_prepare(recovery, &conf), 0, "another size");
    next = recovery_fd(recovery, &conf);
    ok(next >= 0 && next != fd && recovery_fd(recovery, &other) == fd, "is another history");
    recovery_give_up(recovery);
    is_int(recovery_fd(recovery, &conf), -1, "until it is given up");
    is_int(recovery_prepare(recovery, &conf), 0, "again");
    next = recovery_fd(recovery, &conf);
    recovery_configure(recovery, &conf);
    is_int(recovery_fd(recovery, &conf), next, "in force");
    is_int(recovery_fd(recovery, &other), -1, "in place of the other");
    go(CLIENT + 1, 0);
    come(CLIENT + 2, pid, 0);
    ok(!got.admitted.resumed, "in which nothing of before is");
    memcpy(pid, got.pid, PID_LEN);
    publish("ann", "[\"x\"]");
    go(CLIENT + 2, 0);
    come(CLIENT + 3, pid, 0);
    ok(got.admitted.resumed && missed(next, got.admitted.from) == 1, "but what comes is");
    end();
}

static void test_on_and_off(void)
{
    struct recovery_stats stats;

    begin(0);
    other = conf;
    other.recovery = 1;
    is_int(recovery_prepare(recovery, &other), 0, "it is to be on");
    recovery_configure(recovery, &other);
    recovery_ready(recovery);
    come(CLIENT, NULL, 0);
    is_int((long)got.admitted.pid.len, PID_LEN, "it is");
    recovery_stats(recovery, &stats);
    ok(stats.is_on && stats.sessions == 1 && stats.max_bytes == 1 << 20, "as its numbers say");
    recovery_keys(recovery);
    is_int(recovery_prepare(recovery, &conf), 0, "it is to be off");
    recovery_configure(recovery, &conf);
    recovery_stats(recovery, &stats);
    ok(!stats.is_on && stats.sessions == 0, "it is");
    go(CLIENT, 0);
    come(CLIENT + 1, NULL, 0);
    is_int((long)got.admitted.pid.len, 0, "no pid");
    recovery_wipe(recovery);
    end();
}

/* Totals of the recovery, the history and the sessions, whatever is made anew. */
static void is_total(uint64_t recovered, uint64_t refused, uint64_t cuts, const char *name)
{
    struct recovery_stats stats;

    recovery_stats(recovery, &stats);
    ok(stats.resume.recovered == recovered && stats.resume.refused[RESUME_PID] == refused &&
           stats.history.cuts == cuts,
       "%s: %llu %llu %llu", name, (unsigned long long)stats.resume.recovered,
       (unsigned long long)stats.resume.refused[RESUME_PID],
       (unsigned long long)stats.history.cuts);
}

static void turn(struct conf *to, const struct conf *from, int on, size_t bytes)
{
    *to = *from;
    to->recovery = on;
    to->recovery_bytes = bytes;
    ok(recovery_prepare(recovery, to) == 0, "on: %d, bytes: %zu", on, bytes);
    recovery_configure(recovery, to);
}

static void test_totals(void)
{
    static struct conf confs[3];
    uint8_t pid[PID_LEN], forged[PID_LEN];
    struct recovery_stats stats;

    begin(1);
    recovery_gap(recovery, (struct slice){0});
    come(CLIENT, NULL, 0);
    memcpy(pid, got.pid, PID_LEN);
    memcpy(forged, pid, PID_LEN);
    forged[PID_LEN - 1] ^= 1;
    go(CLIENT, 0);
    come(CLIENT + 1, pid, 0);
    come(CLIENT + 2, forged, 0);
    recovery_stats(recovery, &stats);
    is_total(1, 1, stats.history.cuts, "one of each");
    turn(&confs[0], &conf, 1, 2 << 20);
    is_total(1, 1, stats.history.cuts, "another history");
    recovery_gap(recovery, (struct slice){0});
    is_total(1, 1, stats.history.cuts + 1, "which is emptied");
    turn(&confs[1], &confs[0], 0, 2 << 20);
    is_total(1, 1, stats.history.cuts + 1, "off");
    turn(&confs[2], &confs[1], 1, 2 << 20);
    is_total(1, 1, stats.history.cuts + 1, "and on");
    come(CLIENT + 3, forged, 0);
    is_total(1, 2, stats.history.cuts + 1, "one more");
    end();
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    base = event_base_new();
    test_off();
    test_comes_back();
    test_offset();
    test_gaps();
    test_worker_dies();
    test_configure();
    test_on_and_off();
    test_totals();
    event_base_free(base);
    return tap_done();
}
