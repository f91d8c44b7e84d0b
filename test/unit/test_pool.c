/* Real forks, with a worker that does little but what the contract of the pipes
 * asks, or the opposite. */
#include "master/pool.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/token.h"
#include "ipc/handoff.h"
#include "ipc/msg.h"
#include "master/relay.h"
#include "master/stats.h"
#include "master/status.h"

#include "cluster_idle.h"
#include "recovery_idle.h"
#include "tap.h"

#include <endian.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEADLINE_MS 30000

enum {
    GOOD,
    EXITS,
    OTHER_VERSION,
    UNREADY_ADMIT,
    UNKNOWN_TYPE,
    NO_UID,
    LONG_UID,
    LONGEST_UID,
    DEAF,
    CLOSES,
    STAYS,
    MUTE
};

static struct event_base *base;
static struct cluster *cluster;
static struct recovery *recovery;
static struct relay *relay;
static struct stats *stats;
static struct pool *pool;
static char dir[] = "/tmp/test_pool.XXXXXX";
static char said[64]; /* what workers have written, a line each */
static int behaviour; /* of workers that are forked from now on */
static int ready, empty, replaced, refused, left;

/* --- the worker -------------------------------------------------------------------- */

static void __attribute__((format(printf, 1, 2))) worker_says(const char *fmt, ...)
{
    va_list args;
    int fd = open(said, O_WRONLY | O_APPEND | O_CREAT, 0600);
    va_start(args, fmt);
    vdprintf(fd, fmt, args);
    va_end(args);
    close(fd);
}

static void worker_send(int fd, enum msg_type type, uint32_t number, const char *uid)
{
    struct buf out = {0};
    size_t mark = msg_begin(&out, type);

    if (type == MSG_WORKER_HELLO)
        msg_put_u32(&out, number);
    if (type == MSG_ADMIT || type == MSG_LEFT) {
        msg_put_u64(&out, number);
        msg_put_bytes(&out, uid, strlen(uid));
    }
    if (type == MSG_ADMIT) {
        msg_put_u32(&out, 0); /* rooms, session, pid */
        msg_put_u32(&out, 0);
        msg_put_u32(&out, 0);
        msg_put_u8(&out, 0);
        msg_put_u64(&out, 0);
        msg_put_u64(&out, 0);
    } else if (type == MSG_LEFT) {
        msg_put_u8(&out, 0);
    }
    if (msg_end(&out, mark) < 0 || write(fd, out.data, out.len) != (ssize_t)out.len)
        _exit(9);
    buf_free(&out);
}

/* Descriptors that are neither stdio, files nor its own. */
static int worker_strangers(const struct worker_start *start)
{
    int n = 0;

    for (int fd = 3; fd < 200; fd++) {
        struct stat st;
        int own = fd == start->down_fd || fd == start->up_fd || fd == log_fd();
        for (size_t i = 0; i < start->nlisten; i++)
            own |= fd == start->listen_fds[i];
        own |= fd == start->handoff_fd || fd == start->peers_fd;
        for (size_t i = 0; i < start->nhandoff; i++)
            own |= fd == start->handoff_fds[i];
        n += !own && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode);
    }
    return n;
}

/* Ten connects for each start of its lane, and clients by its number. */
static void worker_counts(const struct worker_start *start, uint32_t id)
{
    struct counters counters = {{0}};
    struct buf out = {0};

    counters.at[COUNTER_CONNECTS] = 10 * start->generation;
    counters.at[COUNTER_CLIENTS] = 1 + (unsigned)start->lane;
    if (counters_put(&out, id, &counters) < 0 ||
        write(start->up_fd, out.data, out.len) != (ssize_t)out.len)
        _exit(9);
    buf_free(&out);
}

/* Lanes that it can write to. */
static int worker_ends(const struct worker_start *start)
{
    int fds[HANDOFF_PEERS_MAX], n = 0;
    unsigned first;
    size_t more = 0;

    for (size_t i = 0; i < start->nhandoff; i++)
        n += start->handoff_fds[i] >= 0;
    while (handoff_receive_peers(start->peers_fd, &first, fds, &more) > 0)
        n += (int)more;
    return n;
}

