#include "master/held.h"

#include "nomem_nth.h"
#include "tap.h"

/* "3 1": the workers, in the order in which they come. */
static const char *lanes(const struct held *held)
{
    static char text[256];
    size_t at = 0, n = 0;
    unsigned lane;

    text[0] = '\0';
    while ((lane = held_next(held, &at)) != HELD_END && n < sizeof(text) - 8)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u", n ? " " : "", lane);
    return text;
}

static void test_one(void)
{
    struct held held;

    is_int(sizeof(held), 16, "one worker costs 16 bytes");
    held_init(&held, 3);
    is_str(lanes(&held), "3", "one client of one worker");
    is_int(held_add(&held, 3), 0, "one more");
    held_take(&held, 3);
    ok(!held_is_empty(&held), "one of two goes");
    is_str(lanes(&held), "3", "it is held");
    held_take(&held, 3);
    ok(held_is_empty(&held), "the other goes");
    is_str(lanes(&held), "", "nobody holds it");
    is_int(held_add(&held, 1), 0, "somebody comes again");
    held_drop_lane(&held, 2);
    is_str(lanes(&held), "1", "another worker's end does not matter");
    held_drop_lane(&held, 1);
    ok(held_is_empty(&held), "its own does");
}

static void test_several(void)
{
    struct held held;

    held_init(&held, 3);
    held_add(&held, 3);
    held_add(&held, 1);
    held_add(&held, HELD_LANE_MAX);
    held_add(&held, 1);
    is_str(lanes(&held), "3 1 65533", "several workers: each once");
    held_take(&held, 1);
    is_str(lanes(&held), "3 1 65533", "one of two goes");
    held_drop_lane(&held, 3);
    is_str(lanes(&held), "65533 1", "a worker ends, with two");
    held_drop_lane(&held, 3);
    held_drop_lane(&held, 9);
    is_str(lanes(&held), "65533 1", "once");
    held_take(&held, 1);
    is_str(lanes(&held), "65533", "one is left");
    held_take(&held, HELD_LANE_MAX);
    ok(held_is_empty(&held), "none is");
    held_init(&held, 1);
    held_add(&held, 2);
    held_add(&held, 2);
    held_take(&held, 1);
    held_take(&held, 2);
    is_str(lanes(&held), "2", "the count of who is left alone is kept");
    held_add(&held, 4);
    held_drop_all(&held);
    ok(held_is_empty(&held), "all are dropped");
}

static void test_memory(void)
{
    struct held held;

    held_init(&held, 1);
    nomem_nth = 1;
    is_int(held_add(&held, 2), -1, "no memory for a second worker");
    is_str(lanes(&held), "1", "nothing has changed");
    is_int(held_add(&held, 2), 0, "then there is");
    nomem_nth = 1;
    is_int(held_add(&held, 3), -1, "none for a third");
    is_str(lanes(&held), "1 2", "nothing has changed");
    is_int(held_add(&held, 2), 0, "one more client of a worker that is there needs none");
    held_take(&held, 2);
    held_take(&held, 2);
    is_str(lanes(&held), "1", "and is counted");
    held_drop_all(&held);
}

/* Clients come and go on every worker, checked against a plain array. */
static void test_churn(void)
{
    enum { LANES = 512 };
    static unsigned clients[LANES];
    struct held held;
    unsigned seed = 42, lane, n = 0, total = 0, wrong = 0;
    size_t at = 0;

    held_init(&held, 0);
    clients[0] = 1;
    for (int i = 0; i < 200000; i++) {
        seed = seed * 1103515245 + 12345;
        lane = (seed >> 8) % (1 + (LANES - 1) * (unsigned)(i / 20000 % 3) / 2);
        if ((seed >> 28) % 2 || (i / 50000) % 2 == 0) {
            wrong += held_add(&held, lane) != 0;
            clients[lane]++;
        } else if (clients[lane] > 0) {
            held_take(&held, lane);
            clients[lane]--;
        }
    }
    while ((lane = held_next(&held, &at)) != HELD_END) {
        wrong += clients[lane] == 0;
        n++;
    }
    for (lane = 0; lane < LANES; lane++)
        total += clients[lane] > 0;
    is_int(n, total, "after 200,000 changes: each worker that has one, once");
    for (lane = 0; lane < LANES; lane++)
        for (; clients[lane] > 0; clients[lane]--)
            held_take(&held, lane);
    is_int(wrong, 0, "and no other");
    ok(held_is_empty(&held), "all go");
}

int main(void)
{
    test_one();
    test_several();
    test_memory();
    test_churn();
    return tap_done();
}
