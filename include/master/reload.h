/* reload - which settings differ between two configurations. */
#ifndef MASTER_RELOAD_H
#define MASTER_RELOAD_H

#include "base/buf.h"
#include "conf.h"

/* Appends the keys, separated by ", ", of everything but log:level that is not the
 * same.  Returns how many; no value is shown. */
int reload_changes(const struct conf *now, const struct conf *wanted, struct buf *keys);

#endif
