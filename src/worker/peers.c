#include "worker/peers.h"
#include "base/log.h"
#include "engine/engine.h"
#include "ipc/handoff.h"
#include "ipc/start.h"
#include "worker/stats.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#define TURN_CONNECTIONS 16 /* taken from peers in one turn of the loop */
#define LOST_LOG_MS      10000

struct peers {
    const struct worker_start *start;
    struct engine *engine;
    struct worker_stats *stats;
    int fds[START_LANES]; /* where to write to the worker in that lane; -1: unknown */
    uint32_t first, n;    /* lanes of the successors */
    uint32_t next;        /* handoffs to successors so far: whose turn it is */
    uint8_t *bytes;       /* that came with a connection */
    struct event *connection_event;
    struct event *lane_event; /* more of fds comes from the master */
    struct log_every lost;
};

/* --- from them --- */

/* The one cause to be expected: we are out of descriptors. */
static void log_lost_one(struct peers *peers)
{
    int error = errno;
    uint64_t times = log_due(&peers->lost, LOST_LOG_MS);

    errno = error;
    if (times > 0)
        log_event(WARN, "handoff_dropped", "handoff dropped[: times={}: {}]", LOG_TIMES(times),
                  LOG_ERRNO());
}

static void on_connection(evutil_socket_t read_fd, short what, void *arg)
{
    struct peers *peers = arg;
    struct handoff_conn conn;
    size_t len;
    int fd, result;

    (void)what;
    for (int i = 0; i < TURN_CONNECTIONS; i++) {
        result = handoff_receive(read_fd, &fd, &conn, peers->bytes, &len);
        if (result == 0)
            return;
        if (result > 0 && engine_adopt(peers->engine, fd, &conn, peers->bytes, len,
                                       result == HANDOFF_ORPHAN) == 0) {
            explicit_bzero(peers->bytes, len); /* there may be a token in it */
            continue;
        }
        if (result > 0)
            close(fd);
        peers->stats->handoffs_lost++;
        log_lost_one(peers);
    }
}

/* --- to them --- */

/* Takes what the master has sent of new lanes. */
static void take_lanes(struct peers *peers)
{
    int fds[HANDOFF_PEERS_MAX], result;
    unsigned first;
    size_t n;

    if (peers->start->nhandoff == 0)
        return;
    while ((result = handoff_receive_peers(peers->start->peers_fd, &first, fds, &n)) != 0) {
        if (result < 0 && errno == EPIPE) {
            event_del(peers->lane_event); /* the master is gone, as the link will tell */
            return;
        }
        if (result < 0) {
            log_lost_one(peers);
            return;
        }
        for (size_t i = 0; i < n; i++) {
            if (first + i < START_LANES && peers->fds[first + i] < 0)
                peers->fds[first + i] = fds[i];
            else
                close(fds[i]);
        }
    }
}

static void on_lanes(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    take_lanes(arg);
}

static void log_handed(uint32_t lane, const struct handoff_conn *conn, size_t len)
{
    char address[ADDRESS_TEXT_MAX];

    log_event(DEBUG, "connection_handed",
              "connection handed[ to worker {}: bytes={}][ address={}][ carried={}]< to a worker>",
              LOG_UINT("to_worker", start_number(lane)), LOG_UINT("bytes", len),
              LOG_IF(conn->known, LOG_STR("address", address_text(&conn->peer, address))),
              LOG_IF(conn->carried, LOG_TRUE("carried")));
}

static int hand_to(struct peers *peers, uint32_t lane, int fd, const struct handoff_conn *conn,
                   const void *bytes, size_t len)
{
    int result;

    if (lane >= peers->start->nhandoff)
        return -1;
    /* The master sends its descriptor before any client can know of the lane. */
    if (peers->fds[lane] < 0)
        take_lanes(peers);
    if (peers->fds[lane] < 0)
        return -1;
    result = handoff_send(peers->fds[lane], HANDOFF_CONNECTION, fd, conn, bytes, len);
    if (result == 0)
        log_handed(lane, conn, len);
    return result;
}

/* In turn, and not to one whose socket is full. */
static int hand_to_successor(struct peers *peers, int fd, const struct handoff_conn *conn,
                             const void *bytes, size_t len)
{
    int result = -1;

    for (uint32_t i = 0; i < peers->n && result != 0; i++)
        result = hand_to(peers, peers->first + peers->next++ % peers->n, fd, conn, bytes, len);
    return result;
}

int peers_handoff(struct peers *peers, uint32_t lane, int fd, const struct handoff_conn *conn,
                  const void *bytes, size_t len)
{
    if (lane == HTTP_SUCCESSOR)
        return hand_to_successor(peers, fd, conn, bytes, len);
    return hand_to(peers, lane, fd, conn, bytes, len);
}

void peers_set_successors(struct peers *peers, uint32_t first, uint32_t n)
{
    peers->first = first;
    peers->n = peers->start->nhandoff > 0 ? n : 0;
}

int peers_have_successors(const struct peers *peers)
{
    return peers->n > 0;
}

/* --- coming and going --- */

/* Returns 0, or -1 without memory. */
static int open_events(struct peers *peers, struct event_base *base)
{
    const struct worker_start *start = peers->start;

    peers->bytes = malloc(HANDOFF_MAX_BYTES);
    peers->connection_event =
        event_new(base, start->handoff_fd, EV_READ | EV_PERSIST, on_connection, peers);
    peers->lane_event = event_new(base, start->peers_fd, EV_READ | EV_PERSIST, on_lanes, peers);
    if (peers->bytes == NULL || peers->connection_event == NULL || peers->lane_event == NULL ||
        event_add(peers->connection_event, NULL) < 0 || event_add(peers->lane_event, NULL) < 0)
        return -1;
    return 0;
}

struct peers *peers_new(struct event_base *base, const struct worker_start *start,
                        struct engine *engine, struct worker_stats *stats)
{
    struct peers *peers = calloc(1, sizeof(*peers));

    if (peers == NULL)
        return NULL;
    peers->start = start;
    peers->engine = engine;
    peers->stats = stats;
    for (size_t i = 0; i < START_LANES; i++)
        peers->fds[i] = i < start->nhandoff ? start->handoff_fds[i] : -1;
    if (start->nhandoff > 0 && open_events(peers, base) < 0)
        peers_free(&peers);
    return peers;
}

void peers_free(struct peers **peers_ptr)
{
    struct peers *peers = *peers_ptr;

    *peers_ptr = NULL;
    if (peers == NULL)
        return;
    if (peers->connection_event != NULL)
        event_free(peers->connection_event);
    if (peers->lane_event != NULL)
        event_free(peers->lane_event);
    for (size_t i = 0; i < START_LANES; i++) /* but those that start has are not ours */
        if (peers->fds[i] >= 0 && (peers->start->nhandoff == 0 || i >= peers->start->nhandoff ||
                                   peers->fds[i] != peers->start->handoff_fds[i]))
            close(peers->fds[i]);
    free(peers->bytes);
    free(peers);
}
