#include "master/resolve.h"

#include "master/child.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ERROR_TAG '!' /* begins an answer that is an error */

struct resolve {
    const struct resolve_ops *ops;
    void *arg;
    struct event *io;
    int fd;
    size_t len;
    char text[RESOLVE_TEXT_MAX];
};

/* --- in the child ------------------------------------------------------------ */

static size_t answer_add(char *text, size_t len, const struct addrinfo *one)
{
    char host[NI_MAXHOST];
    size_t room;
    int n;

    if (getnameinfo(one->ai_addr, one->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST) !=
        0)
        return len;
    room = RESOLVE_TEXT_MAX - len;
    n = snprintf(text + len, room, "%s\n", host);
    return (size_t)n < room - 1 ? len + (size_t)n : len;
}

/* While libc waits for an answer nobody looks at the pipe: the signal, which nobody
 * handles, comes when its other end is closed. */
static void end_with_reader(int fd)
{
    struct pollfd end = {.fd = fd};

    (void)fcntl(fd, F_SETOWN, getpid());
    (void)fcntl(fd, F_SETFL, O_ASYNC);
    if (poll(&end, 1, 0) > 0 && end.revents & POLLERR) /* it has been already */
        _exit(1);
}

_Noreturn static void child_run(const char *host, unsigned seconds, int fd)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char text[RESOLVE_TEXT_MAX];
    size_t len = 0;
    int error;

    signal(SIGALRM, SIG_DFL); /* whoever started the daemon may have ignored them */
    signal(SIGIO, SIG_DFL);
    alarm(seconds);
    child_close_fds(&fd, 1);
    child_wipe();
    end_with_reader(fd);
    error = getaddrinfo(host, NULL, &hints, &found);
    if (error != 0)
        len = (size_t)snprintf(text, sizeof(text), "%c%s", ERROR_TAG, gai_strerror(error));
    for (const struct addrinfo *one = found; error == 0 && one != NULL; one = one->ai_next)
        len = answer_add(text, len, one);
    /* Shorter than PIPE_BUF: all of it or nothing. */
    _exit(write(fd, text, len) == (ssize_t)len ? 0 : 1);
}

/* --- in the master ----------------------------------------------------------- */

void resolve_free(struct resolve **resolvep)
{
    struct resolve *resolve = *resolvep;

    if (resolve == NULL)
        return;
    *resolvep = NULL;
    if (resolve->io != NULL)
        event_free(resolve->io);
    if (resolve->fd >= 0)
        close(resolve->fd);
    free(resolve);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
    struct resolve *resolve = arg;
    ssize_t n;

    (void)what;
    n = read((int)fd, resolve->text + resolve->len, sizeof(resolve->text) - 1 - resolve->len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        resolve->len += (size_t)n;
        return;
    }
    event_del(resolve->io);
    resolve->text[resolve->len] = '\0';
    if (resolve->len == 0)
        resolve->ops->done(NULL, "no answer", resolve->arg);
    else if (resolve->text[0] == ERROR_TAG)
        resolve->ops->done(NULL, resolve->text + 1, resolve->arg);
    else
        resolve->ops->done(resolve->text, NULL, resolve->arg);
}

static int child_start(struct resolve *resolve, const char *host, unsigned seconds)
{
    int ends[2];
    pid_t pid;
    int error;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    pid = child_fork();
    if (pid == 0)
        child_run(host, seconds, ends[1]);
    error = errno;
    close(ends[1]);
    resolve->fd = ends[0];
    errno = error;
    return pid < 0 ? -1 : fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

int resolve_is_numeric(const char *host)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *found;

    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return 0;
    freeaddrinfo(found);
    return 1;
}

struct resolve *resolve_new(struct event_base *base, const char *host, unsigned seconds,
                            const struct resolve_ops *ops, void *arg)
{
    struct resolve *resolve = calloc(1, sizeof(*resolve));
    int error;

    if (resolve == NULL)
        return NULL;
    resolve->ops = ops;
    resolve->arg = arg;
    resolve->fd = -1;
    if (child_start(resolve, host, seconds) < 0)
        goto out;
    resolve->io = event_new(base, resolve->fd, EV_READ | EV_PERSIST, on_read, resolve);
    if (resolve->io != NULL && event_add(resolve->io, NULL) == 0)
        return resolve;
    errno = ENOMEM;
out:
    error = errno;
    resolve_free(&resolve);
    errno = error;
    return NULL;
}
