#include "notify/input.h"

#include "notify/say.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 65536

int input_read(struct buf *text, size_t max, const char *what)
{
    ssize_t n;

    do {
        uint8_t *room = buf_reserve(text, CHUNK);

        if (room == NULL)
            return say_fail("no memory for standard input");
        n = read(STDIN_FILENO, room, CHUNK);
        if (n < 0 && errno != EINTR)
            return say_fail("cannot read standard input: %s", strerror(errno));
        text->len += n > 0 ? (size_t)n : 0;
        if (text->len > max)
            return say_fail("standard input has more than %s", what);
    } while (n != 0);
    return 0;
}

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice input_trim(struct slice text)
{
    while (text.len > 0 && is_space(text.ptr[text.len - 1]))
        text.len--;
    while (text.len > 0 && is_space(*text.ptr)) {
        text.ptr++;
        text.len--;
    }
    return text;
}
