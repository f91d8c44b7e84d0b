/* emission - broadcasts whose clients are to acknowledge them: sent to the workers, counted,
 * and each acknowledgement passed on.
 *
 * Each copy of such a request that has to be answered gets one answer of type 8; one of them
 * has the number of clients, the others, behind it, 0, and no acknowledgement comes before that
 * number.  The copy that is carried out may be another one than the first that has to be
 * answered, and come before it or after. */
#ifndef MASTER_EMISSION_H
#define MASTER_EMISSION_H

#include "codec/request.h"
#include "ipc/msg.h"
#include "master/responder.h"
#include "master/seen.h"

#include <stddef.h>
#include <stdint.h>

#define EMISSION_MAX        10000                /* beyond it the oldest ends */
#define EMISSION_TIMEOUT_MS 3600000              /* a longer one is cut to this */
#define EMISSION_HELD_BYTES (16UL * 1024 * 1024) /* acknowledgements that wait for the number */

struct emission_stats {
    uint64_t acks, lost; /* passed on; not */
};

struct emissions;

/* responder is borrowed.  NULL without memory. */
struct emissions *emissions_new(struct responder *responder);
void emissions_free(struct emissions **emissions);

/* A copy has come that has to be answered.  seen is its own, or NULL without memory. */
void emissions_counted(struct emissions *emissions, const struct request *request, uint32_t via,
                       struct seen_request *seen, uint64_t now_ms);

/* It has come in its place among the messages: to the workers.  Clients are to acknowledge it
 * even where nobody is to hear of that, for they have been promised whom to call. */
void emissions_order(struct emissions *emissions, const struct request *request,
                     struct seen_request *seen, uint64_t now_ms);

/* MSG_REACHED and MSG_ACK.  Return 0, or -1 if it is malformed, or 1 without memory. */
int emissions_reached(struct emissions *emissions, unsigned lane, struct msg *msg);
int emissions_ack(struct emissions *emissions, unsigned lane, struct msg *msg);

/* That worker has gone. */
void emissions_down(struct emissions *emissions, unsigned lane);

/* As of inquiries. */
void emissions_turn(struct emissions *emissions, uint64_t now_ms);
uint64_t emissions_due_ms(const struct emissions *emissions);

const struct emission_stats *emissions_stats(const struct emissions *emissions);

#endif
