#include "master/gaps.h"

#include "base/clock.h"
#include "master/news.h"
#include "master/redis.h"

static void lost(struct gaps *gaps, struct news *news)
{
    gaps->last_ms = clock_wall_ms();
    news_put(news, LOG_LEVEL_ERROR, "redis is lost: what is published meanwhile is, too");
}

static void back(const struct gaps *gaps, const struct redis_stats *stats, struct news *news)
{
    if (!gaps->was_up)
        news_put(news, LOG_LEVEL_INFO, "redis is subscribed");
    else
        news_put(news, LOG_LEVEL_WARN, "redis is subscribed again after %llu ms",
                 (unsigned long long)(stats->gap_ms - gaps->ms));
}

void gaps_see(struct gaps *gaps, int subscribed, const struct redis_stats *stats, struct news *news)
{
    if (gaps->is_up && !subscribed) {
        lost(gaps, news);
    } else if (!gaps->is_up && subscribed) {
        back(gaps, stats, news);
    } else if (subscribed && stats->gaps > gaps->n) {
        gaps->last_ms = clock_wall_ms();
        news_put(news, LOG_LEVEL_WARN, "redis was changed, and messages may be lost");
    }
    gaps->is_up = subscribed;
    gaps->was_up |= subscribed;
    gaps->n = stats->gaps;
    gaps->ms = stats->gap_ms;
}
