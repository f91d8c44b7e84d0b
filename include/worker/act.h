/* act - what a request of the master makes clients do: join rooms, leave them, or be
 * disconnected.
 *
 * Who is meant is settled at once; then they are taken one after the other, in slices of a few
 * milliseconds, and only while little waits for the pipe to the master, which hears of each.
 * Meanwhile nothing else may be taken from the master, for what comes behind a request counts on
 * it: a notification to a room that was joined, or after a disconnect. */
#ifndef WORKER_ACT_H
#define WORKER_ACT_H

#include "ipc/msg.h"
#include "worker/select.h"

#include <stdint.h>

struct acts;
struct event_base;
struct membership;
struct uplink;

struct act_request {    /* as in ipc/msg.h; borrowed while act_begin() runs */
    enum msg_type type; /* MSG_JOIN, MSG_LEAVE or MSG_DISCONNECT */
    uint32_t id;
    struct who who;
    struct slices names;
    int close;
};

/* What one stands on; all is borrowed. */
struct act_parts {
    struct event_base *base;
    struct engine *engine;
    struct rooms *rooms;
    struct membership *membership;
    struct uplink *uplink;
};

/* done(arg): as act_begin() says.  NULL without memory. */
struct acts *acts_new(const struct act_parts *parts, void (*done)(void *arg), void *arg);
void acts_free(struct acts **acts);

enum act_result {
    ACT_DONE,     /* the master has been told */
    ACT_BEGUN,    /* done() comes from the loop, and nothing else is asked for until then */
    ACT_NO_MEMORY /* nothing has been done: it may be tried again */
};
enum act_result act_begin(struct acts *acts, const struct act_request *request);

#endif
