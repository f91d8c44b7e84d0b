#include "master/mirror.h"

#include "nomem_nth.h"
#include "tap.h"

static struct directory directory;
static struct mirror mirror;

static void begin(void)
{
    directory_init(&directory);
    mirror_init(&mirror);
}

static void end(void)
{
    mirror_clear(&mirror);
    directory_clear(&directory);
}

static int join(unsigned lane, uint64_t client, const char *room, uint64_t seq)
{
    return mirror_join(&mirror, &directory, lane, client, slice_str(room), seq);
}

static int leave(unsigned lane, uint64_t client, const char *room)
{
    return mirror_leave(&mirror, &directory, lane, client, slice_str(room));
}

/* "a:1 b:2": its rooms with their seq, sorted where they are of one letter; "-" if nothing is
 * known of it. */
static const char *rooms(unsigned lane, uint64_t client)
{
    static char text[256];
    const struct mirrored *mirrored = mirror_find(&mirror, lane, client);
    uint64_t seq, seqs[256] = {0};
    const struct listing *room;
    size_t at = 0, n = 0;

    if (mirrored == NULL)
        return "-";
    while ((room = mirrored_next(mirrored, &at, &seq)) != NULL)
        seqs[(unsigned char)listing_name(room).ptr[0]] = seq;
    text[0] = '\0';
    for (int c = 0; c < 256; c++)
        if (seqs[c] > 0)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%c:%u", n ? " " : "", c,
                                  (unsigned)seqs[c]);
    return text;
}

static int is_listed(const char *room)
{
    return directory_find(&directory, slice_str(room)) != NULL;
}

static void test_rooms(void)
{
    begin();
    is_str(rooms(1, 7), "-", "nothing is known of who is in no further room");
    is_int(join(1, 7, "a", 5), 0, "a first room");
    is_str(rooms(1, 7), "a:5", "is known, with the seq of the join");
    is_int(join(1, 7, "a", 6), 0, "to join once more");
    is_str(rooms(1, 7), "a:5", "changes nothing");
    is_int(join(1, 7, "b", 7), 0, "a second");
    is_int(join(1, 7, "c", 8), 0, "a third");
    is_int(join(1, 7, "d", 9), 0, "a fourth");
    is_str(rooms(1, 7), "a:5 b:7 c:8 d:9", "all are known");
    is_int(join(2, 7, "b", 10), 0, "the same name of another worker is another client");
    ok(mirror.seats == 5 && directory.rooms == 4, "each in each is counted");
    ok(mirror.lanes[1] == 1 && mirror.lanes[2] == 1, "and each client of each worker");
    is_int(leave(1, 7, "b"), 0, "one is left");
    is_int(leave(1, 7, "b"), -1, "once");
    is_int(leave(1, 8, "b"), -1, "nobody else leaves");
    is_int(leave(1, 7, "x"), -1, "nor a room that is not there");
    is_str(rooms(1, 7), "a:5 c:8 d:9", "the others stay");
    ok(is_listed("b"), "the room is the other client's");
    mirror_gone(&mirror, &directory, 2, 7);
    mirror_gone(&mirror, &directory, 2, 7);
    ok(!is_listed("b"), "and goes with it");
    is_str(rooms(2, 7), "-", "who has gone is forgotten");
    leave(1, 7, "a");
    leave(1, 7, "c");
    leave(1, 7, "d");
    is_str(rooms(1, 7), "-", "so is who has left all");
    ok(mirror.seats == 0 && mirror.clients.count == 0 && directory.names.count == 0 &&
           mirror.lanes[1] == 0,
       "nothing is left");
    end();
}

