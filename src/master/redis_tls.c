#include "master/redis_tls.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/wiping.h"
#include "codec/tls_client.h"
#include "conf/server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORD_BYTES 16384
#define RECORDS_MAX  4 /* are written before the loop gets its turn */
/* Of what came and cannot be read before something is written: redis does not read, and goes on
 * asking. */
#define IN_MAX 65536
/* Calls that take something and bring nothing, one after the other: updates of keys and the like,
 * of which each costs as much as a message. */
#define EMPTY_MAX 64

struct redis_tls {
    int fd;
    struct redis_fault *fault;
    const struct redis_tls_ops *ops;
    void *arg;

    SSL *ssl;
    BIO *in;                 /* of ssl: what came from the socket */
    struct bufferevent *bev; /* has no socket: its output is what is to be encrypted */
    struct event *writable;
    struct tls_client_why why, unsent; /* unsent: why writing has failed */
    unsigned empty;                    /* calls that have brought nothing since the last byte */
    int is_ready;
    int is_over; /* why says it, and it is to be told */
};

/* --- what all sessions have in common --------------------------------------------- */

int redis_tls_client(struct tls_client **client, const struct conf_redis_tls *conf)
{
    struct buf error = {0};
    int rc = server_tls_client(client, conf, &error);

    if (rc < 0)
        log_event(ERROR, "redis_tls", "redis: TLS[: {}]",
                  LOG_STRN("error", (const char *)error.data, error.len));
    buf_free(&error);
    return rc;
}

/* --- failing ---------------------------------------------------------------------- */

static enum redis_fault_kind kind_of(enum tls_client_fault fault)
{
    switch (fault) {
    case TLS_CLIENT_CLOSED:
        return REDIS_FAULT_CLOSED;
    case TLS_CLIENT_CERTIFICATE:
        return REDIS_FAULT_CERTIFICATE;
    case TLS_CLIENT_OURS:
        return REDIS_FAULT_OUR_CERTIFICATE;
    case TLS_CLIENT_SPEECH:
        break;
    }
    return REDIS_FAULT_TLS;
}

/* SSL_do_handshake(), SSL_read() or SSL_write() returned that.  Returns 0 where it waits for
 * something, or -1: why says it. */
static int judge(struct redis_tls *tls, int result)
{
    int saved = errno;

    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_WANT_WRITE:
        /* Fails for want of memory only: then it is silent, and soon found to be. */
        (void)event_add(tls->writable, NULL);
        return 0;
    default:
        break;
    }
    errno = saved;
    tls_client_explain(tls->ssl, result);
    return -1;
}

/* The same of SSL_write().  What redis has said before may be a better reason. */
static int judge_write(struct redis_tls *tls, int result)
{
    if (judge(tls, result) == 0)
        return 0;
    tls->unsent = tls->why;
    tls->why.text[0] = '\0';
    return -1;
}

static int tell(struct redis_tls *tls, const struct tls_client_why *why)
{
    return redis_fault_note(tls->fault, kind_of(why->kind), "TLS: %s", why->text);
}

/* --- reading ---------------------------------------------------------------------- */

int redis_tls_feed(struct redis_tls *tls, const char *bytes, size_t len)
{
    if (BIO_pending(tls->in) > IN_MAX)
        return redis_fault_note(tls->fault, REDIS_FAULT_TLS, "TLS: it asks, and does not read");
    if (BIO_write(tls->in, bytes, (int)len) == (int)len)
        return 0;
    return redis_fault_note(tls->fault, REDIS_FAULT_MEMORY, "out of memory");
}

/* Shakes hands, or reads bytes of one record at most.  Returns 1 or bytes; 0 if it waits, -1 if it
 * is over. */
static int step(struct redis_tls *tls, char *dst, size_t cap)
{
    for (; tls->empty < EMPTY_MAX; tls->empty++) {
        int n;

        errno = 0;
        n = tls->is_ready ? SSL_read(tls->ssl, dst, (int)cap) : SSL_do_handshake(tls->ssl);
        if (n > 0) {
            tls->empty = 0;
            return n;
        }
        if (judge(tls, n) < 0)
            return -1;
        if (BIO_pending(tls->in) == 0 || SSL_want_write(tls->ssl))
            return 0;
    }
    tls->why.kind = TLS_CLIENT_SPEECH;
    (void)snprintf(tls->why.text, sizeof(tls->why.text), "it sends records with nothing in them");
    return -1;
}

ssize_t redis_tls_read(struct redis_tls *tls, char *dst, size_t cap)
{
    size_t got = 0;
    int n = tls->is_over ? -1 : 1;

    if (n > 0 && !tls->is_ready) {
        n = step(tls, NULL, 0);
        tls->is_ready = n > 0;
    }
    while (n > 0 && got < cap) {
        n = step(tls, dst + got, cap - got);
        if (n > 0)
            got += (size_t)n;
    }
    tls->is_over = n < 0;
    return got > 0 || n >= 0 ? (ssize_t)got : tell(tls, &tls->why);
}

