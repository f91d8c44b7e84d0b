/* marker - a message of our own, by which the same place is found on two connections.
 *
 * It is for nobody: on the channel of a room that has a random name, and of no namespace.
 * Servers and daemons that hear the channel pass it over. */
#ifndef MASTER_MARKER_H
#define MASTER_MARKER_H

#include "base/buf.h"
#include "base/slice.h"
#include "conf.h"

struct event_base;
struct redis;

struct marker {          /* zero is none */
    struct redis *redis; /* publishes it, or has */
    struct buf channel;
};

/* On a connection of its own; where redis does not allow it, none ever comes.  There is
 * none yet. */
void marker_publish(struct marker *marker, struct event_base *base, const struct conf *conf);

/* 1 if it has been, or is to be. */
int marker_is_set(const struct marker *marker);

/* 1 if what has come on channel is it. */
int marker_is(const struct marker *marker, struct slice channel);

/* It has been published, or is not needed any more; it may still come. */
void marker_end(struct marker *marker);

/* There is none. */
void marker_clear(struct marker *marker);

#endif
