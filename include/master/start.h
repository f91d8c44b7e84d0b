/* start - the steps by which a process becomes the daemon. */
#ifndef MASTER_START_H
#define MASTER_START_H

#include "base/buf.h"
#include "conf.h"
#include "master/listen.h"
#include "master/privileges.h"

struct start {
    struct conf *conf;            /* whose log target follows where the log really is */
    const struct conf_args *args; /* what it was made of */
    int status_fd;                /* to whoever waits for the start; -1: nobody */
};

/* The start is over, and so is the process soon: error has one line, for whoever started
 * us and for the log, and is freed; or it is made of what and errno.  Returns -1. */
int start_failed(struct start *start, struct buf *error);
int start_failed_errno(struct start *start, const char *what);

/* Opens the log.  Returns 0, or -1 after start_failed(). */
int start_log(struct start *start);

/* Goes on in a process of its own, without a terminal, with the sockets in both.  Returns 0
 * there; in the one that was called 1, and -1 after start_failed(): then *status is its exit
 * status. */
int start_detach(struct start *start, struct listeners *listeners, struct listeners *admin,
                 int *status);

/* Becomes that user for good.  Returns 0, or -1 with error. */
int start_privileges(const struct start *start, const struct privileges *privileges,
                     struct buf *error);

/* Warns of the sandbox where it is off. */
void start_warn_sandbox(const struct conf *conf);

/* How many connections and files there may be: one line of the log. */
void start_limits_log(const struct conf *conf);

#endif
