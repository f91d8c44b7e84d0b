/* Tests src/worker/sandbox.c, all of it: every number that a system call can have, and
 * every argument that is looked at, against a list that is written here.
 *
 * No call is made.  A child first loads a filter that answers each marked call with an
 * error of our own, then enters the sandbox: of two filters the kernel heeds the
 * stricter, and of two errors that of the sandbox, which came later.  So our error says
 * that the sandbox allows the call. */
#include "tap.h"
#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NOT_ENTERED 99
#define MARK        0x5ca1ab1e /* the last argument of a call that is only tried */
#define OUR_ERROR   EXFULL

/* Verdicts; a positive one is an error. */
#define ALLOWED 0
#define ENDS    (-1)
#define UNKNOWN (-2) /* it ended in another way, or nothing was learned */

/* The last number that Linux 6.1 gives away, on every machine; and how far we look. */
#define LAST 450
#define FAR  2000
#define X32  0x40000000u

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- what is written --- */

/* Allowed with whatever arguments. */
static const int always[] = {
    /* descriptors and files */
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_lseek, SYS_close, SYS_dup,
    SYS_dup3, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_openat, SYS_faccessat, SYS_readlinkat,
    SYS_fchmod, SYS_pwritev2,
    /* sockets */
    SYS_accept, SYS_accept4, SYS_connect, SYS_shutdown, SYS_sendto, SYS_sendmsg, SYS_sendmmsg,
    SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg, SYS_getsockopt, SYS_setsockopt, SYS_getsockname,
    SYS_getpeername,
    /* waiting */
    SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_ppoll, SYS_pselect6, SYS_eventfd2,
    SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_clock_nanosleep,
    SYS_nanosleep, SYS_futex, SYS_sched_yield,
    /* memory */
    SYS_brk, SYS_munmap, SYS_mremap, SYS_madvise,
    /* what time it is, and who and where we are */
    SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_getrandom, SYS_getpid, SYS_gettid,
    SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_uname, SYS_sysinfo,
    SYS_getrusage, SYS_getcpu, SYS_sched_getaffinity,
    /* signals, and the end */
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_restart_syscall,
    SYS_exit, SYS_exit_group};

/* Those that newer machines, or older headers, do not have; 441 is epoll_pwait2. */
#ifdef __x86_64__
static const int always_here[] = {SYS_open,     SYS_stat,         SYS_lstat,      SYS_access,
                                  SYS_readlink, SYS_epoll_create, SYS_epoll_wait, SYS_poll,
                                  SYS_select,   SYS_eventfd,      SYS_time,       441};
#else
static const int always_here[] = {441};
#endif

/* Decided by an argument: below. */
static const int sifted[] = {SYS_mmap,  SYS_mprotect, SYS_socket,    SYS_socketpair,
                             SYS_fcntl, SYS_ioctl,    SYS_prlimit64, SYS_tgkill};

/* Allowed with these arguments, and with no other of what is tried: see windows[]. */
static const unsigned long domains[] = {AF_UNIX};
static const unsigned long commands[] = {F_DUPFD, F_GETFD, F_SETFD,
                                         F_GETFL, F_SETFL, F_DUPFD_CLOEXEC};
static const unsigned long requests[] = {FIONREAD, FIONBIO, TIOCOUTQ, TCGETS};
static const unsigned long nobody[] = {0};

static const struct {
    const char *name;
    int number;
    int argument;
    const unsigned long *allowed;
    size_t n;
} by_value[] = {
    {"socket: domain", SYS_socket, 0, domains, COUNT(domains)},
    {"socketpair: domain", SYS_socketpair, 0, domains, COUNT(domains)},
    {"fcntl: command", SYS_fcntl, 1, commands, COUNT(commands)},
    {"ioctl: request", SYS_ioctl, 1, requests, COUNT(requests)},
    {"prlimit64: process", SYS_prlimit64, 0, nobody, COUNT(nobody)},
};