/* A connection for the worker in lane 1. */
static void worker_hands_on(const struct worker_start *start)
{
    static const struct handoff_conn known;
    int pipes[2];
    int rc = pipe(pipes);

    if (rc == 0)
        rc = handoff_send(start->handoff_fds[1], HANDOFF_CONNECTION, pipes[0], &known, "hello", 5);
    worker_says("handed on %d: %d\n", (int)start->lane, rc);
    close(pipes[0]);
    close(pipes[1]);
}

static void worker_take(const struct worker_start *start, struct msg *msg)
{
    uint64_t a, b, c;

    switch (msg->type) {
    case MSG_HELLO:
        a = msg_get_u32(msg);
        b = msg_get_u32(msg);
        c = msg_get_u32(msg);
        worker_says("hello %d\n", a == MSG_VERSION && b == start->lane && c == start->generation);
        break;
    case MSG_ADMITTED:
        a = msg_get_u64(msg);
        b = msg_get_u8(msg);
        c = msg_get_u64(msg);
        worker_says("admitted %d client=%u verdict=%u epoch=%d seq=%u\n", (int)start->lane,
                    (unsigned)a, (unsigned)b, c == relay_epoch(relay), (unsigned)msg_get_u64(msg));
        break;
    case MSG_LOG_LEVEL:
        worker_says("level %d %u\n", (int)start->lane, msg_get_u8(msg));
        break;
    case MSG_LOG_REOPEN:
        worker_hands_on(start);
        break;
    case MSG_COUNT:
        worker_counts(start, msg_get_u32(msg));
        break;
    case MSG_DRAIN:
        a = msg_get_u32(msg);
        b = msg_get_u32(msg);
        worker_says("ends %d %d\n", (int)start->lane, worker_ends(start));
        worker_says("drain %d %u successor=%u+%u\n", (int)start->lane, (unsigned)a, (unsigned)b,
                    msg_get_u32(msg));
        if (behaviour != STAYS)
            exit(0);
        break;
    default:
        break;
    }
}

static void worker_takes_over(const struct worker_start *start)
{
    static uint8_t bytes[HANDOFF_MAX_BYTES];
    struct handoff_conn known;
    size_t len;
    int fd, kind = handoff_receive(start->handoff_fd, &fd, &known, bytes, &len);

    if (kind > 0)
        worker_says("orphan %d kind=%d %.*s\n", (int)start->lane, kind, (int)len, (char *)bytes);
}

static int worker_loop(const struct worker_start *start)
{
    static uint8_t bytes[65536];
    size_t len = 0;

    for (;;) {
        struct pollfd fds[] = {{start->down_fd, POLLIN, 0}, {start->handoff_fd, POLLIN, 0}};
        ssize_t n;
        struct msg msg;
        long used;
        poll(fds, 2, -1);
        if (fds[1].revents)
            worker_takes_over(start);
        if (!fds[0].revents)
            continue;
        n = read(start->down_fd, bytes + len, sizeof(bytes) - len);
        if (n <= 0)
            return 0;
        len += (size_t)n;
        while ((used = msg_decode(&msg, bytes, len, sizeof(bytes))) > 0) {
            worker_take(start, &msg);
            len -= (size_t)used;
            memmove(bytes, bytes + used, len);
        }
    }
}

static int worker(const struct conf *conf, const struct worker_start *start)
{
    static const int not_for_us[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGPIPE};
    int ignored = 1, death = 0;
    char uid[TOKEN_UID_MAX + 2] = "";

    for (size_t i = 0; i < sizeof(not_for_us) / sizeof(*not_for_us); i++) {
        struct sigaction now;
        sigaction(not_for_us[i], NULL, &now);
        ignored &= now.sa_handler == SIG_IGN;
    }
    worker_says("fork %d strangers=%d ignores=%d conf=%u pid=%ld\n", (int)start->lane,
                worker_strangers(start), ignored, conf->drain_timeout_ms, (long)getpid());
    if (behaviour == EXITS)
        return 3;
    if (behaviour == MUTE) {
        worker_says("mute\n");
        return worker_loop(start);
    }
    if (prctl(PR_GET_PDEATHSIG, &death) == 0 && death == SIGCONT)
        worker_says("outlives\n");
    worker_send(start->up_fd, MSG_WORKER_HELLO, MSG_VERSION + (behaviour == OTHER_VERSION), NULL);
    if (behaviour == UNKNOWN_TYPE)
        worker_send(start->up_fd, (enum msg_type)99, 0, NULL);
    if (behaviour != UNREADY_ADMIT)
        worker_send(start->up_fd, MSG_READY, 0, NULL);
    if (behaviour == LONG_UID || behaviour == LONGEST_UID)
        memset(uid, 'u', behaviour == LONG_UID ? TOKEN_UID_MAX + 1 : TOKEN_UID_MAX);
    else if (behaviour != NO_UID)
        snprintf(uid, sizeof(uid), "u%d", (int)start->lane);
    worker_send(start->up_fd, MSG_ADMIT, 7, uid);
    if (behaviour == CLOSES)
        close(start->up_fd);
    while (behaviour == DEAF || behaviour == CLOSES)
        pause();
    return worker_loop(start);
}

