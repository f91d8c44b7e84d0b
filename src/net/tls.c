#include "net/tls.h"

#include "base/pages.h"
#include "net/tls_conn.h"

#include <event2/event.h>
#include <stdlib.h>

/* A connection takes some 14 KB in pieces.  When most have gone, the system has back what they
 * had: that takes a while, so it is done once for many. */
#define TRIM_GONE 1000
#define TRIM_S    2

/* --- one connection --- */

/* Who waits for us is not to blame. */
static void on_timeout(struct conn *conn)
{
    const struct tls *tls = conn->veil_state;

    if (handshakes_waits(&tls->turn)) {
        conn_deadline(conn, NET_VEIL_MS);
        return;
    }
    tls_fault(conn, TLS_TIMEOUT, NULL);
    conn_kill(conn, CLOSE_CLIENT, 0);
}

/* left: so many are still there. */
static void gone(struct tls_net *layer, uint64_t left)
{
    static const struct timeval soon = {TRIM_S, 0};

    if (++layer->gone >= TRIM_GONE && layer->gone > left &&
        !evtimer_pending(&layer->trim_timer, NULL))
        evtimer_add(&layer->trim_timer, &soon);
}

static void on_trim(evutil_socket_t fd, short what, void *arg)
{
    struct tls_net *layer = arg;

    (void)fd;
    (void)what;
    layer->gone = 0;
    pages_trim();
}

static void on_free(struct conn *conn)
{
    struct tls_net *layer = conn->net->tls;
    struct tls *tls = conn->veil_state;

    if (tls->opened)
        conn->net->stats.tls_connections--;
    else if (!tls->failed && conn->closing_why == CLOSE_CLIENT)
        tls_fault(conn, TLS_CLOSED, NULL);
    if (tls->ssl != NULL)
        gone(layer, conn->net->stats.tls_connections);
    handshakes_forget(&layer->handshakes, &tls->turn);
    SSL_free(tls->ssl);
    free(tls->part);
    free(tls->rest);
    free(tls);
}

static const struct veil_ops tls_veil = {
    .input = tls_input,
    .send = tls_send,
    .finish = tls_finish,
    .timeout = on_timeout,
    .free = on_free,
};

int tls_begin(struct conn *conn, uint32_t in_ms)
{
    struct tls *tls = conn->net->tls != NULL ? calloc(1, sizeof(*tls)) : NULL;

    if (tls == NULL)
        return -1;
    tls->conn = conn;
    tally_tls(conn);
    conn_veil(conn, &tls_veil, tls, in_ms);
    return 0;
}

/* --- all of them --- */

/* Output that waits is not to wait for those that come. */
static int hurries(void *arg)
{
    const struct net *net = arg;

    return net->dirty[DIRTY_OWN].first != NULL || net->dirty[DIRTY_FANOUT].first != NULL;
}

static struct tls_net *layer_of(struct net *net)
{
    struct tls_net *layer = net->tls;

    if (layer != NULL)
        return layer;
    layer = net->tls = calloc(1, sizeof(*layer));
    if (layer == NULL)
        return NULL;
    evtimer_assign(&layer->trim_timer, net->base, on_trim, layer);
    handshakes_init(&layer->handshakes, net->base, hurries, tls_go_on, net);
    layer->contexts = tls_contexts_new();
    layer->plain = malloc(INPUT_BYTES);
    layer->gather = malloc(SEAL_BYTES);
    layer->bio = tls_bio_new(layer);
    if (layer->contexts == NULL || layer->plain == NULL || layer->gather == NULL ||
        layer->bio == NULL)
        net_tls_clear(net);
    return net->tls;
}

int net_certify(struct net *net, const struct conf_tls *tls, struct buf *error)
{
    struct tls_net *layer = layer_of(net);

    if (layer != NULL)
        return tls_contexts_certify(layer->contexts, tls, error);
    buf_puts(error, "no memory");
    return -1;
}

int net_tickets(struct net *net, const struct tickets *tickets)
{
    struct tls_net *layer = layer_of(net);

    if (layer == NULL)
        return -1;
    tls_contexts_tickets(layer->contexts, tickets);
    return 0;
}

void net_tls_clear(struct net *net)
{
    struct tls_net *layer = net->tls;

    net->tls = NULL;
    if (layer == NULL)
        return;
    handshakes_clear(&layer->handshakes);
    event_del(&layer->trim_timer);
    tls_contexts_free(&layer->contexts);
    BIO_free(layer->bio);
    BIO_meth_free(layer->method);
    free(layer->plain);
    free(layer->gather);
    free(layer);
}
