/* tokens - axr-notify --token and --check. */
#ifndef NOTIFY_TOKENS_H
#define NOTIFY_TOKENS_H

#include "conf.h"

#include <stdint.h>

#define TTL_S_MAX INT64_C(3153600000) /* a hundred years */

/* Prints a token for the user that lasts ttl_s (0: for ever), on a line, or with as_json an
 * object.  Returns 0, or EXIT_FAILED when it has been said why not. */
int tokens_make(const struct conf *conf, const char *uid, int64_t ttl_s, int as_json);

/* Prints what a daemon with this configuration would say of the token, "-" being that on
 * standard input.  Returns 0 if it is good, else EXIT_FAILED. */
int tokens_check(const struct conf *conf, const char *token, int as_json);

#endif
