#include "master/admin_counts.h"

static const int statuses[] = {200, 400, 401, 403, 404, 405, 413, 415, 429, 503};

#define STATUSES (sizeof(statuses) / sizeof(*statuses))

static uint64_t answers[STATUSES + 1]; /* the last: any other status */
static uint64_t actions[ADMIN_ACTIONS];

void admin_count_answer(int status)
{
    size_t i = 0;

    while (i < STATUSES && statuses[i] != status)
        i++;
    answers[i]++;
}

void admin_count_action(enum admin_action action)
{
    actions[action]++;
}

int admin_counts_next(size_t n, int *status, uint64_t *count)
{
    if (n > STATUSES)
        return 0;
    *status = n < STATUSES ? statuses[n] : 0;
    *count = answers[n];
    return 1;
}

const char *admin_action_name(enum admin_action action)
{
    return action == ADMIN_EMIT ? "emit" : "disconnect";
}

uint64_t admin_counts_action(enum admin_action action)
{
    return actions[action];
}
