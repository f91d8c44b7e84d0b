#include "codec/broadcast.h"

#include "codec/once.h"

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

void broadcast_reset(struct broadcast *bc)
{
    bc->flags = 0;
    bc->rooms.n = 0;
    bc->except.n = 0;
    buf_reset(&bc->json);
    bc->attachments.n = 0;
}

void broadcast_clear(struct broadcast *bc)
{
    broadcast_reset(bc);
    slices_clear(&bc->rooms);
    slices_clear(&bc->except);
    buf_free(&bc->json);
    slices_clear(&bc->attachments);
    once_clear(&bc->once);
}
