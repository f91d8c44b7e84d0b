/* lane - where connections are sent to a worker; see ipc/handoff.h. */
#include "base/log.h"
#include "ipc/handoff.h"
#include "master/pool_state.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#define STRAY_BATCH 16 /* before the loop gets its turn */

int lanes_init(struct pool *pool)
{
    for (unsigned i = 0; i < START_LANES; i++)
        pool->reads[i] = pool->writes[i] = -1;
    pool->stray = malloc(HANDOFF_MAX_BYTES);
    return pool->stray ? 0 : -1;
}

void lanes_clear(struct pool *pool)
{
    for (unsigned i = 0; i < START_LANES; i++) {
        if (pool->strays[i])
            event_free(pool->strays[i]);
        if (pool->reads[i] >= 0)
            close(pool->reads[i]);
        if (pool->writes[i] >= 0)
            close(pool->writes[i]);
    }
    free(pool->stray);
}

/* --- strays ------------------------------------------------------------------- */

/* The next slot, of any crew, whose worker answers. */
static struct slot *host_next(struct pool *pool)
{
    for (unsigned i = 0; i < START_LANES; i++) {
        unsigned lane = pool->next_stray++ % START_LANES;
        const struct crew *crew = pool->at[lane / CONF_WORKERS_MAX];
        if (!crew || crew->leaving || lane % CONF_WORKERS_MAX >= crew->nslots)
            continue;
        struct slot *slot = &pool->at[lane / CONF_WORKERS_MAX]->slots[lane % CONF_WORKERS_MAX];
        if (slot->state == UP)
            return slot;
    }
    return NULL;
}

static void stray_pass_on(struct pool *pool, int fd, size_t len)
{
    const struct slot *host = host_next(pool);
    /* Where nobody takes it, its client sees it closed. */
    if (host)
        (void)handoff_send(pool->writes[host->lane], HANDOFF_STRAY, fd, pool->stray, len);
    close(fd);
}

static void on_stray(evutil_socket_t read_fd, short what, void *arg)
{
    struct pool *pool = arg;
    size_t len;
    int fd;
    (void)what;
    for (int i = 0; i < STRAY_BATCH; i++) {
        int rc = handoff_receive(read_fd, &fd, pool->stray, &len);
        if (rc == 0)
            return;
        if (rc > 0)
            stray_pass_on(pool, fd, len);
    }
}

void lane_vacant(struct pool *pool, unsigned lane)
{
    if (!pool->draining)
        (void)event_add(pool->strays[lane], NULL);
}

void lane_taken(struct pool *pool, unsigned lane)
{
    (void)event_del(pool->strays[lane]);
}

/* --- ends --------------------------------------------------------------------- */

static int lane_open(struct pool *pool, unsigned lane)
{
    if (handoff_pair(&pool->reads[lane], &pool->writes[lane]) < 0)
        return -1;
    pool->strays[lane] =
        event_new(pool->options.base, pool->reads[lane], EV_READ | EV_PERSIST, on_stray, pool);
    if (pool->strays[lane])
        return 0;
    close(pool->reads[lane]);
    close(pool->writes[lane]);
    pool->reads[lane] = pool->writes[lane] = -1;
    errno = ENOMEM;
    return -1;
}

int lanes_open(struct pool *pool, unsigned half, unsigned n)
{
    for (; pool->made[half] < n; pool->made[half]++)
        if (lane_open(pool, half * CONF_WORKERS_MAX + pool->made[half]) < 0)
            return -1;
    return 0;
}

/* Its worker has ended, and will be reaped: the next one is born with all of them. */
static int is_gone(int error)
{
    return error == EPIPE || error == ECONNRESET || error == ECONNREFUSED;
}

int lanes_tell(struct slot *slot)
{
    const struct pool *pool = slot->crew->pool;
    for (unsigned half = 0; half < 2; half++) {
        while (slot->known[half] < pool->made[half]) {
            unsigned n = pool->made[half] - slot->known[half];
            unsigned first = half * CONF_WORKERS_MAX + slot->known[half];
            if (n > HANDOFF_ENDS_MAX)
                n = HANDOFF_ENDS_MAX;
            if (handoff_send_ends(slot->ends_fd, first, &pool->writes[first], n) < 0)
                return is_gone(errno) ? 0 : -1;
            slot->known[half] += n;
        }
    }
    return 0;
}
