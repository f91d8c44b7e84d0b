#include "base/logline.h"
#include "base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ENDING_MAX_BYTES 6 /* ..."}\n */

/* What is put is whole or not there at all; once something did not fit, nothing
 * more is taken, so that the end of a line is never from behind a gap. */
static void put(struct logline *line, const char *str, size_t len)
{
    if (len > sizeof(line->at) - ENDING_MAX_BYTES - line->len)
        line->cut = 1;
    if (line->cut)
        return;
    memcpy(line->at + line->len, str, len);
    line->len += len;
}

static void put_str(struct logline *line, const char *str)
{
    put(line, str, strlen(str));
}

/* The character (of n bytes, not UTF-8 if n is 0) at text as text or JSON shows it. */
static void put_char(struct logline *line, const char *text, size_t n, uint32_t point, int json)
{
    char shown[16];

    if (n > 0 && point >= 0x20 && (point < 0x7f || point > 0x9f)) {
        if (json && (point == '"' || point == '\\'))
            put(line, (char[]){'\\', text[0]}, 2);
        else
            put(line, text, n);
    } else if (n > 0 && json) {
        snprintf(shown, sizeof(shown), "\\u%04x", point & 0xffff);
        put_str(line, shown);
    } else {
        size_t i = 0;

        do {
            snprintf(shown, sizeof(shown), "%s\\x%02x", json ? "\\" : "", (unsigned char)text[i]);
            put_str(line, shown);
        } while (++i < n);
    }
}

/* Bytes at the start of text that are shown as they are: nearly all there are. */
static size_t plain_len(const char *text, size_t len, int json)
{
    size_t n = 0;

    while (n < len && text[n] >= ' ' && text[n] < 0x7f &&
           !(json && (text[n] == '"' || text[n] == '\\')))
        n++;
    return n;
}

static void put_escaped(struct logline *line, const char *text, int json)
{
    size_t len = strlen(text);

    while (len > 0 && !line->cut) {
        size_t room = sizeof(line->at) - ENDING_MAX_BYTES - line->len;
        uint32_t point = 0;
        size_t n = plain_len(text, len < room ? len : room, json);

        if (n > 0) {
            put(line, text, n);
            text += n;
            len -= n;
            continue;
        }
        n = utf8_next(text, len, &point);
        put_char(line, text, n, point, json);
        text += n ? n : 1;
        len -= n ? n : 1;
    }
}

/* The date and the time of day are made once a second. */
static void put_time(struct logline *line)
{
    static time_t second = -1;
    static char shown[32];
    struct timespec now;
    struct tm tm;
    char ms[] = ".000Z";

    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != second) {
        gmtime_r(&now.tv_sec, &tm);
        shown[strftime(shown, sizeof(shown), "%Y-%m-%dT%H:%M:%S", &tm)] = '\0';
        second = now.tv_sec;
    }
    ms[1] = (char)('0' + now.tv_nsec / 100000000);
    ms[2] = (char)('0' + now.tv_nsec / 10000000 % 10);
    ms[3] = (char)('0' + now.tv_nsec / 1000000 % 10);
    put_str(line, shown);
    put_str(line, ms);
}

void logline_make(struct logline *line, const struct logline_head *head, const char *text)
{
    int json = head->is_json;
    char pid[16];

    line->len = 0;
    line->cut = 0;
    snprintf(pid, sizeof(pid), "%ld", (long)head->pid);
    put_str(line, head->mark);
    if (json)
        put_str(line, "{");
    if (head->has_time) {
        put_str(line, json ? "\"time\":\"" : "");
        put_time(line);
        put_str(line, json ? "\"," : " ");
    }
    put_str(line, json ? "\"level\":\"" : "");
    put_str(line, head->level);
    put_str(line, json ? "\",\"process\":\"" : " ");
    put_escaped(line, head->process, json);
    put_str(line, json ? "\",\"pid\":" : "[");
    put_str(line, pid);
    put_str(line, json ? ",\"message\":\"" : "]: ");
    put_escaped(line, text, json);
    /* put() has kept room for these. */
    line->len += (size_t)snprintf(line->at + line->len, sizeof(line->at) - line->len, "%s%s",
                                  line->cut ? "..." : "", json ? "\"}" : "");
    line->at[line->len++] = '\n';
}
