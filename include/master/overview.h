/* overview - what the admin address, and who watches there, are told of the master as a whole:
 * for how long it runs, what its parts count, which configuration is in force.  Holds what is
 * kept of the last hour (watch.h). */
#ifndef MASTER_OVERVIEW_H
#define MASTER_OVERVIEW_H

#include "master/admin.h"

struct gaps;
struct overview;
struct reload;
struct running;

/* With an overview as arg. */
extern const struct admin_ops overview_admin_ops;

/* The daemon runs from now on.  running has its base, stats and news, and its other parts before
 * anybody asks; all is borrowed.  NULL without memory. */
struct overview *overview_new(const struct running *running, const struct reload *reload,
                              const struct gaps *gaps);

/* After the admin address; whoever watches still is told no more. */
void overview_free(struct overview **overview);

/* It has been told to stop. */
void overview_stopping(struct overview *overview);

#endif
