#include "master/history.h"

#include "base/log.h"
#include "base/rand.h"
#include "codec/broadcast.h"
#include "ipc/history.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define WORD        sizeof(uint64_t)
#define MIN_PAGES   16
#define HEAD_BYTES  (HISTORY_HEAD * WORD)
#define PLACES      2 /* of the index for each head: half of it is empty at least */
#define STOP_BYTES  (HEAD_BYTES + PLACES * sizeof(uint32_t))
#define KEEP_MAX_MS (UINT64_C(1) << 31) /* the time in a head has 32 bits */
#define NOWHERE     (UINT64_C(1) << 63) /* a position that is never reached */

#define READY_WORDS ((uint64_t)32 * 1024) /* that memory is asked for at once */
#define LOG_MS      60000
#define CUT_FEW     1024 /* are taken out of the index one by one */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Memory comes with the first writing: as far as ready, it has. */
struct ring {
    uint64_t *at;
    uint64_t words, ready;
};

struct history {
    uint64_t *words;
    size_t mapped;
    struct ring heads, bodies;
    uint64_t nheads;
    uint64_t key[2];
    uint64_t begin, end; /* as in the file */
    uint64_t body_end;   /* words ever written */
    uint64_t last_seq, holed, keep_ms;
    uint64_t entries, cuts, crowded;
    uint32_t *index; /* offset -> which head, from 1 on; 0: free.  Open addressing */
    size_t index_mapped;
    int fd;
    struct log_every memory_log;
};

/* --- the memory --------------------------------------------------------------- */

static uint64_t *map(int fd, size_t bytes)
{
    int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, 0);

    if (at == MAP_FAILED)
        return NULL;
    /* A worker would have it, and could write. */
    if (madvise(at, bytes, MADV_DONTFORK) < 0) {
        (void)munmap(at, bytes);
        return NULL;
    }
    return at;
}

/* Where the system has no memory left, writing would end the process.  Returns 0, or -1. */
static int populate(uint64_t *at, uint64_t words)
{
    uint8_t *from = (uint8_t *)at, *to = from + words * WORD;

    from -= (uintptr_t)from % (size_t)sysconf(_SC_PAGESIZE);
    if (madvise(from, (size_t)(to - from), MADV_POPULATE_WRITE) == 0)
        return 0;
    if (errno == EINVAL)
        return 0; /* before Linux 5.14 it takes its chances */
    errno = ENOMEM;
    return -1;
}

/* Its first words may be written.  Returns 0, or -1 without memory. */
static int make_ready(struct ring *ring, uint64_t words)
{
    if (words <= ring->ready)
        return 0;
    words = words + READY_WORDS < ring->words ? words + READY_WORDS : ring->words;
    if (populate(ring->at + ring->ready, words - ring->ready) < 0)
        return -1;
    ring->ready = words;
    return 0;
}

/* A descriptor of its own that cannot write; a copy of the other one could. */
static int reopen(int fd)
{
    char path[64];
    int again;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    again = open(path, O_RDONLY | O_CLOEXEC);
    if (again < 0)
        log_event(WARN, "history_unshared", "history: workers cannot be given it[: {}: {}]",
                  LOG_STR("file", path), LOG_ERRNO());
    return again;
}

/* Who has the file's user could open it for writing again, were it not sealed. */
static int seal(int fd)
{
    const int size = F_SEAL_SHRINK | F_SEAL_GROW;

    if (fcntl(fd, F_ADD_SEALS, size | F_SEAL_FUTURE_WRITE) == 0)
        return 0;
    if (errno != EINVAL || fcntl(fd, F_ADD_SEALS, size) < 0)
        return -1;
    log_event(WARN, "history_unsealed",
              "history: this kernel does not keep a worker that was broken into from writing it");
    return 0;
}

static int make_file(struct history *history)
{
    int fd = memfd_create("axr-notifyd history", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, (off_t)history->mapped) < 0 ||
        (history->words = map(fd, history->mapped)) == NULL ||
        populate(history->words, HISTORY_FILE_WORDS) < 0 || seal(fd) < 0) {
        log_event(WARN, "history_failed", "history[: bytes={}: {}]<: there is none>",
                  LOG_UINT("bytes", history->mapped), LOG_ERRNO());
        if (fd >= 0)
            close(fd);
        return -1;
    }
    history->fd = reopen(fd);
    close(fd);
    return history->fd >= 0 ? 0 : -1;
}

/* A worker may have another history than the one that a position is of: none has those of
 * another.  The first head is the second in memory. */
static uint64_t first_position(void)
{
    uint64_t any;

    rand_bytes(&any, sizeof(any));
    return (any >> 2) / HISTORY_HEADS_MAX * HISTORY_HEADS_MAX + 1;
}

