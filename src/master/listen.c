#include "master/listen.h"

#include "base/log.h"
#include "base/slice.h"
#include "ipc/start.h"
#include "master/daemon.h"
#include "master/names.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG   65535 /* the kernel cuts it to net.core.somaxconn */
#define UNIX_MODE 0666  /* as open as a TCP port is; its directory may say less */

/* Says where and why: the text, or what errno says.  Keeps errno. */
static int complain(struct buf *error, const struct conf_listen *conf, const char *why)
{
    int saved = errno;

    (void)buf_puts(error, "cannot listen on ");
    if (conf->unix_path != NULL)
        (void)buf_printf(error, "unix:%s", conf->unix_path);
    else if (conf->host == NULL)
        (void)buf_printf(error, "*:%d", conf->port);
    else
        (void)buf_printf(error, strchr(conf->host, ':') != NULL ? "[%s]:%d" : "%s:%d", conf->host,
                         conf->port);
    (void)buf_printf(error, ": %s", why != NULL ? why : strerror(saved));
    errno = saved;
    return -1;
}

/* Takes fd.  NULL with errno, without memory. */
static struct listener *listener_add(struct listeners *listeners, int fd)
{
    struct listener *at = realloc(listeners->at, (listeners->n + 1) * sizeof(*at));
    uint8_t *speaks;
    int *fds;

    if (at != NULL)
        listeners->at = at;
    fds = realloc(listeners->fds, (listeners->n + 1) * sizeof(*fds));
    if (fds != NULL)
        listeners->fds = fds;
    speaks = realloc(listeners->speaks, (listeners->n + 1) * sizeof(*speaks));
    if (speaks != NULL)
        listeners->speaks = speaks;
    if (at == NULL || fds == NULL || speaks == NULL) {
        close(fd);
        errno = ENOMEM;
        return NULL;
    }
    listeners->fds[listeners->n] = fd;
    listeners->speaks[listeners->n] = 0;
    listeners->at[listeners->n] = (struct listener){.fd = fd};
    return &listeners->at[listeners->n++];
}

/* A bound and listening socket, or -1 with errno. */
static int socket_bind(const struct sockaddr *addr, socklen_t len, int v6only)
{
    int one = 1;
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int saved;

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
        goto out;
    if (addr->sa_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)) < 0)
        goto out;
    if (bind(fd, addr, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
out:
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* This machine has no such address, or no such protocol: another may do. */
static int is_missing(int error)
{
    return error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

/* --- TCP ---------------------------------------------------------------------- */

static int open_everywhere(struct listeners *listeners, const struct conf_listen *conf,
                           struct buf *error)
{
    int port = conf->port;
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket_bind((struct sockaddr *)&six, sizeof(six), 0);

    if (fd < 0 && is_missing(errno))
        fd = socket_bind((struct sockaddr *)&four, sizeof(four), 0);
    if (fd < 0)
        return complain(error, conf, NULL);
    return listener_add(listeners, fd) != NULL ? 0 : complain(error, conf, NULL);
}

static void port_set(struct sockaddr *addr, in_port_t port)
{
    if (addr->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)addr)->sin6_port = port;
    else
        ((struct sockaddr_in *)addr)->sin_port = port;
}

static in_port_t port_of(int fd)
{
    struct sockaddr_in6 addr = {0}; /* the port is where sockaddr_in has it */
    socklen_t len = sizeof(addr);

    return getsockname(fd, (struct sockaddr *)&addr, &len) < 0 ? 0 : addr.sin6_port;
}

/* The addresses of one host. */
struct opening {
    in_port_t port; /* of all of them */
    int opened, missing;
};

static int open_each(struct listeners *listeners, const struct conf_listen *conf,
                     const struct addrinfo *found, struct opening *opening, struct buf *error)
{
    for (const struct addrinfo *one = found; one != NULL; one = one->ai_next) {
        int fd;
        port_set(one->ai_addr, opening->port);
        fd = socket_bind(one->ai_addr, one->ai_addrlen, 1);
        if (fd < 0 && !is_missing(errno))
            return complain(error, conf, NULL);
        if (fd < 0) {
            opening->missing = errno;
            continue;
        }
        if (listener_add(listeners, fd) == NULL)
            return complain(error, conf, NULL);
        opening->port = port_of(fd); /* port 0: all addresses of a name get the same */
        opening->opened++;
    }
    return 0;
}

static int open_address(struct listeners *listeners, const struct conf_listen *conf,
                        const char *host, int flags, struct opening *opening, struct buf *error)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | flags};
    struct addrinfo *found;
    int rc = getaddrinfo(host, NULL, &hints, &found);

    if (rc != 0)
        return complain(error, conf, gai_strerror(rc));
    rc = open_each(listeners, conf, found, opening, error);
    freeaddrinfo(found);
    return rc;
}

