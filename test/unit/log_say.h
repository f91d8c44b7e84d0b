/* log_say - lines of one event, "kind", with the text of a format as their field "text". */
#ifndef TEST_LOG_SAY_H
#define TEST_LOG_SAY_H

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

/* say(INFO, "n=%d", 1); say_errno() adds errno. */
#define say(level, ...)       said(LOG_LEVEL_##level, 0, __VA_ARGS__)
#define say_errno(level, ...) said(LOG_LEVEL_##level, 1, __VA_ARGS__)

static inline __attribute__((format(printf, 3, 4))) void said(enum log_level level, int with_errno,
                                                              const char *fmt, ...)
{
    int error = errno;
    char text[8192];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    errno = error;
    log_event_at(level, "kind", "[{}][: {}]<said>", LOG_STR("text", text),
                 LOG_IF(with_errno, LOG_ERRNO()));
}

#endif
