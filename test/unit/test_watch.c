/* Who watches, over loopback sockets, with workers that are played. */
#include "master/watch.h"

#include "base/clock.h"
#include "codec/json.h"
#include "live_world.h"
#include "loopback.h"
#include "master/caller.h"
#include "master/news.h"
#include "master/stats.h"
#include "nomem_nth.h"
#include "tap.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>

#define WAIT_MS 20000
#define BYTES   (64 << 10)

static struct event_base *base;
static struct stats *stats;
static struct news *news;
static struct callers *callers;
static struct watch *watch;
static int port, listener, asked, silent;

static void on_ask(unsigned lane, uint32_t id, void *arg)
{
    struct counters counters = {{0}};

    (void)arg;
    asked++;
    counters.at[COUNTER_CLIENTS] = (uint64_t)asked;
    counters.at[COUNTER_DELIVERIES] = 10 * (uint64_t)asked;
    counters.at[COUNTER_LATENCY] = (uint64_t)asked;
    if (!silent)
        stats_told(stats, lane, id, &counters);
}

static const struct stats_ops stats_ops = {on_ask};

static void on_status(struct status *status, void *arg)
{
    ok(arg == &asked && status->stats == stats, "status");
    live_status(status, stats);
}

static const struct watch_ops watch_ops = {on_status};

static void on_request(struct caller *caller, const struct http_request *req, void *arg)
{
    (void)req;
    (void)arg;
    watch_add(watch, caller);
}

static const struct callers_ops callers_ops = {on_request};

/* --- one that watches ---------------------------------------------------------------- */

struct viewer {
    int fd, ended;
    size_t len;
    char text[BYTES];
};

static struct viewer viewers[CALLER_STREAMS + 1];

