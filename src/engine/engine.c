#include "engine/engine.h"

#include "net/tls.h"

#include <stdlib.h>

static void on_gone(void *arg)
{
    struct engine *engine = arg;

    drain_conn_gone(&engine->drain);
}

static const struct net_ops net_ops = {.gone = on_gone};

/* --- options of the layers --- */

static struct net_options net_options_of(const struct engine_options *options)
{
    return (struct net_options){
        .balance = options->balance,
        .place = options->place,
        .proxies = options->proxies,
        .connections_max = options->connections_max,
        .strangers_max = options->strangers_max,
        .census = options->census,
        .address_max = options->address_max,
        .send_buffer = options->send_buffer,
        .send_timeout_ms = options->send_timeout_ms,
    };
}

static struct http_options http_options_of(const struct engine_options *options, void *arg)
{
    return (struct http_options){
        .path = options->path,
        .limits = options->http,
        .idle_timeout_ms = options->idle_timeout_ms,
        .origins = options->origins,
        .credentials = options->credentials,
        .proxy_header = (enum forwarded_header)options->proxy_header,
        .client_file = options->client_file,
        .name = options->name,
        .version = options->version,
        .handoff = options->handoff,
        .handoff_arg = arg,
    };
}

static struct eio_options eio_options_of(const struct engine_options *options)
{
    return (struct eio_options){
        .polling = options->polling,
        .websocket = options->websocket,
        .allow_eio3 = options->allow_eio3,
        .ping_interval_ms = options->ping_interval_ms,
        .ping_timeout_ms = options->ping_timeout_ms,
        .upgrade_timeout_ms = options->upgrade_timeout_ms,
        .max_payload = options->max_payload,
        .process = options->process,
        .generation = options->generation,
    };
}

static struct sio_options sio_options_of(const struct engine_options *options)
{
    return (struct sio_options){
        .nsp = options->nsp,
        .open_nsps = options->open_nsps,
        .connect_timeout_ms = options->connect_timeout_ms,
        .max_payload = options->max_payload,
        .recovery = options->recovery,
    };
}

/* --- life --- */

/* From the lowest up.  Returns 0 or -1. */
static int make_layers(struct engine *engine, struct event_base *base,
                       const struct engine_options *options, const struct sio_app *app, void *arg)
{
    struct net_options net = net_options_of(options);
    struct http_options http = http_options_of(options, arg);
    struct eio_options eio = eio_options_of(options);
    struct sio_options sio = sio_options_of(options);

    if ((engine->net = net_new(base, &net, &net_ops, engine)) == NULL ||
        (engine->http = http_new(engine->net, &http)) == NULL ||
        (engine->eio = eio_new(engine->http, &eio, &sio_eio_app, &engine->sio)) == NULL)
        return -1;
    drain_init(&engine->drain, engine->eio);
    return sio_init(&engine->sio, engine->eio, &sio, app, arg);
}

struct engine *engine_new(struct event_base *base, const struct engine_options *options,
                          const struct sio_app *app, void *arg)
{
    struct engine *engine = calloc(1, sizeof(*engine));

    if (engine != NULL && make_layers(engine, base, options, app, arg) < 0)
        engine_free(&engine);
    return engine;
}

void engine_free(struct engine **enginep)
{
    struct engine *engine = *enginep;

    if (engine == NULL)
        return;
    if (engine->eio != NULL) {
        drain_clear(&engine->drain);
        net_stop_listening(engine->net);
        net_kill_all(engine->net, CLOSE_SHUTDOWN);
    }
    eio_free(&engine->eio);
    sio_clear(&engine->sio);
    http_free(&engine->http);
    net_free(&engine->net);
    free(engine);
    *enginep = NULL;
}

void engine_configure(struct engine *engine, const struct engine_options *options)
{
    struct net_options net = net_options_of(options);
    struct http_options http = http_options_of(options, NULL);

    engine->eio->options.upgrade_timeout_ms = options->upgrade_timeout_ms;
    engine->sio.options.connect_timeout_ms = options->connect_timeout_ms;
    http_configure(engine->http, &http);
    net_configure(engine->net, &net);
}

int engine_certify(struct engine *engine, const struct conf_tls *tls, struct buf *error)
{
    return net_certify(engine->net, tls, error);
}

int engine_tickets(struct engine *engine, const struct tickets *tickets)
{
    return net_tickets(engine->net, tickets);
}

int engine_adopt(struct engine *engine, int fd, const struct handoff_conn *known, const void *bytes,
                 size_t len, int orphan)
{
    return http_adopt(engine->http, fd, known, bytes, len, orphan);
}

int engine_listen(struct engine *engine, int fd, unsigned speaks)
{
    return net_listen(engine->net, fd, speaks);
}

void engine_stop_listening(struct engine *engine)
{
    net_stop_listening(engine->net);
}

/* --- what it is like --- */

size_t engine_connections(const struct engine *engine)
{
    return engine->net->nconns;
}

size_t engine_carried(const struct engine *engine)
{
    return engine->net->ncarried;
}

size_t engine_output_memory(const struct engine *engine)
{
    return engine->net->chunks.bytes + engine->net->chunks.spare_bytes;
}

struct engine_stats engine_stats(const struct engine *engine)
{
    return (struct engine_stats){&engine->net->stats, &engine->http->stats, &engine->eio->stats,
                                 &engine->sio.stats};
}

size_t engine_worst(const struct engine *engine, struct worst dst[WORST_MAX])
{
    return sources_worst(&engine->net->sources, dst);
}

int engine_is_full(const struct engine *engine)
{
    return net_is_full(engine->net);
}

int engine_strangers_full(const struct engine *engine)
{
    return net_strangers_full(engine->net);
}

/* --- the end --- */

void engine_drain(struct engine *engine, uint32_t within_ms, void (*done)(void *arg), void *arg)
{
    drain_start(&engine->drain, within_ms, done, arg);
}

void engine_migrate(struct engine *engine, uint32_t within_ms, void (*done)(void *arg), void *arg)
{
    drain_migrate(&engine->drain, within_ms, done, arg);
}

void engine_migrate_now(struct engine *engine)
{
    drain_migrate_now(&engine->drain);
}
