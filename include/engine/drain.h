/* drain - how an engine ends: session by session over the time that there is, or, where
 * others take what is new, with its connections passed on. */
#ifndef ENGINE_DRAIN_H
#define ENGINE_DRAIN_H

#include "eio/session.h"

#include <event2/event_struct.h>
#include <stdint.h>

struct drain {
    struct eio *eio;
    struct event timer;
    uint64_t end_ms; /* all sessions are closed by then */
    uint32_t index;  /* of the session to look at next */
    void (*done)(void *arg);
    void *arg;
};

void drain_init(struct drain *drain, struct eio *eio);
void drain_clear(struct drain *drain);

/* Closes all over within_ms, then calls done, which may free all of it. */
void drain_start(struct drain *drain, uint32_t within_ms, void (*done)(void *arg), void *arg);
/* The same where others take new clients, see engine_migrate(). */
void drain_migrate(struct drain *drain, uint32_t within_ms, void (*done)(void *arg), void *arg);
/* The time of drain_migrate() is over. */
void drain_migrate_now(struct drain *drain);
/* Connections have gone: maybe the last one. */
void drain_conn_gone(struct drain *drain);

#endif
