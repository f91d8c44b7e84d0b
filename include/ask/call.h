/* call - a connection to redis, or to a sentinel, for who has nothing to do but to wait for each
 * answer, and not for long.  What goes wrong is said by the caller: `why`, as far as cap goes. */
#ifndef ASK_CALL_H
#define ASK_CALL_H

#include "conf.h"

#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdint.h>

struct call;

/* A connection, by TLS if it is on; NULL, and why, where that has not come about within ms. */
struct call *call_connect(const struct conf_redis *conf, unsigned ms, char *why, size_t cap);

/* Says user and password, if there are any.  Returns 0, or -1 and why. */
int call_auth(struct call *call, const struct conf_redis *conf, unsigned ms, char *why, size_t cap);

/* *call may be NULL. */
void call_free(struct call **call);

/* Sends a command and waits for its answer, which has four elements at most where it is an array,
 * none of them an array.  Returns it, for freeReplyObject(), or NULL and why, where there is none
 * within ms. */
redisReply *call_command(struct call *call, unsigned ms, int argc, const char **argv,
                         const size_t *lengths, char *why, size_t cap);

/* The same of who may answer with arrays in arrays; argv are texts. */
redisReply *call_ask(struct call *call, unsigned ms, int argc, const char **argv, char *why,
                     size_t cap);

/* The next reply on a connection that is subscribed, an array as of call_command().  Returns 1 and
 * *reply, 0 if there was none until clock_ms() is `until`, -1 and why.  rest(arg), unless NULL, is
 * called before it waits. */
int call_wait(struct call *call, uint64_t until, redisReply **reply, void (*rest)(void *arg),
              void *arg, char *why, size_t cap);

#endif
