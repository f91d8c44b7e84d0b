#include "worker/rerun.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "ipc/history.h"
#include "ipc/start.h"

#include <stdlib.h>

#define CLOCK_EACH 64 /* entries that are for nobody, for a look at the clock */

/* --- the line --- */

long line_put(struct line *line, struct missing *one)
{
    size_t cap = line->cap > 0 ? 2 * line->cap : 16;
    struct missing **at;

    if (line->n == line->cap) {
        if ((at = reallocarray(line->at, cap, sizeof(struct missing *))) == NULL)
            return -1;
        line->at = at;
        line->cap = cap;
    }
    line->at[line->n] = one;
    return (long)line->n++;
}

void line_clear(struct line *line)
{
    free(line->at);
    *line = (struct line){0};
}

uint64_t line_lowest(const struct line *line)
{
    uint64_t pos = UINT64_MAX;

    for (size_t i = 0; i < line->n; i++)
        if (line->at[i] != NULL && line->at[i]->from < pos)
            pos = line->at[i]->from;
    return pos;
}

/* --- those who cannot go on --- */

/* What is at the group's position cannot be had: those that are to get it are given up. */
static void lose(struct rerun *rerun, struct group *group, enum replay_result why)
{
    const struct line *line = group->line;

    for (size_t i = 0; i < line->n; i++)
        if (line->at[i] != NULL && line->at[i]->from <= group->pos)
            rerun->give_up(line->at[i], why, rerun->arg);
    group->pos = line_lowest(line);
}

static void give_failed_up(struct rerun *rerun, struct group *group)
{
    const struct line *line = group->line;

    for (size_t i = 0; group->failed > 0 && i < line->n; i++)
        if (line->at[i] != NULL && line->at[i]->failed)
            rerun->give_up(line->at[i], REPLAY_NO_MEMORY, rerun->arg);
    group->failed = 0;
}

/* --- one entry --- */

struct delivery {
    struct rerun *rerun;
    struct group *group;
    struct fanout fanout;
};

static void on_chosen(struct missing *one, void *arg)
{
    struct delivery *delivery = arg;
    struct group *group = delivery->group;

    if (group->visit(one, &delivery->fanout, delivery->rerun->broadcast.seq,
                     delivery->rerun->arg) == 0)
        return;
    one->failed = 1;
    group->failed++;
}

/* Returns REPLAY_RECOVERED, or why its message cannot be had. */
static enum replay_result deliver(struct rerun *rerun, struct group *group, uint64_t at)
{
    struct msg_broadcast *bc = &rerun->broadcast;
    struct delivery delivery = {.rerun = rerun, .group = group};
    struct msg msg;

    buf_reset(&rerun->message);
    if (history_copy(rerun->history, at, &rerun->message) != HISTORY_ENTRY)
        return rerun->message.failed ? REPLAY_NO_MEMORY : REPLAY_OVERRUN;
    if (msg_decode(&msg, rerun->message.data, rerun->message.len, START_MESSAGE_CAP) <= 0 ||
        msg_get_broadcast(&msg, bc) != 0)
        return REPLAY_NO_MEMORY;
    fanout_begin(rerun->sio, &delivery.fanout, bc->json, bc->attachments.at, bc->attachments.n, 0);
    fanout_offset(&delivery.fanout, bc->offset);
    fanout_replay(&delivery.fanout);
    missed_choose(group->missed, rerun->history, at, bc, ++rerun->serial, on_chosen, &delivery);
    fanout_end(&delivery.fanout);
    return REPLAY_RECOVERED;
}

/* Nearly all are for nobody.  Returns 1 if the clock is to be looked at. */
static int pass_entry(struct rerun *rerun, struct group *group, const struct history_entry *entry)
{
    enum replay_result result;

    group->pos = entry->at;
    if (!missed_may(group->missed, entry)) {
        group->pos = entry->next;
        return 0;
    }
    if ((result = deliver(rerun, group, entry->at)) != REPLAY_RECOVERED) {
        lose(rerun, group, result);
        return 1;
    }
    if (group->failed > 0)
        give_failed_up(rerun, group);
    group->pos = entry->next;
    return 1;
}

int rerun_go_on(struct rerun *rerun, struct group *group, uint64_t until_ms)
{
    struct history_entry entry;

    for (size_t n = 1; group->pos != UINT64_MAX; n++) {
        enum history_read read = history_next(rerun->history, group->pos, &entry);

        if (read == HISTORY_OVERRUN) {
            lose(rerun, group, REPLAY_OVERRUN);
            continue;
        }
        if (read == HISTORY_END || entry.seq > rerun->taken) {
            if (read == HISTORY_END)
                group->pos = entry.next;
            break;
        }
        if ((pass_entry(rerun, group, &entry) || n % CLOCK_EACH == 0) && clock_ms() >= until_ms)
            return 0;
    }
    return 1;
}

void rerun_clear(struct rerun *rerun)
{
    buf_free(&rerun->message);
    msg_broadcast_clear(&rerun->broadcast);
}
