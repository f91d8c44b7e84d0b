/* http - HTTP/1.1 on connections (RFC 9112): their requests, one after the other, and the
 * answers; what needs no session (CORS, the client file, /status); and connections whose
 * request another process serves.
 *
 * What the server is for (Engine.IO) is asked through http_app. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/buf.h"
#include "base/log.h"
#include "codec/body.h"
#include "codec/forwarded.h"
#include "codec/http.h"
#include "net/net.h"

#include <stddef.h>
#include <stdint.h>

#define HEAD_MS        10000 /* for a request's head, and for its body */
#define ETAG_BYTES     48    /* of an entity tag with its quotes */
#define HTTP_APP_BYTES 32
#define HTTP_SUCCESSOR UINT32_MAX

struct handoff_conn;
struct http;

struct http_options { /* strings are borrowed for as long as http lives */
    const char *path; /* begins and ends with '/' */
    struct http_limits limits;
    uint32_t idle_timeout_ms; /* a connection waits for its next request; 0: for ever */
    char *const *origins;     /* who may come from a browser; NULL-terminated */
    int credentials;          /* cors:credentials */
    enum forwarded_header proxy_header;
    struct slice client_file; /* what <path>socket.io.js is; ptr NULL: there is none */
    /* What GET /status says is running here, where path does not take /status for
     * itself; NULL: nothing is there. */
    const char *name, *version;
    /* A connection is for a session of another process: the one of that number.
     * bytes is what has been read of it, which may be nothing, conn what fd does not tell.
     * HTTP_SUCCESSOR: to one that takes new sessions in this one's place.  Returns 0 when fd (a
     * copy of it) and bytes are on their way, 1 if that cannot be now, -1 if there is no such
     * process.  NULL: there are no others. */
    int (*handoff)(uint32_t process, int fd, const struct handoff_conn *conn, const void *bytes,
                   size_t len, void *arg);
    void *handoff_arg;
};

/* What has happened, counted where it happens by one addition. */
struct http_stats {
    uint64_t requests; /* heads that were understood */
    uint64_t http_errors[HTTP_ERROR_KINDS];
    uint64_t handoffs_sent, handoffs_received;
    uint64_t handoffs_failed;  /* nobody took it: the client was refused */
    uint64_t carried;          /* of handoffs_sent: by a pair, the connection stayed */
    uint64_t carried_bytes[2]; /* HTTP_CARRIED_... */
    uint64_t carry_failures;   /* of handoffs_failed: there was no pair to be had */
};

enum { HTTP_CARRIED_IN, HTTP_CARRIED_OUT }; /* from clients, and to them */

enum http_fault {
    HTTP_FORBIDDEN, /* to the page that it comes from */
    HTTP_ASTRAY,    /* the process it is for has gone */
};

struct http_app {
    /* A request below options.path that http does not answer itself; its head is the first
     * head_len bytes of what was read.  It is answered, now or later; or exchange_body(),
     * exchange_wait(), exchange_hand_over() or exchange_leave() was called. */
    void (*request)(struct conn *conn, const struct http_request *req, size_t head_len);
    /* The body is complete (status 0), and is to be answered now or later; or it cannot be
     * read to its end, and is answered with status next.  conn carries nobody after that. */
    void (*body)(struct conn *conn, int status);
    /* After exchange_wait(): it is about to be written to, and may be answered. */
    void (*ready)(struct conn *conn);
    /* It is dead.  conn->owner is to be let go of; if conn->leaving is not 0, the answer of
     * which it tells has not left as a whole. */
    void (*lost)(struct conn *conn, enum close_reason why);
    /* To be answered with an error in the application's words. */
    void (*error)(struct conn *conn, enum http_fault fault);
};

enum exchange_phase {
    EXCHANGE_HEAD,    /* between requests, or reading a request's head */
    EXCHANGE_BODY,    /* reading a body */
    EXCHANGE_WAIT,    /* the answer waits for something to say */
    EXCHANGE_HANDOFF, /* a request for another process that cannot be passed yet */
};

