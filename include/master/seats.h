/* seats - the connections of one user, in the order of their admission.
 *
 * A connection is the worker that has it and the worker's handle for it.  One
 * that is told to leave keeps its seat until its worker says that it has gone,
 * but counts no more; only the oldest that stays is told to.  Most users have
 * one connection, which is kept without an allocation; several cost 16 bytes
 * each, and 4 more in a crowd, where none is looked for by a walk. */
#ifndef MASTER_SEATS_H
#define MASTER_SEATS_H

#include <stddef.h>
#include <stdint.h>

#define SEATS_SLOT_MAX 0xfffd /* the largest slot */
#define SEATS_END      0xffff

struct crowd;

struct seats { /* seats_init or seats_drop_all makes it valid; fields are private */
    union {
        uint64_t handle;
        struct crowd *crowd;
    } at;
    uint16_t slot; /* of the only connection, or what says that there is a crowd, or none */
};

/* With one connection, without memory of its own. */
void seats_init(struct seats *seats, unsigned slot, uint64_t handle);

/* Frees all; it has none then. */
void seats_drop_all(struct seats *seats);

/* One more, the newest.  Returns 0, or -1 without memory (nothing changed). */
int seats_add(struct seats *seats, unsigned slot, uint64_t handle);

/* One less.  Returns 0, or -1 if it is not there. */
int seats_take(struct seats *seats, unsigned slot, uint64_t handle);

/* All of one worker. */
void seats_drop_slot(struct seats *seats, unsigned slot);

/* How many there are, and how many of them have not been told to leave. */
size_t seats_count(const struct seats *seats);
size_t seats_staying(const struct seats *seats);

/* The oldest that stays: which it is, and (seats_oust) that it is told to leave.
 * Returns 0, or -1 if none stays. */
int seats_oldest(const struct seats *seats, unsigned *slot, uint64_t *handle);
int seats_oust(struct seats *seats);

/* The slots of all, in the order of admission, each as often as it has connections:
 * *at is 0 at first.  SEATS_END at the end. */
unsigned seats_next(const struct seats *seats, size_t *at);

#endif
