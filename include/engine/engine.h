/* engine - Engine.IO sessions and their transports with Socket.IO on top: what
 * the worker (and the conformance server) is built on.
 *
 *     listener -> conn (HTTP head, upgrade, output)  -> session (Engine.IO:
 *     open, heartbeat, close; Socket.IO: namespaces, packets) -> engine_app
 *
 * The application hears of a client when it asks for the namespace; everything
 * before (bad requests, other namespaces, heartbeats) is settled here. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/latency.h"
#include "base/slice.h"
#include "codec/eio.h"
#include "codec/http.h"
#include "codec/sio.h"
#include "net/chunk.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct balance;
struct event_base;
struct engine;
struct session;

#define ENGINE_SID_LEN   32 /* characters of an Engine.IO session id */
#define SIO_SID_LEN      20 /* of a Socket.IO id of an EIO4 client */
#define ENGINE_OPEN_NSPS 7
#define ENGINE_HEIR      UINT32_MAX
/* An EIO3 client's Socket.IO id is "<nsp>#<engine sid>". */
#define SIO_SID_MAX (256 + 1 + ENGINE_SID_LEN)

struct engine_options { /* strings are borrowed for the engine's life */
    const char *path;   /* begins and ends with '/' */
    const char *nsp;    /* begins with '/', at most 256 bytes */
    /* Others that any client may be in, beside "/", which always is one; at most
     * ENGINE_OPEN_NSPS, NULL-terminated.  NULL: none. */
    const char *const *open_nsps;
    uint32_t ping_interval_ms, ping_timeout_ms, connect_timeout_ms, upgrade_timeout_ms;
    size_t max_payload; /* bytes of one message (or one POST) from a client */
    int polling, websocket, allow_eio3;
    struct http_limits http;
    size_t connections_max;
    /* Places for those that have no good token yet, see stranger.c; 0: as many as there
     * are. */
    size_t strangers_max;
    size_t send_buffer; /* bytes */
    uint32_t send_timeout_ms;
    uint32_t idle_timeout_ms;  /* a connection waits for its next request; 0: for ever */
    uint32_t slot, generation; /* of this process, for the sid: 9 and 23 bits */
    struct balance *balance;   /* with whom it shares its listeners; NULL: with nobody */
    uint32_t place;            /* its line in balance */
    char *const *origins;      /* who may come from a browser; NULL-terminated */
    int credentials;           /* cors:credentials */
    struct slice client_file;  /* what <path>socket.io.js is; ptr NULL: there is none */
    /* What GET /status says is running here, where path does not take /status for
     * itself; NULL: nothing is there. */
    const char *name, *version;
};

/* Why a connection or session ended; engine_close_name() for the log. */
enum engine_close {
    CLOSE_CLIENT, /* the client closed, or its connection broke */
    CLOSE_PING_TIMEOUT,
    CLOSE_CONNECT_TIMEOUT,
    CLOSE_SEND_TIMEOUT, /* its oldest output waited for too long */
    CLOSE_SEND_BUFFER,  /* too much output waited */
    CLOSE_PROTOCOL,     /* it broke a protocol's rules */
    CLOSE_TOO_BIG,
    CLOSE_REFUSED,  /* by the application */
    CLOSE_EXPIRED,  /* its deadline (session_expire) has come */
    CLOSE_LEFT,     /* the client left the namespace; its connection may go on */
    CLOSE_REPLACED, /* by a newer connection of the same user */
    CLOSE_EVICTED,  /* it had no good token, and others without one came */
    CLOSE_SHUTDOWN,
    CLOSE_NO_MEMORY,
    ENGINE_CLOSES /* how many there are */
};
const char *engine_close_name(enum engine_close why);

enum engine_transport { ENGINE_POLLING, ENGINE_WEBSOCKET, ENGINE_TRANSPORTS };

