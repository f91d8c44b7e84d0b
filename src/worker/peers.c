/* peers - connections that one worker passes to another, over the lanes between them
 * (ipc/handoff.h). */
#include "base/log.h"
#include "ipc/handoff.h"
#include "worker/state.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#define HANDOFF_BATCH 16 /* connections taken from peers in one turn */

/* The one cause to be expected: we are out of descriptors. */
static void handoff_dropped(struct worker *worker)
{
    int error = errno;
    uint64_t times = log_due(&worker->handoff_dropped, 10000);

    errno = error;
    if (times > 0)
        log_warn("handoff dropped: times=%llu", (unsigned long long)times);
}

static void on_handoff(evutil_socket_t read_fd, short what, void *arg)
{
    struct worker *worker = arg;
    size_t len;
    int fd, result;

    (void)what;
    for (int i = 0; i < HANDOFF_BATCH; i++) {
        result = handoff_receive(read_fd, &fd, worker->handoff_in, &len);
        if (result == 0)
            return;
        if (result > 0 && engine_adopt(worker->engine, fd, worker->handoff_in, len,
                                       result == HANDOFF_ORPHAN) == 0)
            continue;
        if (result > 0)
            close(fd);
        worker->handoffs_lost++;
        handoff_dropped(worker);
    }
}

/* Takes what the master has sent of the ends of new lanes. */
static void peers_take(struct worker *worker)
{
    int fds[HANDOFF_PEERS_MAX], result;
    unsigned first;
    size_t n;

    if (worker->start->nhandoff == 0)
        return;
    while ((result = handoff_receive_peers(worker->start->peers_fd, &first, fds, &n)) != 0) {
        if (result < 0 && errno == EPIPE) {
            event_del(worker->peers_event); /* the master is gone, as the link will tell */
            return;
        }
        if (result < 0) {
            handoff_dropped(worker);
            return;
        }
        for (size_t i = 0; i < n; i++) {
            if (first + i < START_LANES && worker->peers[first + i] < 0)
                worker->peers[first + i] = fds[i];
            else
                close(fds[i]);
        }
    }
}

static void on_peers(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    peers_take(arg);
}

static int hand_to(struct worker *worker, uint32_t lane, int fd, const void *bytes, size_t len)
{
    int result;

    if (lane >= worker->start->nhandoff)
        return -1;
    /* Its end is on its way before any client can know of the lane. */
    if (worker->peers[lane] < 0)
        peers_take(worker);
    if (worker->peers[lane] < 0)
        return -1;
    result = handoff_send(worker->peers[lane], HANDOFF_CONNECTION, fd, bytes, len);
    if (result == 0)
        log_debug("connection handed to worker %u: bytes=%zu", start_number(lane), len);
    return result;
}

/* To one of those that take what is new: in turn, and not to one that is full. */
static int hand_to_successor(struct worker *worker, int fd, const void *bytes, size_t len)
{
    int result = -1;

    for (uint32_t i = 0; i < worker->nsuccessors && result != 0; i++)
        result =
            hand_to(worker, worker->successors + worker->next_successor++ % worker->nsuccessors, fd,
                    bytes, len);
    return result;
}

int peers_handoff(uint32_t slot, int fd, const void *bytes, size_t len, void *arg)
{
    if (slot == ENGINE_HEIR)
        return hand_to_successor(arg, fd, bytes, len);
    return hand_to(arg, slot, fd, bytes, len);
}

int peers_open(struct worker *worker)
{
    const struct worker_start *start = worker->start;

    for (size_t i = 0; i < START_LANES; i++)
        worker->peers[i] = i < start->nhandoff ? start->handoff_fds[i] : -1;
    if (start->nhandoff == 0)
        return 0;
    worker->handoff_in = malloc(HANDOFF_MAX_BYTES);
    worker->handoff_event =
        event_new(worker->base, start->handoff_fd, EV_READ | EV_PERSIST, on_handoff, worker);
    worker->peers_event =
        event_new(worker->base, start->peers_fd, EV_READ | EV_PERSIST, on_peers, worker);
    if (worker->handoff_in == NULL || worker->handoff_event == NULL ||
        worker->peers_event == NULL || event_add(worker->handoff_event, NULL) < 0 ||
        event_add(worker->peers_event, NULL) < 0)
        return -1;
    return 0;
}

void peers_close(struct worker *worker)
{
    if (worker->handoff_event != NULL)
        event_free(worker->handoff_event);
    if (worker->peers_event != NULL)
        event_free(worker->peers_event);
    free(worker->handoff_in);
}
