#include "master/marks.h"

#include "base/clock.h"
#include "base/rand.h"
#include "master/timer.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

struct marks {
    const struct marks_ops *ops;
    void *arg;
    struct event *timer;
    struct offsets offsets;
    char node[OFFSETS_NODE_MAX];
    size_t node_len;
    uint8_t last[OFFSETS_MARK]; /* of the channel, if there was one */

    uint64_t seen_ms; /* when it came, or the subscription did */
    uint64_t due_ms;  /* the next is published then; UINT64_MAX: one is on its way */
    uint64_t lost_ms; /* one that is on its way is lost then; UINT64_MAX: none is */
    uint64_t own_ms;  /* the next of our own; UINT64_MAX: those of the channel will do */
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void rearm(struct marks *marks, uint64_t now_ms)
{
    uint64_t next_ms = least(marks->due_ms, least(marks->lost_ms, marks->own_ms));

    (void)timer_set(marks->timer, next_ms > now_ms ? (unsigned)(next_ms - now_ms) : 0);
}

static void step(const struct marks *marks)
{
    marks->ops->step(offsets_at(&marks->offsets), marks->arg);
}

/* Nobody else has what comes of it. */
static void begin(struct marks *marks)
{
    uint8_t random[OFFSETS_RANDOM];

    rand_bytes(random, sizeof(random));
    offsets_begin(&marks->offsets, random, (struct slice){marks->node, marks->node_len});
}

/* One has come, or may come soon. */
static void wait_anew(struct marks *marks, unsigned ms)
{
    uint64_t now_ms = clock_ms();

    marks->seen_ms = now_ms;
    marks->due_ms = now_ms + ms + rand_below(MARKS_JITTER_MS);
    marks->lost_ms = marks->own_ms = UINT64_MAX;
    rearm(marks, now_ms);
}

/* --- one that is published ------------------------------------------------------ */

static void not_published(struct marks *marks, uint64_t now_ms, unsigned retry_ms)
{
    marks->due_ms = now_ms + retry_ms;
    marks->lost_ms = UINT64_MAX;
    if (marks->own_ms == UINT64_MAX)
        marks->own_ms = marks->seen_ms + MARKS_ALONE_MS;
}

static void publish(struct marks *marks, uint64_t now_ms)
{
    uint8_t mark[OFFSETS_MARK];

    rand_bytes(mark, sizeof(mark));
    marks->due_ms = UINT64_MAX;
    marks->lost_ms = now_ms + MARKS_LOST_MS;
    if (marks->ops->publish(mark, marks->arg) < 0)
        not_published(marks, now_ms, MARKS_AGAIN_MS);
}

void marks_refused(struct marks *marks)
{
    uint64_t now_ms = clock_ms();

    if (marks->due_ms != UINT64_MAX)
        return; /* another one has come meanwhile */
    not_published(marks, now_ms, MARKS_RETRY_MS);
    rearm(marks, now_ms);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct marks *marks = arg;
    uint64_t now_ms = clock_ms();

    (void)fd;
    (void)what;
    if (now_ms >= marks->lost_ms)
        not_published(marks, now_ms, MARKS_RETRY_MS);
    if (now_ms >= marks->due_ms)
        publish(marks, now_ms);
    if (now_ms >= marks->own_ms) {
        begin(marks);
        marks->own_ms = now_ms + MARKS_EVERY_MS;
        step(marks);
    }
    rearm(marks, now_ms);
}

/* --- what comes ----------------------------------------------------------------- */

void marks_gap(struct marks *marks, struct slice node)
{
    marks->node_len = node.len < sizeof(marks->node) ? node.len : sizeof(marks->node);
    if (marks->node_len > 0)
        memcpy(marks->node, node.ptr, marks->node_len);
    begin(marks);
    wait_anew(marks, 0); /* the sooner two have come the better */
    step(marks);
}

uint64_t marks_message(struct marks *marks, struct slice channel, struct slice payload)
{
    offsets_next(&marks->offsets, channel, payload);
    return offsets_at(&marks->offsets);
}

int marks_peer(struct marks *marks, struct slice payload)
{
    if (payload.len != sizeof(marks->last))
        return 0;
    /* Twice the same would let one offset name two positions. */
    if (memcmp(payload.ptr, marks->last, sizeof(marks->last)) == 0)
        return 1;
    memcpy(marks->last, payload.ptr, sizeof(marks->last));
    offsets_mark(&marks->offsets, marks->last);
    wait_anew(marks, MARKS_EVERY_MS);
    step(marks);
    return 1;
}

uint64_t marks_offset(const struct marks *marks)
{
    return offsets_at(&marks->offsets);
}

uint64_t marks_marked(const struct marks *marks)
{
    return offsets_marked(&marks->offsets);
}

int marks_shared(const struct marks *marks)
{
    return offsets_shared(&marks->offsets);
}

/* --- coming and going ------------------------------------------------------------ */

struct marks *marks_new(struct event_base *base, const struct marks_ops *ops, void *arg)
{
    struct marks *marks = calloc(1, sizeof(*marks));

    if (marks == NULL)
        return NULL;
    marks->ops = ops;
    marks->arg = arg;
    marks->timer = event_new(base, -1, 0, on_timer, marks);
    if (marks->timer == NULL || timer_set(marks->timer, 0) < 0) { /* its memory is there then */
        marks_free(&marks);
        return NULL;
    }
    begin(marks);
    wait_anew(marks, 0);
    return marks;
}

void marks_free(struct marks **marksp)
{
    struct marks *marks = *marksp;

    if (marks == NULL)
        return;
    *marksp = NULL;
    if (marks->timer != NULL)
        event_free(marks->timer);
    free(marks);
}
