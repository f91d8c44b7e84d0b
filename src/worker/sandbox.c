/* The filter is written by hand, not with libseccomp: it is one list of numbers
 * and a few arguments, and the one rule that matters for the life of an installed
 * program (what is newer than it is ENOSYS, not death) is about a range of
 * numbers, which libseccomp cannot say. */
#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) && defined(__LP64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && defined(__LP64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH AUDIT_ARCH_AARCH64
#endif

#ifndef ARCH

int sandbox_enter(void)
{
    errno = ENOTSUP;
    return -1;
}

#else

/* The last system call of Linux 6.1; from 424 on the numbers are the same on every
 * machine.  On x86-64 this covers those of x32, which have a bit above it. */
#define NEWEST 450

/* In the order of how often a worker makes them: kernels before 5.11 walk the list
 * at each call (later ones remember what is always allowed). */
static const uint16_t allowed[] = {
    /* the loop and its clients */
    SYS_sendmsg, SYS_sendto, SYS_recvfrom, SYS_read, SYS_write, SYS_writev, SYS_readv,
    SYS_epoll_pwait, SYS_epoll_ctl, SYS_accept4, SYS_close, SYS_setsockopt, SYS_recvmsg,
#ifdef SYS_epoll_wait
    SYS_epoll_wait, SYS_epoll_create, SYS_poll, SYS_select, SYS_eventfd,
#endif
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
    SYS_epoll_create1, SYS_ppoll, SYS_pselect6, SYS_eventfd2, SYS_timerfd_create,
    SYS_timerfd_settime, SYS_timerfd_gettime, SYS_accept, SYS_shutdown, SYS_getsockopt,
    SYS_getsockname, SYS_getpeername, SYS_sendmmsg, SYS_recvmmsg, SYS_dup, SYS_dup3,
    /* memory */
    SYS_brk, SYS_munmap, SYS_mremap, SYS_madvise, SYS_futex,
    /* time and chance, where the vdso does not answer; who we are */
    SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_clock_nanosleep, SYS_nanosleep,
    SYS_getrandom, SYS_getpid, SYS_gettid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid,
    SYS_getegid, SYS_uname, SYS_sysinfo, SYS_getrusage, SYS_sched_yield, SYS_sched_getaffinity,
    SYS_getcpu,
#ifdef SYS_time
    SYS_time,
#endif
    /* the log, the time zone that syslog(3) reads */
    SYS_openat, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_lseek, SYS_pread64, SYS_faccessat,
    SYS_readlinkat, SYS_fchmod, SYS_connect, SYS_pwritev2,
#ifdef SYS_open
    SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink,
#endif
    /* signals to itself, and the end */
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_restart_syscall,
    SYS_exit, SYS_exit_group};

/* Allowed if an argument, of which the low 32 bits count, is one of these. */
static const uint32_t socket_domains[] = {AF_UNIX};
static const uint32_t ioctls[] = {FIONREAD, FIONBIO, TIOCOUTQ, TCGETS};
/* Not F_SETOWN and F_SETSIG: together they send any signal to any process of the user. */
static const uint32_t fcntls[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_DUPFD, F_DUPFD_CLOEXEC};
static const uint32_t nobody_else[] = {0};

/* NUMBER and which of its arguments */
#define ARG(n) ((uint32_t)(offsetof(struct seccomp_data, args) + (n) * sizeof(uint64_t)))

#define PROGRAM_MAX 256

struct program {
    struct sock_filter at[PROGRAM_MAX];
    unsigned short len;
};

/* If the program is full the filter is not loaded: see sandbox_enter(). */
static void put(struct program *program, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
    if (program->len < PROGRAM_MAX)
        program->at[program->len++] = (struct sock_filter)BPF_JUMP(code, k, jt, jf);
}

static void put_load(struct program *program, uint32_t offset)
{
    put(program, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void put_return(struct program *program, uint32_t verdict)
{
    put(program, BPF_RET | BPF_K, verdict, 0, 0);
}

/* The number is loaded; it still is for what comes next. */
static void put_allow(struct program *program, uint32_t number)
{
    put(program, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
    put_return(program, SECCOMP_RET_ALLOW);
}

/* The call, with one of n values as its argument; with another it ends the
 * process. */
static void put_allow_values(struct program *program, uint32_t number, uint32_t argument,
                             const uint32_t *values, uint8_t n)
{
    put(program, BPF_JMP | BPF_JEQ | BPF_K, number, 0, (uint8_t)(3 + n));
    put_load(program, argument);
    for (uint8_t i = 0; i < n; i++)
        put(program, BPF_JMP | BPF_JEQ | BPF_K, values[i], (uint8_t)(n - i), 0);
    put_return(program, SECCOMP_RET_KILL_PROCESS);
    put_return(program, SECCOMP_RET_ALLOW);
}

/* The call without that bit in its argument; with it, it fails: a library that
 * would load another one hears that it cannot. */
static void put_allow_without(struct program *program, uint32_t number, uint32_t argument,
                              uint32_t bit)
{
    put(program, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4);
    put_load(program, argument);
    put(program, BPF_JMP | BPF_JSET | BPF_K, bit, 0, 1);
    put_return(program, SECCOMP_RET_ERRNO | EACCES);
    put_return(program, SECCOMP_RET_ALLOW);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void program_make(struct program *program)
{
    const uint32_t self[] = {(uint32_t)getpid()};

    program->len = 0;
    put_load(program, offsetof(struct seccomp_data, arch));
    put(program, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    put_return(program, SECCOMP_RET_KILL_PROCESS);
    put_load(program, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < COUNT(allowed); i++)
        put_allow(program, allowed[i]);
    put_allow_without(program, SYS_mmap, ARG(2), PROT_EXEC);
    put_allow_without(program, SYS_mprotect, ARG(2), PROT_EXEC);
    put_allow_values(program, SYS_socket, ARG(0), socket_domains, COUNT(socket_domains));
    put_allow_values(program, SYS_socketpair, ARG(0), socket_domains, COUNT(socket_domains));
    put_allow_values(program, SYS_fcntl, ARG(1), fcntls, COUNT(fcntls));
    put_allow_values(program, SYS_ioctl, ARG(1), ioctls, COUNT(ioctls));
    put_allow_values(program, SYS_prlimit64, ARG(0), nobody_else, COUNT(nobody_else));
    put_allow_values(program, SYS_tgkill, ARG(0), self, COUNT(self)); /* abort(3) */
    put(program, BPF_JMP | BPF_JGT | BPF_K, NEWEST, 0, 1);
    put_return(program, SECCOMP_RET_ERRNO | ENOSYS);
    put_return(program, SECCOMP_RET_KILL_PROCESS);
}

int sandbox_enter(void)
{
    struct program program;
    struct sock_fprog filter;

    program_make(&program);
    if (program.len == PROGRAM_MAX) {
        errno = E2BIG;
        return -1;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    filter = (struct sock_fprog){.len = program.len, .filter = program.at};
    /* Kernels before 5.16 switch the speculative store bypass off for whoever has a
     * filter, which costs; it would protect from code that we do not run.  Those
     * before 4.17 do not know the flag. */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter) == 0)
        return 0;
    if (errno != EINVAL)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}

#endif
