#include "base/log.h"
#include "base/clock.h"
#include "base/logfile.h"
#include "base/logline.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/major.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* How a line is written so that a reader that sleeps does not stop the process. */
enum way {
    WAY_POLL,   /* ask for room first: see put_polled() */
    WAY_NOWAIT, /* a write that does not wait, where the kernel has it for this kind of file */
    WAY_SEND,   /* a socket: a send that does not wait */
    WAY_WRITE   /* a description of our own with O_NONBLOCK, or what never waits for a reader */
};

static struct {
    char name[32], process[32]; /* "worker"; "worker 3" */
    unsigned number;            /* 0: there is only one */
    enum log_level level;
    enum log_target target;
    enum log_format format;
    int fd; /* one of our own, or that of the stream */
    enum way way;
    int is_marked; /* the journal reads it: with priorities, and without the time */
    char *file;
    int made;            /* the file was not there before */
    pid_t pid;           /* 0: to be asked for */
    int sees_forks;      /* they make pid 0 */
    pid_t counted_by;    /* whose losses the next two are */
    uint64_t lost;       /* since the start */
    uint64_t unreported; /* since a line last said so */
    int torn;            /* the last write left a line without its end */
} state = {
    .name = "axr-notifyd", .process = "axr-notifyd", .level = LOG_LEVEL_INFO, .fd = STDERR_FILENO};

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const marks[] = {"<3>", "<4>", "<6>", "<7>"};
static const int level_priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

static void forget_pid(void)
{
    state.pid = 0;
}

/* Asks the kernel once in each process. */
static pid_t own_pid(void)
{
    if (!state.sees_forks)
        state.sees_forks = pthread_atfork(NULL, NULL, forget_pid) == 0;
    if (state.pid == 0 || !state.sees_forks)
        state.pid = getpid();
    return state.pid;
}

