#include "master/dial.h"

#include "master/resolve.h"

#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NEXT_MS    1000 /* for an address that does not answer, while there are others */
#define LOOKUP_S   5
#define ERRORS_MAX 8                  /* different ones that are told */
#define LOCALHOST  "127.0.0.1\n::1\n" /* by definition (RFC 6761): nobody need be asked */

struct dial {
    struct event_base *base;
    const struct dial_ops *ops;
    void *arg;
    struct resolve *resolve;
    struct sockaddr_un path;          /* family 0: not a path */
    char addresses[RESOLVE_TEXT_MAX]; /* numeric, one a line */
    const char *next;                 /* in addresses */
    char host[RESOLVE_TEXT_MAX];      /* the one that was tried last */
    char port[16];
    int is_named;       /* the addresses are not what the caller has given */
    struct event *io;   /* of fd, or NULL */
    struct event *soon; /* goes on from the loop, not from the caller's stack */
    int fd;
    unsigned tried;         /* addresses */
    int error;              /* of the last one; 0: it has not answered yet */
    int errors[ERRORS_MAX]; /* of all of them, each once */
    unsigned nerrors;
    char unknown[RESOLVE_TEXT_MAX]; /* why the name has no address, or "" */
    char why[DIAL_WHY_MAX];
};

static void try_next(struct dial *dial);

static void socket_close(struct dial *dial)
{
    if (dial->io)
        event_free(dial->io);
    dial->io = NULL;
    if (dial->fd >= 0)
        close(dial->fd);
    dial->fd = -1;
}

void dial_free(struct dial **dialp)
{
    struct dial *dial = *dialp;
    if (!dial)
        return;
    *dialp = NULL;
    socket_close(dial);
    resolve_free(&dial->resolve);
    if (dial->soon)
        event_free(dial->soon);
    free(dial);
}

/* --- what is wrong ------------------------------------------------------------- */

static void note(struct dial *dial, int error)
{
    dial->error = error;
    for (unsigned i = 0; i < dial->nerrors; i++)
        if (dial->errors[i] == error)
            return;
    if (dial->nerrors < ERRORS_MAX)
        dial->errors[dial->nerrors++] = error;
}

/* Behind that of the last address those of the others. */
static void why_errors(struct dial *dial)
{
    const char *between = "; before: ";
    size_t len = strlen(dial->why);
    for (unsigned i = 0; i < dial->nerrors && len < sizeof dial->why; i++) {
        if (dial->errors[i] == dial->error)
            continue;
        len += (size_t)snprintf(dial->why + len, sizeof dial->why - len, "%s%s", between,
                                strerror(dial->errors[i]));
        between = ", ";
    }
}

const char *dial_why(struct dial *dial)
{
    char last[32] = "";
    const char *text = dial->error ? strerror(dial->error) : "no answer";
    if (dial->unknown[0] != '\0') {
        snprintf(dial->why, sizeof dial->why, "resolve: %.200s", dial->unknown);
        return dial->why;
    }
    if (dial->resolve)
        return "resolve: no answer";
    if (dial->tried > 1)
        snprintf(last, sizeof last, ", the last of %u", dial->tried);
    if (dial->is_named)
        snprintf(dial->why, sizeof dial->why, "connect to %.60s%s: %s", dial->host, last, text);
    else
        snprintf(dial->why, sizeof dial->why, "connect: %s", text);
    why_errors(dial);
    return dial->why;
}

/* --- one address after the other --------------------------------------------- */

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    struct dial *dial = arg;
    int error = 0;
    socklen_t len = sizeof error;
    if (what & EV_TIMEOUT)
        error = ETIMEDOUT;
    else if (getsockopt((int)fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error == 0) {
        dial->fd = -1; /* the caller's now */
        socket_close(dial);
        dial->ops->done((int)fd, NULL, dial->arg);
        return;
    }
    note(dial, error);
    try_next(dial);
}

