/* user - the connections of one user, in the order of their admission.
 *
 * A connection is the worker that has it and the worker's handle for it.  One
 * that is told to leave stays among them until its worker says that it has gone,
 * but counts no more.  Most users have one connection, which is kept without an
 * allocation; several cost 16 bytes each, and 4 more in a crowd, where none is looked
 * for by a walk. */
#ifndef MASTER_USER_H
#define MASTER_USER_H

#include <stddef.h>
#include <stdint.h>

#define USER_LANE_MAX 0xfffd /* the largest lane */
#define USER_END      0xffff

struct crowd;

struct user { /* user_init or user_drop_all makes it valid; fields are private */
    union {
        uint64_t handle;
        struct crowd *crowd;
    } at;
    uint16_t lane; /* of the only connection, or what says that there is a crowd, or none */
};

/* With one connection, without memory of its own. */
void user_init(struct user *user, unsigned lane, uint64_t handle);

/* Frees all; it has none then. */
void user_drop_all(struct user *user);

/* One more, the newest.  Returns 0, or -1 without memory (nothing changed). */
int user_add(struct user *user, unsigned lane, uint64_t handle);

/* One less.  Returns 0, or -1 if it is not there. */
int user_take(struct user *user, unsigned lane, uint64_t handle);

/* All of one worker. */
void user_drop_lane(struct user *user, unsigned lane);

/* How many there are, and how many of them have not been told to leave. */
size_t user_count(const struct user *user);
size_t user_staying(const struct user *user);

/* The oldest that stays: which it is, and (user_oust) that it is told to leave.
 * Returns 0, or -1 if none stays. */
int user_oldest(const struct user *user, unsigned *lane, uint64_t *handle);
int user_oust(struct user *user);

/* That one is told to leave, wherever it stands; nothing changes if it has been already.
 * Returns 0, or -1 if it is not there or without memory (nothing changed). */
int user_oust_one(struct user *user, unsigned lane, uint64_t handle);

/* The lanes of all, in the order of admission, each as often as it has connections, and in
 * *handle (unless NULL) which that is: *at is 0 at first.  USER_END at the end. */
unsigned user_next(const struct user *user, size_t *at, uint64_t *handle);

#endif
