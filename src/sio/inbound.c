#include "sio/inbound.h"

#include "base/buf.h"

#include <assert.h>
#include <stdlib.h>

struct inbound {
    struct inbounds *all; /* NULL: taken */
    struct inbound *next, **prev;
    struct inbound **owner;
    struct buf bytes; /* part behind part */
    size_t ends[INBOUND_PARTS];
    unsigned parts; /* that are there */
};

void inbounds_init(struct inbounds *all, uint64_t *given_up)
{
    *all = (struct inbounds){.given_up = given_up};
    all->last = &all->first;
}

static size_t memory_of(const struct inbound *inbound)
{
    return sizeof(*inbound) + inbound->bytes.cap;
}

static void unlink_it(struct inbound *inbound)
{
    struct inbounds *all = inbound->all;

    if (all == NULL)
        return;
    *inbound->prev = inbound->next;
    if (inbound->next != NULL)
        inbound->next->prev = inbound->prev;
    else
        all->last = inbound->prev;
    all->bytes -= memory_of(inbound);
    inbound->all = NULL;
}

int inbound_begin(struct inbounds *all, struct inbound **owner)
{
    struct inbound *inbound = calloc(1, sizeof(*inbound));

    assert(*owner == NULL);
    if (inbound == NULL)
        return -1;
    inbound->all = all;
    inbound->owner = owner;
    inbound->prev = all->last;
    *all->last = inbound;
    all->last = &inbound->next;
    all->bytes += memory_of(inbound);
    *owner = inbound;
    return 0;
}

struct inbound *inbound_take(struct inbound **owner)
{
    struct inbound *inbound = *owner;

    assert(inbound != NULL);
    unlink_it(inbound);
    *owner = NULL;
    return inbound;
}

int inbound_put(struct inbound *inbound, struct slice part)
{
    struct inbounds *all = inbound->all;
    size_t before = memory_of(inbound);

    assert(inbound->parts < INBOUND_PARTS);
    if (buf_put(&inbound->bytes, part.ptr, part.len) < 0)
        return -1;
    inbound->ends[inbound->parts++] = inbound->bytes.len;
    all->bytes += memory_of(inbound) - before;
    while (all->bytes > INBOUND_MAX_BYTES && all->first->next != NULL) {
        struct inbound *oldest = all->first != inbound ? all->first : inbound->next;

        oldest = inbound_take(oldest->owner);
        inbound_free(&oldest);
        (*all->given_up)++;
    }
    return 0;
}

size_t inbound_bytes(const struct inbound *inbound)
{
    return inbound->bytes.len;
}

void inbound_parts(const struct inbound *inbound, struct slice parts[INBOUND_PARTS])
{
    const char *bytes = (const char *)inbound->bytes.data;
    size_t from = 0;

    for (unsigned i = 0; i < INBOUND_PARTS; i++) {
        size_t end = i < inbound->parts ? inbound->ends[i] : from;

        parts[i] = (struct slice){bytes != NULL ? bytes + from : "", end - from};
        from = end;
    }
}

void inbound_free(struct inbound **inbound_ptr)
{
    struct inbound *inbound = *inbound_ptr;

    *inbound_ptr = NULL;
    if (inbound == NULL)
        return;
    unlink_it(inbound);
    buf_free(&inbound->bytes);
    free(inbound);
}
