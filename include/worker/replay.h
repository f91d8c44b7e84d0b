/* replay - clients that have their sessions back get what they missed, out of the history
 * (ipc/history.h), in the order in which it came, and then go on with all others.
 *
 * Those that come within a few milliseconds are one batch: one pass over the history finds what
 * each has missed and how much it is, then all that fits is told (ops->fits), then a second pass
 * queues it, each notification made once for all who missed it.  Either pass is taken in slices,
 * between which the loop serves others.  A client has caught up when its replay has reached what
 * the worker has taken from the master: at that moment it joins its rooms, and what comes next
 * reaches it as any other.  Who has missed nothing has caught up at once.
 *
 * A notification is for a client by a room that it was in when it came: its own rooms and its
 * Socket.IO id always, another from the number on that the master has told; `except` likewise. */
#ifndef WORKER_REPLAY_H
#define WORKER_REPLAY_H

#include "ipc/msg.h"
#include "net/close.h"

#include <stdint.h>

struct client;
struct conf;
struct engine;
struct event_base;
struct history_view;
struct replays; /* all of one worker */
struct rooms;
struct sio_session;
struct worker_stats;

/* Each may end other clients, and this one where that is said; clients may be added in none of
 * them but unfit(). */
struct replay_ops {
    /* All that it has missed fits: it is to be told (socket_resume, with session).  is_sidless: it
     * has left the room of its Socket.IO id.  Returns 0; or -1 if it is not let in, for which
     * replay_remove() has been called, and it may have gone. */
    int (*fits)(struct client *client, const struct sio_session *session, int is_sidless,
                void *arg);
    /* Before fits(): what it has missed is too much, is not known any more, or there is no
     * memory for it.  It is no more catching up. */
    void (*unfit)(struct client *client, void *arg);
    /* It has got all and is in its rooms.  offset: to tell it, or 0. */
    void (*caught_up)(struct client *client, uint64_t offset, void *arg);
    /* After fits(): the rest is lost.  It is no more catching up, may be in some rooms, and is to
     * be closed. */
    void (*lost)(struct client *client, enum close_reason why, void *arg);
};

struct replay_parts { /* all is borrowed; conf is read each time */
    struct event_base *base;
    const struct conf *conf;
    struct engine *engine;
    struct rooms *rooms;
    const struct history_view *history;
    struct worker_stats *stats;
};

/* settled(settled_arg) is called when replays_settle() has returned 0 and nobody is catching up
 * any more.  NULL without memory. */
struct replays *replays_new(const struct replay_parts *parts, const struct replay_ops *ops,
                            void *arg, void (*settled)(void *arg), void *settled_arg);

/* No client is catching up. */
void replays_free(struct replays **replays);

/* What comes from the master has been taken up to this number. */
void replays_taken(struct replays *replays, uint64_t seq);

/* The newest offset that may be told to all: it is behind the message of that number. */
void replays_offset(struct replays *replays, uint64_t seq, uint64_t offset);

/* The client has its session back as admitted (copied) says, whose number has been taken.  Sets
 * client->replay; ops may be called now, or later. */
void replay_add(struct replays *replays, struct client *client,
                const struct msg_admitted *admitted);

/* It is catching up no more, for it goes, or is refused.  Returns 1 if fits() was called for
 * it and has returned. */
int replay_remove(struct replays *replays, struct client *client);

/* The client, which has been told that it is in, gets the rest now.  Returns 1 if it has caught
 * up; 0: it is being closed, and may have gone. */
int replay_finish(struct replays *replays, struct client *client);

/* 1 if nobody is catching up.  Else 0: those that are do not wait for others any more, and
 * settled() comes from the loop. */
int replays_settle(struct replays *replays);

#endif
