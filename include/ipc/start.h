/* start - what the master gives a worker across the fork. */
#ifndef IPC_START_H
#define IPC_START_H

#include "conf.h"

#include <stddef.h>
#include <stdint.h>

/* The worker owns down_fd and up_fd; listen_fds is borrowed for as long as the
 * process lives, the descriptors in it are the worker's to close.
 *
 * The child begins with every other descriptor of the master closed (but stdio
 * and the log), an empty signal mask, SIGPIPE ignored, and TERM, INT, HUP and
 * USR1 ignored too: a signal to the process group is the master's business,
 * which answers it over the pipe.  There is no event base yet; the worker makes
 * its own.  conf has no redis password any more. */
struct worker_start {
    int slot;            /* 0 to conf->workers - 1 */
    uint32_t generation; /* how many times this slot has been forked, from 1 */
    int down_fd;         /* reads what the master sends; EOF: the master has gone */
    int up_fd;           /* writes to the master */
    const int *listen_fds;
    size_t nlisten;
    /* ipc/handoff.h: the end that this worker reads, and for each slot the end
     * that its siblings write.  The worker closes them; nhandoff 0: no siblings. */
    int handoff_fd;
    const int *handoff_fds;
    size_t nhandoff;
};

/* Longest message on a pipe to a worker: the master sends none above it, the
 * worker's link accepts up to it. */
static inline size_t start_message_max(const struct conf *conf)
{
    return 2 * conf->message_bytes + 65536;
}

#endif
