/* What workers tell, what stays of the dead, and rounds of asking. */
#include "master/stats.h"

#include "base/clock.h"
#include "conf.h"
#include "ipc/start.h"
#include "tap.h"

#include <event2/event.h>

#define WAIT_MS 10000

static struct event_base *base;
static struct stats *stats;
static uint32_t asked_id;
static unsigned asked[8]; /* how often each lane was asked */
static int done;
static int gone_when_asked = -1; /* this lane turns out to be dead */

static void on_ask(unsigned lane, uint32_t id, void *arg)
{
    (void)arg;
    asked[lane]++;
    asked_id = id;
    if ((int)lane == gone_when_asked)
        stats_gone(stats, lane);
}

static const struct stats_ops ops = {on_ask};

static void on_done(void *arg)
{
    (*(int *)arg)++;
}

static void tell(unsigned lane, uint32_t id, uint64_t connects, uint64_t clients)
{
    struct counters counters = {{0}};

    counters.at[COUNTER_CONNECTS] = connects;
    counters.at[COUNTER_CLIENTS] = clients;
    stats_told(stats, lane, id, &counters);
}

static uint64_t sum(enum counter which)
{
    struct counters all;

    stats_sum(stats, &all);
    return all.at[which];
}

static uint64_t of(unsigned lane, enum counter which)
{
    struct counters one;

    stats_worker(stats, lane + 1, &one);
    return one.at[which];
}

