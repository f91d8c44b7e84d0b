#include "base/logline.h"

#include <string.h>
#include <time.h>

/* Kept free for the end of a line that is cut; 6 is what the cuts of text go by. */
#define TEXT_END_BYTES 6  /* ...\n, and two */
#define JSON_END_BYTES 16 /* ,"cut":true}\n */
#define HEAD_MAX_BYTES 64 /* of a string in front of the message */

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
    logput_str(line, shown);
    logput_str(line, ms);
}

static void make_text(struct logline *line, const struct logline_head *head,
                      const struct logline_body *body)
{
    if (head->has_time) {
        put_time(line);
        logput_str(line, " ");
    }
    logput_str(line, head->level);
    logput_str(line, " ");
    logput_escaped(line, head->process, strlen(head->process), 0);
    logput_str(line, "[");
    logput_number(line, (unsigned long long)head->pid);
    logput_str(line, "]: ");
    logfield_text(line, body->text, body->fields, body->n);
    line->limit = sizeof(line->at);
    if (line->cut) {
        line->cut = 0;
        logput_str(line, "...");
    }
    logput_str(line, "\n");
}

static void put_member_str(struct logline *line, const char *start, const char *value)
{
    logput_str(line, start);
    logput_string(line, value, strlen(value), HEAD_MAX_BYTES);
}

static void make_json(struct logline *line, const struct logline_head *head,
                      const struct logline_body *body)
{
    int whole;

    logput_str(line, "{");
    if (head->has_time) {
        logput_str(line, "\"time\":\"");
        put_time(line);
        logput_str(line, "\",");
    }
    put_member_str(line, "\"level\":", head->level);
    put_member_str(line, ",\"process\":", head->process);
    logput_str(line, ",\"pid\":");
    logput_number(line, (unsigned long long)head->pid);
    logput_str(line, ",\"message\":\"");
    logfield_message(line, body->text);
    put_member_str(line, "\",\"event\":", body->event);
    if (head->number > 0) {
        logput_str(line, ",\"");
        logput_str(line, head->name);
        logput_str(line, "\":");
        logput_number(line, head->number);
    }
    whole = logfield_members(line, body->fields, body->n);
    line->limit = sizeof(line->at);
    logput_str(line, whole ? "}\n" : ",\"cut\":true}\n");
}

void logline_make(struct logline *line, const struct logline_head *head,
                  const struct logline_body *body)
{
    line->len = 0;
    line->limit = sizeof(line->at) - (head->is_json ? JSON_END_BYTES : TEXT_END_BYTES);
    line->cut = 0;
    logput_str(line, head->mark);
    if (head->is_json)
        make_json(line, head, body);
    else
        make_text(line, head, body);
}