/* --- the master -------------------------------------------------------------------- */

static void on_ready(void *arg)
{
    (void)arg;
    ready++;
}

static void on_empty(void *arg)
{
    (void)arg;
    empty++;
}

static void on_child(const struct conf *conf, void *arg)
{
    (void)conf;
    (void)arg;
}

static void on_replaced(int ok, void *arg)
{
    (void)arg;
    replaced += ok;
    refused += !ok;
}

static void on_left(void *arg)
{
    (void)arg;
    left++;
}

static const struct pool_ops ops = {on_ready, on_replaced, on_left, on_empty, on_child};

static void on_send(unsigned lane, const void *message, size_t len, void *arg)
{
    (void)arg;
    pool_send(pool, lane, message, len);
}

static void on_answer(const struct admit *admit, const struct comeback *comeback,
                      enum msg_verdict verdict, void *arg)
{
    struct msg_admitted admitted = {.client = admit->client, .verdict = (uint8_t)verdict};

    (void)comeback, (void)arg;
    pool_answer(pool, admit->lane, &admitted);
}

/* No user has a limit here. */
static int on_wake(unsigned ms, void *arg)
{
    (void)ms, (void)arg;
    return -1;
}

static const struct relay_ops relay_ops = {on_send, on_answer, on_wake, NULL, NULL, NULL, NULL};

static void on_ask(unsigned lane, uint32_t id, void *arg)
{
    struct buf message = {0};
    size_t mark = msg_begin(&message, MSG_COUNT);

    (void)arg;
    msg_put_u32(&message, id);
    msg_end(&message, mark);
    pool_send(pool, lane, message.data, message.len);
    buf_free(&message);
}

static const struct stats_ops stats_ops = {on_ask};

static void on_sigchld(evutil_socket_t sig, short what, void *arg)
{
    (void)sig, (void)what, (void)arg;
    pool_reap(pool);
}

/* How often a line that begins with text was written by workers. */
static int count(const char *file, const char *text)
{
    char line[512];
    int n = 0;
    FILE *in = fopen(file, "r");

    while (in != NULL && fgets(line, sizeof(line), in) != NULL)
        n += strstr(line, text) != NULL;
    if (in != NULL)
        fclose(in);
    return n;
}

static void turn(void)
{
    const struct timeval tick = {0, 10000};

    event_base_loopexit(base, &tick);
    event_base_dispatch(base);
}

/* Until workers have written n such lines; returns whether they have. */
static int said_times(const char *text, int n)
{
    uint64_t end = clock_ms() + DEADLINE_MS;

    while (count(said, text) < n && clock_ms() < end)
        turn();
    return count(said, text) >= n;
}

static int reaches(const int *value, int n)
{
    uint64_t end = clock_ms() + DEADLINE_MS;

    while (*value < n && clock_ms() < end)
        turn();
    return *value >= n;
}

static struct conf *conf_make(int workers)
{
    static struct conf confs[8], *at = confs;
    static char nsp[] = "/axr", key[] = "k";
    struct conf conf = {.drain_timeout_ms = 5000};

    if (++at == confs + 8)
        at = confs;
    conf.workers = workers;
    conf.nsp = nsp;
    conf.key = key;
    conf.message_bytes = 4096;
    *at = conf;
    return at;
}

static struct listeners none;

static void prepare(int workers, int how)
{
    const struct conf *conf = conf_make(workers);
    struct pool_options options;

    behaviour = how;
    ready = empty = replaced = refused = left = 0;
    unlink(said);
    relay = relay_new(conf, &relay_ops, NULL);
    stats = stats_new(base, &stats_ops, NULL);
    cluster = cluster_idle(conf, relay);
    recovery = recovery_idle(base, conf, relay, cluster);
    options = (struct pool_options){base,    conf,     &none,  relay, stats,
                                    cluster, recovery, worker, NULL,  NULL};
    pool = relay != NULL && stats != NULL ? pool_new(&options, &ops, NULL) : NULL;
    if (pool == NULL)
        exit(1);
}

