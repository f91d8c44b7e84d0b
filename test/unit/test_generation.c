/* Generations of real processes that do nothing but what the contract of the pipes asks,
 * or die. */
#include "master/generation.h"

#include "base/clock.h"
#include "master/lanes.h"
#include "master/relay.h"
#include "master/stats.h"

#include "cluster_idle.h"
#include "recovery_idle.h"
#include "tap.h"

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define DEADLINE_MS 30000

static struct event_base *base;
static struct proc_common common;
static struct listeners listeners;
static struct conf conf;
static struct generation *generation;
static int deaths[2]; /* [0]: each byte lets one worker die before it is ready */
static int ready, failed, empty, reaped;

/* --- the workers ------------------------------------------------------------------ */

static void worker_send(const struct worker_start *start, enum msg_type type)
{
    struct buf out = {0};
    size_t mark = msg_begin(&out, type);

    if (type == MSG_WORKER_HELLO)
        msg_put_u32(&out, MSG_VERSION);
    msg_end(&out, mark);
    if (write(start->up_fd, out.data, out.len) != (ssize_t)out.len)
        _exit(9);
    buf_free(&out);
}

/* Lives until it is told to leave. */
static int worker(const struct conf *in_force, const struct worker_start *start)
{
    static uint8_t bytes[65536];
    size_t len = 0;
    ssize_t n;
    char death;

    (void)in_force;
    if (read(start->listen_fds[0], &death, 1) == 1)
        return 3;
    worker_send(start, MSG_WORKER_HELLO);
    worker_send(start, MSG_READY);
    while ((n = read(start->down_fd, bytes + len, sizeof(bytes) - len)) > 0) {
        struct msg msg;
        long used;
        len += (size_t)n;
        while ((used = msg_decode(&msg, bytes, len, sizeof(bytes))) > 0) {
            if (msg.type == MSG_DRAIN)
                return 0;
            len -= (size_t)used;
            memmove(bytes, bytes + used, len);
        }
    }
    return 0;
}

/* --- the master ------------------------------------------------------------------- */

static void on_ready(struct generation *which, void *arg)
{
    (void)which, (void)arg;
    ready++;
}

static void on_failed(struct generation *which, const char *why, void *arg)
{
    (void)arg;
    failed += strcmp(why, "its workers end before all are ready") == 0;
    generation_migrate(which, 2000, NULL);
}

static void on_empty(struct generation *which, void *arg)
{
    (void)which, (void)arg;
    empty++;
}

static const struct generation_ops ops = {on_ready, on_failed, on_empty};

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
static const struct relay_ops relay_ops;
static const struct stats_ops stats_ops;

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

static void on_sigchld(evutil_socket_t sig, short what, void *arg)
{
    int status;
    pid_t pid;

    (void)sig, (void)what, (void)arg;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct proc *proc = generation != NULL ? generation_find(generation, pid) : NULL;
        if (proc != NULL)
            proc_reaped(proc, status);
        reaped++;
    }
}

/* So many workers, of which so many die before they are ready. */
static void begin(int workers, int dying)
{
    static char nsp[] = "/axr", key[] = "k";

    if (pipe2(deaths, O_CLOEXEC | O_NONBLOCK) < 0 ||
        write(deaths[1], "xxxxxxxx", (size_t)dying) != dying)
        abort();
    conf = (struct conf){.workers = workers, .nsp = nsp, .key = key, .message_bytes = 1 << 20};
    ready = failed = empty = reaped = 0;
    listeners = (struct listeners){.fds = deaths, .n = 1};
    common = (struct proc_common){.base = base, .worker = worker, .child = on_child};
    common.link = (struct link_options){4096, 1 << 20, 1 << 16};
    common.relay = relay_new(&conf, &relay_ops, NULL);
    common.cluster = cluster_idle(&conf, common.relay);
    common.recovery = recovery_idle(base, &conf, common.relay, common.cluster);
    common.stats = stats_new(base, &stats_ops, NULL);
    common.lanes = lanes_new(base, &lanes_ops, NULL);
    generation = generation_new(&common, &conf, &listeners, 7, 1, NULL, &ops, NULL);
    if (common.lanes == NULL || generation == NULL)
        abort();
}

