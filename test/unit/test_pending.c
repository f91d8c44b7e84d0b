#include "master/pending.h"

#include "tap.h"

#include <stdlib.h>

static struct pending pending;

/* With these rooms, where that user has three places. */
static int put_with(uint64_t client, struct slice uid, const struct slices *rooms)
{
    struct admit admit = {.lane = 1, .client = client, .uid = uid, .rooms = *rooms};

    return pending_put(&pending, &admit, 3, 1);
}

static int put(uint64_t client, size_t places)
{
    struct admit admit = {.lane = (unsigned)client % 3, .client = client, .uid = SLICE("ann")};

    return pending_put(&pending, &admit, places, 1000 + client);
}

/* "1 3!": who waits, in order; ! marks those whose worker has gone. */
static const char *who(void)
{
    static char text[256];
    size_t at = 0, n = 0;

    text[0] = '\0';
    for (const struct admission *admission = pending.first; admission != NULL;
         admission = admission->next, n++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%u%s", at ? " " : "",
                               (unsigned)admission->admit->client, admission->gone ? "!" : "");
    is_int((long)pending.n, (long)n, "counted");
    return text;
}

static void test_order(void)
{
    struct admission *admission;

    pending_init(&pending);
    is_str(who(), "", "nobody waits");
    for (uint64_t client = 1; client <= 4; client++)
        is_int(put(client, 4), 0, "one more waits");
    is_str(who(), "1 2 3 4", "in order");
    admission = pending_take(&pending, &pending.first->next);
    is_int((long)admission->admit->client, 2, "one in the middle");
    is_int((long)admission->until_ms, 1002, "its time");
    is_int((long)admission->admit->lane, 2, "its worker");
    ok(slice_eq(admission->admit->uid, SLICE("ann")), "its user");
    admission_free(admission);
    admission_free(pending_take(&pending, &pending.first->next->next)); /* the last */
    is_str(who(), "1 3", "the others stay");
    put(5, 4);
    is_str(who(), "1 3 5", "the next one comes behind them");
    pending_drop_lane(&pending, 0);
    is_str(who(), "1 3! 5", "a worker goes");
    while (pending.first != NULL)
        admission_free(pending_take(&pending, &pending.first));
    put(6, 4);
    is_str(who(), "6", "the first again");
    pending_clear(&pending);
    is_str(who(), "", "cleared");
}

static void test_bounds(void)
{
    static char uid[PENDING_NAMES_MAX + 1];
    static const struct slices none;

    pending_init(&pending);
    for (uint64_t client = 0; client < 3 + PENDING_SPARE; client++)
        if (put(client, 3) < 0)
            exit(1);
    is_int(put(99, 3), -1, "one too many of a user");
    is_int(put_with(1, (struct slice){uid, PENDING_NAMES_MAX + 1}, &none), -1,
           "a name that is none");
    is_int(put_with(1, (struct slice){uid, PENDING_NAMES_MAX}, &none), 0, "the longest");
    while (pending.n < PENDING_MAX)
        if (put(1, PENDING_MAX) < 0)
            exit(1);
    is_int(put(1, PENDING_MAX), -1, "one too many of all");
    pending_clear(&pending);
}

/* The rooms of its token are kept with it, whatever becomes of those that they came from. */
static void test_rooms(void)
{
    static struct slice many[PENDING_NAMES_MAX + 1];
    static char bytes[PENDING_NAMES_MAX];
    char text[] = "annab";
    struct slice at[] = {{text + 3, 1}, {NULL, 0}, {text + 4, 1}};
    struct slices rooms = {.at = at, .n = 3};
    struct admission *admission;

    pending_init(&pending);
    is_int(put_with(7, (struct slice){text, 3}, &rooms), 0, "with rooms");
    memset(text, 'x', sizeof(text));
    memset(at, 0, sizeof(at));
    admission = pending.first;
    is_int((long)admission->admit->rooms.n, 3, "all");
    ok(slice_eq(admission->admit->uid, SLICE("ann")) &&
           slice_eq(admission->admit->rooms.at[0], SLICE("a")) &&
           admission->admit->rooms.at[1].len == 0 &&
           slice_eq(admission->admit->rooms.at[2], SLICE("b")),
       "and all the names");
    at[0] = (struct slice){bytes, PENDING_NAMES_MAX - 3};
    is_int(put_with(8, (struct slice){text, 3}, &rooms), 0, "the longest");
    at[2] = (struct slice){text, 1};
    is_int(put_with(9, (struct slice){text, 3}, &rooms), -1, "a byte too many");
    rooms = (struct slices){.at = many, .n = PENDING_NAMES_MAX};
    is_int(put_with(8, (struct slice){text, 3}, &rooms), 0, "many without one");
    rooms.n++;
    is_int(put_with(9, (struct slice){text, 3}, &rooms), -1, "too many");
    pending_clear(&pending);
}

int main(void)
{
    test_order();
    test_rooms();
    test_bounds();
    return tap_done();
}
