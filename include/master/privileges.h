/* privileges - become the configured user, for good, and leave no traces. */
#ifndef MASTER_PRIVILEGES_H
#define MASTER_PRIVILEGES_H

#include "base/buf.h"
#include "conf.h"

#include <sys/types.h>

struct privileges {   /* whom to become */
    const char *user; /* for initgroups, or NULL */
    char **groups;    /* more of them, NULL-terminated; or NULL */
    uid_t uid;
    gid_t gid;
    int change;    /* 0: stay who we are */
    int low_ports; /* some are configured, so a reload may bind one */
};

/* Looks conf's user and group (names or numbers, either may be NULL) up.  Returns
 * 0, or -1 with a line in error: unknown, or not ours to become.  conf is borrowed. */
int privileges_find(struct privileges *found, const struct conf *conf, struct buf *error);

/* The same of names that are not conf's, without low ports; for a process of root.
 * groups are for its member of that name, and borrowed, too. */
int privileges_named(struct privileges *found, const char *user, const char *group, char **groups,
                     struct buf *error);

/* Are conf's user and group known on this machine?  Returns 0, or -1 with a line in
 * error. */
int privileges_known(const struct conf *conf, struct buf *error);

/* Becomes them, and makes sure that there is no way back.  Whoever is not root
 * afterwards has no capability left but CAP_NET_BIND_SERVICE, and that only with
 * low_ports; root by configuration keeps what it has.  Returns 0, or -1 with a
 * line in error: then this process must end. */
int privileges_drop(const struct privileges *found, struct buf *error);

/* umask 077, no core dumps, no debugger of our user, and no setuid program after
 * exec; children inherit it.  After privileges_drop(), which would undo some of it. */
void privileges_harden(void);

#endif
