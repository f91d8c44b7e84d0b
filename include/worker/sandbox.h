/* sandbox - which system calls a worker may make from now on.
 *
 * A worker has everything open when it enters: its sockets, pipes and keys.  What
 * it needs after that is reading and writing, accepting, memory, time, and the log
 * (a file that is opened again, or a new connection to syslog).  Everything else
 * ends the process with SIGSYS: executing, forking, tracing, signals to others
 * (those too that a descriptor can be made to send, with fcntl(2)), sockets that are
 * no Unix sockets, binding, changing files other than the log.  Mapping memory as
 * executable fails.
 *
 * A system call that is newer than this program is answered ENOSYS, so that a
 * newer libc may try it and take the old one.  What is not restricted: the
 * descriptors that are open, which files are opened (the user's rights decide
 * that), and connect(2), which syslog(3) needs. */
#ifndef WORKER_SANDBOX_H
#define WORKER_SANDBOX_H

/* Enters it, for good, with what this process forks or executes.  Returns 0, or -1
 * with errno: the kernel has no seccomp, or this is no machine whose system calls
 * are known here; then nothing is restricted but that no privileges can be
 * gained. */
int sandbox_enter(void);

#endif
