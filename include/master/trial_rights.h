/* trial_rights - one redis, asked for all that the daemon wants of it, by commands that change
 * nothing there. */
#ifndef MASTER_TRIAL_RIGHTS_H
#define MASTER_TRIAL_RIGHTS_H

#include "conf.h"
#include "master/trial.h"

/* Connects to it, says who we are, and asks.  Whoever calls it is a process of its own: a name
 * that cannot be looked up may take long. */
void trial_rights(struct trial *trial, const struct conf *conf, const struct conf_redis *at);

/* What to do where a connection or an answer fails with why, with what stands before it; or
 * empty. */
const char *trial_hint(const char *why, int is_sentinel);

#endif
