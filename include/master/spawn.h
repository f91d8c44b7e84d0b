/* spawn - forks one worker: the pipes between it and the master, and what the child does
 * before it is a worker. */
#ifndef MASTER_SPAWN_H
#define MASTER_SPAWN_H

#include "ipc/start.h"

#include <sys/types.h>

/* Two pipes, and the pair on which it hears of new lanes: both ends of each. */
enum spawn_fd {
    SPAWN_DOWN_THEIRS,
    SPAWN_DOWN_OURS,
    SPAWN_UP_OURS,
    SPAWN_UP_THEIRS,
    SPAWN_PEERS_THEIRS,
    SPAWN_PEERS_OURS,
    SPAWN_FDS
};

/* Returns 0, or -1 with errno, and then none is open. */
int spawn_open(int fds[SPAWN_FDS]);
void spawn_close(const int fds[SPAWN_FDS]);

struct spawn {
    struct worker_start start; /* but for the descriptors above */
    const struct conf *conf;
    /* In the child: when its other descriptors are closed, and then what it is, for good. */
    void (*child)(const struct conf *conf, void *arg);
    void *arg;
    int (*worker)(const struct conf *, const struct worker_start *);
};

/* Closes their ends in this process.  Returns the child's id, or -1 with errno; it never
 * returns in the child. */
pid_t spawn_fork(const struct spawn *spawn, const int fds[SPAWN_FDS]);

#endif
