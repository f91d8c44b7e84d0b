#include "master/spawn.h"

#include "base/log.h"
#include "base/mem.h"
#include "ipc/handoff.h"
#include "master/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void fds_close(const int *fds, size_t n)
{
    int saved = errno;

    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    errno = saved;
}

void spawn_close(const int fds[SPAWN_FDS])
{
    fds_close(fds, SPAWN_FDS);
}

int spawn_open(int fds[SPAWN_FDS])
{
    for (int i = 0; i < SPAWN_FDS; i++)
        fds[i] = -1;
    if (pipe2(&fds[SPAWN_DOWN_THEIRS], O_CLOEXEC) == 0 &&
        pipe2(&fds[SPAWN_UP_OURS], O_CLOEXEC) == 0 &&
        handoff_pair(&fds[SPAWN_PEERS_THEIRS], &fds[SPAWN_PEERS_OURS]) == 0)
        return 0;
    spawn_close(fds);
    return -1;
}

/* All descriptors but those that start names go. */
static void others_close(const struct worker_start *start)
{
    int *keep = xcalloc(start->nlisten + start->nhandoff + 5, sizeof(*keep));
    size_t n = 0;

    keep[n++] = start->down_fd;
    keep[n++] = start->up_fd;
    keep[n++] = start->peers_fd;
    keep[n++] = start->handoff_fd;
    keep[n++] = start->history_fd;
    for (size_t i = 0; i < start->nlisten; i++)
        keep[n++] = start->listen_fds[i];
    for (size_t i = 0; i < start->nhandoff; i++)
        if (start->handoff_fds[i] >= 0)
            keep[n++] = start->handoff_fds[i];
    child_close_fds(keep, n);
    free(keep);
}

/* The child: makes itself a worker.  What it inherits of the event base shares the
 * master's epoll set: it is left alone, only the descriptors are closed. */
_Noreturn static void child_run(const struct spawn *spawn, const struct worker_start *start,
                                pid_t master)
{
    /* The master directs its workers over the pipe.  A signal that reaches the whole
     * process group (Ctrl-C, systemd) is the master's business. */
    static const int not_for_us[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

    if (child_outlive(master) < 0)
        exit(0); /* like one that reads the end of its pipe */
    others_close(start);
    log_name("worker", start_number(start->lane));
    spawn->child(spawn->conf, spawn->arg);
    for (size_t i = 0; i < sizeof(not_for_us) / sizeof(*not_for_us); i++)
        signal(not_for_us[i], SIG_IGN);
    exit(spawn->worker(spawn->conf, start));
}

pid_t spawn_fork(const struct spawn *spawn, const int fds[SPAWN_FDS])
{
    const int theirs[] = {fds[SPAWN_DOWN_THEIRS], fds[SPAWN_UP_THEIRS], fds[SPAWN_PEERS_THEIRS]};
    struct worker_start start = spawn->start;
    pid_t master = getpid(), pid = child_fork();

    if (pid == 0) {
        start.down_fd = fds[SPAWN_DOWN_THEIRS];
        start.up_fd = fds[SPAWN_UP_THEIRS];
        start.peers_fd = fds[SPAWN_PEERS_THEIRS];
        child_run(spawn, &start, master);
    }
    fds_close(theirs, sizeof(theirs) / sizeof(*theirs));
    return pid;
}
