#include "base/log.h"
#include "base/clock.h"
#include "base/logfile.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES   4096 /* PIPE_BUF: a pipe takes such a line whole or not at all */
#define ERRNO_MAX_BYTES  128  /* kept free for ": strerror" */
#define ENDING_MAX_BYTES 6    /* ..."}\n */

struct line {
    char at[LINE_MAX_BYTES];
    size_t len;
    int cut; /* something did not fit */
};

static struct {
    char process[32];
    enum log_level level;
    enum log_target target;
    enum log_format format;
    int fd;        /* one of our own, or that of stderr */
    int is_socket; /* that of stderr */
    int is_marked; /* the journal reads it: with priorities, and without the time */
    char *file;
    int made;            /* the file was not there before */
    pid_t counted_by;    /* whose losses the next two are */
    uint64_t lost;       /* since the start */
    uint64_t unreported; /* since a line last said so */
    int torn;            /* the last write left a line without its end */
} state = {.process = "axr-notifyd", .level = LOG_LEVEL_INFO, .fd = STDERR_FILENO};

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const marks[] = {"<3>", "<4>", "<6>", "<7>"};
static const int level_priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

void log_name(const char *process)
{
    snprintf(state.process, sizeof(state.process), "%s", process);
    if (state.counted_by != 0 && state.counted_by != getpid())
        state.lost = state.unreported = 0;
    state.counted_by = getpid();
}

void log_set_level(enum log_level level)
{
    state.level = level;
}

enum log_level log_get_level(void)
{
    return state.level;
}

int log_level_parse(const char *name, enum log_level *level)
{
    for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return 0;
        }
    }
    return -1;
}

uint64_t log_lost(void)
{
    return state.lost;
}

/* --- where lines go --------------------------------------------------------- */

/* systemd names the stream that it has made for the journal; stderr may lead elsewhere. */
static int is_journal(const struct stat *st)
{
    const char *named = getenv("JOURNAL_STREAM");
    char ours[64];

    (void)snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
    return named != NULL && strcmp(named, ours) == 0;
}

/* A pipe or a terminal is opened anew: O_NONBLOCK on the description of stderr would
 * be there for all that share it.  Where that cannot be (somebody else's pipe), and
 * for what never blocks, it is stderr itself. */
static int stderr_open(int *is_socket, int *is_marked)
{
    struct stat st;
    int fd = -1;

    if (fstat(STDERR_FILENO, &st) == 0) {
        *is_socket = S_ISSOCK(st.st_mode);
        *is_marked = is_journal(&st);
        if (S_ISFIFO(st.st_mode) || isatty(STDERR_FILENO))
            fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    }
    return fd < 0 ? STDERR_FILENO : fd;
}

const char *log_mark(enum log_level level)
{
    struct stat st;

    return fstat(STDERR_FILENO, &st) == 0 && is_journal(&st) ? marks[level] : "";
}

static void target_close(void)
{
    if (state.fd != STDERR_FILENO)
        close(state.fd);
    if (state.target == LOG_TO_SYSLOG)
        closelog();
    free(state.file);
    state.file = NULL;
    state.fd = STDERR_FILENO;
    state.is_socket = state.is_marked = 0;
    state.torn = 0;
}

int log_open(enum log_target target, const char *file, enum log_format format)
{
    char *copy = NULL;
    int fd = STDERR_FILENO, made = 0, is_socket = 0, is_marked = 0;

    if (target == LOG_TO_FILE) {
        copy = strdup(file);
        if (copy == NULL)
            return -1;
        fd = logfile_open(copy, &made);
        if (fd < 0) {
            int error = errno;

            free(copy);
            errno = error;
            return -1;
        }
    }
    if (target == LOG_TO_STDERR)
        fd = stderr_open(&is_socket, &is_marked);
    target_close();
    if (target == LOG_TO_SYSLOG)
        openlog("axr-notifyd", LOG_NDELAY, LOG_DAEMON);
    state.target = target;
    state.format = format;
    state.file = copy;
    state.fd = fd;
    state.is_socket = is_socket;
    state.is_marked = is_marked;
    state.made = made;
    return 0;
}

int log_give(uid_t uid, gid_t gid)
{
    return state.made ? fchown(state.fd, uid, gid) : 0;
}

int log_fd(void)
{
    return state.fd != STDERR_FILENO ? state.fd : -1;
}

int log_is(enum log_target target, const char *file, enum log_format format)
{
    return state.target == target && state.format == format &&
           (target != LOG_TO_FILE || strcmp(state.file, file) == 0);
}

int log_reopen(void)
{
    int fd, made;

    if (state.target != LOG_TO_FILE)
        return 0;
    fd = logfile_open(state.file, &made);
    if (fd < 0)
        return -1;
    close(state.fd);
    state.fd = fd;
    state.made = made;
    state.torn = 0;
    return 0;
}

