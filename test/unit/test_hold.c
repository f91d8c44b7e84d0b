#include "master/hold.h"

#include "tap.h"

#include <stdlib.h>

static struct hold hold;

static int put(uint64_t client, size_t places)
{
    return hold_put(&hold, (unsigned)client % 3, client, SLICE("ann"), places, 1000 + client);
}

/* "1 3!": who waits, in order; ! marks those whose worker has gone. */
static const char *who(void)
{
    static char text[256];
    size_t at = 0, n = 0;
    text[0] = '\0';
    for (const struct held *held = hold.first; held; held = held->next, n++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%u%s", at ? " " : "",
                               (unsigned)held->client, held->gone ? "!" : "");
    is_int((long)hold.n, (long)n, "counted");
    return text;
}

static void test_order(void)
{
    hold_init(&hold);
    is_str(who(), "", "nobody waits");
    for (uint64_t client = 1; client <= 4; client++)
        is_int(put(client, 4), 0, "one more waits");
    is_str(who(), "1 2 3 4", "in order");
    struct held *held = hold_take(&hold, &hold.first->next);
    is_int((long)held->client, 2, "one in the middle");
    is_int((long)held->until_ms, 1002, "its time");
    is_int((long)held->slot, 2, "its worker");
    ok(slice_eq((struct slice){held->uid, held->uid_len}, SLICE("ann")), "its user");
    free(held);
    free(hold_take(&hold, &hold.first->next->next)); /* the last */
    is_str(who(), "1 3", "the others stay");
    put(5, 4);
    is_str(who(), "1 3 5", "the next one comes behind them");
    hold_drop_slot(&hold, 0);
    is_str(who(), "1 3! 5", "a worker goes");
    while (hold.first)
        free(hold_take(&hold, &hold.first));
    put(6, 4);
    is_str(who(), "6", "the first again");
    hold_clear(&hold);
    is_str(who(), "", "cleared");
}

static void test_bounds(void)
{
    char uid[300] = {0};
    hold_init(&hold);
    for (uint64_t client = 0; client < 3 + HOLD_SPARE; client++)
        if (put(client, 3) < 0)
            exit(1);
    is_int(put(99, 3), -1, "one too many of a user");
    is_int(hold_put(&hold, 0, 1, (struct slice){uid, 256}, 3, 1), -1, "no user is called so");
    is_int(hold_put(&hold, 0, 1, (struct slice){uid, 255}, 3, 1), 0, "but so");
    while (hold.n < HOLD_MAX)
        if (put(1, HOLD_MAX) < 0)
            exit(1);
    is_int(put(1, HOLD_MAX), -1, "one too many of all");
    hold_clear(&hold);
}

int main(void)
{
    test_order();
    test_bounds();
    return tap_done();
}
