#include "master/tally.h"

#include "ipc/start.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

struct row {
    struct counters now;  /* of the worker that is up */
    struct counters past; /* of those before it */
    int up;
    int asked; /* and has not answered */
};

struct tally {
    const struct tally_ops *ops;
    void *arg;
    struct event *timer; /* the end of a round */
    struct tally_wait *waits;
    uint32_t id; /* of the last round */
    int asking;
    unsigned awaited; /* answers */
    unsigned nrows;
    unsigned numbers;              /* the highest that a worker had */
    struct row *rows[START_LANES]; /* made when the lane is first up */
};

static void timer_set(struct tally *tally, unsigned ms)
{
    const struct timeval tv = {ms / 1000, ms % 1000 * 1000L};
    /* Fails for want of memory only, and the memory of a timer is there already. */
    (void)event_add(tally->timer, &tv);
}

/* Always from here: whoever tells an answer is in the middle of something else. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct tally *tally = arg;
    struct tally_wait *wait;
    (void)fd;
    (void)what;
    tally->asking = 0;
    for (unsigned i = 0; i < tally->nrows; i++)
        if (tally->rows[i])
            tally->rows[i]->asked = 0;
    tally->awaited = 0;
    while ((wait = tally->waits)) {
        tally->waits = wait->next;
        wait->done(wait->arg);
    }
}

struct tally *tally_new(struct event_base *base, const struct tally_ops *ops, void *arg)
{
    struct tally *tally = calloc(1, sizeof *tally);
    if (!tally)
        return NULL;
    tally->ops = ops;
    tally->arg = arg;
    tally->timer = event_new(base, -1, 0, on_timer, tally);
    if (!tally->timer) {
        free(tally);
        return NULL;
    }
    return tally;
}

void tally_free(struct tally **tallyp)
{
    struct tally *tally = *tallyp;
    if (!tally)
        return;
    *tallyp = NULL;
    assert(!tally->waits);
    event_free(tally->timer);
    for (unsigned i = 0; i < tally->nrows; i++)
        free(tally->rows[i]);
    free(tally);
}

/* NULL without memory, or where it was never up. */
static struct row *row_at(const struct tally *tally, unsigned lane)
{
    return lane < tally->nrows ? tally->rows[lane] : NULL;
}

void tally_up(struct tally *tally, unsigned lane)
{
    assert(lane < START_LANES);
    if (!tally->rows[lane])
        tally->rows[lane] = calloc(1, sizeof *tally->rows[lane]);
    if (!tally->rows[lane])
        return; /* it is not counted: better than not to have it */
    tally->rows[lane]->up = 1;
    if (lane >= tally->nrows)
        tally->nrows = lane + 1;
    if (start_number(lane) > tally->numbers)
        tally->numbers = start_number(lane);
}

static void row_answered(struct tally *tally, struct row *row)
{
    if (!row->asked)
        return;
    row->asked = 0;
    if (--tally->awaited == 0)
        timer_set(tally, 0);
}

void tally_told(struct tally *tally, unsigned lane, uint32_t id, const struct counters *counters)
{
    struct row *row = row_at(tally, lane);
    if (!row || !row->up)
        return;
    row->now = *counters;
    if (id == tally->id)
        row_answered(tally, row);
}

void tally_gone(struct tally *tally, unsigned lane)
{
    struct row *row = row_at(tally, lane);
    if (!row || !row->up)
        return;
    row->up = 0;
    counters_retire(&row->past, &row->now);
    memset(&row->now, 0, sizeof row->now);
    row_answered(tally, row);
}

static void round_begin(struct tally *tally)
{
    tally->asking = 1;
    if (++tally->id == 0) /* which says that nobody asked */
        tally->id = 1;
    for (unsigned i = 0; i < tally->nrows; i++) {
        if (tally->rows[i] && tally->rows[i]->up) {
            tally->rows[i]->asked = 1;
            tally->awaited++;
        }
    }
    timer_set(tally, tally->awaited > 0 ? TALLY_MS : 0);
    for (unsigned i = 0; i < tally->nrows; i++)
        if (tally->rows[i] && tally->rows[i]->asked)
            tally->ops->ask(i, tally->id, tally->arg);
}

void tally_ask(struct tally *tally, struct tally_wait *wait)
{
    wait->next = tally->waits;
    tally->waits = wait;
    if (!tally->asking)
        round_begin(tally);
}

void tally_cancel(struct tally *tally, struct tally_wait *wait)
{
    struct tally_wait **at = &tally->waits;
    while (*at && *at != wait)
        at = &(*at)->next;
    if (*at)
        *at = wait->next;
}

unsigned tally_workers(const struct tally *tally)
{
    return tally->numbers;
}

static void row_add(const struct tally *tally, unsigned lane, struct counters *sum)
{
    const struct row *row = row_at(tally, lane);
    if (!row)
        return;
    counters_add(sum, &row->past);
    counters_add(sum, &row->now);
}

void tally_worker(const struct tally *tally, unsigned number, struct counters *dst)
{
    memset(dst, 0, sizeof *dst);
    for (unsigned lane = number - 1; lane < START_LANES; lane += CONF_WORKERS_MAX)
        row_add(tally, lane, dst);
}

void tally_sum(const struct tally *tally, struct counters *dst)
{
    memset(dst, 0, sizeof *dst);
    for (unsigned lane = 0; lane < tally->nrows; lane++)
        row_add(tally, lane, dst);
}
