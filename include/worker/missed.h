/* missed - which notifications some clients have missed: a table of the names of all their rooms,
 * so that a look at one notification costs the same for one client as for thousands.
 *
 * An entry of the history has hashes of its rooms, and most are for nobody who is here: these are
 * told by a bit.  Where a hash is found the names decide, for hashes may be alike.  Knows no
 * sockets. */
#ifndef WORKER_MISSED_H
#define WORKER_MISSED_H

#include "base/slice.h"
#include "ipc/msg.h"

#include <stddef.h>
#include <stdint.h>

struct history_entry;
struct history_view;
struct missed; /* the table */

struct missed_room {
    uint64_t since; /* it is in it from the notification behind that number on */
    const char *name;
    uint32_t len, hash; /* history_hash() */
};

struct missing {   /* one who has missed something */
    uint64_t from; /* position of the first entry that may be for it */
    uint64_t mark; /* missed_choose()'s; 0 at first */
    int failed;    /* rerun.c's; 0 at first */
    const struct missed_room *rooms;
    size_t nrooms;
};

/* Of n of them.  who is borrowed: one in it may become NULL, and is of no account then; their
 * rooms are copied.  NULL without memory. */
struct missed *missed_new(struct missing *const *who, size_t n);
void missed_free(struct missed **missed);

/* 0 if the entry is for none of them; 1: it may be. */
int missed_may(const struct missed *missed, const struct history_entry *entry);

/* Calls visit for each that bc, which is what the entry at that position has, is for.  serial is
 * another number, not 0, at each call for any of them. */
void missed_choose(const struct missed *missed, const struct history_view *view, uint64_t at,
                   const struct msg_broadcast *bc, uint64_t serial,
                   void (*visit)(struct missing *one, void *arg), void *arg);

#endif