/* --- one line --------------------------------------------------------------- */

/* What is put is whole or not there at all; once something did not fit, nothing
 * more is taken, so that the end of a line is never from behind a gap. */
static void line_put(struct line *line, const char *str, size_t len)
{
    if (len > sizeof(line->at) - ENDING_MAX_BYTES - line->len)
        line->cut = 1;
    if (line->cut)
        return;
    memcpy(line->at + line->len, str, len);
    line->len += len;
}

static void line_puts(struct line *line, const char *str)
{
    line_put(line, str, strlen(str));
}

static void hex_byte(unsigned char byte, char dst[2])
{
    static const char digits[] = "0123456789abcdef";

    dst[0] = digits[byte >> 4];
    dst[1] = digits[byte & 15];
}

/* The character (of n bytes, not UTF-8 if n is 0) at text as text or JSON shows it. */
static void line_put_char(struct line *line, const char *text, size_t n, uint32_t point, int json)
{
    char shown[16];

    if (n > 0 && point >= 0x20 && (point < 0x7f || point > 0x9f)) {
        if (json && (point == '"' || point == '\\'))
            line_put(line, (char[]){'\\', text[0]}, 2);
        else
            line_put(line, text, n);
    } else if (n > 0 && json) {
        snprintf(shown, sizeof(shown), "\\u%04x", point & 0xffff);
        line_puts(line, shown);
    } else {
        size_t i = 0, slashes = json ? 2 : 1;

        memset(shown, '\\', slashes);
        shown[slashes] = 'x';
        do {
            hex_byte((unsigned char)text[i], shown + slashes + 1);
            line_put(line, shown, slashes + 3);
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

static void line_put_escaped(struct line *line, const char *text, int json)
{
    size_t len = strlen(text);

    while (len > 0 && !line->cut) {
        size_t room = sizeof(line->at) - ENDING_MAX_BYTES - line->len;
        uint32_t point = 0;
        size_t n = plain_len(text, len < room ? len : room, json);

        if (n > 0) {
            line_put(line, text, n);
            text += n;
            len -= n;
            continue;
        }
        n = utf8_next(text, len, &point);
        line_put_char(line, text, n, point, json);
        text += n ? n : 1;
        len -= n ? n : 1;
    }
}

static void time_format(char *dst, size_t cap)
{
    struct timespec now;
    struct tm tm;
    size_t n;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    n = strftime(dst, cap, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(dst + n, cap - n, ".%03ldZ", now.tv_nsec / 1000000);
}

static void line_make(struct line *line, enum log_level level, const char *text)
{
    int json = state.format == LOG_JSON;
    char when[48], pid[16];

    line->len = 0;
    line->cut = 0;
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    line_puts(line, state.is_marked ? marks[level] : "");
    if (json)
        line_puts(line, "{");
    if (state.target != LOG_TO_SYSLOG && !state.is_marked) {
        time_format(when, sizeof(when));
        line_puts(line, json ? "\"time\":\"" : "");
        line_puts(line, when);
        line_puts(line, json ? "\"," : " ");
    }
    line_puts(line, json ? "\"level\":\"" : "");
    line_puts(line, level_names[level]);
    line_puts(line, json ? "\",\"process\":\"" : " ");
    line_put_escaped(line, state.process, json);
    line_puts(line, json ? "\",\"pid\":" : "[");
    line_puts(line, pid);
    line_puts(line, json ? ",\"message\":\"" : "]: ");
    line_put_escaped(line, text, json);
    /* line_put() has kept room for these. */
    line->len += (size_t)snprintf(line->at + line->len, sizeof(line->at) - line->len, "%s%s",
                                  line->cut ? "..." : "", json ? "\"}" : "");
    line->at[line->len++] = '\n';
}

/* A reader that sleeps must not stop the process.  A description of our own does not
 * block, nor does this way of sending.  What is left is asked for room: a file has it,
 * and a pipe that has it takes a line, unless another process is quicker. */
static ssize_t put_now(const char *bytes, size_t len)
{
    struct pollfd room = {.fd = state.fd, .events = POLLOUT};
    ssize_t n;

    if (state.fd == STDERR_FILENO && !state.is_socket && poll(&room, 1, 0) != 1)
        return -1;
    do {
        n = state.is_socket ? send(state.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL)
                            : write(state.fd, bytes, len);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Returns 0, or -1 if the line is lost. */
static int line_write(struct line *line)
{
    ssize_t n;

    /* A disk that filled up in the middle of a line: do not join two. */
    if (state.torn) {
        if (put_now("\n", 1) != 1)
            return -1;
        state.torn = 0;
    }
    n = put_now(line->at, line->len);
    if (n == (ssize_t)line->len)
        return 0;
    state.torn = n > 0;
    return -1;
}

static void line_out(struct line *line, enum log_level level, const char *text)
{
    if (state.target == LOG_TO_SYSLOG) {
        line_make(line, level, text);
        syslog(level_priorities[level], "%.*s", (int)line->len - 1, line->at);
        return;
    }
    if (state.unreported > 0) {
        char notice[64];

        snprintf(notice, sizeof(notice), "log lines lost: count=%llu",
                 (unsigned long long)state.unreported);
        line_make(line, LOG_LEVEL_WARN, notice);
        if (line_write(line) < 0)
            goto lost;
        state.unreported = 0;
    }
    line_make(line, level, text);
    if (line_write(line) == 0)
        return;
lost:
    state.lost++;
    state.unreported++;
}

/* error: an errno to explain, or 0. */
static LOG_PRINTF(3, 0) void line_log(enum log_level level, int error, const char *fmt,
                                      va_list args)
{
    struct line line;
    char text[LINE_MAX_BYTES];
    int saved = errno;
    size_t cap = sizeof(text) - (error ? ERRNO_MAX_BYTES : 0);
    int n;

    if (level > state.level)
        return;
    n = vsnprintf(text, cap, fmt, args);
    if (n < 0)
        text[n = 0] = '\0';
    if ((size_t)n >= cap) {
        n = (int)cap - 1;
        memcpy(text + n - 3, "...", 3);
    }
    if (error)
        snprintf(text + n, sizeof(text) - (size_t)n, ": %s", strerror(error));
    line_out(&line, level, text);
    errno = saved;
}

#define LOG_CALL(level, error)                                                                     \
    do {                                                                                           \
        va_list args;                                                                              \
                                                                                                   \
        va_start(args, fmt);                                                                       \
        line_log(level, error, fmt, args);                                                         \
        va_end(args);                                                                              \
    } while (0)

void log_debug(const char *fmt, ...)
{
    LOG_CALL(LOG_LEVEL_DEBUG, 0);
}

void log_info(const char *fmt, ...)
{
    LOG_CALL(LOG_LEVEL_INFO, 0);
}

void log_warn(const char *fmt, ...)
{
    LOG_CALL(LOG_LEVEL_WARN, errno);
}

void log_warnx(const char *fmt, ...)
{
    LOG_CALL(LOG_LEVEL_WARN, 0);
}

void log_error(const char *fmt, ...)
{
    LOG_CALL(LOG_LEVEL_ERROR, errno);
}

void log_errorx(const char *fmt, ...)
{
    LOG_CALL(LOG_LEVEL_ERROR, 0);
}

void fatal(const char *fmt, ...)
{
    LOG_CALL(LOG_LEVEL_ERROR, errno);
    exit(1);
}

void fatalx(const char *fmt, ...)
{
    LOG_CALL(LOG_LEVEL_ERROR, 0);
    exit(1);
}

/* --- for callers ------------------------------------------------------------ */

/* Bytes below from, from 0x7f, the backslash and also are shown as \xNN. */
static const char *escape(char *dst, size_t cap, const void *bytes, size_t len, unsigned char from,
                          unsigned char also)
{
    const unsigned char *at = bytes;
    size_t used = 0, fits = 0; /* fits: how much stays in front of "..." */

    if (cap == 0)
        return "";
    for (size_t i = 0; i < len; i++) {
        int plain = at[i] >= from && at[i] < 0x7f && at[i] != '\\' && at[i] != also;
        size_t n = plain ? 1 : 4;

        if (used + n > cap - 1) {
            used = fits;
            for (int dots = 0; dots < 3 && used < cap - 1; dots++)
                dst[used++] = '.';
            break;
        }
        if (plain) {
            dst[used] = (char)at[i];
        } else {
            memcpy(dst + used, "\\x", 2);
            hex_byte(at[i], dst + used + 2);
        }
        used += n;
        if (used + 3 <= cap - 1)
            fits = used;
    }
    dst[used] = '\0';
    return dst;
}

const char *log_escape(char *dst, size_t cap, const void *bytes, size_t len)
{
    return escape(dst, cap, bytes, len, ' ', '\\');
}

const char *log_word(char *dst, size_t cap, const void *bytes, size_t len)
{
    return escape(dst, cap, bytes, len, '!', '"');
}

uint64_t log_due(struct log_every *every, uint64_t interval_ms)
{
    uint64_t now = clock_ms(), count = ++every->count;

    if (now < every->next_ms)
        return 0;
    every->next_ms = now + interval_ms;
    every->count = 0;
    return count;
}
