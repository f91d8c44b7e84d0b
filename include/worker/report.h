/* report - what this worker and its engine have counted, on its way to the master: when
 * it asks, every few seconds if something has changed, and before the worker leaves. */
#ifndef WORKER_REPORT_H
#define WORKER_REPORT_H

#include <stdint.h>

struct conf;
struct engine;
struct event_base;
struct report;
struct rooms;
struct uplink;
struct worker_stats;

#define REPORT_S 3

/* What is told of; borrowed, and read each time. */
struct report_sources {
    const struct conf *conf;
    const struct engine *engine;
    const struct rooms *rooms;
    const struct worker_stats *stats;
};

/* NULL without memory. */
struct report *report_new(struct event_base *base, const struct report_sources *sources,
                          struct uplink *uplink);
void report_free(struct report **report);

/* From now on it is told every REPORT_S seconds, if something has changed.  Returns 0, or
 * -1 without memory. */
int report_start(struct report *report);

/* Tells it now: as the answer to MSG_COUNT with that id; or, with 0, if something has
 * changed. */
void report_send(struct report *report, uint32_t id);

#endif
