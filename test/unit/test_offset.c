#include "codec/offset.h"
#include "tap.h"

static const uint8_t random_a[OFFSETS_RANDOM] = {1, 2, 3}, random_b[OFFSETS_RANDOM] = {4, 5, 6};
static const uint8_t marks[4][OFFSETS_MARK] = {{10}, {20}, {30}, {40}};

static void say(struct offsets *offsets, const char *channel, const char *payload)
{
    offsets_next(offsets, slice_str(channel), slice_str(payload));
}

static struct offsets fresh(const uint8_t random[OFFSETS_RANDOM])
{
    struct offsets offsets;

    offsets_begin(&offsets, random, (struct slice){0});
    return offsets;
}

static void test_agreement(void)
{
    struct offsets a = fresh(random_a), b = fresh(random_b);

    say(&a, "ch", "before b was there");
    ok(offsets_at(&a) != offsets_at(&b), "own offsets are one's own");
    ok(!offsets_shared(&a), "no mark: not shared");
    offsets_mark(&a, marks[0]);
    offsets_mark(&b, marks[0]);
    say(&a, "ch", "1");
    say(&b, "ch", "1");
    ok(offsets_at(&a) != offsets_at(&b),
       "after one mark neither knows the interval before of the other");
    ok(!offsets_shared(&a), "one mark: not shared");
    offsets_mark(&a, marks[1]);
    offsets_mark(&b, marks[1]);
    ok(offsets_at(&a) == offsets_at(&b), "after two they agree");
    ok(offsets_shared(&a) && offsets_shared(&b), "two marks: shared");
    say(&a, "ch", "2");
    ok(offsets_at(&a) != offsets_at(&b), "one is ahead");
    ok(offsets_marked(&a) == offsets_marked(&b), "what is shown by the clock is the same");
    say(&b, "ch", "2");
    ok(offsets_at(&a) == offsets_at(&b), "the other follows");
    ok(offsets_marked(&a) != offsets_at(&a), "a message moves the one and not the other");
}

static void test_gap(void)
{
    struct offsets a = fresh(random_a), b = fresh(random_b);
    uint64_t missed;

    for (int i = 0; i < 2; i++) {
        offsets_mark(&a, marks[i]);
        offsets_mark(&b, marks[i]);
    }
    say(&a, "ch", "seen by one");
    say(&a, "ch", "seen by both");
    say(&b, "ch", "seen by both");
    ok(offsets_at(&a) != offsets_at(&b), "who missed one says otherwise");
    offsets_mark(&a, marks[2]);
    offsets_mark(&b, marks[2]);
    missed = offsets_at(&b);
    ok(offsets_at(&a) != missed, "in the interval behind it, too");
    offsets_mark(&a, marks[3]);
    offsets_mark(&b, marks[3]);
    ok(offsets_at(&a) == offsets_at(&b), "and no more in the one behind that");
}

static void test_order(void)
{
    struct offsets a = fresh(random_a), b = a;

    say(&a, "ch", "1");
    say(&a, "ch", "2");
    say(&b, "ch", "2");
    say(&b, "ch", "1");
    ok(offsets_at(&a) != offsets_at(&b), "another order, another offset");
    a = b;
    say(&a, "ch", "1");
    ok(offsets_at(&a) != offsets_at(&b), "one more of the same");
    a = b = fresh(random_a);
    say(&a, "ch", "annel");
    say(&b, "chan", "nel");
    ok(offsets_at(&a) != offsets_at(&b), "where the channel ends counts");
    a = b = fresh(random_a);
    say(&a, "ch", "");
    ok(offsets_at(&a) != offsets_at(&b), "an empty message is one");
    ok(offsets_marked(&a) == offsets_at(&b), "nothing has come: it is where the mark was");
}

/* All that is not the same for two makes them differ, and nothing else does. */
static void test_parts(void)
{
    uint8_t random[OFFSETS_RANDOM] = {0}, other[OFFSETS_MARK] = {0};
    struct offsets a = fresh(random), b;

    for (size_t i = 0; i < sizeof(random); i++) {
        random[i] = 1;
        b = fresh(random);
        random[i] = 0;
        if (offsets_at(&a) == offsets_at(&b))
            ok(0, "byte %zu of what a subscription begins with counts", i);
    }
    for (size_t i = 0; i < sizeof(other); i++) {
        struct offsets c = a;

        b = a;
        offsets_mark(&b, marks[0]);
        memcpy(other, marks[0], sizeof(other));
        other[i] ^= 1;
        offsets_mark(&c, other);
        if (offsets_at(&b) == offsets_at(&c))
            ok(0, "byte %zu of a mark counts", i);
    }
    b = a;
    say(&b, "c", "p");
    offsets_mark(&b, marks[0]);
    offsets_mark(&a, marks[0]);
    ok(offsets_at(&a) != offsets_at(&b), "the end of the interval before counts");
}

