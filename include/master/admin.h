/* admin - the admin address: status, health, metrics, users and messages over HTTP.
 *
 * Accepting, and what is at which path (admin_routes.h); a connection is caller.h's.  When
 * there are ADMIN_CALLERS of them a new one takes the place of the oldest, but for those that
 * have shown admin:token: when there are ADMIN_POSTS of these, further ones are refused.  Nothing
 * here blocks.
 *
 *     GET /                           a page for browsers
 *     GET /events                     ... and what it shows, as it happens
 *     GET /status                     what runs here, as JSON
 *     GET /health                     200 if a worker serves and redis is subscribed, else 503
 *     GET /health/live                200
 *     GET /metrics                    for Prometheus
 *     GET /users/<uid>                is this user connected, how often, in which rooms
 *     POST /users/<uid>/disconnect    its connections are closed
 *     POST /emit                      a message is published (emit_call.h)
 *
 * uid is percent-encoded.  HEAD is taken where GET is.  Whoever connects may read; what changes
 * something takes admin:token (access.h). */
#ifndef MASTER_ADMIN_H
#define MASTER_ADMIN_H

#include "base/buf.h"
#include "base/slice.h"
#include "master/listen.h"
#include "master/status.h"

#include <stddef.h>

#define ADMIN_CALLERS 128
#define ADMIN_POSTS   64

struct asking;
struct caller;
struct event_base;
struct admin;

struct admin_ops {
    /* Fills status, which is zero. */
    void (*status)(struct status *status, void *arg);
    /* Fills user, which is zero.  Its list is freed by the caller, what is in it is valid as
     * long as nothing else is done. */
    void (*user)(struct slice uid, struct status_user *user, void *arg);
    /* What is in force.  NULL: nothing can be changed. */
    const struct conf *(*conf)(void *arg);
    /* Begins the stream of events for caller, or answers it (caller.h).  NULL: there is none. */
    void (*watch)(struct caller *caller, void *arg);
};

/* Binds: admin:host may have several addresses, and all get the same port.  names as
 * of listen_open().  Returns 0, or -1 with a line in error, which else stays as it is. */
int admin_open(struct listeners *listeners, const char *host, int port, const struct names *names,
               struct buf *error);

/* Serves on *listeners, which it takes (and empties) where it succeeds, and says in
 * the log where.  stats, asking (NULL: there is nobody to be asked, and nothing can be changed) and
 * ops are borrowed. NULL without memory. */
struct admin *admin_new(struct event_base *base, struct listeners *listeners, struct stats *stats,
                        struct asking *asking, const struct admin_ops *ops, void *arg);

/* Appends the addresses where it serves, without the port, one a line. */
void admin_addresses(const struct admin *admin, struct buf *out);

/* Closes its sockets; answers on their way are cut off. */
void admin_free(struct admin **admin);

#endif
