/* socket - Socket.IO on a session: the namespaces that a client is in, and its packets
 * (socketio/socket.io, docs/socket.io-protocol).
 *
 * The application hears of a client when it asks for the configured namespace; everything
 * before (bad requests, other namespaces, heartbeats) is settled below. */
#ifndef SIO_SOCKET_H
#define SIO_SOCKET_H

#include "base/buf.h"
#include "codec/offset.h"
#include "codec/pid.h"
#include "codec/sid.h"
#include "codec/sio.h"
#include "eio/session.h"
#include "sio/inbound.h"

#include <stddef.h>
#include <stdint.h>

#define SIO_OPEN_NSPS 7
/* An EIO3 client's Socket.IO id is "<nsp>#<engine sid>". */
#define SIO_SID_MAX (256 + 1 + EIO_SID_LEN)

struct sio;
struct socket;

struct sio_options { /* strings are borrowed for as long as sio lives */
    const char *nsp; /* begins with '/', at most 256 bytes */
    /* Others that any client may be in, beside "/", which always is one; at most
     * SIO_OPEN_NSPS, NULL-terminated.  NULL: none. */
    const char *const *open_nsps;
    uint32_t connect_timeout_ms;
    size_t max_payload; /* bytes of a packet with its attachments */
    int recovery;       /* sessions may be recovered: each socket has room for another's id */
};

/* What a client can come back to.  Slices are borrowed for the call. */
struct sio_session {
    struct slice pid; /* PID_LEN bytes, with which it is asked for; empty: it cannot be */
    uint64_t offset;  /* of what the client has now: it is told; 0: none */
    struct slice sid; /* SESSION_LEN bytes, the Socket.IO id to go by; empty: its own */
};

/* What has happened, counted where it happens by one addition. */
struct sio_stats {
    uint64_t connects;               /* to the namespace: socket_accept(), socket_resume() */
    uint64_t deliveries;             /* a fan-out queued for a socket */
    uint64_t volatile_skipped;       /* ... not queued: volatile, and output was waiting */
    uint64_t dropped[CLOSE_REASONS]; /* ... not queued: why its session ends */
    uint64_t inbound_given_up;       /* packets that were collected, for want of room: inbound.h */
};

struct sio_app {
    /* The handshake of a new session is complete; its request is here for the
     * last time: what is needed of it must be copied (at most for the time
     * until admission).  Returns the application's pointer for socket_data,
     * or NULL to refuse without memory. */
    void *(*opened)(struct socket *socket, const struct http_request *req,
                    const struct address *peer, void *arg);
    /* As in eio_app. */
    int (*guarded)(const struct http_request *req, void *arg);
    /* The client asks to join the namespace.  packet->data is the auth object
     * (EIO4) or packet->query the namespace's query (EIO3).  Answer, now or
     * later, with socket_accept, socket_replay or socket_refuse. */
    void (*connect)(struct socket *socket, const struct sio_packet *packet, void *arg);
    /* It took its CONNECT back or left: the socket is not in the namespace any
     * more (it may ask again).  Not called after socket_refuse.  Unless why is
     * CLOSE_LEFT, or it is called by socket_leave(), closed() comes next, with the
     * same: no deadline may be set for it here or in closed(). */
    void (*left)(struct socket *socket, enum close_reason why, void *arg);
    /* The client asked for a namespace that there is none of, and has been told so.  May
     * be NULL. */
    void (*unserved)(struct socket *socket, struct slice nsp, void *arg);
    /* It is now in an open namespace, packet->nsp; the reply has been sent.
     * Nothing is told when it leaves.  May be NULL. */
    void (*joined)(struct socket *socket, const struct sio_packet *packet, void *arg);
    /* EVENT, BINARY_EVENT, ACK... from a client that is in packet->nsp, whole:
     * with its packet->attachments attachments, all together at most max_payload
     * bytes.  NULL: all are read and dropped. */
    void (*packet)(struct socket *socket, const struct sio_packet *packet,
                   const struct slice *attachments, void *arg);
    /* It has attachments, which are still to come: 1 if they are to be collected for
     * packet(); 0: it is read and dropped.  One that is collected is dropped, too, when
     * the client leaves packet->nsp meanwhile or there is no room (inbound.h).  NULL: all
     * are collected. */
    int (*wants)(struct socket *socket, const struct sio_packet *packet, void *arg);
    /* Everything is over; left() has come before where it was in or joining.
     * The socket is not to be used after this returns. */
    void (*closed)(struct socket *socket, enum close_reason why, void *arg);
};

