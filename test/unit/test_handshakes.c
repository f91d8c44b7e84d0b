/* Whose turn it is. */
#include "net/handshakes.h"

#include "tap.h"

#include <event2/event.h>

static struct event_base *base;
static struct handshakes handshakes;
static struct handshake waiting[6];
static uint64_t cost_us; /* of each */
static int hurry;
static char order[16];
static size_t n;

static int hurries(void *arg)
{
    (void)arg;
    return hurry;
}

static void go_on(struct handshake *handshake, void *arg)
{
    (void)arg;
    ok(!handshakes_waits(handshake), "it waits no more");
    ok(handshakes_may(&handshakes), "and may go on");
    order[n++] = (char)('0' + (handshake - waiting));
    order[n] = '\0';
    handshakes_spent(&handshakes, cost_us);
}

static void turn(const char *want, const char *name)
{
    n = 0;
    order[0] = '\0';
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    is_str(order, want, name);
}

static void test_budget(void)
{
    ok(handshakes_may(&handshakes), "nobody waits, and there is time");
    handshakes_spent(&handshakes, 3900);
    ok(handshakes_may(&handshakes), "there still is");
    handshakes_spent(&handshakes, 200);
    ok(!handshakes_may(&handshakes), "now there is none");
    turn("", "on the next turn");
    ok(handshakes_may(&handshakes), "there is again");
    hurry = 1;
    handshakes_spent(&handshakes, 1100);
    ok(!handshakes_may(&handshakes), "less where others wait");
    hurry = 0;
    ok(handshakes_may(&handshakes), "as long as they do");
    turn("", "the next turn");
}

static void test_order(void)
{
    cost_us = 1500;
    handshakes_wait(&handshakes, &waiting[0], HANDSHAKE_FEW);
    handshakes_wait(&handshakes, &waiting[1], HANDSHAKE_FEW);
    handshakes_wait(&handshakes, &waiting[2], HANDSHAKE_BEGUN);
    handshakes_wait(&handshakes, &waiting[3], HANDSHAKE_FEW);
    handshakes_wait(&handshakes, &waiting[4], HANDSHAKE_BEGUN);
    ok(handshakes_waits(&waiting[3]), "it waits");
    ok(!handshakes_may(&handshakes), "who comes now stands behind them");
    turn("240", "those that were answered first, then by age, as long as there is time");
    handshakes_wait(&handshakes, &waiting[5], HANDSHAKE_FEW);
    turn("135", "the others on the next");
    ok(!handshakes_may(&handshakes), "which has no more time");
    turn("", "the next");
    ok(handshakes_may(&handshakes), "has");
    cost_us = 100000;
    handshakes_wait(&handshakes, &waiting[0], HANDSHAKE_FEW);
    handshakes_wait(&handshakes, &waiting[1], HANDSHAKE_FEW);
    turn("0", "one at least on each");
    turn("1", "turn, however long it takes");
    turn("", "all are through");
}

static void test_crowd(void)
{
    cost_us = 1;
    handshakes_wait(&handshakes, &waiting[0], HANDSHAKE_MANY);
    handshakes_wait(&handshakes, &waiting[1], HANDSHAKE_MANY);
    handshakes_wait(&handshakes, &waiting[2], HANDSHAKE_FEW);
    handshakes_wait(&handshakes, &waiting[3], HANDSHAKE_BEGUN);
    handshakes_wait(&handshakes, &waiting[4], HANDSHAKE_FEW);
    handshakes_wait(&handshakes, &waiting[5], HANDSHAKE_MANY);
    handshakes_forget(&handshakes, &waiting[5]);
    ok(!handshakes_may(&handshakes), "who comes now stands behind somebody");
    turn("32401", "those of a crowd come last");
    turn("", "and are through");
}

static void test_forget(void)
{
    cost_us = 1;
    handshakes_forget(&handshakes, &waiting[0]);
    ok(!handshakes_waits(&waiting[0]), "who does not wait may be forgotten");
    for (int i = 0; i < 4; i++)
        handshakes_wait(&handshakes, &waiting[i], i == 3 ? HANDSHAKE_BEGUN : HANDSHAKE_FEW);
    handshakes_forget(&handshakes, &waiting[1]);
    handshakes_forget(&handshakes, &waiting[3]);
    handshakes_wait(&handshakes, &waiting[4], HANDSHAKE_BEGUN);
    handshakes_forget(&handshakes, &waiting[2]);
    handshakes_wait(&handshakes, &waiting[5], HANDSHAKE_FEW);
    turn("405", "those who are left");
    turn("", "and nobody else");
}

int main(void)
{
    base = event_base_new();
    handshakes_init(&handshakes, base, hurries, go_on, NULL);
    test_budget();
    test_order();
    test_crowd();
    test_forget();
    handshakes_clear(&handshakes);
    event_base_free(base);
    return tap_done();
}
