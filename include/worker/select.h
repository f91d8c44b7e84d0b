/* select - whom a request of the master means: those in some rooms, or all, but for those
 * in others. */
#ifndef WORKER_SELECT_H
#define WORKER_SELECT_H

#include "base/slices.h"

#include <stddef.h>
#include <stdint.h>

struct engine;
struct rooms;

struct who {         /* as in ipc/msg.h */
    unsigned select; /* enum msg_select */
    struct slices rooms, except;
};

/* Clients by their sockets' handles: they may go while the list is worked off.  Zero is one
 * that is empty, and valid. */
struct handles {
    uint64_t *at;
    size_t n, cap;
};

void handles_clear(struct handles *handles);

/* Appends each of those who are in and meant, once.  Returns 0, or -1 without memory. */
int select_handles(struct engine *engine, const struct rooms *rooms, const struct who *who,
                   struct handles *handles);

#endif