/* What a connection needs while it speaks HTTP; none while it is idle. */
struct exchange {
    struct buf in; /* read, not used yet */
    size_t scanned;
    struct body body; /* of the request being answered, and what came of it */
    struct buf data;
    uint8_t phase;
    uint8_t keep;      /* the connection is kept after the answer */
    uint8_t says_keep; /* ... and that has to be said, to a client of HTTP/1.0 */
    uint8_t head_only; /* HEAD */
    uint8_t pumping;   /* exchange_pump is on the stack */
    uint8_t orphan;    /* the worker it was for has gone: it is handed to no other */
    uint8_t counted;   /* the next request, by the worker that read it */
    char cors[320];    /* header lines of every answer to this request */
    uint32_t handoff_process;
    uint64_t handoff_end_ms;
    _Alignas(8) uint8_t app[HTTP_APP_BYTES]; /* http_app's own, of this request */
};

/* Mistakes of clients and proxies, each with its line in the log. */
enum hint {
    HINT_PATH,
    HINT_PROBE,
    HINT_TLS,
    HINT_PROXY,
    HINT_UPGRADE,
    HINT_ORIGIN,
    HINT_FORWARDED,
    HINTS
};

struct http {
    struct net *net;
    struct http_options options;
    const struct http_app *app;
    void *arg; /* of app */
    struct http_stats stats;
    int migrates;          /* others take what is new, and this one goes: no connection is kept that
                              cannot be passed to them */
    char etag[ETAG_BYTES]; /* of options.client_file */
    struct log_every handoff_log, carry_log, hints[HINTS];
};

static inline struct http *http_of(const struct conn *conn)
{
    return conn->net->upper;
}

/* Of a connection that speaks HTTP; NULL: it is idle. */
static inline struct exchange *exchange_of(const struct conn *conn)
{
    return conn->input;
}

/* --- exchange.c --- */

/* On all of net's new connections.  options is copied.  NULL without memory. */
struct http *http_new(struct net *net, const struct http_options *options);
/* What it is for, before there are connections.  app and arg are borrowed. */
void http_serves(struct http *http, const struct http_app *app, void *arg);
/* When there are no connections any more. */
void http_free(struct http **http);
/* limits, idle_timeout_ms, origins, credentials and proxy_header come into force. */
void http_configure(struct http *http, const struct http_options *options);

/* Takes a connection that another process has handed over, with what it knows of it (NULL:
 * what fd tells) and the bytes that it had read.  orphan: it is not to be handed on for its
 * first request.  Returns 0, or -1 without memory (fd stays the caller's). */
int http_adopt(struct http *http, int fd, const struct handoff_conn *known, const void *bytes,
               size_t len, int orphan);

/* Looks at what the head says of the body, which may have max bytes.  Returns 0, or -1: it
 * has been refused. */
int exchange_check_body(struct conn *conn, const struct http_request *req, size_t max);
/* Reads it into exchange->data.  Returns 1 if it is there already (http_app.body is not
 * called), else 0. */
int exchange_body(struct conn *conn, const struct http_request *req);
/* The answer waits: http_app.ready. */
void exchange_wait(struct conn *conn);
/* The connection speaks HTTP no more: what was read and not used is *in then, which the
 * caller frees, and the next speaker is to be set. */
void exchange_leave(struct conn *conn, struct buf *in);

/* --- answer.c --- */

/* One that is complete; its head takes the shape that the exchange says.  body
 * may be empty. */
void answer(struct conn *conn, int status, const char *type, struct slice body);
/* Queues the head of an answer whose body, of len bytes, the caller queues before
 * answer_done().  extra: more header lines.  Returns 0 or -1. */
