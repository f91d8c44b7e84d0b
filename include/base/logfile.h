/* logfile - the file that the log is written to: opened, or could it be. */
#ifndef BASE_LOGFILE_H
#define BASE_LOGFILE_H

/* Opens it O_APPEND and nonblocking, and makes it (0640) if it is not there: then *made
 * is 1, else 0.  A symbolic link in its place is followed if it is root's or ours, else
 * ELOOP.  Returns the descriptor, or -1 with errno. */
int logfile_open(const char *file, int *made);

/* Opens it as logfile_open() does, so that it is made if it is not there, and closes it.
 * Returns 0, or -1 with errno. */
int logfile_try(const char *file);

/* The same, but nothing is made: of a file that is not there it says whether it could be
 * made. */
int logfile_check(const char *file);

#endif
