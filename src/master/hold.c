#include "master/hold.h"

#include <stdlib.h>
#include <string.h>

void hold_init(struct hold *hold)
{
    *hold = (struct hold){.end = &hold->first};
}

void hold_clear(struct hold *hold)
{
    while (hold->first)
        free(hold_take(hold, &hold->first));
}

static size_t count(const struct hold *hold, struct slice uid)
{
    size_t n = 0;
    for (const struct held *held = hold->first; held; held = held->next)
        n += slice_eq((struct slice){held->uid, held->uid_len}, uid);
    return n;
}

int hold_put(struct hold *hold, unsigned slot, uint64_t client, struct slice uid, size_t places,
             uint64_t until_ms)
{
    if (hold->n >= HOLD_MAX || uid.len > UINT8_MAX || count(hold, uid) >= places + HOLD_SPARE)
        return -1;
    struct held *held = malloc(sizeof *held + uid.len);
    if (!held)
        return -1;
    *held = (struct held){
        .until_ms = until_ms, .client = client, .slot = slot, .uid_len = (uint8_t)uid.len};
    memcpy(held->uid, uid.ptr, uid.len);
    *hold->end = held;
    hold->end = &held->next;
    hold->n++;
    return 0;
}

struct held *hold_take(struct hold *hold, struct held **at)
{
    struct held *held = *at;
    *at = held->next;
    if (!held->next)
        hold->end = at;
    hold->n--;
    return held;
}

void hold_drop_slot(struct hold *hold, unsigned slot)
{
    for (struct held *held = hold->first; held; held = held->next)
        if (held->slot == slot)
            held->gone = 1;
}
