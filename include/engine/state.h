/* state - the structs that the engine's files share; nobody outside src/engine
 * includes this. */
#ifndef ENGINE_STATE_H
#define ENGINE_STATE_H

#include "base/buf.h"
#include "base/log.h"
#include "codec/body.h"
#include "net/chunk.h"
#include "engine/engine.h"
#include "net/wheel.h"

#include <event2/event_struct.h>
#include <stdint.h>

#define INPUT_BYTES   65536 /* read from one socket at a time */
#define HEAD_MS       10000 /* for a request's head, and for its body */
#define FULL_LOG_MS   60000 /* a line about the limit of clients each so often */
#define LINGER_MS     1000  /* after the last byte we send, for the client to read it */
#define FAREWELL_MS   10000 /* a polling session that is over waits for a GET to say so */
#define REFUSED_MS    5000  /* a client that was refused has so long to leave by itself */
#define HANDOFF_MS    1000  /* a connection waits to be handed to its worker */
#define FLUSH_SLICE   256   /* clients written to before the loop gets its turn */
#define DOOM_SLICE_US 3000  /* likewise, for cutting clients off */
#define LAG_SLICE_US  1000  /* ... and for writing to those that do not read */
#define CLOCK_SLICE   16    /* clients written to on one reading of the clock */
#define STAMP_BITS    6     /* stamps are in units of 64 us */
#define SCRIPT_ETAG   48    /* characters, with the quotes */

/* The kernel takes this much unsent output of a client and then says EAGAIN:
 * without it, a reader that stalls ties up megabytes of kernel memory. */
#define NOTSENT_LOWAT_BYTES 16384

enum conn_state {
    CONN_HTTP,      /* between requests, or reading a request's head */
    CONN_BODY,      /* reading a POST's body */
    CONN_POLL,      /* a session's GET that waits for output */
    CONN_HANDOFF,   /* a request for another worker's session that cannot be passed yet */
    CONN_WEBSOCKET, /* upgraded; has a session */
    CONN_LINGER,    /* output leaves, FIN, input is thrown away */
    CONN_DEAD,      /* closed; freed on the next turn */
};

/* What a connection needs while it speaks HTTP. */
struct exchange {
    struct buf in; /* read, not used yet */
    size_t scanned;
    struct body body; /* of the request being answered, and what came of it */
    struct buf data;
    uint64_t session;  /* a POST's: the handle */
    uint8_t version;   /* of the session */
    uint8_t octets;    /* the body is application/octet-stream */
    uint8_t keep;      /* the connection is kept after the answer */
    uint8_t says_keep; /* ... and that has to be said, to a client of HTTP/1.0 */
    uint8_t jsonp;     /* the answer is a script, for callback number callback */
    uint8_t head_only; /* HEAD */
    uint8_t pumping;   /* httpin_pump is on the stack */
    uint8_t stray;     /* the worker it was for has gone: it is handed to no other */
    uint8_t counted;   /* the next request, by the worker that read it */
    char callback[12];
    char cors[320]; /* header lines of every answer to this request */
    uint32_t handoff_slot;
    uint64_t handoff_end_ms;
};

/* In a list of those that have no good token yet, by age. */
struct stranger {
    struct stranger *older, *newer;
};

struct stranger_list {
    struct stranger ends; /* older is the newest, newer the oldest */
    size_t n;
};

/* One TCP (or Unix) connection.  What a fan-out to thousands touches of each is in
 * front, on two lines of the CPU's cache.
 *
 * Its end concerns at most one session: the one whose it is (session: WebSocket, waiting
 * GET, POST), or the one whose answer is leaving (polled), for no request is served
 * before the answer to the one before it has left. */