static void begin(struct viewer *viewer)
{
    static const char request[] = "GET /events HTTP/1.1\r\nHost: h\r\n\r\n";
    int fd;

    memset(viewer, 0, sizeof(*viewer));
    viewer->fd = loopback_dial(port);
    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    callers_add(callers, fd);
    if (send(viewer->fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
        ok(0, "send");
}

static void look(struct viewer *viewer)
{
    ssize_t n = recv(viewer->fd, viewer->text + viewer->len, BYTES - 1 - viewer->len, MSG_DONTWAIT);

    if (n > 0)
        viewer->len += (size_t)n;
    viewer->ended |= n == 0 || (n < 0 && errno != EAGAIN);
}

/* How often that is in what it got. */
static int count(const struct viewer *viewer, const char *text)
{
    int n = 0;

    for (const char *at = viewer->text; (at = strstr(at, text)) != NULL; at++)
        n++;
    return n;
}

static void turn(void)
{
    struct timeval soon = {0, 1000};

    event_base_loopexit(base, &soon);
    event_base_dispatch(base);
}

/* Runs the loop until it has got that so often. */
static void reaches(struct viewer *viewer, const char *text, int times, const char *name)
{
    for (uint64_t end = clock_ms() + WAIT_MS; count(viewer, text) < times && clock_ms() < end;) {
        turn();
        look(viewer);
    }
    ok(count(viewer, text) >= times, "%s", name);
}

static void ends(struct viewer *viewer, const char *name)
{
    for (uint64_t end = clock_ms() + WAIT_MS; !viewer->ended && clock_ms() < end;) {
        turn();
        look(viewer);
    }
    ok(viewer->ended, "%s", name);
}

/* Events on timers and sockets, beside those of the loop itself. */
static int pending(void)
{
    return event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED);
}

/* The data of the last event of that name; valid until the next call. */
static struct slice data_of(struct viewer *viewer, const char *event)
{
    char line[64];
    const char *at, *last = NULL, *end;

    snprintf(line, sizeof(line), "event: %s\ndata: ", event);
    for (at = viewer->text; (at = strstr(at, line)) != NULL; at++)
        last = at + strlen(line);
    end = last != NULL ? strstr(last, "\n\n") : NULL;
    return end != NULL ? (struct slice){last, (size_t)(end - last)} : (struct slice){0};
}

static int is_json(struct slice data)
{
    return data.len > 0 && json_span(data.ptr, data.len) == (long)data.len;
}

static void leaves(struct viewer *viewer, int before)
{
    close(viewer->fd);
    for (uint64_t end = clock_ms() + WAIT_MS; pending() > before && clock_ms() < end;)
        turn();
    is_int(pending(), before, "no timer more when it has gone");
}

/* --- tests --------------------------------------------------------------------------- */

static void test_one(void)
{
    struct viewer *viewer = &viewers[0];
    int before = pending();

    is_int(asked, 0, "nobody is asked while nobody watches");
    begin(viewer);
    reaches(viewer, "event: now", 1, "at once");
    ok(strstr(viewer->text, "Content-Type: text/event-stream\r\n") != NULL, "events");
    ok(strstr(viewer->text, "\r\n\r\nretry: 2000\n\nevent: hour\ndata: {\"step\":10,") != NULL,
       "the hour first");
    ok(is_json(data_of(viewer, "hour")), "which is JSON");
    ok(is_json(data_of(viewer, "now")), "and so is now");
    ok(strstr(data_of(viewer, "now").ptr, "\"clients\":1,") != NULL, "with what was asked for");
    is_int(asked, 1, "one question");
    leaves(viewer, before);
}

static void test_many(void)
{
    struct viewer *late = &viewers[CALLER_STREAMS];
    int before;

    for (unsigned i = 0; i < CALLER_STREAMS; i++) {
        begin(&viewers[i]);
        reaches(&viewers[i], "event: now", 1, "another");
    }
    begin(late);
    ends(late, "one too many");
    ok(strstr(late->text, "HTTP/1.1 503 ") != NULL, "is refused");
    close(late->fd);
    before = asked;
    reaches(&viewers[0], "event: now", count(&viewers[0], "event: now") + 1, "they go on");
    ok(asked - before <= 2, "with one question for all: %d", asked - before);
    ok(strstr(data_of(&viewers[0], "now").ptr, "\"delivered\":null") == NULL, "with rates");
    for (unsigned i = 1; i < CALLER_STREAMS; i++) {
        struct slice ours = data_of(&viewers[0], "now"), its;
        char want[128];
        snprintf(want, sizeof(want), "%.*s", ours.len < 100 ? (int)ours.len : 100, ours.ptr);
        reaches(&viewers[i], want, 1, "with the same bytes");
        its = data_of(&viewers[i], "now");
        ok(is_json(its), "JSON");
    }
    for (unsigned i = 0; i < CALLER_STREAMS - 1; i++)
        close(viewers[i].fd);
    viewers[0] = viewers[CALLER_STREAMS - 1];
}

static void test_silent(void)
{
    struct viewer *viewer = &viewers[0];
    int had = count(viewer, "event: now");

    silent = 1;
    reaches(viewer, "event: now", had + 1, "of workers that say nothing it is told what was");
    silent = 0;
}

/* Those who come and go make samples, which have to leave those of seconds ago in place. */
static void test_hurry(void)
{
    struct viewer *viewer = &viewers[1];
    int before = pending(), first = asked;
    char want[32];

    for (int i = 0; i < WATCH_SAMPLES + 6; i++) {
        begin(viewer);
        while (count(viewer, "event: now") == 0 && !viewer->ended) {
            turn();
            look(viewer);
        }
        if (i < WATCH_SAMPLES + 5)
            leaves(viewer, before);
    }
    snprintf(want, sizeof(want), "\"count\":%d}", asked);
    ok(asked > first + WATCH_SAMPLES && strstr(data_of(viewer, "now").ptr, want) != NULL,
       "all of the last ten seconds: %s", want);
    leaves(viewer, before);
}

/* Each allocation fails once: somebody is refused, or an event is left out, and that is all. */
static void test_no_memory(void)
{
    struct viewer *viewer = &viewers[1];
    int before = pending(), made = 0;

    for (int nth = 1; nth < 40; nth++) {
        struct watch *other;

        nomem_nth = nth;
        other = watch_new(base, stats, news, &watch_ops, &asked);
        nomem_nth = 0;
        made += other != NULL;
        watch_free(&other);
    }
    ok(made > 30 && made < 39, "made with all of it, or not at all");
    for (int nth = 1; nth < 40; nth++) {
        begin(viewer);
        nomem_nth = nth;
        for (int i = 0; i < 4; i++)
            turn();
        nomem_nth = 0;
        leaves(viewer, before);
    }
    begin(viewer);
    reaches(viewer, "event: now", 1, "and whoever comes then is told all");
    ok(is_json(data_of(viewer, "hour")) && is_json(data_of(viewer, "now")), "JSON");
    leaves(viewer, before);
}

static void test_end(void)
{
    struct viewer *viewer = &viewers[0];

    watch_free(&watch);
    ok(watch == NULL, "freed");
    ends(viewer, "whoever watches is told no more");
    close(viewer->fd);
    watch = watch_new(base, stats, news, &watch_ops, &asked);
    test_hurry();
    test_no_memory();
    begin(viewer);
    reaches(viewer, "event: now", 1, "another watches");
    callers_free(&callers);
    ends(viewer, "its connection is closed");
    close(viewer->fd);
    watch_free(&watch);
    watch_free(&watch);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    stats = stats_new(base, &stats_ops, NULL);
    news = news_new();
    news_put(news, LOG_LEVEL_ERROR, "\n\ndata: \xff\"");
    listener = loopback_listen(SOCK_NONBLOCK | SOCK_CLOEXEC, &port);
    callers = callers_new(base, 4, &callers_ops, NULL);
    stats_up(stats, 0);
    watch = watch_new(base, stats, news, &watch_ops, &asked);
    test_one();
    test_many();
    test_silent();
    test_end();
    close(listener);
    news_free(&news);
    stats_free(&stats);
    event_base_free(base);
    return tap_done();
}
