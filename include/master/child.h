/* child - what every fork of the master needs done on both sides. */
#ifndef MASTER_CHILD_H
#define MASTER_CHILD_H

#include <stddef.h>
#include <sys/types.h>

/* fork(2), such that nothing buffered is written twice and no signal reaches the
 * child while it has the master's handlers.  The child returns with no handlers
 * (SIGPIPE ignored) and an empty mask.  errno is set where it returns -1. */
pid_t child_fork(void);

/* What overwrites the secrets of this process, and its argument; NULL: nothing. */
void child_set_wipe(void (*wipe)(void *arg), void *arg);

/* In a child that has no use for any secret: calls it. */
void child_wipe(void);

/* In a child of parent: SIGCONT when parent dies, so that it hears of that even where it
 * has been stopped.  Lost with a change of user.  Returns 0, or -1 if parent has died
 * already, and no signal will come. */
int child_outlive(pid_t parent);

/* Closes every descriptor but stdio, the log and those in keep: what the master had
 * open, and what whoever started it had left open. */
void child_close_fds(const int *keep, size_t nkeep);

#endif
