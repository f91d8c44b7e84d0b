#include "base/logfield.h"
#include "base/logescape.h"
#include "base/logput.h"

#include <string.h>

#define STRING_MAX    2048 /* bytes of a string as JSON: others shall have room, too */
#define LIST_TEXT_MAX 512  /* bytes of a list of words as text */
#define LIST_WORD_MAX 64   /* bytes of one of them, with the NUL */
#define LIST_JSON_MAX 1024
#define NUMBERS_MAX   512 /* bytes of a list of numbers */

static size_t text_len(const struct log_field *field)
{
    return field->len == SIZE_MAX ? strlen(field->is.text) : field->len;
}

static int is_null(const struct log_field *field)
{
    return field->is.text == NULL && field->len == SIZE_MAX;
}

static void put_text(struct logline *line, const char *text)
{
    logput_escaped(line, text, strlen(text), 0);
}

/* --- as text ---------------------------------------------------------------- */

static void show_bytes(struct logline *line, const struct log_field *field)
{
    char shown[LOGLINE_MAX_BYTES];
    size_t cap = field->cap > 0 && field->cap < sizeof(shown) ? field->cap : sizeof(shown);

    if (field->kind == LOG_KIND_WORD)
        log_word(shown, cap, field->is.bytes, field->len);
    else
        log_escape(shown, cap, field->is.bytes, field->len);
    logput_escaped(line, shown, strlen(shown), 0);
}

/* "ann,bob"; "ann,bob,...(4096)" where there is no room for all. */
static void show_words(struct logline *line, const struct slices *list)
{
    size_t used = 0;

    for (size_t i = 0; i < list->n; i++) {
        char word[LIST_WORD_MAX];
        size_t len;

        log_word(word, sizeof(word), list->at[i].ptr, list->at[i].len);
        len = strlen(word);
        if (used + len + 32 > LIST_TEXT_MAX) {
            logput_str(line, ",...(");
            logput_number(line, list->n);
            logput_str(line, ")");
            break;
        }
        used += len + (i > 0);
        logput(line, ",", i > 0);
        logput(line, word, len);
    }
}

static void put_uints(struct logline *line, const struct log_field *field)
{
    for (size_t i = 0; i < field->len; i++) {
        logput(line, ",", i > 0);
        logput_number(line, field->is.numbers[i]);
    }
}

