#include "base/rand.h"
#include "tap.h"

#include <sys/wait.h>

static void test_below(void)
{
    unsigned seen[6] = {0}, beyond = 0, all = 1;

    for (int i = 0; i < 6000; i++) {
        uint32_t value = rand_below(6);

        if (value >= 6)
            beyond++;
        else
            seen[value]++;
    }
    is_int(beyond, 0, "rand_below stays below");
    for (int i = 0; i < 6; i++)
        all = all && seen[i] > 700 && seen[i] < 1300;
    ok(all, "each value about as often");
    is_int(rand_below(1), 0, "below 1 there is 0");
    ok(rand_below(UINT32_MAX) < UINT32_MAX, "the largest bound");
}

/* Two processes of one ancestor must not give the same ids. */
static void test_fork(void)
{
    uint8_t here[16], there[16] = {0};
    int ends[2];
    pid_t pid;

    if (!ok(pipe(ends) == 0, "pipe"))
        return;
    pid = fork();
    if (pid == 0) {
        rand_bytes(here, sizeof(here));
        _exit(write(ends[1], here, sizeof(here)) == sizeof(here) ? 0 : 1);
    }
    rand_bytes(here, sizeof(here));
    is_int(read(ends[0], there, sizeof(there)), sizeof(there), "the child's bytes came");
    ok(memcmp(here, there, sizeof(here)) != 0, "child and parent differ");
    waitpid(pid, NULL, 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    static uint8_t big[(1 << 20) + 100], zero[32];
    uint8_t a[32], b[32];

    rand_bytes(a, sizeof(a));
    rand_bytes(b, sizeof(b));
    ok(memcmp(a, b, sizeof(a)) != 0, "two draws differ");
    rand_bytes(big, sizeof(big));
    ok(memcmp(big + sizeof(big) - 32, zero, 32) != 0, "more than a chunk is filled to its end");
    rand_bytes(a, 0);
    test_below();
    test_fork();
    return tap_done();
}
