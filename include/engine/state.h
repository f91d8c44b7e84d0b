/* state - the structs that the engine's files share; nobody outside src/engine
 * includes this. */
#ifndef ENGINE_STATE_H
#define ENGINE_STATE_H

#include "base/buf.h"
#include "base/log.h"
#include "engine/chunk.h"
#include "engine/engine.h"
#include "engine/wheel.h"

#include <event2/event_struct.h>
#include <stdint.h>

#define INPUT_BYTES     65536 /* read from one socket at a time */
#define HEAD_MS         10000 /* for a request head, from accept */
#define LINGER_MS       1000  /* after the last byte we send, for the client to read it */
#define FLUSH_SLICE     256   /* clients written to before the loop gets its turn */
#define ACCEPT_BATCH    16    /* connections accepted before the loop gets its turn */
#define EMFILE_PAUSE_MS 100   /* no accepting after we ran out of descriptors */

enum conn_state {
    CONN_HTTP,      /* reading a request head */
    CONN_WEBSOCKET, /* upgraded; has a session */
    CONN_LINGER,    /* no session any more: output leaves, FIN, input is thrown away */
    CONN_DEAD,      /* closed; freed on the next turn */
};

/* One TCP (or Unix) connection. */
struct conn {
    struct event ev; /* read, and write too while blocked */
    struct engine *engine;
    struct session *session;   /* CONN_WEBSOCKET only */
    struct conn *next, **prev; /* in engine->conns, or engine->dead */
    struct conn *dirty_next;   /* in engine->dirty */
    struct wsin *wsin;         /* only while a frame or message is partly read */
    struct buf *head;          /* only while a request head is partly read */
    struct outq out;
    struct wheel_entry timer; /* head, linger or send deadline */
    uint64_t stall_since_ms;  /* blocked: nothing that waited then has waited longer */
    uint32_t stall_bytes;     /* ... and this much of it is still waiting */
    uint32_t exempt_bytes;    /* of the output: does not count against send_buffer */
    uint32_t head_scanned;
    uint8_t state;   /* enum conn_state */
    uint8_t dirty;   /* in engine->dirty */
    uint8_t blocked; /* the kernel took no more; waiting for writability */
    uint8_t fin_sent;
    uint8_t doomed; /* ends on the next flush, for doom_why */
    uint8_t doom_why;
    uint16_t pings_blocked; /* pings that came while blocked */
};

enum nsp_state { NSP_NONE, NSP_JOINING, NSP_JOINED, NSP_LEFT };

/* Bytes that a broadcast may be sent as. */
enum encoding { ENC_WS4, ENC_WS3, ENC_WS4_BASE64, ENC_WS3_BASE64, ENCODINGS };

/* One Engine.IO session, with its Socket.IO state. */
struct session {
    struct engine *engine;
    struct conn *conn;
    void *data; /* the application's */
    struct wheel_entry timer;
    uint64_t heartbeat_due_ms;
    uint64_t connect_due_ms; /* 0: has been in, or is */
    uint64_t expire_due_ms;  /* 0: never */
    uint64_t fan_serial;     /* the last fan-out that reached (or must not reach) it */
    uint32_t index, serial;  /* in engine->slots: the handle */
    uint16_t joins;          /* how often it was let in: part of the Socket.IO id */
    uint8_t random[16];      /* of the sid */
    uint8_t version;         /* enum eio_version */
    uint8_t encoding;        /* enum encoding */
    uint8_t nsp;             /* enum nsp_state of the configured namespace */
    uint8_t root;            /* ... of "/", where that is another one */
    uint8_t ping_sent;       /* EIO4: waiting for the pong */
    uint8_t attachments;     /* inbound ones still to come */
};

struct slot {
    struct session *session; /* NULL: free */
    uint32_t serial;         /* of the session, or of the next one */
    uint32_t next_free;
};

struct listener {
    struct event ev;
    struct listener *next;
};

struct engine {
    struct event_base *base;
    struct engine_options options;
    const struct engine_app *app;
    void *arg;
    struct wheel *conn_wheel, *session_wheel;
    struct listener *listeners;
    struct event resume_timer; /* accepting again after a pause */
    struct event flush_timer;  /* zero timeout: the rest of the dirty clients, the dead */
    struct event drain_timer;
    int accepting, stopped, draining;
    struct log_every emfile_log, full_log;

