/* command - what redis is told, until it has answered; and the message that is published, which
 * is not copied however long it is. */
#ifndef MASTER_COMMAND_H
#define MASTER_COMMAND_H

#include "base/buf.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

/* COMMAND_OK: of AUTH and SELECT; COMMAND_PROBE: may answers be published? */
enum command_kind { COMMAND_OK, COMMAND_PROBE, COMMAND_PUBLISH, COMMAND_PING, COMMAND_KILL };

struct message { /* for its command, and while it is written */
    unsigned refs;
    struct buf channel, payload;
};

/* Takes payload (it is empty then); channel is copied.  NULL without memory: it is as it was. */
struct message *message_new(struct slice channel, struct buf *payload);

/* One less uses it (NULL: nothing). */
void message_drop(struct message *message);

/* Bytes that it costs, its command included. */
size_t message_size(const struct message *message);

struct command {
    struct command *next;
    enum command_kind kind;
    uint64_t sent_ms;
    uint64_t end;            /* where in all that was written it ends */
    struct message *message; /* of COMMAND_PUBLISH */
    void (*done)(int ok, void *arg);
    void *arg;
};

/* NULL without memory; free() it when it is in no queue. */
struct command *command_new(enum command_kind kind);

struct command_queue {
    struct command *first, **end; /* first: the oldest, or NULL */
};

void command_queue_init(struct command_queue *queue);

/* Takes it. */
void command_put(struct command_queue *queue, struct command *command);

/* The oldest, which is the caller's; NULL: there is none. */
struct command *command_take(struct command_queue *queue);

#endif