/* Those that have no good token yet, by what holds their place: a connection that is no
 * WebSocket of a session, a session that polls, a WebSocket with its session. */
enum engine_stranger { STRANGER_SOCKET, STRANGER_POLLING, STRANGER_WEBSOCKET, ENGINE_STRANGERS };

/* What has happened since engine_new(), counted where it happens by one addition.
 * Sessions are indexed by transport and by protocol (0: EIO3, 1: EIO4). */
struct engine_stats {
    uint64_t accepted;        /* connections taken from a listening socket */
    uint64_t accept_failures; /* no descriptor or no memory for one */
    uint64_t opened[ENGINE_TRANSPORTS][2];
    uint64_t sessions[ENGINE_TRANSPORTS][2]; /* now: there, or over and not told yet */
    uint64_t closed[ENGINE_CLOSES];
    uint64_t strangers[ENGINE_STRANGERS];         /* now */
    uint64_t strangers_evicted[ENGINE_STRANGERS]; /* for others that came */
    uint64_t connects;                            /* to the namespace: session_accept() */
    uint64_t requests;                            /* HTTP heads that were understood */
    uint64_t http_errors[HTTP_ERROR_KINDS];
    uint64_t eio_errors[EIO_ERRORS];    /* those of http_errors that carry such a code */
    uint64_t upgrades, upgrades_failed; /* from polling to WebSocket */
    uint64_t handoffs_sent, handoffs_received;
    uint64_t handoffs_failed;        /* nobody took it: the client was refused */
    uint64_t deliveries;             /* a fan-out queued for a session */
    uint64_t volatile_skipped;       /* ... not queued: volatile, and output was waiting */
    uint64_t dropped[ENGINE_CLOSES]; /* ... not queued: why its session ends */
    uint64_t bytes_received, bytes_sent;
    uint64_t writes;                         /* to a socket that took something */
    uint64_t queued_bytes;                   /* now: output that waits for clients */
    uint64_t discarded_bytes[ENGINE_CLOSES]; /* output that waited when a session or connection
                                                ended, and why it did */
    /* From engine_fan_received() to a socket write that carries the fan-out: one
     * observation for each write, of the oldest that it may carry. */
    struct latency latency;
};

struct engine_app {
    /* The handshake of a new session is complete; its request is here for the
     * last time: what is needed of it must be copied (at most for the time
     * until admission).  Returns the application's pointer for session_data,
     * or NULL to refuse without memory. */
    void *(*opened)(struct session *session, const struct http_request *req,
                    const struct sockaddr *peer, void *arg);
    /* req is for a session of which session_guard() was said: whether it may be one of its
     * client's.  If not (0) it is answered with EIO_FORBIDDEN, and the session goes on.
     * NULL: it may. */
    int (*guarded)(const struct http_request *req, void *arg);
    /* The client asks to join the namespace.  packet->data is the auth object
     * (EIO4) or packet->query the namespace's query (EIO3).  Answer, now or
     * later, with session_accept or session_refuse. */
    void (*connect)(struct session *session, const struct sio_packet *packet, void *arg);
    /* It took its CONNECT back or left: session is not in the namespace any
     * more (it may ask again).  Not called after session_refuse.  Unless why is
     * CLOSE_LEFT, closed() comes next, with the same: no deadline may be set for
     * it here or in closed(). */
    void (*left)(struct session *session, enum engine_close why, void *arg);
    /* The client asked for a namespace that there is none of, and has been told so.  May
     * be NULL. */
    void (*unserved)(struct session *session, struct slice nsp, void *arg);
    /* It is now in an open namespace, packet->nsp; the reply has been sent.
     * Nothing is told when it leaves.  May be NULL. */
    void (*joined)(struct session *session, const struct sio_packet *packet, void *arg);
    /* EVENT, BINARY_EVENT, ACK... from a client that is in packet->nsp, whole:
     * with its packet->attachments attachments, all together at most max_payload
     * bytes.  NULL: read and dropped. */
    void (*packet)(struct session *session, const struct sio_packet *packet,
                   const struct slice *attachments, void *arg);
    int text_only; /* those with attachments are read and dropped */
    /* A message of Engine.IO.  Where this is not NULL there is no Socket.IO: of
     * the calls above only opened() is made, of session_*() below only those that
     * say so work. */
    void (*message)(struct session *session, int binary, struct slice data, void *arg);
    /* Everything is over; left() has come before where it was in or joining.
     * The session is freed after this returns. */
    void (*closed)(struct session *session, enum engine_close why, void *arg);
    /* A connection is for a session of another process: the one in that slot.
     * bytes is what has been read of it, which may be nothing.  Slot ENGINE_HEIR: to
     * one that takes new sessions in this one's place.  Returns 0 when fd (a copy of
     * it) and bytes are on their way, 1 if that cannot be now, -1 if there is no such
     * process.  NULL: there are no others. */
    int (*handoff)(uint32_t slot, int fd, const void *bytes, size_t len, void *arg);
};

