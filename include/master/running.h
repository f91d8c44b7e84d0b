/* running - the parts of the master, while it runs: it sets them up one by one, and a reload
 * acts on them.  What is not there yet is NULL. */
#ifndef MASTER_RUNNING_H
#define MASTER_RUNNING_H

#include "conf.h"
#include "master/listen.h"

struct admin;
struct admin_ops;
struct asking;
struct cluster;
struct event_base;
struct feed;
struct news;
struct pool;
struct presence;
struct recovery;
struct relay;
struct stats;
struct ticketing;

struct running {
    struct event_base *base;
    const struct conf_args *args; /* to be read again */
    int detached;                 /* what goes to stderr goes to syslog */
    struct relay *relay;
    struct stats *stats;
    struct cluster *cluster;
    struct presence *presence;
    struct recovery *recovery;
    struct ticketing *ticketing;
    struct news *news;
    struct pool *pool;
    struct feed *feed;
    struct asking *asking;
    const struct admin_ops *admin_ops;
    void *admin_arg;

    /* What it changes. */
    struct conf *conf; /* what is in force */
    struct listeners listeners;
    struct admin *admin;
};

#endif