/* Where the kernel asks no filter (from 6.14 on): its own trampolines end there. */
static const int unfiltered[] = {
    -1, /* none: machines without trampolines */
#ifdef __x86_64__
    335, /* uretprobe */
    336, /* uprobe */
#endif
};

/* --- what is tried --- */

struct probe {
    unsigned number;
    unsigned long args[3];
    int want, got;
};

#define PROBES_MAX 4096

/* Shared with the children. */
static struct plan {
    size_t n, at;
    struct probe probes[PROBES_MAX];
} * plan;

static struct probe *probe_add(unsigned number, int want)
{
    struct probe *probe = &plan->probes[plan->n];

    if (plan->n++ == PROBES_MAX)
        abort();
    *probe = (struct probe){.number = number, .want = want, .got = UNKNOWN};
    return probe;
}

static int is_in(const int *list, size_t n, unsigned number)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned)list[i] == number)
            return 1;
    return 0;
}

static int is_always(unsigned number)
{
    return is_in(always, COUNT(always), number) || is_in(always_here, COUNT(always_here), number);
}

/* --- a child --- */

/* Answers what has MARK as its last argument. */
static int mark_load(void)
{
    const uint32_t last = offsetof(struct seccomp_data, args) + 5 * sizeof(uint64_t);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, last),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | OUR_ERROR),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = COUNT(code), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}

static int verdict_of(long rc)
{
    if (rc != -1)
        return UNKNOWN; /* it was made! */
    return errno == OUR_ERROR ? ALLOWED : errno;
}

static void child_prepare(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    if (mark_load() < 0 || sandbox_enter() < 0)
        _exit(NOT_ENTERED);
}

/* From plan->at on, until one ends it. */
static void child_probe(void)
{
    child_prepare();
    for (; plan->at < plan->n; plan->at++) {
        struct probe *probe = &plan->probes[plan->at];
        long rc = syscall((long)probe->number, probe->args[0], probe->args[1], probe->args[2], 0L,
                          0L, (unsigned long)MARK);

        probe->got = verdict_of(rc);
    }
    _exit(0);
}

static int wait_for(pid_t pid)
{
    int status = 0;

    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        abort();
    return status;
}

static int is_ended(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

/* Tries all that is planned, and forgets it. */
static void judge(const char *name)
{
    size_t wrong = 0;

    for (plan->at = 0; plan->at < plan->n; plan->at++) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
            child_probe();
        status = wait_for(pid);
        if (plan->at == plan->n)
            break;
        plan->probes[plan->at].got = is_ended(status) ? ENDS : UNKNOWN;
    }
    for (size_t i = 0; i < plan->n; i++)
        wrong += plan->probes[i].got != plan->probes[i].want;
    ok(wrong == 0 && plan->n > 0, "%s: each of %zu is as written", name, plan->n);
    for (size_t i = 0; i < plan->n && wrong > 0; i++) {
        const struct probe *probe = &plan->probes[i];

        if (probe->got != probe->want)
            printf("#   %u(%#lx, %#lx, %#lx): got %d, want %d\n", probe->number, probe->args[0],
                   probe->args[1], probe->args[2], probe->got, probe->want);
    }
    plan->n = 0;
}

/* --- numbers --- */

static void test_numbers(void)
{
    for (unsigned number = 0; number <= LAST; number++)
        if (!is_in(sifted, COUNT(sifted), number) && !is_in(unfiltered, COUNT(unfiltered), number))
            probe_add(number, is_always(number) ? ALLOWED : ENDS);
    judge("what Linux 6.1 has");
    for (unsigned number = LAST + 1; number <= FAR; number++)
        probe_add(number, ENOSYS);
    judge("what is newer");
    for (unsigned number = 0; number <= FAR; number++)
        probe_add(X32 | number, ENOSYS);
    judge("x32's");
    for (unsigned bit = 11; bit < 32; bit++) {
        probe_add(1u << bit, ENOSYS);
        probe_add((1u << bit) | SYS_read, ENOSYS);
        probe_add((1u << bit) | SYS_execve, ENOSYS);
        probe_add((1u << bit) - 1, ENOSYS);
    }
    probe_add(0xffffffffu, ENOSYS);
    judge("far away");
}