/* options is copied; app and arg are borrowed.  NULL without memory. */
struct engine *engine_new(struct event_base *base, const struct engine_options *options,
                          const struct engine_app *app, void *arg);
void engine_free(struct engine **engine);

/* The options that a live engine takes come into force: origins, credentials, http,
 * connections_max, strangers_max, send_buffer, send_timeout_ms, idle_timeout_ms,
 * connect_timeout_ms and upgrade_timeout_ms.  The others are not looked at. */
void engine_configure(struct engine *engine, const struct engine_options *options);

/* Takes a connection that another process has handed over, with the bytes that
 * it had read.  stray: it is not to be handed on for its first request.  Returns 0,
 * or -1 without memory (fd stays the caller's). */
int engine_adopt(struct engine *engine, int fd, const void *bytes, size_t len, int stray);

/* Accepts from a listening socket (non-blocking), which stays the caller's. */
int engine_listen(struct engine *engine, int fd);
void engine_stop_listening(struct engine *engine);

size_t engine_connections(const struct engine *engine);
size_t engine_sessions(const struct engine *engine);
/* Bytes of the blocks in which output is or was, whoever waits for it. */
size_t engine_output_memory(const struct engine *engine);

/* 1 if it listens and has no place for another client: all of connections_max are users'. */
int engine_is_full(const struct engine *engine);
/* 1 if all places of strangers are taken: whoever comes takes that of another. */
int engine_strangers_full(const struct engine *engine);

/* Valid as long as the engine, and always up to date. */
const struct engine_stats *engine_stats(const struct engine *engine);

/* Closes every session after what was sent to it, WebSockets without a close frame and
 * those that poll with a close packet, spread over within_ms (evenly, but at most 100 ms
 * apart), then what is left of HTTP.  done is called from the loop when none is left; it
 * may free the engine. */
void engine_drain(struct engine *engine, uint32_t within_ms, void (*done)(void *arg), void *arg);

/* The same where others take new clients: what waits to be accepted is still taken,
 * and each connection is handed to an heir (engine_app.handoff) when it asks for a
 * new session, or at the end.  A client hears all that was sent to it before it is
 * closed: one that reads slowly is closed last, and one that polls has until the end
 * to come for it.  done() is called when nobody is left, which may take all of
 * within_ms and, where connections cannot be handed on, longer. */
void engine_retire(struct engine *engine, uint32_t within_ms, void (*done)(void *arg), void *arg);

/* The time of engine_retire() is over, and engine_free() is next: whoever is left is
 * closed, or handed on, now. */
void engine_retire_now(struct engine *engine);

