#include "master/watch.h"

#include "base/clock.h"
#include "master/caller.h"
#include "master/live.h"
#include "master/sample.h"
#include "master/stats.h"
#include "master/status.h"
#include "master/trend.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define TYPE "text/event-stream"

#define RATE_MS    900  /* a rate is since the last sample that is so old */
#define LATENCY_MS 9500 /* likewise */
#define SPACE_MS   500  /* two samples further on there are so many between */

struct watcher {
    struct watch *watch;
    struct watcher *next, **prev;
    struct caller *caller;
};

struct watch {
    struct event_base *base;
    struct stats *stats;
    const struct news *news;
    const struct watch_ops *ops;
    void *arg;
    struct event *point; /* every TREND_STEP_MS */
    struct event *tick;  /* every WATCH_MS, while somebody watches */
    struct stats_wait wait;
    int is_asking, point_due;
    struct trend *trend;
    struct sample at[WATCH_SAMPLES];
    unsigned n, last;
    struct status status; /* of the last sample, as long as that is made use of */
    struct watcher *watchers;
    struct buf frame; /* the last "now" */
    uint64_t frame_ms;
};

/* --- samples ---------------------------------------------------------------------- */

static const struct sample *sample_back(const struct watch *watch, unsigned i)
{
    return &watch->at[(watch->last + WATCH_SAMPLES - i) % WATCH_SAMPLES];
}

/* The last that is at least so old when compared with the newest; else the oldest, or NULL. */
static const struct sample *sample_before(const struct watch *watch, uint64_t ms)
{
    uint64_t now = sample_back(watch, 0)->at_ms;

    if (watch->n < 2)
        return NULL;
    for (unsigned i = 1; i < watch->n; i++)
        if (now - sample_back(watch, i)->at_ms >= ms)
            return sample_back(watch, i);
    return sample_back(watch, watch->n - 1);
}

/* Those who come one after the other do not push the others out. */
static void sample_add(struct watch *watch, uint64_t now)
{
    if (watch->n < 2 || now - sample_back(watch, 1)->at_ms >= SPACE_MS) {
        watch->last = (watch->last + 1) % WATCH_SAMPLES;
        if (watch->n < WATCH_SAMPLES)
            watch->n++;
    }
    memset(&watch->status, 0, sizeof(watch->status));
    watch->status.stats = watch->stats;
    watch->ops->status(&watch->status, watch->arg);
    sample_take(&watch->at[watch->last], now, &watch->status);
}

/* --- who watches -------------------------------------------------------------------- */

static void watcher_free(struct watcher *watcher)
{
    struct watch *watch = watcher->watch;

    if (watcher->next != NULL)
        watcher->next->prev = watcher->prev;
    *watcher->prev = watcher->next;
    free(watcher);
    if (watch->watchers != NULL)
        return;
    event_del(watch->tick);
    buf_free(&watch->frame);
}

static void on_gone(void *arg)
{
    watcher_free(arg);
}

static const struct caller_stream_ops stream_ops = {on_gone};

static void frame_begin(struct buf *frame, const char *event)
{
    buf_reset(frame);
    (void)buf_printf(frame, "event: %s\ndata: ", event);
}

/* Without memory it is left out. */
static void frame_end(struct buf *frame)
{
    if (buf_puts(frame, "\n\n") < 0)
        buf_free(frame);
}

static void tell(struct watcher *watcher, const struct buf *frame)
{
    if (frame->len > 0)
        caller_stream_put(watcher->caller, frame->data, frame->len);
}

static void tell_all(const struct watch *watch, const struct buf *frame)
{
    for (struct watcher *watcher = watch->watchers; watcher != NULL; watcher = watcher->next)
        tell(watcher, frame);
}

static void tell_hour(struct watcher *watcher)
{
    struct buf frame = {0};

    (void)buf_puts(&frame, "retry: 2000\n\nevent: hour\ndata: ");
    trend_put_hour(watcher->watch->trend, clock_ms(), clock_wall_ms(), &frame);
    frame_end(&frame);
    tell(watcher, &frame);
    buf_free(&frame);
}

static void tell_point(const struct watch *watch, uint64_t now)
{
    struct buf frame = {0};

    frame_begin(&frame, "point");
    trend_put_point(watch->trend, now, clock_wall_ms(), &frame);
    frame_end(&frame);
    tell_all(watch, &frame);
    buf_free(&frame);
}

