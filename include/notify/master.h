/* master - where the master is that axr-notify publishes at, by what sentinels say. */
#ifndef NOTIFY_MASTER_H
#define NOTIFY_MASTER_H

#include "conf.h"

/* Where redis has sentinels: asks them in turn, until most of them have answered, and the places
 * that they name whether they are the master, the newest first.  Sets host and port, and takes the
 * sentinels away.  Returns 0, or -1 when it has been said why it was not found. */
int master_find(struct conf_redis *redis);

#endif
