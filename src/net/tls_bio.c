/* tls_bio - OpenSSL's way out and in: it reads from memory, and writes to the socket. */
#include "net/tls_conn.h"

#include <errno.h>
#include <openssl/bio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int keep_rest(struct tls *tls, const char *bytes, size_t len)
{
    uint8_t *rest = realloc(tls->rest, tls->rest_len + len);

    if (rest == NULL)
        return -1;
    memcpy(rest + tls->rest_len, bytes, len);
    tls->rest = rest;
    tls->rest_len += (uint32_t)len;
    tls->conn->owes = 1;
    return 0;
}

/* Takes all, whatever the kernel does, so that OpenSSL keeps no buffer. */
static int on_write(BIO *bio, const char *bytes, int len)
{
    struct tls_net *layer = BIO_get_data(bio);
    struct tls *tls = layer->now;
    ssize_t n = 0;

    BIO_clear_retry_flags(bio);
    if (tls->rest == NULL) {
        do
            n = send(tls->conn->fd, bytes, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS)
            return -1;
        if (n < 0)
            n = 0;
        tls->conn->net->stats.bytes_sent += (uint64_t)n;
    }
    if (n < len && keep_rest(tls, bytes + n, (size_t)(len - n)) < 0)
        return -1;
    return len;
}

static int on_read(BIO *bio, char *dst, int cap)
{
    struct tls_net *layer = BIO_get_data(bio);
    size_t n = layer->in_len < (size_t)cap ? layer->in_len : (size_t)cap;

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(dst, layer->in, n);
    layer->in += n;
    layer->in_len -= n;
    return (int)n;
}

static long on_ctrl(BIO *bio, int command, long value, void *arg)
{
    (void)bio;
    (void)value;
    (void)arg;
    return command == BIO_CTRL_FLUSH;
}

void tls_enter(struct tls_net *layer, struct tls *tls, const uint8_t *bytes, size_t len)
{
    layer->now = tls;
    layer->in = bytes;
    layer->in_len = len;
}

BIO *tls_bio_new(struct tls_net *layer)
{
    BIO *bio;

    layer->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "connection of a client");
    if (layer->method == NULL || BIO_meth_set_write(layer->method, on_write) != 1 ||
        BIO_meth_set_read(layer->method, on_read) != 1 ||
        BIO_meth_set_ctrl(layer->method, on_ctrl) != 1 || (bio = BIO_new(layer->method)) == NULL)
        return NULL;
    BIO_set_data(bio, layer);
    BIO_set_init(bio, 1);
    return bio;
}
