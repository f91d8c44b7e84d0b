/* check - what -t says: is this configuration good where it will be in force? */
#ifndef MASTER_CHECK_H
#define MASTER_CHECK_H

#include "base/buf.h"
#include "base/log.h"
#include "conf.h"

/* Reads and checks the configuration, and prints it, or what is wrong with it, and
 * whether it could be written.  As root, and if it is the one that the machine's service
 * (conf/service.h) runs with, then with that service's options and variables, and as its
 * user, who this process is from then on.  With connect it prints what came of trying redis and the
 * addresses in place of the configuration (trial.h), in some seconds at most; a daemon that runs is
 * not disturbed.  Returns the exit status. */
int check_run(const struct conf_args *args, int connect);

/* Each line of text to standard error, after the name of the program. */
void check_complain(const struct buf *text, enum log_level level);

/* Flushes standard output.  Returns 0, or -1 (reported) if not all has arrived. */
int check_flushed(void);

#endif
