/* watch - GET /events: what the daemon does, told to who watches, as it happens; and the hour that
 * is kept for that (trend.h).
 *
 * Server-sent events: "hour" once, then "now" each second and "point" every ten.  What is told is
 * encoded once for all.  The workers are asked every ten seconds, for the hour, and each second
 * while somebody watches; of the samples that are made of their answers the last WATCH_SAMPLES
 * are kept, each some 3 KB and 160 bytes for each worker. */
#ifndef MASTER_WATCH_H
#define MASTER_WATCH_H

#define WATCH_MS      1000
#define WATCH_SAMPLES 24

struct caller;
struct event_base;
struct news;
struct stats;
struct status;
struct watch;

struct watch_ops {
    /* Fills status, which is zero but for its statistics. */
    void (*status)(struct status *status, void *arg);
};

/* Begins to keep the hour.  All is borrowed.  NULL without memory. */
struct watch *watch_new(struct event_base *base, struct stats *stats, const struct news *news,
                        const struct watch_ops *ops, void *arg);

/* Whoever watches still is told no more. */
void watch_free(struct watch **watch);

/* Answers the caller, who is taken: it watches from now on, or has been refused. */
void watch_add(struct watch *watch, struct caller *caller);

#endif
