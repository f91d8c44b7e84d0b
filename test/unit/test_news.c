/* The last that has happened, in order, whatever is in it. */
#include "master/news.h"

#include "base/clock.h"
#include "codec/json.h"
#include "tap.h"

#include <errno.h>

static struct news *news;

/* Valid until the next call. */
static const char *shown(void)
{
    static struct buf out;

    buf_free(&out);
    news_put_json(news, &out);
    (void)buf_putc(&out, '\0');
    ok(json_span((const char *)out.data, out.len - 1) == (long)out.len - 1, "JSON");
    return (const char *)out.data;
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;

    while ((text = strstr(text, part)) != NULL) {
        n++;
        text++;
    }
    return n;
}

static void test_order(void)
{
    long long time, now = clock_wall_ms();
    char level[8], text[8];

    is_str(shown(), "[]", "nothing yet");
    news_put(NULL, LOG_LEVEL_INFO, "nobody");
    errno = EBADF;
    news_put(news, LOG_LEVEL_ERROR, "%s", "one");
    is_int(errno, EBADF, "errno stays");
    news_put(news, LOG_LEVEL_WARN, "two");
    is_int(sscanf(shown(), "[{\"time\":%lld,\"level\":\"%7[a-z]\",\"text\":\"%7[a-z]\"},", &time,
                  level, text),
           3, "the members");
    ok(time >= now && time <= now + 60000, "of now");
    is_str(level, "warn", "its level");
    is_str(text, "two", "the newest first");
    ok(strstr(shown(), "\"level\":\"error\",\"text\":\"one\"}]") != NULL, "the older last");
}

static void test_many(void)
{
    for (int i = 0; i < 3 * NEWS_MAX + 7; i++)
        news_put(news, LOG_LEVEL_INFO, "n%d.", i);
    is_int(count(shown(), "\"time\""), NEWS_MAX, "so many, and no more");
    ok(strstr(shown(), "n156.") && strstr(shown(), "n107.") && !strstr(shown(), "n106."),
       "those that came last");
}

static void test_hostile(void)
{
    char large[2 * NEWS_BYTES];

    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    news_put(news, LOG_LEVEL_DEBUG, "%s", large);
    ok(strstr(shown(), "xxx...\"") != NULL, "cut where it is too long");
    for (size_t i = 0; i + 3 < sizeof(large); i += 3)
        memcpy(large + i, "\xe2\x82\xac", 3);
    news_put(news, LOG_LEVEL_INFO, "a%s", large);
    (void)shown(); /* within a character */
    news_put(news, LOG_LEVEL_INFO, "\"\\\n\r\t\x01\x7f\xff\xfe</script>\xed\xa0\x80");
    ok(strstr(shown(), "\\\"\\\\\\n\\r\\t\\u0001") != NULL, "escaped");
    ok(strchr(shown(), '\n') == NULL, "on one line");
}

int main(void)
{
    news = news_new();
    test_order();
    test_many();
    test_hostile();
    news_free(&news);
    ok(news == NULL, "freed");
    return tap_done();
}