    struct conn *conns, *dead;
    size_t nconns;
    struct conn *dirty, **dirty_tail;

    struct slot *slots;
    uint32_t nslots, free_slot;
    size_t nsessions;
    uint8_t sid_key[16]; /* makes Socket.IO ids of session ids */

    struct chunklog logs[ENCODINGS]; /* broadcasts, a log for each encoding */
    struct chunklog private_log;     /* what goes to one client only */
    struct buf scratch;              /* for one packet being put together */
    struct buf event_head;           /* "42/axr," */
    uint64_t fan_serial;

    struct wsin *spare_wsin;
    unsigned nspare_wsin;
    uint8_t *input; /* INPUT_BYTES, for whoever reads now */

    uint64_t drain_end_ms;
    uint32_t drain_index;
    void (*drain_done)(void *arg);
    void *drain_arg;
};

/* --- engine.c --- */
void engine_flush_later(struct engine *engine);
/* The number of connections went down: maybe accept again, maybe drained. */
void engine_conn_gone(struct engine *engine);

/* --- conn.c --- */
int conn_accept(struct engine *engine, int fd);
/* Queues a run.  Like every put it never ends the connection at once: where too
 * much waits, that happens on the loop's next turn, and -1 is returned. */
int conn_push(struct conn *conn, const struct run *run);
/* Ends it on the loop's next turn, not now: who pushes may be walking over a
 * room, and the end of a session changes that.  Returns -1. */
int conn_doom(struct conn *conn, enum engine_close why);
/* Queues bytes of this connection only. */
int conn_put(struct conn *conn, const void *bytes, size_t len);
/* Queues one WebSocket frame. */
int conn_put_frame(struct conn *conn, int opcode, const void *payload, size_t len);
/* Writes what the kernel takes. */
void conn_flush(struct conn *conn);
/* No session any more: sends what is queued, then FIN, then waits at most
 * LINGER_MS for the other side's. */
void conn_linger(struct conn *conn);
/* Ends it now; its session is told why.  abort != 0: reset, so that the kernel
 * drops its share too. */
void conn_kill(struct conn *conn, enum engine_close why, int abort);
/* WebSocket: close frame with code (WS_CLOSE_NONE: without), then linger; the
 * session is told why. */
void conn_close(struct conn *conn, int code, enum engine_close why);
/* The same where the close frame has been queued already. */
void conn_finish(struct conn *conn, enum engine_close why);
/* Counts a ping.  -1: too many came while the client does not read its pongs. */
int conn_ping(struct conn *conn);
void conn_free(struct conn *conn);
void conn_timeout(struct wheel_entry *entry, uint64_t now_ms, void *arg);

/* --- request.c --- */
/* Answers a complete request head; rest is what came after it. */
void request_serve(struct conn *conn, const struct http_request *req, const uint8_t *rest,
                   size_t len);
/* Refuses with a status and a plain body (the reason phrase), then lingers. */
void request_refuse(struct conn *conn, int status);

/* --- wsin.c --- */
/* Bytes from an upgraded connection. */
void wsin_feed(struct conn *conn, const uint8_t *bytes, size_t len);
void wsin_free(struct wsin **wsin);

/* --- session.c --- */
struct session *session_new(struct conn *conn, enum eio_version version, int base64);
/* Tells the application and frees; the connection has let go of it. */
void session_end(struct session *session, enum engine_close why);
void session_start(struct session *session, const struct http_request *req,
                   const struct sockaddr *peer);
/* One WebSocket message from the client. */
void session_input(struct session *session, int binary, struct slice payload);
void session_timeout(struct wheel_entry *entry, uint64_t now_ms, void *arg);
void session_rearm(struct session *session);
size_t session_sid(const struct session *session, char dst[ENGINE_SID_LEN + 1]);
/* Sends scratch (a whole Engine.IO packet) as a text frame. */
int session_put_scratch(struct session *session);

/* --- packet.c --- */
void packet_started(struct session *session);
void packet_text(struct session *session, struct slice text);
void packet_binary(struct session *session);

#endif
