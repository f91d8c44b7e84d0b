/* tls_output - what goes to a client: all that waits in one record, as far as it fits. */
#include "net/tls_conn.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define GATHER_RUNS     64
#define RECORDS_PER_KEY (1U << 23) /* RFC 8446, 5.5, with a margin */

/* What the kernel has not taken of a record.  Returns as veil_ops.send. */
static ssize_t send_rest(struct conn *conn, struct tls *tls)
{
    ssize_t n = send(conn->fd, tls->rest + tls->rest_off, tls->rest_len - tls->rest_off,
                     MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0)
        return -1;
    conn->net->stats.bytes_sent += (uint64_t)n;
    tls->rest_off += (uint32_t)n;
    if (tls->rest_off < tls->rest_len) {
        errno = EAGAIN;
        return -1;
    }
    free(tls->rest);
    tls->rest = NULL;
    tls->rest_off = tls->rest_len = 0;
    conn->owes = 0;
    n = tls->sealing;
    tls->sealing = 0;
    return n;
}

/* What comes next, up to a record of it, in one piece. */
static size_t gather(struct tls_net *layer, const struct conn *conn, const uint8_t **bytes)
{
    struct iovec iov[GATHER_RUNS];
    int n = outq_iov(&conn->out, iov, GATHER_RUNS);
    size_t len = 0;

    if (n == 1 || iov[0].iov_len >= SEAL_BYTES) {
        *bytes = iov[0].iov_base;
        return iov[0].iov_len < SEAL_BYTES ? iov[0].iov_len : SEAL_BYTES;
    }
    for (int i = 0; i < n && len < SEAL_BYTES; i++) {
        size_t part = iov[i].iov_len < SEAL_BYTES - len ? iov[i].iov_len : SEAL_BYTES - len;
        memcpy(layer->gather + len, iov[i].iov_base, part);
        len += part;
    }
    *bytes = layer->gather;
    return len;
}

/* A key is good for so many records: the next are under another. */
static void count_record(struct tls *tls)
{
    if (++tls->sealed < RECORDS_PER_KEY || SSL_version(tls->ssl) != TLS1_3_VERSION)
        return;
    tls->sealed = 0;
    if (SSL_key_update(tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1)
        ERR_clear_error();
}

ssize_t tls_send(struct conn *conn)
{
    struct tls_net *layer = conn->net->tls;
    struct tls *tls = conn->veil_state;
    const uint8_t *bytes;
    size_t len;

    if (tls->rest != NULL)
        return send_rest(conn, tls);
    if (!tls->opened || tls->failed) {
        errno = EPIPE;
        return -1;
    }
    len = gather(layer, conn, &bytes);
    count_record(tls);
    tls_enter(layer, tls, NULL, 0);
    if (SSL_write(tls->ssl, bytes, (int)len) != (int)len) {
        ERR_clear_error();
        errno = EPIPE;
        return -1;
    }
    conn->net->stats.bytes_sent -= len; /* counted as it went, in its cipher */
    if (tls->rest == NULL)
        return (ssize_t)len;
    tls->sealing = (uint16_t)len;
    errno = EAGAIN;
    return -1;
}

void tls_finish(struct conn *conn)
{
    struct tls *tls = conn->veil_state;

    if (!tls->opened || tls->failed || (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN))
        return;
    tls_enter(conn->net->tls, tls, NULL, 0);
    (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
}
