/* Packets that are collected: their parts, and who is given up for whom. */
#include "sio/inbound.h"

#include "tap.h"

#define MB 1048576

static struct inbounds all;
static uint64_t given_up;
static char bytes[40 * MB];

static void test_parts(void)
{
    struct slice parts[INBOUND_PARTS];
    struct inbound *owner = NULL, *taken;

    inbounds_init(&all, &given_up);
    is_int(inbound_begin(&all, &owner), 0, "begun");
    ok(owner != NULL && all.bytes > 0, "its owner has it");
    inbound_parts(owner, parts);
    is_int((long)(parts[0].len + parts[10].len), 0, "with nothing in it");
    is_int(inbound_put(owner, SLICE("text")), 0, "its text");
    is_int(inbound_put(owner, (struct slice){NULL, 0}), 0, "an empty part");
    is_int(inbound_put(owner, SLICE("\1\2")), 0, "two bytes");
    is_int((long)inbound_bytes(owner), 6, "so many bytes");
    taken = inbound_take(&owner);
    ok(owner == NULL && taken != NULL, "taken");
    is_int((long)all.bytes, 0, "it is counted no more");
    ok(all.first == NULL && all.last == &all.first, "nor in the list");
    inbound_parts(taken, parts);
    ok(slice_eq(parts[0], SLICE("text")) && parts[1].len == 0 && slice_eq(parts[2], SLICE("\1\2")),
       "its parts");
    for (int i = 3; i < INBOUND_PARTS; i++)
        ok(parts[i].len == 0 && parts[i].ptr != NULL, "part %d is empty", i);
    inbound_free(&taken);
    inbound_free(&taken);
    ok(taken == NULL, "freed");
}

static void put(struct inbound *inbound, size_t n)
{
    if (inbound_put(inbound, (struct slice){bytes, n}) < 0)
        abort();
}

static void test_given_up(void)
{
    struct inbound *one = NULL, *two = NULL, *three = NULL;

    inbounds_init(&all, &given_up);
    inbound_begin(&all, &one);
    inbound_begin(&all, &two);
    inbound_begin(&all, &three);
    put(one, 8 * MB);
    put(two, 8 * MB);
    put(three, 8 * MB);
    is_int((long)given_up, 0, "there is room for three");
    put(two, 7 * MB);
    ok(one == NULL && two != NULL && three != NULL, "not for more: the oldest is given up");
    is_int((long)given_up, 1, "and counted");
    put(two, 15 * MB);
    ok(three == NULL && two != NULL, "then the next, and not the one that grows");
    is_int((long)given_up, 2, "counted");
    ok(all.bytes > INBOUND_MAX_BYTES, "which may be as large as it is by itself");
    inbound_begin(&all, &one);
    ok(two != NULL, "who begins takes nobody's place");
    put(one, 1);
    ok(two == NULL && one != NULL, "who grows takes that of one that is as large");
    is_int((long)given_up, 3, "counted");
    inbound_begin(&all, &two);
    inbound_begin(&all, &three);
    inbound_free(&two);
    put(three, 33 * MB);
    ok(one == NULL && three != NULL, "one in the middle has gone, the list goes on");
    inbound_free(&three);
    inbound_free(&one);
    is_int((long)all.bytes, 0, "nothing is held");
    ok(all.first == NULL && all.last == &all.first, "by nobody");
}

/* Many that never get their attachments. */
static void test_many(void)
{
    static struct inbound *owners[100000];
    size_t left = 0;

    inbounds_init(&all, &given_up);
    given_up = 0;
    for (size_t i = 0; i < 100000; i++) {
        if (inbound_begin(&all, &owners[i]) < 0)
            abort();
        put(owners[i], 1000);
    }
    for (size_t i = 0; i < 100000; i++)
        left += owners[i] != NULL;
    ok(all.bytes <= INBOUND_MAX_BYTES, "they hold no more than there is: %zu", all.bytes);
    is_int((long)(left + given_up), 100000, "each is there or was given up");
    ok(owners[0] == NULL && owners[99999] != NULL, "the oldest were");
    for (size_t i = 0; i < 100000; i++)
        inbound_free(&owners[i]);
    is_int((long)all.bytes, 0, "nothing is held");
}

int main(void)
{
    test_parts();
    test_given_up();
    test_many();
    return tap_done();
}
