/* presence - tells the servers of the cluster who is connected here (socket.io:presence).
 *
 * The event is "presence" with {"uid", "online", "connections"}, sent as serverSideEmit() does:
 * when a user comes, with the first connection to this daemon, and when it goes, PRESENCE_GONE_MS
 * after the last one has ended; PRESENCE_MOVED_MS where that was this daemon's doing.  Who is
 * back by then is not told of.
 *
 * Kept is what was told last of each user.  Where that cannot be published, or may have been
 * lost, it is told when it can, if it is still true then; so what comes may say the same as
 * what came before it.  One after the other, and so many at a time, that neither redis nor the
 * loop is held up by a hundred thousand. */
#ifndef MASTER_PRESENCE_H
#define MASTER_PRESENCE_H

#include "base/buf.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

#define PRESENCE_GONE_MS  1000
#define PRESENCE_MOVED_MS 5000 /* clients come back within 1.5 s, if nothing is in their way */
#define PRESENCE_AT_ONCE  1000 /* users in one turn of the loop; messages not confirmed */

struct presence;

struct presence_ops { /* none may call the functions below */
    /* How often that user is connected. */
    size_t (*connections)(struct slice uid, void *arg);
    /* As table_scan(), of all users that are. */
    uint32_t (*scan)(uint32_t cursor, void (*visit)(struct slice uid, void *visit_arg),
                     void *visit_arg, void *arg);
    /* As feed_publish(), on the channel of requests; done is never NULL. */
    int (*publish)(struct buf *payload, void (*done)(int ok, void *done_arg), void *done_arg,
                   void *arg);
    /* Call presence_wake in so many ms, from the loop; that takes the place of what was asked
     * before. */
    void (*wake)(unsigned ms, void *arg);
};

struct presence_stats {
    uint64_t told[2]; /* users that have gone, and that have come: confirmed by redis */
    uint64_t failed;  /* not confirmed, and to be told again */
    size_t waiting;   /* of whom something is to be told */
};

/* Off.  own: the uid of this daemon's requests; it and ops are borrowed.  NULL without
 * memory. */
struct presence *presence_new(struct slice own, const struct presence_ops *ops, void *arg);
/* Not while ops->publish() may yet call done. */
void presence_free(struct presence **presence);

/* On: all who are connected come.  Off: nothing more is told, and nothing kept. */
void presence_set(struct presence *presence, int on);

/* A user has a connection more, or less; moved: that one ended for what this daemon does. */
void presence_changed(struct presence *presence, struct slice uid, int moved);

/* A worker has gone, and with it all connections that it had. */
void presence_worker_down(struct presence *presence);

/* Something may be published that could not before. */
void presence_ready(struct presence *presence);

/* From now on nobody is waited for, and all is told that can be. */
void presence_stop(struct presence *presence);

/* What ops->wake asked for; or, after presence_stop(), to have all told now. */
void presence_wake(struct presence *presence);

struct presence_stats presence_stats(const struct presence *presence);

#endif
