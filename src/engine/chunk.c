#include "engine/chunk.h"

#include <assert.h>
#include <stdlib.h>

struct chunk {
    uint32_t refs;
    uint32_t used, cap; /* bytes */
    uint8_t kind;
    const uint8_t *bytes; /* own, or the caller's */
    uint8_t own[];
};

static struct chunk *chunk_new(size_t cap)
{
    struct chunk *chunk;

    if (cap > UINT32_MAX || (chunk = malloc(sizeof(*chunk) + cap)) == NULL)
        return NULL;
    chunk->refs = 1;
    chunk->used = 0;
    chunk->cap = (uint32_t)cap;
    chunk->bytes = chunk->own;
    return chunk;
}

static void chunk_unref(struct chunk *chunk)
{
    if (--chunk->refs == 0)
        free(chunk);
}

int run_wrap(struct run *run, const void *bytes, size_t n)
{
    struct chunk *chunk = n > UINT32_MAX ? NULL : chunk_new(0);

    if (chunk == NULL)
        return -1;
    chunk->kind = 0;
    chunk->bytes = bytes;
    chunk->used = chunk->cap = (uint32_t)n;
    *run = (struct run){chunk, 0, (uint32_t)n};
    return 0;
}

void run_ref(const struct run *run)
{
    run->chunk->refs++;
}

uint8_t run_kind(const struct run *run)
{
    return run->chunk->kind;
}

void run_unref(struct run *run)
{
    if (run->chunk != NULL)
        chunk_unref(run->chunk);
    run->chunk = NULL;
    run->len = 0;
}

uint8_t *chunklog_reserve(struct chunklog *log, size_t n, struct run *run)
{
    struct chunk *tail = log->tail;

    /* Nobody waits for what is in it: start again in memory that is warm. */
    if (tail != NULL && tail->refs == 1)
        tail->used = 0;
    if (tail == NULL || tail->cap - tail->used < n) {
        struct chunk *fresh = chunk_new(n > CHUNK_BYTES ? n : CHUNK_BYTES);
        if (fresh == NULL)
            return NULL;
        if (tail != NULL)
            chunk_unref(tail);
        log->tail = tail = fresh;
        fresh->kind = log->kind;
    }
    *run = (struct run){tail, tail->used, (uint32_t)n};
    tail->used += (uint32_t)n;
    return tail->own + run->off;
}

void chunklog_unreserve(struct chunklog *log, struct run *run, size_t n)
{
    log->tail->used = run->off + (uint32_t)n;
    run->len = (uint32_t)n;
}

int chunklog_put(struct chunklog *log, const void *bytes, size_t n, struct run *run)
{
    uint8_t *dst = chunklog_reserve(log, n, run);

    if (dst == NULL)
        return -1;
    memcpy(dst, bytes, n);
    return 0;
}

void chunklog_trim(struct chunklog *log)
{
    if (log->tail != NULL && log->tail->cap > CHUNK_BYTES)
        chunklog_clear(log);
}

void chunklog_clear(struct chunklog *log)
{
    if (log->tail != NULL)
        chunk_unref(log->tail);
    log->tail = NULL;
}

/* --- a client's queue --- */

static struct run *outq_last(struct outq *queue)
{
    if (queue->more_n == 0)
        return &queue->first;
    return &queue->more[(queue->more_head + queue->more_n - 1) % queue->more_cap];
}

static int outq_grow(struct outq *queue)
{
    uint32_t cap = queue->more_cap ? queue->more_cap * 2 : 4;
    struct run *more = malloc(cap * sizeof(*more));

    if (more == NULL)
        return -1;
    for (uint32_t i = 0; i < queue->more_n; i++)
        more[i] = queue->more[(queue->more_head + i) % queue->more_cap];
    free(queue->more);
    queue->more = more;
    queue->more_head = 0;
    queue->more_cap = cap;
    return 0;
}

int outq_push(struct outq *queue, const struct run *run)
{
    if (run->len == 0)
        return 0;
    if (queue->bytes + (uint64_t)run->len > UINT32_MAX)
        return -1;
    if (queue->bytes == 0) {
        queue->first = *run;
    } else {
        struct run *last = outq_last(queue);
        if (last->chunk == run->chunk && last->off + last->len == run->off) {
            last->len += run->len;
            queue->bytes += run->len;
            return 0;
        }
        if (queue->more_n == queue->more_cap && outq_grow(queue) < 0)
            return -1;
        queue->more[(queue->more_head + queue->more_n) % queue->more_cap] = *run;
        queue->more_n++;
    }
    run_ref(run);
    queue->bytes += run->len;
    return 0;
}

static struct iovec iov_of(const struct run *run)
{
    /* An iovec is for reading too, so it has no const; ours are only written out. */
    union {
        const uint8_t *bytes;
        void *base;
    } at = {.bytes = run->chunk->bytes + run->off};

    return (struct iovec){at.base, run->len};
}

int outq_iov(const struct outq *queue, struct iovec *iov, int max)
{
    int n = 0;

    if (queue->bytes == 0)
        return 0;
    iov[n++] = iov_of(&queue->first);
    for (uint32_t i = 0; i < queue->more_n && n < max; i++) {
        const struct run *run = &queue->more[(queue->more_head + i) % queue->more_cap];
        iov[n++] = iov_of(run);
    }
    return n;
}

void outq_consume(struct outq *queue, size_t n)
{
    assert(n <= queue->bytes);
    queue->bytes -= (uint32_t)n;
    while (n > 0) {
        struct run *first = &queue->first;
        if (n < first->len) {
            first->off += (uint32_t)n;
            first->len -= (uint32_t)n;
            return;
        }
        n -= first->len;
        run_unref(first);
        if (queue->more_n > 0) {
            *first = queue->more[queue->more_head];
            queue->more_head = (queue->more_head + 1) % queue->more_cap;
            queue->more_n--;
        }
    }
    if (queue->bytes == 0 && queue->more != NULL) {
        free(queue->more);
        queue->more = NULL;
        queue->more_head = queue->more_cap = 0;
    }
}

long outq_move(struct outq *dst, struct outq *src)
{
    uint8_t kind = src->bytes > 0 ? run_kind(&src->first) : 0;
    long moved = 0;

    while (src->bytes > 0 && run_kind(&src->first) == kind) {
        uint32_t len = src->first.len;
        if (outq_push(dst, &src->first) < 0)
            return -1;
        outq_consume(src, len);
        moved += len;
    }
    return moved;
}

void outq_clear(struct outq *queue)
{
    outq_consume(queue, queue->bytes);
}