struct conn {
    struct engine *engine;
    struct session *session; /* CONN_WEBSOCKET, CONN_POLL, CONN_BODY */
    struct conn *dirty_next; /* in one of engine->dirty */
    struct outq out;
    int fd;
    uint32_t stamp;        /* receipt of the oldest fan-out in out, in stamps; 0: there is none */
    uint32_t exempt_bytes; /* of the output: does not count against send_buffer */
    uint8_t state;         /* enum conn_state */
    uint8_t dirty : 2;     /* in one of engine->dirty: enum dirt */
    uint8_t blocked : 1;   /* the kernel took no more; waiting for writability */
    uint8_t lags : 1;      /* when it was last looked at, it read nothing */
    uint8_t doomed : 1;    /* ends on the next flush, for doom_why */
    uint8_t fin_sent : 1;
    uint8_t probing : 1;   /* CONN_WEBSOCKET that wants to take over a polling session */
    uint8_t answering : 1; /* CONN_LINGER: its output has sendTimeout to leave */
    uint8_t deaf : 1;      /* it is not read from: conn_hear() */
    uint8_t stranger : 1;  /* whom it serves has no good token yet: stranger.c */
    uint8_t place : 2;     /* how it counts as such */
    uint8_t doom_why;

    struct conn *next, **prev; /* in engine->conns, or engine->dead */
    struct wsin *wsin;         /* only while a frame or message is partly read */
    struct exchange *http;     /* NULL once upgraded */
    struct wheel_entry timer;
    uint64_t due_ms;         /* the state's deadline; 0: none */
    uint64_t polled;         /* handle of the session whose GET's answer is leaving; 0: none */
    uint64_t stall_since_ms; /* blocked: nothing that waited then has waited longer */
    uint32_t stall_bytes;    /* ... and this much of it is still waiting */
    uint32_t acked, window;  /* lag.c: bytes that its kernel has got, and would take */
    uint16_t pings_blocked;  /* pings that came while blocked */
    uint8_t nopened;         /* sessions in opened */
    struct session *opened;  /* the oldest stranger that polls and was opened over it */
    struct stranger age;     /* in engine->strangers, where it has a place of its own */
    struct event ev;         /* read, and write too while blocked */
};

enum nsp_state { NSP_NONE, NSP_JOINING, NSP_JOINED, NSP_LEFT };

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

/* What a session needs while its transport is polling. */
struct polling {
    struct outq out;
    struct conn *get;          /* CONN_POLL, or NULL */
    struct conn *post;         /* CONN_BODY, or NULL */
    struct conn *probe;        /* the WebSocket that may take over, or NULL */
    uint64_t probe_due_ms;     /* upgradeTimeout */
    uint64_t waiting_since_ms; /* output without a GET; 0: there is none, or a GET */
    uint8_t probed;            /* "2probe" has come: GETs are answered at once */
    uint8_t probe_base64;      /* the WebSocket takes no binary */
    uint8_t doomed;            /* output has been lost: the session is about to end, for why */
    uint8_t why;               /* ... or it is over, for that (enum engine_close) */
    uint8_t parted;            /* it is over, and the packet that says so is queued */
    uint32_t stamp;            /* as conn.stamp; without a GET, that there is such a fan-out */
    struct conn *opener;       /* over which it was opened; NULL: no stranger, or it has gone */
    struct session *opened_newer, *opened_older; /* a ring of those */
};

/* A packet whose attachments are still to come. */
struct inbound {
    struct buf bytes; /* its text, then the attachments */
    size_t ends[1 + SIO_ATTACHMENTS_MAX];
    unsigned parts; /* that are there */
};

/* One Engine.IO session, with its Socket.IO state.  What a fan-out touches is in front. */
struct session {
    struct engine *engine;
    struct conn *ws;         /* or NULL: polling */
    struct polling *polling; /* or NULL: WebSocket */
    uint64_t fan_serial;     /* the last fan-out that reached (or must not reach) it */
    uint8_t version;         /* enum eio_version */
    uint8_t base64;          /* the client takes no binary */
    uint8_t nsp;             /* enum nsp_state of the configured namespace */
    uint8_t open_in;         /* bit per open namespace: it is in; bit 0 is "/" */
    uint8_t open_left;       /* ... it was in */
    uint8_t ping_sent;       /* EIO4: waiting for the pong */
    uint8_t attachments;     /* inbound ones still to come */
    uint8_t over;            /* ended; waits for a GET to tell the client */

