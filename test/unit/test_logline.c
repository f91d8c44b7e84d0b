#include "base/clock.h"
#include "base/logline.h"
#include "tap.h"

#include <cjson/cJSON.h>
#include <time.h>

static struct logline_head head = {
    .mark = "", .level = "info", .name = "worker", .process = "worker 3", .number = 3, .pid = 12};
static struct log_field field = LOG_STR("a", "");
static struct logline_body body = {"kind", "text[ {}]", &field, 1};

static const char *made(const char *text)
{
    static struct logline line;
    static char shown[LOGLINE_MAX_BYTES + 1];

    field.is.text = text;
    logline_make(&line, &head, &body);
    memcpy(shown, line.at, line.len);
    shown[line.len] = '\0';
    return shown;
}

static void test_heads(void)
{
    is_str(made("a=1"), "info worker 3[12]: text a=1\n", "text");
    head.mark = "<6>";
    is_str(made("a=1"), "<6>info worker 3[12]: text a=1\n", "with a mark");
    head.is_json = 1;
    is_str(made("\"1\""),
           "<6>{\"level\":\"info\",\"process\":\"worker 3\",\"pid\":12,\"message\":\"text\","
           "\"event\":\"kind\",\"worker\":3,\"a\":\"\\\"1\\\"\"}\n",
           "JSON");
    head.mark = "";
    head.number = 0;
    body.n = 0;
    is_str(made(""),
           "{\"level\":\"info\",\"process\":\"worker 3\",\"pid\":12,\"message\":\"text\","
           "\"event\":\"kind\"}\n",
           "without a number, and fields");
    head.is_json = 0;
    body.n = 1;
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
    const size_t room = LOGLINE_MAX_BYTES - strlen("info worker 3[12]: text ") - 6;

    field.is.text = text;
    for (size_t len = room - 8; len < room + 8; len++) {
        int fits = len <= room;

        memset(text, 'x', len);
        text[len] = '\0';
        logline_make(&line, &head, &body);
        ok(line.len <= LOGLINE_MAX_BYTES && line.at[line.len - 1] == '\n' &&
               (memcmp(line.at + line.len - 4, "...\n", 4) == 0) == !fits,
           "%zu bytes of text %s", len, fits ? "fit" : "are cut");
    }
    memset(text, '\n', sizeof(text) - 1);
    head.is_json = 1;
    logline_make(&line, &head, &body);
    ok(memcmp(line.at + line.len - 23, "\\u000a...\",\"cut\":true}\n", 23) == 0,
       "no escape is torn");
    head.is_json = 0;
}

/* Whatever there is room for: whole JSON, with the first members. */
static void test_cut(void)
{
    static char texts[3][2200];
    struct log_field fields[] = {LOG_STR("a", texts[0]), LOG_STR("b", texts[1]),
                                 LOG_UINT("times", 7), LOG_STR("c", texts[2])};
    struct logline line;
    int good = 1, cut = 0, whole = 0, all = 0;

    head.is_json = 1;
    body = (struct logline_body){"kind", "text[ {}{}{}{}]", fields, 4};
    for (size_t i = 0; i < 3; i++)
        memset(texts[i], "x\"\xff"[i], sizeof(texts[i]) - 1);
    for (size_t len = 0; len < sizeof(texts[0]) && good; len++) {
        cJSON *tree;
        int is_cut;

        for (size_t i = 0; i < 3; i++)
            fields[i < 2 ? i : 3].len = len;
        logline_make(&line, &head, &body);
        good = line.len <= LOGLINE_MAX_BYTES && line.at[line.len - 1] == '\n' &&
               memchr(line.at, '\n', line.len - 1) == NULL;
        line.at[line.len - 1] = '\0';
        tree = cJSON_ParseWithOpts(line.at, NULL, 1);
        is_cut = cJSON_IsTrue(cJSON_GetObjectItem(tree, "cut"));
        good = good && cJSON_IsString(cJSON_GetObjectItem(tree, "message")) &&
               cJSON_IsString(cJSON_GetObjectItem(tree, "event")) &&
               (is_cut || cJSON_GetArraySize(tree) == 9);
        cut += is_cut;
        whole += !is_cut;
        all += cJSON_GetObjectItem(tree, "c") != NULL;
        cJSON_Delete(tree);
    }
    ok(good, "JSON of any length is whole");
    ok(whole > 100 && cut > 100 && all >= whole && all < whole + cut,
       "what is left out is said: %d whole, %d cut, %d with the last member", whole, cut, all);
    head.is_json = 0;
}

int main(void)
{
    test_heads();
    test_time();
    test_room();
    test_cut();
    return tap_done();
}