/* --- arguments --- */

static int is_value(const unsigned long *list, size_t n, unsigned long value)
{
    for (size_t i = 0; i < n; i++)
        if ((uint32_t)list[i] == (uint32_t)value)
            return 1;
    return 0;
}

/* From where, and how many: what is small (all domains, and more), fcntl()'s from 1024
 * on, a terminal's, and where signs and words end. */
static const struct {
    unsigned long from, n;
} windows[] = {{0, 0x80},          {0x400, 0x40},       {0x5400, 0x80},
               {0x7ffffff0, 0x20}, {0xfffffff0, 0x110}, {0xfffffffffffffff0, 0x10}};

/* The kernel looks at the low 32 bits of these, and so does the sandbox. */
static void test_values(size_t which)
{
    for (size_t i = 0; i < COUNT(windows); i++) {
        for (unsigned long at = 0; at < windows[i].n; at++) {
            unsigned long value = windows[i].from + at;
            int good = is_value(by_value[which].allowed, by_value[which].n, value);
            struct probe *probe = probe_add((unsigned)by_value[which].number, good ? 0 : ENDS);

            /* In the other two places is what would be good. */
            for (int other = 0; other < 3; other++)
                probe->args[other] = by_value[which].allowed[0];
            probe->args[by_value[which].argument] = value;
        }
    }
    judge(by_value[which].name);
}

/* The type is the kernel's business; the domain is ours with every type. */
static void test_socket_types(void)
{
    const int types[] = {0, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_PACKET};
    const int flags[] = {0, SOCK_CLOEXEC | SOCK_NONBLOCK};

    for (int domain = -1; domain <= AF_MAX + 2; domain++)
        for (size_t i = 0; i < COUNT(types) * COUNT(flags); i++) {
            struct probe *probe = probe_add(SYS_socket, domain == AF_UNIX ? ALLOWED : ENDS);

            probe->args[0] = (unsigned long)domain;
            probe->args[1] = (unsigned long)(types[i / COUNT(flags)] | flags[i % COUNT(flags)]);
        }
    judge("socket: domain and type");
}

/* Whatever else is asked for: with PROT_EXEC it fails softly. */
static void test_protection(void)
{
    const int numbers[] = {SYS_mmap, SYS_mprotect};

    for (size_t i = 0; i < COUNT(numbers); i++) {
        for (unsigned long prot = 0; prot < 64; prot++) {
            int want = (prot & PROT_EXEC) != 0 ? EACCES : ALLOWED;

            probe_add((unsigned)numbers[i], want)->args[2] = prot;
            probe_add((unsigned)numbers[i], want)->args[2] = prot | PROT_GROWSDOWN;
            probe_add((unsigned)numbers[i], want)->args[2] = prot | 0xffffffff00000000;
        }
        for (unsigned bit = 0; bit < 64; bit++)
            probe_add((unsigned)numbers[i], bit == 2 ? EACCES : ALLOWED)->args[2] = 1ul << bit;
        /* In another place that bit means something else. */
        for (int other = 0; other < 2; other++)
            probe_add((unsigned)numbers[i], ALLOWED)->args[other] = PROT_EXEC;
    }
    judge("mmap, mprotect: PROT_EXEC");
}

/* The child plans for itself, for only it knows its number: 0, or the first wrong value. */
static int signal_self_only(void)
{
    const int self = getpid();
    const long good[] = {self, (long)((1ul << 32) | (unsigned)self)};

    child_prepare();
    for (size_t i = 0; i < COUNT(good); i++)
        if (syscall(SYS_tgkill, good[i], 0L, (long)SIGKILL, 0L, 0L, (long)MARK) != -1 ||
            errno != OUR_ERROR)
            return 1;
    return 0;
}

