#include "master/expect.h"

#include "nomem_nth.h"
#include "tap.h"

static struct directory directory;
static struct expect expect;

static void begin(void)
{
    directory_init(&directory);
    expect_init(&expect);
}

static void end(void)
{
    expect_clear(&expect);
    directory_clear(&directory);
}

/* The rooms are the letters of names, the lanes the digits of lanes. */
static int put(uint32_t id, const char *names, const char *lanes)
{
    struct slices list = {0};
    uint16_t where[16];
    size_t n = strlen(lanes);
    int rc, nth = nomem_nth;

    nomem_nth = 0;
    for (; *names != '\0'; names++)
        if (slices_put(&list, (struct slice){names, 1}) < 0)
            abort();
    for (size_t i = 0; i < n; i++)
        where[i] = (uint16_t)(lanes[i] - '0');
    nomem_nth = nth;
    rc = expect_put(&expect, &directory, id, &list, where, n);
    slices_clear(&list);
    return rc;
}

/* "1 2": who is expected to hold the room called so. */
static const char *held(const char *name)
{
    static char text[64];
    struct listing *listing = directory_find(&directory, slice_str(name));
    const struct held *room = listing != NULL ? listing_room(listing) : NULL;
    int there[16] = {0};
    size_t at = 0, n = 0;
    unsigned lane;

    text[0] = '\0';
    while (room != NULL && (lane = held_next(room, &at)) != HELD_END)
        there[lane] = 1;
    for (int i = 0; i < 16; i++)
        if (there[i])
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%d", n ? " " : "", i);
    return text;
}

static void test_answers(void)
{
    begin();
    is_int(put(7, "ab", "12"), 0, "a join of two rooms goes to two workers");
    is_str(held("a"), "1 2", "which hold the first");
    is_str(held("b"), "1 2", "and the second");
    is_int(put(8, "bc", "23"), 0, "another one");
    is_str(held("b"), "1 2 3", "a room of both");
    expect_settle(&expect, &directory, 7, 3);
    expect_settle(&expect, &directory, 9, 1);
    is_str(held("a"), "1 2", "who was not asked, or for something else, settles nothing");
    expect_settle(&expect, &directory, 7, 2);
    is_str(held("a"), "1", "one has answered");
    is_str(held("b"), "1 2 3", "but to the first only");
    expect_settle(&expect, &directory, 7, 2);
    is_str(held("b"), "1 2 3", "and counts once");
    directory_room_add(&directory, SLICE("a"), 1);
    expect_settle(&expect, &directory, 7, 1);
    is_str(held("a"), "1", "what it has reported before stays");
    expect_settle(&expect, &directory, 8, 3);
    is_str(held("b"), "2", "one that is late");
    expect_settle(&expect, &directory, 8, 2);
    is_str(held("b"), "", "answers, too");
    ok(expect.ids.count == 0 && expect.names == 0 && directory.rooms == 1, "nothing is left");
    is_int(put(9, "a", ""), 0, "a join that goes to nobody");
    is_int(put(9, "", "12"), 0, "or into no room");
    is_int(expect.ids.count, 0, "is not waited for");
    end();
}

static void test_drop(void)
{
    begin();
    put(1, "ab", "12");
    put(2, "b", "1");
    put(3, "c", "3");
    expect_drop_lane(&expect, 1);
    directory_drop_lane(&directory, 1);
    is_int(expect.ids.count, 2, "a worker ends: what only it was to answer is over");
    is_str(held("a"), "2", "the others are waited for");
    expect_settle(&expect, &directory, 1, 1);
    is_str(held("b"), "2", "its successor in that lane settles nothing");
    expect_settle(&expect, &directory, 1, 2);
    is_int(directory.rooms, 1, "they do");
    put(4, "c", "3");
    end();
    is_int(directory.names.count, 0, "what is waited for at the end is freed");
}

static void test_many(void)
{
    static struct slice names[EXPECT_MAX];
    static char bytes[EXPECT_MAX][4];
    static const uint16_t lanes[] = {1, 2};
    struct slices list = {.at = names, .n = EXPECT_MAX / 2};

    begin();
    for (size_t i = 0; i < EXPECT_MAX; i++) {
        memcpy(bytes[i], &i, 4);
        names[i] = (struct slice){bytes[i], 4};
    }
    is_int(expect_put(&expect, &directory, 1, &list, lanes, 2), 0, "as many names as may be");
    ok(directory.rooms == EXPECT_MAX / 2 && expect.nunnamed == 0, "are kept");
    is_int(put(2, "a", "1"), 0, "one more");
    is_str(held("a"), "", "is not");
    ok(expect.unnamed[1] == 1 && expect.nunnamed == 1, "but that there is one");
    expect_settle(&expect, &directory, 1, 2);
    is_int(put(3, "b", "2"), 0, "when one has answered");
    is_str(held("b"), "2", "there is place");
    list.n = EXPECT_MAX;
    is_int(expect_put(&expect, &directory, 4, &list, lanes, 2), 0, "more names at once");
    ok(expect.unnamed[1] == 2 && expect.unnamed[2] == 1 && expect.nunnamed == 3, "are not kept");
    expect_settle(&expect, &directory, 4, 1);
    expect_drop_lane(&expect, 2);
    directory_drop_lane(&directory, 2);
    expect_settle(&expect, &directory, 2, 1);
    ok(expect.unnamed[1] == 0 && expect.unnamed[2] == 0 && expect.nunnamed == 0,
       "until those who hold all have answered, or gone");
    expect_settle(&expect, &directory, 1, 1);
    ok(directory.rooms == 0 && expect.names == 0 && expect.ids.count == 0, "nothing is left");
    end();
}

/* Each allocation fails once: the names of all, or a count for each, or nothing. */
static void test_memory(void)
{
    int refused = 0, unnamed = 0, wrong = 0;

    begin();
    for (int nth = 1;; nth++) {
        int rc;
        nomem_nth = nth;
        rc = put(1, "abc", "123");
        if (nomem_nth > 0) {
            nomem_nth = 0;
            wrong += rc != 0 || directory.rooms != 3 || expect.names != 9;
            break;
        }
        nomem_nth = 0;
        refused += rc < 0;
        unnamed += expect.nunnamed == 3;
        wrong += directory.rooms != 0 || expect.names != 0;
        wrong += expect.ids.count != (rc < 0 ? 0 : 1);
        for (unsigned lane = 1; lane <= 3; lane++)
            expect_settle(&expect, &directory, 1, lane);
        wrong += expect.nunnamed != 0 || expect.ids.count != 0;
    }
    ok(wrong == 0, "without memory it is all or nothing");
    is_int(refused, 2, "refused where there is none for the join itself");
    ok(unnamed >= 7, "without names where there is none for these (%d times)", unnamed);
    end();
}

int main(void)
{
    test_answers();
    test_drop();
    test_many();
    test_memory();
    return tap_done();
}
