#include "master/expect.h"

#include <stdlib.h>
#include <string.h>

struct expectation {
    struct table_node node; /* first: a node is its expectation; the key is id */
    uint32_t id;
    uint16_t nlanes; /* that have not answered */
    uint32_t nnames; /* 0: not kept */
    uint16_t *lanes; /* behind names[] */
    struct listing *names[];
};

void expect_init(struct expect *expect)
{
    memset(expect, 0, sizeof(*expect));
    table_init(&expect->ids);
}

static int visit_free(struct table_node *node, void *arg)
{
    (void)arg;
    free(node);
    return 0;
}

void expect_clear(struct expect *expect)
{
    table_each(&expect->ids, visit_free, NULL);
    table_clear(&expect->ids);
}

/* --- one join --------------------------------------------------------------------- */

/* Takes back the first n of names in one lane. */
static void names_take(struct directory *directory, const struct expectation *expectation,
                       unsigned lane, size_t n)
{
    for (size_t i = 0; i < n; i++)
        directory_room_take(directory, expectation->names[i], lane);
}

/* Returns 0, or -1 without memory (nothing changed). */
static int names_put(struct directory *directory, struct expectation *expectation,
                     const struct slices *names, unsigned lane)
{
    for (size_t i = 0; i < names->n; i++) {
        struct listing *room = directory_room_add(directory, names->at[i], lane);

        if (room == NULL) {
            names_take(directory, expectation, lane, i);
            return -1;
        }
        expectation->names[i] = room;
    }
    return 0;
}

static struct expectation *expectation_new(uint32_t id, size_t nnames, const uint16_t *lanes,
                                           size_t n)
{
    struct expectation *expectation =
        malloc(sizeof(*expectation) + nnames * sizeof(struct listing *) + n * sizeof(*lanes));

    if (expectation == NULL)
        return NULL;
    *expectation =
        (struct expectation){.id = id, .nlanes = (uint16_t)n, .nnames = (uint32_t)nnames};
    expectation->node = (struct table_node){.key = (const char *)&expectation->id,
                                            .key_len = sizeof(expectation->id)};
    expectation->lanes = (uint16_t *)(void *)(expectation->names + nnames);
    memcpy(expectation->lanes, lanes, n * sizeof(*lanes));
    return expectation;
}

/* With all its names in all its lanes, or in none.  Returns 0, or -1 without memory. */
static int names_put_all(struct directory *directory, struct expectation *expectation,
                         const struct slices *names)
{
    for (size_t i = 0; i < expectation->nlanes; i++) {
        if (names_put(directory, expectation, names, expectation->lanes[i]) == 0)
            continue;
        while (i > 0)
            names_take(directory, expectation, expectation->lanes[--i], names->n);
        return -1;
    }
    return 0;
}

static void count(struct expect *expect, const struct expectation *expectation)
{
    expect->names += (size_t)expectation->nnames * expectation->nlanes;
    if (expectation->nnames > 0)
        return;
    for (size_t i = 0; i < expectation->nlanes; i++)
        expect->unnamed[expectation->lanes[i]]++;
    expect->nunnamed += expectation->nlanes;
}

int expect_put(struct expect *expect, struct directory *directory, uint32_t id,
               const struct slices *names, const uint16_t *lanes, size_t n)
{
    struct expectation *expectation;
    size_t nnames = names->n;

    if (n == 0 || names->n == 0)
        return 0;
    if (names->n > (EXPECT_MAX - expect->names) / n)
        nnames = 0;
    expectation = expectation_new(id, nnames, lanes, n);
    if (expectation == NULL)
        return -1;
    if (table_insert(&expect->ids, &expectation->node) < 0) {
        free(expectation);
        return -1;
    }
    if (nnames > 0 && names_put_all(directory, expectation, names) < 0)
        expectation->nnames = 0;
    count(expect, expectation);
    return 0;
}

/* --- their answers ----------------------------------------------------------------- */

/* Takes lane out of those that have not answered.  Returns 1, or 0 if it is none. */
static int lane_take(struct expect *expect, struct expectation *expectation, unsigned lane)
{
    uint16_t i = 0;

    while (i < expectation->nlanes && expectation->lanes[i] != lane)
        i++;
    if (i == expectation->nlanes)
        return 0;
    expectation->lanes[i] = expectation->lanes[--expectation->nlanes];
    expect->names -= expectation->nnames;
    if (expectation->nnames == 0) {
        expect->unnamed[lane]--;
        expect->nunnamed--;
    }
    return 1;
}

static void free_if_over(struct expect *expect, struct expectation *expectation)
{
    if (expectation->nlanes > 0)
        return;
    table_remove(&expect->ids, &expectation->node);
    free(expectation);
}

void expect_settle(struct expect *expect, struct directory *directory, uint32_t id, unsigned lane)
{
    struct expectation *expectation =
        (struct expectation *)table_find(&expect->ids, (const char *)&id, sizeof(id));

    if (expectation == NULL || !lane_take(expect, expectation, lane))
        return;
    names_take(directory, expectation, lane, expectation->nnames);
    free_if_over(expect, expectation);
}

struct leaver {
    struct expect *expect;
    unsigned lane;
};

static int visit_drop(struct table_node *node, void *arg)
{
    const struct leaver *leaver = arg;
    struct expectation *expectation = (struct expectation *)node;

    if (lane_take(leaver->expect, expectation, leaver->lane))
        free_if_over(leaver->expect, expectation);
    return 0;
}

void expect_drop_lane(struct expect *expect, unsigned lane)
{
    table_each(&expect->ids, visit_drop, &(struct leaver){expect, lane});
}
