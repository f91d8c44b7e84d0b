#include "ipc/history.h"

#include "base/siphash.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define WORD sizeof(uint64_t)

/* What the file says of its size is read once: it cannot become something else later. */
struct history_view {
    void *mapping;
    size_t mapped;
    const uint64_t *words, *heads, *bodies; /* of it */
    uint64_t nheads, nbodies;
    uint64_t key[2];
};

/* --- the mapping -------------------------------------------------------------- */

static int is_sound(const struct history_view *view)
{
    uint64_t words = view->mapped / WORD;

    if (history_load(&view->words[HISTORY_WORD_MAGIC]) != HISTORY_MAGIC)
        return 0;
    if (view->nheads == 0 || view->nheads > HISTORY_HEADS_MAX ||
        (view->nheads & (view->nheads - 1)) != 0)
        return 0;
    return view->nbodies > 0 && view->nbodies <= HISTORY_BODIES_MAX &&
           HISTORY_FILE_WORDS + view->nheads * HISTORY_HEAD + view->nbodies <= words;
}

static void look(struct history_view *view)
{
    view->nheads = history_load(&view->words[HISTORY_WORD_HEADS]);
    view->nbodies = history_load(&view->words[HISTORY_WORD_BODIES]);
    for (size_t i = 0; i < 2; i++)
        view->key[i] = history_load(&view->words[HISTORY_WORD_KEY + i]);
    view->heads = view->words + HISTORY_FILE_WORDS;
}

struct history_view *history_view_open(int fd)
{
    struct history_view *view = calloc(1, sizeof(*view));
    struct stat st;
    void *at;

    if (view == NULL || fstat(fd, &st) < 0)
        goto fail;
    if (st.st_size < (off_t)(HISTORY_FILE_WORDS * WORD)) {
        errno = EINVAL;
        goto fail;
    }
    at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        goto fail;
    view->words = view->mapping = at;
    view->mapped = (size_t)st.st_size;
    look(view);
    if (!is_sound(view)) {
        (void)munmap(at, view->mapped);
        errno = EINVAL;
        goto fail;
    }
    view->bodies = view->heads + view->nheads * HISTORY_HEAD;
    return view;
fail:
    free(view);
    return NULL;
}

void history_view_close(struct history_view **viewp)
{
    struct history_view *view = *viewp;

    if (view == NULL)
        return;
    (void)munmap(view->mapping, view->mapped);
    free(view);
    *viewp = NULL;
}

/* --- reading ------------------------------------------------------------------ */

static const uint64_t *head_at(const struct history_view *view, uint64_t pos)
{
    return view->heads + (pos & (view->nheads - 1)) * HISTORY_HEAD;
}

/* 1 if what has been copied of the stop at pos was whole: see the header. */
static int was_valid(const struct history_view *view, uint64_t pos)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return history_load(&view->words[HISTORY_WORD_BEGIN]) <= pos;
}

static void at_end(const struct history_view *view, uint64_t end, struct history_entry *out)
{
    const uint64_t *head = head_at(view, end - 1);

    *out = (struct history_entry){.at = end,
                                  .next = end,
                                  .seq = history_load(&head[HISTORY_HEAD_SEQ]),
                                  .offset = history_load(&head[HISTORY_HEAD_OFFSET])};
    if (!was_valid(view, end - 1))
        out->seq = out->offset = 0;
}

enum history_read history_next(const struct history_view *view, uint64_t pos,
                               struct history_entry *out)
{
    uint64_t end = __atomic_load_n(&view->words[HISTORY_WORD_END], __ATOMIC_ACQUIRE);

    if (pos > end || end - pos > view->nheads)
        return HISTORY_OVERRUN;
    for (; pos < end; pos++) {
        const uint64_t *head = head_at(view, pos);
        uint64_t size = history_load(&head[HISTORY_HEAD_SIZE]);
        uint64_t rooms = history_load(&head[HISTORY_HEAD_ROOMS]);
        uint64_t hashes = history_load(&head[HISTORY_HEAD_HASHES]);

        out->seq = history_load(&head[HISTORY_HEAD_SEQ]);
        out->offset = history_load(&head[HISTORY_HEAD_OFFSET]);
        out->body = history_load(&head[HISTORY_HEAD_BODY]);
        if (!was_valid(view, pos))
            return HISTORY_OVERRUN;
        out->size = (uint32_t)size;
        if (out->size == 0)
            continue;
        out->at = pos;
        out->next = pos + 1;
        out->nrooms = (uint16_t)rooms;
        out->nexcept = (uint16_t)(rooms >> 16);
        out->hashes[0] = (uint32_t)(rooms >> 32);
        out->hashes[1] = (uint32_t)hashes;
        out->hashes[2] = (uint32_t)(hashes >> 32);
        return (unsigned)out->nrooms + out->nexcept <= HISTORY_HASHES ? HISTORY_ENTRY
                                                                      : HISTORY_OVERRUN;
    }
    at_end(view, end, out);
    return HISTORY_END;
}

static uint8_t *copy_words(uint8_t *to, const uint64_t *from, size_t n)
{
    for (; n > 0; n--, from++, to += WORD) {
        uint64_t word = history_load(from);

        memcpy(to, &word, WORD);
    }
    return to;
}

enum history_read history_copy(const struct history_view *view, uint64_t pos, struct buf *out)
{
    struct history_entry entry;
    enum history_read result = history_next(view, pos, &entry);
    size_t words, straight;
    uint64_t body;
    uint8_t *to;

    if (result != HISTORY_ENTRY)
        return result;
    words = (entry.size + WORD - 1) / WORD;
    if (words > view->nbodies || (to = buf_reserve(out, words * WORD)) == NULL)
        return HISTORY_OVERRUN;
    body = entry.body % view->nbodies;
    straight = words < view->nbodies - body ? words : (size_t)(view->nbodies - body);
    to = copy_words(to, view->bodies + body, straight);
    (void)copy_words(to, view->bodies, words - straight);
    if (!was_valid(view, entry.at))
        return HISTORY_OVERRUN;
    out->len += entry.size;
    return HISTORY_ENTRY;
}

uint32_t history_hash_keyed(const uint64_t key[2], struct slice name)
{
    uint8_t bytes[16];
    uint32_t hash;

    memcpy(bytes, key, sizeof(bytes));
    hash = (uint32_t)siphash(bytes, name.ptr, name.len);
    return hash != 0 ? hash : 1;
}

uint32_t history_hash(const struct history_view *view, struct slice name)
{
    return history_hash_keyed(view->key, name);
}
