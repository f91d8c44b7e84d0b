/* resume - clients that want their session back: each is let in, with it or without.
 *
 * A client that comes with a pid (codec/pid.h) may have its session back if
 * - the pid proves itself, for the user of its token;
 * - what it missed is in the history: behind its offset, or where it has none from the start of its
 *   session on; an offset that is not known may be ahead of what has come here, so redis is asked
 *   for all it has, once for all who wait, and it is looked up again (so it is where nothing has
 *   come for a while);
 * - the session is here: connected still, then the older connection is disconnected and not
 *   waited for; or away, and not for longer than it may be;
 * - or another daemon gives it up (codec/peer.h, daemons.h), which disconnects it likewise.  One
 *   message asks for all who came in a turn of the loop.  That it has come back says that it was
 *   published; who is said nothing for 300 ms from then on has no answer.  Then it has its session
 *   with the two rooms that each has, and a new Socket.IO id, if this daemon has heard of
 *   that one before, and of no gap of it, has itself seen all since before the session began, no
 *   request to join, leave or disconnect among it, and its token names no room.
 *
 * What that cannot know: that the client had left that daemon for good; or that it had a gap that
 * it could not tell of, for it might not publish any more.
 *
 * Requests that come behind the question and before the answer are kept here, and done to the
 * session when it has come.  What came to a room that was left while the client was away is not
 * told to it.
 *
 * Two that want the same session at one moment have it one after the other, in the order of the
 * channel: the last one keeps it, the others are disconnected, and whoever is disconnected so
 * does not come back by itself.  (A daemon that has heard nothing from redis for some seconds may
 * so take an older one for the last.)
 *
 * What an attacker with a good token of its own can do, and learn, by pids and offsets:
 * - A pid of another user is not proven with the uid of the attacker's token, whatever else it
 *   sends; nor is one that is forged, or of another key or namespace.  So no session of another
 *   is ever looked up for it, by this daemon or another, and none is disconnected.
 * - Where it has a session of its own user, offsets decide from where on messages are replayed:
 *   those of its rooms, since it was in them, after the start of the session; what it could have
 *   had by being connected.  An offset is a keyed hash of all that has been published in a second,
 *   with a key of chance of that second: it cannot be made, and says nothing.  That one is or is
 *   not known says whether it is younger than the history, which its own clock says, too.
 * - All that is not "recovered" looks the same: connected, with a new pid.  It is answered at once,
 *   or after a wait for redis (an offset that is not known, with a pid of its own: whatever the
 *   reason) or for another daemon (a pid of its own that that one made): which of these is the
 *   attacker's own doing.  No reason and no number of another's session is in it.
 * - What it asks costs others nothing that grows: a lookup, an HMAC, 100 bytes in a message that
 *   goes out anyway, and a place in a list that has a bound (waiting.h).  When that is full,
 *   clients are not recovered, and let in as ever. */
#ifndef MASTER_RESUME_H
#define MASTER_RESUME_H

#include "base/buf.h"
#include "base/slice.h"
#include "codec/pid.h"
#include "conf.h"
#include "master/admit.h"
#include "master/resume_stats.h"

#include <stdint.h>

#define RESUME_LATE_MS   2500 /* marks come more often than that */
#define RESUME_SYNC_MS   2000 /* so long for redis to say that all has come: it may be behind */
#define RESUME_ASK_MS    2000 /* ... to bring a question of our own back */
#define RESUME_ANSWER_MS 300  /* and from then on, for an answer */

struct gone;
struct history;
struct relay;
struct resume;
struct sessions;

struct resume_parts { /* borrowed, and read each time; none is NULL while conf->recovery */
    struct relay *relay;
    struct history *history;
    struct sessions *sessions;
    struct gone *gone;
};

struct resume_ops {
    /* As of relay_ops. */
    void (*send)(unsigned lane, const void *message, size_t len, void *arg);
    /* As feed_ping(): resume_pong() when all has come that redis had. */
    int (*ping)(void *arg);
    /* As feed_publish(), on the peer channel. */
    int (*publish)(struct buf *payload, void (*done)(int ok, void *done_arg), void *done_arg,
                   void *arg);
    /* Call resume_wake() in so many ms, from the loop; in place of what was asked before. */
    void (*wake)(unsigned ms, void *arg);
};

/* Everything is borrowed.  NULL without memory. */
struct resume *resume_new(const struct conf *conf, const struct resume_parts *parts,
                          const struct resume_ops *ops, void *arg);
/* Who waits is not answered. */
void resume_free(struct resume **resume);

/* conf (borrowed) is in force from now on; also where its keys have changed.  Without
 * conf->recovery all who wait are let in as they are. */
void resume_configure(struct resume *resume, const struct conf *conf);

/* Overwrites the keys of pids: for a child that has no use for them. */
void resume_wipe(struct resume *resume);

/* A client asks to be let in: relay_admit() is called for it, before this returns or later, unless
 * its worker has gone. */
void resume_admit(struct resume *resume, const struct admit *admit);

/* relay_ops.comeback: it is let in at this moment.  What it has back (until the next call), and
 * then nothing is known of the session but that it is the client's; or NULL. */
const struct comeback *resume_comeback(struct resume *resume, const struct admit *admit);

/* The pid that it is told; offset: of the stream, now.  comeback: as above.  Returns 0, or -1
 * if it has none: it does not want one, or there is no memory. */
int resume_pid(struct resume *resume, const struct admit *admit, const struct comeback *comeback,
               uint64_t offset, uint8_t raw[PID_LEN]);

/* That worker has gone, after relay_worker_down(). */
void resume_worker_down(struct resume *resume, unsigned lane);

/* The subscription has begun anew, behind a loss; at first, too.  gone_break() and history_cut()
 * have been called. */
void resume_gap(struct resume *resume);

/* Something can be published. */
void resume_ready(struct resume *resume);

/* feed_ops.pong; feed_ops.peer, but for marks; what ops->wake asked for. */
void resume_pong(struct resume *resume);
void resume_peer(struct resume *resume, struct slice payload);
void resume_wake(struct resume *resume);

struct resume_stats resume_stats(const struct resume *resume);

#endif
