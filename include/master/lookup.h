/* lookup - where a user is connected, in the whole cluster: fetchSockets() of its room, with what
 * all servers have answered made into one. */
#ifndef MASTER_LOOKUP_H
#define MASTER_LOOKUP_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/slices.h"

#include <stddef.h>

#define LOOKUP_MS      2000      /* servers may take */
#define LOOKUP_SOCKETS 100       /* that are told one by one */
#define LOOKUP_BYTES   (1 << 20) /* of what is told of them, and of rooms */
#define LOOKUP_ROOMS   1000

struct asking;
struct lookup;

struct lookup_found {
    const char *why;            /* NULL, or why nobody could be asked: the rest is 0 then */
    unsigned servers, answered; /* how many there are, and of how many it is known */
    int has_own;                /* this one among them */
    size_t connections;         /* of the user */
    size_t members;             /* of its room: those of others, too */
    struct buf sockets;         /* JSON: the user's, with commas between them */
    int more_sockets;           /* there are more */
    struct slices rooms;        /* JSON: those that they are in, each once */
    int more_rooms;
};

/* Asks; done() is called once, from the loop, with what is valid for the call.  At most max
 * questions (asking.h) may be under way.  NULL where there are, or without memory. */
struct lookup *lookup_new(struct asking *asking, unsigned max, struct slice uid,
                          void (*done)(const struct lookup_found *found, void *arg), void *arg);

/* It is of no interest any more: done() is not called.  Not from within it. */
void lookup_free(struct lookup **lookup);

#endif
