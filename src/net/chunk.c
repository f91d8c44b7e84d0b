#include "net/chunk.h"

#include "base/pages.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RUN_COST    64   /* bytes that a run takes in a block of its own, beside its own */
#define THIN_BYTES  4096 /* smaller blocks are never thin */
#define DRAIN_RUNS  64   /* taken at a time */
#define MORE_MIN    4    /* runs behind the first that there is room for, if for any */
#define SPARE_BYTES (PAGES_WATCHED ? 0 : 4 * (CHUNK_BYTES + sizeof(struct chunk)))

struct chunk {
    uint64_t waits;      /* bytes of the runs in all queues, and RUN_COST for each of them */
    uint64_t thin_below; /* it is thin when fewer wait; 0: not yet, never, or it is */
    uint32_t refs;
    uint32_t used, cap; /* bytes */
    uint8_t kind;
    uint8_t is_thin;
    struct chunks *owner; /* or NULL */
    union {
        const uint8_t *bytes; /* own, or the caller's */
        struct chunk *next;   /* of the spare ones */
    };
    uint8_t own[];
};

/* --- blocks --- */

static size_t chunk_size(const struct chunk *chunk)
{
    return sizeof(*chunk) + chunk->cap;
}

/* Large ones, which clients may wait for for long, go back to the system. */
static struct chunk *chunk_alloc(size_t cap)
{
    size_t size = sizeof(struct chunk) + cap;
    struct chunk *chunk = cap >= CHUNK_BYTES ? pages_alloc(size) : malloc(size);

    if (chunk != NULL)
        chunk->cap = (uint32_t)cap;
    return chunk;
}

static void chunk_give_back(struct chunk *chunk)
{
    if (chunk->cap >= CHUNK_BYTES)
        pages_free(chunk, chunk_size(chunk));
    else
        free(chunk);
}

/* A spare one that fits, without much left over, or NULL. */
static struct chunk *spare_take(struct chunks *owner, size_t cap)
{
    struct chunk **at = &owner->spare, *chunk;

    while ((chunk = *at) != NULL && (chunk->cap < cap || chunk->cap / 2 > cap))
        at = &chunk->next;
    if (chunk == NULL)
        return NULL;
    *at = chunk->next;
    owner->spare_bytes -= chunk_size(chunk);
    return chunk;
}

static int spare_put(struct chunks *owner, struct chunk *chunk)
{
    if (chunk->cap < CHUNK_BYTES || owner->spare_bytes + chunk_size(chunk) > SPARE_BYTES)
        return 0;
    owner->spare_bytes += chunk_size(chunk);
    chunk->next = owner->spare;
    owner->spare = chunk;
    return 1;
}

void chunks_clear(struct chunks *chunks)
{
    struct chunk *chunk;

    while ((chunk = chunks->spare) != NULL) {
        chunks->spare = chunk->next;
        chunk_give_back(chunk);
    }
    chunks->spare_bytes = 0;
}

static struct chunk *chunk_new(struct chunks *owner, uint8_t kind, size_t cap)
{
    struct chunk *chunk = NULL;

    if (cap > UINT32_MAX)
        return NULL;
    if (owner != NULL && cap >= CHUNK_BYTES)
        chunk = spare_take(owner, cap);
    if (chunk == NULL && (chunk = chunk_alloc(cap)) == NULL)
        return NULL;
    *chunk = (struct chunk){
        .refs = 1, .cap = chunk->cap, .kind = kind, .owner = owner, .bytes = chunk->own};
    if (owner != NULL)
        owner->bytes += chunk_size(chunk);
    return chunk;
}

static void chunk_free(struct chunk *chunk)
{
    struct chunks *owner = chunk->owner;

    if (owner != NULL) {
        owner->bytes -= chunk_size(chunk);
        owner->thin -= chunk->is_thin ? chunk_size(chunk) : 0;
    }
    if (owner == NULL || !spare_put(owner, chunk))
        chunk_give_back(chunk);
}

