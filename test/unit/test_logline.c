#include "base/clock.h"
#include "base/logline.h"
#include "tap.h"

#include <time.h>

static struct logline_head head = {.mark = "", .level = "info", .process = "worker 3", .pid = 12};

static const char *made(const char *text)
{
    static struct logline line;
    static char shown[LOGLINE_MAX_BYTES + 1];

    logline_make(&line, &head, text);
    memcpy(shown, line.at, line.len);
    shown[line.len] = '\0';
    return shown;
}

static void test_heads(void)
{
    is_str(made("a=1"), "info worker 3[12]: a=1\n", "text");
    head.mark = "<6>";
    is_str(made("a=1"), "<6>info worker 3[12]: a=1\n", "with a mark");
    head.is_json = 1;
    is_str(
        made("a=\"1\""),
        "<6>{\"level\":\"info\",\"process\":\"worker 3\",\"pid\":12,\"message\":\"a=\\\"1\\\"\"}\n",
        "JSON");
    head.mark = "";
    head.is_json = 0;
    is_str(made(""), "info worker 3[12]: \n", "no text");
}

/* Milliseconds since 1970 that a line says, or -1. */
static int64_t said_at(const char *line)
{
    struct tm tm = {0};
    const char *rest = strptime(line, "%Y-%m-%dT%H:%M:%S", &tm);
    unsigned ms = 0;
    char z = 0;

    if (rest == NULL || sscanf(rest, ".%3u%c", &ms, &z) != 2 || z != 'Z' ||
        strncmp(rest + strlen(".000Z"), " info ", 6) != 0)
        return -1;
    return (int64_t)timegm(&tm) * 1000 + ms;
}

/* Lines of several seconds: what is kept of one is not said in the next. */
static void test_time(void)
{
    int64_t until = clock_wall_ms() + 2100, at;
    int good = 1;

    head.has_time = 1;
    do {
        int64_t from = clock_wall_ms();

        at = said_at(made("x"));
        good = good && at >= from && at <= clock_wall_ms();
        usleep(7000);
    } while (good && at < until);
    ok(good, "the time of each line is that of the clock, to the millisecond");
    head.has_time = 0;
}

static void test_room(void)
{
    static char text[2 * LOGLINE_MAX_BYTES];
    struct logline line;
    const size_t room = LOGLINE_MAX_BYTES - strlen("info worker 3[12]: ") - 6;

    for (size_t len = room - 8; len < room + 8; len++) {
        int fits = len <= room;

        memset(text, 'x', len);
        text[len] = '\0';
        logline_make(&line, &head, text);
        ok(line.cut == !fits && line.len <= LOGLINE_MAX_BYTES && line.at[line.len - 1] == '\n' &&
               (memcmp(line.at + line.len - 4, "...\n", 4) == 0) == !fits,
           "%zu bytes of text %s", len, fits ? "fit" : "are cut");
    }
    memset(text, '\n', sizeof(text) - 1);
    head.is_json = 1;
    logline_make(&line, &head, text);
    ok(memcmp(line.at + line.len - 12, "\\u000a...\"}\n", 12) == 0, "no escape is torn");
    head.is_json = 0;
}

int main(void)
{
    test_heads();
    test_time();
    test_room();
    return tap_done();
}
