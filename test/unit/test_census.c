/* How many an address has in all workers: against a model, with workers that die, in two
 * generations, and in processes of their own. */
#include "ipc/census.h"

#include "tap.h"

#include <sys/wait.h>

#define WORKERS   3
#define ADDRESSES 5000
#define STEPS     60000

struct one {
    uint64_t tag;
    uint32_t slot[WORKERS], conns[WORKERS], sessions[WORKERS];
};

static struct one all[ADDRESSES];

static uint32_t dice(uint32_t below)
{
    static uint32_t state = 0x2545f491;

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % below;
}

static struct census_count model(const struct one *one, unsigned but)
{
    struct census_count count = {0, 0};

    for (unsigned i = 0; i < WORKERS; i++) {
        count.conns += i != but ? one->conns[i] : 0;
        count.sessions += i != but ? one->sessions[i] : 0;
    }
    return count;
}

static int same(const struct census *census, const struct one *one, unsigned worker)
{
    struct census_count got = census_others(census, worker, one->tag), want = model(one, worker);

    return got.conns == want.conns && got.sessions == want.sessions;
}

static void begin(const struct census *census)
{
    memset(all, 0, sizeof(all));
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        all[i].tag = census_tag(census, &i, sizeof(i));
        memset(all[i].slot, 0xff, sizeof(all[i].slot));
    }
}

static void test_model(void)
{
    struct census *census = census_new(WORKERS, ADDRESSES, NULL);
    unsigned wrong = 0, unseen = 0;

    begin(census);
    for (int step = 0; step < STEPS; step++) {
        struct one *one = &all[dice(ADDRESSES)];
        unsigned worker = dice(WORKERS);
        int goes = dice(4) == 0;

        one->conns[worker] = goes ? 0 : dice(5);
        one->sessions[worker] = goes ? 0 : dice(5);
        census_set(census, worker, one->tag, &one->slot[worker], one->conns[worker],
                   one->sessions[worker]);
        unseen +=
            one->slot[worker] == CENSUS_NONE && one->conns[worker] + one->sessions[worker] > 0;
        wrong += !same(census, one, dice(WORKERS)) || !same(census, &all[dice(ADDRESSES)], 0);
        if (dice(STEPS / 4) == 0) {
            census_clear(census, worker);
            for (int i = 0; i < ADDRESSES; i++) {
                all[i].conns[worker] = all[i].sessions[worker] = 0;
                all[i].slot[worker] = CENSUS_NONE;
            }
        }
    }
    is_int(wrong, 0, "what others have is what they said");
    is_int(unseen, 0, "and there is room for all");
    census_free(&census);
    ok(census == NULL, "it is gone");
}

/* A slot is kept while there is somebody, and another's when nobody is left. */
static void test_slots(void)
{
    struct census *census = census_new(2, 0, NULL);
    uint32_t slots[2] = {CENSUS_NONE, CENSUS_NONE}, first;
    uint64_t a = census_tag(census, "a", 1), b = census_tag(census, "b", 1);

    ok(a != 0 && b != 0 && a != b, "two addresses");
    census_set(census, 0, a, &slots[0], 0, 0);
    is_int(slots[0], CENSUS_NONE, "who has nobody needs no slot");
    census_set(census, 0, a, &slots[0], 1, 0);
    first = slots[0];
    ok(first != CENSUS_NONE, "somebody does");
    census_set(census, 0, a, &slots[0], 0, 7);
    is_int(slots[0], first, "and keeps it");
    is_int(census_others(census, 1, a).sessions, 7, "others see how many");
    is_int(census_others(census, 0, a).sessions, 0, "nobody sees his own");
    is_int(census_others(census, 1, b).sessions, 0, "nor those of another");
    census_set(census, 0, a, &slots[0], 0, 0);
    is_int(slots[0], CENSUS_NONE, "with nobody it is given back");
    census_set(census, 0, a, &slots[0], 1, 1);
    is_int(slots[0], first, "and free again");
    census_free(&census);
}

/* More than there is room for. */
static void test_full(void)
{
    struct census *census = census_new(2, 1, NULL);
    uint32_t placed = 0, wrong = 0;

    for (uint32_t i = 0; i < 4000; i++) {
        uint64_t tag = census_tag(census, &i, sizeof(i));
        uint32_t slot = CENSUS_NONE;

        census_set(census, 1, tag, &slot, 3, 4);
        placed += slot != CENSUS_NONE;
        wrong += census_others(census, 0, tag).conns != (slot != CENSUS_NONE ? 3 : 0);
    }
    ok(placed > 200 && placed < 4000, "%u find room", placed);
    is_int(wrong, 0, "the others are not seen, and nobody is wrong");
    census_clear(census, 1);
    for (uint32_t i = 0; i < 4000; i++)
        wrong += census_others(census, 0, census_tag(census, &i, sizeof(i))).conns != 0;
    is_int(wrong, 0, "nobody is left of one that has died");
    census_free(&census);
}

static void test_generations(void)
{
    struct census *old = census_new(2, 100, NULL), *next = census_new(1, 100, old);
    uint64_t tag = census_tag(old, "a", 1);
    uint32_t slots[3] = {CENSUS_NONE, CENSUS_NONE, CENSUS_NONE};

    ok(census_tag(next, "a", 1) == tag, "an address is called the same in both");
    census_set(old, 0, tag, &slots[0], 1, 2);
    census_set(old, 1, tag, &slots[1], 1, 2);
    census_set(next, 0, tag, &slots[2], 8, 9);
    is_int(census_others(next, 0, tag).sessions, 4, "the next sees those of the one that leaves");
    is_int(census_others(old, 0, tag).sessions, 2, "which does not see it");
    census_clear(old, 0);
    is_int(census_others(next, 0, tag).conns, 1, "one has gone");
    census_alone(next);
    census_free(&old);
    is_int(census_others(next, 0, tag).conns, 0, "all have");
    census_free(&next);
}

static void test_processes(void)
{
    struct census *census = census_new(2, 100, NULL);
    uint64_t tag = census_tag(census, "a", 1);
    uint32_t slot = CENSUS_NONE;
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        census_set(census, 1, tag, &slot, 5, 6);
        _exit(census_others(census, 1, tag).conns != 0);
    }
    waitpid(pid, &status, 0);
    is_int(status, 0, "a worker");
    is_int(census_others(census, 0, tag).conns, 5, "has told another, though it has died");
    census_clear(census, 1);
    is_int(census_others(census, 0, tag).conns, 0, "until the master says so");
    census_free(&census);
}

int main(void)
{
    test_model();
    test_slots();
    test_full();
    test_generations();
    test_processes();
    return tap_done();
}