static void write_file_head(struct history *history)
{
    uint64_t *words = history->words;

    history->heads.at = words + HISTORY_FILE_WORDS;
    history->bodies.at = history->heads.at + history->heads.words;
    rand_bytes(history->key, sizeof(history->key));
    history->begin = history->end = first_position();
    history_store(&words[HISTORY_WORD_HEADS], history->nheads);
    history_store(&words[HISTORY_WORD_BODIES], history->bodies.words);
    history_store(&words[HISTORY_WORD_KEY], history->key[0]);
    history_store(&words[HISTORY_WORD_KEY + 1], history->key[1]);
    history_store(&words[HISTORY_WORD_BEGIN], history->begin);
    history_store(&words[HISTORY_WORD_END], history->end);
    history_store(&words[HISTORY_WORD_MAGIC], HISTORY_MAGIC);
}

/* Heads and index have up to three eighths, the messages the rest: it is full of both where
 * a message has between 100 and 260 bytes, and of the one or the other else. */
static void divide(struct history *history, size_t max_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), rest;

    history->nheads = 1;
    while (history->nheads < HISTORY_HEADS_MAX &&
           history->nheads * 2 * STOP_BYTES <= max_bytes / 8 * 3)
        history->nheads *= 2;
    history->index_mapped = (history->nheads * PLACES * sizeof(uint32_t) + page - 1) / page * page;
    rest = max_bytes - history->index_mapped;
    history->mapped = rest / page * page;
    history->heads.words = history->nheads * HISTORY_HEAD;
    history->bodies.words = history->mapped / WORD - HISTORY_FILE_WORDS - history->heads.words;
}

struct history *history_new(size_t max_bytes, uint64_t keep_ms)
{
    struct history *history = calloc(1, sizeof(*history));

    if (history == NULL || max_bytes < MIN_PAGES * (size_t)sysconf(_SC_PAGESIZE)) {
        log_event(WARN, "history_failed", "history[: bytes={}: {}]<: there is none>",
                  LOG_UINT("bytes", max_bytes),
                  LOG_STR("error", history == NULL ? "no memory" : "too few"));
        free(history);
        return NULL;
    }
    history->fd = -1;
    history->keep_ms = keep_ms < KEEP_MAX_MS ? keep_ms : KEEP_MAX_MS;
    divide(history, max_bytes);
    if (make_file(history) < 0)
        goto fail;
    history->index = (uint32_t *)map(-1, history->index_mapped);
    if (history->index == NULL) {
        log_event(WARN, "history_failed", "history[: index bytes={}: {}]<: there is none>",
                  LOG_UINT("bytes", history->index_mapped), LOG_ERRNO());
        goto fail;
    }
    write_file_head(history);
    return history;
fail:
    history_free(&history);
    return NULL;
}