/* NSP_REPLAYING: it gets what it has missed, and nothing else.  Once its CONNECT is answered it
 * is in for the client, and for what comes from it. */
enum nsp_state { NSP_NONE, NSP_JOINING, NSP_JOINED, NSP_REPLAYING, NSP_LEFT };

/* What a fan-out touches of thousands is in front, the session's front included. */
struct socket {
    uint64_t fanout_serial; /* the last mark: of a fan-out that reached (or must not reach) it */
    uint8_t nsp;            /* enum nsp_state of the configured namespace */
    uint8_t open_in;        /* bit per open namespace: it is in; bit 0 is "/" */
    uint8_t open_left;      /* ... it was in */
    uint8_t attachments;    /* inbound ones still to come */
    uint8_t refusals;       /* since it was in: expire_due_ms is when it has to have left */
    uint8_t sidless : 1;    /* it has left the room of its Socket.IO id */
    uint8_t recovers : 1;   /* it has a pid: what it is sent carries offsets */
    uint8_t has_offset : 1; /* one was sent since its last ping, or it has come since */
    uint8_t resumed : 1;    /* NSP_REPLAYING: its CONNECT is answered */
    uint8_t lent : 1;       /* it goes by an id that is not its own: ids.c */
    uint8_t placed : 1;     /* ... or may: there is a place for it */
    uint16_t joins;         /* how often it was let in, or more: part of the Socket.IO id */
    struct session session;

    void *data;              /* the application's; NULL when it has been told of the end */
    struct inbound *inbound; /* a packet whose attachments are still to come, or NULL */
    uint64_t connect_due_ms; /* 0: has been in, or is */
    uint64_t expire_due_ms;  /* 0: never */
    uint64_t in_since;       /* sio->fanout_serial when it was let in */
    /* With sio_options.recovery SESSION_LEN bytes follow: the id it goes by, if that is lent. */
};

/* The sockets that go by another's id, found by it: a table of 1 + their slots, 0 where none is. */
struct sio_lent {
    uint32_t *at;
    uint32_t room; /* a power of two, or 0 */
    uint32_t n;    /* places that are taken, or promised */
};

struct sio {
    struct eio *eio;
    struct sio_options options;
    const struct sio_app *app;
    void *arg;
    struct sio_stats stats;
    uint64_t fanout_serial;
    struct buf event_head; /* "42/axr," */
    struct inbounds inbounds;
    uint8_t sid_key[16]; /* makes Socket.IO ids of session ids */
    struct sio_lent lent;
    uint64_t offset, offset_ms; /* sio_offset(), and when */
};

static inline struct socket *socket_of(struct session *session)
{
    return (struct socket *)(void *)((char *)session - offsetof(struct socket, session));
}

static inline struct sio *sio_of(const struct socket *socket)
{
    return socket->session.eio->arg;
}

/* What is to be given to eio_new(), with a sio as its arg. */
extern const struct eio_app sio_eio_app;

/* Sockets on eio's sessions: eio was made with sio_eio_app and *sio for its arg, which is
 * filled here.  options is copied; app and arg are borrowed.  Returns 0, or -1 without
 * memory. */
int sio_init(struct sio *sio, struct eio *eio, const struct sio_options *options,
             const struct sio_app *app, void *arg);
void sio_clear(struct sio *sio);
/* That is the newest offset that may be told to all, and what came before it has been sent to
 * those whom it is for.  A ping tells it to a client that was in at the ping before and was
 * sent none since; one from before that is not told: what the client has may be newer. */
void sio_offset(struct sio *sio, uint64_t offset);

void *socket_data(const struct socket *socket);
/* Names it for as long as sio lives, and is found again, or not. */
uint64_t socket_handle(const struct socket *socket);
struct socket *socket_find(const struct sio *sio, uint64_t handle);
/* By its Socket.IO id; NULL if there is none here, or it is not in. */
struct socket *socket_by_sid(const struct sio *sio, struct slice sid);
/* The same as a room, in which each is until it leaves it. */
struct socket *socket_in_sid(const struct sio *sio, struct slice sid);
/* Those that are in the namespace, one after the other: *place is 0 at first.  NULL: that
 * was the last.  While nobody comes or goes, each comes once. */
