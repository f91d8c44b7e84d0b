#include "master/backlog.h"

#include "tap.h"

#include <stdlib.h>

static struct backlog backlog;

static int put(const char *channel, const char *payload, uint64_t us)
{
    return backlog_put(&backlog, slice_str(channel), slice_str(payload), us);
}

static void test_order(void)
{
    char channel[] = "c1", payload[] = "one";

    is_int(put(channel, payload, 1), 0, "a message waits");
    memset(channel, 'x', 2);
    memset(payload, 'x', 3);
    is_int(put("c2", "", 2), 0, "so does one without bytes");
    is_int(backlog_put(&backlog, SLICE("c3"), (struct slice){NULL, 0}, 3), 0, "however said");
    ok(slice_eq(backlog.first->channel, SLICE("c1")) &&
           slice_eq(backlog.first->payload, SLICE("one")) && backlog.first->received_us == 1,
       "the first is the first, and a copy");
    backlog_drop(&backlog);
    ok(slice_eq(backlog.first->channel, SLICE("c2")) && backlog.first->payload.len == 0 &&
           backlog.first->received_us == 2,
       "then comes the second");
    backlog_drop(&backlog);
    backlog_drop(&backlog);
    ok(!backlog.first && backlog.bytes == 0, "and then none");
    is_int(put("c4", "four", 4), 0, "it goes on");
    ok(slice_eq(backlog.first->payload, SLICE("four")), "from there");
    backlog_clear(&backlog);
    ok(!backlog.first && backlog.bytes == 0, "cleared it is empty");
}

static void test_move(void)
{
    struct backlog other;

    backlog_init(&other);
    (void)put("c1", "one", 1);
    (void)put("c2", "two", 2);
    backlog_move(&backlog, &other);
    ok(slice_eq(other.first->payload, SLICE("one")) && other.first->next == NULL,
       "the first goes to another");
    ok(slice_eq(backlog.first->payload, SLICE("two")), "the second is the first then");
    backlog_move(&backlog, &other);
    ok(!backlog.first && backlog.bytes == 0, "both have gone");
    (void)put("c3", "three", 3);
    backlog_move(&backlog, &other);
    backlog_drop(&other);
    ok(slice_eq(other.first->payload, SLICE("two")) &&
           slice_eq(other.first->next->payload, SLICE("three")),
       "in order");
    backlog_clear(&other);
    ok(!other.first && other.bytes == 0, "and are its own");
}

static void test_bound(void)
{
    const size_t size = 1024 * 1024;
    char *large = calloc(1, size);
    int n = 0;

    if (large == NULL)
        abort();
    while (backlog_put(&backlog, SLICE("c"), (struct slice){large, size}, 0) == 0)
        n++;
    is_int(n, BACKLOG_MAX_BYTES / size - 1, "as many as there is room for");
    ok(backlog.bytes <= BACKLOG_MAX_BYTES, "and no more");
    is_int(put("c", "small", 0), 0, "a small one still fits");
    n = (int)(BACKLOG_MAX_BYTES - backlog.bytes - sizeof(struct backlog_message) - 1);
    is_int(backlog_put(&backlog, SLICE("c"), (struct slice){large, (size_t)n + 1}, 0), -1,
           "one byte more than there is room for does not");
    is_int(backlog_put(&backlog, SLICE("c"), (struct slice){large, (size_t)n}, 0), 0,
           "what fills it to the last byte does");
    is_int(backlog.bytes, BACKLOG_MAX_BYTES, "and it is full");
    backlog_clear(&backlog);
    free(large);
}

int main(void)
{
    backlog_init(&backlog);
    test_order();
    test_move();
    test_bound();
    return tap_done();
}
