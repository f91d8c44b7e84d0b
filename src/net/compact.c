#include "net/compact.h"

#include "base/clock.h"

#include <stdlib.h>

#define THIN_MAX_BYTES ((size_t)1024 * 1024) /* of thin blocks, whoever waits */
#define SLICE_US       1000                  /* of a turn of the loop */
#define STEP_RUNS      4096                  /* looked at on one reading of the clock */
#define WATCH_MIN      16
/* What it costs to look at a queue, in bytes of thin blocks that are then worth it; at
 * each of its runs, what that takes. */
#define QUEUE_COST 64

void compact_init(struct compact *compact, struct chunks *chunks)
{
    compact->chunks = chunks;
    compact->slack = chunks->thin_max = THIN_MAX_BYTES;
}

void compact_clear(struct compact *compact)
{
    free(compact->queues);
    compact->queues = NULL;
}

/* --- whom to look at --- */

void compact_watch(struct compact *compact, struct outq *queue)
{
    if (queue->watch != 0)
        return;
    if (compact->n == compact->cap) {
        uint32_t cap = compact->cap > 0 ? compact->cap * 2 : WATCH_MIN;
        struct outq **queues = reallocarray(compact->queues, cap, sizeof(struct outq *));
        if (queues == NULL)
            return; /* it keeps its blocks */
        compact->queues = queues;
        compact->cap = cap;
    }
    compact->queues[compact->n++] = queue;
    queue->watch = compact->n;
}

void compact_forget(struct compact *compact, struct outq *queue)
{
    uint32_t at = queue->watch - 1;

    if (queue->watch == 0)
        return;
    if (at == compact->next)
        compact->run = 0;
    compact->queues[at] = compact->queues[--compact->n];
    compact->queues[at]->watch = queue->watch;
    queue->watch = 0;
}

/* --- looking --- */

/* Some runs of the queue that is next.  One that is empty is forgotten: who has to wait
 * again is watched again. */
static void pass_step(struct compact *compact)
{
    struct outq *queue = compact->queues[compact->next];

    if (queue->bytes == 0) {
        compact_forget(compact, queue);
        return;
    }
    if (compact->run == 0)
        compact->cost += QUEUE_COST + queue->more_n * sizeof(struct run);
    compact->run = outq_copy_thin(queue, compact->run, STEP_RUNS);
    if (compact->run == 0)
        compact->next++;
}

/* What is thin still waits for clients that are written to now, or memory failed.  The
 * next pass is worth it when there is as much more. */
static void pass_end(struct compact *compact)
{
    compact->slack = compact->cost > THIN_MAX_BYTES ? compact->cost : THIN_MAX_BYTES;
    compact->next = compact->run = 0;
    compact->cost = 0;
    compact->running = 0;
    compact->chunks->thin_max = compact->chunks->thin + compact->slack;
}

int compact_slice(struct compact *compact)
{
    struct chunks *chunks = compact->chunks;
    uint64_t begun_us;

    if (chunks->thin_max > chunks->thin + compact->slack) /* some have gone by themselves */
        chunks->thin_max = chunks->thin + compact->slack;
    if (!compact->running && chunks->thin < chunks->thin_max)
        return 0;
    compact->running = 1;
    begun_us = clock_us();
    while (compact->next < compact->n) {
        pass_step(compact);
        if (clock_us() - begun_us >= SLICE_US)
            return 1;
    }
    pass_end(compact);
    return 0;
}
