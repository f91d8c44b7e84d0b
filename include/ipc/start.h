/* start - what the master gives a worker across the fork. */
#ifndef IPC_START_H
#define IPC_START_H

#include "conf.h"

#include <stddef.h>
#include <stdint.h>

struct balance;
struct tickets;
struct census;

/* The worker owns down_fd and up_fd; listen_fds and listen_speaks are borrowed for as long as
 * the process lives, the descriptors are the worker's to close.
 *
 * The child begins with every other descriptor of the master closed (but stdio
 * and the log), an empty signal mask, SIGPIPE ignored, and TERM, INT, HUP and
 * USR1 ignored too: a signal to the process group is the master's business,
 * which answers it over the pipe.  There is no event base yet; the worker makes
 * its own.  of conf the redis password and recovery_secret are zeroed. */
struct worker_start {
    unsigned lane;       /* below START_LANES: start_number() is what the log calls it */
    uint32_t generation; /* how many times this lane has been forked, from 1 */
    int down_fd;         /* reads what the master sends; EOF: the master has gone */
    int up_fd;           /* writes to the master */
    const int *listen_fds;
    const uint8_t *listen_speaks; /* of each: bits of START_SPEAKS_... */
    size_t nlisten;
    /* ipc/handoff.h: the end that this worker reads, for each lane the end that the
     * others write (-1: there is none yet), and where the master sends those that
     * are made later.  The worker closes them; nhandoff 0: there are no others. */
    int handoff_fd, peers_fd;
    const int *handoff_fds;
    size_t nhandoff;         /* 0 or START_LANES */
    int history_fd;          /* ipc/history.h, for reading; the worker's; -1: there is none */
    struct tickets *tickets; /* ipc/tickets.h, as they are at the fork; NULL: none.  The worker
                                overwrites its copy once it has taken them */
    struct balance *balance; /* ipc/balance.h, of its generation: its line is start_number() - 1;
                                borrowed; NULL: it has no peers */
    struct census *census;   /* ipc/census.h, likewise; NULL: there was no memory */
};

/* A PROXY header comes first, TLS comes first, or one behind the other. */
#define START_SPEAKS_PROXY 1
#define START_SPEAKS_TLS   2

/* Workers are of two generations at most, the one that serves and one that comes or
 * goes: each has half of the lanes. */
#define START_LANES 512
_Static_assert(START_LANES == 2 * CONF_WORKERS_MAX, "half of the lanes for each");

/* "worker 3" is the third of its generation, whichever that is. */
static inline unsigned start_number(unsigned lane)
{
    return lane % CONF_WORKERS_MAX + 1;
}

/* Longest message on a pipe to a worker: the master sends none above it. */
static inline size_t start_message_max(const struct conf *conf)
{
    return 2 * conf->message_bytes + 65536;
}

/* The same with the largest limits:messageBytes: what a worker's link accepts, for
 * the limit may change while the worker lives. */
#define START_MESSAGE_CAP (2 * (size_t)CONF_MESSAGE_BYTES_MAX + 65536)

/* Longest message from a worker: a MSG_ACK; what may be split is, at START_UP_PART. */
#define START_UP_MAX  (4UL * 1024 * 1024)
#define START_UP_PART (64UL * 1024)

#endif
