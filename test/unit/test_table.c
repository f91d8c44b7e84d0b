#include "base/table.h"
#include "tap.h"

#define MANY 20000

struct entry {
    struct table_node node;
    char name[16];
    int seen;
};

static struct entry *entries;

static void entry_name(struct entry *entry, int i)
{
    snprintf(entry->name, sizeof(entry->name), "room-%d", i);
    entry->node.key = entry->name;
    entry->node.key_len = (uint32_t)strlen(entry->name);
}

static struct entry *find(const struct table *table, const char *name)
{
    return (struct entry *)table_find(table, name, strlen(name));
}

static void test_few(void)
{
    struct table table;
    struct entry a, b, empty = {.node = {.key = NULL, .key_len = 0}};

    table_init(&table);
    ok(find(&table, "room-1") == NULL, "nothing in an empty table");
    is_int(table.nbuckets, 0, "and no memory held");
    entry_name(&a, 1);
    entry_name(&b, 2);
    is_int(table_insert(&table, &a.node), 0, "insert");
    is_int(table_insert(&table, &b.node), 0, "insert another");
    is_int(table_insert(&table, &empty.node), 0, "the empty key is a key");
    ok(find(&table, "room-1") == &a && find(&table, "room-2") == &b, "both are found");
    ok(find(&table, "") == &empty, "and the empty one");
    ok(find(&table, "room-") == NULL && find(&table, "room-11") == NULL, "others are not");
    table_remove(&table, &a.node);
    ok(find(&table, "room-1") == NULL && find(&table, "room-2") == &b, "removed, the other stays");
    is_int(table.count, 2, "count");
    table_clear(&table);
    ok(find(&table, "room-2") == NULL, "clear");
}

static int visit_count(struct table_node *node, void *arg)
{
    (void)arg;
    ((struct entry *)node)->seen++;
    return 0;
}

struct removal {
    struct table *table;
    int keep;
};

static int visit_remove(struct table_node *node, void *arg)
{
    struct removal *removal = arg;

    if (((struct entry *)node)->seen++ == 0 && removal->keep-- <= 0) {
        table_remove(removal->table, node);
        memset(node, 0xa5, sizeof(*node)); /* as if it had been freed */
    }
    return 0;
}

static int visit_nothing(struct table_node *node, void *arg)
{
    (void)node;
    (void)arg;
    return 0;
}

static int visit_stop(struct table_node *node, void *arg)
{
    (void)node;
    return ++*(int *)arg == 3 ? 7 : 0;
}

static void fill(struct table *table)
{
    for (int i = 0; i < MANY; i++) {
        entry_name(&entries[i], i);
        entries[i].seen = 0;
        table_insert(table, &entries[i].node);
    }
}

static void test_many(void)
{
    struct table table;
    int wrong = 0, visited = 0;

    table_init(&table);
    fill(&table);
    is_int(table.count, MANY, "count of many");
    ok(table.nbuckets >= MANY && table.nbuckets <= 4 * MANY, "buckets keep in step");
    for (int i = 0; i < MANY; i++)
        wrong += find(&table, entries[i].name) != &entries[i];
    is_int(wrong, 0, "each is found");
    is_int(table_each(&table, visit_count, NULL), 0, "each");
    for (int i = 0; i < MANY; i++)
        wrong += entries[i].seen != 1;
    is_int(wrong, 0, "visits each once");
    is_int(table_each(&table, visit_stop, &visited), 7, "a visit can stop it");
    is_int(visited, 3, "at once");
    for (int i = 0; i < MANY; i += 2)
        table_remove(&table, &entries[i].node);
    for (int i = 0; i < MANY; i++)
        wrong += find(&table, entries[i].name) != (i % 2 ? &entries[i] : NULL);
    is_int(wrong, 0, "half removed, half there");
    for (int i = 1; i < MANY; i += 2)
        table_remove(&table, &entries[i].node);
    is_int(table.count, 0, "all removed");
    ok(table.nbuckets <= 16, "memory given back");
    table_clear(&table);
}

