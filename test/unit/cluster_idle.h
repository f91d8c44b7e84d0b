/* cluster_idle - a cluster in which nobody asks anything. */
#ifndef CLUSTER_IDLE_H
#define CLUSTER_IDLE_H

#include "master/cluster.h"

#include "tap.h"

TAP_FN void idle_send(unsigned lane, const void *message, size_t len, void *arg)
{
    (void)lane, (void)message, (void)len, (void)arg;
}

TAP_FN int idle_publish(uint32_t via, struct slice channel, struct buf *payload,
                        void (*done)(int ok, void *done_arg), void *done_arg, void *arg)
{
    (void)via, (void)channel, (void)payload, (void)done, (void)done_arg, (void)arg;
    return -1;
}

TAP_FN void idle_wake(unsigned ms, void *arg)
{
    (void)ms, (void)arg;
}

TAP_FN struct cluster *cluster_idle(const struct conf *conf, struct relay *relay)
{
    static const struct responder_ops ops = {idle_send, idle_publish, idle_wake};
    struct cluster *cluster = cluster_new(conf, relay, &ops, NULL);

    if (cluster == NULL)
        abort();
    return cluster;
}

#endif
