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
        n += slice_eq((struct slice){admission->uid, admission->uid_len}, uid);
    return n;
}

int pending_put(struct pending *pending, unsigned lane, uint64_t client, struct slice uid,
                size_t places, uint64_t until_ms)
{
    struct admission *admission;

    if (pending->n >= PENDING_MAX || uid.len > UINT8_MAX ||
        count(pending, uid) >= places + PENDING_SPARE)
        return -1;
    admission = malloc(sizeof(*admission) + uid.len);
    if (admission == NULL)
        return -1;
    *admission = (struct admission){
        .until_ms = until_ms, .client = client, .lane = lane, .uid_len = (uint8_t)uid.len};
    memcpy(admission->uid, uid.ptr, uid.len);
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
