/* One worker, which does what it is told over a socket that it takes for one to listen on;
 * the clock is what the test says where it can. */
#include "master/proc.h"

#include "base/clock.h"
#include "ipc/balance.h"
#include "ipc/counters.h"
#include "master/lanes.h"
#include "master/relay.h"
#include "master/stats.h"

#include "cluster_idle.h"
#include "recovery_idle.h"
#include "tap.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#define DEADLINE_MS 30000
#define QUEUE_BYTES (1UL << 20)

static struct event_base *base;
static struct proc_common common;
static struct proc_terms terms;
static struct listeners listeners;
static struct conf conf;
static struct proc *proc;
static int told[2];         /* [1]: what the worker is to do, a byte each */
static uint64_t told_count; /* what it has counted, as it was told */
static int ready, gone;     /* how often */
static int admitted;        /* clients */
static int gone_status;
static char gone_how[160];
static char dir[] = "/tmp/test_proc.XXXXXX";
static char log_file[64];

/* --- the worker ------------------------------------------------------------------- */

static void worker_send(const struct worker_start *start, struct buf *message)
{
    if (write(start->up_fd, message->data, message->len) != (ssize_t)message->len)
        _exit(9);
    buf_reset(message);
}

static void worker_does(const struct worker_start *start, char what, struct buf *out)
{
    struct counters counters = {{0}};
    char bytes[4096];
    size_t mark;

    switch (what) {
    case 'h': /* says its version */
        mark = msg_begin(out, MSG_WORKER_HELLO);
        msg_put_u32(out, MSG_VERSION);
        msg_end(out, mark);
        worker_send(start, out);
        break;
    case 'r': /* that it is ready */
        mark = msg_begin(out, MSG_READY);
        msg_end(out, mark);
        worker_send(start, out);
        break;
    case 't': /* takes all that waits for it, as far as it has come */
        while (read(start->down_fd, bytes, sizeof(bytes)) > 0)
            ;
        break;
    case 'c': /* says what it counts */
        counters.at[COUNTER_CONNECTS] = ++told_count;
        (void)counters_put(out, 0, &counters);
        worker_send(start, out);
        break;
    case 'n': /* asks for a client without a name */
    case 'm': /* for one of 255 bytes */
    case 'l': /* and of 256 */
        memset(bytes, 'u', 256);
        (void)msg_put_admit(out, &(struct msg_admit){.client = 7,
                                                     .uid = {bytes, what == 'n'   ? 0
                                                                    : what == 'm' ? 255
                                                                                  : 256}});
        worker_send(start, out);
        break;
    default:
        exit(what - '0');
    }
}

static int worker(const struct conf *in_force, const struct worker_start *start)
{
    struct buf out = {0};
    char what;

    (void)in_force;
    (void)fcntl(start->down_fd, F_SETFL, O_NONBLOCK);
    while (read(start->listen_fds[0], &what, 1) == 1)
        worker_does(start, what, &out);
    return 0;
}

/* --- the master ------------------------------------------------------------------- */

static void on_ready(struct proc *which, void *arg)
{
    (void)which, (void)arg;
    ready++;
}

static void on_gone(struct proc *which, const struct proc_end *end, void *arg)
{
    (void)which, (void)arg;
    gone++;
    gone_status = end->status;
    snprintf(gone_how, sizeof(gone_how), "%s", end->how);
}

static const struct proc_ops ops = {on_ready, on_gone};

static void again(int early, const char *how)
{
    proc_again(proc, early, &(struct proc_end){.how = how});
}

static void on_child(const struct conf *own, void *arg)
{
    (void)own, (void)arg;
}

static int on_serves(unsigned lane, void *arg)
{
    (void)lane, (void)arg;
    return 0;
}

static const struct lanes_ops lanes_ops = {on_serves};

static void on_send(unsigned lane, const void *message, size_t len, void *arg)
{
    (void)lane, (void)message, (void)len, (void)arg;
}

