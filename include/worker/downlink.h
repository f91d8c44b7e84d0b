/* downlink - what the master says to the worker: each message of ipc/msg.h that goes down,
 * taken apart and checked.  It has the link; uplink.h writes to it. */
#ifndef WORKER_DOWNLINK_H
#define WORKER_DOWNLINK_H

#include "base/slice.h"
#include "ipc/msg.h"
#include "worker/act.h"
#include "worker/fetch.h"

#include <stdint.h>

struct conf;
struct downlink;
struct event_base;
struct link;
struct tickets;

struct downlink_emit { /* of MSG_EMIT, beside the broadcast */
    uint32_t id, timeout_ms;
};

/* The first is hello, once.  Where an int is returned: 0, or -1 if it cannot be done, which
 * is the same as a bad message. */
struct downlink_ops {
    int (*hello)(void *arg);
    /* emit: NULL if nobody is to acknowledge it. */
    void (*broadcast)(const struct msg_broadcast *bc, const struct downlink_emit *emit, void *arg);
    int (*admitted)(const struct msg_admitted *admitted, void *arg);
    void (*offset)(uint64_t seq, uint64_t offset, void *arg);
    void (*kick)(uint64_t client, struct slice uid, enum msg_kick why, void *arg);
    /* Asked before each MSG_JOIN, MSG_LEAVE, MSG_DISCONNECT and MSG_EMIT.  1; or 0 while a client
     * is still to be let in that was admitted before it: then nothing comes before
     * downlink_go_on(). */
    int (*settled)(void *arg);
    /* MSG_JOIN, MSG_LEAVE, MSG_DISCONNECT.  As act_begin(); after ACT_BEGUN nothing comes before
     * downlink_go_on(). */
    enum act_result (*act)(const struct act_request *request, void *arg);
    void (*fetch)(const struct fetch_request *request, void *arg);
    void (*drain)(uint32_t within_ms, uint32_t first, uint32_t n, void *arg);
    /* settings is the callee's, to be freed with conf_free(). */
    void (*settings)(struct conf *settings, void *arg);
    void (*tickets)(const struct tickets *tickets, void *arg);
    void (*count)(uint32_t id, void *arg);
    int (*noted)(uint32_t id, void *arg);
    /* A bad message has come, which is logged; or the link is over, why says it for the log:
     * the master has died.  Each may come after the other. */
    void (*bad)(void *arg);
    void (*closed)(const char *why, void *arg);
};

/* Takes both descriptors; reading is on.  ops and arg are borrowed.  NULL without memory
 * (the descriptors stay the caller's). */
struct downlink *downlink_new(struct event_base *base, int down_fd, int up_fd,
                              const struct downlink_ops *ops, void *arg);
void downlink_free(struct downlink **downlink);

/* What act() has begun is done, or all is settled. */
void downlink_go_on(struct downlink *downlink);

/* No message counts any more, from the next one on. */
void downlink_shut(struct downlink *downlink);

/* As long as the downlink. */
struct link *downlink_link(const struct downlink *downlink);

#endif
