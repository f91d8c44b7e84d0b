/* trial_redis - would redis, and the sentinels, do what the daemon wants of them? */
#ifndef MASTER_TRIAL_REDIS_H
#define MASTER_TRIAL_REDIS_H

#include "conf.h"
#include "master/trial.h"

struct trial_redis;

struct privileges;

/* Begins to ask all of them at once, as whom the daemon becomes before it does so (NULL: as we
 * are); both stay.  NULL without memory. */
struct trial_redis *trial_redis_begin(const struct conf *conf, const struct privileges *as);

/* Waits for what they say, three seconds at most, and as long again for the master that sentinels
 * name; frees *redis. */
void trial_redis_end(struct trial *trial, struct trial_redis **redis);

#endif
