#include "ask/wire.h"

#include "base/clock.h"
#include "codec/tls_client.h"
#include "conf/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct wire {
    int fd;
    int is_tcp;
    int has_read;
    struct tls_client *client; /* NULL: no TLS */
    SSL *ssl;
    struct tls_client_why tls_why;
    char why[320];
};

/* --- waiting and failing ---------------------------------------------------------- */

/* Returns -1. */
__attribute__((format(printf, 2, 3))) static int fail(struct wire *wire, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(wire->why, sizeof(wire->why), fmt, args);
    va_end(args);
    return -1;
}

/* The end, or error.  Where nothing came before, that may be why. */
static int fail_closed(struct wire *wire, int error)
{
    const char *hint = wire->is_tcp && !wire->has_read && wire->client == NULL
                           ? "; does it want TLS (socket.io:redis:tls)?"
                           : "";

    return fail(wire, "%s%s", error != 0 ? strerror(error) : "it closed the connection", hint);
}

/* Returns 1 when that may go on, 0 if not by then, or -1. */
static int wait_for(struct wire *wire, short events, uint64_t until)
{
    struct pollfd fd = {.fd = wire->fd, .events = events};

    for (;;) {
        uint64_t now = clock_ms();
        int ms = now < until ? (until - now < INT32_MAX ? (int)(until - now) : INT32_MAX) : 0;
        int ready = poll(&fd, 1, ms);

        if (ready >= 0)
            return ready;
        if (errno != EINTR)
            return fail(wire, "%s", strerror(errno));
    }
}

/* The same for TLS, after a call of OpenSSL has returned that. */
static int wait_tls(struct wire *wire, int result, uint64_t until)
{
    int saved = errno;

    switch (SSL_get_error(wire->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(wire, POLLIN, until);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(wire, POLLOUT, until);
    default:
        break;
    }
    errno = saved;
    tls_client_explain(wire->ssl, result);
    return fail(wire, "TLS: %s", wire->tls_why.text);
}

/* --- bytes ------------------------------------------------------------------------ */

/* Each returns bytes; 0: none as yet, but it may go on; -1. */

static ssize_t plain_write(struct wire *wire, const char *bytes, size_t len, uint64_t until)
{
    ssize_t n = send(wire->fd, bytes, len, MSG_NOSIGNAL);

    if (n >= 0)
        return n;
    if (errno != EAGAIN && errno != EINTR)
        return fail_closed(wire, errno);
    return wait_for(wire, POLLOUT, until) == 0 ? fail(wire, "it takes nothing") : 0;
}

/* What redis has said before it hung up is a better reason. */
static void look_for_alert(struct wire *wire)
{
    char byte;
    int n;

    wire->tls_why.text[0] = '\0';
    n = SSL_read(wire->ssl, &byte, 1);
    if (n > 0 || SSL_get_error(wire->ssl, n) != SSL_ERROR_SSL)
        return;
    tls_client_explain(wire->ssl, n);
    fail(wire, "TLS: %s", wire->tls_why.text);
}

static ssize_t tls_write(struct wire *wire, const char *bytes, size_t len, uint64_t until)
{
    int n, ready;

    errno = 0;
    n = SSL_write(wire->ssl, bytes, len < INT32_MAX ? (int)len : INT32_MAX);
    if (n > 0)
        return n;
    ready = wait_tls(wire, n, until);
    if (ready < 0)
        look_for_alert(wire);
    if (ready == 0)
        return fail(wire, "it takes nothing");
    return ready > 0 ? 0 : -1;
}

int wire_write(struct wire *wire, const char *bytes, size_t len, unsigned ms)
{
    while (len > 0) {
        uint64_t until = clock_ms() + ms;
        ssize_t n = wire->ssl != NULL ? tls_write(wire, bytes, len, until)
                                      : plain_write(wire, bytes, len, until);
        if (n < 0)
            return -1;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

ssize_t wire_read(struct wire *wire, char *dst, size_t cap, uint64_t until)
{
    for (;;) {
        ssize_t n;
        int ready;

        errno = 0;
        n = wire->ssl != NULL ? SSL_read(wire->ssl, dst, (int)cap)
                              : recv(wire->fd, dst, cap, MSG_DONTWAIT);
        if (n > 0) {
            wire->has_read = 1;
            return n;
        }
        if (wire->ssl != NULL)
            ready = wait_tls(wire, (int)n, until);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return fail_closed(wire, n == 0 ? 0 : errno);
        else
            ready = wait_for(wire, POLLIN, until);
        if (ready <= 0)
            return ready;
    }
}

const char *wire_why(const struct wire *wire)
{
    return wire->why;
}

/* --- coming and going ------------------------------------------------------------- */

static int shake(struct wire *wire, const struct conf_redis *conf, uint64_t until)
{
    int rc, ready;

    wire->ssl = tls_client_session(wire->client, server_tls_name(conf), &wire->tls_why);
    if (wire->ssl == NULL || SSL_set_fd(wire->ssl, wire->fd) != 1)
        return fail(wire, "no memory");
    do {
        errno = 0;
        rc = SSL_do_handshake(wire->ssl);
        ready = rc == 1 ? 1 : wait_tls(wire, rc, until);
    } while (rc != 1 && ready > 0);
    if (ready == 0)
        fail(wire, "TLS: no answer to the handshake; does it speak TLS there?");
    return rc == 1 ? 0 : -1;
}

static int begin(struct wire *wire, const struct conf_redis *conf, uint64_t until)
{
    int flags = fcntl(wire->fd, F_GETFL), rc;
    struct buf error = {0};

    if (flags < 0 || fcntl(wire->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return fail(wire, "%s", strerror(errno));
    rc = server_tls_client(&wire->client, &conf->tls, &error);
    if (rc < 0)
        fail(wire, "TLS: %.*s", (int)error.len, (const char *)error.data);
    else if (wire->client != NULL)
        rc = shake(wire, conf, until);
    buf_free(&error);
    return rc;
}

struct wire *wire_new(int fd, const struct conf_redis *conf, uint64_t until, char *why, size_t cap)
{
    struct wire *wire = calloc(1, sizeof(*wire));

    (void)snprintf(why, cap, "no memory");
    if (wire == NULL)
        return NULL;
    wire->fd = fd;
    wire->is_tcp = conf->path == NULL;
    if (begin(wire, conf, until) == 0)
        return wire;
    (void)snprintf(why, cap, "%s", wire->why);
    wire_free(&wire);
    return NULL;
}

void wire_free(struct wire **wire)
{
    if (*wire == NULL)
        return;
    SSL_free((*wire)->ssl);
    tls_client_free(&(*wire)->client);
    free(*wire);
    *wire = NULL;
}
