#include "net/wheel.h"

#include "base/clock.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#define BUCKETS 4096 /* of WHEEL_TICK_MS each: 32 s a turn; later entries wait another turn */

struct wheel {
    struct event timer;
    void (*fire)(struct wheel_entry *entry, uint64_t now_ms, void *arg);
    void *arg;
    uint64_t tick;       /* everything due up to this tick has been fired */
    uint64_t armed_tick; /* the timer runs out then; 0: it is not running */
    int running;         /* wheel_turn is on the stack: it arms when it ends */
    struct wheel_entry *firing;
    struct wheel_entry *buckets[BUCKETS];
    uint64_t used[BUCKETS / 64]; /* bit per bucket: it may hold entries */
};

static void entry_link(struct wheel_entry **head, struct wheel_entry *entry)
{
    entry->next = *head;
    entry->prev = head;
    if (*head != NULL)
        (*head)->prev = &entry->next;
    *head = entry;
}

static void entry_unlink(struct wheel_entry *entry)
{
    *entry->prev = entry->next;
    if (entry->next != NULL)
        entry->next->prev = entry->prev;
    entry->prev = NULL;
    entry->next = NULL;
}

/* First tick after wheel->tick whose bucket is in use, or 0 if there is none. */
static uint64_t wheel_next(const struct wheel *wheel)
{
    uint64_t tick = wheel->tick + 1;

    for (unsigned done = 0; done < BUCKETS + 64;) {
        unsigned bucket = tick % BUCKETS;
        uint64_t bits = wheel->used[bucket / 64] >> (bucket % 64);
        if (bits != 0)
            return tick + (unsigned)__builtin_ctzll(bits);
        done += 64 - bucket % 64;
        tick += 64 - bucket % 64;
    }
    return 0;
}

static void wheel_arm(struct wheel *wheel, uint64_t tick)
{
    uint64_t now = clock_ms(), at = tick * WHEEL_TICK_MS;
    uint64_t in = at > now ? at - now : 0;
    struct timeval tv = {(time_t)(in / 1000), (suseconds_t)(in % 1000 * 1000)};

    wheel->armed_tick = tick;
    evtimer_add(&wheel->timer, &tv);
}

static void wheel_turn_bucket(struct wheel *wheel, uint64_t tick, uint64_t now)
{
    unsigned bucket = tick % BUCKETS;

    /* fire() may unset any entry, those still waiting here included, so take
     * them from a head that stays put. */
    wheel->firing = wheel->buckets[bucket];
    if (wheel->firing != NULL)
        wheel->firing->prev = &wheel->firing;
    wheel->buckets[bucket] = NULL;
    wheel->used[bucket / 64] &= ~((uint64_t)1 << bucket % 64);
    while (wheel->firing != NULL) {
        struct wheel_entry *entry = wheel->firing;
        entry_unlink(entry);
        if (entry->due_ms <= now)
            wheel->fire(entry, now, wheel->arg);
        else
            wheel_set(wheel, entry, entry->due_ms);
    }
}

static void wheel_turn(evutil_socket_t fd, short what, void *arg)
{
    struct wheel *wheel = arg;
    uint64_t now = clock_ms(), last = now / WHEEL_TICK_MS, next;

    (void)fd;
    (void)what;
    wheel->running = 1;
    wheel->armed_tick = 0;
    if (last > wheel->tick + BUCKETS)
        wheel->tick = last - BUCKETS;
    while (wheel->tick < last) {
        wheel->tick++;
        wheel_turn_bucket(wheel, wheel->tick, now);
    }
    wheel->running = 0;
    if ((next = wheel_next(wheel)) != 0)
        wheel_arm(wheel, next);
}

struct wheel *wheel_new(struct event_base *base,
                        void (*fire)(struct wheel_entry *entry, uint64_t now_ms, void *arg),
                        void *arg)
{
    struct wheel *wheel = calloc(1, sizeof(*wheel));

    if (wheel == NULL)
        return NULL;
    wheel->fire = fire;
    wheel->arg = arg;
    evtimer_assign(&wheel->timer, base, wheel_turn, wheel);
    return wheel;
}

void wheel_free(struct wheel **wheel)
{
    if (*wheel == NULL)
        return;
    evtimer_del(&(*wheel)->timer);
    free(*wheel);
    *wheel = NULL;
}

void wheel_set(struct wheel *wheel, struct wheel_entry *entry, uint64_t due_ms)
{
    uint64_t tick = (due_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
    unsigned bucket;

    if (entry->prev != NULL)
        entry_unlink(entry);
    /* The timer is off only while every bucket is empty: time may be skipped. */
    if (wheel->armed_tick == 0 && !wheel->running)
        wheel->tick = clock_ms() / WHEEL_TICK_MS;
    if (tick <= wheel->tick)
        tick = wheel->tick + 1;
    entry->due_ms = due_ms;
    bucket = tick % BUCKETS;
    entry_link(&wheel->buckets[bucket], entry);
    wheel->used[bucket / 64] |= (uint64_t)1 << bucket % 64;
    /* An entry due after more than a turn has its bucket come by before that. */
    tick = wheel->tick + 1 + (bucket + BUCKETS - (wheel->tick + 1) % BUCKETS) % BUCKETS;
    if (!wheel->running && (wheel->armed_tick == 0 || tick < wheel->armed_tick))
        wheel_arm(wheel, tick);
}

void wheel_unset(struct wheel *wheel, struct wheel_entry *entry)
{
    (void)wheel; /* the bucket's bit stays: its next turn finds nothing and clears it */
    if (entry->prev != NULL)
        entry_unlink(entry);
}