/* 0 where an answer is awaited, else -1 with errno. */
static int start(struct dial *dial, const struct sockaddr *to, socklen_t len, int last)
{
    const struct timeval patience = {NEXT_MS / 1000, NEXT_MS % 1000 * 1000L};
    int one = 1;
    dial->fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (dial->fd < 0)
        return -1;
    if (to->sa_family != AF_UNIX) {
        (void)setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        (void)setsockopt(dial->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    }
    if (connect(dial->fd, to, len) < 0 && errno != EINPROGRESS)
        return -1;
    dial->io = event_new(dial->base, dial->fd, EV_WRITE, on_io, dial);
    if (dial->io && event_add(dial->io, last ? NULL : &patience) == 0)
        return 0;
    errno = ENOMEM;
    return -1;
}

/* Takes the next line of addresses into host. */
static int next_address(struct dial *dial)
{
    size_t len = strcspn(dial->next, "\n");
    if (len == 0)
        return 0;
    memcpy(dial->host, dial->next, len);
    dial->host[len] = '\0';
    dial->next += len + (dial->next[len] == '\n');
    dial->tried++;
    dial->error = 0;
    return 1;
}

static int start_address(struct dial *dial)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    if (getaddrinfo(dial->host, dial->port, &hints, &found) != 0) {
        errno = EINVAL;
        return -1;
    }
    int rc = start(dial, found->ai_addr, found->ai_addrlen, *dial->next == '\0');
    int error = errno;
    freeaddrinfo(found);
    errno = error;
    return rc;
}

static void try_next(struct dial *dial)
{
    socket_close(dial);
    while (next_address(dial)) {
        if (start_address(dial) == 0)
            return;
        note(dial, errno);
        socket_close(dial);
    }
    dial->ops->done(-1, dial_why(dial), dial->arg);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
    struct dial *dial = arg;
    (void)fd;
    (void)what;
    if (dial->path.sun_family == 0 || dial->error != 0) {
        try_next(dial);
    } else if (start(dial, (struct sockaddr *)&dial->path, sizeof dial->path, 1) < 0) {
        note(dial, errno);
        try_next(dial);
    }
}

/* --- where to ----------------------------------------------------------------- */

static void on_resolved(const char *addresses, const char *why, void *arg)
{
    struct dial *dial = arg;
    if (addresses)
        snprintf(dial->addresses, sizeof dial->addresses, "%s", addresses);
    else
        snprintf(dial->unknown, sizeof dial->unknown, "%s", why);
    resolve_free(&dial->resolve);
    try_next(dial);
}

static const struct resolve_ops resolve_ops = {.done = on_resolved};

static int use_host(struct dial *dial, const char *host, int port)
{
    snprintf(dial->port, sizeof dial->port, "%d", port);
    dial->is_named = !resolve_is_numeric(host);
    if (strcasecmp(host, "localhost") == 0)
        snprintf(dial->addresses, sizeof dial->addresses, LOCALHOST);
    else if (strlen(host) < RESOLVE_TEXT_MAX && !dial->is_named)
        snprintf(dial->addresses, sizeof dial->addresses, "%s", host);
    if (dial->addresses[0] != '\0') {
        event_active(dial->soon, EV_TIMEOUT, 0);
        return 0;
    }
    dial->resolve = resolve_new(dial->base, host, LOOKUP_S, &resolve_ops, dial);
    return dial->resolve ? 0 : -1;
}

static void use_path(struct dial *dial, const char *path)
{
    dial->path.sun_family = AF_UNIX;
    if (strlen(path) < sizeof dial->path.sun_path)
        memcpy(dial->path.sun_path, path, strlen(path) + 1);
    else
        note(dial, ENAMETOOLONG);
    event_active(dial->soon, EV_TIMEOUT, 0);
}

struct dial *dial_new(struct event_base *base, const char *path, const char *host, int port,
                      const struct dial_ops *ops, void *arg)
{
    struct dial *dial = calloc(1, sizeof *dial);
    if (!dial)
        return NULL;
    dial->base = base;
    dial->ops = ops;
    dial->arg = arg;
    dial->fd = -1;
    dial->next = dial->addresses;
    dial->soon = event_new(base, -1, 0, on_soon, dial);
    if (!dial->soon) {
        errno = ENOMEM;
    } else if (path) {
        use_path(dial, path);
        return dial;
    } else if (use_host(dial, host, port) == 0) {
        return dial;
    }
    int error = errno;
    dial_free(&dial);
    errno = error;
    return NULL;
}