    void *data;              /* the application's; NULL when it has been told of the end */
    struct inbound *inbound; /* or NULL */
    struct wheel_entry timer;
    uint64_t heartbeat_due_ms;
    uint64_t connect_due_ms; /* 0: has been in, or is */
    uint64_t expire_due_ms;  /* 0: never */
    uint32_t index, serial;  /* in engine->slots: the handle */
    uint8_t guarded;         /* session_guard() */
    uint16_t joins;          /* how often it was let in: part of the Socket.IO id */
    uint8_t refusals;        /* since then: expire_due_ms is when it has to have left */
    uint8_t random[16];      /* of the sid */
    uint8_t stranger;        /* no good token yet: stranger.c */
    struct stranger age;     /* in engine->strangers */
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

/* Clients with output that has not been tried yet.  Those of a fan-out may be many
 * thousands; answers, and clients that are coming in, do not stand behind them. */
struct dirty {
    struct conn *first, **tail;
};

/* Mistakes of clients and proxies, each with its line in the log: hint.c. */
enum hint { HINT_PATH, HINT_PROBE, HINT_TLS, HINT_PROXY, HINT_UPGRADE, HINT_ORIGIN, HINTS };

enum dirt { CLEAN, DIRTY, DIRTIER }; /* DIRTIER: more has come since */

/* Those that do not read wait apart, and so do those that are to be cut off: the
 * kernel's buffers take long to fill and to give back, and many may stall together. */
enum { DIRTY_OWN, DIRTY_FAN, DIRTY_LAGS, DIRTY_DOOMED, DIRTIES };

/* Queues of clients that may not read, and how far they have been gone through. */
struct compact {
    struct outq **queues;
    uint32_t n, cap;
    uint32_t next, run; /* the queue, and the run in it, to go on with */
    size_t cost;        /* of this pass */
    size_t slack;       /* in thin blocks, before there is another */
    int running;        /* a pass */
};

struct engine {
    struct event_base *base;
    struct engine_options options;
    const struct engine_app *app;
    void *arg;
    struct wheel *conn_wheel, *session_wheel;
    struct listener *listeners;
    struct event resume_timer; /* accepting again after a pause */
    struct event rest_timer;   /* ... after others had their turn */
    uint32_t others;           /* balance_others() when the rest began */
    struct event flush_timer;  /* zero timeout: the rest of the dirty clients, the dead */
    struct event drain_timer;
    int accepting, stopped, draining;
    int retiring; /* draining, and others take what is new */
    struct log_every emfile_log, full_log, full_sessions_log, handoff_log, hints[HINTS];
    struct log_every strangers_log, opened_log;

    struct conn *conns, *dead;
    size_t nconns;
    struct stranger_list strangers[ENGINE_STRANGERS];
    struct dirty dirty[DIRTIES];
    int fanning; /* what is queued now is a fan-out's */

    struct slot *slots;
    uint32_t nslots, free_slot;
    size_t nsessions;
    uint8_t sid_key[16]; /* makes Socket.IO ids of session ids */

    char etag[SCRIPT_ETAG]; /* of options.client_file */

    struct chunklog logs[ENCODINGS]; /* broadcasts, a log for each encoding */
    struct chunklog private_log;     /* what goes to one client only */
    struct chunks chunks;            /* the blocks of all these */
    struct compact compact;
    struct buf scratch;    /* for one packet being put together */
    struct buf event_head; /* "42/axr," */
    uint64_t fan_serial;

    struct engine_stats stats;
    uint64_t now_us; /* when output was last looked at: engine_clock() */

    struct wsin *spare_wsin;
    unsigned nspare_wsin;
    uint8_t *input; /* INPUT_BYTES, for whoever reads now */

