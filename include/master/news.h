/* news - what has happened lately that whoever looks at the daemon wants to know: reloads, gaps
 * of redis, workers that ended, generations, certificates.  The last NEWS_MAX are kept, in
 * memory that is there from the start (13 KB). */
#ifndef MASTER_NEWS_H
#define MASTER_NEWS_H

#include "base/buf.h"
#include "base/log.h"

#include <stdint.h>

#define NEWS_MAX   50
#define NEWS_BYTES 240 /* of one; a longer one is cut, and ends in "..." */

struct news;

/* NULL without memory. */
struct news *news_new(void);
void news_free(struct news **news);

/* Keeps one, of now by the wall clock.  news NULL: nobody wants to know.  It is not logged.
 * Keeps errno. */
void news_put(struct news *news, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* [{"time","level","text"}], the newest first; time in milliseconds since 1970.  What is not
 * UTF-8 becomes U+FFFD. */
void news_put_json(const struct news *news, struct buf *out);

#endif
