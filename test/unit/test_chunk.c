#include "engine/chunk.h"

#include "tap.h"

static size_t gather(const struct outq *queue, char *dst, int *runs)
{
    struct iovec iov[64];
    size_t len = 0;

    *runs = outq_iov(queue, iov, 64);
    for (int i = 0; i < *runs; i++) {
        memcpy(dst + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    return len;
}

static void test_joining(void)
{
    struct chunklog log = {0}, other = {0};
    struct outq queue = {0};
    struct run run, apart;
    char got[64];
    int runs;

    chunklog_put(&log, "abc", 3, &run);
    outq_push(&queue, &run);
    chunklog_put(&log, "def", 3, &run);
    outq_push(&queue, &run);
    is_mem(got, gather(&queue, got, &runs), "abcdef", 6, "two frames of one log");
    is_int(runs, 1, "are one run");
    is_int(queue.more_cap, 0, "and take no memory");
    chunklog_put(&other, "XY", 2, &apart);
    outq_push(&queue, &apart);
    chunklog_put(&log, "ghi", 3, &run);
    outq_push(&queue, &run);
    is_mem(got, gather(&queue, got, &runs), "abcdefXYghi", 11, "order is kept across logs");
    is_int(runs, 3, "in three runs");
    outq_consume(&queue, 4);
    is_mem(got, gather(&queue, got, &runs), "efXYghi", 7, "a part of a run is taken");
    outq_consume(&queue, 3);
    is_mem(got, gather(&queue, got, &runs), "Yghi", 4, "more than a run is taken");
    outq_consume(&queue, 4);
    is_int(outq_iov(&queue, NULL, 0), 0, "empty");
    ok(queue.more == NULL && queue.more_cap == 0, "an empty queue holds no memory");
    chunklog_clear(&log);
    chunklog_clear(&other);
}

/* Runs that do not touch cost more than their bytes. */
static void test_held(void)
{
    struct chunklog log = {0}, other = {0};
    struct outq queue = {0};
    struct run run;

    chunklog_put(&log, "abc", 3, &run);
    outq_push(&queue, &run);
    chunklog_put(&log, "def", 3, &run);
    outq_push(&queue, &run);
    is_int((long)outq_held(&queue), 6, "one run counts with its bytes");
    for (int i = 0; i < 100; i++) {
        chunklog_put(i % 2 ? &log : &other, "x", 1, &run);
        outq_push(&queue, &run);
    }
    is_int((long)outq_held(&queue), 106 + 100 * (long)sizeof(run), "each of many with its entry");
    outq_consume(&queue, 56);
    is_int((long)outq_held(&queue), 50 + 49 * (long)sizeof(run), "until it has left");
    outq_clear(&queue);
    is_int((long)outq_held(&queue), 0, "nothing is held");
    chunklog_clear(&log);
    chunklog_clear(&other);
}

static void test_reuse(void)
{
    struct chunklog log = {0};
    struct outq queue = {0};
    struct run first, second;
    struct iovec iov;
    uint8_t *a, *b;

    a = chunklog_reserve(&log, 10, &first);
    b = chunklog_reserve(&log, 10, &second);
    ok(a == b, "what nobody took is overwritten");
    outq_push(&queue, &second);
    b = chunklog_reserve(&log, 10, &first);
    ok(b == a + 10, "what is queued is not");
    outq_clear(&queue);
    chunklog_reserve(&log, CHUNK_BYTES * 3, &first);
    is_int(first.len, CHUNK_BYTES * 3, "a large frame has a block of its own");
    outq_push(&queue, &first);
    chunklog_trim(&log);
    ok(log.tail == NULL, "which the log lets go of");
    outq_iov(&queue, &iov, 1);
    memset(iov.iov_base, 7, iov.iov_len); /* still ours, says the sanitizer */
    outq_clear(&queue);
    a = chunklog_reserve(&log, 100, &first);
    ok(a != NULL, "the log goes on");
    chunklog_unreserve(&log, &first, 40);
    is_int(first.len, 40, "what was too much is given back");
    outq_push(&queue, &first);
    chunklog_reserve(&log, 10, &second);
    is_int(second.off, first.off + 40, "and used by the next");
    outq_clear(&queue);
    chunklog_clear(&log);
}

/* Random pushes and takes against a plain copy of what should come out. */
static void test_model(void)
{
    struct chunklog logs[3] = {{0}};
    struct outq queue = {0};
    static uint8_t model[1 << 20], got[1 << 20];
    size_t head = 0, tail = 0;
    int bad = 0;

    srand(7);
    for (int i = 0; i < 20000 && tail < sizeof(model) - 2000; i++) {
        struct iovec iov[64];
        size_t len = 0, take;
        if (rand() % 3 != 0) {
            struct run run;
            size_t n = (size_t)rand() % 100 + 1;
            uint8_t *dst = chunklog_reserve(&logs[rand() % 3], n, &run);
            for (size_t k = 0; k < n; k++)
                dst[k] = model[tail++] = (uint8_t)rand();
            bad += outq_push(&queue, &run) != 0;
            continue;
        }
        for (int k = 0, n = outq_iov(&queue, iov, 64); k < n; k++) {
            memcpy(got + len, iov[k].iov_base, iov[k].iov_len);
            len += iov[k].iov_len;
        }
        bad += memcmp(got, model + head, len) != 0;
        take = len > 0 ? (size_t)rand() % len + 1 : 0;
        outq_consume(&queue, take);
        head += take;
        bad += queue.bytes != tail - head;
    }
    ok(tail > 100000, "the model was worked (%zu bytes)", tail);
    is_int(bad, 0, "random pushes and takes come out as they went in");
    outq_clear(&queue);
    for (int i = 0; i < 3; i++)
        chunklog_clear(&logs[i]);
}

static void test_wrap(void)
{
    static const char bytes[] = "the caller's";
    struct outq queue = {.bytes = 0};
    struct iovec iov[2];
    struct run run;

    is_int(run_wrap(&run, bytes, 12), 0, "wrapped");
    is_int(outq_push(&queue, &run), 0, "queued");
    run_unref(&run);
    is_int(outq_iov(&queue, iov, 2), 1, "one run");
    ok(iov[0].iov_base == bytes && iov[0].iov_len == 12, "of the bytes themselves");
    outq_consume(&queue, 4);
    outq_iov(&queue, iov, 2);
    is_mem(iov[0].iov_base, iov[0].iov_len, "caller's", 8, "what is left");
    outq_clear(&queue);
}

int main(void)
{
    test_joining();
    test_held();
    test_reuse();
    test_model();
    test_wrap();
    return tap_done();
}
