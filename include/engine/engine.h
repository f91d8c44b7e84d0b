/* engine - what the worker is built on: clients of Socket.IO on the sockets of a process.
 *
 *     net (connections) <- http <- eio (Engine.IO sessions) <- sio (Socket.IO) <- sio_app
 *
 * Each layer is a folder, calls the one below it by name and the one above it through
 * callbacks.  What a client asks for is settled where it can be: the application hears of
 * it when it asks for the namespace. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "engine/drain.h"
#include "sio/fanout.h"
#include "sio/socket.h"

#include <stddef.h>
#include <stdint.h>

struct buf;
struct conf_tls;
struct tickets;

struct engine_options { /* strings are borrowed for the engine's life */
    const char *path;   /* these as in http_options */
    struct http_limits http;
    uint32_t idle_timeout_ms;
    char *const *origins;
    int credentials;
    struct slice client_file;
    const char *name, *version;
    int (*handoff)(uint32_t process, int fd, const struct handoff_conn *conn, const void *bytes,
                   size_t len, void *arg);

    const char *nsp; /* as in sio_options */
    const char *const *open_nsps;
    uint32_t connect_timeout_ms;
    int recovery;

    int polling, websocket, allow_eio3; /* as in eio_options */
    uint32_t ping_interval_ms, ping_timeout_ms, upgrade_timeout_ms;
    size_t max_payload;
    uint32_t process, generation;

    const struct networks *proxies; /* as in net_options and http_options */
    int proxy_header;

    struct balance *balance; /* as in net_options */
    uint32_t place;
    struct census *census; /* likewise */
    size_t connections_max, strangers_max, send_buffer;
    uint32_t send_timeout_ms, address_max;
};

struct engine {
    struct net *net;
    struct http *http;
    struct eio *eio;
    struct sio sio;
    struct drain drain;
};

/* What each layer has counted, always up to date. */
struct engine_stats {
    const struct net_stats *net;
    const struct http_stats *http;
    const struct eio_stats *eio;
    const struct sio_stats *sio;
};

/* options is copied; app and arg, which handoff is called with too, are borrowed.  NULL
 * without memory. */
struct engine *engine_new(struct event_base *base, const struct engine_options *options,
                          const struct sio_app *app, void *arg);
/* Whoever is left is closed. */
void engine_free(struct engine **engine);

/* The options that a live engine takes come into force: origins, credentials, http,
 * proxies, proxy_header, connections_max, strangers_max, address_max, send_buffer,
 * send_timeout_ms, idle_timeout_ms, connect_timeout_ms and upgrade_timeout_ms.  The others are
 * not looked at. */
void engine_configure(struct engine *engine, const struct engine_options *options);

/* TLS on listeners that speak it: net/tls.h. */
int engine_certify(struct engine *engine, const struct conf_tls *tls, struct buf *error);
int engine_tickets(struct engine *engine, const struct tickets *tickets);

/* As http_adopt(). */
int engine_adopt(struct engine *engine, int fd, const struct handoff_conn *known, const void *bytes,
                 size_t len, int orphan);

/* Accepts from a listening socket (non-blocking), which stays the caller's; speaks: bits of
 * enum net_speaks. */
int engine_listen(struct engine *engine, int fd, unsigned speaks);
void engine_stop_listening(struct engine *engine);

size_t engine_connections(const struct engine *engine);
/* ... of which so many are carried for other workers. */
size_t engine_carried(const struct engine *engine);
/* Bytes of the blocks in which output is or was, whoever waits for it. */
size_t engine_output_memory(const struct engine *engine);
struct engine_stats engine_stats(const struct engine *engine);

/* As sources_worst(). */
size_t engine_worst(const struct engine *engine, struct worst dst[WORST_MAX]);

/* 1 if it listens and has no place for another client: all of connections_max are users'. */
int engine_is_full(const struct engine *engine);
/* 1 if all places of strangers are taken: whoever comes takes that of another. */
int engine_strangers_full(const struct engine *engine);

/* Closes every session after what was sent to it, WebSockets without a close frame and
 * those that poll with a close packet, spread over within_ms (evenly, but at most 100 ms
 * apart), then what is left of HTTP.  done is called from the loop when none is left; it
 * may free the engine. */
void engine_drain(struct engine *engine, uint32_t within_ms, void (*done)(void *arg), void *arg);

/* The same where others take new clients: what waits to be accepted is still taken,
 * and each connection is handed to a successor (options.handoff) when it asks for a
 * new session, or at the end.  A client hears all that was sent to it before it is
 * closed: one that reads slowly is closed last, and one that polls has until the end
 * to come for it.  done() is called when nobody is left, which may take all of
 * within_ms and, where connections cannot be handed on, longer. */
void engine_migrate(struct engine *engine, uint32_t within_ms, void (*done)(void *arg), void *arg);

/* The time of engine_migrate() is over, and engine_free() is next: whoever is left is
 * closed, or handed on, now. */
void engine_migrate_now(struct engine *engine);

#endif
