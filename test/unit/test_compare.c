/* Two streams that are made up, and a clock. */
#include "master/compare.h"

#include "tap.h"

#include <event2/event.h>

#define NOW 1000000

static struct event_base *base;
static struct conf conf;
static struct compare compare;
static struct overlap_found found;

static struct slice text_of(int number)
{
    static char text[16];

    return (struct slice){text, (size_t)snprintf(text, sizeof(text), "%d", number)};
}

static void begin(void)
{
    compare_clear(&compare);
    compare_begin(&compare);
}

/* So many messages, the first of that number; by 0: all the same. */
static void old_gets(int first, int n, int by)
{
    for (int i = 0; i < n; i++)
        (void)overlap_old(&compare.overlap, SLICE("k#/axr#"), text_of(first + i * by));
}

static void new_gets(int first, int n, int by)
{
    for (int i = 0; i < n; i++)
        (void)overlap_new(&compare.overlap, SLICE("k#/axr#"), text_of(first + i * by));
}

/* Both answer; after so many ms of comparing. */
static enum compare_verdict round_at(uint64_t ms)
{
    overlap_old_mark(&compare.overlap);
    overlap_new_mark(&compare.overlap);
    return compare_judge(&compare, base, &conf, NOW + ms, &found);
}

static void test_known(void)
{
    begin();
    old_gets(1, 10, 1);
    new_gets(8, 3, 1);
    is_int(round_at(0), COMPARE_AGAIN, "messages that differ: all of the new ones may be new");
    is_int(round_at(0), COMPARE_KNOWN, "the next round shows that they are not");
    ok(found.least == 7 && found.most == 7 && !found.apart, "where they go on");
    ok(!marker_is_set(&compare.marker), "without a marker");
}

/* Nothing in common may mean that a replica is late. */
static void test_apart(void)
{
    begin();
    old_gets(1, 3, 1);
    new_gets(8, 3, 1);
    is_int(round_at(0), COMPARE_LATER, "nothing in common");
    is_int(round_at(COMPARE_APART_MS - 1), COMPARE_LATER, "may be late");
    is_int(round_at(COMPARE_APART_MS), COMPARE_KNOWN, "but not for ever");
    begin();
    is_int(round_at(0), COMPARE_LATER, "no message at all: likewise");
    is_int(round_at(COMPARE_APART_MS), COMPARE_KNOWN, "that is known then, too");
    begin();
    old_gets(1, 3, 1);
    new_gets(8, 3, 1);
    (void)round_at(0);
    old_gets(8, 3, 1);
    is_int(round_at(10), COMPARE_KNOWN, "what comes late is found");
    is_int((long)found.least, 3, "where it is");
}

/* Equal messages without end: a marker after some rounds, or some time, ... */
static void test_marker(void)
{
    begin();
    for (int i = 1; i < COMPARE_MARK_ROUNDS; i++) {
        old_gets(1, 5, 0);
        new_gets(1, 5 - (i == 1), 0);
        is_int(round_at(0), COMPARE_AGAIN, "equal messages");
    }
    ok(!marker_is_set(&compare.marker), "no marker yet");
    old_gets(1, 5, 0);
    new_gets(1, 5, 0);
    is_int(round_at(0), COMPARE_AGAIN, "once more");
    ok(marker_is_set(&compare.marker), "and it is published");
    begin();
    ok(!marker_is_set(&compare.marker), "another connection has none");
    old_gets(1, 5, 0);
    new_gets(1, 4, 0);
    (void)round_at(0);
    old_gets(1, 5, 0);
    new_gets(1, 4, 0);
    (void)round_at(COMPARE_MARK_MS - 1);
    ok(!marker_is_set(&compare.marker), "after some time, too: not yet");
    old_gets(1, 5, 0);
    new_gets(1, 4, 0);
    (void)round_at(COMPARE_MARK_MS);
    ok(marker_is_set(&compare.marker), "now");
}

/* ... which tells where both are, whichever has it first. */
static void test_marked(void)
{
    for (int old_first = 0; old_first < 2; old_first++) {
        struct slice channel;
        begin();
        old_gets(1, 9, 0);
        new_gets(1, 5, 0);
        marker_publish(&compare.marker, base, &conf);
        channel =
            (struct slice){(const char *)compare.marker.channel.data, compare.marker.channel.len};
        ok(!compare_mark_old(&compare, SLICE("k#/axr#")), "a message is no marker");
        if (old_first)
            ok(compare_mark_old(&compare, channel), "the old one has it");
        ok(compare_mark_new(&compare, channel), "the new one has it");
        if (!old_first)
            ok(compare_mark_old(&compare, channel), "and the old one");
        is_int(compare_judge(&compare, base, &conf, NOW, &found), COMPARE_KNOWN, "known");
        is_int((long)found.least, 4, "by the difference");
    }
}

static void test_doubt(void)
{
    begin();
    for (int i = 1; i < COMPARE_DOUBT_ROUNDS; i++) {
        old_gets(1, 5, 0);
        new_gets(1, 5 - (i == 1), 0);
        if (round_at(i == 1 ? 0 : COMPARE_DOUBT_MS) != COMPARE_AGAIN)
            ok(0, "round %d", i);
    }
    old_gets(1, 5, 0);
    new_gets(1, 5, 0);
    is_int(round_at(COMPARE_DOUBT_MS - 1), COMPARE_AGAIN, "rounds enough, but not the time");
    old_gets(1, 5, 0);
    new_gets(1, 5, 0);
    is_int(round_at(COMPARE_DOUBT_MS), COMPARE_DOUBT, "both: they are given up");
    ok(found.least < found.most, "the smallest place is taken, and how many may be lost is told");
}

static void test_decide(void)
{
    begin();
    old_gets(1, 10, 1);
    new_gets(8, 1, 1);
    compare_decide(&compare, &found);
    ok(found.least == 7 && !found.apart, "the old one is lost: what is most likely counts");
    begin();
    old_gets(1, 2, 1);
    new_gets(8, 1, 1);
    compare_decide(&compare, &found);
    is_int((long)found.least, 2, "or all that is new counts");
}

int main(void)
{
    static char key[] = "k", nsp[] = "/axr", path[] = "/nowhere/redis.sock";

    conf = (struct conf){.key = key, .nsp = nsp, .redis = {.path = path}, .message_bytes = 1000};
    base = event_base_new();
    test_known();
    test_apart();
    test_marker();
    test_marked();
    test_doubt();
    test_decide();
    compare_clear(&compare);
    event_base_free(base);
    return tap_done();
}