/* --- one session --- */
void *session_data(const struct session *session);
/* Names it for as long as the engine lives, and is found again, or not. */
uint64_t session_handle(const struct session *session);
struct session *session_find(struct engine *engine, uint64_t handle);
/* By its Socket.IO id, which is a room of its own; NULL if there is none here. */
struct session *session_by_sio_sid(struct engine *engine, struct slice sid);
enum eio_version session_version(const struct session *session);
size_t session_sio_sid(const struct session *session, char dst[SIO_SID_MAX]);
/* The slot (engine_options) that an id names: the Socket.IO id of an EIO4 client, or
 * an Engine.IO one.  Returns 0, or -1 if it is neither by its length and characters;
 * whether there is such a session, only the process in that slot knows. */
int session_id_home(struct slice id, uint32_t *slot);
/* 1 if it is in the namespace (session_accept was called, it has not left). */
int session_joined(const struct session *session);
/* "websocket" or "polling": what carries it now; it may go from polling to WebSocket. */
const char *session_transport(const struct session *session);

/* Its later requests, over polling or to upgrade, are shown to guarded() from now on (on: 0:
 * no more). */
void session_guard(struct session *session, int on);

/* Its token is good, whatever the answer to connect() will be: it is no stranger any more.
 * Between connect() and left(). */
void session_known(struct session *session);
/* Sends the CONNECT reply.  Only between connect() and left().  No deadline that
 * was set before holds. */
void session_accept(struct session *session);
/* Sends the error.  It may ask again; if it is still there and not in 5 s after the
 * first refusal it gets a DISCONNECT and is closed, which may be now. */
void session_refuse(struct session *session, const char *message, const char *code);
/* monotonic deadline (clock_ms) at which one that is in gets a DISCONNECT and is closed;
 * 0: never. */
void session_expire(struct session *session, uint64_t at_ms);
/* DISCONNECT, then close. */
void session_disconnect(struct session *session, enum engine_close why);

/* --- fan-out --- */

/* One event for many sessions: frames are made for each encoding when the first
 * session that needs it comes.  json is the array without its closing bracket.
 * All is borrowed until engine_fan_end. */
struct engine_fan {
    struct engine *engine;
    struct slice json;
    const struct slice *attachments;
    size_t nattachments;
    int is_volatile;
    uint64_t serial; /* of this fan-out: marks who has got it */
    uint32_t stamp;  /* engine_fan_received(); 0: unknown */
    uint8_t made;    /* bit per encoding */
    uint8_t failed;
    struct run runs[8]; /* indexed by encoding */
};
void engine_fan_begin(struct engine *engine, struct engine_fan *fan, struct slice json,
                      const struct slice *attachments, size_t nattachments, int is_volatile);
/* When it was received, on the clock of clock_us(): for engine_stats.latency.
 * Right after engine_fan_begin; 0, or not called: it is not measured. */
void engine_fan_received(struct engine_fan *fan, uint64_t at_us);
/* Session gets nothing of this fan-out. */
void engine_fan_except(struct engine_fan *fan, struct session *session);
/* Queues it for session, once however often it is called.  Returns 1 if queued.
 * A session that cannot take it ends on the loop's next turn, never in here:
 * the caller may be walking over a room. */
int engine_fan_send(struct engine_fan *fan, struct session *session);
/* It will be sent to session soon: has the CPU fetch what that takes. */
void engine_fan_soon(const struct session *session);
void engine_fan_end(struct engine_fan *fan);

/* Queues a text message (Socket.IO packet after the "4") for one session, or a
 * binary one (an attachment).  For applications without Socket.IO too. */
int session_send(struct session *session, struct slice text);
int session_send_binary(struct session *session, struct slice bytes);

/* Queues the acknowledgement of the packet with that id, in the namespace.  json:
 * an array. */
int session_ack(struct session *session, uint64_t id, struct slice json);

/* Writes out what has been queued, now, for a slice of the clients; the loop goes
 * on with the rest.  It comes by itself on the loop's next turn: to be called
 * where that would be late, as after a batch of broadcasts. */
void engine_flush(struct engine *engine);

#endif
