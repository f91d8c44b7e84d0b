/* conn - one connection, TCP or Unix: its life, its reading and its output.
 *
 * Who speaks on it (HTTP, WebSocket) is asked through conn_ops, and never named. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/address.h"
#include "net/chunk.h"
#include "net/close.h"
#include "net/sources.h"
#include "net/wheel.h"

#include <event2/event_struct.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LINGER_MS 1000 /* after the last byte we send, for the client to read it */

struct conn;
struct net;

/* What stands between the socket and ops, for a while (a PROXY header) or for all of the
 * connection's life (TLS).  There is none on a plain connection. */
struct veil_ops {
    /* Bytes from the socket; len > 0, and they are the veil's to write to until it returns.
     * What is in them for ops goes to conn_input(), the end of it to conn_input_ended(). */
    void (*input)(struct conn *conn, uint8_t *bytes, size_t len);
    /* One send of what comes next in conn->out, or, where conn->owes, of the veil's own.
     * Returns how many bytes of conn->out are done with, which may be 0 where it owed some; or
     * -1 with errno, as send(2) does: with EAGAIN it is called again, with no less in
     * conn->out, when the kernel takes more.  NULL: conn->out goes as it is. */
    ssize_t (*send)(struct conn *conn);
    /* All output has left, and the socket is about to be shut down for writing, or closed; it
     * may be called again.  NULL: it has no word of its own for that. */
    void (*finish)(struct conn *conn);
    /* While conn->opening: its deadline has come, and is no more. */
    void (*timeout)(struct conn *conn);
    /* It is no veil of conn any more: conn->veil_state goes.  conn may be dead. */
    void (*free)(struct conn *conn);
};

struct conn_ops {
    /* Bytes from the client; len > 0. */
    void (*input)(struct conn *conn, const uint8_t *bytes, size_t len);
    /* The client sends nothing more, which does not say that it reads nothing more.
     * Returns 1 if something is still to leave, and it is not to be looked at again until
     * all output has left; 0 if it is over. */
    int (*ended)(struct conn *conn);
    /* Only if asks_flush: it is about to be written to. */
    void (*flush)(struct conn *conn);
    /* Only if asks_sent: it has been written to, on the loop's turn or because the kernel
     * takes more.  was_blocked: until then it took nothing. */
    void (*sent)(struct conn *conn, int was_blocked);
    /* Its deadline (conn_deadline) has come, and is no more. */
    void (*timeout)(struct conn *conn);
    /* It is dead: owner is to be told, and let go of. */
    void (*gone)(struct conn *conn, enum close_reason why);
    /* ... and about to be freed, when nobody uses it any more: so is input. */
    void (*free)(struct conn *conn);
};

enum conn_state {
    CONN_OPEN,
    CONN_LINGER, /* output leaves, FIN, input is thrown away */
    CONN_DEAD,   /* closed; freed on a later turn */
};

enum dirt { CLEAN, DIRTY, DIRTIER }; /* DIRTIER: more has come since */

/* How a connection counts as such. */
enum place {
    PLACE_NONE,    /* a user's, or with the WebSocket's session */
    PLACE_OWN,     /* may go by itself */
    PLACE_CARRIES, /* with the session of its request, or those that were opened over it */
    PLACE_BOTH     /* may go by itself, and takes two: so many descriptors end with it */
};

/* 1 if it is among the strangers of its address. */
static inline int place_is_listed(enum place place)
{
    return place == PLACE_OWN || place == PLACE_BOTH;
}

/* What a fan-out to thousands touches of each is in front, on two lines of the CPU's
 * cache. */
