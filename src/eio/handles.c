/* handles - sessions by their handles. */
#include "eio/session.h"

#include <stdlib.h>
#include <string.h>

static int grow(struct eio *eio)
{
    uint32_t n = eio->nslots ? eio->nslots * 2 : SLOT_BLOCK;
    struct session_slot *slots;
    uint8_t *blocks = realloc(eio->blocks, n / SLOT_BLOCK);

    if (blocks == NULL)
        return -1;
    eio->blocks = blocks;
    if ((slots = realloc(eio->slots, n * sizeof(*slots))) == NULL)
        return -1;
    memset(blocks + eio->nslots / SLOT_BLOCK, 0, (n - eio->nslots) / SLOT_BLOCK);
    for (uint32_t i = n; i-- > eio->nslots;) {
        slots[i] = (struct session_slot){.serial = 1, .next_free = eio->free_slot};
        eio->free_slot = i;
    }
    eio->slots = slots;
    eio->nslots = n;
    return 0;
}

int handle_add(struct eio *eio, struct session *session)
{
    struct session_slot *slot;

    if (eio->free_slot == UINT32_MAX && grow(eio) < 0)
        return -1;
    slot = &eio->slots[eio->free_slot];
    session->index = eio->free_slot;
    session->serial = slot->serial;
    eio->free_slot = slot->next_free;
    slot->session = session;
    eio->blocks[session->index / SLOT_BLOCK]++;
    net_count_clients(eio->net, ++eio->nsessions);
    return 0;
}

void handle_remove(struct session *session)
{
    struct eio *eio = session->eio;
    struct session_slot *slot = &eio->slots[session->index];

    slot->session = NULL;
    eio->blocks[session->index / SLOT_BLOCK]--;
    slot->serial++;
    slot->next_free = eio->free_slot;
    eio->free_slot = session->index;
    net_count_clients(eio->net, --eio->nsessions);
}

uint64_t session_handle(const struct session *session)
{
    return (uint64_t)session->serial << 32 | session->index;
}

int handle_is_used(const struct eio *eio, uint64_t handle)
{
    uint32_t index = (uint32_t)handle, serial = (uint32_t)(handle >> 32);

    return index < eio->nslots && eio->slots[index].serial == serial &&
           eio->slots[index].session != NULL;
}

struct session *session_find(const struct eio *eio, uint64_t handle)
{
    struct session *session;

    if (!handle_is_used(eio, handle))
        return NULL;
    session = eio->slots[(uint32_t)handle].session;
    return session->over ? NULL : session;
}
