#include "master/news.h"

#include "base/clock.h"
#include "codec/json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item {
    int64_t time_ms;
    enum log_level level;
    char text[NEWS_BYTES];
};

struct news {
    unsigned n, next; /* how many there are; where the next one goes */
    struct item at[NEWS_MAX];
};

struct news *news_new(void)
{
    return calloc(1, sizeof(struct news));
}

void news_free(struct news **newsp)
{
    free(*newsp);
    *newsp = NULL;
}

void news_put(struct news *news, enum log_level level, const char *fmt, ...)
{
    int saved = errno, len;
    struct item *item;
    va_list args;

    if (news == NULL)
        return;
    item = &news->at[news->next];
    va_start(args, fmt);
    len = vsnprintf(item->text, sizeof(item->text), fmt, args);
    va_end(args);
    if (len >= (int)sizeof(item->text))
        memcpy(item->text + sizeof(item->text) - 4, "...", 4);
    item->time_ms = clock_wall_ms();
    item->level = level;
    news->next = (news->next + 1) % NEWS_MAX;
    if (news->n < NEWS_MAX)
        news->n++;
    errno = saved;
}

static void put_item(const struct item *item, struct buf *out)
{
    static const char *const levels[] = {[LOG_LEVEL_ERROR] = "error",
                                         [LOG_LEVEL_WARN] = "warn",
                                         [LOG_LEVEL_INFO] = "info",
                                         [LOG_LEVEL_DEBUG] = "debug"};

    (void)buf_printf(out, "{\"time\":%lld,\"level\":\"%s\",\"text\":", (long long)item->time_ms,
                     levels[item->level]);
    (void)json_put_string_lossy(out, item->text, strlen(item->text));
    (void)buf_putc(out, '}');
}

void news_put_json(const struct news *news, struct buf *out)
{
    (void)buf_putc(out, '[');
    for (unsigned i = 0; i < news->n; i++) {
        if (i > 0)
            (void)buf_putc(out, ',');
        put_item(&news->at[(news->next + NEWS_MAX - 1 - i) % NEWS_MAX], out);
    }
    (void)buf_putc(out, ']');
}