static void test_defaults(void)
{
    begin();
    mirror_default_join(&mirror, 1, 7, MIRROR_OWN, 0);
    is_str(rooms(1, 7), "-", "to be in one's own room is nothing to know");
    mirror_default_leave(&mirror, 1, 7, MIRROR_EVERYBODY);
    mirror_default_leave(&mirror, 1, 7, MIRROR_OWN);
    is_int(mirrored_left(mirror_find(&mirror, 1, 7)), MIRROR_EVERYBODY | MIRROR_OWN,
           "to have left is");
    join(1, 7, "a", 1);
    leave(1, 7, "a");
    is_str(rooms(1, 7), "", "also without a further room");
    mirror_default_join(&mirror, 1, 7, MIRROR_OWN, 0);
    is_int(mirrored_left(mirror_find(&mirror, 1, 7)), MIRROR_EVERYBODY, "until it is joined again");
    mirror_default_join(&mirror, 1, 7, MIRROR_EVERYBODY, 0);
    is_str(rooms(1, 7), "-", "both are");
    mirror_default_leave(&mirror, 1, 7, MIRROR_OWN);
    mirror_gone(&mirror, &directory, 1, 7);
    is_str(rooms(1, 7), "-", "or it has gone");
    nomem_nth = 1;
    mirror_default_leave(&mirror, 1, 7, MIRROR_OWN);
    is_str(rooms(1, 7), "-", "without memory it is not known");
    nomem_nth = 1;
    is_int(mirror_default_leave(&mirror, 1, 7, MIRROR_OWN), -1, "which is said");
    end();
}

static uint64_t since(unsigned lane, uint64_t client)
{
    const struct mirrored *mirrored = mirror_find(&mirror, lane, client);

    return mirrored != NULL ? mirrored_since(mirrored) : 0;
}

static void test_everybody_again(void)
{
    begin();
    mirror_default_join(&mirror, 1, 7, MIRROR_EVERYBODY, 5);
    is_str(rooms(1, 7), "-", "who has never left everybody's room is in it since ever");
    mirror_default_leave(&mirror, 1, 7, MIRROR_EVERYBODY);
    is_int(since(1, 7), 0, "who has left it is not");
    mirror_default_join(&mirror, 1, 7, MIRROR_EVERYBODY, 6);
    ok(since(1, 7) == 6 && mirrored_left(mirror_find(&mirror, 1, 7)) == 0,
       "who has joined it again is, since then");
    mirror_default_join(&mirror, 1, 7, MIRROR_EVERYBODY, 7);
    is_int(since(1, 7), 6, "to join once more changes nothing");
    mirror_default_leave(&mirror, 1, 7, MIRROR_OWN);
    mirror_default_join(&mirror, 1, 7, MIRROR_OWN, 8);
    is_int(since(1, 7), 6, "nor does another room");
    mirror_default_leave(&mirror, 1, 7, MIRROR_EVERYBODY);
    is_int(since(1, 7), 0, "it is left again");
    mirror_default_join(&mirror, 1, 7, MIRROR_EVERYBODY, 9);
    ok(mirror.lanes[1] == 1, "it is known");
    mirror_gone(&mirror, &directory, 1, 7);
    ok(mirror.lanes[1] == 0 && mirror.clients.count == 0, "until it has gone");
    end();
}

static void test_claimed(void)
{
    const struct mirrored *mirrored;
    uint64_t seq = 0;
    size_t at = 0;

    begin();
    join(1, 7, "a", 5 | MIRROR_CLAIMED);
    mirrored = mirror_find(&mirror, 1, 7);
    (void)mirrored_next(mirrored, &at, &seq);
    ok(seq == (5 | MIRROR_CLAIMED), "a room of its token");
    join(1, 7, "a", 9 | MIRROR_CLAIMED);
    at = 0;
    (void)mirrored_next(mirrored, &at, &seq);
    ok(seq == (5 | MIRROR_CLAIMED), "stays that, with the seq that it has");
    join(1, 7, "a", 9);
    at = 0;
    (void)mirrored_next(mirrored, &at, &seq);
    ok(seq == 5, "until it joins by request as well");
    join(1, 7, "a", 10 | MIRROR_CLAIMED);
    at = 0;
    (void)mirrored_next(mirrored, &at, &seq);
    ok(seq == 5, "which a token does not change");
    end();
}

