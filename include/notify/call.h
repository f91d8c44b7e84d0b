/* call - axr-notify's connections to redis.  What goes wrong is said on standard error. */
#ifndef NOTIFY_CALL_H
#define NOTIFY_CALL_H

#include "conf.h"

#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdint.h>

struct call;

/* A connection, by TLS if it is on; NULL, and why as far as cap goes, where that has not come about
 * within ms. */
struct call *call_connect(const struct conf_redis *conf, unsigned ms, char *why, size_t cap);

/* The same, and let in; NULL: it has been said why not. */
struct call *call_open(const struct conf_redis *conf);

/* *call may be NULL. */
void call_free(struct call **call);

/* Sends a command and takes its answer, which must be of that type (an array has at most four
 * elements, none of which is an array).  Returns it, for freeReplyObject(), or NULL when it has
 * been said what is wrong. */
redisReply *call_redis(struct call *call, int type, int argc, const char **argv,
                       const size_t *lengths);

/* The same of any type and in silence: NULL, and why, where there is none within ms.  Of who may
 * answer with arrays in arrays. */
redisReply *call_ask(struct call *call, unsigned ms, int argc, const char **argv, char *why,
                     size_t cap);

/* The next reply on a connection that is subscribed, such an array.  Returns 1 and *reply, 0 if
 * there was none until clock_ms() is `until`, -1 when it has been said what is wrong.  rest(arg)
 * is called before it waits. */
int call_next(struct call *call, uint64_t until, redisReply **reply, void (*rest)(void *arg),
              void *arg);

#endif
