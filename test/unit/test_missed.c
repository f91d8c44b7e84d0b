/* Who has missed a notification, among few and among many. */
#include "base/clock.h"
#include "ipc/history.h"
#include "nomem_nth.h"
#include "tap.h"
#include "worker/missed.h"

#include <stdlib.h>

static int alike; /* all hashes are */

uint32_t history_hash(const struct history_view *view, struct slice name)
{
    uint32_t hash = 5381;

    (void)view;
    for (size_t i = 0; !alike && i < name.len; i++)
        hash = hash * 33 + (uint8_t)name.ptr[i];
    return hash * 2654435761U | 1;
}

static struct missed_room room(uint64_t since, const char *name)
{
    return (struct missed_room){since, name, (uint32_t)strlen(name),
                                history_hash(NULL, slice_str(name))};
}

/* --- a few --- */

static struct missed_room ann[] = {{0}, {0}, {0}}, bob[] = {{0}, {0}}, cat[] = {{0}};
static struct missing one = {.from = 10, .rooms = ann, .nrooms = 3},
                      two = {.from = 20, .rooms = bob, .nrooms = 2},
                      three = {.from = 10, .rooms = cat, .nrooms = 1};
static struct missing *who[] = {&one, &two, &three};
static struct missed *missed;
static char chosen[16];

static void begin(void)
{
    ann[0] = room(0, "allusers");
    ann[1] = room(0, "ann");
    ann[2] = room(7, "x");
    bob[0] = room(0, "allusers");
    bob[1] = room(0, "bob");
    cat[0] = room(0, "");
    missed = missed_new(who, 3);
}

static void on_chosen(struct missing *of, void *arg)
{
    size_t n = strlen(chosen);

    is_int(arg == chosen, 1, "with its argument");
    chosen[n] = of == &one ? 'a' : of == &two ? 'b' : 'c';
    chosen[n + 1] = '\0';
}

static int by_letter(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}

static void put_names(struct slices *list, const char *names)
{
    while (names != NULL) {
        size_t n = strcspn(names, ",");

        slices_put(list, (struct slice){names, n});
        names = names[n] == ',' ? names + n + 1 : NULL;
    }
}

/* A notification to these (NULL: everybody) but those is for whom? */
static const char *whose(uint64_t at, uint64_t seq, const char *to, const char *except)
{
    static uint64_t serial;
    struct msg_broadcast bc = {.seq = seq};

    put_names(&bc.rooms, to);
    put_names(&bc.except, except);
    memset(chosen, 0, sizeof(chosen));
    missed_choose(missed, NULL, at, &bc, ++serial, on_chosen, chosen);
    qsort(chosen, strlen(chosen), 1, by_letter);
    msg_broadcast_clear(&bc);
    return chosen;
}

static void test_choose(void)
{
    begin();
    is_str(whose(20, 8, NULL, NULL), "abc", "to everybody");
    is_str(whose(19, 8, NULL, NULL), "ac", "but who has it already");
    is_str(whose(20, 8, "allusers", NULL), "ab", "to a room");
    is_str(whose(20, 8, "ann", NULL), "a", "to a user");
    is_str(whose(20, 8, "", NULL), "c", "to a room without a name");
    is_str(whose(20, 8, "nobody", NULL), "", "to nobody here");
    is_str(whose(20, 8, "allusers,ann,x,nobody,", NULL), "abc", "to several, each once");
    is_str(whose(20, 7, "x", NULL), "", "the last from before it was there");
    is_str(whose(20, 8, "x", NULL), "a", "the next");
    is_str(whose(20, 8, NULL, "ann"), "bc", "not to those of a room");
    is_str(whose(20, 8, "allusers", "x,bob"), "", "of several");
    is_str(whose(20, 7, "allusers", "x,nobody"), "ab", "who were not there then");
    is_str(whose(9, 8, NULL, NULL), "", "of no account to anybody");
    who[0] = NULL;
    is_str(whose(20, 8, NULL, NULL), "bc", "one has gone");
    is_str(whose(20, 8, "allusers,ann", NULL), "b", "from its rooms");
    who[0] = &one;
    missed_free(&missed);
    ok(missed == NULL, "freed");

    alike = 1;
    begin();
    is_str(whose(20, 8, "ann", NULL), "a", "hashes are alike, names are not");
    is_str(whose(20, 8, "anna", NULL), "", "if they are");
    missed_free(&missed);
    alike = 0;

    who[2] = NULL;
    begin();
    is_str(whose(20, 8, NULL, NULL), "ab", "one who was not there at first");
    who[2] = &three;
    is_str(whose(20, 8, "", NULL), "", "has no room");
    missed_free(&missed);
    missed = missed_new(NULL, 0);
    is_str(whose(20, 8, "ann", NULL), "", "for nobody at all");
    missed_free(&missed);
    nomem_nth = 1;
    ok(missed_new(who, 3) == NULL, "no memory");
}

