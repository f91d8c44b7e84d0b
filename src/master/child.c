#include "master/child.h"

#include "base/log.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define FDS_GUESS 65536 /* how far to look where /proc is not mounted */

/* Those that the master handles; others keep what they have (a sanitizer's handlers). */
static void signals_reset(void)
{
    static const int handled[] = {SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    struct sigaction plain = {.sa_handler = SIG_DFL};

    for (size_t i = 0; i < sizeof(handled) / sizeof(*handled); i++)
        (void)sigaction(handled[i], &plain, NULL);
    plain.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &plain, NULL);
}

pid_t child_fork(void)
{
    sigset_t all, old;
    pid_t pid;

    fflush(NULL);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old);
    pid = fork();
    if (pid == 0) {
        signals_reset();
        sigemptyset(&old);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    return pid;
}

static void (*wipe_secrets)(void *arg);
static void *wipe_arg;

void child_set_wipe(void (*wipe)(void *arg), void *arg)
{
    wipe_secrets = wipe;
    wipe_arg = arg;
}

void child_wipe(void)
{
    if (wipe_secrets != NULL)
        wipe_secrets(wipe_arg);
}

int child_outlive(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGCONT) < 0)
        return 0; /* where there is none, a stopped child waits for somebody's SIGCONT */
    return getppid() == parent ? 0 : -1;
}

static int is_kept(int fd, const int *keep, size_t nkeep)
{
    if (fd <= STDERR_FILENO || fd == log_fd())
        return 1;
    for (size_t i = 0; i < nkeep; i++)
        if (keep[i] == fd)
            return 1;
    return 0;
}

static int fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > FDS_GUESS)
        return FDS_GUESS;
    return (int)limit.rlim_cur;
}

void child_close_fds(const int *keep, size_t nkeep)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *item;

    if (dir == NULL) {
        for (int fd = 0; fd < fd_limit(); fd++)
            if (!is_kept(fd, keep, nkeep))
                close(fd);
        return;
    }

    while ((item = readdir(dir)) != NULL) {
        char *end;
        long fd = strtol(item->d_name, &end, 10);
        if (end != item->d_name && fd != dirfd(dir) && !is_kept((int)fd, keep, nkeep))
            close((int)fd);
    }
    closedir(dir);
}
