/* probe - a connection to a redis that may be the master: is it one, and is it still?
 *
 * It is asked for its ROLE, at first and every 500 ms, and has a second for each answer.  One
 * that does not allow the question is taken for a master as long as it answers at all. */
#ifndef MASTER_PROBE_H
#define MASTER_PROBE_H

#include "conf.h"
#include "master/redis_link.h"

#include <stdint.h>

struct probe;
struct redis_replies;
struct tls_client;

struct probe_ops { /* none may call probe_clear */
    /* It is a master: told once for each probe_start(). */
    void (*master)(struct probe *probe, void *arg);
    /* It is none (the kind of link.fault is REDIS_FAULT_MASTER), or cannot be asked; why is in
     * link.fault.  Nothing more comes until it is started again. */
    void (*lost)(struct probe *probe, void *arg);
};

struct probe { /* fields are private, but for those that are said to be not */
    const struct probe_ops *ops;
    void *arg;
    struct conf_redis server; /* to be read: host and port; the rest is borrowed */
    char host[256];
    struct redis_link link; /* to be read: fault and where */
    struct redis_replies *replies;
    struct event *timer; /* for the answer; or the next question */
    uint64_t attempts;
    unsigned oks;  /* to come */
    int is_asked;  /* for its role */
    int is_master; /* it has said so */
    int is_blind;  /* it does not say */
    uint64_t asked_ms;
    uint64_t master_ms; /* to be read: when it was asked what it has answered last */
};

/* Of conf only the credentials count; it, client and ops are borrowed.  Returns 0, or -1 without
 * memory: probe_clear() undoes either. */
int probe_init(struct probe *probe, struct event_base *base, const struct conf_redis *conf,
               const struct tls_client *client, const struct probe_ops *ops, void *arg);
/* In a child: gives up the secrets of TLS. */
void probe_disown(struct probe *probe);
void probe_clear(struct probe *probe);

/* It goes to that place (copied), from the loop's next turn on. */
void probe_start(struct probe *probe, const char *host, int port);
void probe_stop(struct probe *probe);

/* It is asked at once. */
void probe_ask(struct probe *probe);

#endif