    uint64_t drain_end_ms;  /* all sessions are closed by then */
    uint64_t retire_end_ms; /* ... and have heard of it by then */
    uint32_t drain_index;
    void (*drain_done)(void *arg);
    void *drain_arg;
};

/* A time that fits into a connection: in units of 64 us, modulo three days, and never 0. */
static inline uint32_t stamp_of(uint64_t us)
{
    uint32_t stamp = (uint32_t)(us >> STAMP_BITS);

    return stamp != 0 ? stamp : 1;
}

/* --- engine.c --- */
/* Reads the clock for the writes that follow. */
void engine_clock(struct engine *engine);
void engine_flush_later(struct engine *engine);
/* Not a slice, as engine_flush(), but until nothing waits to be tried. */
void engine_flush_all(struct engine *engine);
/* The number of connections went down: maybe accept again, maybe drained. */
void engine_conn_gone(struct engine *engine);

/* --- accept.c --- */
void accept_init(struct engine *engine);
/* Stops the listening, and undoes accept_init(). */
void accept_clear(struct engine *engine);
/* The number of connections or sessions is another: the other workers are told. */
void engine_counted(const struct engine *engine);
/* Accepts again, if there is room and nothing else stands against it. */
void accept_again(struct engine *engine);
/* Takes what waits to be accepted, before the sockets are given up: it would be reset
 * where nobody shares them any more. */
void accept_backlog(struct engine *engine);

/* --- drain.c --- */
void drain_init(struct engine *engine);
void drain_clear(struct engine *engine);
/* The number of connections went down: this may have been the last one. */
void drain_conn_gone(struct engine *engine);

/* --- stranger.c --- */
void stranger_init(struct engine *engine);
/* How a connection counts may be different: its state or its session is another. */
void stranger_conn(struct conn *conn);
/* It is nobody's yet. */
void stranger_new_conn(struct conn *conn);
/* A request of the session of that handle has come over it. */
void stranger_served(struct conn *conn, uint64_t handle);
/* It is dead. */
void stranger_conn_gone(struct conn *conn);
/* A session that is new, or is refused: it is nobody's. */
void stranger_session(struct session *session);
/* A new one, that polls, was asked for over conn.  It may cost an older one its life. */
void stranger_opened(struct conn *conn, struct session *session);
/* It has gone from polling to session->ws; what was for polling is still there. */
void stranger_upgraded(struct session *session);
/* It is about to be freed. */
void stranger_session_gone(struct session *session);
/* Takes the places of the oldest, while there are too many. */
void stranger_trim(struct engine *engine);
/* 1 if one more could come only for a user. */
int stranger_conns_full(const struct engine *engine);
int stranger_sessions_full(const struct engine *engine);
/* Bytes that may wait for a stranger, and of the longest message from one. */
size_t stranger_send_buffer(const struct engine *engine);
size_t stranger_message_max(const struct engine *engine);

/* --- conn.c --- */
/* Has the CPU fetch what is in front of conn. */
static inline void conn_fetch(const struct conn *conn)
{
    __builtin_prefetch(conn, 1);
    __builtin_prefetch(&conn->doom_why, 1);
}
struct conn *conn_accept(struct engine *engine, int fd);
/* Queues a run.  Like every put it never ends the connection at once: where too
 * much waits, that happens on the loop's next turn, and -1 is returned. */
int conn_push(struct conn *conn, const struct run *run);
/* Ends it on the loop's next turn, not now: who pushes may be walking over a
 * room, and the end of a session changes that.  Returns -1. */
int conn_doom(struct conn *conn, enum engine_close why);
/* Bytes of the longest message that is taken from it. */
size_t conn_message_max(const struct conn *conn);
/* Has conn_flush called in this turn or the next. */
void conn_dirty(struct conn *conn);
/* Queues bytes of this connection only. */
int conn_put(struct conn *conn, const void *bytes, size_t len);
/* The same without a copy: they outlive the engine.  However many wait, they do
 * not count against send_buffer. */
int conn_put_static(struct conn *conn, const void *bytes, size_t len);
/* Queues one WebSocket frame. */
int conn_put_frame(struct conn *conn, int opcode, const void *payload, size_t len);
/* Writes what the kernel takes. */
void conn_flush(struct conn *conn);
/* Writes no more until the kernel says that it can be. */
void conn_set_blocked(struct conn *conn);
/* Sends what is queued, then FIN, then waits at most LINGER_MS for the other
 * side's.  It has no session any more. */
void conn_linger(struct conn *conn);
/* Ends it now; its session is told why.  abort != 0: reset, so that the kernel
 * drops its share too. */
void conn_kill(struct conn *conn, enum engine_close why, int abort);
/* WebSocket: close frame with code (WS_CLOSE_NONE: without), or none where
 * session_may_return(); then linger; its session is told why. */
void conn_close(struct conn *conn, int code, enum engine_close why);
/* The same where the close frame has been queued already. */
void conn_finish(struct conn *conn, enum engine_close why);
/* Counts a ping.  -1: too many came while the client does not read its pongs. */
int conn_ping(struct conn *conn);
/* Whether it is read from.  If not, all that comes stays with the kernel, its end
 * included; it is again when all its output has left. */
void conn_hear(struct conn *conn, int hears);
/* The state's deadline, in so many milliseconds from now; 0: none. */
void conn_deadline(struct conn *conn, uint32_t in_ms);
/* That of CONN_HTTP: for the rest of a request, or, where nothing of one is there, for the
 * next. */
void conn_await(struct conn *conn);
void conn_free(struct conn *conn);
void conn_timeout(struct wheel_entry *entry, uint64_t now_ms, void *arg);

/* --- httpin.c --- */
/* Bytes from a connection that speaks HTTP. */
void httpin_feed(struct conn *conn, const uint8_t *bytes, size_t len);
/* Uses what has been read: heads, bodies, and the next request, unless an answer is
 * still to leave; then conn_flush() calls it once that has. */
void httpin_pump(struct conn *conn);
void httpin_free(struct exchange **httpp);

/* --- compact.c --- */
void compact_init(struct engine *engine);
void compact_clear(struct engine *engine);
/* The queue, which has output or is about to, may keep it for long. */
void compact_watch(struct engine *engine, struct outq *queue);
/* The queue goes. */
void compact_forget(struct engine *engine, struct outq *queue);
/* If it is time, or not all was looked at: has queues that are watched do without
 * blocks that are thin, for a moment; engine_flush() calls it. */
void compact_slice(struct engine *engine);

/* --- lag.c --- */
/* Looks whether conn, which is about to be written to, reads: conn->lags says it.  A
 * system call if its output is late, else nothing.  Returns 1 if it has been set
 * blocked instead. */
int lag_blocks(struct conn *conn);

/* --- request.c --- */
/* Answers a complete request head, or begins to; all of http->in begins with it. */
void request_serve(struct conn *conn, const struct http_request *req, size_t head_len);
/* One that is complete; its answer's head takes the shape that http says.  body
 * may be empty. */
void request_answer(struct conn *conn, int status, const char *type, struct slice body);
/* Queues the head of an answer whose body, of len bytes, the caller queues.
 * extra: more header lines.  Returns 0 or -1. */
int request_answer_head(struct conn *conn, int status, const char *type, const char *extra,
                        size_t len);
/* 1 if the client wants its connection kept after the answer. */
int request_keeps(const struct http_request *req);
/* After an answer: on to the next request, or the end. */
void request_done(struct conn *conn);
/* Refuses with a status and its reason phrase; the connection ends. */
void request_refuse(struct conn *conn, int status);
/* Engine.IO's error as JSON. */
void request_error(struct conn *conn, enum eio_error error);
/* Tries again to pass the connection on. */
void request_handoff(struct conn *conn);
/* Passes a connection without a request to an heir, or tries again later. */
void request_pass_on(struct conn *conn);

/* --- hint.c --- */
/* A request for a path that is not ours, ... */
void hint_path(struct conn *conn, const struct http_request *req);
/* ... what is no HTTP (bytes it begins with), if it is known what else it is, ... */
void hint_bytes(struct conn *conn, const uint8_t *bytes, size_t len);
/* ... one for WebSocket that cannot be upgraded, ... */
void hint_upgrade(struct conn *conn, const struct http_request *req);
/* ... and one that is forbidden to the page it comes from. */
void hint_origin(struct conn *conn, const struct http_request *req);

/* --- script.c --- */
/* The entity tag of the client file. */
void script_tag(struct engine *engine);
/* Answers a request for <path>socket.io.js.  Returns 0 if it is for something else. */
int script_serve(struct conn *conn, const struct http_request *req);

/* --- cors.c --- */
/* 1 if the request's Origin may use this server; absent ones may. */
int cors_allowed(const struct engine *engine, const struct http_request *req);
/* Header lines for the answer to req, at most cap bytes with the terminator. */
void cors_headers(const struct engine *engine, const struct http_request *req, char *dst,
                  size_t cap);
/* Answers a preflight request. */
void cors_preflight(struct conn *conn, const struct http_request *req);

/* --- polling.c --- */
/* A GET or POST of a session (or, without one, a handshake). */
void polling_get(struct conn *conn, struct session *session);
void polling_post(struct conn *conn, struct session *session, const struct http_request *req);
/* A POST's body is complete. */
void polling_posted(struct conn *conn);
/* Queues a text packet, or a run of the session's encoding. */
int polling_put(struct session *session, const void *text, size_t len);
int polling_push(struct session *session, const struct run *run);
/* Queues a message, text too, in the form that takes binary. */
int polling_put_message(struct session *session, int binary, struct slice data);
/* Output has been lost: ends it on the loop's next turn.  Returns -1. */
int polling_doom(struct session *session, enum engine_close why);
/* It comes for what waits: latency counts from now. */
void polling_came(struct session *session);
/* Its body cannot be read to the end; the caller answers with status. */
void polling_post_failed(struct conn *conn, int status);
/* Answers the waiting GET with what there is.  The requests behind it are served
 * on a later turn: they may end the session. */
void polling_flush(struct conn *conn);
/* conn, one of the session's, has gone. */
void polling_conn_gone(struct session *session, struct conn *conn);
void polling_close(struct session *session, enum engine_close why);
/* Polling's deadlines: the earliest, or 0; and what is due now.  Returns -1 if
 * the session is over. */
uint64_t polling_due(const struct session *session);
int polling_timeout(struct session *session, uint64_t now_ms);
/* Frees it; why is for what output is still in it. */
void polling_free(struct session *session, enum engine_close why);

/* --- upgrade.c --- */
/* A WebSocket has come for a polling session.  base64: no binary on it, whatever
 * held for polling. */
void upgrade_begin(struct conn *conn, struct session *session, int base64);
/* What it says before it has taken over. */
void upgrade_input(struct conn *conn, int binary, struct slice payload);
/* The attempt is over; the session polls on, or is over for why. */
void upgrade_abandon(struct session *session, enum engine_close why);

/* --- wsin.c --- */
/* Bytes from an upgraded connection. */
void wsin_feed(struct conn *conn, const uint8_t *bytes, size_t len);
void wsin_free(struct wsin **wsin);

/* --- session.c --- */
/* ws: NULL for polling. */
struct session *session_new(struct engine *engine, struct conn *ws, enum eio_version version,
                            int base64);
/* Tells the application of the end, once. */
void session_leave(struct session *session, enum engine_close why);
/* The same, and frees; nothing refers to it any more. */
void session_end(struct session *session, enum engine_close why);
/* Closes whatever its transport is; code is WebSocket's. */
void session_close(struct session *session, int code, enum engine_close why);
/* 1 if that is no fault of the client, which is to come back: its WebSocket just ends
 * then.  Clients in Java stop reading at a close frame and wait for their ping timeout,
 * one in C++ comes back after none without a code.  For one that polls see polling.c. */
int session_may_return(enum engine_close why);
/* The open packet, and the application's.  Returns 0, or -1 if it has been closed. */
int session_start(struct session *session, const struct http_request *req,
                  const struct sockaddr *peer);
/* One packet from the client, as it came over WebSocket, or decoded. */
void session_input(struct session *session, int binary, struct slice payload);
void session_packet(struct session *session, const struct eio_packet *packet);
void session_timeout(struct wheel_entry *entry, uint64_t now_ms, void *arg);
void session_rearm(struct session *session);
/* Does what is due, though the wheel has not come by.  That may be the end. */
void session_settle(struct session *session);
/* Sends a whole Engine.IO packet as text; scratch is the engine's. */
int session_put(struct session *session, const void *text, size_t len);
int session_put_scratch(struct session *session);
/* Queues a run that fan.c made for it. */
int session_push(struct session *session, const struct run *run);
enum encoding session_encoding(const struct session *session, int binary);

/* --- sid.c --- */
/* By the sid of a request's query; those that are over are found too. */
struct session *session_by_sid(struct engine *engine, struct slice sid);
/* Where a well-formed sid lives.  Returns 0, or -1 if it is none. */
int session_sid_home(struct slice sid, uint32_t *slot);
size_t session_sid(const struct session *session, char dst[ENGINE_SID_LEN + 1]);

/* --- fan.c --- */
/* An attachment for a client that takes no binary; out is reset first. */
void fan_put_base64(struct buf *out, enum eio_version version, struct slice bytes);

/* --- packet.c --- */
void packet_started(struct session *session);
/* Its deadline has come.  Returns -1 if it has been closed for it. */
int packet_expired(struct session *session);
void packet_text(struct session *session, struct slice text);
void packet_binary(struct session *session, struct slice bytes);
void packet_free(struct inbound **inbound);

#endif
