#include "ipc/census.h"

#include "base/rand.h"
#include "base/siphash.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CACHE_LINE 64
#define WAYS       4  /* entries that an address may be in, of each level: a cache line */
#define FIRST_SETS 64 /* of the first level: 4 KB */
#define LEVELS_MAX 14 /* 4 million addresses, 64 MB */

struct entry {
    _Atomic uint64_t tag; /* 0: it is free */
    _Atomic uint32_t conns, sessions;
};

struct table {
    _Alignas(CACHE_LINE) _Atomic uint32_t levels; /* that are, or were, in use */
    _Alignas(CACHE_LINE) struct entry entries[];
};

struct census {
    const struct census *before;
    uint8_t key[16];
    unsigned n, levels;
    size_t bytes; /* of each table, in whole pages */
    char *tables;
};

/* --- the memory --- */

static size_t entries_of(unsigned levels)
{
    return (size_t)WAYS * FIRST_SETS * (((size_t)1 << levels) - 1);
}

static struct table *table_of(const struct census *census, unsigned worker)
{
    return (struct table *)(void *)(census->tables + worker * census->bytes);
}

static size_t size_of(unsigned levels)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = sizeof(struct table) + entries_of(levels) * sizeof(struct entry);

    return (bytes + page - 1) / page * page;
}

struct census *census_new(unsigned workers, size_t addresses, const struct census *before)
{
    struct census *census = calloc(1, sizeof(*census));
    void *at;

    if (census == NULL)
        return NULL;
    census->before = before;
    census->n = workers;
    census->levels = 1;
    while (census->levels < LEVELS_MAX && entries_of(census->levels) / 2 < addresses)
        census->levels++;
    census->bytes = size_of(census->levels);
    if (before != NULL)
        memcpy(census->key, before->key, sizeof(census->key));
    else
        rand_bytes(census->key, sizeof(census->key));
    /* Most of it is never touched. */
    at = mmap(NULL, workers * census->bytes, PROT_READ | PROT_WRITE,
              MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        free(census);
        return NULL;
    }
    census->tables = at;
    return census;
}

void census_free(struct census **censusp)
{
    struct census *census = *censusp;

    if (census == NULL)
        return;
    *censusp = NULL;
    munmap(census->tables, census->n * census->bytes);
    explicit_bzero(census->key, sizeof(census->key));
    free(census);
}

void census_alone(struct census *census)
{
    census->before = NULL;
}

/* --- tags and places --- */

/* Every order of the loads and stores is good enough. */
static uint32_t get(const _Atomic uint32_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void set(_Atomic uint32_t *value, uint32_t to)
{
    atomic_store_explicit(value, to, memory_order_relaxed);
}

static uint64_t tag_of(const struct entry *entry)
{
    return atomic_load_explicit(&entry->tag, memory_order_relaxed);
}

static void tag_set(struct entry *entry, uint64_t tag)
{
    atomic_store_explicit(&entry->tag, tag, memory_order_relaxed);
}

uint64_t census_tag(const struct census *census, const void *id, size_t len)
{
    uint64_t tag = siphash(census->key, id, len);

    return tag != 0 ? tag : 1;
}

/* Where in a level the entries of a tag begin: other bits of it in each, so that those that find
 * no room in one are not together again in the next. */
static size_t first_of(uint64_t tag, unsigned level)
{
    uint64_t mixed = tag * ((UINT64_C(2) << level) + UINT64_C(0x9e3779b97f4a7c15));
    size_t sets = (size_t)FIRST_SETS << level;

    return entries_of(level) + WAYS * ((size_t)(mixed >> 32) & (sets - 1));
}

static uint32_t place(const struct census *census, struct table *table, uint64_t tag)
{
    for (unsigned level = 0; level < census->levels; level++) {
        size_t first = first_of(tag, level);

        for (size_t i = first; i < first + WAYS; i++) {
            if (tag_of(&table->entries[i]) != 0)
                continue;
            if (get(&table->levels) <= level)
                set(&table->levels, level + 1);
            return (uint32_t)i;
        }
    }
    return CENSUS_NONE;
}

/* --- counts --- */

void census_set(struct census *census, unsigned worker, uint64_t tag, uint32_t *slot,
                uint32_t conns, uint32_t sessions)
{
    struct table *table = table_of(census, worker);
    struct entry *entry;
    int is_new = *slot == CENSUS_NONE;

    if (is_new && conns + sessions > 0)
        *slot = place(census, table, tag);
    if (*slot == CENSUS_NONE)
        return;
    entry = &table->entries[*slot];
    set(&entry->conns, conns);
    set(&entry->sessions, sessions);
    if (conns + sessions == 0) {
        tag_set(entry, 0);
        *slot = CENSUS_NONE;
    } else if (is_new) {
        tag_set(entry, tag);
    }
}

/* Adds what that table has of it. */
static void add(const struct census *census, unsigned worker, uint64_t tag,
                struct census_count *count)
{
    const struct table *table = table_of(census, worker);
    uint32_t levels = get(&table->levels); /* by another process */

    for (unsigned level = 0; level < levels && level < census->levels; level++) {
        const struct entry *entry = &table->entries[first_of(tag, level)];

        for (int i = 0; i < WAYS; i++, entry++) {
            if (tag_of(entry) != tag)
                continue;
            count->conns += get(&entry->conns);
            count->sessions += get(&entry->sessions);
            return;
        }
    }
}

struct census_count census_others(const struct census *census, unsigned worker, uint64_t tag)
{
    struct census_count count = {0, 0};

    for (unsigned i = 0; i < census->n; i++)
        if (i != worker)
            add(census, i, tag, &count);
    for (unsigned i = 0; census->before != NULL && i < census->before->n; i++)
        add(census->before, i, tag, &count);
    return count;
}

void census_clear(struct census *census, unsigned worker)
{
    struct table *table = table_of(census, worker);
    uint32_t levels = get(&table->levels);

    set(&table->levels, 0);
    /* The pages go back to the system; a sandbox may say no, or the kernel. */
    if (levels == 0 || madvise(table, census->bytes, MADV_REMOVE) == 0)
        return;
    if (levels > census->levels)
        levels = census->levels;
    memset((void *)table->entries, 0, entries_of(levels) * sizeof(struct entry));
}