/* Before anything of what is dropped is overwritten. */
static void publish_begin(struct history *history)
{
    history_store(&history->words[HISTORY_WORD_BEGIN], history->begin);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

/* Who goes on reading it waits for nothing more: no position is in it. */
static void give_up_file(struct history *history)
{
    history->begin = history->end = NOWHERE;
    publish_begin(history);
    __atomic_store_n(&history->words[HISTORY_WORD_END], history->end, __ATOMIC_RELEASE);
}

void history_free(struct history **historyp)
{
    struct history *history = *historyp;

    if (history == NULL)
        return;
    if (history->end > 0) /* there is somebody who may read */
        give_up_file(history);
    if (history->words != NULL)
        (void)munmap(history->words, history->mapped);
    if (history->index != NULL)
        (void)munmap(history->index, history->index_mapped);
    if (history->fd >= 0)
        close(history->fd);
    free(history);
    *historyp = NULL;
}

int history_fd(const struct history *history)
{
    return history->fd;
}

/* --- stops -------------------------------------------------------------------- */

static uint64_t *head_at(const struct history *history, uint64_t pos)
{
    return history->heads.at + (pos & (history->nheads - 1)) * HISTORY_HEAD;
}

static uint64_t of(const struct history *history, uint64_t pos, enum history_head word)
{
    return history_load(&head_at(history, pos)[word]);
}

static int is_step(const struct history *history, uint64_t pos)
{
    return (uint32_t)of(history, pos, HISTORY_HEAD_SIZE) == 0;
}

static uint64_t age(const struct history *history, uint64_t pos, uint64_t now_ms)
{
    return (uint32_t)((uint32_t)now_ms - (uint32_t)(of(history, pos, HISTORY_HEAD_SIZE) >> 32));
}

/* --- the index ----------------------------------------------------------------- */

static uint64_t place_mask(const struct history *history)
{
    return history->nheads * PLACES - 1;
}

/* Offsets are a hash already, which nobody chooses. */
static uint64_t home(const struct history *history, uint32_t head)
{
    return history->heads.at[(uint64_t)(head - 1) * HISTORY_HEAD + HISTORY_HEAD_OFFSET] &
           place_mask(history);
}

static uint32_t head_number(const struct history *history, uint64_t pos)
{
    return (uint32_t)(pos & (history->nheads - 1)) + 1;
}

static void index_put(struct history *history, uint64_t pos)
{
    uint32_t head = head_number(history, pos);
    uint64_t place = home(history, head);

    while (history->index[place] != 0)
        place = (place + 1) & place_mask(history);
    history->index[place] = head;
}

/* Those behind it that would not be found past a free place move up. */
static void close_up(struct history *history, uint64_t free_place)
{
    uint64_t mask = place_mask(history), place = free_place;

    for (;;) {
        uint64_t from;

        place = (place + 1) & mask;
        if (history->index[place] == 0)
            break;
        from = home(history, history->index[place]);
        if (((place - from) & mask) < ((place - free_place) & mask))
            continue;
        history->index[free_place] = history->index[place];
        free_place = place;
    }
    history->index[free_place] = 0;
}

static void index_take(struct history *history, uint64_t pos)
{
    uint32_t head = head_number(history, pos);
    uint64_t place = home(history, head);

    while (history->index[place] != head) {
        assert(history->index[place] != 0);
        place = (place + 1) & place_mask(history);
    }
    close_up(history, place);
}

int history_find(const struct history *history, uint64_t offset, uint64_t *pos)
{
    uint64_t mask = place_mask(history);

    for (uint64_t place = offset & mask; history->index[place] != 0; place = (place + 1) & mask) {
        uint64_t head = history->index[place] - 1;

        if (history->heads.at[head * HISTORY_HEAD + HISTORY_HEAD_OFFSET] != offset)
            continue;
        *pos = history->begin + ((head - history->begin) & (history->nheads - 1)) + 1;
        return 0;
    }
    return -1;
}

/* --- what goes ----------------------------------------------------------------- */

static void drop(struct history *history)
{
    history->entries -= !is_step(history, history->begin);
    index_take(history, history->begin);
    history->begin++;
}

void history_trim(struct history *history, uint64_t now_ms)
{
    uint64_t before = history->begin;

    while (history->begin < history->end && age(history, history->begin, now_ms) > history->keep_ms)
        drop(history);
    if (history->begin != before)
        publish_begin(history);
}

/* Of a large one it would take a second to take each out. */
static void drop_all(struct history *history)
{
    if (history->end - history->begin <= CUT_FEW) {
        while (history->begin < history->end)
            drop(history);
        return;
    }
    if (madvise(history->index, history->index_mapped, MADV_DONTNEED) < 0)
        memset(history->index, 0, history->index_mapped);
    history->entries = 0;
}

/* One position is used up, so that who has read up to the end hears of it, too. */
void history_cut(struct history *history)
{
    drop_all(history);
    history->begin = ++history->end;
    history->cuts++;
    publish_begin(history);
    __atomic_store_n(&history->words[HISTORY_WORD_END], history->end, __ATOMIC_RELEASE);
}

/* For one more stop, with so many words. */
static void make_room(struct history *history, size_t words)
{
    uint64_t before = history->begin;

    while (history->begin < history->end &&
           (history->end - history->begin == history->nheads ||
            history->body_end + words - of(history, history->begin, HISTORY_HEAD_BODY) >
                history->bodies.words))
        drop(history);
    if (history->begin == before)
        return;
    history->crowded += history->begin - before;
    publish_begin(history);
}

/* --- what comes ----------------------------------------------------------------- */

/* The words of a head but for those that put_stop() knows. */
struct stop {
    uint32_t size;
    uint16_t nrooms, nexcept;
    uint32_t hashes[HISTORY_HASHES];
};

/* For one more stop, with so many words. */
static int has_memory(struct history *history, size_t words)
{
    uint64_t head = history->end & (history->nheads - 1);
    uint64_t to = history->body_end % history->bodies.words + words;

    if (to > history->bodies.words)
        to = history->bodies.words;
    if (make_ready(&history->heads, (head + 1) * HISTORY_HEAD) == 0 &&
        make_ready(&history->bodies, to) == 0)
        return 1;
    if (log_due(&history->memory_log, LOG_MS) > 0)
        log_event(WARN, "history_emptied", "history: no memory, it is emptied[: {}]", LOG_ERRNO());
    return 0;
}

static void put_message(struct history *history, struct slice message)
{
    uint64_t at = history->body_end % history->bodies.words;

    for (size_t i = 0; i < message.len; i += WORD) {
        uint64_t word = 0;

        memcpy(&word, message.ptr + i, message.len - i < WORD ? message.len - i : WORD);
        history_store(&history->bodies.at[at], word);
        if (++at == history->bodies.words)
            at = 0;
    }
}

static void put_stop(struct history *history, const struct stop *stop, uint64_t offset,
                     uint64_t now_ms)
{
    uint64_t *head = head_at(history, history->end);

    history_store(&head[HISTORY_HEAD_SEQ], history->last_seq);
    history_store(&head[HISTORY_HEAD_OFFSET], offset);
    history_store(&head[HISTORY_HEAD_BODY], history->body_end);
    history_store(&head[HISTORY_HEAD_SIZE], stop->size | (uint64_t)(uint32_t)now_ms << 32);
    history_store(&head[HISTORY_HEAD_ROOMS],
                  stop->nrooms | (uint64_t)stop->nexcept << 16 | (uint64_t)stop->hashes[0] << 32);
    history_store(&head[HISTORY_HEAD_HASHES], stop->hashes[1] | (uint64_t)stop->hashes[2] << 32);
    index_put(history, history->end);
    history->body_end += (stop->size + WORD - 1) / WORD;
    history->end++;
    __atomic_store_n(&history->words[HISTORY_WORD_END], history->end, __ATOMIC_RELEASE);
}

void history_step(struct history *history, uint64_t offset, uint64_t now_ms)
{
    if (!has_memory(history, 0)) {
        history_cut(history);
        return;
    }
    history_trim(history, now_ms);
    make_room(history, 0);
    put_stop(history, &(struct stop){0}, offset, now_ms);
}

void history_hole(struct history *history, uint64_t offset, uint64_t now_ms)
{
    history_step(history, offset, now_ms);
    history->holed = history->end;
}

static void hash_all(const struct history *history, struct stop *stop, const struct broadcast *bc)
{
    size_t n = 0;

    if (bc->rooms.n > HISTORY_HASHES)
        return;
    stop->nrooms = (uint16_t)bc->rooms.n;
    for (size_t i = 0; i < bc->rooms.n; i++)
        stop->hashes[n++] = history_hash_keyed(history->key, bc->rooms.at[i]);
    if (bc->except.n > HISTORY_HASHES - n)
        return;
    stop->nexcept = (uint16_t)bc->except.n;
    for (size_t i = 0; i < bc->except.n; i++)
        stop->hashes[n++] = history_hash_keyed(history->key, bc->except.at[i]);
}

void history_put(struct history *history, uint64_t seq, uint64_t offset, const struct broadcast *bc,
                 struct slice message, uint64_t now_ms)
{
    struct stop stop = {.size = (uint32_t)message.len};
    size_t words = (message.len + WORD - 1) / WORD;

    history->last_seq = seq;
    if (words > history->bodies.words || message.len > UINT32_MAX || !has_memory(history, words)) {
        history_cut(history);
        history_step(history, offset, now_ms);
        return;
    }
    history_trim(history, now_ms);
    make_room(history, words);
    hash_all(history, &stop, bc);
    put_message(history, message);
    put_stop(history, &stop, offset, now_ms);
    history->entries++;
}

/* --- what is asked --------------------------------------------------------------- */

uint64_t history_end(const struct history *history)
{
    return history->end;
}

uint64_t history_age_of(const struct history *history, uint64_t pos, uint64_t now_ms)
{
    return age(history, pos - 1, now_ms);
}

uint64_t history_holed(const struct history *history)
{
    return history->holed;
}

/* The first stop with this seq or more; the end if there is none. */
static uint64_t first_from(const struct history *history, uint64_t seq)
{
    uint64_t low = history->begin, high = history->end;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (of(history, middle, HISTORY_HEAD_SEQ) < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Steps behind a message have its seq: those may be of messages that others keep. */
uint64_t history_offset_of(const struct history *history, uint64_t seq)
{
    uint64_t above = seq < UINT64_MAX ? first_from(history, seq + 1) : history->end, first;

    if (above == history->begin)
        return 0;
    first = first_from(history, of(history, above - 1, HISTORY_HEAD_SEQ));
    return of(history, first, HISTORY_HEAD_OFFSET);
}

void history_stats(const struct history *history, uint64_t now_ms, struct history_stats *out)
{
    int is_empty = history->begin == history->end;
    uint64_t words =
        is_empty ? 0 : history->body_end - of(history, history->begin, HISTORY_HEAD_BODY);

    *out = (struct history_stats){
        .entries = history->entries, .cuts = history->cuts, .crowded = history->crowded};
    out->bytes = words * WORD + (history->end - history->begin) * STOP_BYTES;
    out->age_ms = is_empty ? 0 : age(history, history->begin, now_ms);
}
