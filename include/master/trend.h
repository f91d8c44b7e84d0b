/* trend - the last hour, in steps of ten seconds: how many there were, how many a second, and how
 * long deliveries took.
 *
 * It goes by the monotonic clock: one that is set does nothing to it.  A step for which nobody
 * took a sample is a gap; what was counted in it is in the rates of the next, over all the time
 * since the last sample.  It has TREND_POINTS of TREND_COLUMNS numbers, 38 KB, from the start. */
#ifndef MASTER_TREND_H
#define MASTER_TREND_H

#include "base/buf.h"

#include <stdint.h>

#define TREND_STEP_MS 10000
#define TREND_POINTS  361 /* both ends of an hour */

struct sample;
struct trend;

/* Nothing has been counted at now_ms, of clock_ms().  NULL without memory. */
struct trend *trend_new(uint64_t now_ms);
void trend_free(struct trend **trend);

/* The next point, for the step that is next to the sample's time.  Where there is one of that
 * step, or of a later one, nothing happens.  Returns 1 if there is a point more, else 0. */
int trend_add(struct trend *trend, const struct sample *sample);

/* {"step","end",...}: all of it, a column each, the oldest first; end is when the last point was,
 * by the wall clock, which is wall_ms at now_ms. */
void trend_put_hour(const struct trend *trend, uint64_t now_ms, int64_t wall_ms, struct buf *out);

/* The same of the last point alone, a number each.  There has to be one. */
void trend_put_point(const struct trend *trend, uint64_t now_ms, int64_t wall_ms, struct buf *out);

/* A number of that kind as the two above put it: rounded to a millionth, null for NaN. */
void trend_put_number(double value, struct buf *out);

#endif
