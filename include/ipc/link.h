/* link - messages over a pair of pipes: one end of it, on a libevent loop.
 *
 * Reads may be partial; writes never block: what the pipe does not take waits
 * in a queue with a limit.  Policy when it is full: link_send() refuses, and its
 * caller gives the peer up (the master replaces the worker, whose clients then
 * reconnect; the worker leaves): nothing is dropped in silence.
 * Where memory for what comes is out, it waits in the pipe, and reading is tried again
 * every 100 ms: until the other end's queue is full.
 * Messages that are sent in one turn of the loop leave in one write. */
#ifndef IPC_LINK_H
#define IPC_LINK_H

#include "base/buf.h"
#include "ipc/msg.h"

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct link;

struct link_ops {
    /* One whole message, valid until the handler returns.  Return 0; or -1 if
     * it is malformed: then closed() is called next; or 1 if there is no memory for
     * it: then it is handed over again, 100 ms later; or, where the handler has stopped
     * reading, when that goes on.  The handler may link_send, link_flush and
     * link_read_enable, but not link_free. */
    int (*message)(struct link *link, struct msg *msg, void *arg);
    /* After a batch of messages: when nothing more can be read now, or the turn
     * is over, or closed() is next.  May be NULL.  Not link_free here either. */
    void (*batch_end)(struct link *link, void *arg);
    /* The other end has gone (link_peer_closed), sent a malformed message, or an
     * error came; why says it in a word or two, for the log.  Called once, from the loop, never
     * from within the functions below; link_free is allowed here.  A link that is not freed then
     * reads nothing more and refuses to send. */
    void (*closed)(struct link *link, const char *why, void *arg);
};

struct link_options {
    size_t message_max; /* bytes of one message, without its length field */
    size_t queue_max;   /* bytes that may wait to be written */
    size_t turn_bytes;  /* about how much to read before the loop gets its turn */
};

/* Takes both descriptors (non-blocking, close-on-exec are set here); either may
 * be -1 for a one-way link.  Reading is on.  Copies options and ops.  Returns
 * NULL without memory (descriptors stay the caller's).  SIGPIPE must be ignored.
 * A link that only writes notices that its reader has gone when it next writes. */
struct link *link_new(struct event_base *base, int read_fd, int write_fd,
                      const struct link_options *options, const struct link_ops *ops, void *arg);

/* Closes the descriptors and frees; what was queued is lost. */
void link_free(struct link **link);

/* Queues len bytes of one or more whole messages (copied); they leave at the end
 * of this turn of the loop.  Returns 0, or -1 when the queue is full, memory is
 * out or the link is closed; then nothing of them is queued. */
int link_send(struct link *link, const void *messages, size_t len);

/* Writes what it can now.  0 if the queue is empty, 1 if some is left, -1 on an
 * error or a closed link (closed() then comes from the loop, if it has not yet). */
int link_flush(struct link *link);

/* 1 if the link is over because the other end has closed its pipes, between two
 * messages. */
int link_peer_closed(const struct link *link);

/* Overwrites what waits, if there are keys in it: for a child that has no use for the
 * link, and does nothing else with it. */
void link_wipe(struct link *link);

/* Another limit for what may wait; what waits already stays. */
void link_queue_max(struct link *link, size_t bytes);

/* Bytes waiting, and since when (clock_ms of the last progress while not empty; 0
 * when empty): the master's sign that a worker has stopped reading. */
size_t link_queued(const struct link *link);
uint64_t link_stalled_since(const struct link *link);

/* Stops reading (0) or goes on (1); in a handler it holds from the next message
 * on.  While it is off nobody notices that the other end has gone. */
void link_read_enable(struct link *link, int on);

#endif
