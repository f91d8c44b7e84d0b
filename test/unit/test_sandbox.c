/* Each probe in a child of its own: it enters the sandbox, makes its calls, and
 * ends as the kernel has it. */
#include "base/base64.h"
#include "base/buf.h"
#include "base/caps.h"
#include "codec/broadcast.h"
#include "codec/jwt.h"
#include "master/history.h"
#include "tap.h"
#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>

#define NOT_ENTERED 99

/* --- what is not allowed --- */

static void execute(void)
{
    execl("/bin/true", "true", (char *)NULL);
}

static void trace(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void fork_one(void)
{
    if (fork() == 0)
        _exit(0);
}

static void clone_new(void)
{
    syscall(SYS_clone3, NULL, 0);
}

static void socket_inet(void)
{
    socket(AF_INET, SOCK_STREAM, 0);
}

static void socket_netlink(void)
{
    socket(AF_NETLINK, SOCK_RAW, 0);
}

static void bind_one(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    bind(fd, (struct sockaddr *)&addr, sizeof(addr.sun_family));
}

static void signal_other(void)
{
    kill(getppid(), 0);
}

static void signal_other_thread(void)
{
    syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static void remove_file(void)
{
    unlink("/nowhere/at/all");
}

static void limit_other(void)
{
    struct rlimit limit;

    prlimit(getppid(), RLIMIT_NOFILE, NULL, &limit);
}

static void other_ioctl(void)
{
    ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static void open_other_process(void)
{
    syscall(SYS_pidfd_open, getppid(), 0);
}

static void write_other(void)
{
    struct iovec here = {(char[]){"x"}, 1}, there = {&here, 1};

    process_vm_writev(getppid(), &here, 1, &there, 1, 0);
}

static void trace_other(void)
{
    ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static void truncate_one(void)
{
    if (ftruncate(STDIN_FILENO, 0) < 0)
        _exit(1);
}

static void punch_one(void)
{
    fallocate(STDIN_FILENO, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1);
}

static const struct {
    const char *name;
    void (*run)(void);
} denied[] = {
    {"execve", execute},
    {"ptrace", trace},
    {"fork", fork_one},
    {"clone3", clone_new},
    {"socket(AF_INET)", socket_inet},
    {"socket(AF_NETLINK)", socket_netlink},
    {"bind", bind_one},
    {"kill", signal_other},
    {"tgkill of another", signal_other_thread},
    {"unlink", remove_file},
    {"prlimit of another", limit_other},
    {"ioctl(TIOCSTI)", other_ioctl},
    {"pidfd_open", open_other_process},
    {"process_vm_writev", write_other},
    {"ptrace of another", trace_other},
    {"ftruncate", truncate_one},
    {"fallocate", punch_one},
};

/* --- what is --- */

/* Returns 0, or which of them failed.  Without libc where it is in the way. */
static int memory_and_time(void)
{
    struct timespec now;
    char *big = malloc(64 << 20), *more;

    if (big == NULL)
        return 1;
    memset(big, 1, 64 << 20);
    more = realloc(big, 96 << 20);
    if (more == NULL)
        return 2;
    free(more);
    if (syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now) < 0)
        return 3;
    return 0;
}

static int sockets(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct rlimit limit;
    int pair[2], epoll = epoll_create1(EPOLL_CLOEXEC);
    int logger = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (epoll < 0 || logger < 0)
        return 4;
    pair[0] = dup(logger);
    pair[1] = fcntl(logger, F_DUPFD_CLOEXEC, 0);
    if (pair[0] < 0 || pair[1] < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, logger, &event) < 0)
        return 5;
    if (epoll_wait(epoll, &event, 1, 0) < 0)
        return 6;
    return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 7 : 0;
}

static int files(void)
{
    struct stat st;
    int fd = open("/dev/null", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

    if (fd < 0 || fstat(fd, &st) < 0 || write(fd, "x", 1) != 1 || close(fd) < 0)
        return 8;
    openlog("test_sandbox", LOG_NDELAY, LOG_DAEMON);
    syslog(LOG_DEBUG, "a line from the sandbox");
    closelog();
    return 0;
}

/* With more members than glibc sorts without a look at how much memory there is. */
static int tokens(void)
{
    struct jwt_parts parts = {0};
    struct buf claims = {0}, text = {0};
    int good;

    buf_puts(&claims, "{\"a\":{\"x\":1.5e9");
    for (int i = 0; i < 2000; i++)
        buf_printf(&claims, ",\"%d\":%d", i, i);
    buf_puts(&claims, "}}");
    buf_puts(&text, "e30.");
    text.len += base64url_encode((char *)buf_reserve(&text, BASE64URL_LEN(claims.len)), claims.data,
                                 claims.len);
    buf_puts(&text, ".AA");
    good = jwt_parts_split(&parts, (char *)text.data, text.len) == 0 &&
           jwt_parts_read_header(&parts) == 0 && jwt_parts_read_claims(&parts) == 0 &&
           jwt_parts_claim_json(&parts, "a") != NULL;
    jwt_parts_clear(&parts);
    buf_free(&claims);
    buf_free(&text);
    return good ? 0 : 13;
}

/* What a library that would load another one, or a newer libc, meets. */
static int refusals(void)
{
    void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (code != MAP_FAILED || errno != EACCES)
        return 9;
    code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED || mprotect(code, 4096, PROT_READ | PROT_EXEC) == 0 || errno != EACCES)
        return 10;
    if (mprotect(code, 4096, PROT_READ) < 0)
        return 11;
    if (syscall(1000) != -1 || errno != ENOSYS)
        return 12;
    return 0;
}

static int use_all(void)
{
    int (*const parts[])(void) = {memory_and_time, sockets, files, refusals, tokens};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        int rc = parts[i]();

        if (rc != 0)
            return rc;
    }
    return 0;
}

/* --- the history, which a worker reads --- */

static struct history *history;
static int history_file = -1; /* its descriptor; a worker has closed it by then */
static char *map, *map_end;   /* as the child has it */
static size_t map_len;
static char of_master[] = "m";

static int maps_for_writing(int fd)
{
    void *at = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (at == MAP_FAILED)
        return 0;
    memset(at, 'x', map_len);
    return 1;
}

/* The file by that path, whatever may be done with it. */
static int writes_by(const char *path)
{
    struct iovec bytes = {(char[]){"x"}, 1};
    int fd = open(path, O_RDWR | O_CLOEXEC), trunc = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);

    return trunc >= 0 || (fd >= 0 && (write(fd, "x", 1) > 0 || pwritev2(fd, &bytes, 1, 0, 0) > 0 ||
                                      maps_for_writing(fd)));
}

