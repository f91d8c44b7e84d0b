#include "master/daemon.h"

#include "base/log.h"
#include "base/mem.h"
#include "master/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY '\0' /* all that is said of a good start */

/* Reads until the daemon has nothing more to say. */
static int status_wait(int fd)
{
    char text[1024];
    size_t len = 0;
    ssize_t n;

    while ((n = read(fd, text + len, sizeof(text) - 1 - len)) != 0) {
        if (n < 0 && errno != EINTR)
            break;
        if (n > 0)
            len += (size_t)n;
        if (len == sizeof(text) - 1)
            break;
    }
    if (len == 1 && text[0] == READY)
        return 0;
    text[len] = '\0';
    (void)fprintf(stderr, "%saxr-notifyd: %s\n", log_mark(LOG_LEVEL_ERROR),
                  len > 0 ? text : "ended while it started; see the log");
    return 1;
}

static void stdio_close(void)
{
    int fd = open("/dev/null", O_RDWR);

    if (fd < 0)
        return;
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        (void)dup2(fd, i);
    if (fd > STDERR_FILENO)
        close(fd);
}

/* In the first child.  The second is no leader of its session, so it can never
 * get a terminal again. */
static int background(int status_fd)
{
    pid_t pid;

    if (setsid() < 0 || chdir("/") < 0)
        return -1;
    pid = child_fork();
    if (pid < 0)
        return -1;
    if (pid > 0)
        _exit(0);
    stdio_close();
    return status_fd;
}

int daemon_detach(int *status_fd, int *status)
{
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    pid = child_fork();
    if (pid < 0) {
        int saved = errno;
        close(ends[0]);
        close(ends[1]);
        errno = saved;
        return -1;
    }
    if (pid > 0) {
        close(ends[1]);
        (void)waitpid(pid, NULL, 0);
        *status = status_wait(ends[0]);
        close(ends[0]);
        return 1;
    }
    close(ends[0]);
    *status_fd = ends[1];
    if (background(ends[1]) < 0) {
        daemon_failed(status_fd, strerror(errno));
        _exit(1);
    }
    return 0;
}

static void say(int *status_fd, const char *text, size_t len)
{
    if (*status_fd < 0)
        return;
    /* Nobody may be left to hear it; that is no fault here. */
    if (write(*status_fd, text, len) < 0)
        errno = 0;
    close(*status_fd);
    *status_fd = -1;
}

void daemon_ready(int *status_fd)
{
    const char ready = READY;

    say(status_fd, &ready, 1);
}

void daemon_failed(int *status_fd, const char *why)
{
    say(status_fd, why, strlen(why));
}

char *daemon_path(const char *path)
{
    char cwd[PATH_MAX];
    size_t size;
    char *whole;

    if (*path == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
        return xstrdup(path);
    size = strlen(cwd) + 1 + strlen(path) + 1;
    whole = xmalloc(size);
    (void)snprintf(whole, size, "%s/%s", cwd, path);
    return whole;
}
