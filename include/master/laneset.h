/* laneset - some of the lanes that workers have (ipc/start.h). */
#ifndef MASTER_LANESET_H
#define MASTER_LANESET_H

#include "ipc/start.h"

#include <stdint.h>

struct laneset { /* zero is empty */
    uint64_t bits[START_LANES / 64];
    unsigned n;
};

static inline int laneset_has(const struct laneset *set, unsigned lane)
{
    return (int)(set->bits[lane / 64] >> lane % 64 & 1);
}

static inline void laneset_put(struct laneset *set, unsigned lane)
{
    if (laneset_has(set, lane))
        return;
    set->bits[lane / 64] |= UINT64_C(1) << lane % 64;
    set->n++;
}

/* Returns 1 if it was in. */
static inline int laneset_take(struct laneset *set, unsigned lane)
{
    if (!laneset_has(set, lane))
        return 0;
    set->bits[lane / 64] &= ~(UINT64_C(1) << lane % 64);
    set->n--;
    return 1;
}

#endif