static void tell_now(struct watch *watch, uint64_t now)
{
    const struct live live = {&watch->status, watch->news, sample_back(watch, 0),
                              sample_before(watch, RATE_MS), sample_before(watch, LATENCY_MS)};

    frame_begin(&watch->frame, "now");
    live_put(&live, &watch->frame);
    frame_end(&watch->frame);
    watch->frame_ms = now;
    tell_all(watch, &watch->frame);
}

/* --- asking -------------------------------------------------------------------------- */

static void on_counted(void *arg)
{
    struct watch *watch = arg;
    uint64_t now = clock_ms();
    int is_new = 0;

    watch->is_asking = 0;
    sample_add(watch, now);
    if (watch->point_due)
        is_new = trend_add(watch->trend, sample_back(watch, 0));
    watch->point_due = 0;
    if (watch->watchers == NULL)
        return;
    if (is_new)
        tell_point(watch, now);
    tell_now(watch, now);
}

/* Unless they are being asked. */
static void ask(struct watch *watch)
{
    if (watch->is_asking)
        return;
    watch->is_asking = 1;
    watch->wait = (struct stats_wait){.done = on_counted, .arg = watch};
    stats_ask(watch->stats, &watch->wait);
}

static void on_point(evutil_socket_t fd, short what, void *arg)
{
    struct watch *watch = arg;

    (void)fd;
    (void)what;
    watch->point_due = 1;
    ask(watch);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ask(arg);
}

/* --- coming and going ----------------------------------------------------------------- */

static void watcher_link(struct watch *watch, struct watcher *watcher)
{
    const struct timeval second = {WATCH_MS / 1000, WATCH_MS % 1000 * 1000L};

    if (watch->watchers == NULL)
        (void)event_add(watch->tick, &second); /* else every ten seconds have to do */
    watcher->next = watch->watchers;
    if (watcher->next != NULL)
        watcher->next->prev = &watcher->next;
    watcher->prev = &watch->watchers;
    watch->watchers = watcher;
}

void watch_add(struct watch *watch, struct caller *caller)
{
    struct watcher *watcher = calloc(1, sizeof(*watcher));

    if (watcher == NULL) {
        caller_refuse(caller, 503, NULL, NULL);
        return;
    }
    watcher->watch = watch;
    watcher->caller = caller;
    if (caller_stream(caller, TYPE, &stream_ops, watcher) < 0) {
        free(watcher);
        return;
    }
    watcher_link(watch, watcher);
    tell_hour(watcher);
    if (watch->frame.len > 0 && clock_ms() - watch->frame_ms < WATCH_MS)
        tell(watcher, &watch->frame);
    else
        ask(watch);
}

struct watch *watch_new(struct event_base *base, struct stats *stats, const struct news *news,
                        const struct watch_ops *ops, void *arg)
{
    const struct timeval step = {TREND_STEP_MS / 1000, TREND_STEP_MS % 1000 * 1000L};
    struct watch *watch = calloc(1, sizeof(*watch));
    uint64_t now = clock_ms();

    if (watch == NULL)
        return NULL;
    watch->base = base;
    watch->stats = stats;
    watch->news = news;
    watch->ops = ops;
    watch->arg = arg;
    watch->trend = trend_new(now);
    watch->at[0].at_ms = now; /* when nothing had been counted */
    watch->n = 1;
    watch->point = event_new(base, -1, EV_PERSIST, on_point, watch);
    watch->tick = event_new(base, -1, EV_PERSIST, on_tick, watch);
    if (watch->trend == NULL || watch->point == NULL || watch->tick == NULL ||
        event_add(watch->point, &step) < 0)
        watch_free(&watch);
    return watch;
}

void watch_free(struct watch **watchp)
{
    struct watch *watch = *watchp;

    if (watch == NULL)
        return;
    *watchp = NULL;
    if (watch->is_asking)
        stats_cancel(watch->stats, &watch->wait);
    for (struct watcher *watcher = watch->watchers, *next; watcher != NULL; watcher = next) {
        next = watcher->next;
        caller_stream_end(watcher->caller);
        free(watcher);
    }
    if (watch->point != NULL)
        event_free(watch->point);
    if (watch->tick != NULL)
        event_free(watch->tick);
    for (unsigned i = 0; i < WATCH_SAMPLES; i++)
        sample_clear(&watch->at[i]);
    trend_free(&watch->trend);
    buf_free(&watch->frame);
    free(watch);
}
