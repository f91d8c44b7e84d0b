#include "ipc/balance.h"

#include "tap.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct balance *make(unsigned workers)
{
    struct balance *balance = balance_new(workers);

    if (balance == NULL)
        abort();
    for (unsigned i = 0; i < workers; i++)
        balance_accepts(balance, i, 1);
    return balance;
}

static void test_room(void)
{
    struct balance *balance = make(4);
    unsigned few;

    few = balance_room(balance, 0, 16);
    ok(few > 0 && few < 16, "where nobody has anybody a worker takes a few");
    for (unsigned i = 0; i < 4; i++)
        balance_set(balance, i, 6400);
    ok(balance_room(balance, 2, 16) == 16, "at the mean it takes as many as it likes");
    balance_set(balance, 2, 6200);
    ok(balance_room(balance, 2, 16) == 16, "below it too");
    balance_set(balance, 2, 6800);
    is_int(balance_room(balance, 2, 16), 0, "well above it none");
    ok(balance_room(balance, 0, 16) == 16, "then the others take them");
    balance_set(balance, 2, 0);
    ok(balance_room(balance, 2, 16) == 16, "a worker that has none takes all");
    is_int(balance_room(balance, 0, 16), 0, "and the others leave them to it");
    balance_free(&balance);
    ok(balance == NULL, "freed");
}

/* The mean is 6,400: a sixty-fourth and four more than that a worker may have. */
static void test_margin(void)
{
    struct balance *balance = make(4);

    is_int(balance_room(balance, 0, 16), 4, "four where nobody has anybody");
    is_int(balance_room(balance, 0, 4), 4, "as many as it may");
    is_int(balance_room(balance, 0, 3), 3, "but no more than it asks for");
    for (uint32_t over = 100; over < 106; over++) {
        uint32_t room = over < 104 ? 104 - over : 0;
        balance_set(balance, 0, 6400 + over);
        balance_set(balance, 1, 6400 - over);
        balance_set(balance, 2, 6400);
        balance_set(balance, 3, 6400);
        is_int(balance_room(balance, 0, 16), room, "room up to 6,504 of 6,400");
    }
    balance_free(&balance);
}

/* Whatever the counts are, somebody takes the next connection. */
static void test_somebody(void)
{
    struct balance *balance = make(5);
    int nobody = 0;

    for (unsigned turn = 0; turn < 2000; turn++) {
        int some = 0;

        for (unsigned i = 0; i < 5; i++)
            balance_set(balance, i, turn % 7 == 0 ? turn : (uint32_t)rand() % 30000);
        for (unsigned i = 0; i < 5; i++)
            some |= balance_room(balance, i, 16) > 0;
        nobody += !some;
    }
    is_int(nobody, 0, "somebody takes it");
    balance_free(&balance);
}

/* Clients come, each to a worker that has room for it. */
static void test_spread(void)
{
    struct balance *balance = make(8);
    uint32_t clients[8] = {0}, most = 0;

    for (unsigned n = 0; n < 16000;) {
        unsigned worker = (unsigned)rand() % 8, room;

        if (rand() % 3 != 0)
            worker = 0; /* the one that the kernel likes best */
        room = balance_room(balance, worker, 16);
        clients[worker] += room;
        n += room;
        balance_set(balance, worker, clients[worker]);
    }
    for (unsigned i = 0; i < 8; i++)
        most = clients[i] > most ? clients[i] : most;
    ok(most <= 2200, "the most that one of 8 has of 16000: %u", most);
    balance_free(&balance);
}

static void test_absent(void)
{
    struct balance *balance = make(3);

    balance_set(balance, 0, 1000);
    balance_set(balance, 1, 1000);
    is_int(balance_room(balance, 0, 16), 0, "left to a third that has fewer");
    balance_accepts(balance, 2, 0);
    ok(balance_room(balance, 0, 16) == 16, "which does not count once it accepts no more");
    is_int(balance_awake(balance, 0), 1, "one other accepts");
    balance_accepts(balance, 1, 0);
    ok(balance_room(balance, 0, 16) == 16, "alone it takes all");
    is_int(balance_awake(balance, 0), 0, "no other accepts");
    balance_free(&balance);
}

static void test_others(void)
{
    struct balance *balance = make(3);
    uint32_t before = balance_others(balance, 1);

    balance_accepted(balance, 1, 5);
    is_int(balance_others(balance, 1) - before, 0, "what it accepts itself is not theirs");
    balance_accepted(balance, 0, 2);
    balance_accepted(balance, 2, 1);
    is_int(balance_others(balance, 1) - before, 3, "what the others have accepted");
    balance_rests(balance, 0, 1);
    is_int(balance_awake(balance, 1), 1, "one that rests is not awake");
    balance_set(balance, 2, 1000);
    is_int(balance_room(balance, 2, 16), 0, "but it counts");
    balance_rests(balance, 0, 0);
    is_int(balance_awake(balance, 1), 2, "it wakes up");
    balance_free(&balance);
}

static void test_shared(void)
{
    struct balance *balance = make(2);
    pid_t pid = fork();

    if (pid == 0) {
        balance_set(balance, 1, 1000);
        balance_accepted(balance, 1, 7);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    is_int(balance_others(balance, 0), 7, "a child's line is seen here");
    ok(balance_room(balance, 0, 400) == 400, "and counts");
    balance_free(&balance);
}

int main(void)
{
    test_room();
    test_margin();
    test_somebody();
    test_spread();
    test_absent();
    test_others();
    test_shared();
    return tap_done();
}
