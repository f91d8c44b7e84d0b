#include "codec/once.h"

#include "base/rand.h"
#include "base/siphash.h"

#include <stdlib.h>
#include <string.h>

#define FEW       8  /* names that are compared one by one: most messages have one */
#define SLOTS_MIN 32 /* a power of two, more than twice FEW */

void once_begin(struct once *once, struct slices *list)
{
    list->n = 0;
    once->nslots = 0;
}

void once_clear(struct once *once)
{
    free(once->slots);
    memset(once, 0, sizeof(*once));
}

/* Where name is in slots, or the empty slot that it belongs into. */
static uint32_t *slot_of(const struct once *once, const struct slices *list, struct slice name)
{
    size_t mask = once->nslots - 1;
    size_t i = (size_t)siphash(once->key, name.ptr, name.len) & mask;

    while (once->slots[i] != 0 && !slice_eq(list->at[once->slots[i] - 1], name))
        i = (i + 1) & mask;
    return &once->slots[i];
}

/* Makes twice as many slots as there were, for all that are in list. */
static int grow(struct once *once, const struct slices *list)
{
    size_t nslots = once->nslots == 0 ? SLOTS_MIN : once->nslots * 2;

    if (nslots > once->cap) {
        uint32_t *slots = reallocarray(once->slots, nslots, sizeof(*slots));

        if (slots == NULL)
            return -1;
        if (once->cap == 0)
            rand_bytes(once->key, sizeof(once->key));
        once->slots = slots;
        once->cap = nslots;
    }
    memset(once->slots, 0, nslots * sizeof(*once->slots));
    once->nslots = nslots;
    for (size_t i = 0; i < list->n; i++)
        *slot_of(once, list, list->at[i]) = (uint32_t)i + 1;
    return 0;
}

static int put_few(struct slices *list, struct slice name)
{
    for (size_t i = 0; i < list->n; i++)
        if (slice_eq(list->at[i], name))
            return 0;
    return slices_put(list, name) == 0 ? 1 : -1;
}

int once_put(struct once *once, struct slices *list, struct slice name)
{
    uint32_t *slot;

    if (list->n < FEW)
        return put_few(list, name);
    if (list->n >= once->nslots / 2 && (list->n >= UINT32_MAX / 4 || grow(once, list) < 0))
        return -1;
    slot = slot_of(once, list, name);
    if (*slot != 0)
        return 0;
    if (slices_put(list, name) != 0)
        return -1;
    *slot = (uint32_t)list->n;
    return 1;
}
