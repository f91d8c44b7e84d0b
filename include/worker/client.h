/* client - one client between its handshake and its end: tokens, admission, rooms.
 *
 * The master counts a client from the MSG_ADMIT that it answers with MSG_ADMIT_OK
 * until MSG_LEFT; each such answer must lead to exactly one MSG_LEFT:
 *
 *   OUT --connect, token good----> JOINING   MSG_ADMIT, unless one is still out
 *   OUT --connect, token bad-----> OUT       socket_refuse
 *   JOINING --left---------------> OUT       nothing: the answer is not here yet
 *   JOINING --answer OK----------> IN        rooms, socket_accept
 *   JOINING --answer OK, resumed-> CATCHING  replay_add
 *   JOINING --answer not OK------> OUT       socket_refuse
 *   JOINING --answer for another uid, other rooms of the token or another claim: OK is taken back,
 *             and MSG_ADMIT sent again
 *   OUT or gone --answer OK------> the same  MSG_LEFT
 *   CATCHING --all fits----------> CATCHING  socket_resume: it is told that it is in
 *   CATCHING --unfit, not told---> JOINING   MSG_LEFT, its session is over; MSG_ADMIT for a new one
 *   CATCHING --caught up---------> IN        rooms, socket_caught_up
 *   CATCHING --lost, told--------> OUT       session_close, which calls left
 *   IN or CATCHING --left--------> OUT       rooms, MSG_LEFT
 *   IN or CATCHING --MSG_KICK----> OUT       socket_disconnect, which calls left
 *   IN --MSG_DISCONNECT----------> OUT       socket_disconnect_all or socket_leave, likewise
 *
 * At most one question is out for a client, so the answer in hand is always that
 * one's.  A client that left and asked again before the answer came takes it for
 * itself if it is still the same user, with the same rooms by its token and the same claim to a
 * session, which it has not left; a token that has expired by then is refused, and what was
 * answered is taken back.  A MSG_KICK that comes in any other state, or for another user, is for
 * one that has gone: its MSG_LEFT is on the way.
 *
 * MSG_LEFT says whether the session is over: it was put out, refused, or has left by itself.  One
 * whose connection was lost, or is closed for the server's sake, may come back for it. */
#ifndef WORKER_CLIENT_H
#define WORKER_CLIENT_H

#include "base/address.h"
#include "base/slice.h"
#include "codec/sio.h"
#include "codec/token.h"
#include "engine/engine.h"
#include "ipc/msg.h"
#include "worker/room.h"
#include "worker/stats.h"

#include <stddef.h>
#include <stdint.h>

struct admission;
struct auth_tokens;
struct clients; /* all of one worker */
struct conf;
struct http_request;
struct replay;
struct replay_ops;
struct replays;
struct address;
struct uplink;

struct client { /* socket_data() of every session */
    struct socket *socket;
    struct room_member member;
    struct auth_tokens *tokens; /* of the handshake, until the first good verdict */
    union {
        struct admission *asked; /* sent to the master and not answered, or NULL */
        struct replay *replay;   /* while it is catching up: what it has missed */
    };
    char *uid;              /* of the last good token, or NULL: claim.h */
    int64_t expires_ms;     /* token_user.expires_ms of the last good token */
    uint32_t since_ds;      /* clock_ms() / 100 when it was let in; wraps after 13 years */
    uint32_t renew_s;       /* clock_ms() / 1000 up to which its renewals are spent */
    struct address address; /* of the connection that it came on */
    uint8_t uid_len;
    uint8_t state;     /* enum client_state */
    uint8_t kept;      /* uid came with the handshake, and counts for later CONNECTs too */
    uint8_t polled;    /* its handshake came over polling */
    uint8_t has_rooms; /* its token names some: claim.h */
    uint8_t forgoes;   /* it has said at its handshake that it does not recover */
};

static inline struct client *client_of(const struct room_entry *entry)
{
    return (struct client *)(void *)((char *)entry->member - offsetof(struct client, member));
}

static inline struct slice client_uid(const struct client *client)
{
    return (struct slice){client->uid, client->uid_len};
}

/* The master counts it. */
static inline int client_is_admitted(const struct client *client)
{
    return client->state == CLIENT_IN || client->state == CLIENT_CATCHING;
}

/* All is borrowed; conf is read each time.  NULL without memory. */
struct clients *clients_new(const struct conf *conf, struct engine *engine, struct rooms *rooms,
                            struct uplink *uplink, struct worker_stats *stats);

/* With the questions that were never answered; no client is left. */
void clients_free(struct clients **clients);

/* From now on clients may have their sessions back.  replays (borrowed, or NULL) are made with
 * client_replay_ops, and clients for its arg. */
void clients_set_replays(struct clients *clients, struct replays *replays);
extern const struct replay_ops client_replay_ops;

/* --- what the engine tells: the calls of struct sio_app --- */

/* NULL without memory; client_closed() frees it. */
struct client *client_opened(struct clients *clients, struct socket *socket,
                             const struct http_request *req, const struct address *peer);
int client_guarded(const struct clients *clients, const struct http_request *req);
void client_connect(struct clients *clients, struct client *client,
                    const struct sio_packet *packet);
void client_unserved(struct clients *clients, const struct client *client, struct slice nsp);
/* It is in an open namespace. */
void client_aside(struct clients *clients, const struct client *client,
                  const struct sio_packet *packet);
void client_left(struct clients *clients, struct client *client, enum close_reason why);
void client_closed(struct clients *clients, struct client *client, enum close_reason why);

/* --- what the master tells --- */

/* Its answer.  Returns 0, or -1 if that was not asked. */
int client_admitted(struct clients *clients, const struct msg_admitted *admitted);

/* Disconnects the client of that name, if it is in as that user; else it has gone
 * in the meantime. */
void client_kick(struct clients *clients, uint64_t handle, struct slice uid, enum msg_kick why);

/* --- renew.c --- */

/* user is of a good token of the same user: from now on its expiry counts, for this
 * stay and for later ones. */
void client_renewed(struct clients *clients, struct client *client, const struct token_user *user,
                    int64_t now_ms);

#endif