struct conn {
    struct net *net;
    void *owner;             /* whom it carries: of the layer that set it */
    struct conn *dirty_next; /* in one of net->dirty */
    struct outq out;
    int fd;
    uint32_t stamp;        /* receipt of the oldest fan-out in out, in stamps; 0: there is none */
    uint32_t exempt_bytes; /* of the output: does not count against send_buffer */
    uint8_t state;         /* enum conn_state */
    uint8_t dirty : 2;     /* in one of net->dirty: enum dirt */
    uint8_t blocked : 1;   /* the kernel took no more; waiting for writability */
    uint8_t slow : 1;      /* when it was last looked at, it read nothing */
    uint8_t closing : 1;   /* ends on the next flush, for closing_why */
    uint8_t fin_sent : 1;
    uint8_t answering : 1;  /* CONN_LINGER: its output has send_timeout_ms to leave */
    uint8_t deaf : 1;       /* it is not read from: conn_hear() */
    uint8_t streams : 1;    /* output goes on for ever: no answer that ends */
    uint8_t asks_flush : 1; /* conn_ops.flush */
    uint8_t asks_sent : 1;  /* conn_ops.sent */
    uint8_t stranger : 1;   /* whom it serves has no good token yet */
    uint8_t place : 2;      /* enum place */
    uint8_t paired : 1;     /* it and its owner have one place, which is the owner's */
    uint8_t veiled : 1;     /* there is a veil */
    uint8_t owes : 1;       /* the veil has bytes of its own that the kernel has not taken */
    uint8_t opening : 1;    /* nothing has passed the veil yet: deadlines are its */
    uint8_t secure : 1;     /* the client's own connection is encrypted, here or before us */
    uint8_t carried : 1;    /* fd is one end of a pair, and a worker carries between the other
                               and the client: no TCP */
    uint8_t relayed : 1;    /* a proxy's: peer and secure are those of its last request, and ... */
    uint8_t own_secure : 1; /* ... what the connection itself is, is in these */
    uint8_t tallied : 1;    /* it counts for limits:connectionsPerAddress */
    uint8_t last : 1;       /* ... which is about to go: no further request is to come over it */
    uint8_t carries : 1;    /* ... and here is the client's end: a further descriptor is its */
    uint8_t asked : 1;      /* a request has come over it */
    uint8_t patient : 1;    /* output may wait for ever: whoever it comes from sees to that */
    uint8_t greeted : 1;    /* it has begun with a PROXY header */
    uint8_t closing_why;    /* enum close_reason; also of one that is dead */

    const struct conn_ops *ops;
    void *input;                 /* of ops: what was read and is not used yet; or NULL */
    const struct veil_ops *veil; /* or NULL */
    void *veil_state;            /* the veil's own */
    struct address *peer;        /* where the client is, if that is not what the kernel says of
                                    fd; or NULL */
    struct address *own;         /* relayed: what peer is without a request; or NULL */
    struct conn *next, **prev;   /* in net->conns, or net->dead */
    struct wheel_entry timer;
    uint64_t due_ms;         /* its deadline; 0: none */
    uint64_t leaving;        /* of who put it: whose answer is in out; 0 when all has left */
    uint64_t stall_since_ms; /* blocked: nothing that waited then has waited longer */
    uint32_t stall_bytes;    /* ... and this much of it is still waiting */
    uint32_t acked, window;  /* slow.c: bytes that its kernel has got, and would take */
    uint16_t pings_blocked;  /* pings that came while blocked */
    uint8_t nopened;         /* sessions in opened */
    uint8_t told, tells;     /* carried: what who carries was told (enum pair_says), how often */
    void *opened;            /* of the layer of sessions: those opened over it; or NULL */
    struct stranger age; /* where it comes from; place_is_listed(): among the strangers of there */
    struct event ev;     /* read, and write too while blocked */
};

/* Where the connection itself comes from, whatever requests have said; NULL: it is what the
 * kernel says. */
static inline const struct address *conn_own(const struct conn *conn)
{
    return conn->relayed ? conn->own : conn->peer;
}

static inline int conn_own_secure(const struct conn *conn)
{
    return conn->relayed ? conn->own_secure : conn->secure;
}

/* Has the CPU fetch what is in front of conn. */
static inline void conn_fetch(const struct conn *conn)
{
    __builtin_prefetch(conn, 1);
    __builtin_prefetch(&conn->closing_why, 1);
}

/* --- output (output.c) --- */

/* Queues a run.  Like every put it never ends the connection at once: where too
 * much waits, that happens on the loop's next turn, and -1 is returned. */
int conn_push(struct conn *conn, const struct run *run);
/* Queues bytes of this connection only. */
int conn_put(struct conn *conn, const void *bytes, size_t len);
/* The same without a copy: they outlive the connection.  However many wait, they do
 * not count against send_buffer. */
