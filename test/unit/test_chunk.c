#include "net/chunk.h"

#include "tap.h"

static int nomem; /* so many more of malloc() fail (Makefile: --wrap) */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    if (nomem == 0)
        return __real_malloc(size);
    nomem--;
    return NULL;
}

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

/* --- blocks that are kept for little --- */

#define BLOCK (CHUNK_BYTES + 100) /* with what is beside its bytes */

static int thin_calls;

static void on_thin(void *arg)
{
    thin_calls++;
    ok(arg == &thin_calls, "whoever asked is told");
}

/* Fills what is left of the log's newest block with what nobody waits for. */
static void fill(struct chunklog *log)
{
    struct run run;

    for (struct chunk *tail = log->tail; log->tail == tail;)
        chunklog_reserve(log, 1000, &run);
}

/* A few bytes in each of n blocks: a number of four digits. */
static void scatter(struct chunklog *log, struct outq *queue, int n)
{
    char text[16];
    struct run run;

    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "%04d", i);
        chunklog_put(log, text, 4, &run);
        outq_push(queue, &run);
        fill(log);
    }
}

/* 1 if the queue is the numbers from first to n - 1. */
static int is_numbers(const struct outq *queue, int first, int n)
{
    static char got[65536];
    struct iovec iov[1024];
    char want[16];
    size_t len = 0;
    int good = 1;

    for (int i = 0, runs = outq_iov(queue, iov, 1024); i < runs; len += iov[i++].iov_len)
        memcpy(got + len, iov[i].iov_base, iov[i].iov_len);
    for (int i = first; i < n; i++) {
        snprintf(want, sizeof(want), "%04d", i);
        good &= memcmp(got + (size_t)(i - first) * 4, want, 4) == 0;
    }
    return good && len == (size_t)(n - first) * 4 && queue->bytes == len;
}

static void test_thin(void)
{
    struct chunks chunks = {.thin_max = 29 * BLOCK, .on_thin = on_thin, .arg = &thin_calls};
    struct chunklog log = {.chunks = &chunks};
    struct outq queue = {0};
    size_t newest;

    thin_calls = 0;
    scatter(&log, &queue, 20);
    newest = chunks.bytes - chunks.thin;
    ok(chunks.bytes > 20UL * CHUNK_BYTES && chunks.bytes < 21UL * BLOCK, "twenty-one blocks");
    ok(newest > CHUNK_BYTES && newest < BLOCK, "all are thin, but for the newest");
    is_int(thin_calls, 0, "nobody is told yet");
    scatter(&log, &queue, 10);
    ok(thin_calls > 0, "but then");
    is_int(outq_copy_thin(&queue, 0, 1000), 0, "all is looked at");
    ok(chunks.bytes < newest + 1000 && chunks.thin == 0, "and none is left");
    is_int(queue.more_n, 0, "it is one run");
    is_int(queue.more_cap, 0, "and takes no more memory for others");
    is_int(queue.bytes, 120, "of as many bytes");
    outq_consume(&queue, 80);
    ok(is_numbers(&queue, 0, 10), "in order");
    is_int(outq_copy_thin(&queue, 0, 1000), 0, "there is nothing to do again");
    outq_clear(&queue);
    is_int(outq_copy_thin(&queue, 0, 1000), 0, "nor where nothing waits");
    chunklog_clear(&log);
    ok(chunks.bytes == 0 && chunks.thin == 0, "all is given back");
    chunks_clear(&chunks);
    ok(chunks.spare == NULL && chunks.spare_bytes == 0, "and what is spare");
}

/* Copies for many take more than the block that they share. */
static void test_thin_shared(void)
{
    enum { MANY = 1000 };
    struct chunks chunks = {0};
    struct chunklog log = {.chunks = &chunks};
    static struct outq queues[MANY];
    struct run run;
    size_t before;

    for (int i = 0; i < 10; i++) {
        chunklog_put(&log, "some bytes", 10, &run);
        for (int k = 0; k < MANY; k++)
            outq_push(&queues[k], &run);
        fill(&log);
    }
    before = chunks.bytes;
    is_int((long)chunks.thin, 0, "what many wait for is not thin");
    for (int k = 0; k < MANY; k++)
        outq_copy_thin(&queues[k], 0, 1000);
    is_int((long)chunks.bytes, (long)before, "and is not copied");
    for (int k = 100; k < MANY; k++)
        outq_clear(&queues[k]);
    ok(chunks.thin >= 10UL * CHUNK_BYTES, "it is thin when most have had it");
    for (int k = 0; k < 100; k++)
        outq_copy_thin(&queues[k], 0, 1000);
    ok(chunks.bytes < before - 10UL * CHUNK_BYTES + 100UL * 200 && chunks.thin == 0,
       "and then it is");
    for (int k = 0; k < 100; k++)
        outq_clear(&queues[k]);
    chunklog_clear(&log);
    is_int((long)chunks.bytes, 0, "all is given back");
    chunks_clear(&chunks);
}

