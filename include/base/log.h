/* log - one line per event, to stderr, stdout, syslog or a file.
 *
 * A line is "TIME LEVEL PROCESS[PID]: text" or, with LOG_JSON, one JSON object with time,
 * level, process, pid, message, event and the values in the line.  Syslog gets it without
 * the time, and so does systemd's journal where the stream leads there; that also gets the
 * level as a "<4>" in front, which it takes off.
 * A line is at most 4096 bytes (a longer one is cut: a text ends in "...", JSON is whole)
 * and is always one line: control bytes and what is not UTF-8 are shown with escapes.
 * It costs one system call.  Nothing is allocated, and nothing waits for who reads the log:
 * a line that a full pipe, socket or disk does not take is lost, counted, and the next
 * line that can be written comes after one that says how many were.  (syslog(3) may wait
 * for the system's logger; a terminal that is somebody else's, and a pipe that is on
 * kernels before 6.5, are asked for room first.)
 * Bytes that came from outside are LOG_WORD() or LOG_BYTES(); payloads and tokens are
 * never logged. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/logescape.h"
#include "base/logfield.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_target { LOG_TO_STDERR, LOG_TO_STDOUT, LOG_TO_SYSLOG, LOG_TO_FILE };
enum log_format { LOG_TEXT, LOG_JSON };

/* Names this process in every line: "master", or with a number "worker 3", which as JSON
 * is a member besides, "worker":3.  Copied, at most 31 bytes, with a number 20.  After a
 * fork it also starts the count of lost lines anew. */
void log_name(const char *name, unsigned number);

/* Opens the target; file (copied) is for LOG_TO_FILE only, opened O_APPEND, 0640.
 * A symbolic link in its place is followed if it is root's or ours, else ELOOP.
 * What stderr or stdout is is looked at here: open it again if it becomes something else.
 * Returns 0, or -1 with errno set, and then the old target stays. */
int log_open(enum log_target target, const char *file, enum log_format format);

/* 1 if the log is there already, in that format. */
int log_is(enum log_target target, const char *file, enum log_format format);

/* A file that log_open() has made is given to that user, who is then able to open it
 * again.  One that was there is not: whoever may write to its directory could have
 * made its name point anywhere.  Returns 0, or -1 with errno. */
int log_give(uid_t uid, gid_t gid);

/* The log's own descriptor (a file, or a pipe or terminal that the stream is, opened anew),
 * which children keep; -1 if it has none. */
int log_fd(void);

/* Opens the file again under its name (after a rotation).  On failure the old
 * descriptor stays and -1 is returned.  Other targets: 0. */
int log_reopen(void);

/* What a line of this level begins with on stderr as it is: "<4>" if systemd's journal
 * reads that, else "". */
const char *log_mark(enum log_level level);

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* "error", "warn", "info", "debug" -> *level.  Returns 0, or -1 if unknown. */
int log_level_parse(const char *name, enum log_level *level);

/* Lines that could not be written (disk full, pipe gone) since the start. */
uint64_t log_lost(void);

/* Writes one line of an event, see logfield.h: log_event(INFO, "event", "text", fields...).
 * Neither the fields nor the level's cost is there if nobody wants that level.  Keeps errno. */
#define log_event(level, event, text, ...)                                                         \
    log_event_at(LOG_LEVEL_##level, event, text, ##__VA_ARGS__)

/* The same with a level that is computed, and with a struct log_entry that a table has. */
#define log_event_at(level, event, text, ...)                                                      \
    log_entry_at(level, ((struct log_entry){"" event, "" text}), ##__VA_ARGS__)
#define log_entry_at(level, entry, ...)                                                            \
    do {                                                                                           \
        const enum log_level log_at_ = (level);                                                    \
                                                                                                   \
        if (log_wants(log_at_))                                                                    \
            log_write(log_at_, entry, (const struct log_field[]){{.name = ""}, ##__VA_ARGS__} + 1, \
                      sizeof((const struct log_field[]){{.name = ""}, ##__VA_ARGS__}) /            \
                              sizeof(struct log_field) -                                           \
                          1);                                                                      \
    } while (0)

/* log_event() at error level, then exit(1). */
#define log_fatal(...)                                                                             \
    do {                                                                                           \
        log_event(ERROR, __VA_ARGS__);                                                             \
        exit(1);                                                                                   \
    } while (0)

/* What these are made of. */
int log_wants(enum log_level level);
void log_write(enum log_level level, struct log_entry entry, const struct log_field *fields,
               size_t n);

/* Logs each line of text, which has what is escaped already, as the one field of entry: its
 * member is "detail". */
void log_lines(enum log_level level, struct log_entry entry, const char *text, size_t len);

/* One line per interval for a cause that may come in floods.  Zero is a valid
 * start.  Returns 0 while muted (and counts); otherwise returns how many times
 * it was called since the last line, this one included. */
struct log_every {
    uint64_t next_ms; /* clock_ms() from which a line may be written */
    uint64_t count;   /* calls since the last line */
};
uint64_t log_due(struct log_every *every, uint64_t interval_ms);

/* Of a line that is written at debug when it is muted: times is what log_due() said. */
static inline enum log_level log_due_level(enum log_level level, uint64_t times)
{
    return times > 0 ? level : LOG_LEVEL_DEBUG;
}

#endif
