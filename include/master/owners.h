/* owners - whose the sockets are on which this machine's programs listen, as far as /proc tells
 * who asks. */
#ifndef MASTER_OWNERS_H
#define MASTER_OWNERS_H

#include <sys/socket.h>
#include <sys/types.h>

struct owners;

/* NULL without memory.  Root sees all; who gives that up afterwards keeps what it has seen. */
struct owners *owners_read(void);
void owners_free(struct owners **owners);

struct owner {
    pid_t pid; /* the first of those that share it; 0: it is not to be seen whose it is */
    char name[64];
    char file[4096]; /* that it has after -c; empty: it has none, or that is not to be seen */
};

/* Who listens at addr, or at addresses that it is among, or on that path.  Returns 1, or 0 if
 * nobody does. */
int owners_find(const struct owners *owners, const struct sockaddr *addr, struct owner *owner);
int owners_find_path(const struct owners *owners, const char *path, struct owner *owner);

/* The pid of a process called so, or 0: everybody sees the names. */
pid_t owners_named(const char *name);

#endif