static void test_drop(void)
{
    char name[16];

    begin();
    for (uint64_t client = 0; client < 100; client++) {
        for (unsigned i = 0; i < client % 7; i++) {
            snprintf(name, sizeof(name), "r%u", (unsigned)(client / 3 + i));
            join(1, client, name, 1);
            join(2, client, name, 1);
        }
    }
    mirror_drop_lane(&mirror, 1);
    directory_drop_lane(&directory, 1);
    ok(mirror.lanes[1] == 0 && mirror.lanes[2] > 0 && mirror.clients.count == mirror.lanes[2],
       "one worker's are forgotten, the other's are not");
    is_str(rooms(1, 2), "-", "none");
    for (uint64_t client = 0; client < 100; client++)
        mirror_gone(&mirror, &directory, 2, client);
    ok(mirror.seats == 0 && directory.names.count == 0, "and when these go nothing is left");
    mirror_drop_lane(&mirror, 2);
    end();
}

/* A client that joins and leaves at random, checked against a plain array. */
static void test_churn(void)
{
    enum { ROOMS = 3000 };
    static uint64_t seqs[ROOMS];
    const struct mirrored *mirrored;
    const struct listing *room;
    unsigned seed = 4711, most = 0, n = 0, wrong = 0;
    uint64_t seq;
    char name[16];
    size_t at = 0;

    begin();
    for (uint64_t i = 1; i < 200000; i++) {
        /* By turns it joins more often, and leaves more often. */
        unsigned which, joins = i / 20000 % 2 ? 1 : 7;
        seed = seed * 1103515245 + 12345;
        which = (seed >> 8) % (i < 100000 ? ROOMS : 10);
        snprintf(name, sizeof(name), "%u", which);
        if ((seed >> 28) % 8 < joins) {
            wrong += join(3, 9, name, i) != 0;
            n += seqs[which] == 0;
            seqs[which] = seqs[which] ? seqs[which] : i;
        } else {
            wrong += leave(3, 9, name) != (seqs[which] > 0 ? 0 : -1);
            n -= seqs[which] > 0;
            seqs[which] = 0;
        }
        most = n > most ? n : most;
    }
    is_int(mirror.seats, n, "as many rooms as there are");
    ok(most > 2000, "and there were many");
    mirrored = mirror_find(&mirror, 3, 9);
    while (mirrored != NULL && (room = mirrored_next(mirrored, &at, &seq)) != NULL) {
        snprintf(name, sizeof(name), "%.*s", (int)listing_name(room).len, listing_name(room).ptr);
        wrong += seqs[strtoul(name, NULL, 10)] != seq;
        n--;
    }
    ok(wrong == 0 && n == 0, "each with the seq of its join");
    end();
}

/* Each allocation fails once, at each number of rooms: nothing changes by it. */
static void test_memory(void)
{
    int failed = 0, wrong = 0;
    char name[16];

    begin();
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "%u", i);
        for (int nth = 1;; nth++) {
            size_t listed = directory.names.count, clients = mirror.clients.count;
            int rc;
            nomem_nth = nth;
            rc = join(1, i / 50, name, i);
            if (rc == 0)
                break;
            failed++;
            wrong += mirror.seats != i || directory.names.count != listed ||
                     mirror.clients.count != clients;
        }
        nomem_nth = 0;
    }
    ok(failed > 100 && wrong == 0, "without memory nothing changes (%d times)", failed);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "%u", i);
        nomem_nth = 1; /* to give some back may fail */
        wrong += leave(1, i / 50, name) != 0;
    }
    nomem_nth = 0;
    ok(wrong == 0 && mirror.seats == 0 && directory.names.count == 0, "and to leave needs none");
    end();
}

int main(void)
{
    test_rooms();
    test_defaults();
    test_everybody_again();
    test_claimed();
    test_drop();
    test_churn();
    test_memory();
    return tap_done();
}
