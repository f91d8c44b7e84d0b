#include "base/slices.h"

#include <stdlib.h>
#include <string.h>

#define SLICES_MIN 4

int slices_put(struct slices *list, struct slice item)
{
    if (list->n == list->cap) {
        size_t cap = list->cap > 0 ? list->cap * 2 : SLICES_MIN;
        struct slice *at = reallocarray(list->at, cap, sizeof(*at));

        if (at == NULL)
            return -1;
        list->at = at;
        list->cap = cap;
    }
    list->at[list->n++] = item;
    return 0;
}

void slices_clear(struct slices *list)
{
    free(list->at);
    memset(list, 0, sizeof(*list));
}