static void begin(int workers, int how)
{
    prepare(workers, how);
    pool_start(pool);
}

static void end(void)
{
    pool_free(&pool);
    stats_free(&stats);
    recovery_free(&recovery);
    cluster_free(&cluster);
    relay_free(&relay);
}

/* Kills the worker that was forked last. */
static void kill_last(void)
{
    char line[512];
    long pid = 0;
    FILE *in = fopen(said, "r");

    while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
        const char *at = strstr(line, "pid=");
        pid = at != NULL ? strtol(at + 4, NULL, 10) : pid;
    }
    if (in != NULL)
        fclose(in);
    if (!ok(pid > 0, "a worker to be killed"))
        exit(1);
    kill((pid_t)pid, SIGKILL);
}

/* --- tests ------------------------------------------------------------------------- */

static void test_good(void)
{
    struct buf level = {0};
    size_t mark;

    begin(3, GOOD);
    ok(reaches(&ready, 1), "ready when all are");
    ok(said_times("admitted", 3), "each client is admitted");
    is_int(count(said, "outlives"), 3, "all are woken when the master dies");
    is_int(count(said, "strangers=0 ignores=1"), 3, "no descriptor of others, signals ignored");
    is_int(count(said, "hello 1"), 3, "each has heard the version first");
    is_int(count(said, "admitted 1 client=7 verdict=0 epoch=1 seq=0"), 1, "with client and epoch");
    mark = msg_begin(&level, MSG_LOG_LEVEL);
    msg_put_u8(&level, LOG_LEVEL_WARN);
    msg_end(&level, mark);
    pool_send_all(pool, &level);
    ok(said_times("level", 3), "a message to all reaches all");
    pool_drain(pool, 1234);
    ok(reaches(&empty, 1), "drained");
    is_int(count(said, "1234 successor=0+0"), 3, "each was told how long it has");
    is_int(count(said, "fork"), 3, "and none was replaced");
    is_int(ready, 1, "ready once");
    buf_free(&level);
    end();
}

static void test_kill(void)
{
    uint64_t start;

    begin(1, GOOD);
    ok(said_times("admitted", 1), "a worker serves");
    start = clock_ms();
    while (clock_ms() - start < 2100)
        turn();
    start = clock_ms();
    kill_last();
    ok(said_times("admitted", 2), "killed after 2 s: replaced");
    ok(clock_ms() - start < 3000, "at once");
    kill_last();
    start = clock_ms();
    ok(said_times("admitted", 3), "killed right after its fork: replaced");
    ok(clock_ms() - start >= 90, "not before 100 ms");
    is_int(ready, 1, "ready is said once only");
    end();
}

static void on_counted(void *arg)
{
    (*(int *)arg)++;
}

/* What all say when they are asked. */
static const struct counters *counted(void)
{
    static struct counters sum;
    static int done;
    struct stats_wait wait = {.done = on_counted, .arg = &done};

    done = 0;
    stats_ask(stats, &wait);
    ok(reaches(&done, 1), "all have been asked");
    stats_sum(stats, &sum);
    return &sum;
}

static void test_counters(void)
{
    static struct status_worker workers[CONF_WORKERS_MAX];
    size_t n;

    begin(2, GOOD);
    ok(said_times("admitted", 2), "two workers");
    is_int(counted()->at[COUNTER_CONNECTS], 20, "what they have counted");
    is_int(counted()->at[COUNTER_CLIENTS], 3, "and what is now");
    is_int(pool_status(pool, workers, &n), 2, "as the pool knows them");
    ok(workers[1].number == 2 && workers[1].up && workers[1].restarts == 0, "the second is up");
    kill_last();
    ok(said_times("admitted", 3), "one is replaced");
    is_int(counted()->at[COUNTER_CONNECTS], 20 + 20, "what the dead one counted stays");
    is_int(counted()->at[COUNTER_CLIENTS], 3, "its clients do not");
    is_int(pool_status(pool, workers, &n), 2, "two still");
    is_int(workers[0].restarts + workers[1].restarts, 1, "one was forked again");
    end();
}