static void on_answer(const struct admit *admit, const struct comeback *comeback,
                      enum msg_verdict verdict, void *arg)
{
    (void)comeback, (void)arg;
    admitted += admit->client == 7 && verdict == MSG_ADMIT_OK;
}

static int on_wake(unsigned ms, void *arg)
{
    (void)ms, (void)arg;
    return 0;
}

static const struct relay_ops relay_ops = {on_send, on_answer, on_wake, NULL, NULL, NULL, NULL};

static void on_ask(unsigned lane, uint32_t id, void *arg)
{
    (void)lane, (void)id, (void)arg;
}

static const struct stats_ops stats_ops = {on_ask};

static void turn(void)
{
    const struct timeval tick = {0, 10000};

    event_base_loopexit(base, &tick);
    event_base_dispatch(base);
}

static int reaches(const int *value, int n)
{
    uint64_t end = clock_ms() + DEADLINE_MS;

    while (*value < n && clock_ms() < end)
        turn();
    return *value >= n;
}

/* The worker is told to do so; *value says when it has. */
static void tell(const char *what)
{
    if (write(told[1], what, strlen(what)) != (ssize_t)strlen(what))
        abort();
}

/* It takes all that waits for it. */
static int takes(void)
{
    uint64_t end = clock_ms() + DEADLINE_MS;

    turn();
    tell("t");
    while (proc_queued(proc) > 0 && clock_ms() < end)
        turn();
    return proc_queued(proc) == 0;
}

/* It says something. */
static int mutters(void)
{
    uint64_t end = clock_ms() + DEADLINE_MS;
    struct counters sum;

    told_count++;
    tell("c");
    do {
        turn();
        stats_sum(common.stats, &sum);
    } while (sum.at[COUNTER_CONNECTS] < told_count && clock_ms() < end);
    return sum.at[COUNTER_CONNECTS] >= told_count;
}

static int lines_with(const char *text)
{
    char line[512];
    int n = 0;
    FILE *in = fopen(log_file, "r");

    while (in != NULL && fgets(line, sizeof(line), in) != NULL)
        n += strstr(line, text) != NULL;
    if (in != NULL)
        fclose(in);
    return n;
}

static void begin(void)
{
    static char nsp[] = "/axr", key[] = "k";

    unlink(log_file);
    if (log_open(LOG_TO_FILE, log_file, LOG_TEXT) < 0 || pipe2(told, O_CLOEXEC) < 0)
        abort();
    conf = (struct conf){.workers = 1, .nsp = nsp, .key = key, .message_bytes = 1 << 20};
    ready = gone = admitted = 0;
    told_count = 0;
    listeners = (struct listeners){.fds = told, .n = 1};
    terms = (struct proc_terms){.conf = &conf, .listeners = &listeners, .generation = 1};
    common = (struct proc_common){.base = base, .worker = worker, .child = on_child};
    common.link = (struct link_options){4096, QUEUE_BYTES, 1 << 16};
    common.relay = relay_new(&conf, &relay_ops, NULL);
    common.cluster = cluster_idle(&conf, common.relay);
    common.recovery = recovery_idle(base, &conf, common.relay, common.cluster);
    common.stats = stats_new(base, &stats_ops, NULL);
    common.lanes = lanes_new(base, &lanes_ops, NULL);
    if (common.lanes == NULL || lanes_open(common.lanes, 0, 1) < 0)
        abort();
    proc = proc_new(&common, &terms, 0, &ops, NULL);
    proc_start(proc);
}

static void end(void)
{
    proc_free(&proc);
    lanes_free(&common.lanes);
    stats_free(&common.stats);
    recovery_free(&common.recovery);
    cluster_free(&common.cluster);
    relay_free(&common.relay);
    buf_free(&common.message);
    close(told[0]);
    close(told[1]);
    log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
}

static void on_sigchld(evutil_socket_t sig, short what, void *arg)
{
    int status;
    pid_t pid;

    (void)sig, (void)what, (void)arg;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (proc != NULL && pid == proc_pid(proc))
            proc_reaped(proc, status);
}

/* --- the tests -------------------------------------------------------------------- */

