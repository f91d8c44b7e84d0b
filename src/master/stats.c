#include "master/stats.h"

#include "ipc/start.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

struct row {
    struct counters now;  /* of the worker that is up */
    struct counters past; /* of those before it */
    struct worst worst[WORST_MAX];
    size_t nworst;
    int up;
    int asked; /* and has not answered */
};

struct stats {
    const struct stats_ops *ops;
    void *arg;
    struct event *timer; /* the end of a round */
    struct stats_wait *waits;
    uint32_t id; /* of the last round */
    int asking;
    unsigned awaited; /* answers */
    unsigned nrows;
    unsigned numbers;              /* the highest that a worker had */
    struct row *rows[START_LANES]; /* made when the lane is first up */
};

static void timer_set(struct stats *stats, unsigned ms)
{
    const struct timeval tv = {ms / 1000, ms % 1000 * 1000L};

    /* Fails for want of memory only, and the memory of a timer is there already. */
    (void)event_add(stats->timer, &tv);
}

/* Always from here: whoever tells an answer is in the middle of something else. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct stats *stats = arg;
    struct stats_wait *wait;

    (void)fd;
    (void)what;
    stats->asking = 0;
    for (unsigned i = 0; i < stats->nrows; i++)
        if (stats->rows[i] != NULL)
            stats->rows[i]->asked = 0;
    stats->awaited = 0;
    while ((wait = stats->waits) != NULL) {
        stats->waits = wait->next;
        wait->done(wait->arg);
    }
}

struct stats *stats_new(struct event_base *base, const struct stats_ops *ops, void *arg)
{
    struct stats *stats = calloc(1, sizeof(*stats));

    if (stats == NULL)
        return NULL;
    stats->ops = ops;
    stats->arg = arg;
    stats->timer = event_new(base, -1, 0, on_timer, stats);
    if (stats->timer == NULL) {
        free(stats);
        return NULL;
    }
    return stats;
}

void stats_free(struct stats **statsp)
{
    struct stats *stats = *statsp;

    if (stats == NULL)
        return;
    *statsp = NULL;
    assert(!stats->waits);
    event_free(stats->timer);
    for (unsigned i = 0; i < stats->nrows; i++)
        free(stats->rows[i]);
    free(stats);
}

/* NULL without memory, or where it was never up. */
static struct row *row_at(const struct stats *stats, unsigned lane)
{
    return lane < stats->nrows ? stats->rows[lane] : NULL;
}

void stats_up(struct stats *stats, unsigned lane)
{
    assert(lane < START_LANES);
    if (stats->rows[lane] == NULL)
        stats->rows[lane] = calloc(1, sizeof(*stats->rows[lane]));
    if (stats->rows[lane] == NULL)
        return; /* it is not counted: better than not to have it */
    stats->rows[lane]->up = 1;
    if (lane >= stats->nrows)
        stats->nrows = lane + 1;
    if (start_number(lane) > stats->numbers)
        stats->numbers = start_number(lane);
}

static void row_answered(struct stats *stats, struct row *row)
{
    if (!row->asked)
        return;
    row->asked = 0;
    if (--stats->awaited == 0)
        timer_set(stats, 0);
}

void stats_told(struct stats *stats, unsigned lane, uint32_t id, const struct counters *counters)
{
    struct row *row = row_at(stats, lane);

    if (row == NULL || !row->up)
        return;
    row->now = *counters;
    if (id == stats->id)
        row_answered(stats, row);
}

void stats_worst_told(struct stats *stats, unsigned lane, const struct worst *list, size_t n)
{
    struct row *row = row_at(stats, lane);

    if (row == NULL || !row->up)
        return;
    memcpy(row->worst, list, n * sizeof(*list));
    row->nworst = n;
}

void stats_gone(struct stats *stats, unsigned lane)
{
    struct row *row = row_at(stats, lane);

    if (row == NULL || !row->up)
        return;
    row->up = 0;
    row->nworst = 0;
    counters_add_totals(&row->past, &row->now);
    memset(&row->now, 0, sizeof(row->now));
    row_answered(stats, row);
}

static void round_begin(struct stats *stats)
{
    stats->asking = 1;
    if (++stats->id == 0) /* which says that nobody asked */
        stats->id = 1;
    for (unsigned i = 0; i < stats->nrows; i++) {
        if (stats->rows[i] != NULL && stats->rows[i]->up) {
            stats->rows[i]->asked = 1;
            stats->awaited++;
        }
    }
    timer_set(stats, stats->awaited > 0 ? STATS_MS : 0);
    for (unsigned i = 0; i < stats->nrows; i++)
        if (stats->rows[i] != NULL && stats->rows[i]->asked)
            stats->ops->ask(i, stats->id, stats->arg);
}

void stats_ask(struct stats *stats, struct stats_wait *wait)
{
    wait->next = stats->waits;
    stats->waits = wait;
    if (!stats->asking)
        round_begin(stats);
}

void stats_cancel(struct stats *stats, struct stats_wait *wait)
{
    struct stats_wait **at = &stats->waits;

    while (*at != NULL && *at != wait)
        at = &(*at)->next;
    if (*at != NULL)
        *at = wait->next;
}

unsigned stats_workers(const struct stats *stats)
{
    return stats->numbers;
}

static void row_add(const struct stats *stats, unsigned lane, struct counters *sum)
{
    const struct row *row = row_at(stats, lane);

    if (row == NULL)
        return;
    counters_add(sum, &row->past);
    counters_add(sum, &row->now);
}

void stats_worker(const struct stats *stats, unsigned number, struct counters *dst)
{
    memset(dst, 0, sizeof(*dst));
    for (unsigned lane = number - 1; lane < START_LANES; lane += CONF_WORKERS_MAX)
        row_add(stats, lane, dst);
}

void stats_sum(const struct stats *stats, struct counters *dst)
{
    memset(dst, 0, sizeof(*dst));
    for (unsigned lane = 0; lane < stats->nrows; lane++)
        row_add(stats, lane, dst);
}

/* --- addresses ---------------------------------------------------------------- */

/* All that workers told, as it is. */
static size_t worst_gather(const struct stats *stats, struct worst **list)
{
    size_t n = 0;

    *list = NULL;
    for (unsigned lane = 0; lane < stats->nrows; lane++)
        n += stats->rows[lane] != NULL ? stats->rows[lane]->nworst : 0;
    if (n == 0 || (*list = calloc(n, sizeof(**list))) == NULL)
        return 0;
    n = 0;
    for (unsigned lane = 0; lane < stats->nrows; lane++) {
        const struct row *row = stats->rows[lane];
        if (row == NULL)
            continue;
        memcpy(*list + n, row->worst, row->nworst * sizeof(**list));
        n += row->nworst;
    }
    return n;
}

size_t stats_worst(const struct stats *stats, struct worst *dst, size_t max)
{
    struct worst *list;
    size_t n = worst_gather(stats, &list);

    if (list == NULL)
        return 0;
    n = worst_merge(list, n);
    worst_sort(list, n);
    if (n > max)
        n = max;
    memcpy(dst, list, n * sizeof(*dst));
    free(list);
    return n;
}
