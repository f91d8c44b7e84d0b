/* conf/source - the file, the environment and the command line, read into the
 * settings in this order.  Private to conf/. */
#ifndef CONF_SOURCE_H
#define CONF_SOURCE_H

#include "conf/settings.h"

#include <stddef.h>

/* text is what to read in place of the file, or NULL.  Returns 0, or -1 where
 * the file could not be read or is no JSON: then what it holds is unknown, and
 * nothing can be said of what is missing.  Errors are in the settings. */
int sources_read(struct settings *set, const char *text, size_t len);

/* 1 if a value given to name on the command line may be or hold a secret. */
int source_arg_secret(const char *name);

/* The key that name is on the command line, or the variable (NAME=VALUE, with one that is not
 * empty) in the environment; NULL: none. */
const struct key *source_arg_key(const char *name);
const struct key *source_env_key(const char *variable);

/* 1 if tokens are made or checked by it, or by what is in it. */
int source_concerns_tokens(const struct key *key);

/* 1 if the value of that variable (NAME=VALUE) may be or hold a secret of ours. */
int source_env_secret(const char *variable);

#endif