/* addresses: numeric, one a line. */
static int open_known(struct listeners *listeners, const struct conf_listen *conf,
                      const char *addresses, struct opening *opening, struct buf *error)
{
    int rc = 0;

    while (rc == 0 && *addresses != '\0') {
        size_t len = strcspn(addresses, "\n");
        char *one = strndup(addresses, len);
        rc = one != NULL ? open_address(listeners, conf, one, AI_NUMERICHOST, opening, error)
                         : complain(error, conf, NULL);
        free(one);
        addresses += len + (addresses[len] == '\n');
    }
    return rc;
}

static int open_host(struct listeners *listeners, const struct conf_listen *conf,
                     const struct names *names, struct buf *error)
{
    struct opening opening = {.port = htons((uint16_t)conf->port)};
    int rc;

    if (names != NULL) {
        const char *addresses = names_find(names, conf->host);
        rc = addresses != NULL ? open_known(listeners, conf, addresses, &opening, error)
                               : complain(error, conf, "it has not been looked up");
    } else {
        rc = open_address(listeners, conf, conf->host, 0, &opening, error);
    }
    errno = opening.missing;
    return rc < 0 || opening.opened > 0 ? rc : complain(error, conf, NULL);
}

/* --- Unix sockets ------------------------------------------------------------- */

/* 1 if somebody listens there, 0 if it may be replaced or is not there, -1 with
 * errno if it is something else or cannot be told. */
