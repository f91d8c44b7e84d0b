/* session - one Engine.IO session: handshake, heartbeats, deadlines, messages
 * (socketio/socket.io, docs/engine.io-protocol).
 *
 * It is a WebSocket (eio/websocket.h), or polls (eio/polling.h) and may go from that to a
 * WebSocket (eio/upgrade.h).  What it is for (Socket.IO) is asked through eio_app. */
#ifndef EIO_SESSION_H
#define EIO_SESSION_H

#include "base/buf.h"
#include "base/log.h"
#include "codec/eio.h"
#include "codec/http.h"
#include "http/http.h"
#include "net/net.h"

#include <stdint.h>

#define EIO_SID_LEN 32 /* characters of an Engine.IO session id */

struct eio;
struct polling;
struct polling_ops;
struct session;
struct websocket;
struct ws_ops;

enum eio_transport { EIO_POLLING, EIO_WEBSOCKET, EIO_TRANSPORTS };

struct eio_options {
    int polling, websocket, allow_eio3;
    uint32_t ping_interval_ms, ping_timeout_ms, upgrade_timeout_ms;
    size_t max_payload;           /* bytes of one message (or one POST) from a client */
    uint32_t process, generation; /* this one, for the sid: 9 and 23 bits */
};

/* What has happened, counted where it happens by one addition.  Sessions are indexed by
 * transport and by protocol (0: EIO3, 1: EIO4). */
struct eio_stats {
    uint64_t opened[EIO_TRANSPORTS][2];
    uint64_t sessions[EIO_TRANSPORTS][2]; /* now: there, or over and not told yet */
    uint64_t closed[CLOSE_REASONS];
    uint64_t eio_errors[EIO_ERRORS];    /* answers that carry such a code */
    uint64_t upgrades, upgrades_failed; /* from polling to WebSocket */
};

struct eio_app {
    /* Zeroed memory in which a session is embedded; NULL: there is none.  And when it is
     * over: nothing refers to it. */
    struct session *(*make)(void *arg);
    void (*release)(struct session *session, void *arg);
    /* The handshake is complete; its request is here for the last time.  Returns 0 (it may
     * have closed the session), or -1 without memory: the session ends without closed(). */
    int (*opened)(struct session *session, const struct http_request *req,
                  const struct address *peer, void *arg);
    /* req is for a session of which session_guard() was said: whether it may be one of its
     * client's.  If not (0) it is answered with EIO_FORBIDDEN, and the session goes on.
     * NULL: it may. */
    int (*guarded)(const struct http_request *req, void *arg);
    void (*message)(struct session *session, int binary, struct slice data, void *arg);
    /* session->app_due_ms has come.  Returns 0, or -1 if it has been closed for it. */
    int (*due)(struct session *session, uint64_t now_ms, void *arg);
    /* It has just been sent a ping (EIO4), which leaves in one write with what is sent to it
     * in here.  May be NULL. */
    void (*pinged)(struct session *session, void *arg);
    /* It is over: nothing more can be sent to it. */
    void (*closed)(struct session *session, enum close_reason why, void *arg);
    int mixes; /* text and binary messages follow each other as they like: over polling
                  both go as one payload, which is not Socket.IO's way */
};

/* Bytes that a broadcast may be sent as; also the kind of a run. */
enum encoding {
    ENC_WS4,
    ENC_WS3,
    ENC_WS4_BASE64,
    ENC_WS3_BASE64,
    ENC_POLL4,
    ENC_POLL3_TEXT,
    ENC_POLL3_BINARY, /* an EIO3 payload with binary in it, all of it in binary form */
    ENCODINGS
};

enum { EIO_LOGS = 2 * ENCODINGS };

/* What a fan-out touches is in front. */
struct session {
    struct eio *eio;
    struct conn *ws;         /* or NULL: polling */
    struct polling *polling; /* or NULL: WebSocket */
    uint8_t version;         /* enum eio_version */
    uint8_t base64;          /* the client takes no binary */
    uint8_t ping_sent;       /* EIO4: waiting for the pong */
    uint8_t overdue;         /* its heartbeat is, and it is looked for a last time */
    uint8_t over;            /* ended; waits for a GET to tell the client */
    uint8_t known;           /* to the app: opened, and not closed yet */
    uint8_t guarded;         /* session_guard() */
    uint8_t secure;          /* its handshake came over a connection that was encrypted */
    uint8_t stranger;        /* no good token yet: stranger.c */
    struct wheel_entry timer;
    uint64_t heartbeat_due_ms;
    uint64_t app_due_ms;    /* of the app; 0: never.  session_rearm() after a change */
    uint32_t index, serial; /* in eio->slots: the handle */
    uint8_t random[16];     /* of the sid */
    struct stranger age;    /* where it comes from, and among the strangers of there */
};

struct session_slot {
    struct session *session; /* NULL: free */
    uint32_t serial;         /* of the session, or of the next one */
    uint32_t next_free;
};

#define SLOT_BLOCK 64 /* so that a walk passes by what is empty */

struct eio {
    struct net *net;
    struct http *http;
    struct eio_options options;
    const struct eio_app *app;
    void *arg;
    const struct polling_ops *polling_ops;
    const struct ws_ops *ws_ops;
    struct eio_stats stats;
    struct wheel *wheel;

    struct session_slot *slots;
    uint8_t *blocks; /* of each SLOT_BLOCK slots: how many have a session */
    uint32_t nslots, free_slot;
    size_t nsessions;
    size_t stranger_message_max; /* bytes of the longest message from a stranger */
    uint64_t migrate_end_ms;     /* others take what is new, and all have heard of their end
                                   by then; 0: not so */

