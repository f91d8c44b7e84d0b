/* How many system calls a line of the log costs, for each kind of thing that it may be
 * written to, and that none of these holds the process up when nobody reads it. */
#include "base/log.h"
#include "log_say.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

#define LINES 10

static char path[] = "/tmp/test_log_ways.XXXXXX";

/* What log.c asks of the system since count_from_here(). */
static struct {
    int written, polled, pids, clocks;
} calls;
static int no_reopen; /* stderr is somebody else's: it cannot be opened anew */
static int no_nowait; /* the kernel does not know how to write without waiting */
static int signals;   /* so many more writes are interrupted */

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __real_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __real_pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
pid_t __real_getpid(void);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __real_open(const char *name, int flags, ...);

ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
pid_t __wrap_getpid(void);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_open(const char *name, int flags, ...);

ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    calls.written++;
    if (signals > 0) {
        signals--;
        errno = EINTR;
        return -1;
    }
    return __real_write(fd, bytes, len);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags)
{
    calls.written++;
    return __real_send(fd, bytes, len, flags);
}

ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
    calls.written++;
    if (no_nowait) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_pwritev2(fd, iov, n, offset, flags);
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
    calls.polled++;
    return __real_poll(fds, n, timeout);
}

pid_t __wrap_getpid(void)
{
    calls.pids++;
    return __real_getpid();
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    calls.clocks++;
    return __real_clock_gettime(clock, now);
}

int __wrap_open(const char *name, int flags, ...)
{
    va_list args;
    mode_t mode = 0;

    if (no_reopen && strcmp(name, "/proc/self/fd/2") == 0) {
        errno = EACCES;
        return -1;
    }
    va_start(args, flags);
    if (flags & O_CREAT)
        mode = va_arg(args, mode_t);
    va_end(args);
    return __real_open(name, flags, mode);
}

static void count_from_here(void)
{
    memset(&calls, 0, sizeof(calls));
}

/* Lines to what the log has been opened to: a write for each, and nothing else. */
static void check_calls(const char *what, int polls)
{
    uint64_t lost = log_lost();

    say(INFO, "the first line may ask what there is to know");
    count_from_here();
    for (int i = 0; i < LINES; i++)
        say(INFO, "line=%d", i);
    if (!ok(calls.written == LINES && calls.polled == polls && calls.pids == 0,
            "%s: a line is one call", what))
        printf("#   %d lines: %d written, %d polls, %d asked for the pid\n", LINES, calls.written,
               calls.polled, calls.pids);
    ok(calls.clocks <= LINES, "%s: and reads the clock once", what);
    is_int(log_lost() - lost, 0, "none is lost");
}

/* Opens the log to stderr, which is fd meanwhile; returns what it was. */
static int stderr_becomes(int fd)
{
    int saved = dup(STDERR_FILENO);

    dup2(fd, STDERR_FILENO);
    is_int(log_open(LOG_TO_STDERR, NULL, LOG_TEXT), 0, "open stderr");
    return saved;
}

static void stderr_again(int saved)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
    is_int(log_open(LOG_TO_FILE, path, LOG_TEXT), 0, "back to the file");
}

/* Nobody reads on, and lines are lost, not waited for.  The descriptor that is shared
 * with others keeps its flags. */
static void check_full(const char *what, int fd)
{
    uint64_t lost = log_lost();

    alarm(60); /* who waits now waits for ever */
    for (int i = 0; i < 100000 && log_lost() - lost < LINES; i++) {
        errno = EINTR; /* of something before: no reason to try again */
        say(INFO, "line=%d %0100d", i, 0);
    }
    alarm(0);
    ok(log_lost() - lost == LINES, "%s: when it is full lines are lost", what);
    is_int(fcntl(fd, F_GETFL) & O_NONBLOCK, 0, "what is shared blocks as before");
}

