/* health - what --health and --live do: ask the daemon that runs with this configuration how it
 * is, on its admin address.  For those who look after containers, in which there may be nothing
 * else that could ask. */
#ifndef MASTER_HEALTH_H
#define MASTER_HEALTH_H

#include "conf.h"

/* Prints what /health or, with live, /health/live answers to standard output, or why there is no
 * answer to standard error.  Returns the exit status: 0 if the answer is 200, else 1. */
int health_run(const struct conf_args *args, int live);

#endif