static void test_life(void)
{
    begin();
    ok(proc_exists(proc) && !proc_is_up(proc) && proc_pid(proc) > 0, "forked");
    is_int(proc_number(proc), 1, "its number is that of its lane");
    tell("hr");
    ok(reaches(&ready, 1) && proc_is_up(proc), "up when it says so");
    ok(!proc_stays_gone(proc), "it has not gone");
    tell("3");
    ok(reaches(&gone, 1), "it ends");
    ok(!proc_exists(proc) && !proc_is_up(proc) && proc_pid(proc) == 0, "and is gone");
    ok(WIFEXITED(gone_status) && WEXITSTATUS(gone_status) == 3 &&
           strncmp(gone_how, "exited status=3 pid=", 20) == 0,
       "its status is told");
    again(0, gone_how);
    tell("hr");
    ok(!proc_exists(proc), "the next one is forked from the loop");
    ok(mutters() && proc_is_up(proc), "and is up when it says so");
    is_int(ready, 1, "but not for the first time");
    is_int(common.restarts[0], 1, "and is one in place of another");
    end();
}

/* A worker that is slow to read and says something now and then is not stuck. */
/* The last name that a worker may ask for, and the first that is none. */
static void test_names(void)
{
    static const char *const wrong[] = {"n", "l"};

    for (int i = 0; i < 2; i++) {
        begin();
        tell("hr");
        ok(reaches(&ready, 1), "a worker");
        tell("m");
        ok(reaches(&admitted, 1), "asks for a user of 255 bytes, and gets an answer");
        tell(wrong[i]);
        ok(reaches(&gone, 1), "for one of %s", i == 0 ? "0" : "256");
        is_int(lines_with("killed: bad message type=66 (admit)"), 1, "it is killed");
        is_int(admitted, 1, "and gets none");
        end();
    }
}

static void test_silence(void)
{
    uint64_t now;

    begin();
    tell("hr");
    ok(reaches(&ready, 1) && mutters(), "a worker that reads nothing says something");
    now = clock_ms();
    ok(proc_serves(proc, now), "serves");
    ok(proc_serves(proc, now + PROC_SILENT_MS - 1), "for a while");
    ok(!proc_serves(proc, now + PROC_SILENT_MS), "and not without another sign");
    ok(mutters() && proc_serves(proc, now + PROC_SILENT_MS), "which brings it back");
    ok(mutters(), "once more");
    proc_watch(proc, now + 11000);
    ok(proc_is_up(proc), "lives");
    proc_watch(proc, now + 20999);
    ok(proc_is_up(proc), "after 9,999 ms of silence too");
    proc_watch(proc, now + 21000);
    ok(!proc_is_up(proc), "not after 10 s");
    ok(!proc_serves(proc, now), "and serves no more");
    is_int(lines_with("it has neither read nor said anything for 10 s"), 1, "as the log says");
    ok(reaches(&gone, 1) && WIFSIGNALED(gone_status), "it is killed");
    end();
}

static void test_not_ready(void)
{
    uint64_t now;

    begin();
    now = clock_ms();
    ok(takes(), "a worker that reads");
    proc_watch(proc, now + PROC_START_MS - 1000);
    ok(takes() && gone == 0, "and is not ready: it has time");
    proc_watch(proc, clock_ms() + PROC_START_MS);
    is_int(lines_with("it is not ready 30 s after its fork"), 1, "30 s and no more");
    ok(reaches(&gone, 1), "it is killed");
    end();
}

/* One that has read all and has nothing to do gets something, to see if it still reads. */
static void test_idle(void)
{
    uint64_t now;

    begin();
    tell("hr");
    ok(reaches(&ready, 1) && takes(), "a worker that has read all");
    now = clock_ms();
    proc_watch(proc, now);
    is_int(proc_queued(proc), 0, "nothing is sent");
    proc_watch(proc, now + 5000);
    turn();
    ok(proc_queued(proc) > 0, "for 5 s, then something is");
    ok(takes(), "which it takes");
    now = clock_ms();
    proc_watch(proc, now + 9000);
    proc_watch(proc, now + 9500);
    ok(proc_is_up(proc), "the next one it may leave there for a while");
    proc_watch(proc, clock_ms() + 10000);
    ok(!proc_is_up(proc), "but not for 10 s");
    end();
}

