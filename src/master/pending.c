#include "master/pending.h"

#include <stdlib.h>
#include <string.h>

void pending_init(struct pending *pending)
{
    *pending = (struct pending){.end = &pending->first};
}

void pending_clear(struct pending *pending)
{
    while (pending->first != NULL)
        free(pending_take(pending, &pending->first));
}

static size_t count(const struct pending *pending, struct slice uid)
{
    size_t n = 0;

    for (const struct admission *admission = pending->first; admission != NULL;
         admission = admission->next)
        n += slice_eq(admission->uid, uid);
    return n;
}

static struct slice copy(char **at, struct slice name)
{
    struct slice copied = {*at, name.len};

    if (name.len > 0)
        memcpy(*at, name.ptr, name.len);
    *at += name.len;
    return copied;
}

/* NULL if it is too much, or without memory. */
static struct admission *admission_new(struct slice uid, const struct slices *rooms)
{
    size_t bytes = uid.len;
    struct admission *admission;
    char *at;

    for (size_t i = 0; i < rooms->n && bytes <= PENDING_NAMES_MAX; i++)
        bytes += rooms->at[i].len;
    if (bytes > PENDING_NAMES_MAX || rooms->n > PENDING_NAMES_MAX)
        return NULL;
    admission = malloc(sizeof(*admission) + rooms->n * sizeof(struct slice) + bytes);
    if (admission == NULL)
        return NULL;
    *admission = (struct admission){.rooms = {.at = admission->names, .n = rooms->n}};
    at = (char *)(admission->names + rooms->n);
    admission->uid = copy(&at, uid);
    for (size_t i = 0; i < rooms->n; i++)
        admission->names[i] = copy(&at, rooms->at[i]);
    return admission;
}

int pending_put(struct pending *pending, unsigned lane, uint64_t client, struct slice uid,
                const struct slices *rooms, size_t places, uint64_t until_ms)
{
    struct admission *admission;

    if (pending->n >= PENDING_MAX || count(pending, uid) >= places + PENDING_SPARE)
        return -1;
    admission = admission_new(uid, rooms);
    if (admission == NULL)
        return -1;
    admission->until_ms = until_ms;
    admission->client = client;
    admission->lane = lane;
    *pending->end = admission;
    pending->end = &admission->next;
    pending->n++;
    return 0;
}

struct admission *pending_take(struct pending *pending, struct admission **at)
{
    struct admission *admission = *at;

    *at = admission->next;
    if (admission->next == NULL)
        pending->end = at;
    pending->n--;
    return admission;
}

void pending_drop_lane(struct pending *pending, unsigned lane)
{
    for (struct admission *admission = pending->first; admission != NULL;
         admission = admission->next)
        if (admission->lane == lane)
            admission->gone = 1;
}
