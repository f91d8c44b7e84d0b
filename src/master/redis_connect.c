#include "master/redis_connect.h"

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

struct redis_connect {
    struct event_base *base;
    const struct redis_connect_ops *ops;
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
    char why[REDIS_CONNECT_WHY_MAX];
};

static void try_next(struct redis_connect *attempt);

static void socket_close(struct redis_connect *attempt)
{
    if (attempt->io != NULL)
        event_free(attempt->io);
    attempt->io = NULL;
    if (attempt->fd >= 0)
        close(attempt->fd);
    attempt->fd = -1;
}

void redis_connect_free(struct redis_connect **attemptp)
{
    struct redis_connect *attempt = *attemptp;

    if (attempt == NULL)
        return;
    *attemptp = NULL;
    socket_close(attempt);
    resolve_free(&attempt->resolve);
    if (attempt->soon != NULL)
        event_free(attempt->soon);
    free(attempt);
}

/* --- what is wrong ------------------------------------------------------------- */

static void note(struct redis_connect *attempt, int error)
{
    attempt->error = error;
    for (unsigned i = 0; i < attempt->nerrors; i++)
        if (attempt->errors[i] == error)
            return;
    if (attempt->nerrors < ERRORS_MAX)
        attempt->errors[attempt->nerrors++] = error;
}

/* Behind that of the last address those of the others. */
static void why_errors(struct redis_connect *attempt)
{
    const char *between = "; before: ";
    size_t len = strlen(attempt->why);

    for (unsigned i = 0; i < attempt->nerrors && len < sizeof(attempt->why); i++) {
        if (attempt->errors[i] == attempt->error)
            continue;
        len += (size_t)snprintf(attempt->why + len, sizeof(attempt->why) - len, "%s%s", between,
                                strerror(attempt->errors[i]));
        between = ", ";
    }
}

const char *redis_connect_why(struct redis_connect *attempt)
{
    char last[32] = "";
    const char *text = attempt->error ? strerror(attempt->error) : "no answer";

    if (attempt->unknown[0] != '\0') {
        snprintf(attempt->why, sizeof(attempt->why), "resolve: %.200s", attempt->unknown);
        return attempt->why;
    }
    if (attempt->resolve != NULL)
        return "resolve: no answer";
    if (attempt->tried > 1)
        snprintf(last, sizeof(last), ", the last of %u", attempt->tried);
    if (attempt->is_named)
        snprintf(attempt->why, sizeof(attempt->why), "connect to %.60s%s: %s", attempt->host, last,
                 text);
    else
        snprintf(attempt->why, sizeof(attempt->why), "connect: %s", text);
    why_errors(attempt);
    return attempt->why;
}

/* --- one address after the other --------------------------------------------- */

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    struct redis_connect *attempt = arg;
    int error = 0;
    socklen_t len = sizeof(error);

    if (what & EV_TIMEOUT)
        error = ETIMEDOUT;
    else if (getsockopt((int)fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error == 0) {
        attempt->fd = -1; /* the caller's now */
        socket_close(attempt);
        attempt->ops->done((int)fd, NULL, attempt->arg);
        return;
    }
    note(attempt, error);
    try_next(attempt);
}