static void put_int(struct logline *line, int64_t value)
{
    logput(line, "-", value < 0);
    logput_number(line, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* A number of 1/unit, the unit being a power of ten; without the zeros at its end, but for
 * those of digits that are asked for. */
static void put_decimal(struct logline *line, uint64_t number, unsigned unit, unsigned digits)
{
    uint64_t rest = number % unit;

    logput_number(line, number / unit);
    for (logput(line, ".", rest > 0 || digits > 0); rest > 0 || digits > 0; rest %= unit) {
        unit /= 10;
        logput_number(line, rest / unit);
        digits -= digits > 0;
    }
}

static void show(struct logline *line, const struct log_field *field)
{
    switch (field->kind) {
    case LOG_KIND_ABSENT:
        break;
    case LOG_KIND_SHOWN:
    case LOG_KIND_TEXT:
    case LOG_KIND_NAMES:
        if (is_null(field))
            put_text(line, "(null)");
        else
            logput_escaped(line, field->is.text, text_len(field), 0);
        break;
    case LOG_KIND_BYTES:
    case LOG_KIND_WORD:
        show_bytes(line, field);
        break;
    case LOG_KIND_WORDS:
        show_words(line, field->is.list);
        break;
    case LOG_KIND_UINT:
    case LOG_KIND_MILLIS:
    case LOG_KIND_TRUE:
        logput_number(line, field->is.number);
        break;
    case LOG_KIND_UINTS:
        put_uints(line, field);
        break;
    case LOG_KIND_INT:
        put_int(line, field->is.integer);
        break;
    case LOG_KIND_TENTHS:
        put_decimal(line, field->is.number, 10, 1);
        break;
    case LOG_KIND_SECONDS:
        put_decimal(line, field->is.number, 1000, field->is.number % 1000 > 0 ? 3 : 0);
        break;
    case LOG_KIND_ERRNO:
        put_text(line, strerror((int)field->is.integer));
        break;
    }
}

/* Behind a "[": whether a field up to its "]" is there, or none is meant to be. */
static int is_wanted(const char *text, const struct log_field *field, const struct log_field *end)
{
    const struct log_field *first = field;

    for (; *text != ']' && *text != '\0'; text++) {
        if (*text == '{' && field < end && field++->kind != LOG_KIND_ABSENT)
            return 1;
    }
    return field == first;
}

void logfield_text(struct logline *line, const char *text, const struct log_field *fields, size_t n)
{
    const struct log_field *end = fields + n;
    int hidden = 0;

    for (;;) {
        size_t len = strcspn(text, "[]{<>");

        logput_escaped(line, text, hidden ? 0 : len, 0);
        text += len;
        switch (*text++) {
        case '[':
            hidden = !is_wanted(text, fields, end);
            break;
        case '<':
            hidden = 1;
            break;
        case ']':
        case '>':
            hidden = 0;
            break;
        case '{': /* and what is next is } */
            if (fields < end)
                show(line, fields++);
            text += *text != '\0';
            break;
        default:
            return;
        }
    }
}

/* --- as JSON ---------------------------------------------------------------- */

void logfield_message(struct logline *line, const char *text)
{
    int hidden = 0;

    for (;;) {
        size_t len = strcspn(text, "[]<>");

        logput_escaped(line, text, hidden ? 0 : len, 1);
        if (text[len] == '\0')
            return;
        hidden = text[len] == '[';
        text += len + 1;
    }
}

static int put_bytes(struct logline *line, const struct log_field *field)
{
    size_t max = field->cap > 0 && field->cap < STRING_MAX ? field->cap : STRING_MAX;

    return logput_string(line, field->is.bytes, field->len, max);
}

static int put_words(struct logline *line, const struct slices *list)
{
    size_t limit = line->len + LIST_JSON_MAX, i;

    logput_str(line, "[");
    for (i = 0; i < list->n && line->len < limit; i++) {
        logput(line, ",", i > 0);
        if (!logput_string(line, list->at[i].ptr, list->at[i].len, LIST_WORD_MAX))
            limit = 0; /* what is cut is the last */
    }
    logput_str(line, "]");
    return i == list->n && limit > 0;
}

static int put_names(struct logline *line, const struct log_field *field)
{
    const char *text = field->is.text, *end = text + text_len(field);
    size_t limit = line->len + LIST_JSON_MAX;

    logput_str(line, "[");
    while (text < end && line->len < limit) {
        const char *stop = memchr(text, (int)field->cap, (size_t)(end - text));
        size_t len = (size_t)((stop != NULL ? stop : end) - text);

        logput_string(line, text, len, STRING_MAX);
        for (text += len; text < end && (*text == ' ' || *text == ',');)
            text++;
        logput(line, ",", text < end && line->len < limit);
    }
    logput_str(line, "]");
    return text >= end;
}

static int put_error(struct logline *line, int error)
{
    const char *text = strerror(error), *name = strerrorname_np(error);
    int whole = logput_string(line, text, strlen(text), STRING_MAX);

    if (name != NULL) {
        logput_str(line, ",\"errno\":");
        logput_string(line, name, strlen(name), STRING_MAX);
    }
    return whole;
}

/* Returns 0 if it is cut short. */
static int put_value(struct logline *line, const struct log_field *field)
{
    switch (field->kind) {
    case LOG_KIND_ABSENT:
    case LOG_KIND_SHOWN:
        break;
    case LOG_KIND_TEXT:
        return logput_string(line, field->is.text, text_len(field), STRING_MAX);
    case LOG_KIND_BYTES:
    case LOG_KIND_WORD:
        return put_bytes(line, field);
    case LOG_KIND_WORDS:
        return put_words(line, field->is.list);
    case LOG_KIND_NAMES:
        return put_names(line, field);
    case LOG_KIND_ERRNO:
        return put_error(line, (int)field->is.integer);
    case LOG_KIND_UINT:
        logput_number(line, field->is.number);
        break;
    case LOG_KIND_UINTS:
        logput_str(line, "[");
        put_uints(line, field);
        logput_str(line, "]");
        break;
    case LOG_KIND_INT:
        put_int(line, field->is.integer);
        break;
    case LOG_KIND_MILLIS:
    case LOG_KIND_SECONDS:
        put_decimal(line, field->is.number, 1000, 1);
        break;
    case LOG_KIND_TENTHS:
        put_decimal(line, field->is.number, 10, 1);
        break;
    case LOG_KIND_TRUE:
        logput_str(line, "true");
        break;
    }
    return 1;
}

int logfield_members(struct logline *line, const struct log_field *fields, size_t n)
{
    int whole = 1;

    for (const struct log_field *field = fields; field < fields + n; field++) {
        size_t before = line->len;

        if (field->kind == LOG_KIND_ABSENT || field->kind == LOG_KIND_SHOWN ||
            (field->kind == LOG_KIND_TEXT && is_null(field)))
            continue;
        logput_str(line, ",\"");
        logput_str(line, field->name);
        logput_str(line, "\":");
        whole &= put_value(line, field);
        if (line->cut) {
            line->len = before;
            line->cut = whole = 0;
        }
    }
    return whole;
}
