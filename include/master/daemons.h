/* daemons - the other daemons on this redis: what is said to them and by them, and what is known
 * of each.
 *
 * What is said in one turn of the loop goes out as one message, when daemons_flush() is called.
 * All hear it, this one too: that a question of its own has come back says that it was
 * published, and that all that was published before it has come here. */
#ifndef MASTER_DAEMONS_H
#define MASTER_DAEMONS_H

#include "codec/peer.h"

#include <stdint.h>

#define DAEMONS_MAX       1024  /* of which something is known; where more come all are forgotten */
#define DAEMONS_SILENT_MS 10000 /* who has not answered is not waited for */

struct daemons;

struct daemons_ops {
    /* As feed_publish(), on the peer channel. */
    int (*publish)(struct buf *payload, void (*done)(int ok, void *done_arg), void *done_arg,
                   void *arg);
    /* Another daemon asks; this one is answered, a question of its own has come back. */
    void (*question)(uint64_t from, const struct peer_question *question, void *arg);
    void (*answer)(uint64_t from, const struct peer_answer *answer, void *arg);
    void (*echo)(uint32_t id, void *arg);
    /* Something that was said has not been published. */
    void (*unsent)(void *arg);
};

/* self: relay_epoch().  ops is borrowed.  NULL without memory. */
struct daemons *daemons_new(uint64_t self, const struct daemons_ops *ops, void *arg);
/* Also while something that was published is not confirmed. */
void daemons_free(struct daemons **daemons);

/* Each returns 0, or -1 if it is too long, or without memory. */
int daemons_ask(struct daemons *daemons, const struct peer_question *question);
int daemons_answer(struct daemons *daemons, const struct peer_answer *answer);

/* This one sees since gap_ms (1970) what is published: all are told, and each that comes later,
 * when it can be published. */
void daemons_present(struct daemons *daemons, uint64_t gap_ms);

/* 1 if something is to go out; it goes; ops.unsent() may be called. */
int daemons_has_more(const struct daemons *daemons);
void daemons_flush(struct daemons *daemons);

/* What has come on the channel, but for marks. */
void daemons_hear(struct daemons *daemons, struct slice payload);

/* That daemon has not answered. */
void daemons_note_silent(struct daemons *daemons, uint64_t id, uint64_t now_ms);

struct daemons_known {
    int has_spoken;  /* so it may publish */
    int is_silent;   /* it is within DAEMONS_SILENT_MS of a question that it has not answered */
    int is_sought;   /* others have asked for a session of its own: they may have it */
    uint64_t gap_ms; /* what began at it before that, by its clock, may have missed something */
};
struct daemons_known daemons_known(const struct daemons *daemons, uint64_t id, uint64_t now_ms);

/* Messages that are none. */
uint64_t daemons_dropped(const struct daemons *daemons);

#endif