/* What is dense stays where it is, and between the others. */
static void test_thin_mixed(void)
{
    struct chunks chunks = {0};
    struct chunklog log = {.chunks = &chunks}, other = {.chunks = &chunks, .kind = 1};
    struct outq queue = {0};
    struct run run;
    static char big[40000], got[60000];
    struct iovec iov[64];
    size_t len = 0;
    int runs;

    memset(big, 'B', sizeof(big));
    for (int i = 0; i < 2; i++) {
        scatter(&log, &queue, 3);
        chunklog_put(&log, big, i == 0 ? sizeof(big) : 10, &run);
        outq_push(&queue, &run);
        fill(&log);
    }
    scatter(&other, &queue, 3);
    ok(chunks.thin >= 10UL * CHUNK_BYTES && chunks.thin < 10UL * BLOCK, "ten of eleven are thin");
    outq_copy_thin(&queue, 0, 1000);
    runs = outq_iov(&queue, iov, 64);
    for (int i = 0; i < runs; len += iov[i++].iov_len)
        memcpy(got + len, iov[i].iov_base, iov[i].iov_len);
    is_int(runs, 4, "before the dense one, that, after it, and of another kind");
    is_int(iov[1].iov_len, sizeof(big), "it is where it was");
    is_int((long)len, 12 + (long)sizeof(big) + 22 + 12, "nothing is lost");
    ok(memcmp(got, "000000010002BBBB", 16) == 0 &&
           memcmp(got + 12 + sizeof(big) - 4, "BBBB000000010002BBBBBBBBBB000000010002", 38) == 0,
       "or out of order");
    ok(chunks.thin == 0 && chunks.bytes < 4UL * BLOCK, "none is thin");
    outq_consume(&queue, 12 + sizeof(big) - 100);
    ok(chunks.thin > CHUNK_BYTES, "until most of it has been read");
    outq_copy_thin(&queue, 0, 1000);
    is_int((long)chunks.thin, 0, "which is given up, too");
    outq_clear(&queue);
    chunklog_clear(&log);
    chunklog_clear(&other);
    is_int((long)chunks.bytes, 0, "all is given back");
    chunks_clear(&chunks);
}

/* A part at a time, while others are added and taken. */
static void test_thin_parts(void)
{
    struct chunks chunks = {0};
    struct chunklog log = {.chunks = &chunks};
    struct outq queue = {0};
    uint32_t at = 0;
    int turns = 0;

    scatter(&log, &queue, 500);
    do {
        at = outq_copy_thin(&queue, at, 64);
        turns++;
    } while (at != 0 && turns < 100);
    ok(turns > 7 && turns < 12, "in %d parts", turns);
    ok(is_numbers(&queue, 0, 500) && chunks.thin == 0, "all of it");
    ok(queue.more_n < 12, "in a few runs: %u", queue.more_n + 1);
    outq_consume(&queue, 400);
    is_int(outq_copy_thin(&queue, 1000, 64), 0, "beyond its end there is nothing");
    ok(is_numbers(&queue, 100, 500), "what is left is as it was");
    outq_clear(&queue);
    chunklog_clear(&log);
    chunks_clear(&chunks);
}

/* Whoever waits for long is looked at again and again. */
static void test_thin_again(void)
{
    struct chunks chunks = {0};
    struct chunklog log = {.chunks = &chunks};
    struct outq queue = {0};
    char text[16];
    struct run run;
    uint32_t most = 0;

    for (int i = 0; i < 2000; i++) {
        snprintf(text, sizeof(text), "%04d", i);
        chunklog_put(&log, text, 4, &run);
        outq_push(&queue, &run);
        fill(&log);
        if (i % 4 == 3)
            outq_copy_thin(&queue, 0, 1000);
        most = queue.more_n > most ? queue.more_n : most;
    }
    ok(is_numbers(&queue, 0, 2000), "all of it is there");
    ok(most < 20, "in few pieces: %u", most);
    ok(chunks.bytes < 3UL * BLOCK, "which take little: %zu", chunks.bytes);
    outq_clear(&queue);
    chunklog_clear(&log);
    chunks_clear(&chunks);
}

