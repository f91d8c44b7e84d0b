/* redis_commands - what redis is told on a connection of ours. */
#ifndef MASTER_REDIS_COMMANDS_H
#define MASTER_REDIS_COMMANDS_H

#include "base/buf.h"
#include "base/slice.h"
#include "conf.h"
#include "master/redis_fault.h"
#include "master/topics.h"

#define REDIS_SYNC "sync" /* comes back behind all that was published before */

struct bufferevent;

/* Where conf has a password: AUTH, before all else, and to the socket itself.  Returns
 * how many +OK are to come, or -1 where it noted a fault. */
int redis_commands_auth(const struct conf_redis *conf, int fd, struct redis_fault *fault);

/* Where it is not the first database: SELECT.  Returns how many +OK are to come, or -1
 * without memory. */
int redis_commands_select(struct bufferevent *bev, int database);

/* The others return 0, or -1 without memory. */
int redis_commands_subscribe(struct bufferevent *bev, const struct topics *topics);

/* PING, to which the answer is a pong with REDIS_SYNC. */
int redis_commands_sync(struct bufferevent *bev);

/* PUBLISH, into a buffer. */
int redis_commands_publish(struct buf *out, struct slice channel, struct slice payload);

#endif
