/* daemon - into the background, and what the foreground hears of the start. */
#ifndef MASTER_DAEMON_H
#define MASTER_DAEMON_H

/* Leaves the terminal: two forks, a session of its own, / as directory, stdio to
 * /dev/null.  Returns
 *   0 in the daemon; *status_fd is for the next two functions;
 *   1 in the process that was called, once the start is over; *status is its exit
 *     status, and what went wrong is on stderr;
 *   -1 with errno, before anything was forked. */
int daemon_detach(int *status_fd, int *status);

/* The start is over, well or with a line that says why not.  Closes *status_fd
 * and sets it to -1, or does nothing where it is -1 already.  A daemon that ends
 * without either has failed. */
void daemon_ready(int *status_fd);
void daemon_failed(int *status_fd, const char *why);

/* path as it is found from / too; the caller frees it. */
char *daemon_path(const char *path);

#endif
