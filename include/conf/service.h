/* service - how this machine starts axr-notifyd: with which options and variables, and
 * as whom.  What the unit of systemd or the init script say is read, and nothing is
 * executed; of a script only lines at their margin that set a variable count. */
#ifndef CONF_SERVICE_H
#define CONF_SERVICE_H

#include "base/buf.h"
#include "conf.h"

#include <stddef.h>

struct service {
    char *name;    /* the file that says so */
    char *user;    /* who it is from the start, or NULL: root */
    char *group;   /* or NULL: that user's */
    char **groups; /* and those that it has besides, NULL-terminated; or NULL */
    char **words;  /* options as on the command line, from -c on */
    size_t nwords;
    char **environ; /* NAME=VALUE..., NULL-terminated */
    char *log_dir;  /* made for it before it starts, or NULL */
    long files;     /* its hard limit of open files; 0: not said */
    int low_ports;  /* it may bind ports below 1024, whoever it is */
};

/* Looks for it below root ("" for this machine): the unit where systemd runs, else the
 * init script, each with /etc/default/axr-notifyd.  Returns 1, or 0 if there is none.
 * What cannot be told without a shell or not be read is a line in notes.  Free *service
 * with service_clear().  For the start only: ends the process without memory. */
int service_find(struct service *service, const char *root, struct buf *notes);

/* Its options and variables, behind them those of more (NULL: none), which count more: as
 * conf_args_split() has them.  Returns 0, or -1 with a line in errors: the daemon does not take
 * them either.  Free *args with conf_args_clear() either way. */
int service_args(struct conf_args *args, const struct service *service,
                 const struct conf_args *more, struct buf *errors);

/* The file that is its configuration, or NULL: the default one. */
const char *service_config(const struct service *service);

void service_clear(struct service *service);

#endif
