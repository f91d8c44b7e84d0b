/* ranking - things by a number that goes up and down by one: which has the highest is known at
 * every time.  Each number has a row; in it stands first who has been there for longest. */
#ifndef NET_RANKING_H
#define NET_RANKING_H

#include <stddef.h>
#include <stdint.h>

/* In a row; embedded. */
struct ranked {
    struct ranked *before, *behind;
};

struct ranked_row { /* zero is empty */
    struct ranked *first, *last;
};

struct ranking {
    struct ranked_row *rows; /* by that number; the last one: at least as many */
    size_t n, top;           /* rows; above top all are empty, and row 0 always is */
    int is_capped;           /* there was no memory for more rows */
};

void row_add(struct ranked_row *row, struct ranked *one);
void row_remove(struct ranked_row *row, struct ranked *one);

/* Returns 0, or -1 without memory. */
int ranking_init(struct ranking *ranking);
void ranking_clear(struct ranking *ranking);

/* Its number was that, and is another by one; 0: it is in no row. */
void ranking_move(struct ranking *ranking, struct ranked *one, uint32_t was, uint32_t is);

/* The first of those with the highest, or NULL. */
static inline struct ranked *ranking_first(const struct ranking *ranking)
{
    return ranking->rows[ranking->top].first;
}

#endif