static void signal_another(long process)
{
    child_prepare();
    syscall(SYS_tgkill, process, (long)getpid(), 0L, 0L, 0L, (long)MARK);
}

static void test_tgkill(void)
{
    const char *names[] = {"the one before", "the one after", "0", "-1", "the parent", "1"};
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(signal_self_only());
    status = wait_for(pid);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "tgkill: to itself");
    for (size_t i = 0; i < COUNT(names); i++) {
        pid = fork();
        if (pid == 0) {
            const long others[] = {getpid() - 1, getpid() + 1, 0, -1, getppid(), 1};

            signal_another(others[i]);
            _exit(0);
        }
        ok(is_ended(wait_for(pid)), "tgkill: not to %s", names[i]);
    }
}

/* --- the process ends, and not one of its threads --- */

static void *sleep_on(void *arg)
{
    while (pause() == -1)
        continue;
    return arg;
}

/* Another thread, outside the sandbox, would live on. */
static void with_thread(void (*call)(void))
{
    pthread_t other;

    alarm(10);
    if (pthread_create(&other, NULL, sleep_on, NULL) != 0)
        _exit(NOT_ENTERED);
    child_prepare();
    call();
    _exit(0);
}

static void call_execve(void)
{
    syscall(SYS_execve, NULL, NULL, NULL);
}

static void call_socket(void)
{
    syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

#ifdef __x86_64__

/* A call of i386.  Its numbers are others: 20 is getpid there and writev here, 4 write
 * and stat, 3 read and close. */
static long i386_number;

static long i386_call(void)
{
    long rc = i386_number;

    __asm__ volatile("int $0x80" : "+a"(rc) : "b"(-1L), "c"(0L), "d"(0L) : "memory", "cc");
    return rc;
}

static void call_i386(void)
{
    i386_call();
}

static void test_i386(void)
{
    const int numbers[] = {0, 1, 3, 4, 6, 20, 23, 45, 102, LAST, LAST + 1, 1000};
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        i386_number = 20;
        _exit(i386_call() == getpid() ? 0 : 1);
    }
    status = wait_for(pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        ok(1, "this kernel has no calls of i386 # SKIP");
        return;
    }
    for (size_t i = 0; i < COUNT(numbers); i++) {
        pid = fork();
        if (pid == 0) {
            i386_number = numbers[i];
            with_thread(call_i386);
        }
        ok(is_ended(wait_for(pid)), "int $0x80 ends the process: %d", numbers[i]);
    }
}

#else

static void test_i386(void)
{
}

#endif

static void test_whole_process(void)
{
    static const struct {
        const char *name;
        void (*call)(void);
    } calls[] = {{"a number", call_execve}, {"an argument", call_socket}};

    for (size_t i = 0; i < COUNT(calls); i++) {
        pid_t pid = fork();

        if (pid == 0)
            with_thread(calls[i].call);
        ok(is_ended(wait_for(pid)), "the process ends with all its threads: %s", calls[i].name);
    }
}

/* --- */

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

/* Whether there are filters, and a mark is answered. */
static int is_possible(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        child_prepare();
        _exit(verdict_of(syscall(SYS_getppid, 0L, 0L, 0L, 0L, 0L, (long)MARK)));
    }
    status = wait_for(pid);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == NOT_ENTERED);
}

int main(void)
{
    if (is_instrumented() || !is_possible()) {
        ok(1, "no seccomp here, or instrumented # SKIP");
        return tap_done();
    }
    plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (plan == MAP_FAILED)
        abort();
    test_numbers();
    for (size_t i = 0; i < COUNT(by_value); i++)
        test_values(i);
    test_socket_types();
    test_protection();
    test_tgkill();
    test_whole_process();
    test_i386();
    return tap_done();
}
