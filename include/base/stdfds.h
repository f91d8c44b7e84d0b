/* stdfds - the three standard descriptors. */
#ifndef BASE_STDFDS_H
#define BASE_STDFDS_H

/* Opens /dev/null in place of those that are closed, so that none of their
 * numbers is given to a socket: what is written to standard error would go
 * there, and detaching would replace it.  Returns 0, or -1 with errno. */
int stdfds_open(void);

#endif