/* Through /proc/PID/mem.  It is there for what is the reader's own, but not for this. */
static int writes_memory_of(const char *process, const char *at)
{
    char path[64];
    struct iovec bytes = {(char[]){"x"}, 1};
    int fd;

    snprintf(path, sizeof(path), "/proc/%s/mem", process);
    fd = open(path, O_RDWR | O_CLOEXEC);
    return fd >= 0 && pwritev2(fd, &bytes, 1, (off_t)(uintptr_t)at, 0) > 0;
}

/* All that a worker with a hostile mind could try, even if it still had the descriptor.  Returns
 * 0, or which of these has done it. */
static int cannot_write(void)
{
    struct iovec bytes = {(char[]){"x"}, 1};
    char path[128], master[16];
    char *moved;

    if (mprotect(map, map_len, PROT_READ | PROT_WRITE) == 0)
        return 20;
    if (maps_for_writing(history_file))
        return 21;
    if (write(history_file, "x", 1) > 0 || pwritev2(history_file, &bytes, 1, 0, 0) > 0)
        return 22;
    (void)fchmod(history_file, 0666);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", history_file);
    if (writes_by(path))
        return 23;
    snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)(uintptr_t)map,
             (unsigned long)(uintptr_t)map_end);
    if (writes_by(path))
        return 24;
    snprintf(master, sizeof(master), "%d", (int)getppid());
    if (writes_memory_of("self", map))
        return 25;
    if (writes_memory_of(master, of_master)) /* anything in it */
        return 26;
    if (madvise(map, map_len, MADV_REMOVE) == 0)
        return 27;
    moved = mremap(map, map_len, map_len, MREMAP_MAYMOVE);
    if (moved != MAP_FAILED && mprotect(moved, map_len, PROT_READ | PROT_WRITE) == 0)
        return 28;
    return 0;
}

/* As a worker's: it has no capability, and its master cannot be looked into. */
static void map_history(void)
{
    struct stat st;

    if (history_file < 0)
        return;
    caps_limit(0);
    fstat(history_file, &st);
    map_len = (size_t)st.st_size;
    map = mmap(NULL, map_len, PROT_READ, MAP_SHARED, history_file, 0);
    map_end = map + map_len;
}

/* Its bytes, to be freed. */
static char *history_bytes(size_t *len)
{
    struct stat st;
    char *bytes;

    fstat(history_fd(history), &st);
    *len = (size_t)st.st_size;
    bytes = malloc(*len);
    if (bytes == NULL || pread(history_fd(history), bytes, *len, 0) != (ssize_t)*len)
        abort();
    return bytes;
}

static int child(void (*run)(void), int (*allowed)(void));

static void test_history(void)
{
    struct broadcast bc = {.offset = 1};
    size_t before, after;
    char *was, *is;
    int status;

    history = history_new(1 << 20, 60000);
    history_put(history, 1, 1, &bc, SLICE("a message"), 0);
    was = history_bytes(&before);
    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
    history_file = history_fd(history);
    status = child(NULL, cannot_write);
    history_file = -1;
    prctl(PR_SET_DUMPABLE, 1L, 0L, 0L, 0L);
    ok(WIFEXITED(status), "a worker that would write the history lives");
    is_int(WEXITSTATUS(status), 0, "and cannot, in any way");
    is = history_bytes(&after);
    is_mem(is, after, was, before, "which is as it was");
    free(was);
    free(is);
    history_free(&history);
}

/* --- */

/* The wait status of a child that enters and runs one of the two. */
static int child(void (*run)(void), int (*allowed)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        const struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        map_history();
        if (sandbox_enter() < 0)
            _exit(NOT_ENTERED);
        if (run != NULL)
            run();
        _exit(allowed != NULL ? allowed() : 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        abort();
    return status;
}

/* A sanitizer and valgrind make system calls of their own in our name. */
static int is_instrumented(void)
{
    const char *preload = getenv("LD_PRELOAD");

#if defined(__SANITIZE_ADDRESS__)
    return 1;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return 1;
#endif
#endif
    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

int main(void)
{
    int status;

    jwt_parts_prepare();
    if (is_instrumented()) {
        ok(1, "instrumented # SKIP makes system calls of its own");
        return tap_done();
    }
    status = child(NULL, NULL);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_ENTERED) {
        ok(1, "no seccomp here # SKIP");
        return tap_done();
    }
    for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
        status = child(denied[i].run, NULL);
        ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s ends with SIGSYS",
           denied[i].name);
    }
    status = child(NULL, use_all);
    ok(WIFEXITED(status), "what a worker does is allowed");
    is_int(WEXITSTATUS(status), 0, "and succeeds, or fails softly where it should");
    test_history();
    status = child(abort, NULL);
    is_int(WTERMSIG(status), SIGABRT, "abort() is what it is");
    return tap_done();
}