static void test_backoff(void)
{
    uint64_t start, ms;

    begin(1, EXITS);
    start = clock_ms();
    ok(said_times("fork", 4), "a worker that exits at once is forked again and again");
    ms = clock_ms() - start;
    ok(ms >= 650 && ms < 10000, "after 100, 200 and 400 ms (%llu in all)", (unsigned long long)ms);
    behaviour = GOOD;
    ok(said_times("admitted", 1), "and once more when it is good");
    end();
}

static void test_bad(int how, const char *name, const char *log)
{
    char file[80];

    snprintf(file, sizeof(file), "%s/log", dir);
    unlink(file);
    if (log_open(LOG_TO_FILE, file, LOG_TEXT) < 0)
        exit(1);
    begin(1, how);
    ok(said_times("fork", 2), "%s: replaced", name);
    ok(count(file, log) >= 1, "and why is logged");
    behaviour = GOOD;
    ok(said_times("admitted", 1), "a good one comes");
    end();
    log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    unlink(file);
}

static void test_longest_uid(void)
{
    begin(1, LONGEST_UID);
    ok(said_times("admitted", 1), "a user id of 255 bytes is let in");
    is_int(count(said, "fork"), 1, "by the worker that asked");
    behaviour = GOOD;
    end();
}

static void test_full(void)
{
    static char message[1 << 16];
    char file[80];
    uint32_t length;
    int sent, waits = 0;

    snprintf(file, sizeof(file), "%s/log", dir);
    unlink(file);
    if (log_open(LOG_TO_FILE, file, LOG_TEXT) < 0)
        exit(1);
    begin(2, DEAF);
    ok(reaches(&ready, 1), "two workers that read nothing");
    behaviour = GOOD;
    length = htole32(sizeof(message) - 4);
    memcpy(message, &length, sizeof(length));
    message[4] = (char)MSG_LOG_REOPEN;
    sent = 0;
    while (sent++ < 400)
        pool_send(pool, 1, message, sizeof(message));
    while (pool_is_behind(pool) && waits++ < 10000)
        turn();
    ok(!pool_is_behind(pool), "nobody waits for one that takes nothing of 25 MiB");
    while (count(file, "its queue is full") == 0 && sent < 1000) {
        pool_send(pool, 1, message, sizeof(message));
        if (++sent % 50 == 0)
            turn();
    }
    ok(sent >= 500 && sent < 1000, "more than 32 MiB wait for one (%d KiB): given up", sent * 64);
    ok(said_times("admitted 1", 1), "and replaced");
    is_int(count(said, "fork 0"), 1, "the other is not touched");
    end();
    log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    unlink(file);
}

/* 40 MiB, which nobody reads. */
static void send_much(unsigned lane)
{
    static char message[1 << 16];
    uint32_t length = htole32(sizeof(message) - 4);

    memcpy(message, &length, sizeof(length));
    message[4] = (char)MSG_LOG_REOPEN;
    for (int i = 0; i < 640; i++) {
        pool_send(pool, lane, message, sizeof(message));
        if (i % 50 == 0)
            turn();
    }
}

/* Another configuration is in force for those that live, and for those that come. */
static void test_configure(void)
{
    struct conf *large, *small;
    char file[80];

    snprintf(file, sizeof(file), "%s/log", dir);
    unlink(file);
    if (log_open(LOG_TO_FILE, file, LOG_TEXT) < 0)
        exit(1);
    begin(1, DEAF);
    ok(reaches(&ready, 1), "a worker that reads nothing");
    large = conf_make(1);
    large->message_bytes = 16 << 20;
    large->drain_timeout_ms = 77;
    pool_configure(pool, large, &none);
    send_much(0);
    is_int(count(file, "its queue is full"), 0, "larger messages: more may wait for it");
    kill_last();
    ok(said_times("fork 0", 2), "it is replaced");
    is_int(count(said, "conf=77"), 1, "by one with that configuration");
    send_much(0);
    is_int(count(file, "its queue is full"), 0, "for which as much may wait");
    send_much(0);
    is_int(count(file, "its queue is full"), 1, "but not more than 64 MiB");
    ok(said_times("fork 0", 3), "another takes its place");
    small = conf_make(1);
    pool_configure(pool, small, &none);
    send_much(0);
    is_int(count(file, "its queue is full"), 2, "smaller ones: less may wait");
    end();
    log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    unlink(file);
}

