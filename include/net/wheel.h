/* wheel - deadlines of many clients for the price of two pointers each.
 *
 * A hashed timer wheel over one libevent timer that is armed only for the next
 * bucket in use.  Deadlines are met within WHEEL_TICK_MS after their time, never
 * before. */
#ifndef NET_WHEEL_H
#define NET_WHEEL_H

#include <stdint.h>

#define WHEEL_TICK_MS 8

struct event_base;
struct wheel;

struct wheel_entry { /* zero-initialised: not set */
    struct wheel_entry *next, **prev;
    uint64_t due_ms; /* clock_ms */
};

/* fire is called with the entry unset; it may set it again, or free it. */
struct wheel *wheel_new(struct event_base *base,
                        void (*fire)(struct wheel_entry *entry, uint64_t now_ms, void *arg),
                        void *arg);
void wheel_free(struct wheel **wheel);

/* Sets or moves. */
void wheel_set(struct wheel *wheel, struct wheel_entry *entry, uint64_t due_ms);
void wheel_unset(struct wheel *wheel, struct wheel_entry *entry);

#endif