static void test_files(void)
{
    int file = open(path, O_WRONLY | O_APPEND), null = open("/dev/null", O_WRONLY), saved;

    is_int(log_open(LOG_TO_FILE, path, LOG_TEXT), 0, "open a file");
    check_calls("a file", 0);
    signals = 3;
    count_from_here();
    say(INFO, "interrupted");
    ok(calls.written == 4 && log_lost() == 0, "what a signal interrupts is written again");
    is_int(log_open(LOG_TO_FILE, path, LOG_JSON), 0, "open as JSON");
    check_calls("JSON", 0);
    saved = stderr_becomes(file);
    check_calls("stderr that is a file", 0);
    stderr_again(saved);
    saved = stderr_becomes(null);
    check_calls("stderr that is /dev/null", 0);
    stderr_again(saved);
    close(file);
    close(null);
}

static void test_pipe(const char *what, int polls)
{
    int ends[2], saved;

    if (!ok(pipe(ends) == 0, "pipe"))
        return;
    saved = stderr_becomes(ends[1]);
    check_calls(what, polls);
    check_full(what, ends[1]);
    stderr_again(saved);
    close(ends[0]);
    close(ends[1]);
}

static void test_socket(int type, const char *what)
{
    int ends[2], saved;

    if (!ok(socketpair(AF_UNIX, type, 0, ends) == 0, "socket"))
        return;
    saved = stderr_becomes(ends[1]);
    check_calls(what, 0);
    if (type == SOCK_STREAM) { /* one of datagrams holds too few lines */
        check_full(what, ends[1]);
    }
    stderr_again(saved);
    close(ends[0]);
    close(ends[1]);
}

static void test_terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave, saved;
    struct termios raw;

    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) {
        ok(1, "no terminal to be had: %s", strerror(errno));
        return;
    }
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (!ok(slave >= 0 && tcgetattr(slave, &raw) == 0, "terminal"))
        return;
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    saved = stderr_becomes(slave);
    check_calls("a terminal", 0);
    check_full("a terminal", slave);
    stderr_again(saved);
    close(slave);
    close(master);
}

/* A pipe of another user: on kernels that can write to it without waiting one call,
 * else two, for there is no way to have both. */
static void test_not_ours(void)
{
    struct iovec iov = {.iov_base = (char[]){"x"}, .iov_len = 1};
    int ends[2], known;

    no_reopen = 1;
    if (!ok(pipe(ends) == 0, "pipe"))
        return;
    known = pwritev2(ends[1], &iov, 1, -1, RWF_NOWAIT) == 1;
    close(ends[0]);
    close(ends[1]);
    test_pipe("somebody else's pipe", known ? 0 : LINES);
    no_nowait = 1;
    test_pipe("the same on older kernels, where it is asked for room", LINES);
    no_reopen = no_nowait = 0;
}

/* The pid in the last line. */
static long logged_pid(void)
{
    static char text[65536];
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    const char *last = NULL;

    close(fd);
    text[n > 0 ? n : 0] = '\0';
    for (char *at = text; (at = strstr(at, "pids[")) != NULL; at++)
        last = at;
    return last == NULL ? -1 : strtol(last + strlen("pids["), NULL, 10);
}

/* It is asked for once in each process, also where nobody says that there was a fork. */
static void test_pid(void)
{
    pid_t pid;

    log_name("pids", 0);
    say(INFO, "parent");
    is_int(logged_pid(), __real_getpid(), "our own pid");
    pid = fork();
    if (pid == 0) {
        count_from_here();
        say(INFO, "child");
        log_name("pids", 0);
        say(INFO, "child");
        _exit(calls.pids == 1 ? 0 : 1);
    }
    if (ok(pid > 0, "fork")) {
        int status = -1;

        waitpid(pid, &status, 0);
        is_int(status, 0, "a child asks once");
        is_int(logged_pid(), pid, "and has its own");
    }
    say(INFO, "parent");
    is_int(logged_pid(), __real_getpid(), "the parent keeps its");
}

int main(void)
{
    int fd = mkstemp(path);

    signal(SIGPIPE, SIG_IGN);
    if (fd < 0)
        return 1;
    close(fd);
    test_files();
    test_pipe("a pipe", 0);
    test_socket(SOCK_STREAM, "a socket");
    test_socket(SOCK_DGRAM, "a socket of datagrams");
    test_terminal();
    test_not_ours();
    test_pid();
    unlink(path);
    (void)log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    return tap_done();
}
