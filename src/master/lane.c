/* lane - where connections are sent to a worker; see ipc/handoff.h. */
#include "base/log.h"
#include "ipc/handoff.h"
#include "master/pool_state.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#define ORPHAN_BATCH 16 /* before the loop gets its turn */

int lanes_init(struct pool *pool)
{
    for (unsigned i = 0; i < START_LANES; i++)
        pool->reads[i] = pool->writes[i] = -1;
    pool->orphan = malloc(HANDOFF_MAX_BYTES);
    return pool->orphan != NULL ? 0 : -1;
}

void lanes_clear(struct pool *pool)
{
    for (unsigned i = 0; i < START_LANES; i++) {
        if (pool->orphans[i] != NULL)
            event_free(pool->orphans[i]);
        if (pool->reads[i] >= 0)
            close(pool->reads[i]);
        if (pool->writes[i] >= 0)
            close(pool->writes[i]);
    }
    free(pool->orphan);
}

/* --- orphans ------------------------------------------------------------------- */

/* The next proc, of any generation, whose worker answers. */
static struct proc *host_next(struct pool *pool)
{
    for (unsigned i = 0; i < START_LANES; i++) {
        unsigned lane = pool->next_orphan++ % START_LANES;
        const struct generation *generation = pool->at[lane / CONF_WORKERS_MAX];
        struct proc *proc;
        if (generation == NULL || generation->leaving ||
            lane % CONF_WORKERS_MAX >= generation->nprocs)
            continue;
        proc = &pool->at[lane / CONF_WORKERS_MAX]->procs[lane % CONF_WORKERS_MAX];
        if (proc->state == UP)
            return proc;
    }
    return NULL;
}

static void orphan_pass_on(struct pool *pool, int fd, size_t len)
{
    const struct proc *host = host_next(pool);

    /* Where nobody takes it, its client sees it closed. */
    if (host != NULL)
        (void)handoff_send(pool->writes[host->lane], HANDOFF_ORPHAN, fd, pool->orphan, len);
    close(fd);
}

static void on_orphan(evutil_socket_t read_fd, short what, void *arg)
{
    struct pool *pool = arg;
    size_t len;
    int fd;

    (void)what;
    for (int i = 0; i < ORPHAN_BATCH; i++) {
        int rc = handoff_receive(read_fd, &fd, pool->orphan, &len);
        if (rc == 0)
            return;
        if (rc > 0)
            orphan_pass_on(pool, fd, len);
    }
}

void lane_vacant(struct pool *pool, unsigned lane)
{
    if (!pool->draining)
        (void)event_add(pool->orphans[lane], NULL);
}

void lane_taken(struct pool *pool, unsigned lane)
{
    (void)event_del(pool->orphans[lane]);
}

/* --- ends --------------------------------------------------------------------- */

static int lane_open(struct pool *pool, unsigned lane)
{
    if (handoff_pair(&pool->reads[lane], &pool->writes[lane]) < 0)
        return -1;
    pool->orphans[lane] =
        event_new(pool->options.base, pool->reads[lane], EV_READ | EV_PERSIST, on_orphan, pool);
    if (pool->orphans[lane] != NULL)
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

int lanes_tell(struct proc *proc)
{
    const struct pool *pool = proc->generation->pool;

    for (unsigned half = 0; half < 2; half++) {
        while (proc->known[half] < pool->made[half]) {
            unsigned n = pool->made[half] - proc->known[half];
            unsigned first = half * CONF_WORKERS_MAX + proc->known[half];
            if (n > HANDOFF_PEERS_MAX)
                n = HANDOFF_PEERS_MAX;
            if (handoff_send_peers(proc->ends_fd, first, &pool->writes[first], n) < 0)
                return is_gone(errno) ? 0 : -1;
            proc->known[half] += n;
        }
    }
    return 0;
}
