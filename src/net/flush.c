/* flush - who is written to, in which slices, so that a fan-out to many thousands keeps
 * nobody else waiting; and the sweep of the dead. */
#include "base/clock.h"
#include "net/net.h"

#define FLUSH_SLICE      256  /* clients written to before the loop gets its turn */
#define CLOSING_SLICE_US 3000 /* for cutting clients off, on a turn of the loop */
#define SLOW_SLICE_US    1000 /* for writing to clients that do not read */
#define CLOCK_SLICE      16   /* clients written to on one reading of the clock */

static struct conn *take_dirty(struct dirty *dirty)
{
    struct conn *conn = dirty->first;

    if ((dirty->first = conn->dirty_next) == NULL)
        dirty->tail = &dirty->first;
    conn->dirty_next = NULL;
    conn->dirty = CLEAN;
    return conn;
}

static void flush_slice(struct net *net, struct dirty *dirty)
{
    int over = 0;

    for (int n = 0; dirty->first != NULL && n < FLUSH_SLICE && !over; n++) {
        int behind = dirty->first->dirty == DIRTIER;
        struct conn *conn = take_dirty(dirty);
        if (dirty->first != NULL) /* while this one is written to */
            conn_fetch(dirty->first);
        if (n % CLOCK_SLICE == 0)
            net_clock(net);
        if (dirty == &net->dirty[DIRTY_FANOUT])
            over = gather_taken(net);
        if (conn->state == CONN_DEAD)
            continue;
        if (behind && !conn->closing && slow_blocks(conn))
            continue;
        if (conn->closing || conn->slow)
            conn_dirty(conn);
        else
            conn_flush(conn);
    }
}

/* Those who wait here for long may have begun to read. */
static void slow_slice(struct net *net)
{
    struct dirty *dirty = &net->dirty[DIRTY_SLOW];
    uint64_t begun_us;

    if (dirty->first == NULL)
        return;
    net_clock(net);
    begun_us = net->now_us;
    while (dirty->first != NULL) {
        struct conn *conn = take_dirty(dirty);
        net_clock(net);
        if (conn->closing && conn->state != CONN_DEAD)
            conn_dirty(conn);
        else if (conn->state != CONN_DEAD && !slow_blocks(conn))
            conn_flush(conn);
        if (net->now_us - begun_us >= SLOW_SLICE_US)
            return;
    }
}

static void closing_slice(struct net *net)
{
    struct dirty *dirty = &net->dirty[DIRTY_CLOSING];
    uint64_t end_us = dirty->first != NULL ? clock_us() + CLOSING_SLICE_US : 0;

    while (dirty->first != NULL) {
        struct conn *conn = take_dirty(dirty);
        if (conn->state != CONN_DEAD)
            conn_flush(conn);
        if (clock_us() >= end_us)
            return;
    }
}

static int is_dirty(const struct net *net)
{
    for (int i = 0; i < DIRTIES; i++)
        if (net->dirty[i].first != NULL)
            return 1;
    return 0;
}

/* ... and does not wait for the end of a rest. */
static int is_due(const struct net *net)
{
    for (int i = 0; i < DIRTIES; i++)
        if (net->dirty[i].first != NULL && (i != DIRTY_FANOUT || !net->gather.rests))
            return 1;
    return 0;
}

void net_flush(struct net *net)
{
    int more;

    flush_slice(net, &net->dirty[DIRTY_OWN]);
    if (!net->gather.rests)
        flush_slice(net, &net->dirty[DIRTY_FANOUT]);
    slow_slice(net);
    closing_slice(net);
    more = compact_slice(&net->compact);
    if (more || is_due(net))
        net_flush_later(net);
}

void net_flush_all(struct net *net)
{
    while (is_dirty(net)) {
        gather_over(net);
        net_flush(net);
    }
}

/* The lists as a whole may not be empty for long. */
void net_sweep(struct net *net)
{
    struct conn **at = &net->dead, *conn;

    while ((conn = *at) != NULL) {
        if (conn->dirty != CLEAN) {
            at = &conn->next;
            continue;
        }
        if ((*at = conn->next) != NULL)
            conn->next->prev = at;
        conn_free(conn);
    }
}
