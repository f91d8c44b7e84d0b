/* gone - sessions whose clients have gone, for as long as they may come back: whose they are, and
 * the rooms that they are in.
 *
 * Joins, leaves and disconnects by request act on them as on those who are connected: in their
 * place in the stream, by the same rules (worker/select.c, worker/membership.c).  Whom a
 * request means is found by names, so that one to a user or to a room looks at nobody else.
 * What a worker had been sent, and had not told to be done when its client left or it
 * died, is done here then.  A request that means everybody looks at all.
 *
 * What is kept is bounded: GONE_MAX sessions, GONE_OVER_MAX of which may be over, GONE_SEATS_MAX
 * rooms of them.  Where that is not enough, where a request had to look at more than
 * GONE_LOOKS_MAX, and without memory, some or all are forgotten, which only means that they are not
 * recovered: gone_floor_ms().  So that nobody does this to others, a user has no more than
 * GONE_USER_MAX while there are GONE_BUSY of all, its oldest go first; and of a session of this
 * daemon that has ended only the reason is lost with it, of which GONE_TOLD_MAX are kept. */
#ifndef MASTER_GONE_H
#define MASTER_GONE_H

#include "base/slices.h"
#include "codec/pid.h"
#include "master/apply.h"
#include "master/sessions.h"

#include <stddef.h>
#include <stdint.h>

#define GONE_MAX       500000
#define GONE_SEATS_MAX 500000
#define GONE_LOOKS_MAX 500000
#define GONE_OVER_MAX  100000
#define GONE_TOLD_MAX  10000
#define GONE_USER_MAX  1000
#define GONE_BUSY      50000

struct gone;
struct route;
struct route_targets;

enum gone_state {
    GONE_AWAY,   /* it may come back */
    GONE_ENDED,  /* it may not: kicked, left, its token has expired */
    GONE_BROKEN, /* it may not: something was missed here that nobody can replay */
    GONE_MOVED   /* it has gone on at another daemon */
};

struct gone_room {
    struct slice name;
    uint64_t since; /* relay_seq() when it joined: messages up to that one are not for it by
                       this room */
    int is_claimed; /* by its token, not for a request */
};

/* A session is in its user's own room, in everybody's (ROUTE_EVERYBODY) and in that which its id
 * names, each since it began, but for those in left; and in rooms, in no order.  Who has left
 * one of the first two and joined it again has left it, and it is one of rooms. */
struct gone_session {
    uint8_t session[SESSION_LEN];
    enum gone_state state;
    uint64_t left_ms; /* clock_ms() when its client left */
    uint64_t daemon;  /* GONE_MOVED: where it is, relay_epoch() there */
    /* Of one that is AWAY; of others empty: */
    struct slice uid;
    unsigned left; /* enum msg_default, or'ed */
    const struct gone_room *rooms;
    size_t nrooms;
};

/* keep_ms: how long each is kept.  sessions and route, whose clients these are, are borrowed.
 * NULL without memory. */
struct gone *gone_new(struct sessions *sessions, struct route *route, uint64_t keep_ms);
void gone_free(struct gone **gone);

/* Another time, for all that are there, too. */
void gone_keep(struct gone *gone, uint64_t keep_ms);

/* --- clients that come and go; one without a session means nothing --------------------- */

/* As sessions_put(), in place of it. */
int gone_client_in(struct gone *gone, unsigned lane, uint64_t client,
                   const uint8_t session[SESSION_LEN], enum sessions_origin origin);

/* The client, which is in, is about to be forgotten: to be called before route_leave().  is_ended:
 * as of MSG_LEFT.  uid: its own.  It has no session from then on. */
void gone_client_left(struct gone *gone, unsigned lane, uint64_t client, struct slice uid,
                      int is_ended, uint64_t now_ms);

/* The same of all clients of that worker: to be called before route_down(). */
void gone_worker_down(struct gone *gone, unsigned lane, uint64_t now_ms);

/* The client is in, and its session is about to go on in another connection of the same user: it
 * is as if it had left this moment, so gone_find() finds it. */
void gone_client_taken(struct gone *gone, unsigned lane, uint64_t client, struct slice uid,
                       uint64_t now_ms);

/* Something has been missed that nobody can replay: all that are AWAY are BROKEN, and so are
 * those whose clients are in now, when they go (sessions_break()). */
void gone_break(struct gone *gone);

/* --- one session ---------------------------------------------------------------------- */

/* Copied; in place of what there is of it.  It counts as one of another daemon.  Returns 0, or -1
 * without memory: then nothing is known of it. */
int gone_put(struct gone *gone, const struct gone_session *session, uint64_t now_ms);

/* Returns 0, or -1 if nothing is known.  What *out refers to is valid until the next call of
 * a function of gone. */
int gone_find(struct gone *gone, const uint8_t session[SESSION_LEN], struct gone_session *out);

/* It is not among them any more: it has come back. */
void gone_take(struct gone *gone, const uint8_t session[SESSION_LEN]);

/* Those whose time is up.  Returns when the next one's is, or UINT64_MAX; to be called then, and
 * now and then. */
uint64_t gone_turn(struct gone *gone, uint64_t now_ms);

/* A session that is not found here may have been forgotten, and have ended, if it began before
 * this (clock_wall_ms()); 0: none has been. */
int64_t gone_floor_ms(const struct gone *gone);

/* --- requests ------------------------------------------------------------------------- */

/* It is next in the stream, and about to be sent to targets: acts on those who have gone, and
 * will on those clients of targets that go before they have answered. */
void gone_request(struct gone *gone, const struct gone_request *request,
                  const struct route_targets *targets);

/* MSG_ACTED has come for it from that lane; any other id or lane means nothing. */
void gone_acted(struct gone *gone, uint32_t id, unsigned lane);

/* A join, leave or disconnect by request has come, whatever became of it. */
void gone_note_request(struct gone *gone);

/* When the last one has (clock_wall_ms()); 0: none has. */
int64_t gone_last_request_ms(const struct gone *gone);
/* How many have. */
uint64_t gone_requests(const struct gone *gone);

/* Those behind the first so many are kept, for sessions that are about to come from elsewhere;
 * UINT64_MAX: none, for none is. */
void gone_keep_requests(struct gone *gone, uint64_t from);
/* Those behind the first so many, which are kept, are done to a session that has just been put.
 * Returns 0, or -1 if they are not all known: then it is forgotten. */
int gone_make_up(struct gone *gone, const uint8_t session[SESSION_LEN], uint64_t from);

struct gone_stats {
    size_t in, moved;       /* sessions of clients that are in; of them: by another place's id */
    size_t sessions, seats; /* that have gone, and rooms of them */
    uint64_t forgotten;     /* before their time, because of a bound or for want of memory */
};
void gone_stats(const struct gone *gone, struct gone_stats *stats);

#endif