static void test_remove_in_each(void)
{
    struct table table;
    struct removal removal = {.table = &table, .keep = 10};
    int wrong = 0;

    table_init(&table);
    fill(&table);
    is_int(table_each(&table, visit_remove, &removal), 0, "remove from each");
    for (int i = 0; i < MANY; i++)
        wrong += entries[i].seen != 1;
    is_int(wrong, 0, "visits each once");
    is_int(table.count, 10, "ten are left");
    ok(table.nbuckets <= 128, "memory given back afterwards");
    entries[0].seen = 0;
    table_each(&table, visit_count, NULL);
    for (int i = 0; i < MANY; i++)
        wrong += entries[i].seen == 2;
    ok(wrong >= 9, "and are still reached");
    table_clear(&table);
}

static int visit_within(struct table_node *node, void *arg)
{
    struct removal *removal = arg;

    visit_remove(node, arg);
    return removal->keep % 100 == 0 ? table_each(removal->table, visit_nothing, NULL) : 0;
}

/* The inner walk ends with most of the table gone, and the outer one goes on. */
static void test_each_in_each(void)
{
    struct table table;
    struct removal removal = {.table = &table, .keep = 10};
    int wrong = 0;

    table_init(&table);
    fill(&table);
    is_int(table_each(&table, visit_within, &removal), 0, "each within each");
    for (int i = 0; i < MANY; i++)
        wrong += entries[i].seen != 1;
    is_int(wrong, 0, "the outer one visits each once");
    ok(table.count == 10 && table.nbuckets <= 128, "memory given back after both");
    table_clear(&table);
}

static void visit_scanned(const struct table_node *node, void *arg)
{
    int *visited = arg;

    ((struct entry *)(uintptr_t)node)->seen++;
    ++*visited;
}

/* Those with even numbers stay, the others come and go: by hundreds in between, so that the table
 * grows, or shrinks, several times. */
static void test_scan(void)
{
    struct table table;
    uint32_t cursor = 0;
    int visited = 0, missed = 0, steps = 0;

    table_init(&table);
    is_int(table_scan(&table, 0, visit_scanned, &visited), 0, "nothing to scan");
    for (int way = 0; way < 2; way++) {
        for (int i = 0; i < MANY; i++) {
            entry_name(&entries[i], i);
            entries[i].seen = 0;
            if (i % 2 == 0 && i < 1000)
                table_insert(&table, &entries[i].node);
        }
        for (int i = 1; way == 1 && i < MANY; i += 2)
            table_insert(&table, &entries[i].node);
        visited = steps = 0;
        do {
            cursor = table_scan(&table, cursor, visit_scanned, &visited);
            for (int i = 1 + 200 * steps; i < 1 + 200 * (steps + 1) && i < MANY; i += 2) {
                if (way == 0)
                    table_insert(&table, &entries[i].node);
                else
                    table_remove(&table, &entries[i].node);
            }
            steps++;
        } while (cursor != 0);
        missed = 0;
        for (int i = 0; i < 1000; i += 2)
            missed += entries[i].seen == 0;
        is_int(missed, 0, way == 0 ? "none is missed while it grows" : "nor while it shrinks");
        table_clear(&table);
    }
    for (int i = 0; i < MANY; i++) {
        entries[i].seen = 0;
        table_insert(&table, &entries[i].node);
    }
    visited = 0;
    while ((cursor = table_scan(&table, cursor, visit_scanned, &visited)) != 0)
        ;
    is_int(visited, MANY, "where nothing changes each is visited once");
    table_clear(&table);
}

/* The key is the table's own: names that share a bucket here do not elsewhere. */
static void test_keys(void)
{
    struct table a, b;
    struct entry x, y;

    table_init(&a);
    table_init(&b);
    entry_name(&x, 1);
    entry_name(&y, 1);
    table_insert(&a, &x.node);
    table_insert(&b, &y.node);
    ok(memcmp(a.key, b.key, sizeof(a.key)) != 0 && x.node.hash != y.node.hash,
       "two tables hash the same name differently");
    table_clear(&a);
    table_clear(&b);
}

int main(void)
{
    entries = calloc(MANY, sizeof(*entries));
    if (entries == NULL)
        return 1;
    test_few();
    test_many();
    test_remove_in_each();
    test_each_in_each();
    test_scan();
    test_keys();
    free(entries);
    return tap_done();
}