/* 0 where an answer is awaited, else -1 with errno. */
static int start(struct redis_connect *attempt, const struct sockaddr *to, socklen_t len, int last)
{
    const struct timeval patience = {NEXT_MS / 1000, NEXT_MS % 1000 * 1000L};
    int one = 1;

    attempt->fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (attempt->fd < 0)
        return -1;
    if (to->sa_family != AF_UNIX) {
        (void)setsockopt(attempt->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        (void)setsockopt(attempt->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    }
    if (connect(attempt->fd, to, len) < 0 && errno != EINPROGRESS)
        return -1;
    attempt->io = event_new(attempt->base, attempt->fd, EV_WRITE, on_io, attempt);
    if (attempt->io != NULL && event_add(attempt->io, last ? NULL : &patience) == 0)
        return 0;
    errno = ENOMEM;
    return -1;
}

/* Takes the next line of addresses into host. */
static int next_address(struct redis_connect *attempt)
{
    size_t len = strcspn(attempt->next, "\n");

    if (len == 0)
        return 0;
    memcpy(attempt->host, attempt->next, len);
    attempt->host[len] = '\0';
    attempt->next += len + (attempt->next[len] == '\n');
    attempt->tried++;
    attempt->error = 0;
    return 1;
}

static int start_address(struct redis_connect *attempt)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    int rc, error;

    if (getaddrinfo(attempt->host, attempt->port, &hints, &found) != 0) {
        errno = EINVAL;
        return -1;
    }
    rc = start(attempt, found->ai_addr, found->ai_addrlen, *attempt->next == '\0');
    error = errno;
    freeaddrinfo(found);
    errno = error;
    return rc;
}

static void try_next(struct redis_connect *attempt)
{
    socket_close(attempt);
    while (next_address(attempt)) {
        if (start_address(attempt) == 0)
            return;
        note(attempt, errno);
        socket_close(attempt);
    }
    attempt->ops->done(-1, redis_connect_why(attempt), attempt->arg);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
    struct redis_connect *attempt = arg;

    (void)fd;
    (void)what;
    if (attempt->path.sun_family == 0 || attempt->error != 0) {
        try_next(attempt);
    } else if (start(attempt, (struct sockaddr *)&attempt->path, sizeof(attempt->path), 1) < 0) {
        note(attempt, errno);
        try_next(attempt);
    }
}

/* --- where to ----------------------------------------------------------------- */

static void on_resolved(const char *addresses, const char *why, void *arg)
{
    struct redis_connect *attempt = arg;

    if (addresses != NULL)
        snprintf(attempt->addresses, sizeof(attempt->addresses), "%s", addresses);
    else
        snprintf(attempt->unknown, sizeof(attempt->unknown), "%s", why);
    resolve_free(&attempt->resolve);
    try_next(attempt);
}

static const struct resolve_ops resolve_ops = {.done = on_resolved};

static int use_host(struct redis_connect *attempt, const char *host, int port)
{
    snprintf(attempt->port, sizeof(attempt->port), "%d", port);
    attempt->is_named = !resolve_is_numeric(host);
    if (strcasecmp(host, "localhost") == 0)
        snprintf(attempt->addresses, sizeof(attempt->addresses), LOCALHOST);
    else if (strlen(host) < RESOLVE_TEXT_MAX && !attempt->is_named)
        snprintf(attempt->addresses, sizeof(attempt->addresses), "%s", host);
    if (attempt->addresses[0] != '\0') {
        event_active(attempt->soon, EV_TIMEOUT, 0);
        return 0;
    }
    attempt->resolve = resolve_new(attempt->base, host, LOOKUP_S, &resolve_ops, attempt);
    return attempt->resolve != NULL ? 0 : -1;
}

static void use_path(struct redis_connect *attempt, const char *path)
{
    attempt->path.sun_family = AF_UNIX;
    if (strlen(path) < sizeof(attempt->path.sun_path))
        memcpy(attempt->path.sun_path, path, strlen(path) + 1);
    else
        note(attempt, ENAMETOOLONG);
    event_active(attempt->soon, EV_TIMEOUT, 0);
}

struct redis_connect *redis_connect_new(struct event_base *base, const char *path, const char *host,
                                        int port, const struct redis_connect_ops *ops, void *arg)
{
    struct redis_connect *attempt = calloc(1, sizeof(*attempt));
    int error;

    if (attempt == NULL)
        return NULL;
    attempt->base = base;
    attempt->ops = ops;
    attempt->arg = arg;
    attempt->fd = -1;
    attempt->next = attempt->addresses;
    attempt->soon = event_new(base, -1, 0, on_soon, attempt);
    if (attempt->soon == NULL) {
        errno = ENOMEM;
    } else if (path != NULL) {
        use_path(attempt, path);
        return attempt;
    } else if (use_host(attempt, host, port) == 0) {
        return attempt;
    }
    error = errno;
    redis_connect_free(&attempt);
    errno = error;
    return NULL;
}
