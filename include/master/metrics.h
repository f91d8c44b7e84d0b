/* metrics - the status and what workers have counted in Prometheus' text form: text/plain;
 * version=0.0.4 (prometheus/docs, content/docs/instrumenting/exposition_formats.md). */
#ifndef MASTER_METRICS_H
#define MASTER_METRICS_H

#include "base/buf.h"

struct status;

/* Everything. */
void metrics_put(const struct status *status, struct buf *out);

#endif
