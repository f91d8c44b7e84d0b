/* slab - small pieces of memory, of which there may be a flood that goes again: in pages of their
 * own, each for pieces of one size, which the system has again when no piece of it is in use.
 * Among malloc()'s they would lie between what stays. */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include <stddef.h>

#define SLAB_STEP     16 /* bytes from one size to the next */
#define SLAB_SIZES    32 /* pieces that are larger than all of these are malloc()'s */
#define SLAB_SIZE_MAX ((size_t)SLAB_STEP * SLAB_SIZES)

struct slab_page;

struct slab {                              /* zero is one that has nothing, and valid */
    struct slab_page *partial[SLAB_SIZES]; /* pages with a piece that is free */
    struct slab_page *spare;               /* one that has no piece in use, or NULL */
    char *fresh;                           /* pages that have not been touched yet */
    size_t nfresh;
    size_t pages; /* all others */
};

/* When all pieces have been freed. */
void slab_clear(struct slab *slab);

/* Aligned as by malloc(), size bytes of any content, more than 0.  NULL without memory. */
void *slab_alloc(struct slab *slab, size_t size);

/* size as it was asked for.  NULL is nothing. */
void slab_free(struct slab *slab, void *at, size_t size);

#endif
