/* nomem_slab - nomem_nth.h where pieces of a slab count as allocations, too. */
#ifndef NOMEM_SLAB_H
#define NOMEM_SLAB_H

#include "base/slab.h"

#include "nomem_nth.h"

void *__real_slab_alloc(struct slab *slab, size_t size);
void *__wrap_slab_alloc(struct slab *slab, size_t size);

void *__wrap_slab_alloc(struct slab *slab, size_t size)
{
    return nomem_fails() ? NULL : __real_slab_alloc(slab, size);
}

#endif
