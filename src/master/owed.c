#include "master/owed.h"

static int is_silent(const struct owed *owed, unsigned lane, uint64_t now_ms, uint32_t patience_ms)
{
    return now_ms >= owed->lanes[lane].heard_ms + patience_ms;
}

int owed_is_full(const struct owed *owed, unsigned lane)
{
    return owed->lanes[lane].n >= OWED_MAX;
}

static void set(struct owed *owed, unsigned lane, unsigned n)
{
    owed->nfull -= (unsigned)owed_is_full(owed, lane);
    owed->lanes[lane].n = n;
    owed->nfull += (unsigned)owed_is_full(owed, lane);
}

void owed_ask(struct owed *owed, unsigned lane, uint64_t now_ms)
{
    if (owed->lanes[lane].n == 0)
        owed->lanes[lane].heard_ms = now_ms;
    set(owed, lane, owed->lanes[lane].n + 1);
}

void owed_unask(struct owed *owed, unsigned lane)
{
    if (owed->lanes[lane].n > 0)
        set(owed, lane, owed->lanes[lane].n - 1);
}

static void late_said(struct owed_late *late, unsigned lane)
{
    if (laneset_take(&late->waiting, lane) && late->waiting.n == 0)
        late->id = 0;
}

void owed_said(struct owed *owed, unsigned lane, uint32_t id, int is_last, uint64_t now_ms)
{
    owed->lanes[lane].heard_ms = now_ms;
    if (!is_last)
        return;
    owed_unask(owed, lane);
    for (size_t i = 0; i < OWED_LATE_MAX; i++)
        if (owed->late[i].id != 0 && owed->late[i].id == id)
            late_said(&owed->late[i], lane);
}

void owed_down(struct owed *owed, unsigned lane)
{
    set(owed, lane, 0);
    for (size_t i = 0; i < OWED_LATE_MAX; i++)
        late_said(&owed->late[i], lane);
}

/* Where there is no place for one more, those before it are much work already. */
void owed_late(struct owed *owed, uint32_t id, const struct laneset *waiting)
{
    for (size_t i = 0; i < OWED_LATE_MAX && waiting->n > 0; i++) {
        if (owed->late[i].id != 0)
            continue;
        owed->late[i] = (struct owed_late){id, *waiting};
        return;
    }
}

int owed_is_crowded(const struct owed *owed, uint64_t now_ms, uint32_t patience_ms)
{
    for (unsigned lane = 0; owed->nfull > 0 && lane < START_LANES; lane++)
        if (owed_is_full(owed, lane) && !is_silent(owed, lane, now_ms, patience_ms))
            return 1;
    return 0;
}

static int has_late(const struct owed *owed, unsigned lane)
{
    for (size_t i = 0; i < OWED_LATE_MAX; i++)
        if (owed->late[i].id != 0 && laneset_has(&owed->late[i].waiting, lane))
            return 1;
    return 0;
}

static int any_late(const struct owed *owed)
{
    for (size_t i = 0; i < OWED_LATE_MAX; i++)
        if (owed->late[i].id != 0)
            return 1;
    return 0;
}

int owed_is_late(const struct owed *owed, uint64_t now_ms, uint32_t patience_ms)
{
    if (!any_late(owed))
        return 0;
    for (unsigned lane = 0; lane < START_LANES; lane++)
        if (has_late(owed, lane) && !is_silent(owed, lane, now_ms, patience_ms))
            return 1;
    return 0;
}

int owed_works(const struct owed *owed, const struct laneset *lanes, uint64_t now_ms,
               uint32_t patience_ms)
{
    for (unsigned lane = 0; lanes->n > 0 && lane < START_LANES; lane++)
        if (laneset_has(lanes, lane) && owed->lanes[lane].n > 0 &&
            !is_silent(owed, lane, now_ms, patience_ms))
            return 1;
    return 0;
}

uint64_t owed_due_ms(const struct owed *owed, uint64_t now_ms, uint32_t patience_ms)
{
    uint64_t due_ms = UINT64_MAX;

    if (owed->nfull == 0 && !any_late(owed))
        return due_ms;
    for (unsigned lane = 0; lane < START_LANES; lane++) {
        uint64_t at_ms = owed->lanes[lane].heard_ms + patience_ms;
        if ((owed_is_full(owed, lane) || has_late(owed, lane)) && at_ms > now_ms && at_ms < due_ms)
            due_ms = at_ms;
    }
    return due_ms;
}
