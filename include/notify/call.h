/* call - axr-notify's connections to redis.  What goes wrong is said on standard error. */
#ifndef NOTIFY_CALL_H
#define NOTIFY_CALL_H

#include "ask/call.h"

/* A connection that is let in; NULL: it has been said why not. */
struct call *call_open(const struct conf_redis *conf);

/* Sends a command and takes its answer, which must be of that type, as call_command().  Returns
 * it, for freeReplyObject(), or NULL when it has been said what is wrong. */
redisReply *call_redis(struct call *call, int type, int argc, const char **argv,
                       const size_t *lengths);

/* As call_wait(); -1 when it has been said what is wrong. */
int call_next(struct call *call, uint64_t until, redisReply **reply, void (*rest)(void *arg),
              void *arg);

#endif
