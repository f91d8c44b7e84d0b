/* slices - a growing list of borrowed byte strings. */
#ifndef BASE_SLICES_H
#define BASE_SLICES_H

#include "base/slice.h"

/* Zero is one that is empty, and valid.  n = 0 empties one and keeps its memory. */
struct slices {
    struct slice *at;
    size_t n, cap;
};

/* Appends; 0, or -1 without memory. */
int slices_put(struct slices *list, struct slice item);

/* Frees its memory; it is empty and valid again. */
void slices_clear(struct slices *list);

#endif
