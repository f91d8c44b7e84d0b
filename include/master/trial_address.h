/* trial_address - could the daemon listen where it is to, and how many could come? */
#ifndef MASTER_TRIAL_ADDRESS_H
#define MASTER_TRIAL_ADDRESS_H

#include "conf.h"
#include "master/owners.h"
#include "master/trial.h"

struct trial_addresses {
    const struct conf *conf;
    const struct owners *owners;
    const char *file;      /* of the configuration, or NULL: not known */
    const char *low_ports; /* who starts the daemon with the right to ports below 1024: the file
                              that says so; NULL: nobody */
    int is_unit;           /* our limit of open files is that of the unit */
    const char *made_dirs; /* a directory with which it is started, or NULL */
};

/* Binds each address of conf, and that of admin, for a moment, and listens nowhere: who listens
 * there already loses no connection.  Then looks at the pid file and the kernel's limits. */
void trial_addresses(struct trial *trial, const struct trial_addresses *what);

#endif
