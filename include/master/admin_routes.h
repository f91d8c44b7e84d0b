/* admin_routes - what is at the paths of the admin address: each answers a request, at once or
 * later, in a file for each group of them (admin_state.c, admin_user.c).  admin.c says which is
 * where, and who may. */
#ifndef MASTER_ADMIN_ROUTES_H
#define MASTER_ADMIN_ROUTES_H

#include "base/slice.h"
#include "master/admin.h"
#include "master/caller.h"

struct asking;
struct stats;

#define ADMIN_LOOKUPS 4 /* questions at once (asking.h) of those who need no token */

/* What they have to work with. */
struct admin_desk {
    struct stats *stats;
    struct asking *asking; /* NULL: this is the only server */
    const struct admin_ops *ops;
    void *arg; /* of ops */
};

/* A request; what is in it is valid for the call. */
struct admin_call {
    struct caller *caller;
    const struct admin_desk *desk;
    struct slice name;  /* what the path has in place of the "*" of its route, not decoded */
    struct slice query; /* not decoded; of GET */
    struct slice body;  /* of POST */
};

/* --- admin_state.c: what runs here --- */
void admin_status(const struct admin_call *call);
void admin_health(const struct admin_call *call);
void admin_live(const struct admin_call *call);
void admin_metrics(const struct admin_call *call);
void admin_events(const struct admin_call *call);

/* --- page.c: the page, page.html --- */
void admin_page(const struct admin_call *call);

/* --- admin_user.c: name is a user --- */
void admin_user(const struct admin_call *call);
void admin_disconnect(const struct admin_call *call);

/* --- admin_emit.c --- */
void admin_emit(const struct admin_call *call);

#endif