static void test_node(void)
{
    char id[OFFSETS_NODE_MAX + 8];
    struct offsets a, b;

    memset(id, 'a', sizeof(id));
    offsets_begin(&a, random_a, (struct slice){id, 40});
    b = fresh(random_a);
    ok(offsets_at(&a) != offsets_at(&b), "a node is none");
    id[39] = 'b';
    offsets_begin(&b, random_a, (struct slice){id, 40});
    ok(offsets_at(&a) != offsets_at(&b), "another node");
    id[39] = 'a';
    offsets_begin(&b, random_a, (struct slice){id, 40});
    ok(offsets_at(&a) == offsets_at(&b), "the same node");
    offsets_begin(&a, random_a, (struct slice){id, sizeof(id)});
    offsets_begin(&b, random_a, (struct slice){id, OFFSETS_NODE_MAX});
    ok(offsets_at(&a) == offsets_at(&b), "what is too long of an id is cut off");
    offsets_begin(&b, random_a, (struct slice){id, OFFSETS_NODE_MAX - 1});
    ok(offsets_at(&a) != offsets_at(&b), "and no more than that");
}

/* Whoever is shown offsets learns nothing: two streams that are alike but for what others get
 * have nothing in common, and what moves by the clock alone is the same for both. */
static void test_nothing_shown(void)
{
    struct offsets busy = fresh(random_a), idle = busy;
    uint64_t seen[64];
    int same = 0;

    for (int i = 0; i < 32; i++)
        say(&busy, "ch#other#", "secret");
    ok(offsets_marked(&busy) == offsets_marked(&idle),
       "messages of others do not move what is shown");
    for (size_t i = 0; i < 64; i++) {
        say(&busy, "ch#me#", "the same");
        seen[i] = offsets_at(&busy);
        for (size_t j = 0; j < i; j++)
            same += seen[i] == seen[j];
    }
    is_int(same, 0, "the same message again has another offset each time");
}

/* So that nobody changes by accident what daemons of two releases have to agree on. */
static void test_fixed(void)
{
    struct offsets a;

    offsets_begin(&a, random_a, SLICE("node"));
    offsets_mark(&a, marks[0]);
    offsets_mark(&a, marks[1]);
    say(&a, "socket.io#/axr#", "payload");
    ok(offsets_at(&a) == 0x25556cc7ca951142, "%016llx", (unsigned long long)offsets_at(&a));
    ok(offsets_marked(&a) == 0x3fca47e1f7eebde8, "%016llx", (unsigned long long)offsets_marked(&a));
}

static void test_text(void)
{
    static const uint64_t values[] = {1, 0x0123456789abcdef, UINT64_MAX, UINT64_C(1) << 63, 0xff};
    static const char *const bad[] = {"",
                                      "AAAAAAAAAAA", /* 0 */
                                      "AAAAAAAAAAF", /* bits left over */
                                      "AAAAAAAAAE",
                                      "AAAAAAAAAAEA",
                                      "AAAAAAAAAAE=",
                                      "AAAAAAAA+AE",
                                      "AAAA AAAAAE",
                                      "AAAAAAAA/AE",
                                      "AAAAAAA\n\nAE"};
    char text[OFFSET_LEN];
    uint64_t offset;

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        unsigned char *guarded;

        offset_write(text, values[i]);
        guarded = tap_guard(text, sizeof(text));
        offset = 0;
        ok(offset_read((struct slice){(char *)guarded, OFFSET_LEN}, &offset) == 0 &&
               offset == values[i],
           "%llu there and back", (unsigned long long)values[i]);
        tap_guard_free(guarded, sizeof(text));
    }
    offset_write(text, 1);
    is_mem(text, sizeof(text), "AAAAAAAAAAE", 11, "big-endian, base64url");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ok(offset_read(slice_str(bad[i]), &offset) < 0, "not one: %zu", i);
}

int main(void)
{
    test_agreement();
    test_gap();
    test_order();
    test_parts();
    test_node();
    test_nothing_shown();
    test_fixed();
    test_text();
    return tap_done();
}
