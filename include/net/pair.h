/* pair - a connection of one worker that another one serves: the two ends of a pair of
 * sockets, and what is said beside the bytes.
 *
 * The state of TLS does not go along with a descriptor.  So the worker that accepted such a
 * connection keeps it, passes one end of a pair to the worker that has the session, and
 * carries the bytes between the other end and the client (http/carry.c).  It cannot see whom
 * it carries them for: that is said by the other worker, in one byte that a descriptor comes
 * with.  So marked it is told from the client's bytes wherever it comes among them, since the
 * kernel ends a read behind a descriptor (unix(7)). */
#ifndef NET_PAIR_H
#define NET_PAIR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the kernel takes of bytes that nobody reads at the other end: it counts its own
 * memory for them, and as much again. */
#define PAIR_SNDBUF_BYTES 16384

enum pair_says { /* 0, until something else is said: it serves a stranger, or nobody yet */
                 PAIR_USER = 1,   /* whom it serves has shown a good token: conn->stranger is 0 */
                 PAIR_STREAMS = 2 /* ... and it is a WebSocket: conn->streams */
};

/* Both non-blocking and close-on-exec.  Returns 0, or -1 with errno. */
int pair_make(int fds[2]);

/* Says to the other end what holds from now on: bits of enum pair_says.  Returns 0, or -1
 * with errno: nothing was said. */
int pair_say(int fd, unsigned says);

/* As recv(2) without waiting, and *says is what the other end has said, or -1.  What was
 * said alone comes as *len 0.  Returns 1, 0 at the end, or -1 with errno. */
int pair_receive(int fd, void *dst, size_t cap, size_t *len, int *says);

#endif
