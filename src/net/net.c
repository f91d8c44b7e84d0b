#include "net/net.h"

#include "net/tls.h"

#include <event2/event.h>
#include <stdlib.h>

#define STRANGER_MIN_BYTES 4096 /* may wait for one */

static void on_thin(void *arg)
{
    net_flush_later(arg);
}

/* A turn's end: what waits is written, then who has to go goes, and the dead are freed. */
static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct net *net = arg;

    (void)fd;
    (void)what;
    net_flush(net);
    net_evict(net);
    if (net->gone || net->accepting == net_conns_full(net)) /* or users have come */
        accept_again(net);
    net_sweep(net);
    if (!net->gone)
        return;
    net->gone = 0;
    if (net->ops != NULL)
        net->ops->gone(net->arg);
}

static void limit_strangers(struct net *net)
{
    net->stranger_send_buffer = stranger_part(net->options.send_buffer, STRANGER_MIN_BYTES);
}

/* Nobody is in one of the lists. */
static void no_dirty(struct net *net)
{
    for (int i = 0; i < DIRTIES; i++)
        net->dirty[i] = (struct dirty){NULL, &net->dirty[i].first};
    net->gather.listed = net->gather.left = 0;
}

struct net *net_new(struct event_base *base, const struct net_options *options,
                    const struct net_ops *ops, void *arg)
{
    struct net *net = calloc(1, sizeof(*net));

    if (net == NULL)
        return NULL;
    net->base = base;
    net->options = *options;
    net->ops = ops;
    net->arg = arg;
    limit_strangers(net);
    no_dirty(net);
    evtimer_assign(&net->flush_timer, base, on_flush, net);
    gather_init(net);
    accept_init(net);
    net->private_log.chunks = &net->chunks;
    net->chunks.on_thin = on_thin;
    net->chunks.arg = net;
    compact_init(&net->compact, &net->chunks);
    net->input = malloc(INPUT_BYTES);
    net->wheel = wheel_new(base, conn_timeout, net);
    if (sources_init(&net->sources, options->census, options->place) < 0 || net->input == NULL ||
        net->wheel == NULL)
        net_free(&net);
    else
        sources_limit(&net->sources, options->address_max);
    return net;
}

void net_speaks(struct net *net, const struct conn_ops *speaker, void *upper, uint32_t first_ms)
{
    net->speaker = speaker;
    net->upper = upper;
    net->first_ms = first_ms;
}

void net_evicts(struct net *net, const struct stranger_ops *ops, void *arg)
{
    net->stranger_ops = ops;
    net->stranger_arg = arg;
}

void net_kill_all(struct net *net, enum close_reason why)
{
    struct conn *conn;

    while (net->conns != NULL)
        conn_kill(net->conns, why, 0);
    no_dirty(net);
    while ((conn = net->dead) != NULL) {
        net->dead = conn->next;
        conn_free(conn);
    }
}

void net_free(struct net **netp)
{
    struct net *net = *netp;

    if (net == NULL)
        return;
    accept_clear(net);
    net_kill_all(net, CLOSE_SHUTDOWN);
    event_del(&net->flush_timer);
    gather_clear(net);
    wheel_free(&net->wheel);
    chunklog_clear(&net->private_log);
    chunks_clear(&net->chunks);
    compact_clear(&net->compact);
    net_tls_clear(net);
    sources_clear(&net->sources);
    free(net->input);
    free(net);
    *netp = NULL;
}

void net_configure(struct net *net, const struct net_options *options)
{
    net->options.proxies = options->proxies;
    net->options.connections_max = options->connections_max;
    net->options.strangers_max = options->strangers_max;
    net->options.address_max = options->address_max;
    sources_limit(&net->sources, options->address_max);
    net->options.send_buffer = options->send_buffer;
    net->options.send_timeout_ms = options->send_timeout_ms;
    limit_strangers(net);
    net_flush_later(net); /* there may be too many now */
    accept_again(net);
}
