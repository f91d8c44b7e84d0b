#include "base/table.h"
#include "base/rand.h"
#include "base/siphash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 16
#define AHEAD       8 /* nodes that are fetched while one is visited */

void table_init(struct table *table)
{
    memset(table, 0, sizeof(*table));
    rand_bytes(table->key, sizeof(table->key));
}

void table_clear(struct table *table)
{
    free(table->buckets);
    table->buckets = NULL;
    table->nbuckets = 0;
    table->count = 0;
}

static struct table_node **bucket_of(const struct table *table, uint32_t hash)
{
    return &table->buckets[hash & (table->nbuckets - 1)];
}

struct table_node *table_find(const struct table *table, const char *key, size_t len)
{
    struct table_node *node;
    uint32_t hash;

    if (table->count == 0)
        return NULL;
    hash = (uint32_t)siphash(table->key, key, len);
    for (node = *bucket_of(table, hash); node != NULL; node = node->next)
        if (node->hash == hash && node->key_len == len &&
            (len == 0 || memcmp(node->key, key, len) == 0))
            return node;
    return NULL;
}

/* Returns 0, or -1 without memory (nothing changed). */
static int resize(struct table *table, size_t nbuckets)
{
    struct table old = *table;
    struct table_node **buckets = calloc(nbuckets, sizeof(struct table_node *));

    if (buckets == NULL)
        return -1;
    table->buckets = buckets;
    table->nbuckets = nbuckets;
    for (size_t i = 0; i < old.nbuckets; i++) {
        struct table_node *node, *next;

        for (node = old.buckets[i]; node != NULL; node = next) {
            struct table_node **bucket = bucket_of(table, node->hash);

            next = node->next;
            node->next = *bucket;
            *bucket = node;
        }
    }
    free(old.buckets);
    return 0;
}

int table_insert(struct table *table, struct table_node *node)
{
    struct table_node **bucket;

    assert(!table->visiting);
    /* A full table that cannot grow still works, with longer chains. */
    if (table->nbuckets == 0) {
        if (resize(table, BUCKETS_MIN) < 0)
            return -1;
    } else if (table->count >= table->nbuckets) {
        (void)resize(table, table->nbuckets * 2);
    }
    node->hash = (uint32_t)siphash(table->key, node->key, node->key_len);
    bucket = bucket_of(table, node->hash);
    node->next = *bucket;
    *bucket = node;
    table->count++;
    return 0;
}

/* Gives memory back once most of it is idle.  The gap to the growing limit
 * keeps a table that hovers at a size from being rebuilt again and again. */
static void shrink(struct table *table)
{
    size_t nbuckets = table->nbuckets;

    while (nbuckets > BUCKETS_MIN && table->count < nbuckets / 8)
        nbuckets /= 2;
    if (nbuckets < table->nbuckets)
        (void)resize(table, nbuckets);
}

void table_remove(struct table *table, struct table_node *node)
{
    struct table_node **at = bucket_of(table, node->hash);

    while (*at != node) {
        assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    table->count--;
    if (!table->visiting)
        shrink(table);
}

int table_each(struct table *table, int (*visit)(struct table_node *node, void *arg), void *arg)
{
    int stop = 0;

    table->visiting++;
    for (size_t i = 0; i < table->nbuckets && stop == 0; i++) {
        struct table_node *node, *next;

        /* They lie all over the memory: a walk is mostly waiting for it. */
        if (i + AHEAD < table->nbuckets)
            __builtin_prefetch(table->buckets[i + AHEAD]);
        for (node = table->buckets[i]; node != NULL && stop == 0; node = next) {
            next = node->next;
            stop = visit(node, arg);
        }
    }
    table->visiting--;
    if (!table->visiting)
        shrink(table);
    return stop;
}

static uint32_t reversed(uint32_t x)
{
    uint32_t y = 0;

    for (int i = 0; i < 32; i++, x >>= 1)
        y = y << 1 | (x & 1);
    return y;
}

/* It counts from the highest bit of the bucket's number down: a bucket that is split becomes two
 * that are neighbours then, and those that are merged were, so that what is behind stays behind
 * however often the table is rebuilt. */
uint32_t table_scan(const struct table *table, uint32_t cursor,
                    void (*visit)(const struct table_node *node, void *arg), void *arg)
{
    uint32_t mask = (uint32_t)(table->nbuckets - 1);

    if (table->nbuckets == 0)
        return 0;
    for (const struct table_node *node = table->buckets[cursor & mask]; node != NULL;
         node = node->next)
        visit(node, arg);
    return reversed(reversed(cursor | ~mask) + 1);
}
