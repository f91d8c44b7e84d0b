#include "notify/say.h"

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int say_fail(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)fputs("axr-notify: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    return EXIT_FAILED;
}

void say_lines(const struct buf *text)
{
    const char *at = (const char *)text->data, *end = at + text->len;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;

        say_fail("%.*s", (int)(stop - at), at);
        at = stop + 1;
    }
}
