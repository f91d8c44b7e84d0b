/* fanout - one event for many sockets: framed once for each encoding, when the first
 * socket that needs it comes. */
#ifndef SIO_FANOUT_H
#define SIO_FANOUT_H

#include "net/chunk.h"
#include "sio/socket.h"

#include <stddef.h>
#include <stdint.h>

#define FANOUT_TAIL (OFFSET_LEN + 3) /* ,"..." */

/* json is the array without its closing bracket.  All is borrowed until fanout_end. */
struct fanout {
    struct sio *sio;
    struct slice json;
    const struct slice *attachments;
    size_t nattachments;
    int is_volatile;
    uint64_t serial; /* of this fan-out: marks who has got it */
    uint32_t stamp;  /* fanout_received(); 0: unknown */
    uint16_t made;   /* bit per run */
    uint8_t failed;
    uint8_t is_acked; /* fanout_ack() */
    uint8_t to;       /* enum nsp_state of those whom it is for */
    uint8_t shift;    /* from the run of an encoding to that with the offset; 0: it has none */
    uint64_t ack_id;
    char tail[FANOUT_TAIL];
    struct run runs[EIO_LOGS]; /* of each encoding, and the same with the offset */
};

void fanout_begin(struct sio *sio, struct fanout *fanout, struct slice json,
                  const struct slice *attachments, size_t nattachments, int is_volatile);
/* When it was received, on the clock of clock_us(): for net_stats.latency.
 * Right after fanout_begin; 0, or not called: it is not measured. */
void fanout_received(struct fanout *fanout, uint64_t at_us);
/* Its clients are to acknowledge it, all with this id; it has no offset, for such an event would
 * not be taken for missed.  Right after fanout_begin. */
void fanout_ack(struct fanout *fanout, uint64_t id);
/* Those that may recover their sessions get the offset as one more argument.  Right after
 * fanout_begin; 0, or not called: there is none. */
void fanout_offset(struct fanout *fanout, uint64_t offset);
/* It is for those in NSP_REPLAYING, and for nobody else.  Right after fanout_begin. */
void fanout_replay(struct fanout *fanout);
/* Bytes that fanout_send() would put into the queue of that socket, which is one that recovers,
 * without what it takes to know of them (net/chunk.h: struct run).  Nothing is made. */
size_t fanout_cost(const struct fanout *fanout, const struct socket *socket);
/* 1 if the socket is one that it is for, and neither excepted nor served by this fan-out yet:
 * whether fanout_send() can queue it or not, it is one of those who are meant. */
int fanout_concerns(const struct fanout *fanout, const struct socket *socket);
/* The socket gets nothing of this fan-out. */
void fanout_except(struct fanout *fanout, struct socket *socket);
/* Queues it for the socket, once however often it is called.  Returns 1 if queued.
 * A socket that cannot take it ends on the loop's next turn, never in here:
 * the caller may be walking over a room. */
int fanout_send(struct fanout *fanout, struct socket *socket);
/* The same for each that is in the namespace. */
void fanout_send_all(struct fanout *fanout);
/* It will be sent to the socket soon: has the CPU fetch what that takes. */
void fanout_soon(const struct socket *socket);
void fanout_end(struct fanout *fanout);

#endif
