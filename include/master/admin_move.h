/* admin_move - the admin address at a reload: what is to come is bound before anything of the
 * new configuration is in force, and what was is come back to where that fails. */
#ifndef MASTER_ADMIN_MOVE_H
#define MASTER_ADMIN_MOVE_H

#include "conf.h"
#include "master/listen.h"

struct names;
struct running;

struct admin_move {
    struct running *running;
    struct listeners listeners; /* of what is to come, until the admin address has them */
};

/* Is admin:host and admin:port the same in both? */
int admin_move_is_none(const struct conf *a, const struct conf *b);

/* Binds what is to come, if it is another; names (listen_open()) has its host.  The port that is
 * ours now is not free before it is given up: then only the address is tried, with another port.
 * Returns 0, or -1 with a line in the log. */
int admin_move_check(struct admin_move *move, const struct conf *wanted, const struct names *names);

/* Serves where the configuration in force says, and no more where that before it, was, did; with
 * nothing to change nothing is done.  names is added to.  A line in the log says where nothing is
 * served any more, for the address cannot be bound and the one before it neither. */
void admin_move_make(struct admin_move *move, const struct conf *was, struct names *names);

/* Closes what was bound and has come to nothing. */
void admin_move_clear(struct admin_move *move);

#endif
