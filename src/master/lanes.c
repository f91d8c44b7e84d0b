#include "master/lanes.h"

#include "ipc/handoff.h"
#include "ipc/start.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#define ORPHAN_BATCH 16 /* before the loop gets its turn */

struct lanes {
    struct event_base *base;
    const struct lanes_ops *ops;
    void *arg;
    int readers[START_LANES], writers[START_LANES]; /* -1: not made */
    struct event *vacant[START_LANES];              /* pending while the lane has no worker */
    unsigned made[2];                               /* of each half */
    unsigned next;                                  /* lane that gets the next orphan */
    int is_over;                                    /* lanes_end() */
    uint8_t *orphan;                                /* HANDOFF_MAX_BYTES, for the one in hand */
};

struct lanes *lanes_new(struct event_base *base, const struct lanes_ops *ops, void *arg)
{
    struct lanes *lanes = calloc(1, sizeof(*lanes));

    if (lanes == NULL)
        return NULL;
    lanes->base = base;
    lanes->ops = ops;
    lanes->arg = arg;
    for (unsigned i = 0; i < START_LANES; i++)
        lanes->readers[i] = lanes->writers[i] = -1;
    lanes->orphan = malloc(HANDOFF_MAX_BYTES);
    if (lanes->orphan == NULL)
        lanes_free(&lanes);
    return lanes;
}

void lanes_free(struct lanes **lanesp)
{
    struct lanes *lanes = *lanesp;

    if (lanes == NULL)
        return;
    *lanesp = NULL;
    for (unsigned i = 0; i < START_LANES; i++) {
        if (lanes->vacant[i] != NULL)
            event_free(lanes->vacant[i]);
        if (lanes->readers[i] >= 0)
            close(lanes->readers[i]);
        if (lanes->writers[i] >= 0)
            close(lanes->writers[i]);
    }
    free(lanes->orphan);
    free(lanes);
}

/* --- orphans ------------------------------------------------------------------ */

/* The next lane whose worker answers, in turn; START_LANES: none. */
static unsigned host_next(struct lanes *lanes)
{
    for (unsigned i = 0; i < START_LANES; i++) {
        unsigned lane = lanes->next++ % START_LANES;
        if (lanes->ops->serves(lane, lanes->arg))
            return lane;
    }
    return START_LANES;
}

static void orphan_pass_on(struct lanes *lanes, int fd, const struct handoff_conn *conn, size_t len)
{
    unsigned host = host_next(lanes);

    /* Where nobody takes it, its client sees it closed. */
    if (host < START_LANES)
        (void)handoff_send(lanes->writers[host], HANDOFF_ORPHAN, fd, conn, lanes->orphan, len);
    explicit_bzero(lanes->orphan, len); /* there may be a token in it */
    close(fd);
}

static void on_orphan(evutil_socket_t reader, short what, void *arg)
{
    struct lanes *lanes = arg;
    struct handoff_conn conn;
    size_t len;
    int fd;

    (void)what;
    for (int i = 0; i < ORPHAN_BATCH; i++) {
        int rc = handoff_receive(reader, &fd, &conn, lanes->orphan, &len);
        if (rc == 0)
            return;
        if (rc > 0)
            orphan_pass_on(lanes, fd, &conn, len);
    }
}

void lanes_vacant(struct lanes *lanes, unsigned lane)
{
    if (!lanes->is_over)
        (void)event_add(lanes->vacant[lane], NULL);
}

void lanes_taken(struct lanes *lanes, unsigned lane)
{
    (void)event_del(lanes->vacant[lane]);
}

void lanes_end(struct lanes *lanes)
{
    lanes->is_over = 1;
}

/* --- their ends --------------------------------------------------------------- */

static int lane_open(struct lanes *lanes, unsigned lane)
{
    if (handoff_pair(&lanes->readers[lane], &lanes->writers[lane]) < 0)
        return -1;
    lanes->vacant[lane] =
        event_new(lanes->base, lanes->readers[lane], EV_READ | EV_PERSIST, on_orphan, lanes);
    if (lanes->vacant[lane] != NULL)
        return 0;
    close(lanes->readers[lane]);
    close(lanes->writers[lane]);
    lanes->readers[lane] = lanes->writers[lane] = -1;
    errno = ENOMEM;
    return -1;
}

int lanes_open(struct lanes *lanes, unsigned half, unsigned n)
{
    for (; lanes->made[half] < n; lanes->made[half]++)
        if (lane_open(lanes, half * CONF_WORKERS_MAX + lanes->made[half]) < 0)
            return -1;
    return 0;
}

int lanes_reader(const struct lanes *lanes, unsigned lane)
{
    return lanes->readers[lane];
}

const int *lanes_writers(const struct lanes *lanes)
{
    return lanes->writers;
}

/* Its worker has ended, and will be reaped: the next one is born with all of them. */
static int is_gone(int error)
{
    return error == EPIPE || error == ECONNRESET || error == ECONNREFUSED;
}

struct lanes_known lanes_known(const struct lanes *lanes)
{
    return (struct lanes_known){{lanes->made[0], lanes->made[1]}};
}

int lanes_tell(const struct lanes *lanes, int fd, struct lanes_known *known)
{
    for (unsigned half = 0; half < 2; half++) {
        while (known->n[half] < lanes->made[half]) {
            unsigned n = lanes->made[half] - known->n[half];
            unsigned first = half * CONF_WORKERS_MAX + known->n[half];
            if (n > HANDOFF_PEERS_MAX)
                n = HANDOFF_PEERS_MAX;
            if (handoff_send_peers(fd, first, &lanes->writers[first], n) < 0)
                return is_gone(errno) ? 0 : -1;
            known->n[half] += n;
        }
    }
    return 0;
}