static int may(unsigned n, const char *first, const char *second)
{
    struct history_entry entry = {.nrooms = (uint16_t)n};

    entry.hashes[0] = history_hash(NULL, slice_str(first));
    entry.hashes[1] = history_hash(NULL, slice_str(second));
    return missed_may(missed, &entry);
}

static void test_may(void)
{
    begin();
    is_int(may(0, "q", "q"), 1, "for everybody, or too many");
    is_int(may(1, "ann", "q"), 1, "for one who is here");
    is_int(may(2, "q", "bob"), 1, "second");
    is_int(may(1, "q", "bob"), 0, "what is behind is not a room's");
    is_int(may(2, "q", "r"), 0, "for others");
    missed_free(&missed);
}

/* --- many --- */

#define MANY 20000

static struct missed_room rooms[MANY][2];
static char names[MANY][16];
static struct missing all[MANY], *all_of[MANY];
static size_t counted;

static void on_counted(struct missing *of, void *arg)
{
    (void)of;
    (void)arg;
    counted++;
}

/* As long for thousands as for one. */
static void test_many(void)
{
    struct msg_broadcast bc = {.seq = 1};
    struct history_entry entry = {.nrooms = 1};
    uint64_t start_us;
    size_t found = 0, wrong = 0;

    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "user-%zu", i);
        rooms[i][0] = room(0, "allusers");
        rooms[i][1] = room(0, names[i]);
        all[i] = (struct missing){.from = 1, .rooms = rooms[i], .nrooms = 2};
        all_of[i] = &all[i];
    }
    start_us = clock_us();
    missed = missed_new(all_of, MANY);
    printf("# a table of %d names: %llu us\n", 2 * MANY,
           (unsigned long long)(clock_us() - start_us));
    put_names(&bc.rooms, "allusers");
    missed_choose(missed, NULL, 1, &bc, 1, on_counted, NULL);
    is_int((long)counted, MANY, "everybody's room has all of them");
    for (size_t i = 0; i < MANY; i++) {
        bc.rooms.at[0] = slice_str(names[i]);
        counted = 0;
        missed_choose(missed, NULL, 1, &bc, i + 2, on_counted, NULL);
        wrong += counted != 1;
        entry.hashes[0] = history_hash(NULL, slice_str(names[i]));
        wrong += !missed_may(missed, &entry);
    }
    is_int((long)wrong, 0, "and each is found by its own");
    start_us = clock_us();
    for (uint32_t i = 0; i < MANY; i++) {
        entry.hashes[0] = i * 2654435761U | 1;
        found += (size_t)missed_may(missed, &entry);
    }
    printf("# %d entries for others: %llu us\n", MANY, (unsigned long long)(clock_us() - start_us));
    ok(found < MANY / 100, "hardly one is taken for somebody's: %zu", found);
    msg_broadcast_clear(&bc);
    missed_free(&missed);
}

int main(void)
{
    test_choose();
    test_may();
    test_many();
    return tap_done();
}