static void turn(void)
{
    event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Runs the loop until done is so many. */
static void reaches(int times)
{
    for (uint64_t end = clock_ms() + WAIT_MS; done < times && clock_ms() < end;)
        event_base_loop(base, EVLOOP_ONCE);
    is_int(done, times, "the round is over");
}

static void test_values(void)
{
    is_int(stats_workers(stats), 0, "nobody was up yet");
    tell(0, 0, 7, 7);
    is_int(sum(COUNTER_CONNECTS), 0, "who is not up tells nothing");
    stats_up(stats, 0);
    stats_up(stats, 2);
    is_int(stats_workers(stats), 3, "up to the third worker");
    tell(0, 0, 5, 2);
    tell(2, 0, 7, 1);
    tell(2, 0, 8, 0);
    is_int(sum(COUNTER_CONNECTS), 13, "the last that each has told");
    is_int(sum(COUNTER_CLIENTS), 2, "gauges too");
    stats_gone(stats, 0);
    stats_gone(stats, 0);
    is_int(sum(COUNTER_CONNECTS), 13, "a total never goes back");
    is_int(sum(COUNTER_CLIENTS), 0, "gauges do");
    tell(0, 0, 100, 100);
    is_int(sum(COUNTER_CONNECTS), 13, "the dead tell nothing more");
    stats_up(stats, 0);
    tell(0, 0, 1, 1);
    is_int(of(0, COUNTER_CONNECTS), 6, "a successor adds to it");
    is_int(of(0, COUNTER_CLIENTS), 1, "and has gauges of its own");
    is_int(of(1, COUNTER_CONNECTS) + of(7, COUNTER_CONNECTS), 0, "others have nothing");
    stats_up(stats, CONF_WORKERS_MAX);
    tell(CONF_WORKERS_MAX, 0, 3, 3);
    is_int(of(0, COUNTER_CONNECTS), 9, "those of another generation have the same number");
    is_int(of(0, COUNTER_CLIENTS), 4, "and both have clients");
    is_int(stats_workers(stats), 3, "which adds no worker");
    stats_gone(stats, CONF_WORKERS_MAX);
    is_int(of(0, COUNTER_CONNECTS), 9, "what they counted stays");
}

static void test_round(void)
{
    struct stats_wait one = {.done = on_done, .arg = &done}, two = one, three = one;

    uint64_t began = clock_ms();

    done = 0;
    stats_ask(stats, &one);
    ok(asked[0] == 1 && asked[1] == 0 && asked[2] == 1, "those that are up are asked");
    tell(0, asked_id, 2, 1);
    stats_ask(stats, &two);
    stats_ask(stats, &three);
    stats_cancel(stats, &three);
    is_int(asked[0], 1, "who comes later waits for the same answers");
    tell(0, asked_id, 2, 1); /* twice does not count twice */
    tell(2, 0, 8, 0);
    turn();
    ok(done == 0 || clock_ms() - began >= STATS_MS, "unasked news are no answer");
    tell(2, asked_id, 9, 0);
    ok(done == 0 || clock_ms() - began >= STATS_MS, "the end comes from the loop");
    reaches(2);
    turn();
    is_int(done, 2, "once for each that waits");
}

static void test_dead(void)
{
    struct stats_wait wait = {.done = on_done, .arg = &done};
    uint64_t start = clock_ms();

    done = 0;
    stats_ask(stats, &wait);
    tell(0, asked_id, 2, 1);
    stats_gone(stats, 2);
    for (int i = 0; i < 3; i++)
        turn();
    is_int(done, 1, "with the last that is awaited the round is over, in no time");
    reaches(1);
    gone_when_asked = 0;
    stats_ask(stats, &wait);
    for (int i = 0; i < 3; i++)
        turn();
    is_int(done, 2, "also if it dies of the question");
    reaches(2);
    gone_when_asked = -1;
    stats_ask(stats, &wait); /* nobody is left */
    reaches(3);
    ok(clock_ms() - start < 3 * STATS_MS, "the dead count as having answered");
}

static void test_silent(void)
{
    struct stats_wait wait = {.done = on_done, .arg = &done};
    uint64_t start = clock_ms();
    uint32_t old;

    done = 0;
    stats_up(stats, 0);
    stats_up(stats, 2);
    stats_ask(stats, &wait);
    tell(0, asked_id, 3, 1);
    old = asked_id;
    reaches(1);
    ok(clock_ms() - start >= STATS_MS - 50, "who does not answer is waited for, and no longer");
    stats_ask(stats, &wait);
    tell(2, old, 11, 0);
    tell(0, asked_id, 3, 1);
    turn();
    is_int(done, 1, "an answer to an old question is no answer to the new one");
    is_int(of(2, COUNTER_CONNECTS), 9 + 11, "but news");
    tell(2, asked_id, 11, 0);
    reaches(2);
}

static void tell_worst(unsigned lane, uint8_t last, uint32_t strangers)
{
    struct worst worst[2] = {
        {.len = 4, .id = {192, 0, 2, last}, .n = {[WORST_STRANGERS] = strangers}},
        {.len = 4, .id = {192, 0, 2, 99}, .n = {[WORST_STRANGERS] = 1}}};

    stats_worst_told(stats, lane, worst, 2);
}

static void test_worst(void)
{
    struct worst worst[2];

    stats = stats_new(base, &ops, NULL);
    is_int(stats_worst(stats, worst, 2), 0, "no addresses");
    stats_up(stats, 0);
    stats_up(stats, 1);
    stats_up(stats, START_LANES - 1);
    tell_worst(0, 1, 5);
    tell_worst(1, 2, 3);
    tell_worst(2, 3, 90); /* is not up */
    tell_worst(START_LANES - 1, 2, 3);
    is_int(stats_worst(stats, worst, 2), 2, "the two worst");
    ok(worst[0].id[3] == 2 && worst[0].n[WORST_STRANGERS] == 6, "of two workers together");
    is_int(worst[1].id[3], 1, "then the next");
    tell_worst(1, 4, 3);
    is_int(stats_worst(stats, worst, 1), 1, "what a worker says last counts");
    is_int(worst[0].id[3], 1, "in place of what it said before");
    stats_gone(stats, 0);
    ok(stats_worst(stats, worst, 2) == 2 && worst[0].id[3] == 2,
       "of one that has gone nothing does");
    stats_free(&stats);
}

int main(void)
{
    base = event_base_new();
    stats = stats_new(base, &ops, NULL);
    test_values();
    test_round();
    test_dead();
    test_silent();
    stats_free(&stats);
    ok(stats == NULL, "freed");
    test_worst();
    event_base_free(base);
    return tap_done();
}
