#include "net/ranking.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_MIN 64

void row_add(struct ranked_row *row, struct ranked *one)
{
    one->before = row->last;
    one->behind = NULL;
    if (row->last != NULL)
        row->last->behind = one;
    else
        row->first = one;
    row->last = one;
}

void row_remove(struct ranked_row *row, struct ranked *one)
{
    if (one->before != NULL)
        one->before->behind = one->behind;
    else
        row->first = one->behind;
    if (one->behind != NULL)
        one->behind->before = one->before;
    else
        row->last = one->before;
}

int ranking_init(struct ranking *ranking)
{
    *ranking = (struct ranking){.rows = calloc(ROWS_MIN, sizeof(*ranking->rows)), .n = ROWS_MIN};
    return ranking->rows != NULL ? 0 : -1;
}

void ranking_clear(struct ranking *ranking)
{
    free(ranking->rows);
    ranking->rows = NULL;
}

/* So that n has a row of its own.  Once there was no memory it stays as it is, for then a number
 * may not tell in which row somebody is. */
static void grow(struct ranking *ranking, uint32_t n)
{
    struct ranked_row *rows;

    if (n + 1 < ranking->n || ranking->is_capped)
        return;
    rows = realloc(ranking->rows, 2 * ranking->n * sizeof(*rows));
    if (rows == NULL) {
        ranking->is_capped = 1;
        return;
    }
    memset(rows + ranking->n, 0, ranking->n * sizeof(*rows));
    ranking->rows = rows;
    ranking->n *= 2;
}

static size_t row_of(const struct ranking *ranking, uint32_t n)
{
    return n < ranking->n ? n : ranking->n - 1;
}

/* Whoever goes down goes down by one, so the highest row is never far. */
void ranking_move(struct ranking *ranking, struct ranked *one, uint32_t was, uint32_t is)
{
    size_t row;

    if (was > 0)
        row_remove(&ranking->rows[row_of(ranking, was)], one);
    if (is > 0) {
        grow(ranking, is);
        row = row_of(ranking, is);
        row_add(&ranking->rows[row], one);
        if (row > ranking->top)
            ranking->top = row;
    }
    while (ranking->top > 0 && ranking->rows[ranking->top].first == NULL)
        ranking->top--;
}
