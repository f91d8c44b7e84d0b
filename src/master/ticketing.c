#include "master/ticketing.h"

#include "base/log.h"

#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define TURN_S 28800 /* eight hours: a session is good for twice as long: net/tls_context.c */

struct ticketing {
    ticketing_fn *fn;
    void *arg;
    struct event *timer;
    struct tickets keys; /* that which makes them, older ones, and the next as the last */
};

static int fill(struct ticket_key *key)
{
    int rc = RAND_bytes((unsigned char *)key, (int)sizeof(*key)) == 1 ? 0 : -1;

    ERR_clear_error();
    return rc;
}

/* The last becomes the first, and another the last: of as many as there may be the oldest
 * goes. */
void ticketing_turn(struct ticketing *ticketing)
{
    struct tickets *keys = &ticketing->keys, next = {.n = keys->n};

    if (next.n < TICKETS_MAX)
        next.n++;
    next.at[0] = keys->at[keys->n - 1];
    memcpy(&next.at[1], &keys->at[0], (next.n - 2) * sizeof(next.at[0]));
    if (fill(&next.at[next.n - 1]) < 0) {
        log_event(ERROR, "tickets_kept",
                  "no chance for the keys of TLS tickets: the old ones stay for eight hours more");
    } else {
        *keys = next;
        ticketing->fn(keys, ticketing->arg);
    }
    explicit_bzero(&next, sizeof(next));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ticketing_turn(arg);
}

struct ticketing *ticketing_new(struct event_base *base, ticketing_fn *fn, void *arg)
{
    const struct timeval every = {TURN_S, 0};
    struct ticketing *ticketing = calloc(1, sizeof(*ticketing));

    if (ticketing == NULL)
        return NULL;
    ticketing->fn = fn;
    ticketing->arg = arg;
    ticketing->keys.n = 2;
    ticketing->timer = event_new(base, -1, EV_PERSIST, on_timer, ticketing);
    if (ticketing->timer == NULL || event_add(ticketing->timer, &every) < 0 ||
        fill(&ticketing->keys.at[0]) < 0 || fill(&ticketing->keys.at[1]) < 0)
        ticketing_free(&ticketing);
    return ticketing;
}

void ticketing_free(struct ticketing **ticketingp)
{
    struct ticketing *ticketing = *ticketingp;

    if (ticketing == NULL)
        return;
    *ticketingp = NULL;
    if (ticketing->timer != NULL)
        event_free(ticketing->timer);
    ticketing_wipe(ticketing);
    free(ticketing);
}

struct tickets *ticketing_keys(struct ticketing *ticketing)
{
    return &ticketing->keys;
}

void ticketing_wipe(struct ticketing *ticketing)
{
    explicit_bzero(&ticketing->keys, sizeof(ticketing->keys));
}