static void test_thin_nomem(void)
{
    struct chunks chunks = {0};
    struct chunklog log = {.chunks = &chunks};
    struct outq queue = {0};

    scatter(&log, &queue, 20);
    for (int i = 1; i <= 2; i++) {
        nomem = i;
        outq_copy_thin(&queue, 0, 1000);
        nomem = 0;
        ok(is_numbers(&queue, 0, 20), "without memory all stays as it was");
    }
    outq_copy_thin(&queue, 0, 1000);
    ok(is_numbers(&queue, 0, 20) && chunks.thin == 0, "and is copied when there is some");
    outq_clear(&queue);
    chunklog_clear(&log);
    chunks_clear(&chunks);
}

#define QUEUES 5
#define MODEL  400000

/* Several queues of several logs against plain copies of what should come out. */
static void test_thin_model(void)
{
    struct chunks chunks = {0};
    struct chunklog logs[3] = {{.chunks = &chunks}, {.chunks = &chunks}, {.chunks = &chunks}};
    struct outq queues[QUEUES] = {{.bytes = 0}};
    static uint8_t model[QUEUES][MODEL], got[MODEL], bytes[70000];
    size_t heads[QUEUES] = {0}, tails[QUEUES] = {0};
    int bad = 0, copied = 0;

    srand(11);
    for (int i = 0; i < 40000; i++) {
        int k = rand() % QUEUES;
        if (rand() % 4 != 0) {
            size_t n =
                rand() % 200 == 0 ? 30000 + (size_t)rand() % 40000 : (size_t)rand() % 900 + 1;
            struct chunklog *log = &logs[rand() % 3];
            struct run run;
            memset(bytes, i, n);
            bad += chunklog_put(log, bytes, n, &run) != 0;
            for (int q = 0; q < QUEUES; q++) {
                if (rand() % 40 != 0 || tails[q] + n > MODEL)
                    continue;
                bad += outq_push(&queues[q], &run) != 0;
                memcpy(model[q] + tails[q], bytes, n);
                tails[q] += n;
            }
            if (n > CHUNK_BYTES)
                chunklog_trim(log);
        } else if (rand() % 4 == 0) {
            size_t before = chunks.bytes;
            outq_copy_thin(&queues[k], (uint32_t)rand() % 4, (uint32_t)rand() % 50 + 1);
            copied += chunks.bytes < before;
        } else if (queues[k].bytes > 0 && rand() % 10 == 0) {
            struct iovec iov[1024];
            size_t len = 0,
                   take = (size_t)rand() % (queues[k].bytes < 5000 ? queues[k].bytes : 5000);
            for (int v = 0, n = outq_iov(&queues[k], iov, 1024); v < n; len += iov[v++].iov_len)
                memcpy(got + len, iov[v].iov_base, iov[v].iov_len);
            bad += memcmp(got, model[k] + heads[k], len) != 0;
            outq_consume(&queues[k], take);
            heads[k] += take;
        }
        bad += queues[k].bytes != tails[k] - heads[k];
    }
    is_int(bad, 0, "copied or not, what comes out is what went in");
    ok(copied > 100, "and copies made blocks go: %d times", copied);
    for (int q = 0; q < QUEUES; q++)
        outq_clear(&queues[q]);
    for (int i = 0; i < 3; i++)
        chunklog_clear(&logs[i]);
    ok(chunks.bytes == 0 && chunks.thin == 0, "all is given back");
    chunks_clear(&chunks);
}

/* More runs than are taken at a time. */
static void test_drain(void)
{
    struct chunklog logs[2] = {{0}};
    struct outq queue = {.bytes = 0};
    struct buf out = {0};
    struct run run;
    char want[2 * 300];

    for (size_t i = 0; i < sizeof(want); i++) {
        want[i] = (char)('a' + i % 26);
        chunklog_put(&logs[i % 2], &want[i], 1, &run);
        outq_push(&queue, &run);
    }
    buf_puts(&out, "before");
    outq_drain(&queue, &out);
    is_int((long)queue.bytes, 0, "nothing is left in the queue");
    is_mem(out.data, 6, "before", 6, "it comes behind what is there");
    is_mem(out.data + 6, out.len - 6, want, sizeof(want), "all of it, in order");
    buf_free(&out);
    chunklog_clear(&logs[0]);
    chunklog_clear(&logs[1]);
}

int main(void)
{
    test_joining();
    test_drain();
    test_held();
    test_reuse();
    test_model();
    test_wrap();
    test_thin();
    test_thin_shared();
    test_thin_mixed();
    test_thin_parts();
    test_thin_again();
    test_thin_nomem();
    test_thin_model();
    return tap_done();
}