static void chunk_unref(struct chunk *chunk)
{
    if (--chunk->refs == 0)
        chunk_free(chunk);
}

static void chunk_becomes_thin(struct chunk *chunk)
{
    struct chunks *owner = chunk->owner;

    chunk->thin_below = 0;
    chunk->is_thin = 1;
    owner->thin += chunk_size(chunk);
    if (owner->thin >= owner->thin_max && owner->on_thin != NULL)
        owner->on_thin(owner->arg);
}

/* Nothing is added to it any more: from now on it may be thin. */
static void chunk_complete(struct chunk *chunk)
{
    if (chunk->owner == NULL || chunk->cap < THIN_BYTES)
        return;
    chunk->thin_below = chunk->cap / 2;
    if (chunk->waits < chunk->thin_below)
        chunk_becomes_thin(chunk);
}

/* The log lets go of its newest block. */
static void chunklog_leave(struct chunklog *log)
{
    struct chunk *tail = log->tail;

    log->tail = NULL;
    if (tail != NULL && tail->refs > 1)
        chunk_complete(tail);
    if (tail != NULL)
        chunk_unref(tail);
}

int run_wrap(struct run *run, const void *bytes, size_t n)
{
    struct chunk *chunk = n > UINT32_MAX ? NULL : chunk_new(NULL, 0, 0);

    if (chunk == NULL)
        return -1;
    chunk->bytes = bytes;
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
        size_t cap = n > CHUNK_BYTES ? n : CHUNK_BYTES;
        struct chunk *fresh = chunk_new(log->chunks, log->kind, cap);
        if (fresh == NULL)
            return NULL;
        chunklog_leave(log);
        log->tail = tail = fresh;
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
        chunklog_leave(log);
}

void chunklog_clear(struct chunklog *log)
{
    chunklog_leave(log);
}

/* --- a client's queue --- */

/* Run i of those that wait, from 0. */
static struct run *outq_at(struct outq *queue, uint32_t i)
{
    return i == 0 ? &queue->first : &queue->more[(queue->more_head + i - 1) % queue->more_cap];
}

/* A run is in a queue from now on, and is so no more. */
static void wait_begin(const struct run *run)
{
    run->chunk->refs++;
    run->chunk->waits += run->len + RUN_COST;
}

static void wait_end(const struct run *run)
{
    struct chunk *chunk = run->chunk;

    chunk->waits -= run->len + RUN_COST;
    if (--chunk->refs == 0)
        chunk_free(chunk);
    else if (chunk->waits < chunk->thin_below)
        chunk_becomes_thin(chunk);
}

static int outq_grow(struct outq *queue)
{
    uint32_t cap = queue->more_cap ? queue->more_cap * 2 : MORE_MIN;
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
        struct run *last = outq_at(queue, queue->more_n);
        if (last->chunk == run->chunk && last->off + last->len == run->off) {
            last->len += run->len;
            run->chunk->waits += run->len;
            queue->bytes += run->len;
            return 0;
        }
        if (queue->more_n == queue->more_cap && outq_grow(queue) < 0)
            return -1;
        queue->more[(queue->more_head + queue->more_n) % queue->more_cap] = *run;
        queue->more_n++;
    }
    wait_begin(run);
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
            first->chunk->waits -= n;
            if (first->chunk->waits < first->chunk->thin_below)
                chunk_becomes_thin(first->chunk);
            return;
        }
        n -= first->len;
        wait_end(first);
        first->len = 0;
        assert(queue->more_n > 0 || (n == 0 && queue->bytes == 0));
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

