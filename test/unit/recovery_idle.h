/* recovery_idle - recovery that is off. */
#ifndef RECOVERY_IDLE_H
#define RECOVERY_IDLE_H

#include "master/recovery.h"

#include "tap.h"

TAP_FN struct recovery *recovery_idle(struct event_base *base, const struct conf *conf,
                                      struct relay *relay, struct cluster *cluster)
{
    static const struct recovery_ops ops;
    struct recovery *recovery = recovery_new(base, conf, relay, cluster, &ops, NULL);

    if (recovery == NULL)
        abort();
    return recovery;
}

#endif
