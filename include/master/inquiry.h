/* inquiry - the queries of other servers: each is asked of the workers that it concerns, and
 * has one answer when all have said what they have to say, or its time is up
 * (socket.io:requestsTimeout, from when it came).
 *
 * Bounds: so many are under way and so many wait, and what has been collected for them is
 * limited.  One that becomes large is alone with that: the next such one begins when redis has
 * taken the answer, and when those who listen have had the time to.  One that has to wait for
 * it is asked anew.  One whose time is up before it could be asked has no answer, which is
 * all that this protocol has for "no".
 *
 * A worker that owes as much as it may (owed.h) is asked nothing more: queries wait for it, but
 * where it hangs they go without it.  A large one that had not the time to end is work for the
 * workers to the end: until then no other begins. */
#ifndef MASTER_INQUIRY_H
#define MASTER_INQUIRY_H

#include "codec/request.h"
#include "ipc/msg.h"
#include "master/responder.h"

#include <stdint.h>

#define INQUIRY_RUNNING_MAX   256
#define INQUIRY_WAITING_MAX   1024
#define INQUIRY_WAITING_BYTES (16UL * 1024 * 1024) /* of the questions that wait */
#define INQUIRY_BYTES         (32UL * 1024 * 1024) /* collected by all that are not large */
#define INQUIRY_LARGE_BYTES   (1024UL * 1024)      /* a large one has collected so much */
#define INQUIRY_LARGE_PACE    (32UL * 1024)        /* bytes a ms: what a listener should take */

struct inquiries;

/* responder is borrowed.  NULL without memory. */
struct inquiries *inquiries_new(struct responder *responder);
void inquiries_free(struct inquiries **inquiries);

/* Asks what request does, which has an id: one that is looked for with inquiries_turn().
 * Returns a number for inquiries_further(); 0: there will be no answer. */
uint32_t inquiries_ask(struct inquiries *inquiries, const struct request *request, uint32_t via,
                       uint64_t now_ms);

/* A further copy of it has come.  Returns 1 if it is answered empty behind the first, 0 if that
 * is over, or none, or too many have come. */
int inquiries_further(struct inquiries *inquiries, uint32_t number, uint32_t via);

/* A MSG_FETCHED.  Returns 0, or -1 if it is malformed. */
int inquiries_fetched(struct inquiries *inquiries, unsigned lane, struct msg *msg);

/* That worker has gone: it has said what it had to say. */
void inquiries_down(struct inquiries *inquiries, unsigned lane);

/* Begins what can begin, and ends what has to end.  Not from within another of these. */
void inquiries_turn(struct inquiries *inquiries, uint64_t now_ms);

/* Those that are under way, or wait, have at most so long from now on. */
void inquiries_hurry(struct inquiries *inquiries, uint64_t now_ms);

/* When inquiries_turn() is to be called next; UINT64_MAX: when something happens. */
uint64_t inquiries_due_ms(const struct inquiries *inquiries, uint64_t now_ms);

#endif