void log_name(const char *name, unsigned number)
{
    pid_t pid = own_pid();

    snprintf(state.name, sizeof(state.name), "%s", name);
    if (number > 0)
        snprintf(state.process, sizeof(state.process), "%.20s %u", name, number);
    else
        snprintf(state.process, sizeof(state.process), "%s", name);
    state.number = number;
    if (state.counted_by != 0 && state.counted_by != pid)
        state.lost = state.unreported = 0;
    state.counted_by = pid;
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

/* systemd names the stream that it has made for the journal; ours may lead elsewhere. */
static int is_journal(const struct stat *st)
{
    const char *named = getenv("JOURNAL_STREAM");
    char ours[64];

    (void)snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
    return named != NULL && strcmp(named, ours) == 0;
}

/* Regular files, disks, /dev/null and its like: a poll() always finds room there. */
static int never_waits(const struct stat *st)
{
    return S_ISREG(st->st_mode) || S_ISBLK(st->st_mode) ||
           (S_ISCHR(st->st_mode) && major(st->st_rdev) == MEM_MAJOR);
}

/* Of stderr or stdout.  A pipe or a terminal is opened anew: O_NONBLOCK on the description
 * of the stream would be there for all that share it.  Where that cannot be (somebody else's
 * pipe), and for all else, it is the stream itself. */
static int stream_open(int stream, enum way *way, int *is_marked)
{
    char name[32];
    struct stat st;
    int fd = -1;

    *way = WAY_NOWAIT;
    if (fstat(stream, &st) < 0)
        return stream;
    *is_marked = is_journal(&st);
    if (S_ISSOCK(st.st_mode)) {
        *way = WAY_SEND;
    } else if (never_waits(&st)) {
        *way = WAY_WRITE;
    } else if (S_ISFIFO(st.st_mode) || isatty(stream)) {
        (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", stream);
        fd = open(name, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd >= 0)
            *way = WAY_WRITE;
    }
    return fd < 0 ? stream : fd;
}

const char *log_mark(enum log_level level)
{
    struct stat st;

    return fstat(STDERR_FILENO, &st) == 0 && is_journal(&st) ? marks[level] : "";
}

static void target_close(void)
{
    if (state.fd > STDERR_FILENO)
        close(state.fd);
    if (state.target == LOG_TO_SYSLOG)
        closelog();
    free(state.file);
    state.file = NULL;
    state.fd = STDERR_FILENO;
    state.way = WAY_POLL;
    state.is_marked = 0;
    state.torn = 0;
}

int log_open(enum log_target target, const char *file, enum log_format format)
{
    char *copy = NULL;
    enum way way = WAY_WRITE; /* logfile_open() sets O_NONBLOCK */
    int fd = STDERR_FILENO, made = 0, is_marked = 0;

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
    if (target == LOG_TO_STDERR || target == LOG_TO_STDOUT)
        fd = stream_open(target == LOG_TO_STDOUT ? STDOUT_FILENO : STDERR_FILENO, &way, &is_marked);
    target_close();
    if (target == LOG_TO_SYSLOG)
        openlog("axr-notifyd", LOG_NDELAY, LOG_DAEMON);
    state.target = target;
    state.format = format;
    state.file = copy;
    state.fd = fd;
    state.way = way;
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
    return state.fd > STDERR_FILENO ? state.fd : -1;
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

/* Two calls, and a line that another process makes too long for the room that there
 * was waits: for kernels and kinds of files that have no better way. */
static ssize_t put_polled(const char *bytes, size_t len)
{
    struct pollfd room = {.fd = state.fd, .events = POLLOUT};
    int ready = poll(&room, 1, 0);

    if (ready == 1)
        return write(state.fd, bytes, len);
    if (ready == 0)
        errno = EAGAIN;
    return -1;
}

/* Pipes have it since Linux 6.5, terminals have not. */
static ssize_t put_nowait(char *bytes, size_t len)
{
    struct iovec iov = {.iov_base = bytes, .iov_len = len};
    ssize_t n = pwritev2(state.fd, &iov, 1, -1, RWF_NOWAIT);

    if (n >= 0 || (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS))
        return n;
    state.way = WAY_POLL;
    return put_polled(bytes, len);
}

static ssize_t put_now(char *bytes, size_t len)
{
    switch (state.way) {
    case WAY_WRITE:
        return write(state.fd, bytes, len);
    case WAY_SEND:
        return send(state.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    case WAY_NOWAIT:
        return put_nowait(bytes, len);
    case WAY_POLL:
        break;
    }
    return put_polled(bytes, len);
}

/* Takes all len bytes, some, or none: -1. */
static ssize_t put(char *bytes, size_t len)
{
    ssize_t n;

    do
        n = put_now(bytes, len);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Returns 0, or -1 if the line is lost. */
static int line_write(struct logline *line)
{
    ssize_t n;

    /* A disk that filled up in the middle of a line: do not join two. */
    if (state.torn) {
        if (put((char[]){'\n'}, 1) != 1)
            return -1;
        state.torn = 0;
    }
    n = put(line->at, line->len);
    if (n == (ssize_t)line->len)
        return 0;
    state.torn = n > 0;
    return -1;
}

static void line_make(struct logline *line, enum log_level level, const struct logline_body *body)
{
    const struct logline_head head = {
        .mark = state.is_marked ? marks[level] : "",
        .level = level_names[level],
        .name = state.name,
        .process = state.process,
        .number = state.number,
        .pid = own_pid(),
        .has_time = state.target != LOG_TO_SYSLOG && !state.is_marked,
        .is_json = state.format == LOG_JSON,
    };

    logline_make(line, &head, body);
}

static int tell_lost(struct logline *line)
{
    const struct log_field count = LOG_UINT("count", state.unreported);
    const struct logline_body body = {"log_lines_lost", "log lines lost[: count={}]", &count, 1};

    line_make(line, LOG_LEVEL_WARN, &body);
    if (line_write(line) < 0)
        return -1;
    state.unreported = 0;
    return 0;
}

static void line_out(struct logline *line, enum log_level level, const struct logline_body *body)
{
    if (state.target == LOG_TO_SYSLOG) {
        line_make(line, level, body);
        syslog(level_priorities[level], "%.*s", (int)line->len - 1, line->at);
        return;
    }
    if (state.unreported == 0 || tell_lost(line) == 0) {
        line_make(line, level, body);
        if (line_write(line) == 0)
            return;
    }
    state.lost++;
    state.unreported++;
}

int log_wants(enum log_level level)
{
    return level <= state.level;
}

void log_write(enum log_level level, struct log_entry entry, const struct log_field *fields,
               size_t n)
{
    const struct logline_body body = {entry.event, entry.text, fields, n};
    struct logline line;
    int saved = errno;

    line_out(&line, level, &body);
    errno = saved;
}

void log_lines(enum log_level level, struct log_entry entry, const char *text, size_t len)
{
    while (len > 0) {
        const char *newline = memchr(text, '\n', len);
        size_t n = newline != NULL ? (size_t)(newline - text) : len;

        log_entry_at(level, entry, LOG_STRN("detail", text, n));
        n += newline != NULL;
        text += n;
        len -= n;
    }
}

/* --- for callers ------------------------------------------------------------ */

uint64_t log_due(struct log_every *every, uint64_t interval_ms)
{
    uint64_t now = clock_ms(), count = ++every->count;

    if (now < every->next_ms)
        return 0;
    every->next_ms = now + interval_ms;
    every->count = 0;
    return count;
}
