/* filewatch - reads files again when they change: one, or two that belong together.
 *
 * Looks every two seconds at what their names lead to (device, inode, size, times): that
 * sees a file written in place, one renamed over it, and a symbolic link that is turned
 * elsewhere, as Kubernetes mounts secrets and certbot renews, on any file system. */
#ifndef MASTER_FILEWATCH_H
#define MASTER_FILEWATCH_H

#include "base/buf.h"
#include "base/log.h"

#include <stddef.h>

struct event_base;
struct filewatch;

#define FILEWATCH_FILES  2
#define FILEWATCH_UNREAD (-2)

struct filewatch_ops {
    /* Reads them and takes what is good.  Returns 1 if it is another, 0 if nothing has
     * changed, -1 if a file is bad, FILEWATCH_UNREAD if it could not be read, which it may
     * outlive; why, in lines, goes to errors, and what else was found to warnings. */
    int (*reread)(struct buf *errors, struct buf *warnings, void *arg);
    /* They are good: others (changed 1), or, after a fault that was logged, as they were. */
    void (*good)(int changed, void *arg);
    /* A fault has been logged; or NULL. */
    void (*bad)(void *arg);
    /* Behind good(1, arg), by the timer: filewatch_free() is allowed here. */
    void (*changed)(void *arg);
    struct log_entry stays; /* the line of each fault: "the keys stay as they are[: {}]" */
    unsigned patience;      /* so many further looks have to find the same fault before it is
                               logged: files may be written one after the other */
};

/* Copies names, FILEWATCH_FILES at most; ops and arg are borrowed.  The first look, after
 * two seconds, finds what has changed since they were read.  A fault is logged once for each
 * reason.  A bad file is not read again before it changes, one that could not be read is,
 * with each look.  NULL without memory. */
struct filewatch *filewatch_new(struct event_base *base, const char *const *names, size_t n,
                                const struct filewatch_ops *ops, void *arg);

/* *watch may be NULL. */
void filewatch_free(struct filewatch **watch);

/* Looks now.  Returns what reread() last did: FILEWATCH_UNREAD as -1. */
int filewatch_look(struct filewatch *watch);

#endif
