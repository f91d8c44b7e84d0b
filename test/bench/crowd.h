/* crowd - many Socket.IO clients (EIO=4, WebSocket) in one process.
 *
 * Each connects with a token of its own, user 0 to n-1, joins the namespace and then
 * counts the notes it hears: that none is lost, doubled or out of order.  What is to be
 * acknowledged is answered with the user's name.
 *
 * A client that loses its connection is gone for good, unless crowd->returns: then it comes back
 * as stock clients do, after 1 s, doubling to 5 s, each less or more by up to a half, and wants
 * its session back with the pid and the offset that it was told last. */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include "hist.h"
#include "note.h"
#include "secure.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

enum client_state {
    CLIENT_NONE,
    CLIENT_AWAY,      /* comes back at back_ns */
    CLIENT_DIALLING,  /* TCP */
    CLIENT_SECURING,  /* TLS */
    CLIENT_UPGRADING, /* waits for the answer to its request */
    CLIENT_OPENING,   /* for Engine.IO's handshake */
    CLIENT_JOINING,   /* for the answer to its CONNECT */
    CLIENT_IN,
};

struct client {
    int fd;
    SSL *ssl;              /* crowd->secure */
    uint8_t state;         /* enum client_state */
    uint32_t next;         /* number of the next note; 0: any */
    uint64_t dial_ns;      /* when it began to connect */
    uint64_t lost_ns;      /* when it lost its last connection; 0: it has all that was missed */
    uint64_t back_ns;      /* CLIENT_AWAY */
    uint32_t due;          /* direct: behind the last note that was for it: the caller's */
    uint32_t goal;         /* the first note that it may be without, once it is in again */
    uint8_t was_away;      /* since crowd_listen(): how old notes are does not count for it */
    uint8_t tries;         /* to come back */
    struct ticket *ticket; /* crowd->returns: what it was told */
    char *rest;            /* a frame (or a head) that has not come whole */
    uint32_t rest_len;
};

struct ticket {
    char pid[96], offset[64]; /* empty: none */
};

struct crowd {
    struct sockaddr_in server, source; /* source.sin_addr: where the first clients come from */
    const char *path, *nsp, *secret, *prefix; /* prefix of the user ids */
    struct secure *secure;                    /* TLS; or NULL */

    int epoll;
    struct client *clients;
    uint32_t n, cap; /* users 0 to n-1 are used */
    uint64_t dials;
    uint32_t dialling;         /* not in yet, not failed */
    uint32_t in, failed, gone; /* gone: were in */
    uint64_t asked;            /* events that were to be acknowledged */
    uint64_t resumed;          /* TLS handshakes that were short */
    struct hist joined;        /* from dialling to the answer to CONNECT */

    int returns;
    uint32_t away;                 /* clients that are to come back */
    uint32_t published;            /* the number of the next note, as far as it is known: the
                                      caller's, too */
    uint64_t recovered, forgotten; /* came back to their session; to a new one */
    struct hist caught;            /* from dialling until all that was missed is there */
    struct hist missing;           /* the same from the loss of the connection */

    int direct;            /* each note is for note_user() alone */
    uint64_t heard, wrong; /* wrong: lost before it, doubled, out of order, another's */
    struct hist latency;   /* of the notes, at clients that were not away */
};

/* The fields of the first paragraph and cap are set.  Returns 0, or -1 with errno. */
int crowd_init(struct crowd *crowd);

/* Starts one more client, user crowd->n.  Returns 0, or -1 if it failed at once (counted) or
 * there are cap. */
int crowd_dial(struct crowd *crowd);

/* Handles what has come, waiting for at most wait_ms for anything. */
void crowd_poll(struct crowd *crowd, int wait_ms);

/* Forgets what was heard: notes of any number come next. */
void crowd_listen(struct crowd *crowd, int direct);

/* Cuts the connections of the first n clients; each comes back after away_ns and up to spread_ns
 * more, by chance.  Only with crowd->returns. */
void crowd_cut(struct crowd *crowd, uint32_t n, uint64_t away_ns, uint64_t spread_ns);

/* Closes every client without a word; users start at 0 again, and so do all counts. */
void crowd_close(struct crowd *crowd);

#endif
