/* certificates - those that are in force: their files are read again when they change, and
 * an end that comes near is told once a day. */
#ifndef MASTER_CERTIFICATES_H
#define MASTER_CERTIFICATES_H

#include "conf.h"

#include <stdint.h>

struct certificates;
struct event_base;
struct news;

/* Certificates of the configuration are others now. */
typedef void certificates_fn(void *arg);

struct certificates_stats {
    uint64_t good;   /* times that others came into force */
    uint64_t failed; /* faults of changed files, and times that a reload had to keep old ones */
};

/* news is borrowed, or NULL.  NULL without memory. */
struct certificates *certificates_new(struct event_base *base, struct news *news,
                                      certificates_fn *fn, void *arg);
void certificates_free(struct certificates **certificates);

/* From now on those of conf, which is borrowed until the next call; NULL: of none.  Returns
 * 0, or -1 without memory: not all are watched. */
int certificates_watch(struct certificates *certificates, struct conf *conf);

/* A reload has brought others, or has kept old ones that could not be read. */
void certificates_count(struct certificates *certificates, int good);

/* Looks at the files now.  Returns how many are others, which fn is not told; for tests. */
int certificates_look(struct certificates *certificates);

/* Says which ends are near or over, if that was not said within a day before now (seconds
 * since 1970).  The timer does it every hour. */
void certificates_remind(struct certificates *certificates, int64_t now);

struct certificates_stats certificates_stats(const struct certificates *certificates);

#endif
