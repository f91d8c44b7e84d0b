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

static struct handshake_list *list_of(struct handshakes *handshakes,
                                      const struct handshake *handshake)
{
    return handshakes->fresh.tail == &handshake->next ? &handshakes->fresh : &handshakes->begun;
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

static struct handshake *next_of(struct handshakes *handshakes)
{
    struct handshake *first = handshakes->begun.first;

    return first != NULL ? first : handshakes->fresh.first;
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
    handshakes->begun.tail = &handshakes->begun.first;
    handshakes->fresh.tail = &handshakes->fresh.first;
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
    return handshakes->begun.first == NULL && handshakes->fresh.first == NULL &&
           handshakes->spent_us < slice_us(handshakes);
}

void handshakes_wait(struct handshakes *handshakes, struct handshake *handshake, int begun)
{
    list_add(begun ? &handshakes->begun : &handshakes->fresh, handshake);
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
