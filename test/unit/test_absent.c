#include "master/absent.h"

#include "nomem_slab.h"
#include "tap.h"

static struct absents absents;

static const uint8_t *session(unsigned k)
{
    static uint8_t all[4][SESSION_LEN];
    static unsigned at;
    uint8_t *to = all[at++ % 4];

    memset(to, 0, SESSION_LEN);
    memcpy(to, &k, sizeof(k));
    return to;
}

static struct absent *put(unsigned k, const char *uid)
{
    struct absent *absent = absents_put(&absents, session(k), ABSENT_KEPT, k);

    if (absent == NULL || (uid != NULL && absent_begin(&absents, absent, slice_str(uid)) < 0))
        abort();
    return absent;
}

static int join(struct absent *absent, const char *room, uint64_t since)
{
    struct absent_name *name = absents_name(&absents, slice_str(room), 1);
    int rc = name != NULL ? absent_join(&absents, absent, name, since) : -1;

    if (name != NULL)
        absents_name_tidy(&absents, name);
    return rc;
}

static int leave(struct absent *absent, const char *room)
{
    struct absent_name *name = absents_name(&absents, slice_str(room), 0);
    int rc = name != NULL ? absent_leave(&absents, absent, name) : -1;

    if (name != NULL)
        absents_name_tidy(&absents, name);
    return rc;
}

static int is_empty(void)
{
    return absents.first == NULL && absents.last == NULL && absents.sessions.count == 0 &&
           absents.names.count == 0 && absents.seats.count == 0;
}

static void test_sessions(void)
{
    struct absent *one, *two, *three;

    absents_init(&absents);
    ok(absents_find(&absents, session(1)) == NULL, "nobody is there");
    one = put(1, "ann");
    two = put(2, "ann");
    three = put(3, NULL);
    ok(absents_find(&absents, session(1)) == one && absents_find(&absents, session(3)) == three,
       "each is found");
    ok(absents.first == one && one->next == two && two->next == three && absents.last == three &&
           three->prev == two,
       "in the order in which they came");
    ok(one->number < two->number && two->number < three->number && two->put_ms == 2,
       "with numbers and times");
    ok(one->own == two->own && three->own == NULL, "one user is kept once");
    is_mem(absent_name_text(one->own).ptr, absent_name_text(one->own).len, "ann", 3,
           "with the name");
    ok(one->own->owners.newest == two && two->own_next == one, "from which all are found");
    absents_take(&absents, two);
    ok(one->own->owners.newest == one && one->own->owners.n == 1 && one->own_next == NULL &&
           absents_find(&absents, session(2)) == NULL,
       "one has gone");
    ok(one->next == three && three->prev == one, "out of the order, too");
    absent_end(&absents, one, ABSENT_KEPT);
    ok(one->own == NULL && absents.names.count == 0, "one ends: its user is nobody's");
    absent_end(&absents, one, ABSENT_KEPT);
    ok(absents_find(&absents, session(1)) == one, "it is still known");
    absents_take(&absents, three);
    absents_take(&absents, one);
    ok(is_empty(), "nothing is left");
    absents_clear(&absents);
}

static void test_seats(void)
{
    struct absent *one, *two;
    const struct absent_name *name;

    absents_init(&absents);
    one = put(1, "ann");
    two = put(2, "bob");
    is_int(join(one, "a", 5), 1, "a seat");
    is_int(join(one, "a", 6), 0, "one has it once");
    is_int(join(two, "a", 7), 1, "another has it, too");
    is_int(join(two, "b", 8), 1, "and one more");
    name = absents_name(&absents, SLICE("a"), 0);
    ok(absent_seat(&absents, one, name)->since == 5 && absent_seat(&absents, two, name)->since == 7,
       "each with its own since");
    ok(name->seats->absent == two && name->seats->next->absent == one, "a room has both");
    ok(two->seats->name == absents_name(&absents, SLICE("b"), 0) && two->nseats == 2,
       "and one has two rooms");
    is_int(leave(one, "b"), 0, "who is not in a room does not leave it");
    is_int(leave(one, "x"), -1, "nor one that is not there");
    is_int(leave(two, "a"), 1, "one leaves");
    ok(name->seats->absent == one && name->seats->next == NULL && two->nseats == 1,
       "the other stays");
    is_int(leave(two, "b"), 1, "the last one leaves");
    ok(absents_name(&absents, SLICE("b"), 0) == NULL, "the room goes");
    is_int(join(two, "ann", 9), 1, "a room that is called as a user");
    absents_take(&absents, one);
    ok(absents_name(&absents, SLICE("ann"), 0) != NULL, "stays when the user goes");
    absent_end(&absents, two, ABSENT_KEPT);
    ok(absents.names.count == 0 && absents.seats.count == 0 && two->nseats == 0,
       "who ends has no seats");
    absents_clear(&absents);
    ok(is_empty(), "nothing is left");
}

static void test_claimed(void)
{
    struct absent *one;
    const struct absent_name *name;

    absents_init(&absents);
    one = put(1, "ann");
    join(one, "a", 5 | ABSENT_CLAIMED);
    name = absents_name(&absents, SLICE("a"), 0);
    join(one, "a", 6 | ABSENT_CLAIMED);
    ok(absent_seat(&absents, one, name)->since == (5 | ABSENT_CLAIMED), "a room of its token");
    join(one, "a", 7);
    ok(absent_seat(&absents, one, name)->since == 5, "is no more one, where it joins by request");
    join(one, "a", 8 | ABSENT_CLAIMED);
    ok(absent_seat(&absents, one, name)->since == 5, "for good");
    absents_clear(&absents);
}

/* Each allocation fails once: nothing changes. */
static void test_memory(void)
{
    unsigned failed = 0, bad = 0;
    char name[16];

    absents_init(&absents);
    for (unsigned k = 0; k < 100; k++) {
        struct absent *absent;

        snprintf(name, sizeof(name), "n%u", k);
        for (int nth = 1;; nth++) {
            size_t names = absents.names.count;

            nomem_nth = nth;
            absent = absents_put(&absents, session(k), ABSENT_KEPT, 1);
            if (absent != NULL && absent_begin(&absents, absent, slice_str(name)) == 0 &&
                join(absent, name + 1, k) == 1)
                break;
            nomem_nth = 0;
            failed++;
            if (absent != NULL)
                absents_take(&absents, absent);
            bad += absents.sessions.count != k || absents.names.count != names ||
                   absents.seats.count != k;
        }
        nomem_nth = 0;
    }
    ok(failed > 100 && bad == 0, "without memory nothing changes (%u times)", failed);
    absents_clear(&absents);
    ok(is_empty(), "and nothing is left");
}

int main(void)
{
    test_sessions();
    test_seats();
    test_claimed();
    test_memory();
    return tap_done();
}
