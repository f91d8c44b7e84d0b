/* redis_link - one connection to redis, made again whenever it is lost: after 50 ms, doubling
 * to 1 s, with jitter.  What is said on it is its owner's.
 *
 * With TLS (redis_tls.h) it begins when redis has shown a certificate that holds, within the
 * same time as an attempt without. */
#ifndef MASTER_REDIS_LINK_H
#define MASTER_REDIS_LINK_H

#include "conf.h"
#include "master/redis_fault.h"
#include "master/redis_tls.h"

#include <stddef.h>
#include <stdint.h>

struct bufferevent;
struct event;
struct event_base;
struct redis_connect;
struct tls_client;

#define REDIS_LINK_MAX_MS 1000 /* the longest time between two attempts */

struct redis_link_ops {
    /* It is connected: what is asked first goes to bev, or at once to wire.  Returns 0, or -1
     * where a fault was noted. */
    int (*begin)(struct bufferevent *bev, const struct redis_wire *wire, void *arg);
    /* Bytes have come.  Likewise. */
    int (*input)(const char *bytes, size_t len, void *arg);
    /* An attempt has failed (was_up is 0), or the connection is lost; the next attempt comes
     * by itself.  Why is in the fault that was noted last.  The link must not be cleared. */
    void (*lost)(int was_up, void *arg);
    unsigned attempt_ms; /* to connect, and to be up */
    const char *goal;    /* for the log: not GOAL within ... */
};

enum redis_link_state {
    REDIS_LINK_WAITS,
    REDIS_LINK_CONNECTS,
    REDIS_LINK_SHAKES, /* hands, by TLS */
    REDIS_LINK_ASKS,
    REDIS_LINK_UP
};

struct redis_link { /* fields are private, but for those that are said to be not */
    struct event_base *base;
    const struct conf_redis *server;
    const struct tls_client *client; /* NULL: no TLS */
    uint64_t *attempts;              /* counts them */
    const struct redis_link_ops *ops;
    void *arg;

    char where[256];          /* to be read: the server, for the log */
    struct redis_fault fault; /* to be noted in; acted on at the end of the event */
    uint64_t read_us;         /* to be read: when the bytes at hand were read */
    uint64_t bytes;           /* to be read: how many have come, all told */

    enum redis_link_state state;
    struct redis_connect *connect;
    struct redis_wire wire;  /* of the connection */
    struct bufferevent *bev; /* writes; owned by wire.tls, or owns the socket */
    struct event *input;     /* reads the socket */
    int has_read;            /* something came over this connection */
    struct event *timer;     /* the attempt's deadline, or the next one's time */
    int is_held;             /* WAITS: for a place, not for the time */
    int paused;
    uint32_t backoff_ms;
    uint64_t up_ms;
};

/* It does nothing before redis_link_start().  client: redis_tls_client().  server, client, attempts
 * and ops are borrowed.  Returns 0, or -1 without memory; redis_link_clear() undoes either. */
int redis_link_init(struct redis_link *link, struct event_base *base,
                    const struct conf_redis *server, const struct tls_client *client,
                    uint64_t *attempts, const struct redis_link_ops *ops, void *arg);
void redis_link_clear(struct redis_link *link);

/* The first attempt is made so much later. */
void redis_link_start(struct redis_link *link, unsigned ms);

/* There is no connection, and no attempt any more. */
void redis_link_stop(struct redis_link *link);

/* What it was connected for has come about. */
void redis_link_up(struct redis_link *link);
int redis_link_is_up(const struct redis_link *link);

/* Acts on the fault that was noted. */
void redis_link_fail(struct redis_link *link);

/* Reads nothing until it is resumed, or until it is another connection. */
void redis_link_pause(struct redis_link *link);
void redis_link_resume(struct redis_link *link);

/* The server may have no host and no path: then it is not known where it is, and no attempt is
 * made.  What happens to that: */
enum redis_place_change {
    REDIS_PLACE_FOUND, /* it has a place (again), which is not another one */
    REDIS_PLACE_MOVED, /* another one, or none any more: a connection to the one before is lost */
    REDIS_PLACE_SOUGHT /* it has none, though one was looked for: that is a failed attempt */
};

struct redis_place { /* why, where that is a fault */
    enum redis_place_change change;
    enum redis_fault_kind kind;
    char why[256];
};

/* Acts on it; a change to a place is followed at once.  Not from within ops. */
void redis_link_place(struct redis_link *link, const struct redis_place *place);

/* In a child: gives up the secrets of TLS. */
void redis_link_wipe(struct redis_link *link);

/* How many bytes the other side has not taken yet; what encryption adds may be among them. */
size_t redis_link_waiting(const struct redis_link *link);

#endif