int conn_put_static(struct conn *conn, const void *bytes, size_t len);
/* Moves all of queue to the output, as far as there is memory, however much may wait.
 * Returns 0 or -1. */
int conn_put_queue(struct conn *conn, struct outq *queue);

/* Ends it on the loop's next turn, not now: who pushes may be walking over a
 * room, and the end of a session changes that.  Returns -1. */
int conn_close_soon(struct conn *conn, enum close_reason why);

/* One try to write what is queued.  Returns 0, or -1 if the connection is broken, or
 * closing: it has lost output, and what is left is not to pass for all. */
int conn_write(struct conn *conn);
/* Of one that is veiled, and whose output has left: the veil's last word, if it has one.
 * Returns 0, or -1 if that is still to leave. */
int conn_finish(struct conn *conn);
/* Writes no more until the kernel says that it can be. */
void conn_set_blocked(struct conn *conn);
/* Whether it is read from.  If not, all that comes stays with the kernel, its end
 * included; it is again when all its output has left. */
void conn_hear(struct conn *conn, int hears);
/* Counts a ping.  -1: too many came while the client does not read its pongs. */
int conn_ping(struct conn *conn);

/* Its deadline, in so many milliseconds from now; 0: none. */
void conn_deadline(struct conn *conn, uint32_t in_ms);
/* 1 if it ends when its output has waited for too long: stall_since_ms and
 * send_timeout_ms say when. */
int conn_may_stall(const struct conn *conn);
/* The timer is set for what is due next. */
void conn_rearm(struct conn *conn);

/* --- life (conn.c) --- */

/* A new one, on fd, which is its own then; net_speaks() says who speaks on it.  NULL
 * without memory (fd stays the caller's). */
struct conn *conn_new(struct net *net, int fd);
/* Writes what the kernel takes; the end, if it is closing or broken. */
void conn_flush(struct conn *conn);
/* Sends what is queued, then FIN, then waits at most LINGER_MS for the other
 * side's.  Nothing that comes is looked at.  The caller lets go of the owner. */
void conn_linger(struct conn *conn);
/* Ends it now; its owner is told why.  abort != 0: reset, so that the kernel
 * drops its share too. */
void conn_kill(struct conn *conn, enum close_reason why, int abort);
/* 1 if the other side has closed it, or it is broken, though that may be read later: one system
 * call. */
int conn_has_ended(const struct conn *conn);
/* A veil for conn, which is new or has none any more: state is what it keeps in
 * conn->veil_state, and until conn_opened() it has in_ms to come to the first byte for ops.
 * And none any more: veil->free is called. */
void conn_veil(struct conn *conn, const struct veil_ops *veil, void *state, uint32_t in_ms);
void conn_unveil(struct conn *conn);
/* For the veil: the way to ops is open; the speaker has net->first_ms to say something. */
void conn_opened(struct conn *conn);
/* Bytes for ops, and their end, as if they came from the socket; the connection may be dead
 * afterwards. */
void conn_input(struct conn *conn, const uint8_t *bytes, size_t len);
void conn_input_ended(struct conn *conn);

/* The client is there, and not where the kernel says (NULL: it is where the kernel says).
 * Returns 0, or -1 without memory: then it is as it was. */
int conn_set_peer(struct conn *conn, const struct address *peer);
/* A proxy says that the request on it is of that client, and whether it is encrypted there.
 * Returns 0, or -1 without memory. */
int conn_relay(struct conn *conn, const struct address *client, int secure);
/* ... or says nothing: as it was before the first conn_relay(). */
void conn_relay_end(struct conn *conn);
/* Where it comes from: what was set, or what the kernel says. */
void conn_peer(const struct conn *conn, struct address *peer);
/* The same without what requests have said.  Returns 0, or -1, and none, where the kernel does
 * not know it any more: the peer has reset the connection. */
int conn_own_peer(const struct conn *conn, struct address *peer);
/* The same for the log.  Returns dst. */
const char *conn_peer_text(const struct conn *conn, char dst[ADDRESS_TEXT_MAX]);
/* For net_sweep() and net_kill_all(): it is dead, and nobody refers to it. */
void conn_free(struct conn *conn);
/* What the wheel calls: its timer has run out; arg is the net. */
void conn_timeout(struct wheel_entry *entry, uint64_t now_ms, void *arg);

#endif