static int is_live(const struct sockaddr_un *addr)
{
    struct stat st;
    int fd, rc, error;

    if (lstat(addr->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -1;
    if (!S_ISSOCK(st.st_mode)) {
        errno = EEXIST;
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    rc = connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
    error = errno;
    close(fd);
    if (rc == 0 || error == EAGAIN) /* EAGAIN: its backlog is full */
        return 1;
    errno = error;
    return error == ECONNREFUSED ? 0 : -1;
}

/* With its mode from the start: its directory may belong to the user that root becomes, who could
 * put a link in its place before a chmod(). */
static int path_bind(const struct sockaddr_un *addr)
{
    int live = is_live(addr), fd;
    mode_t mask;

    if (live > 0)
        errno = EADDRINUSE;
    if (live != 0)
        return -1;
    if (unlink(addr->sun_path) < 0 && errno != ENOENT)
        return -1;
    mask = umask(0777 & ~UNIX_MODE);
    fd = socket_bind((const struct sockaddr *)addr, sizeof(*addr), 0);
    umask(mask);
    return fd;
}

static int open_path(struct listeners *listeners, const struct conf_listen *conf, struct buf *error)
{
    const char *path = conf->unix_path;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st;
    int fd;
    struct listener *listener;

    if (strlen(path) >= sizeof(addr.sun_path)) {
        errno = ENAMETOOLONG;
        return complain(error, conf, NULL);
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    fd = path_bind(&addr);
    if (fd < 0)
        return complain(error, conf, NULL);
    listener = listener_add(listeners, fd);
    if (listener == NULL || lstat(path, &st) < 0)
        return complain(error, conf, NULL);
    listener->unix_path = daemon_path(path);
    listener->dev = st.st_dev;
    listener->ino = st.st_ino;
    return 0;
}

/* --- all of them -------------------------------------------------------------- */

static void entry_set(struct listeners *listeners, size_t k, size_t entry,
                      const struct conf_listen *conf)
{
    listeners->at[k].entry = (unsigned)entry;
    listeners->speaks[k] =
        (uint8_t)((conf->proxy ? START_SPEAKS_PROXY : 0) | (conf->tls ? START_SPEAKS_TLS : 0));
}

static int open_entry(struct listeners *listeners, const struct conf *conf, size_t i,
                      const struct names *names, struct buf *error)
{
    const struct conf_listen *one = &conf->listen[i];
    size_t had = listeners->n;
    int rc;

    if (one->unix_path != NULL)
        rc = open_path(listeners, one, error);
    else if (one->host != NULL)
        rc = open_host(listeners, one, names, error);
    else
        rc = open_everywhere(listeners, one, error);
    for (size_t k = had; k < listeners->n; k++)
        entry_set(listeners, k, i, one);
    return rc;
}

int listen_open(struct listeners *listeners, const struct conf *conf, const struct names *names,
                struct buf *error)
{
    for (size_t i = 0; i < conf->nlisten; i++)
        if (open_entry(listeners, conf, i, names, error) < 0) {
            listen_close(listeners, 1);
            return -1;
        }
    return 0;
}

/* Copies the sockets of entry number old of from, as those of number i, which is conf. */
static int share_entry(struct listeners *listeners, size_t i, const struct conf_listen *conf,
                       const struct listeners *from, size_t old, struct buf *error)
{
    for (size_t k = 0; k < from->n; k++) {
        const struct listener *one = &from->at[k];
        int fd;
        struct listener *copy;
        if (one->entry != old)
            continue;
        fd = fcntl(one->fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            (void)buf_printf(error, "cannot share a socket: %s", strerror(errno));
            return -1;
        }
        copy = listener_add(listeners, fd);
        if (copy != NULL) {
            *copy = *one;
            copy->fd = fd;
            entry_set(listeners, listeners->n - 1, i, conf);
            copy->unix_path = one->unix_path != NULL ? strdup(one->unix_path) : NULL;
        }
        if (copy == NULL || (one->unix_path != NULL && copy->unix_path == NULL)) {
            (void)buf_puts(error, "out of memory");
            return -1;
        }
    }
    return 0;
}

static int same_entry(const struct conf_listen *one, const struct conf_listen *other)
{
    return one->port == other->port && text_eq(one->host, other->host) &&
           text_eq(one->unix_path, other->unix_path);
}

/* Which entry of was is that of number i: what is there twice (port 0) is found in its
 * order.  was->nlisten: none. */
static size_t entry_find(const struct conf *was, const struct conf *conf, size_t i)
{
    const struct conf_listen *one = &conf->listen[i];
    size_t before = 0, k = 0;

    for (size_t j = 0; j < i; j++)
        before += (size_t)same_entry(&conf->listen[j], one);
    for (; k < was->nlisten; k++)
        if (same_entry(&was->listen[k], one) && before-- == 0)
            break;
    return k;
}

int listen_ask(struct names *names, const struct conf *conf, const struct conf *was)
{
    for (size_t i = 0; i < conf->nlisten; i++)
        if (conf->listen[i].host != NULL && entry_find(was, conf, i) == was->nlisten &&
            names_add(names, conf->listen[i].host) < 0)
            return -1;
    return 0;
}

int listen_reopen(struct listeners *listeners, const struct conf *conf, const struct names *names,
                  const struct listeners *from, const struct conf *was, struct buf *error)
{
    int rc = 0;

    for (size_t i = 0; i < conf->nlisten && rc == 0; i++) {
        size_t old = entry_find(was, conf, i);
        if (old == was->nlisten)
            rc = open_entry(listeners, conf, i, names, error);
        else
            rc = share_entry(listeners, i, &conf->listen[i], from, old, error);
    }
    if (rc < 0)
        listen_leave(listeners, from);
    return rc;
}

static void name_of(const struct listener *listener, struct buf *out)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof(addr);
    char host[NI_MAXHOST], port[NI_MAXSERV];

    if (listener->unix_path != NULL) {
        (void)buf_printf(out, "unix:%s", listener->unix_path);
        return;
    }
    if (getsockname(listener->fd, (struct sockaddr *)&addr, &len) < 0 ||
        getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        (void)buf_puts(out, "?");
    else
        (void)buf_printf(out, addr.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

void listen_names(const struct listeners *listeners, struct buf *out)
{
    for (size_t i = 0; i < listeners->n; i++) {
        if (i > 0)
            (void)buf_putc(out, ' ');
        name_of(&listeners->at[i], out);
    }
}

void listen_addresses(const struct listeners *listeners, struct buf *out)
{
    for (size_t i = 0; i < listeners->n; i++) {
        struct sockaddr_storage addr = {0};
        socklen_t len = sizeof(addr);
        char host[NI_MAXHOST];
        if (getsockname(listeners->fds[i], (struct sockaddr *)&addr, &len) == 0 &&
            getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), NULL, 0,
                        NI_NUMERICHOST) == 0)
            (void)buf_printf(out, "%s\n", host);
    }
}

static void path_remove(const struct listener *listener)
{
    struct stat st;

    if (lstat(listener->unix_path, &st) < 0 || st.st_dev != listener->dev ||
        st.st_ino != listener->ino)
        return; /* another has taken its place */
    if (unlink(listener->unix_path) < 0)
        log_event(WARN, "socket_kept", "cannot remove[ {}: {}]< a socket>",
                  LOG_STR("file", listener->unix_path), LOG_ERRNO());
}

static void all_close(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->n; i++) {
        close(listeners->at[i].fd);
        free(listeners->at[i].unix_path);
    }
    free(listeners->at);
    free(listeners->fds);
    free(listeners->speaks);
    *listeners = (struct listeners){0};
}

void listen_close(struct listeners *listeners, int remove)
{
    for (size_t i = 0; remove && i < listeners->n; i++) {
        /* For the workers too, who share it.  Nobody finds a Unix socket without its file;
         * shut down, it would be ready for ever, with nobody to accept (EAGAIN). */
        if (listeners->at[i].unix_path != NULL)
            path_remove(&listeners->at[i]);
        else
            shutdown(listeners->at[i].fd, SHUT_RDWR);
    }
    all_close(listeners);
}

static int has_path(const struct listeners *listeners, const char *path)
{
    for (size_t i = 0; i < listeners->n; i++)
        if (text_eq(listeners->at[i].unix_path, path))
            return 1;
    return 0;
}

void listen_leave(struct listeners *listeners, const struct listeners *stays)
{
    for (size_t i = 0; i < listeners->n; i++)
        if (listeners->at[i].unix_path != NULL && !has_path(stays, listeners->at[i].unix_path))
            path_remove(&listeners->at[i]);
    all_close(listeners);
}
