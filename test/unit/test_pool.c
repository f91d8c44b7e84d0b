/* Real forks, with a worker that does little but what the contract of the pipes
 * asks, or the opposite. */
#include "master/pool.h"

#include "base/clock.h"
#include "base/log.h"
#include "ipc/msg.h"
#include "master/facts.h"
#include "master/relay.h"
#include "master/tally.h"

#include "tap.h"

#include <endian.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEADLINE_MS 30000

enum { GOOD, EXITS, OTHER_VERSION, UNREADY_ADMIT, UNKNOWN_TYPE, DEAF, CLOSES, STAYS };

static struct event_base *base;
static struct relay *relay;
static struct tally *tally;
static struct pool *pool;
static char dir[] = "/tmp/test_pool.XXXXXX";
static char said[64]; /* what workers have written, a line each */
static int behaviour; /* of workers that are forked from now on */
static int ready, empty, up;

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
        int own = fd == start->down_fd || fd == start->up_fd;
        for (size_t i = 0; i < start->nlisten; i++)
            own |= fd == start->listen_fds[i];
        own |= fd == start->handoff_fd;
        for (size_t i = 0; i < start->nhandoff; i++)
            own |= fd == start->handoff_fds[i];
        n += !own && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode);
    }
    return n;
}

/* Ten connects for each start of its slot, and clients by its number. */
static void worker_counts(const struct worker_start *start, uint32_t id)
{
    struct counters counters = {{0}};
    struct buf out = {0};
    counters.at[COUNTER_CONNECTS] = 10 * start->generation;
    counters.at[COUNTER_CLIENTS] = 1 + (unsigned)start->slot;
    if (counters_put(&out, id, &counters) < 0 ||
        write(start->up_fd, out.data, out.len) != (ssize_t)out.len)
        _exit(9);
    buf_free(&out);
}

static void worker_take(const struct worker_start *start, struct msg *msg)
{
    uint64_t a, b, c;
    switch (msg->type) {
    case MSG_HELLO:
        a = msg_get_u32(msg);
        b = msg_get_u32(msg);
        c = msg_get_u32(msg);
        worker_says("hello %d %u %d\n", a == MSG_VERSION, (unsigned)b, c == start->generation);
        break;
    case MSG_ADMITTED:
        a = msg_get_u64(msg);
        b = msg_get_u8(msg);
        c = msg_get_u64(msg);
        worker_says("admitted %d client=%u verdict=%u epoch=%d seq=%u\n", start->slot, (unsigned)a,
                    (unsigned)b, c == relay_epoch(relay), (unsigned)msg_get_u64(msg));
        break;
    case MSG_LOG_LEVEL:
        worker_says("level %d %u\n", start->slot, msg_get_u8(msg));
        break;
    case MSG_COUNT:
        worker_counts(start, msg_get_u32(msg));
        break;
    case MSG_DRAIN:
        worker_says("drain %d %u\n", start->slot, msg_get_u32(msg));
        if (behaviour != STAYS)
            exit(0);
        break;
    default:
        break;
    }
}

static int worker_loop(const struct worker_start *start)
{
    static uint8_t bytes[65536];
    size_t len = 0;
    for (;;) {
        ssize_t n = read(start->down_fd, bytes + len, sizeof bytes - len);
        if (n <= 0)
            return 0;
        len += (size_t)n;
        struct msg msg;
        long used;
        while ((used = msg_decode(&msg, bytes, len, sizeof bytes)) > 0) {
            worker_take(start, &msg);
            len -= (size_t)used;
            memmove(bytes, bytes + used, len);
        }
    }
}