/* The worker has to be slow for long before what waits for it is too much. */
static void test_queue(void)
{
    static char message[1 << 16];
    uint32_t length = sizeof(message) - 4;
    int behind = 0, sent = 0;

    memcpy(message, &length, sizeof(length));
    begin();
    tell("hr");
    ok(reaches(&ready, 1), "a worker that reads nothing");
    while (proc_is_up(proc) && sent < 100) {
        proc_send(proc, message, sizeof(message));
        behind += proc_is_behind(proc, clock_ms());
        sent++;
    }
    ok(sent > (int)(QUEUE_BYTES / sizeof(message)) && sent < 100, "may have much waiting");
    ok(behind > 0, "and was behind before");
    is_int(lines_with("its queue is full"), 1, "one more, and it is killed");
    proc_send(proc, message, sizeof(message));
    ok(reaches(&gone, 1), "what is sent to it then is lost");
    end();
}

static void test_again(void)
{
    static const unsigned ms[] = {100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000};
    int wrong = 0;

    begin();
    tell("5");
    ok(reaches(&gone, 1), "one that dies early");
    for (size_t i = 0; i < sizeof(ms) / sizeof(*ms); i++) {
        char text[64];
        snprintf(text, sizeof(text), "death %zu; forked again in %u ms", i, ms[i]);
        snprintf(gone_how, sizeof(gone_how), "death %zu", i);
        again(1, gone_how);
        wrong += lines_with(text) != 1;
    }
    is_int(wrong, 0, "waits twice as long each time, up to 30 s");
    again(0, "late");
    is_int(lines_with("late; replaced at once"), 1, "one that has lived does not");
    again(1, "early");
    is_int(lines_with("early; forked again in 100 ms"), 1, "and it begins anew");
    again(0, "late");
    ok(proc_stays_gone(proc), "it may be told to stay gone");
    turn();
    turn();
    is_int(common.forks[0], 1, "and is");
    end();
}

static int open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 2000; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Of one that has died nothing is left here, and nobody counts on it. */
static void test_nothing_left(void)
{
    struct balance *balance = balance_new(2);
    int before;

    if (balance == NULL)
        abort();
    begin();
    terms.balance = balance;
    tell("hr3");
    ok(reaches(&gone, 1), "one dies");
    before = open_fds();
    again(0, gone_how);
    tell("hr");
    ok(mutters(), "the next one lives");
    balance_accepts(balance, 0, 1); /* as it says itself */
    is_int(balance_awake(balance, 1), 1, "and accepts");
    tell("3");
    ok(reaches(&gone, 2), "it dies, too");
    is_int(open_fds(), before, "no descriptor of it stays");
    is_int(balance_awake(balance, 1), 0, "nor is it one that accepts");
    end();
    balance_free(&balance);
}

static void test_lanes(void)
{
    begin();
    is_int(lanes_open(common.lanes, 1, 2), 0, "lanes are made after its fork");
    is_int(proc_tell_lanes(proc), 0, "it is told of them");
    kill(proc_pid(proc), SIGKILL);
    ok(reaches(&gone, 1), "it dies");
    is_int(proc_tell_lanes(proc), 0, "nobody is told of any");
    end();
}

int main(void)
{
    struct event *sigchld;

    signal(SIGPIPE, SIG_IGN);
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(log_file, sizeof(log_file), "%s/log", dir);
    base = event_base_new();
    sigchld = evsignal_new(base, SIGCHLD, on_sigchld, NULL);
    event_add(sigchld, NULL);
    test_life();
    test_names();
    test_silence();
    test_not_ready();
    test_idle();
    test_queue();
    test_again();
    test_nothing_left();
    test_lanes();
    unlink(log_file);
    rmdir(dir);
    event_free(sigchld);
    event_base_free(base);
    return tap_done();
}
