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

/* All that was drawn from OpenSSL since the start, in order, and where it went last. */
static struct {
    uint8_t all[1 << 16];
    size_t len;
    int calls;
    const uint8_t *last;
} drawn;

int __real_RAND_bytes(unsigned char *dst, int len);
int __wrap_RAND_bytes(unsigned char *dst, int len);

int __wrap_RAND_bytes(unsigned char *dst, int len)
{
    int made = __real_RAND_bytes(dst, len);

    drawn.calls++;
    drawn.last = dst;
    if ((size_t)len <= sizeof(drawn.all) - drawn.len) {
        memcpy(drawn.all + drawn.len, dst, (size_t)len);
        drawn.len += (size_t)len;
    }
    return made;
}

/* What is given was drawn, and behind what was given before: no byte is given twice. */
static void test_once(void)
{
    static const size_t sizes[] = {16, 1, 15, 700, 3, 0, 400, 1024, 8, 1023, 1025, 2, 1024};
    const uint8_t *from;
    uint8_t bytes[1025];
    int good = 1;

    drawn.len = 0;
    rand_bytes(bytes, 1025); /* more than is kept: what is left is of before */
    rand_bytes(bytes, 1024); /* no less than is kept: nothing is left */
    from = drawn.all;
    drawn.len = 0;
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            size_t rest, len = sizes[i];
            const uint8_t *at;

            rand_bytes(bytes, len);
            rest = drawn.len - (size_t)(from - drawn.all);
            at = memmem(from, rest, bytes, len);
            if (len == 1025) /* not from the batch, whose rest is given later */
                at = memmem(drawn.all, drawn.len, bytes, len);
            good = good && at != NULL;
            if (at != NULL && len < 1025)
                from = at + len;
        }
    }
    ok(good, "each byte is given once, in the order in which they were drawn");
}

static int is_zero(const volatile uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return 0;
    return 1;
}

/* Many are drawn at once, and what is given is not kept. */
static void test_batch(void)
{
    uint8_t bytes[16];
    int calls = drawn.calls;

    for (int i = 0; i < 64; i++)
        rand_bytes(bytes, sizeof(bytes));
    ok(drawn.calls - calls <= 2, "64 times 16 bytes are drawn in one or two calls");
    if (drawn.calls == calls || drawn.last == bytes) {
        ok(0, "they are drawn in batches");
        return;
    }
    rand_bytes(bytes, 8);
    rand_bytes((uint8_t[1024]){0}, 1024); /* a batch of its own */
    ok(is_zero(drawn.last, 1024), "what is given is cleared where it was kept");
    rand_bytes(bytes, sizeof(bytes));
    ok(is_zero(drawn.last, sizeof(bytes)), "also when it is only a part");
    ok(!is_zero(drawn.last + sizeof(bytes), 1024 - sizeof(bytes)), "the rest is there");
    rand_bytes((uint8_t[1024]){0}, 1024);
    calls = drawn.calls;
    rand_bytes((uint8_t[512]){0}, 512);
    rand_bytes((uint8_t[512]){0}, 512);
    is_int(drawn.calls - calls, 1, "a batch is given to its last byte");
}

/* What the parent will give, a child does not have. */
static void test_dropped(void)
{
    uint8_t bytes[16];
    int status = -1;
    pid_t pid;

    rand_bytes((uint8_t[1024]){0}, 1024);
    rand_bytes(bytes, sizeof(bytes));
    pid = fork();
    if (pid == 0) {
        int calls = drawn.calls, cleared = is_zero(drawn.last, 1024);

        rand_bytes(bytes, sizeof(bytes));
        _exit(cleared && drawn.calls == calls + 1 ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    is_int(status, 0, "a child's batch is cleared, and it draws its own");
    is_int(drawn.calls > 0 && !is_zero(drawn.last, 1024), 1, "the parent's stays");
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
    test_once();
    test_batch();
    test_dropped();
    test_below();
    test_fork();
    return tap_done();
}