static int worker(const struct conf *conf, const struct worker_start *start)
{
    (void)conf;
    struct sigaction term;
    char uid[16];
    sigaction(SIGTERM, NULL, &term);
    worker_says("fork %d strangers=%d term_ignored=%d pid=%ld\n", start->slot,
                worker_strangers(start), term.sa_handler == SIG_IGN, (long)getpid());
    if (behaviour == EXITS)
        return 3;
    worker_send(start->up_fd, MSG_WORKER_HELLO, MSG_VERSION + (behaviour == OTHER_VERSION), NULL);
    if (behaviour == UNKNOWN_TYPE)
        worker_send(start->up_fd, (enum msg_type)99, 0, NULL);
    if (behaviour != UNREADY_ADMIT)
        worker_send(start->up_fd, MSG_READY, 0, NULL);
    snprintf(uid, sizeof uid, "u%d", start->slot);
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

static void on_child(void *arg)
{
    (void)arg;
}

static const struct pool_ops ops = {on_ready, on_empty, on_child};

static void on_send(unsigned slot, const void *message, size_t len, void *arg)
{
    (void)arg;
    pool_send(pool, slot, message, len);
}

static const struct relay_ops relay_ops = {on_send};

static void on_ask(unsigned slot, uint32_t id, void *arg)
{
    struct buf message = {0};
    size_t mark = msg_begin(&message, MSG_COUNT);
    (void)arg;
    msg_put_u32(&message, id);
    msg_end(&message, mark);
    pool_send(pool, slot, message.data, message.len);
    buf_free(&message);
}

static const struct tally_ops tally_ops = {on_ask};

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
    while (in && fgets(line, sizeof line, in))
        n += strstr(line, text) != NULL;
    if (in)
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
    static struct conf conf;
    static char nsp[] = "/axr", key[] = "k";
    memset(&conf, 0, sizeof conf);
    conf.workers = workers;
    conf.nsp = nsp;
    conf.key = key;
    conf.message_bytes = 4096;
    return &conf;
}

static void begin(int workers, int how)
{
    static struct listeners none;
    const struct conf *conf = conf_make(workers);
    behaviour = how;
    ready = empty = up = 0;
    unlink(said);
    relay = relay_new(conf, &relay_ops, NULL);
    tally = tally_new(base, &tally_ops, NULL);
    const struct pool_options options = {base, conf, &none, relay, tally, worker};
    pool = relay && tally ? pool_new(&options, &ops, NULL) : NULL;
    if (!pool)
        exit(1);
    pool_start(pool);
}

static void end(void)
{
    pool_free(&pool);
    tally_free(&tally);
    relay_free(&relay);
}

/* Kills the worker that was forked last. */
static void kill_last(void)
{
    char line[512];
    long pid = 0;
    FILE *in = fopen(said, "r");
    while (in && fgets(line, sizeof line, in)) {
        const char *at = strstr(line, "pid=");
        pid = at ? strtol(at + 4, NULL, 10) : pid;
    }
    if (in)
        fclose(in);
    if (!ok(pid > 0, "a worker to be killed"))
        exit(1);
    kill((pid_t)pid, SIGKILL);
}

/* --- tests ------------------------------------------------------------------------- */

static void test_good(void)
{
    struct buf level = {0};
    begin(3, GOOD);
    ok(reaches(&ready, 1), "ready when all are");
    ok(said_times("admitted", 3), "each client is admitted");
    is_int(count(said, "strangers=0 term_ignored=1"), 3,
           "no descriptor of others, signals ignored");
    is_int(count(said, "hello 1 "), 3, "each has heard the version first");
    is_int(count(said, "admitted 1 client=7 verdict=0 epoch=1 seq=0"), 1, "with client and epoch");
    size_t mark = msg_begin(&level, MSG_LOG_LEVEL);
    msg_put_u8(&level, LOG_LEVEL_WARN);
    msg_end(&level, mark);
    pool_send_all(pool, &level);
    ok(said_times("level", 3), "a message to all reaches all");
    pool_drain(pool, 1234);
    ok(reaches(&empty, 1), "drained");
    is_int(count(said, "1234"), 3, "each was told how long it has");
    is_int(count(said, "fork"), 3, "and none was replaced");
    is_int(ready, 1, "ready once");
    buf_free(&level);
    end();
}

