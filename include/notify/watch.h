/* watch - axr-notify --watch: what is published in redis, and what is wrong with it. */
#ifndef NOTIFY_WATCH_H
#define NOTIFY_WATCH_H

#include "conf.h"

/* Prints a line for each message until redis is lost or standard output is closed.  Returns
 * EXIT_FAILED, when it has been said why. */
int watch_run(const struct conf *conf);

#endif