    /* Broadcasts, a log for each encoding.  Behind these the same once more, for what only
     * some of those clients get beside others that get it otherwise: what each of them gets
     * stays together. */
    struct chunklog logs[EIO_LOGS];
    struct buf scratch;      /* for one packet being put together */
    struct websocket *spare; /* for the next partial frames */
    unsigned nspare;
    struct log_every full_log, opened_log;
};

static inline struct eio *eio_of(const struct conn *conn)
{
    return http_of(conn)->arg;
}

/* binary: of a message with attachments. */
static inline enum encoding session_encoding(const struct session *session, int binary)
{
    if (session->ws != NULL) {
        if (!binary)
            return ENC_WS4;
        if (session->version == EIO4)
            return session->base64 ? ENC_WS4_BASE64 : ENC_WS4;
        return session->base64 ? ENC_WS3_BASE64 : ENC_WS3;
    }
    if (session->version == EIO4)
        return ENC_POLL4;
    return binary && !session->base64 ? ENC_POLL3_BINARY : ENC_POLL3_TEXT;
}

/* --- eio.c --- */

/* On http, whose application it becomes.  options is copied; app and arg are borrowed.
 * NULL without memory. */
struct eio *eio_new(struct http *http, const struct eio_options *options, const struct eio_app *app,
                    void *arg);
/* Ends all sessions that are left; there are no connections any more. */
void eio_free(struct eio **eio);
/* Closes all sessions. */
void eio_close_all(struct eio *eio, enum close_reason why);

/* --- handles.c: sessions by their handles --- */

/* A place for session, which gets index and serial.  Returns 0, or -1 without memory. */
int handle_add(struct eio *eio, struct session *session);
void handle_remove(struct session *session);
/* Names it for as long as eio lives, and is found again, or not. */
uint64_t session_handle(const struct session *session);
/* 1 if its session has not been freed. */
int handle_is_used(const struct eio *eio, uint64_t handle);
/* Those that are over are not found. */
struct session *session_find(const struct eio *eio, uint64_t handle);

/* --- ids.c: sessions by their ids --- */

size_t session_sid(const struct session *session, char dst[EIO_SID_LEN + 1]);
/* By the sid of a request's query; those that are over are found too. */
struct session *session_by_sid(const struct eio *eio, struct slice sid);

/* --- session.c --- */

/* ws: NULL for polling. */
struct session *session_new(struct eio *eio, struct conn *ws, enum eio_version version, int base64);
/* The open packet, and the application's part.  Returns 0, or -1 if it has been closed, and
 * over polling freed. */
int session_start(struct session *session, const struct http_request *req,
                  const struct address *peer);
/* Tells the application of the end, and frees; nothing refers to it any more. */
void session_end(struct session *session, enum close_reason why);
/* Closes whatever its transport is; code is WebSocket's. */
void session_close(struct session *session, int code, enum close_reason why);
/* Ends it at once, without a word, and all its connections. */
void session_evict(struct session *session);

/* One packet from the client, as it came over WebSocket, or decoded. */
void session_input(struct session *session, int binary, struct slice payload);
void session_packet(struct session *session, const struct eio_packet *packet);

/* Its deadline is set anew. */
void session_rearm(struct session *session);
void session_timeout(struct wheel_entry *entry, uint64_t now_ms, void *arg);
/* Does what is due, though the wheel has not come by.  That may be the end. */
void session_settle(struct session *session);

/* Sends eio->scratch, a whole Engine.IO packet, as text.  Returns 0 or -1. */
int session_put_scratch(struct session *session);
/* Queues a run of the session's encoding.  Returns 0 or -1. */
int session_push(struct session *session, const struct run *run);
/* Queues a message: text, or binary.  Returns 0 or -1. */
int session_send(struct session *session, struct slice text);
int session_send_binary(struct session *session, struct slice bytes);
/* The latter on ws, which is the session's or about to be. */
int session_put_binary(struct session *session, struct conn *ws, struct slice bytes);

enum eio_version session_version(const struct session *session);
/* "websocket" or "polling": what carries it now; it may go from polling to WebSocket. */
const char *session_transport(const struct session *session);
/* 1 if it is a WebSocket that its client has closed, which may not have been read yet. */
int session_has_ended(const struct session *session);
/* Its later requests, over polling or to upgrade, are shown to guarded() from now on (on: 0:
 * no more). */
void session_guard(struct session *session, int on);

/* --- stranger.c --- */

/* Its token is good: it is no stranger any more. */
void session_known(struct session *session);
/* It is new, or was refused: it is nobody's. */
void session_unknown(struct session *session);
/* It is new, a stranger, and was asked for over conn: it is of that address. */
void stranger_asked(const struct conn *conn, struct session *session);
/* conn carries it from now on. */
void stranger_carry(struct conn *conn, struct session *session);
/* A request of the session of that handle has come over conn, and is over. */
void stranger_served(struct conn *conn, uint64_t handle);
/* conn is dead. */
void stranger_conn_gone(struct conn *conn);
/* A new one, that polls, was asked for over conn.  Returns an older one that has to go
 * for it, or NULL. */
struct session *stranger_opened(struct conn *conn, struct session *session);
/* It has gone from polling to session->ws; what was for polling is still there. */
void stranger_upgraded(struct session *session);
/* It is about to be freed. */
void stranger_session_gone(struct session *session);

/* --- refuse.c --- */

/* Answers with Engine.IO's error as JSON. */
void eio_refuse(struct conn *conn, enum eio_error error);
/* An upgrade is refused with the bare message, and before it has happened. */
void eio_refuse_upgrade(struct conn *conn, enum eio_error error);

/* --- handshake.c --- */

/* What HTTP and a WebSocket ask of Engine.IO. */
extern const struct http_app handshake_http_app;
extern const struct ws_ops handshake_ws_ops;

#endif
