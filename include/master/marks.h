/* marks - where in the stream of messages this daemon is, by the marks that daemons publish
 * (codec/offset.h): their timer, and what is done where they cannot be published.
 *
 * A mark is 16 random bytes on the channel of daemons, once a second, whether a message came or
 * not.  One of the daemons publishes it: each waits 1 s after the last one that it saw, and up
 * to 300 ms more by chance; whoever sees one of another begins to wait anew.
 *
 * Where none has come for 2 s and this daemon cannot publish (no connection for commands, not
 * allowed, the channel withheld), or where one that was published has not come back for 5 s, it
 * goes on with marks of its own, which are told to nobody: each of them begins the offsets
 * anew.  So an offset from before has no meaning to others that it has not here, and after it
 * two marks of the channel have to come until others know what it says. */
#ifndef MASTER_MARKS_H
#define MASTER_MARKS_H

#include "base/slice.h"
#include "codec/offset.h"

#include <stdint.h>

struct event_base;
struct marks;

#define MARKS_EVERY_MS  1000  /* from one mark to the next */
#define MARKS_JITTER_MS 300   /* at most, and more */
#define MARKS_ALONE_MS  2000  /* without one, and without a way to publish it */
#define MARKS_LOST_MS   5000  /* for what was published to come back */
#define MARKS_RETRY_MS  10000 /* until something is published again that was refused or lost */
#define MARKS_AGAIN_MS  250   /* likewise, where it could not even be sent */

struct marks_ops { /* none may call marks_free */
    /* The position has moved, and no message came: offset names the new one. */
    void (*step)(uint64_t offset, void *arg);
    /* To be published on the channel of daemons.  Returns 0, or -1 where it cannot be, or would
     * not be heard. */
    int (*publish)(const uint8_t mark[OFFSETS_MARK], void *arg);
};

/* It has offsets of its own, and no node.  ops is borrowed.  NULL without memory. */
struct marks *marks_new(struct event_base *base, const struct marks_ops *ops, void *arg);
void marks_free(struct marks **marks);

/* What comes now does not go on from what came before: the offsets begin anew, which is a step.
 * node (not kept): of a Cluster, or empty. */
void marks_gap(struct marks *marks, struct slice node);

/* A message has come, whatever becomes of it.  Returns the offset behind it. */
uint64_t marks_message(struct marks *marks, struct slice channel, struct slice payload);

/* A message of daemons has come: returns 1 if it was a mark, and is dealt with, else 0. */
int marks_peer(struct marks *marks, struct slice payload);

/* What was published last is not. */
void marks_refused(struct marks *marks);

/* The present position; and that behind the last mark, which shows nothing of what came since. */
uint64_t marks_offset(const struct marks *marks);
uint64_t marks_marked(const struct marks *marks);

/* 1 if others that heard the same know it. */
int marks_shared(const struct marks *marks);

#endif