static void test_kill(void)
{
    begin(1, GOOD);
    ok(said_times("admitted", 1), "a worker serves");
    uint64_t start = clock_ms();
    while (clock_ms() - start < 2100)
        turn();
    start = clock_ms();
    kill_last();
    ok(said_times("admitted", 2), "killed after 2 s: replaced");
    ok(clock_ms() - start < 1000, "at once");
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
    struct tally_wait wait = {.done = on_counted, .arg = &done};
    done = 0;
    tally_ask(tally, &wait);
    ok(reaches(&done, 1), "all have been asked");
    tally_sum(tally, &sum);
    return &sum;
}

static void test_counters(void)
{
    static struct facts_worker workers[CONF_WORKERS_MAX];
    begin(2, GOOD);
    ok(said_times("admitted", 2), "two workers");
    is_int(counted()->at[COUNTER_CONNECTS], 20, "what they have counted");
    is_int(counted()->at[COUNTER_CLIENTS], 3, "and what is now");
    is_int(pool_facts(pool, workers), 2, "as the pool knows them");
    ok(workers[1].number == 2 && workers[1].up && workers[1].restarts == 0, "the second is up");
    kill_last();
    ok(said_times("admitted", 3), "one is replaced");
    is_int(counted()->at[COUNTER_CONNECTS], 20 + 20, "what the dead one counted stays");
    is_int(counted()->at[COUNTER_CLIENTS], 3, "its clients do not");
    is_int(pool_facts(pool, workers), 2, "two still");
    is_int(workers[0].restarts + workers[1].restarts, 1, "one was forked again");
    end();
}

static void test_backoff(void)
{
    begin(1, EXITS);
    uint64_t start = clock_ms();
    ok(said_times("fork", 4), "a worker that exits at once is forked again and again");
    uint64_t ms = clock_ms() - start;
    ok(ms >= 650 && ms < 10000, "after 100, 200 and 400 ms (%llu in all)", (unsigned long long)ms);
    behaviour = GOOD;
    ok(said_times("admitted", 1), "and once more when it is good");
    end();
}

static void test_bad(int how, const char *name, const char *log)
{
    char file[80];
    snprintf(file, sizeof file, "%s/log", dir);
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

static void test_full(void)
{
    static char message[1 << 16];
    char file[80];
    snprintf(file, sizeof file, "%s/log", dir);
    unlink(file);
    if (log_open(LOG_TO_FILE, file, LOG_TEXT) < 0)
        exit(1);
    begin(2, DEAF);
    ok(reaches(&ready, 1), "two workers that read nothing");
    behaviour = GOOD;
    uint32_t length = htole32(sizeof message - 4);
    memcpy(message, &length, sizeof length);
    message[4] = (char)MSG_LOG_REOPEN;
    int sent = 0;
    while (count(file, "its queue is full") == 0 && sent < 1000) {
        pool_send(pool, 1, message, sizeof message);
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

static void test_late(void)
{
    begin(2, STAYS);
    ok(reaches(&ready, 1), "two workers that do not leave");
    pool_drain(pool, 60000);
    ok(said_times("60000", 2), "told to, in their own time");
    pool_drain(pool, 0);
    uint64_t start = clock_ms();
    ok(reaches(&empty, 1), "then at once: gone");
    uint64_t ms = clock_ms() - start;
    ok(ms >= 1900 && ms < 15000, "killed after 2 s (%llu ms)", (unsigned long long)ms);
    end();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(dir))
        return 1;
    snprintf(said, sizeof said, "%s/said", dir);
    base = event_base_new();
    struct event *sigchld = evsignal_new(base, SIGCHLD, on_sigchld, NULL);
    event_add(sigchld, NULL);
    log_set_level(LOG_LEVEL_ERROR);
    test_good();
    test_kill();
    test_counters();
    test_backoff();
    test_bad(OTHER_VERSION, "another version", "bad message type=64 (worker_hello)");
    test_bad(UNREADY_ADMIT, "an admission before it is ready", "bad message type=66 (admit)");
    test_bad(UNKNOWN_TYPE, "an unknown message", "bad message type=99 (unknown)");
    test_bad(CLOSES, "a closed pipe", "it closed its pipe and stayed");
    test_full();
    test_late();
    event_free(sigchld);
    event_base_free(base);
    unlink(said);
    rmdir(dir);
    return tap_done();
}
