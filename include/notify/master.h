/* master - where the master is that axr-notify publishes at, by what sentinels say. */
#ifndef NOTIFY_MASTER_H
#define NOTIFY_MASTER_H

#include "conf.h"

/* As place_find() (ask/place.h): 0, or -1 when it has been said why it was not found. */
int master_find(struct conf_redis *redis);

#endif
