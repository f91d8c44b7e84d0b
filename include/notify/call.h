/* call - axr-notify's connections to redis.  What goes wrong is said on standard error. */
#ifndef NOTIFY_CALL_H
#define NOTIFY_CALL_H

#include "conf.h"

#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdint.h>

/* A connection that has been let in, for redisFree(); NULL: it has been said why not. */
redisContext *call_open(const struct conf_redis *conf);

/* Sends a command and takes its answer, which must be of that type (an array has at most four
 * elements, none of which is an array).  Returns it, for freeReplyObject(), or NULL when it has
 * been said what is wrong. */
redisReply *call_redis(redisContext *redis, int type, int argc, const char **argv,
                       const size_t *lengths);

/* The next reply on a connection that is subscribed, such an array.  Returns 1 and *reply, 0 if
 * there was none until clock_ms() is `until`, -1 when it has been said what is wrong.  rest(arg)
 * is called before it waits. */
int call_next(redisContext *redis, uint64_t until, redisReply **reply, void (*rest)(void *arg),
              void *arg);

#endif