static void end(void)
{
    generation_free(&generation);
    lanes_free(&common.lanes);
    stats_free(&common.stats);
    recovery_free(&common.recovery);
    cluster_free(&common.cluster);
    relay_free(&common.relay);
    buf_free(&common.message);
    close(deaths[0]);
    close(deaths[1]);
}

/* --- the tests -------------------------------------------------------------------- */

static void test_life(void)
{
    pid_t pid;

    begin(3, 0);
    is_int(generation_number(generation), 7, "its number");
    is_int(generation_half(generation), 1, "its half of the lanes");
    is_int(generation_size(generation), 3, "how many workers it is to have");
    ok(generation_conf(generation) == &conf, "its configuration");
    is_int(generation_living(generation), 0, "none has been forked");
    generation_start(generation, 0);
    is_int(generation_living(generation), 3, "then all are");
    ok(!generation_was_ready(generation), "and not ready yet");
    ok(reaches(&ready, 1) && generation_was_ready(generation), "ready when all have been");
    pid = proc_pid(generation_proc(generation, 2));
    ok(generation_find(generation, pid) == generation_proc(generation, 2), "one by its process");
    ok(generation_find(generation, getpid()) == NULL, "we are none of them");
    ok(!generation_is_leaving(generation), "it stays");
    generation_migrate(generation, 10000, NULL);
    ok(generation_is_leaving(generation), "until it is told to leave");
    ok(reaches(&empty, 1) && generation_living(generation) == 0, "all have gone");
    ok(ready == 1 && failed == 0 && empty == 1, "each is told once");
    end();
}

/* On trial: exactly the last death that is allowed, and one more. */
static void test_trial(void)
{
    begin(2, 1);
    generation_start(generation, 1);
    ok(reaches(&ready, 1), "a worker that dies is replaced");
    is_int(failed, 0, "and its generation is good");
    kill(proc_pid(generation_proc(generation, 0)), SIGKILL);
    kill(proc_pid(generation_proc(generation, 1)), SIGKILL);
    (void)reaches(&reaped, 3); /* both, and the one from before; they are replaced */
    is_int(failed, 0, "deaths that come after do not count");
    end();
    begin(2, 2);
    generation_start(generation, 1);
    ok(reaches(&failed, 1), "at the second death it has failed");
    while (generation_living(generation) > 0)
        turn();
    ok(generation_is_leaving(generation), "and leaves");
    is_int(ready, 0, "without having been ready");
    end();
    begin(2, 2);
    generation_start(generation, 0);
    ok(reaches(&ready, 1), "one that takes nobody's place is not given up");
    is_int(failed, 0, "however many die");
    end();
}

static void test_hurried(void)
{
    uint64_t start;

    begin(1, 0);
    ok(!generation_is_hurried(generation, 2000), "who stays is in no hurry");
    generation_migrate(generation, 600000, NULL);
    ok(!generation_is_hurried(generation, 2000), "nor is who has ten minutes");
    start = clock_ms();
    generation_migrate(generation, 2100, NULL);
    ok(!generation_is_hurried(generation, 2000) || clock_ms() - start >= 100,
       "nor who has a little more than two seconds");
    generation_migrate(generation, 2000, NULL);
    ok(generation_is_hurried(generation, 2000), "who has two seconds is");
    is_int(generation_living(generation), 0, "it has not even begun");
    end();
}

static void test_drain_while_it_starts(void)
{
    begin(2, 0);
    generation_start(generation, 1);
    generation_drain(generation, 5000, NULL);
    ok(reaches(&empty, 1), "one that starts can be told to leave");
    is_int(ready + failed, 0, "that is all that is said of it");
    end();
}

int main(void)
{
    struct event *sigchld;

    signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    sigchld = evsignal_new(base, SIGCHLD, on_sigchld, NULL);
    event_add(sigchld, NULL);
    log_set_level(LOG_LEVEL_ERROR);
    test_life();
    test_trial();
    test_hurried();
    test_drain_while_it_starts();
    event_free(sigchld);
    event_base_free(base);
    return tap_done();
}
