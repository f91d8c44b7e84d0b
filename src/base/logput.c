#include "base/logput.h"
#include "base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

void logput(struct logline *line, const char *bytes, size_t len)
{
    if (len > line->limit - line->len)
        line->cut = 1;
    if (line->cut)
        return;
    memcpy(line->at + line->len, bytes, len);
    line->len += len;
}

void logput_str(struct logline *line, const char *str)
{
    logput(line, str, strlen(str));
}

void logput_number(struct logline *line, unsigned long long number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    logput(line, digits + at, sizeof(digits) - at);
}

/* The character (of n bytes, not UTF-8 if n is 0) at text as text or JSON shows it. */
static void put_char(struct logline *line, const char *text, size_t n, uint32_t point, int json)
{
    char shown[16];

    if (n > 0 && point >= 0x20 && (point < 0x7f || point > 0x9f)) {
        if (json && (point == '"' || point == '\\'))
            logput(line, (char[]){'\\', text[0]}, 2);
        else
            logput(line, text, n);
    } else if (n > 0 && json) {
        snprintf(shown, sizeof(shown), "\\u%04x", point & 0xffff);
        logput_str(line, shown);
    } else {
        size_t i = 0;

        do {
            snprintf(shown, sizeof(shown), "%s\\x%02x", json ? "\\" : "", (unsigned char)text[i]);
            logput_str(line, shown);
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

void logput_escaped(struct logline *line, const char *text, size_t len, int json)
{
    while (len > 0 && !line->cut) {
        size_t room = line->limit - line->len;
        uint32_t point = 0;
        size_t n = plain_len(text, len < room ? len : room, json);

        if (n > 0) {
            logput(line, text, n);
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

int logput_string(struct logline *line, const char *text, size_t len, size_t max)
{
    size_t limit = line->limit;
    int fits = 1;

    logput_str(line, "\"");
    if (!line->cut && limit - line->len > max) {
        line->limit = line->len + max;
        logput_escaped(line, text, len, 1);
        line->limit = limit;
        if (line->cut) {
            line->cut = fits = 0;
            logput_str(line, "...");
        }
    } else {
        logput_escaped(line, text, len, 1);
    }
    logput_str(line, "\"");
    return fits;
}
