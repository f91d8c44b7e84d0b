/* table - a hash table of byte-string keys to nodes that the caller embeds in
 * its own structs.  It allocates only its array of buckets, which grows and
 * shrinks with the count.  Keyed with random bytes of its own (siphash).
 *
 *     struct room { struct table_node node; ... };
 *     node.key, node.key_len point to memory that lives as long as the node. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_node {
    struct table_node *next; /* in its bucket */
    const char *key;
    uint32_t key_len;
    uint32_t hash;
};

struct table {
    struct table_node **buckets;
    size_t nbuckets; /* a power of two, or 0 before the first insert */
    size_t count;
    uint8_t key[16];
    unsigned visiting; /* table_each() calls under way */
};

void table_init(struct table *table);

/* Frees the buckets, not the nodes. */
void table_clear(struct table *table);

struct table_node *table_find(const struct table *table, const char *key, size_t len);

/* node->key and key_len are set and not in the table yet.  Returns 0, or -1
 * without memory (nothing changed). */
int table_insert(struct table *table, struct table_node *node);

/* node is in the table. */
void table_remove(struct table *table, struct table_node *node);

/* Visits the nodes of one bucket, which visit leaves as they are.  Returns where to go on: 0 at
 * first, and when all have been visited.  In between nodes may come and go: those that stay are
 * visited, and some of them twice where the table has changed its size. */
uint32_t table_scan(const struct table *table, uint32_t cursor,
                    void (*visit)(const struct table_node *node, void *arg), void *arg);

/* Calls visit for each node; visit may remove (and free) the node it is given,
 * and insert nothing.  Stops when visit returns non-zero and returns that, else 0. */
int table_each(struct table *table, int (*visit)(struct table_node *node, void *arg), void *arg);

#endif
