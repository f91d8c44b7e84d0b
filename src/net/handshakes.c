#include "net/handshakes.h"

#include <event2/event.h>

#define SLICE_US 4000 /* on a turn of the loop */
#define HURRY_US 1000 /* ... that others wait for */

static uint64_t slice_us(const struct handshakes *handshakes)
{
    return handshakes->hurries(handshakes->arg) ? HURRY_US : SLICE_US;
}

static void list_add(struct handshake_list *list, struct handshake *handshake)
{
    handshake->next = NULL;
    handshake->prev = list->tail;
    *list->tail = handshake;
    list->tail = &handshake->next;
}

/* That of which it is the last. */
static struct handshake_list *list_of(struct handshakes *handshakes,
                                      const struct handshake *handshake)
{
    struct handshake_list *list = handshakes->lists;

    while (list->tail != &handshake->next)
        list++;
    return list;
}

void handshakes_forget(struct handshakes *handshakes, struct handshake *handshake)
{
    if (handshake->prev == NULL)
        return;
    if (handshake->next != NULL)
        handshake->next->prev = handshake->prev;
    else
        list_of(handshakes, handshake)->tail = handshake->prev;
    *handshake->prev = handshake->next;
    *handshake = (struct handshake){NULL, NULL};
}

/* A timer, as for the flush: the sockets are looked at in between. */
static void arm(struct handshakes *handshakes)
{
    static const struct timeval now = {0, 0};

    if (!evtimer_pending(&handshakes->timer, NULL))
        evtimer_add(&handshakes->timer, &now);
}

static struct handshake *next_of(const struct handshakes *handshakes)
{
    for (int rank = 0; rank < HANDSHAKE_RANKS; rank++)
        if (handshakes->lists[rank].first != NULL)
            return handshakes->lists[rank].first;
    return NULL;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct handshakes *handshakes = arg;
    uint64_t slice = slice_us(handshakes);
    struct handshake *next;

    (void)fd;
    (void)what;
    handshakes->spent_us = 0;
    while (handshakes->spent_us < slice && (next = next_of(handshakes)) != NULL) {
        handshakes_forget(handshakes, next);
        handshakes->going_on = 1;
        handshakes->go_on(next, handshakes->arg);
        handshakes->going_on = 0;
    }
    if (next_of(handshakes) != NULL)
        arm(handshakes);
}

void handshakes_init(struct handshakes *handshakes, struct event_base *base,
                     int (*hurries)(void *arg),
                     void (*go_on)(struct handshake *handshake, void *arg), void *arg)
{
    *handshakes = (struct handshakes){.hurries = hurries, .go_on = go_on, .arg = arg};
    for (int rank = 0; rank < HANDSHAKE_RANKS; rank++)
        handshakes->lists[rank].tail = &handshakes->lists[rank].first;
    evtimer_assign(&handshakes->timer, base, on_turn, handshakes);
}

void handshakes_clear(struct handshakes *handshakes)
{
    event_del(&handshakes->timer);
}

int handshakes_may(const struct handshakes *handshakes)
{
    if (handshakes->going_on)
        return 1;
    return next_of(handshakes) == NULL && handshakes->spent_us < slice_us(handshakes);
}

void handshakes_wait(struct handshakes *handshakes, struct handshake *handshake,
                     enum handshake_rank rank)
{
    list_add(&handshakes->lists[rank], handshake);
    arm(handshakes);
}

int handshakes_waits(const struct handshake *handshake)
{
    return handshake->prev != NULL;
}

void handshakes_spent(struct handshakes *handshakes, uint64_t us)
{
    handshakes->spent_us += us;
    arm(handshakes);
}
