/* handoff - descriptors on their way between processes (SCM_RIGHTS, unix(7)).
 *
 * From one worker to another: connections, with the bytes that were read of them, and what
 * the descriptor does not tell.
 * Each lane has one connected pair of SOCK_SEQPACKET sockets, made by the master for
 * the daemon's life: the lane's worker reads one end, all others write to the other.
 * What was sent to a worker that died waits for its successor, which does not know
 * the session, and says so to the client; while a lane has no worker, the master
 * passes what comes on to any that lives, as HANDOFF_ORPHAN.
 *
 * From the master to a worker, over a pair of its own: the ends to write to, of lanes
 * that were made after that worker was forked. */
#ifndef IPC_HANDOFF_H
#define IPC_HANDOFF_H

#include "base/address.h"

#include <stddef.h>
#include <stdint.h>

#define HANDOFF_MAX_BYTES 196608 /* of one connection: a request head and two reads */
#define HANDOFF_PEERS_MAX 128    /* in one message; the kernel takes 253 */

enum handoff_kind {
    HANDOFF_CONNECTION = 1, /* its request is for a session of this lane, or for anyone */
    HANDOFF_ORPHAN,         /* the worker it was for has gone: not to be passed on again */
};

#define HANDOFF_TOLD_MAX 3

struct handoff_conn {
    struct address peer; /* where the client is; if known is 0, where the kernel says */
    uint8_t known;
    uint8_t secure;  /* the client's own connection is encrypted */
    uint8_t carried; /* the descriptor is one end of a pair (net/pair.h), and a worker carries
                        between the other end and the client ... */
    uint8_t last;    /* ... which is about to go: no further request is to come over it */
    uint8_t told;    /* ... and was told this of it: at most HANDOFF_TOLD_MAX */
};

/* The two ends, non-blocking and close-on-exec: *read_fd for the lane's worker,
 * *write_fd for the others.  Returns 0, or -1 with errno. */
int handoff_pair(int *read_fd, int *write_fd);

/* Sends a copy of fd; len may be 0.  Returns 0, 1 if there is no room now, -1 with
 * errno. */
int handoff_send(int write_fd, enum handoff_kind kind, int fd, const struct handoff_conn *conn,
                 const void *bytes, size_t len);

/* Receives one: *fd is the caller's from then on (close-on-exec), *len bytes are in
 * dst, which has room for HANDOFF_MAX_BYTES, and *conn says what was said of it.  Returns its kind,
 * 0 if there is none, -1 with errno: EPIPE once nobody has the other end any more; a message that
 * is malformed is dropped as EBADMSG. */
int handoff_receive(int read_fd, int *fd, struct handoff_conn *conn, uint8_t *dst, size_t *len);

/* Sends copies of the ends of n lanes, first and those after it; n is at most
 * HANDOFF_PEERS_MAX.  Returns 0, or -1 with errno; then none was sent. */
int handoff_send_peers(int write_fd, unsigned first, const int *fds, size_t n);

/* Receives some: *first and the ones after it, *n descriptors in fds (the caller's,
 * close-on-exec), which has room for HANDOFF_PEERS_MAX.  Returns 1, 0 if there is none,
 * -1 with errno as above. */
int handoff_receive_peers(int read_fd, unsigned *first, int *fds, size_t *n);

#endif
