/* pidfile - the file that says which process is the master.
 *
 * While that lives it holds a lock on it: a file that nobody holds is a leftover,
 * whatever number is in it. */
#ifndef MASTER_PIDFILE_H
#define MASTER_PIDFILE_H

#include "base/buf.h"

struct pidfile { /* {.fd = -1} is none */
    int fd;
    char *path; /* absolute */
};

/* Is the file another's that lives?  Returns 0 if it is free, -1 with a line in error. */
int pidfile_check(const char *path, struct buf *error);

/* Makes and locks it (mode 0644) with the number of this process, which has to stay
 * the one that lives: locks do not go through fork, and go if this process ever
 * opens and closes the file again.  Returns 0, or -1 with a
 * line in error. */
int pidfile_write(struct pidfile *pidfile, const char *path, struct buf *error);

/* Removes it if it is still ours, and lets it go. */
void pidfile_remove(struct pidfile *pidfile);

#endif