struct socket *socket_next(const struct sio *sio, uint32_t *place);
/* A mark that no socket has.  It is over with the next one, and with the next fan-out. */
uint64_t socket_new_mark(struct sio *sio);
/* Returns 1, or 0 where it has that mark already. */
static inline int socket_mark(struct socket *socket, uint64_t mark)
{
    int is_new = socket->fanout_serial != mark;

    socket->fanout_serial = mark;
    return is_new;
}
size_t socket_sid(const struct socket *socket, char dst[SIO_SID_MAX]);
/* 1 if it is in, and was when the fan-out of that serial began, without a break. */
int socket_was_in(const struct socket *socket, uint64_t serial);
enum eio_version socket_version(const struct socket *socket);
/* "websocket" or "polling": what carries it now; it may go from polling to WebSocket. */
const char *socket_transport(const struct socket *socket);
/* As session_has_ended(). */
int socket_has_ended(const struct socket *socket);
/* When its session was opened, by clock_ms(); 0 where it has been in since. */
uint64_t socket_opened_ms(const struct socket *socket);
/* As session_guard(). */
void socket_guard(struct socket *socket, int on);

/* Its token is good, whatever the answer to connect() will be: it is no stranger any more.
 * Between connect() and left(). */
void socket_known(struct socket *socket);
/* One was refused, which is counted for the address. */
void socket_token_refused(const struct socket *socket);
/* Sends the CONNECT reply, and the offset behind it.  Only between connect() and left().  No
 * deadline that was set before holds.  session: with the socket's own id; NULL, or without a
 * pid: it cannot be recovered. */
void socket_accept(struct socket *socket, const struct sio_session *session);
/* The id, as bytes, that its next socket_accept() gives it: what its session is called.  Returns
 * 0, or -1: clients of its version do not recover, or it was let in so often (65,535 times) that
 * its ids come again. */
int socket_session(const struct socket *socket, uint8_t session[SESSION_LEN]);
/* It is let in and is to get what it has missed first: NSP_REPLAYING, nothing is sent.  Where
 * that fails, socket_accept() or socket_refuse() may follow.  No deadline that was set before
 * holds.  Returns 0, or -1 without memory (nothing changed). */
int socket_replay(struct socket *socket);
/* Sends it the CONNECT reply, with the old pid and id; what it has missed comes next. */
void socket_resume(struct socket *socket, const struct sio_session *session);
/* That was all: it is in as any other.  offset: no older than what it has, or was sent, for
 * what follows it is sent again when the client comes back; 0: none is told. */
void socket_caught_up(struct socket *socket, uint64_t offset);
/* Sends the error.  It may ask again; if it is still there and not in 5 s after the
 * first refusal it gets a DISCONNECT and is closed, which may be now. */
void socket_refuse(struct socket *socket, const char *message, const char *code);
/* monotonic deadline (clock_ms) at which one that is in gets a DISCONNECT and is closed;
 * 0: never. */
void socket_expire(struct socket *socket, uint64_t at_ms);
/* DISCONNECT, then close. */
void socket_disconnect(struct socket *socket, enum close_reason why);
/* The same of one that is in, with a DISCONNECT for each open namespace that it is in. */
void socket_disconnect_all(struct socket *socket, enum close_reason why);
/* DISCONNECT of one that is in, and left(): its connection stays, as if it had left by
 * itself. */
void socket_leave(struct socket *socket, enum close_reason why);
/* Queues the acknowledgement of the packet with that id, in the namespace.  json:
 * an array. */
int socket_ack(struct socket *socket, uint64_t id, struct slice json);

/* --- welcome.c: for socket.c --- */

/* A deadline of its own is another. */
void socket_rearm(struct socket *socket);
/* The CONNECT reply.  pid: as text; empty: none. */
void socket_put_connected(struct socket *socket, struct slice nsp, struct slice sid,
                          struct slice pid);
/* It has been sent a ping. */
void socket_pinged(struct socket *socket);

/* --- ids.c: for those two --- */

/* A place for it among those that go by another's id.  Returns 0, or -1 without memory. */
int socket_take_place(struct socket *socket);
/* There it goes by that id. */
void socket_go_by(struct socket *socket, const uint8_t id[SESSION_LEN]);
/* It goes by its own. */
void socket_leave_place(struct socket *socket);

#endif