void outq_drain(struct outq *queue, struct buf *out)
{
    struct iovec iov[DRAIN_RUNS];

    while (queue->bytes > 0)
        outq_consume(queue, buf_put_iov(out, iov, outq_iov(queue, iov, DRAIN_RUNS)));
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

/* --- copying out --- */

/* Whether it is to be copied. */
static int is_thin(const struct run *run)
{
    struct chunk *chunk = run->chunk;

    if (chunk->is_thin && chunk->waits >= chunk->cap / 2) { /* more has come to wait */
        chunk->is_thin = 0;
        chunk->owner->thin -= chunk_size(chunk);
        chunk->thin_below = chunk->cap / 2;
    }
    return chunk->is_thin;
}

/* How many runs from number from on, before number end, make one piece of *len bytes. */
static uint32_t thin_group(struct outq *queue, uint32_t from, uint32_t end, uint32_t *len)
{
    uint8_t kind = run_kind(outq_at(queue, from));
    uint32_t to = from;

    for (*len = 0; to < end; to++) {
        const struct run *run = outq_at(queue, to);
        if (!is_thin(run) || run_kind(run) != kind || (to > from && *len + run->len > CHUNK_BYTES))
            break;
        *len += run->len;
    }
    return to - from;
}

/* Whether what it has was copied out before, and is copied with as much more: then no
 * byte is copied often. */
static int joins(const struct run *run, uint8_t kind, uint32_t len)
{
    const struct chunk *chunk = run->chunk;

    return chunk->refs == 1 && chunk->bytes == chunk->own && chunk->kind == kind &&
           run->len / 2 <= len && run->len + len <= CHUNK_BYTES;
}

/* Runs from number from on, before number end, become one of len bytes.  Returns 0, or
 * -1 without memory. */
static int copy_out(struct outq *queue, uint32_t from, uint32_t end, uint32_t len)
{
    const struct chunk *old = outq_at(queue, from)->chunk;
    struct chunk *piece = chunk_new(old->owner, old->kind, len);
    struct run all = {piece, 0, len};

    if (piece == NULL)
        return -1;
    for (uint32_t i = from; i < end; i++) {
        struct run *run = outq_at(queue, i);
        memcpy(piece->own + piece->used, run->chunk->bytes + run->off, run->len);
        piece->used += run->len;
        wait_end(run);
    }
    *outq_at(queue, from) = all;
    wait_begin(&all);
    chunk_complete(piece);
    chunk_unref(piece);
    return 0;
}

/* Its first n runs are all there are; memory for many more is given back. */
static void outq_cut(struct outq *queue, uint32_t n)
{
    uint32_t cap = queue->more_cap;
    struct run *more;

    queue->more_n = n - 1;
    if (n == 1) {
        free(queue->more);
        queue->more = NULL;
        queue->more_head = queue->more_cap = 0;
        return;
    }
    while (cap > MORE_MIN && cap / 4 >= n)
        cap /= 2;
    if (cap == queue->more_cap || (more = malloc(cap * sizeof(*more))) == NULL)
        return;
    for (uint32_t i = 1; i < n; i++)
        more[i - 1] = *outq_at(queue, i);
    free(queue->more);
    queue->more = more;
    queue->more_head = 0;
    queue->more_cap = cap;
}

uint32_t outq_copy_thin(struct outq *queue, uint32_t from, uint32_t max)
{
    uint32_t n = queue->bytes > 0 ? queue->more_n + 1 : 0, at = from, to = from, next, len;
    uint32_t end = max < n - at ? at + max : n;

    if (from >= n)
        return 0;
    while (at < end) {
        uint32_t count = thin_group(queue, at, end, &len), first = to;
        uint8_t kind = run_kind(outq_at(queue, at));
        /* They move down to those that have been looked at; one that is not thin by itself. */
        for (uint32_t i = 0; i < (count > 0 ? count : 1); i++)
            *outq_at(queue, to++) = *outq_at(queue, at++);
        if (count == 0)
            continue;
        while (first > 0 && joins(outq_at(queue, first - 1), kind, len))
            len += outq_at(queue, --first)->len;
        if (copy_out(queue, first, to, len) == 0)
            to = first + 1;
    }
    next = end < n ? to : 0;
    if (to == at)
        return next;
    while (at < n)
        *outq_at(queue, to++) = *outq_at(queue, at++);
    outq_cut(queue, to);
    return next;
}
