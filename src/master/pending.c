#include "master/pending.h"

#include <stdlib.h>

void pending_init(struct pending *pending)
{
    *pending = (struct pending){.end = &pending->first};
}

void pending_clear(struct pending *pending)
{
    while (pending->first != NULL)
        admission_free(pending_take(pending, &pending->first));
}

static size_t count(const struct pending *pending, struct slice uid)
{
    size_t n = 0;

    for (const struct admission *admission = pending->first; admission != NULL;
         admission = admission->next)
        n += slice_eq(admission->admit->uid, uid);
    return n;
}

void admission_free(struct admission *admission)
{
    free(admission->admit);
    free(admission);
}

/* NULL if it is too much, or without memory. */
static struct admission *admission_new(const struct admit *admit)
{
    struct admission *admission;

    if (admit_names(admit) > PENDING_NAMES_MAX || admit->rooms.n > PENDING_NAMES_MAX)
        return NULL;
    admission = malloc(sizeof(*admission));
    if (admission == NULL)
        return NULL;
    *admission = (struct admission){.admit = admit_copy(admit)};
    if (admission->admit == NULL) {
        free(admission);
        return NULL;
    }
    return admission;
}

int pending_put(struct pending *pending, const struct admit *admit, size_t places,
                uint64_t until_ms)
{
    struct admission *admission;

    if (pending->n >= PENDING_MAX || count(pending, admit->uid) >= places + PENDING_SPARE)
        return -1;
    admission = admission_new(admit);
    if (admission == NULL)
        return -1;
    admission->until_ms = until_ms;
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
        if (admission->admit->lane == lane)
            admission->gone = 1;
}
