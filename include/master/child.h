/* child - what every fork of the master needs done on both sides. */
#ifndef MASTER_CHILD_H
#define MASTER_CHILD_H

#include <stddef.h>
#include <sys/types.h>

/* fork(2), such that nothing buffered is written twice and no signal reaches the
 * child while it has the master's handlers.  The child returns with no handlers
 * (SIGPIPE ignored) and an empty mask.  errno is set where it returns -1. */
pid_t child_fork(void);

/* Closes what the master had open: every socket, pipe and event descriptor but
 * stdio and those in keep.  Files stay, for one of them is the log. */
void child_close_fds(const int *keep, size_t nkeep);

#endif