/* Descriptors run out: one line for all of them. */
static void test_cannot_fork(void)
{
    struct rlimit limit, low;
    char file[80];

    snprintf(file, sizeof(file), "%s/log", dir);
    unlink(file);
    if (log_open(LOG_TO_FILE, file, LOG_TEXT) < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        exit(1);
    prepare(8, GOOD);
    low = (struct rlimit){(rlim_t)(dup(0) + 1), limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &low);
    pool_start(pool);
    setrlimit(RLIMIT_NOFILE, &limit);
    is_int(count(file, "cannot be forked: Too many open files"), 1, "8 forks fail: one line");
    is_int(count(said, "fork"), 0, "there is no worker");
    ok(reaches(&ready, 1), "they are forked when it is possible");
    end();
    close((int)low.rlim_cur - 1);
    log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    unlink(file);
}

/* --- generations --- */

static void test_replace(void)
{
    static struct status_worker workers[CONF_WORKERS_MAX];
    size_t n;

    begin(2, GOOD);
    ok(reaches(&ready, 1) && said_times("admitted", 2), "a generation of two");
    ok(pool_has_room(pool) && !pool_is_starting(pool), "there is room for another");
    is_int(pool_replace(pool, conf_make(3), &none), 0, "one of three begins");
    ok(!pool_has_room(pool) && pool_is_starting(pool), "no room for a third");
    is_int(pool_replace(pool, conf_make(3), &none), -1, "which is refused");
    ok(reaches(&replaced, 1), "it serves");
    ok(said_times("successor=256+3", 2), "the old ones are told, and who takes their place");
    is_int(count(said, "drain 0 5000 successor=256+3"), 1, "and how long they have");
    ok(reaches(&left, 1) && pool_has_room(pool), "they have gone");
    is_int(count(said, "fork 0"), 1, "and were not replaced");
    is_int(count(said, "ends 0 5") + count(said, "ends 1 5"), 2,
           "they had learned of the new lanes");
    is_int(ready, 1, "ready is said once");
    kill_last();
    ok(said_times("fork", 6), "one of the new ones is replaced");
    is_int(pool_replace(pool, conf_make(1), &none), 0, "a third generation");
    ok(reaches(&left, 2), "in the lanes of the first");
    is_int(count(said, "ends 256 5") + count(said, "ends 257 5") + count(said, "ends 258 5"), 3,
           "which the second has known from its birth");
    is_int(count(said, "successor=0+1"), 3, "takes over from three");
    is_int(pool_status(pool, workers, &n), 3, "three numbers there were");
    is_int(n, 1, "of which one is left");
    is_int(workers[0].restarts + workers[1].restarts + workers[2].restarts, 1,
           "and what was forked again stays counted");
    pool_drain(pool, 100);
    ok(reaches(&empty, 1), "drained");
    ok(replaced == 2 && refused == 0, "all went well");
    end();
}

static void test_abandon(void)
{
    begin(2, GOOD);
    ok(reaches(&ready, 1) && said_times("admitted", 2), "a generation");
    behaviour = EXITS;
    is_int(pool_replace(pool, conf_make(2), &none), 0, "another whose workers exit at once");
    ok(reaches(&refused, 1), "is given up");
    ok(reaches(&left, 1) && pool_has_room(pool), "and forgotten");
    is_int(count(said, "drain"), 0, "the first goes on");
    behaviour = GOOD;
    is_int(pool_replace(pool, conf_make(2), &none), 0, "and is replaced by one that is good");
    ok(reaches(&replaced, 1) && reaches(&left, 2), "in the same lanes");
    end();
}

/* The first generation cannot start: what is to come in its place does not wait for it. */
static void test_never_ready(void)
{
    begin(2, EXITS);
    ok(said_times("fork", 2), "workers that end at once");
    ok(pool_has_room(pool) && !pool_is_starting(pool), "are not waited for");
    is_int(pool_replace(pool, conf_make(1), &none), 0, "another generation like them");
    ok(reaches(&refused, 1) && reaches(&left, 1), "is given up");
    behaviour = MUTE;
    ok(said_times("mute", 2), "now they hang, and are never ready");
    behaviour = GOOD;
    is_int(pool_replace(pool, conf_make(3), &none), 0, "one that is good");
    ok(reaches(&replaced, 1) && reaches(&ready, 1), "takes their place, and is the first to serve");
    ok(reaches(&left, 2), "they leave");
    kill_last();
    ok(said_times("admitted", 4), "one of the good ones is replaced");
    is_int(ready, 1, "ready is said once");
    pool_drain(pool, 0);
    ok(reaches(&empty, 1), "drained");
    end();
}

static void test_hurry(void)
{
    struct conf *slow;
    uint64_t start;

    begin(1, STAYS);
    ok(reaches(&ready, 1), "a worker that does not leave");
    slow = conf_make(1);
    slow->drain_timeout_ms = 600000;
    is_int(pool_replace(pool, slow, &none), 0, "is replaced");
    ok(reaches(&replaced, 1) && said_times("drain 0 600000", 1), "and has ten minutes");
    start = clock_ms();
    pool_hurry(pool);
    ok(said_times("drain 0 2000 successor=256+1", 1), "no, two seconds");
    pool_hurry(pool);
    ok(reaches(&left, 1), "then it is killed");
    ok(clock_ms() - start < 12000, "soon");
    is_int(count(said, "drain 0"), 2, "hurried once");
    end();
}

static void test_drain_both(void)
{
    begin(2, STAYS);
    ok(reaches(&ready, 1), "two");
    is_int(pool_replace(pool, conf_make(2), &none), 0, "and two");
    ok(reaches(&replaced, 1), "in their place");
    pool_drain(pool, 0);
    ok(reaches(&empty, 1), "both leave at the end");
    is_int(count(said, "successor=0+0"), 4, "for nobody");
    is_int(left, 0, "there is no room for anything");
    end();
    begin(2, GOOD);
    ok(reaches(&ready, 1), "two");
    pool_replace(pool, conf_make(2), &none);
    pool_drain(pool, 0);
    ok(reaches(&empty, 1), "one of them not ready yet");
    ok(replaced == 0 && refused == 0, "of which nothing more is heard");
    end();
}

/* What is sent to a lane without a worker is passed on to one that lives. */
static void test_orphan(void)
{
    struct buf message = {0};
    size_t mark = msg_begin(&message, MSG_LOG_REOPEN);

    msg_end(&message, mark);
    begin(2, GOOD);
    ok(reaches(&ready, 1) && said_times("admitted", 2), "two workers");
    is_int(pool_replace(pool, conf_make(1), &none), 0, "one in their place");
    ok(reaches(&left, 1), "which is alone then");
    pool_send_all(pool, &message);
    ok(said_times("handed on 256: 0", 1), "hands a connection to one that has gone");
    ok(said_times("orphan 256 kind=2 hello", 1), "and gets it back, as an orphan");
    buf_free(&message);
    end();
}

static void test_late(void)
{
    uint64_t start, ms;

    begin(2, STAYS);
    ok(reaches(&ready, 1), "two workers that do not leave");
    pool_drain(pool, 60000);
    ok(said_times("60000", 2), "told to, in their own time");
    pool_drain(pool, 0);
    start = clock_ms();
    ok(reaches(&empty, 1), "then at once: gone");
    ms = clock_ms() - start;
    ok(ms >= 1900 && ms < 15000, "killed after 2 s (%llu ms)", (unsigned long long)ms);
    end();
}

int main(void)
{
    struct event *sigchld;

    signal(SIGPIPE, SIG_IGN);
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(said, sizeof(said), "%s/said", dir);
    base = event_base_new();
    sigchld = evsignal_new(base, SIGCHLD, on_sigchld, NULL);
    event_add(sigchld, NULL);
    log_set_level(LOG_LEVEL_ERROR);
    test_good();
    test_kill();
    test_counters();
    test_backoff();
    test_bad(OTHER_VERSION, "another version", "bad message type=64 (worker_hello)");
    test_bad(UNREADY_ADMIT, "an admission before it is ready", "bad message type=66 (admit)");
    test_bad(UNKNOWN_TYPE, "an unknown message", "bad message type=99 (unknown)");
    test_bad(NO_UID, "an admission of nobody", "bad message type=66 (admit)");
    test_bad(LONG_UID, "a user id of 256 bytes", "bad message type=66 (admit)");
    test_longest_uid();
    test_bad(CLOSES, "a closed pipe", "it closed its pipe and stayed");
    test_full();
    test_configure();
    test_cannot_fork();
    test_replace();
    test_abandon();
    test_never_ready();
    test_hurry();
    test_drain_both();
    test_orphan();
    test_late();
    event_free(sigchld);
    event_base_free(base);
    unlink(said);
    rmdir(dir);
    return tap_done();
}
