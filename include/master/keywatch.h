/* keywatch - reads the JWKS file again when it changes: filewatch.h says how it is
 * noticed. */
#ifndef MASTER_KEYWATCH_H
#define MASTER_KEYWATCH_H

#include "conf.h"

struct event_base;
struct keywatch;

/* conf->keys are others now; keywatch_free() is allowed here. */
typedef void keywatch_fn(void *arg);

/* conf, which has a jwks_file, is borrowed until keywatch_free().  The first look,
 * after two seconds, finds what changed since conf was loaded.  A file that is bad or
 * gone is logged, once for each reason; the keys stay.  A bad one is not read again
 * before it changes, one that could not be read is, with each look.
 * NULL without memory. */
struct keywatch *keywatch_new(struct event_base *base, struct conf *conf, keywatch_fn *fn,
                              void *arg);

/* *watch may be NULL. */
void keywatch_free(struct keywatch **watch);

/* Looks now.  Returns 1 if the keys are others, 0 if they are as they were, -1 if the
 * file is bad, gone or cannot be read; for tests. */
int keywatch_look(struct keywatch *watch);

#endif
