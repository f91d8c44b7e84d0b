/* beside - what the service of this machine gives the daemon, and who runs another program by hand
 * does not: options and variables that concern tokens. */
#ifndef CONF_BESIDE_H
#define CONF_BESIDE_H

#include "base/buf.h"
#include "conf.h"

/* Appends a line to lines for each thing that the daemon's service (below root, "" for this
 * machine) has and args has not, so that tokens may be judged in another way: another file, where
 * args names none; else keys, by their names.  None where there is no service, or args is for
 * another daemon.  Ends the process without memory. */
void beside_put(const struct conf_args *args, const char *root, struct buf *lines);

#endif
