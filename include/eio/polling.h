/* polling - a session over HTTP long-polling: output waits for a GET, input
 * comes in POSTs. */
#ifndef EIO_POLLING_H
#define EIO_POLLING_H

#include "eio/session.h"

#define FAREWELL_MS 10000 /* a session that is over waits for a GET to say so */

/* What a session needs while its transport is polling. */
struct polling {
    struct outq out;
    uint32_t exempt_bytes;     /* of out: its first message, which does not count */
    struct conn *get;          /* EXCHANGE_WAIT, or NULL */
    struct conn *post;         /* EXCHANGE_BODY, or NULL */
    struct conn *probe;        /* the WebSocket that may take over, or NULL */
    uint64_t probe_due_ms;     /* upgradeTimeout */
    uint64_t waiting_since_ms; /* output without a GET; 0: there is none, or a GET */
    uint8_t probed;            /* "2probe" has come: GETs are answered at once */
    uint8_t probe_base64;      /* the WebSocket takes no binary */
    uint8_t closing;           /* output has been lost: the session is about to end, for why */
    uint8_t why;               /* ... or it is over, for that (enum close_reason) */
    uint8_t parted;            /* it is over, and the packet that says so is queued */
    uint32_t stamp;            /* as conn.stamp; without a GET, that there is such a fan-out */
    struct conn *opener;       /* over which it was opened; NULL: no stranger, or it has gone */
    struct session *opened_newer, *opened_older; /* a ring of those */
};

struct polling_ops {
    /* A packet of a POST. */
    void (*packet)(struct session *session, const struct eio_packet *packet);
    /* It has to be closed, for why. */
    void (*fault)(struct session *session, enum close_reason why);
    /* It is over, or worth no word, and nothing refers to it: to be freed. */
    void (*told)(struct session *session, enum close_reason why);
    /* polling_due() is another. */
    void (*due)(struct session *session);
};

/* A GET or POST of a session (or, without one, a handshake).  The exchange's app is filled
 * by polling_read(). */
void polling_read(struct conn *conn, const struct http_request *req);
void polling_get(struct conn *conn, struct session *session);
void polling_post(struct conn *conn, struct session *session, const struct http_request *req);
/* A POST's body is complete, or cannot be read to the end: the caller answers with status. */
void polling_posted(struct conn *conn);
void polling_post_failed(struct conn *conn, int status);

/* Queues a text packet, or a run of the session's encoding.  Returns 0 or -1. */
int polling_put(struct session *session, const void *text, size_t len);
int polling_push(struct session *session, const struct run *run);
/* Queues a message, text too, in the form that takes binary. */
int polling_put_message(struct session *session, int binary, struct slice data);
/* Output has been lost: ends it on the loop's next turn.  Returns -1. */
int polling_close_soon(struct session *session, enum close_reason why);
/* It comes for what waits: latency counts from now. */
void polling_came(struct session *session);

/* Answers the waiting GET with what there is.  The requests behind it are served
 * on a later turn: they may end the session. */
void polling_flush(struct conn *conn);
/* conn, one of the session's, has gone. */
void polling_conn_gone(struct session *session, struct conn *conn);
/* The attempt to upgrade is over; the session polls on, or is over for why. */
void polling_abandon(struct session *session, enum close_reason why);
/* It is over, for why, and the application knows.  Returns 1 if the client is told
 * nothing, or has been: nothing refers to it; 0 if its last word waits for a GET. */
int polling_part(struct session *session, enum close_reason why);

/* Its deadlines: the earliest, or 0; and what is due now.  Returns -1 if the session has
 * been closed for it. */
uint64_t polling_due(const struct session *session);
int polling_timeout(struct session *session, uint64_t now_ms);
/* Frees it; why is for what output is still in it. */
void polling_free(struct session *session, enum close_reason why);

#endif