/* --- writing ---------------------------------------------------------------------- */

/* The next record.  Returns 1 if there may be more to write, 0 if it waits or there is no more, -1:
 * unsent says why. */
static int write_record(struct redis_tls *tls)
{
    struct evbuffer *out = bufferevent_get_output(tls->bev);
    char bytes[RECORD_BYTES];
    ev_ssize_t n = evbuffer_copyout(out, bytes, sizeof(bytes));
    int sent;

    if (n <= 0)
        return 0;
    errno = 0;
    sent = SSL_write(tls->ssl, bytes, (int)n);
    if (sent <= 0)
        return judge_write(tls, sent);
    (void)evbuffer_drain(out, (size_t)sent);
    return evbuffer_get_length(out) > 0;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct redis_tls *tls = arg;
    int rc = 1;

    (void)fd;
    (void)what;
    if (!tls->is_ready || BIO_pending(tls->in) > 0) {
        if (tls->is_ready && evbuffer_get_length(bufferevent_get_output(tls->bev)) > 0)
            (void)event_add(tls->writable, NULL); /* its turn comes after that */
        tls->ops->again(tls->arg);
        return;
    }
    for (int i = 0; rc > 0 && i < RECORDS_MAX; i++)
        rc = write_record(tls);
    if (rc > 0)
        (void)event_add(tls->writable, NULL);
    else if (rc < 0)
        tls->ops->broken(tls->arg);
}

/* Something was written to bev. */
static void on_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *arg)
{
    struct redis_tls *tls = arg;

    (void)out;
    if (info->n_added > 0 && tls->is_ready)
        (void)event_add(tls->writable, NULL);
}

ssize_t redis_wire_send(const struct redis_wire *wire, const void *bytes, size_t len)
{
    int n;

    if (wire->tls == NULL)
        return send(wire->fd, bytes, len, MSG_NOSIGNAL);
    errno = 0;
    n = SSL_write(wire->tls->ssl, bytes, (int)len);
    if (n <= 0)
        return judge_write(wire->tls, n);
    return n;
}

void redis_tls_tell(struct redis_tls *tls)
{
    if (tls->unsent.text[0] != '\0')
        (void)tell(tls, &tls->unsent);
}

/* --- coming and going ------------------------------------------------------------- */

int redis_tls_is_ready(const struct redis_tls *tls)
{
    return tls->is_ready;
}

struct bufferevent *redis_tls_bev(const struct redis_tls *tls)
{
    return tls->bev;
}

/* fd is borrowed. */
static int session(struct redis_tls *tls, int fd, const struct tls_client *client, const char *name)
{
    BIO *in, *out;

    tls->ssl = tls_client_session(client, name, &tls->why);
    if (tls->ssl == NULL)
        return -1;
    in = BIO_new(BIO_s_mem());
    out = BIO_new_socket(fd, BIO_NOCLOSE);
    if (in == NULL || out == NULL) {
        BIO_free(in);
        BIO_free(out);
        return -1;
    }
    SSL_set_bio(tls->ssl, in, out);
    tls->in = in;
    return 0;
}

struct redis_tls *redis_tls_new(struct event_base *base, int fd, const struct tls_client *client,
                                const char *name, struct redis_fault *fault,
                                const struct redis_tls_ops *ops, void *arg)
{
    struct redis_tls *tls = calloc(1, sizeof(*tls));

    if (tls == NULL) {
        close(fd);
        return NULL;
    }
    tls->fd = fd;
    tls->fault = fault;
    tls->ops = ops;
    tls->arg = arg;
    tls->writable = event_new(base, fd, EV_WRITE, on_writable, tls);
    tls->bev = bufferevent_socket_new(base, -1, 0);
    if (tls->writable == NULL || tls->bev == NULL || session(tls, fd, client, name) < 0 ||
        bufferevent_disable(tls->bev, EV_READ | EV_WRITE) < 0 ||
        /* It takes nothing out itself, and lets nobody else. */
        evbuffer_unfreeze(bufferevent_get_output(tls->bev), 1) < 0 ||
        evbuffer_add_cb(bufferevent_get_output(tls->bev), on_output, tls) == NULL)
        redis_tls_free(&tls);
    return tls;
}

void redis_tls_wipe(struct redis_tls *tls)
{
    wiping_begin(); /* the keys of its records */
    SSL_free(tls->ssl);
    wiping_end();
    tls->ssl = NULL;
}

void redis_tls_free(struct redis_tls **tlsp)
{
    struct redis_tls *tls = *tlsp;

    if (tls == NULL)
        return;
    *tlsp = NULL;
    if (tls->writable != NULL)
        event_free(tls->writable);
    if (tls->bev != NULL)
        bufferevent_free(tls->bev);
    redis_tls_wipe(tls);
    close(tls->fd);
    free(tls);
}
