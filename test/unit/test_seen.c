#include "master/seen.h"

#include "tap.h"

static struct request request_of(const char *id, const char *uid)
{
    return (struct request){.type = REQUEST_FETCH, .id = slice_str(id), .uid = slice_str(uid)};
}

int main(void)
{
    struct seen seen;
    struct seen_request *first, *other;
    struct request request = request_of("\"a\"", "u"), changed;
    char id[16], longest[REQUEST_ID_MAX + 1];

    seen_init(&seen);
    first = seen_look(&seen, &request, 1000);
    is_int(first->is_counted + first->is_ordered + (int)first->number, 0, "a new one");
    ok(seen_look(&seen, &request, 1001) == first, "the same again");
    changed = request;
    changed.type = REQUEST_SOCKETS;
    ok(seen_look(&seen, &changed, 1001) != first, "another kind");
    changed = request;
    changed.is_old = 1;
    ok(seen_look(&seen, &changed, 1001) != first, "another generation");
    changed = request;
    changed.uid = SLICE("v");
    ok(seen_look(&seen, &changed, 1001) != first, "another sender");
    changed = request_of("\"a\"u", "");
    ok(seen_look(&seen, &changed, 1001) != first, "the same bytes, cut elsewhere");
    memset(longest, 'x', sizeof(longest));
    changed.id = changed.uid = (struct slice){longest, REQUEST_ID_MAX};
    other = seen_look(&seen, &changed, 1001);
    ok(other != NULL && seen_look(&seen, &changed, 1001) == other, "the longest");

    first->number = 7;
    is_int(seen_look(&seen, &request, 1000 + SEEN_MS - 1)->number, 7, "it is remembered");
    is_int(seen_look(&seen, &request, 1000 + SEEN_MS)->number, 0, "for ten seconds");

    request = request_of("\"first\"", "u");
    seen_look(&seen, &request, 20000)->number = 7;
    for (int i = 0; i < SEEN_MAX; i++) {
        snprintf(id, sizeof(id), "%d", i);
        changed = request_of(id, "u");
        seen_look(&seen, &changed, 20000)->number = 8;
    }
    is_int(seen.table.count, SEEN_MAX, "there are so many at most");
    changed = request_of("1", "u");
    is_int(seen_look(&seen, &changed, 20000)->number, 8, "the youngest");
    is_int(seen_look(&seen, &request, 20000)->number, 0, "not the oldest");
    is_int(seen_due_ms(&seen), 20000 + SEEN_MS + 1000, "it is looked through a second later");
    seen_turn(&seen, 20000 + SEEN_MS - 1);
    is_int(seen.table.count, SEEN_MAX, "before its time nothing is forgotten");
    seen_turn(&seen, 20000 + SEEN_MS);
    is_int(seen.table.count, 0, "then all");
    ok(seen_due_ms(&seen) == UINT64_MAX, "of none nothing is due");
    seen_clear(&seen);
    return tap_done();
}
