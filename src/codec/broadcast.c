#include "codec/broadcast.h"

void broadcast_reset(struct broadcast *bc)
{
    bc->flags = 0;
    bc->offset = 0;
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
    buf_free(&bc->numbers[0]);
    buf_free(&bc->numbers[1]);
    buf_free(&bc->json);
    slices_clear(&bc->attachments);
    once_clear(&bc->once);
}
