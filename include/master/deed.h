/* deed - joins, leaves and disconnects that others ask for: told to the workers, and, where
 * it is about one client by its id, answered by whoever has that client. */
#ifndef MASTER_DEED_H
#define MASTER_DEED_H

#include "codec/request.h"
#include "ipc/msg.h"
#include "master/responder.h"
#include "master/seen.h"

#include <stdint.h>

#define DEED_MAX 1024 /* that are to be answered; beyond it others are done all the same */

struct deeds;

/* responder is borrowed.  NULL without memory. */
struct deeds *deeds_new(struct responder *responder);
void deeds_free(struct deeds **deeds);

/* A copy has come that has to be answered: one answer, whatever comes besides.  seen is its
 * own, or NULL where there is none. */
void deeds_counted(struct deeds *deeds, const struct request *request, uint32_t via,
                   struct seen_request *seen, uint64_t now_ms);

/* It has come in its place among the messages: to the workers.  Returns 0, or -1 if it is too
 * long for a pipe or there is no memory: nothing is done. */
int deeds_order(struct deeds *deeds, const struct request *request, struct seen_request *seen,
                uint64_t now_ms);

/* A MSG_ACTED.  Returns 0, or -1 if it is malformed. */
int deeds_acted(struct deeds *deeds, unsigned lane, struct msg *msg);

/* That worker has gone. */
void deeds_down(struct deeds *deeds, unsigned lane);

/* As of inquiries. */
void deeds_turn(struct deeds *deeds, uint64_t now_ms);
uint64_t deeds_due_ms(const struct deeds *deeds);

#endif
