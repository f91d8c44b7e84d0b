/* throttle - what is handed on rests while whoever takes it is behind.
 *
 * A queue that overflows costs all clients behind it more than it costs them that what
 * comes next is read later. */
#ifndef MASTER_THROTTLE_H
#define MASTER_THROTTLE_H

#include <stddef.h>
#include <stdint.h>

#define THROTTLE_ASK_BYTES (64UL * 1024) /* are handed on before it is asked who is behind */
#define THROTTLE_MAX_MS    100           /* of a rest: whoever sends must not seem to be silent */

struct event;
struct event_base;

struct throttle_ops {
    /* 1 while much of what was handed on waits further on, and is on its way. */
    int (*behind)(void *arg);
    /* A rest is over. */
    void (*resume)(void *arg);
};

struct throttle { /* fields are private */
    const struct throttle_ops *ops;
    void *arg;
    struct event *timer;
    size_t handed;     /* bytes since it was asked who is behind */
    uint64_t since_ms; /* of the rest; 0: there is none */
};

/* ops is borrowed.  Returns 0, or -1 without memory; throttle_clear() undoes either. */
int throttle_init(struct throttle *throttle, struct event_base *base,
                  const struct throttle_ops *ops, void *arg);
void throttle_clear(struct throttle *throttle);

/* So many bytes have been handed on.  Returns 1 if a rest begins with them: nothing more is
 * to be until ops->resume; else 0. */
int throttle_handed(struct throttle *throttle, size_t bytes);

/* 1 during a rest. */
int throttle_rests(const struct throttle *throttle);

#endif
