/* The keys of tickets: made by chance, each opens what it has made for long enough, and the
 * next is known before it is used. */
#include "master/ticketing.h"

#include "tap.h"

#include <event2/event.h>

static struct tickets told;
static int calls;

static void on_turn(const struct tickets *tickets, void *arg)
{
    (void)arg;
    told = *tickets;
    calls++;
}

static int same(const struct ticket_key *a, const struct ticket_key *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static int has(const struct tickets *tickets, const struct ticket_key *key)
{
    for (uint32_t i = 0; i < tickets->n; i++)
        if (same(&tickets->at[i], key))
            return 1;
    return 0;
}

static void test_turns(struct event_base *base)
{
    struct ticketing *ticketing = ticketing_new(base, on_turn, NULL);
    const struct tickets *keys = ticketing_keys(ticketing);
    struct ticket_key first = keys->at[0], next = keys->at[1];
    struct tickets before;

    is_int(keys->n, 2, "one that makes tickets, and the next");
    ok(!same(&first, &next) && memcmp(first.aes, first.hmac, TICKET_KEY) != 0, "by chance");
    is_int(calls, 0, "nothing to tell at first");
    ticketing_turn(ticketing);
    is_int(calls, 1, "it is told");
    ok(memcmp(&told, keys, sizeof(told)) == 0, "all of them");
    ok(same(&keys->at[0], &next), "the next makes tickets now");
    is_int(keys->n, 3, "three");
    ok(same(&keys->at[1], &first) && !has(&(struct tickets){2, {first, next}}, &keys->at[2]),
       "the first opens them still, and there is one to come");
    ticketing_turn(ticketing);
    is_int(keys->n, 4, "four");
    ok(has(keys, &first), "sixteen hours after it has made its last there is yet the first");
    for (int i = 0; i < 5; i++) {
        before = *keys;
        ticketing_turn(ticketing);
        ok(same(&keys->at[0], &before.at[3]) && same(&keys->at[1], &before.at[0]) &&
               same(&keys->at[2], &before.at[1]) && !has(&before, &keys->at[3]) && keys->n == 4,
           "turn %d: the last is the first, the oldest has gone", i);
    }
    ok(!has(keys, &first), "the first, too");
    ticketing_wipe(ticketing);
    ok(keys->n == 0 && has(&(struct tickets){.n = 1}, &keys->at[0]), "wiped");
    ticketing_free(&ticketing);
    ok(ticketing == NULL, "freed");
    ticketing_free(&ticketing);
}

int main(void)
{
    struct event_base *base = event_base_new();

    test_turns(base);
    event_base_free(base);
    libevent_global_shutdown();
    return tap_done();
}
