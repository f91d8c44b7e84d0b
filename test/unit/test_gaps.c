/* redis comes and goes, and that is news. */
#include "master/gaps.h"

#include "base/clock.h"
#include "master/news.h"
#include "master/redis.h"
#include "tap.h"

static struct news *news;

/* Is this what is the newest? */
static int newest(const char *text)
{
    struct buf out = {0};
    const char *at;
    int rc;

    news_put_json(news, &out);
    (void)buf_putc(&out, '\0');
    at = strstr((const char *)out.data, "\"text\":\"");
    rc = at != NULL && strncmp(at + 8, text, strlen(text)) == 0;
    if (!rc)
        printf("#   %.120s\n", (const char *)out.data);
    buf_free(&out);
    return rc;
}

int main(void)
{
    struct gaps gaps = {0};
    struct redis_stats stats = {0};
    int64_t now = clock_wall_ms();

    news = news_new();
    gaps_see(&gaps, 0, &stats, news);
    ok(!newest("redis"), "not there yet");
    gaps_see(&gaps, 1, &stats, news);
    ok(newest("redis is subscribed\""), "there");
    is_int(gaps.last_ms, 0, "no gap yet");
    news_put(news, LOG_LEVEL_INFO, "else");
    gaps_see(&gaps, 1, &stats, news);
    ok(newest("else"), "nothing is new");
    stats.gaps = 1;
    gaps_see(&gaps, 0, &stats, news);
    ok(newest("redis is lost"), "lost");
    ok(gaps.last_ms >= now, "and when");
    news_put(news, LOG_LEVEL_INFO, "else");
    gaps_see(&gaps, 0, &stats, news);
    ok(newest("else"), "an attempt that failed is nothing new");
    stats.gap_ms = 1234;
    gaps_see(&gaps, 1, &stats, news);
    ok(newest("redis is subscribed again after 1234 ms"), "back");
    stats.gaps = 2;
    gaps_see(&gaps, 0, &stats, news);
    stats.gap_ms = 1300;
    gaps_see(&gaps, 1, &stats, news);
    ok(newest("redis is subscribed again after 66 ms"), "of this gap alone");
    stats.gaps = 3;
    gaps_see(&gaps, 1, &stats, news);
    ok(newest("redis was changed"), "a change that may have lost something");
    gaps_see(&gaps, 0, &stats, NULL);
    ok(!gaps.is_up, "without anybody to tell");
    news_free(&news);
    return tap_done();
}
