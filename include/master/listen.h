/* listen - the sockets where clients connect: bound once by the master, shared
 * by all workers. */
#ifndef MASTER_LISTEN_H
#define MASTER_LISTEN_H

#include "base/buf.h"
#include "conf.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct names;

struct listener {
    int fd;
    unsigned entry;  /* of conf->listen */
    char *unix_path; /* absolute; NULL: TCP */
    dev_t dev;       /* of the socket file that is ours */
    ino_t ino;
};

struct listeners { /* zero is empty */
    struct listener *at;
    int *fds;        /* the same descriptors, as workers get them ... */
    uint8_t *speaks; /* ... and what comes first on each: ipc/start.h */
    size_t n;
};

/* Binds everything conf->listen names.  Where names is NULL a host name is looked up
 * here, which may take its time; else names has it.  No host: all addresses, IPv4 and IPv6 on
 * one socket.  A host that has several addresses gets a socket for each; an IPv6
 * address takes IPv6 only.  A Unix socket that nobody listens on is replaced.
 * Returns 0, or -1 with a line in error, and then nothing is bound. */
int listen_open(struct listeners *listeners, const struct conf *conf, const struct names *names,
                struct buf *error);

/* Begins to look up what listen_reopen() will have to know.  Returns 0, or -1 with
 * errno. */
int listen_ask(struct names *names, const struct conf *conf, const struct conf *was);

/* The same on a reload: from, with the configuration was, has what is bound now.  What
 * both configurations name is not bound anew: the sockets are shared (as copies of the
 * descriptors), so nobody who waits on one is lost. */
int listen_reopen(struct listeners *listeners, const struct conf *conf, const struct names *names,
                  const struct listeners *from, const struct conf *was, struct buf *error);

/* Closes those that listen_reopen() made others of, or the others: what stays shares
 * no more with them, and socket files that are not among what stays are removed. */
void listen_leave(struct listeners *listeners, const struct listeners *stays);

/* Appends what is really bound: "127.0.0.1:3000 [::1]:3000 unix:/run/axr.sock". */
void listen_names(const struct listeners *listeners, struct buf *out);

/* Appends the addresses that are bound, without their ports, one a line. */
void listen_addresses(const struct listeners *listeners, struct buf *out);

/* Closes them and, with remove, ends the listening in every process that shares
 * them, at once, and takes away the socket files that are still ours. */
void listen_close(struct listeners *listeners, int remove);

#endif
