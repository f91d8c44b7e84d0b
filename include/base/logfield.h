/* logfield - what a line of the log says, and the values in it.
 *
 * The text of a line is a literal with a {} for each of its fields, in their order.  What
 * is between [ and ] is there with LOG_TEXT alone, what is between < and > with LOG_JSON
 * alone; a pair of brackets whose fields are all absent is left out.  As JSON the fields
 * are members, and the message is what remains, so that it is the same for all lines of
 * an event:
 *
 *     log_event(INFO, "worker_ready", "worker[ {}] ready[: pid={}]",
 *               LOG_UINT("worker", number), LOG_INT("worker_pid", pid));
 *
 *     worker 3 ready: pid=71
 *     "message":"worker ready","event":"worker_ready","worker":3,"worker_pid":71
 *
 * Events and names of members stay what they are: machines read them.  All of them are in
 * axr-notifyd-log(7), as scripts/logged proves.  A {} is always between [ and ]. */
#ifndef BASE_LOGFIELD_H
#define BASE_LOGFIELD_H

#include "base/slices.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

struct logline;

enum log_kind {
    LOG_KIND_ABSENT,
    LOG_KIND_SHOWN,
    LOG_KIND_TEXT,
    LOG_KIND_BYTES,
    LOG_KIND_WORD,
    LOG_KIND_WORDS,
    LOG_KIND_NAMES,
    LOG_KIND_UINT,
    LOG_KIND_UINTS,
    LOG_KIND_INT,
    LOG_KIND_MILLIS,
    LOG_KIND_SECONDS,
    LOG_KIND_TENTHS,
    LOG_KIND_TRUE,
    LOG_KIND_ERRNO
};

/* Made by the macros below.  What it points to is borrowed until the line is written. */
struct log_field {
    const char *name; /* of its member */
    enum log_kind kind;
    uint32_t cap; /* of bytes: of the buffer that their text would fit into; 0: of any;
                     of names: what parts them */
    union {
        const char *text;
        const void *bytes;
        const struct slices *list;
        const unsigned *numbers;
        uint64_t number;
        int64_t integer;
    } is;
    size_t len; /* of text, bytes or numbers */
};

/* An event that a table has. */
struct log_entry {
    const char *event, *text;
};

#define LOG_FIELD(name_, kind_, cap_, value_, len_)                                                \
    ((struct log_field){                                                                           \
        .name = "" name_, .kind = LOG_KIND_##kind_, .cap = (cap_), .is.value_, .len = (len_)})

/* Text that is harmless already: ours, or what log_escape() has made of another's. */
#define LOG_STR(name, str)       LOG_FIELD(name, TEXT, 0, text = (str), SIZE_MAX)
#define LOG_STRN(name, str, len) LOG_FIELD(name, TEXT, 0, text = (str), len)
/* Bytes from outside.  In a text they look as by log_escape(), words as by log_word(). */
#define LOG_BYTES(name, at, len, cap) LOG_FIELD(name, BYTES, cap, bytes = (at), len)
#define LOG_WORD(name, at, len, cap)  LOG_FIELD(name, WORD, cap, bytes = (at), len)

#define LOG_UINT(name, value) LOG_FIELD(name, UINT, 0, number = (value), 0)
#define LOG_INT(name, value)  LOG_FIELD(name, INT, 0, integer = (value), 0)
/* Times, which are seconds as JSON, with a fraction always: what is made of the first line has to
 * hold for all.  As text they are milliseconds, seconds with a fraction of
 * three digits or none, and tenths of seconds as seconds with one. */
#define LOG_MILLIS(name, ms)     LOG_FIELD(name, MILLIS, 0, number = (ms), 0)
#define LOG_SECONDS(name, ms)    LOG_FIELD(name, SECONDS, 0, number = (ms), 0)
#define LOG_TENTHS(name, tenths) LOG_FIELD(name, TENTHS, 0, number = (tenths), 0)
/* true; "1" as text. */
#define LOG_TRUE(name) LOG_FIELD(name, TRUE, 0, number = 1, 0)

/* Arrays: of words ("a,b,...(4096)" as text), of numbers ("1,2"), and of what ',' or ' ' parts in
 * a text, which is shown as it is. */
#define LOG_WORDS(name, slices)          LOG_FIELD(name, WORDS, 0, list = (slices), 0)
#define LOG_UINTS(name, at, n)           LOG_FIELD(name, UINTS, 0, numbers = (at), n)
#define LOG_NAMES(name, str, len, parts) LOG_FIELD(name, NAMES, parts, text = (str), len)

/* How often it has happened since the last line: none of lines that nothing keeps rare. */
#define LOG_TIMES(n) LOG_IF((n) > 0, LOG_UINT("times", n))

/* errno as it is now: what it means is "error", its name "errno". */
#define LOG_ERRNO() LOG_FIELD("error", ERRNO, 0, integer = errno, 0)

/* Nothing that JSON has. */
#define LOG_SHOWN(str) LOG_FIELD("", SHOWN, 0, text = (str), SIZE_MAX)

/* A field that is absent unless that holds, and not looked at then. */
#define LOG_IF(holds, ...) ((holds) ? (__VA_ARGS__) : (struct log_field){.kind = LOG_KIND_ABSENT})

/* Puts text with the fields into the line, as text. */
void logfield_text(struct logline *line, const char *text, const struct log_field *fields,
                   size_t n);

/* The message that JSON has of text: no fields. */
void logfield_message(struct logline *line, const char *text);

/* Puts ,"name":value for each field that has room.  Returns 1, or 0 if something was left
 * out or cut short. */
int logfield_members(struct logline *line, const struct log_field *fields, size_t n);

#endif
