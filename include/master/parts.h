/* parts - the relay, the cluster, the presence and the statistics of the master; what they say
 * to workers, which the pool sends, and to redis, which the feed does. */
#ifndef MASTER_PARTS_H
#define MASTER_PARTS_H

struct parts;
struct running;

/* Makes them for running (borrowed), and with its conf.  NULL without memory. */
struct parts *parts_new(struct running *running);

/* They go, and running has none. */
void parts_free(struct parts **parts);

#endif