int answer_head(struct conn *conn, int status, const char *type, const char *extra, size_t len);
/* After an answer: on to the next request, or the end. */
void answer_done(struct conn *conn);
/* Refuses with a status and its reason phrase; the connection ends. */
void answer_refuse(struct conn *conn, int status);
/* 405 (RFC 9110, section 15.5.6); allowed as in Allow. */
void answer_method(struct conn *conn, const char *allowed);
/* The deadline for the rest of a request, or, where nothing of one is there, for the
 * next. */
void answer_await(struct conn *conn);
/* 1 if something of a request has been read. */
int exchange_has_request(const struct conn *conn);

/* --- handoff.c --- */

/* The request is another process's, which gets the connection with all that was read, now
 * or in a second; else the client is refused. */
void exchange_hand_over(struct conn *conn, uint32_t process);
/* Its deadline has come: tries again. */
void exchange_hand_over_again(struct conn *conn);
/* Passes all connections without a request to the successor, those of which it takes none
 * now excepted.  Those over TLS end, once their answers have left, or now; so do those that are
 * carried, once the last word was the other worker's, but for WebSockets, which it ends. */
void http_pass_on(struct http *http, int now);

/* --- carry.c --- */

/* A connection over TLS for a request of another worker.  That worker gets one end of a pair
 * with all that was read, and takes it for any other connection; this one carries the bytes
 * between the other end and the client for the rest of the connection's life, of whatever
 * requests, and when they are a WebSocket's.
 *
 * The other worker judges: who may come, what may wait for a client and for how long, when it
 * is idle or does not answer.  It sees a client that does not read as a pair that is full,
 * and one that has gone as the end of the pair.  This worker holds at most two reads
 * in each direction, never ends a connection of its own accord while the other end is
 * open, and gives what is left after that limits:sendTimeout as any answer. */
struct carry;

/* What it takes to carry conn; *theirs is the other end, the caller's.  NULL with errno. */
struct carry *carry_new(struct conn *conn, int *theirs);
/* theirs will not be passed. */
void carry_cancel(struct carry **carry);
/* It is on its way with all that was read of conn, whose the carry is from now on.  conn may be
 * dead then: it was one too many. */
void carry_begin(struct carry *carry);
/* We leave: conn, which is carried (conn->carries), ends as http_pass_on() says. */
void carry_leave(struct conn *conn, int now);

/* --- forwarded.c --- */

/* From here on until its next request conn is that of the client which req is of, as far as it
 * comes from one of the proxies.  Returns 0, or -1 without memory: whose it is is not known. */
int forwarded_request(struct conn *conn, const struct http_request *req);

/* --- hint.c --- */

/* A request for a path that is not ours, ... */
void hint_path(struct conn *conn, const struct http_request *req);
/* ... what is no HTTP (bytes it begins with), if it is known what else it is, ... */
void hint_bytes(struct conn *conn, const uint8_t *bytes, size_t len);
/* ... one for WebSocket that cannot be upgraded, ... */
void hint_upgrade(struct conn *conn, const struct http_request *req);
/* ... one that is forbidden to the page it comes from, ... */
void hint_origin(struct conn *conn, const struct http_request *req);
/* ... and one that says whose it is, by who is not believed. */
void hint_forwarded(struct conn *conn, const struct http_request *req);

/* --- pages.c --- */

/* Makes the entity tag of the client file. */
void pages_tag(struct http *http);
/* Answers a request for <path>socket.io.js, or for /status.  Returns 0 if it is for
 * something else. */
int pages_client_file(struct conn *conn, const struct http_request *req);
int pages_status(struct conn *conn, const struct http_request *req);

/* --- cors.c --- */

/* 1 if the request's Origin may use this server; absent ones may. */
int cors_allowed(const struct http *http, const struct http_request *req);
/* Header lines for the answer to req, at most cap bytes with the terminator. */
void cors_headers(const struct http *http, const struct http_request *req, char *dst, size_t cap);
/* Answers a preflight request. */
void cors_preflight(struct conn *conn, const struct http_request *req);

#endif
