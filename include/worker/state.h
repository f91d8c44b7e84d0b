/* state - what the files of the worker share; nobody outside src/worker
 * includes this. */
#ifndef WORKER_STATE_H
#define WORKER_STATE_H

#include "base/address.h"
#include "base/buf.h"
#include "base/log.h"
#include "codec/token.h"
#include "conf.h"
#include "engine/engine.h"
#include "ipc/counters.h"
#include "ipc/msg.h"
#include "ipc/start.h"
#include "worker/auth.h"
#include "worker/room.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define EVERYBODY SLICE("allusers") /* the room that every client is in */

struct event;
struct event_base;
struct link;

enum client_state {
    CLIENT_OUT,     /* has not asked for the namespace, was refused, or left */
    CLIENT_JOINING, /* judged good, waiting for the master */
    CLIENT_IN,      /* accepted; in its rooms */
    CLIENT_STATES
};

struct client { /* session_data() of every session */
    struct session *session;
    struct room_member member;
    struct auth_tokens *tokens; /* of the handshake, until the first good verdict */
    struct admission *asked;    /* sent to the master and not answered, or NULL */
    char *uid;                  /* of the last good token, or NULL */
    int64_t expires_ms;         /* ... and its token_user.expires_ms */
    uint32_t since_ds;          /* clock_ms() / 100 when it was let in; wraps after 13 years */
    uint32_t renew_s;           /* clock_ms() / 1000 up to which its renewals are spent */
    struct address address;     /* of the connection that it came on */
    uint8_t uid_len;
    uint8_t state; /* enum client_state */
    uint8_t kept;  /* uid came with the handshake, and counts for later CONNECTs too */
};

/* A question to the master.  It outlives its client: an answer that comes too
 * late has to be taken back under the same name. */
struct admission {
    struct admission *next;
    struct client *client; /* NULL: gone */
    uint64_t handle;
    uint8_t uid_len;
    char uid[];
};

struct worker {
    struct conf conf;      /* what is in force; borrows from what we were forked with, and ... */
    struct conf *settings; /* ... from the last MSG_SETTINGS; NULL before the first */
    const struct worker_start *start;
    struct event_base *base;
    struct engine *engine;
    struct link *link;                /* to the master */
    struct event *leave_timer;        /* when it is over, drained or not */
    struct event *handoff_event;      /* connections that others hand over */
    struct event *peers_event;        /* where to write to workers of later generations */
    int peers[START_LANES];           /* where to write to the worker in that lane; -1: unknown */
    uint32_t successors, nsuccessors; /* lanes that take what is new, while we leave */
    uint32_t next_successor;
    uint8_t *handoff_in;        /* ... with what they had read of them */
    struct event *resume_timer; /* reading again from the link, after a turn for others */
    uint64_t leave_at_ms;       /* 0: not leaving */
    uint64_t turn_ms;           /* when this turn's first broadcast came; 0: none has */
    int greeted;                /* MSG_HELLO has come */
    int listening;              /* start->listen_fds are open */
    int deaf;                   /* the link is given up: no message counts any more */
    int status;                 /* to exit with */

    struct rooms rooms;
    struct admission *asked, **asked_end; /* in the order they were sent */
    struct msg_broadcast broadcast;       /* reused */
    struct buf out;                       /* one message to the master; reused */

    uint64_t clients[CLIENT_STATES]; /* how many are in each state */
    uint64_t disconnects[ENGINE_CLOSES];
    uint64_t refusals[TOKEN_RESULTS]; /* by reason; TOKEN_OK: the user's limit */
    uint64_t renewals[RENEWAL_RESULTS];
    uint64_t broadcasts, handoffs_lost;
    struct counters reported;   /* as the master knows it */
    struct event *report_timer; /* tells it again */

    struct log_every refused[TOKEN_RESULTS];
    struct log_every not_admitted, not_served, not_asked, evicted;
    struct log_every not_renewed[RENEWAL_RESULTS];
    struct log_every handoff_dropped;
    struct log_every deliver_failed;
    unsigned exp_warned; /* of which enum numeric_date client_warn_exp() has, a bit each */
};

/* --- worker.c --- */

/* Sends out to the master.  When that fails the worker leaves. */
void worker_send(struct worker *worker);

/* --- peers.c --- */

/* Takes what they hand over, from the loop's first turn on.  Returns 0, or -1 without
 * memory; peers_close() undoes either. */
int peers_open(struct worker *worker);
void peers_close(struct worker *worker);

/* engine_app.handoff: to the worker in that lane. */
int peers_handoff(uint32_t slot, int fd, const void *bytes, size_t len, void *arg);

/* --- client.c --- */

extern const struct engine_app client_app; /* its arg is the worker */

static inline struct client *client_of(const struct room_entry *entry)
{
    return (struct client *)(void *)((char *)entry->member - offsetof(struct client, member));
}

/* The master's answer.  Returns 0, or -1 if that was not asked. */
int client_admitted(struct worker *worker, uint64_t handle, unsigned verdict);

/* Disconnects the client of that name, if it is in as that user; else it has gone
 * in the meantime. */
void client_kick(struct worker *worker, uint64_t handle, struct slice uid, unsigned reason);

/* When a session is to end whose token_user.expires_ms is that: a monotonic time for
 * session_expire.  now_ms: clock_wall_ms(). */
uint64_t client_deadline(int64_t expires_ms, int64_t now_ms);

/* Says once what is odd about the exp of a good token. */
void client_warn_exp(struct worker *worker, const struct token_user *user);

/* Frees the questions that were never answered; no client is left. */
void client_forget_asked(struct worker *worker);

/* --- refusal.c --- */
#define REFUSAL_MESSAGE_MAX 192

/* What a client is told of a token that was refused.  wanted: as in struct auth_verdict. */
const char *refusal_message(enum token_result result, const char *wanted,
                            char dst[REFUSAL_MESSAGE_MAX]);

/* One line a minute for each of every (one a cause), with the client's address, at debug one
 * for each refusal: "what: reason=code ...".  verdict: on its token, or NULL. */
void refusal_log(const struct client *client, struct log_every *every, const char *what,
                 const char *code, const struct auth_verdict *verdict);

/* Where to put what a refused token says of itself: only debug wants to know. */
static inline struct token_hint *refusal_hint(struct token_hint *hint)
{
    return log_get_level() >= LOG_LEVEL_DEBUG ? hint : NULL;
}

/* --- renew.c --- */

/* engine_app.packet: the event "authenticate". */
void renew_packet(struct session *session, const struct sio_packet *packet,
                  const struct slice *attachments, void *arg);

/* --- report.c --- */
#define REPORT_S 3

/* Tells the master what has been counted: the answer to MSG_COUNT with that id,
 * or, with 0, what is new, if anything is. */
void report_send(struct worker *worker, uint32_t id);

/* Tells what is new every REPORT_S seconds, and no more.  Returns 0, or -1
 * without memory. */
int report_start(struct worker *worker);
void report_stop(struct worker *worker);

/* --- deliver.c --- */
void deliver_broadcast(struct worker *worker, const struct msg_broadcast *bc);

#endif
