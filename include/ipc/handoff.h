/* handoff - connections on their way from one worker to another: a descriptor
 * (SCM_RIGHTS, unix(7)) with the bytes that were read of it.
 *
 * Each worker slot has one connected pair of SOCK_SEQPACKET sockets, made by the
 * master for the daemon's life: the slot's worker reads one end, all others
 * write to the other.  What was sent to a worker that died waits for its
 * successor, which does not know the session, and says so to the client. */
#ifndef IPC_HANDOFF_H
#define IPC_HANDOFF_H

#include <stddef.h>
#include <stdint.h>

#define HANDOFF_MAX_BYTES 196608 /* of one message: a request head and two reads */

/* The two ends, non-blocking and close-on-exec: *read_fd for the slot's worker,
 * *write_fd for the others.  Returns 0, or -1 with errno. */
int handoff_pair(int *read_fd, int *write_fd);

/* Sends a copy of fd.  Returns 0, 1 if there is no room now, -1 with errno. */
int handoff_send(int write_fd, int fd, const void *bytes, size_t len);

/* Receives one: *fd is the caller's from then on (close-on-exec), *len bytes are in
 * dst, which has room for HANDOFF_MAX_BYTES.  Returns 1, 0 if there is none, -1
 * with errno; a message without a descriptor or too long is dropped as EBADMSG. */
int handoff_receive(int read_fd, int *fd, uint8_t *dst, size_t *len);

#endif
