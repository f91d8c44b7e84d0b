/* gaps - when redis was lost, and when it was there again: told as news, as it is seen. */
#ifndef MASTER_GAPS_H
#define MASTER_GAPS_H

#include <stdint.h>

struct news;
struct redis_stats;

struct gaps {          /* zero is a start */
    int is_up, was_up; /* subscribed; has been */
    uint64_t n, ms;    /* of the statistics, when that was last looked at */
    int64_t last_ms;   /* when the last one began, since 1970; 0: there was none */
};

/* To be called when either may have changed.  news: or NULL. */
void gaps_see(struct gaps *gaps, int subscribed, const struct redis_stats *stats,
              struct news *news);

#endif
