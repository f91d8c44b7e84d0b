#include "master/gone.h"

#include "base/clock.h"
#include "base/pages.h"
#include "ipc/start.h"
#include "master/absent.h"
#include "master/orders.h"
#include "master/route.h"
#include "master/sessions.h"

#include <stdlib.h>
#include <string.h>

#define FLOOD     2000
#define TURN_MAX  5000 /* whose time is up, at once */
#define PUT_DROPS 4    /* ... and with each that comes */
#define ROOMS_MIN 16

#define RECENT_LANE 0

struct gone {
    struct sessions *sessions;
    struct route *route;
    struct absents absents;
    struct orders orders;
    uint64_t keep_ms;
    uint64_t from;           /* those with a lower number are forgotten, and about to be freed */
    size_t nforgotten;       /* of them: that are still there */
    struct gone_room *rooms; /* of the one that was found last */
    size_t cap;
    uint8_t youth[START_LANES]; /* of who comes in while a worker has requests to carry out; counts
                                   how often it had none */
    size_t most;                /* that there have been, until they were few again */
    int64_t floor_ms, last_request_ms;
    uint64_t requests;
    uint64_t unkept;      /* the last of them that recent has not */
    struct orders recent; /* those of gone_keep_requests(), as if sent to RECENT_LANE */
    int keeps_requests;
    uint64_t forgotten;
};

struct gone *gone_new(struct sessions *sessions, struct route *route, uint64_t keep_ms)
{
    struct gone *gone = calloc(1, sizeof(*gone));

    if (gone == NULL)
        return NULL;
    gone->sessions = sessions;
    gone->route = route;
    gone->keep_ms = keep_ms;
    absents_init(&gone->absents);
    orders_init(&gone->orders);
    orders_init(&gone->recent);
    return gone;
}

void gone_free(struct gone **gonep)
{
    struct gone *gone = *gonep;

    if (gone == NULL)
        return;
    for (unsigned lane = 0; lane < START_LANES; lane++)
        route_joining(gone->route, lane, ROUTE_NOT_JOINING);
    absents_clear(&gone->absents);
    orders_clear(&gone->orders);
    orders_clear(&gone->recent);
    free(gone->rooms);
    free(gone);
    *gonep = NULL;
}

void gone_keep(struct gone *gone, uint64_t keep_ms)
{
    gone->keep_ms = keep_ms;
}

/* --- what is forgotten ----------------------------------------------------------- */

static void count_forgotten(struct gone *gone, size_t n)
{
    gone->forgotten += n;
    gone->floor_ms = clock_wall_ms();
}

static size_t known(const struct gone *gone)
{
    return gone->absents.sessions.count - gone->nforgotten;
}

/* All, at once; freed bit by bit. */
static void forget_all(struct gone *gone)
{
    count_forgotten(gone, known(gone));
    gone->nforgotten = gone->absents.sessions.count;
    gone->from = gone->absents.number;
}

static void take(struct gone *gone, struct absent *absent)
{
    gone->nforgotten -= absent->number < gone->from;
    absents_take(&gone->absents, absent);
}

static int is_due(const struct gone *gone, const struct absent *absent, uint64_t now_ms)
{
    return absent->number < gone->from || now_ms >= absent->put_ms + gone->keep_ms;
}

/* Those whose time is up, up to n of them. */
static void drop_due(struct gone *gone, uint64_t now_ms, unsigned n)
{
    struct absent *absent;

    while (n-- > 0 && (absent = gone->absents.first) != NULL && is_due(gone, absent, now_ms))
        take(gone, absent);
}

/* What a flood took the system has again: these lie among others, which stay. */
static void trim(struct gone *gone)
{
    size_t n = gone->absents.sessions.count;

    if (gone->most < FLOOD || n > gone->most / 4)
        return;
    pages_trim();
    gone->most = n;
}

uint64_t gone_turn(struct gone *gone, uint64_t now_ms)
{
    const struct absent *absent;

    drop_due(gone, now_ms, TURN_MAX);
    trim(gone);
    absent = gone->absents.first;
    if (absent == NULL)
        return UINT64_MAX;
    return is_due(gone, absent, now_ms) ? now_ms : absent->put_ms + gone->keep_ms;
}

int64_t gone_floor_ms(const struct gone *gone)
{
    return gone->floor_ms;
}

void gone_stats(const struct gone *gone, struct gone_stats *stats)
{
    *stats = (struct gone_stats){.in = sessions_count(gone->sessions),
                                 .moved = sessions_moved(gone->sessions),
                                 .sessions = known(gone),
                                 .seats = gone->absents.seats.count,
                                 .forgotten = gone->forgotten};
}

/* --- one session ------------------------------------------------------------------ */

/* NULL if nothing is known. */
static struct absent *find(const struct gone *gone, const uint8_t session[SESSION_LEN])
{
    struct absent *absent = absents_find(&gone->absents, session);

    return absent != NULL && absent->number >= gone->from ? absent : NULL;
}

/* Of one that has ended here only the reason is lost. */
static void evict(struct gone *gone, struct absent *absent)
{
    if (absent->number >= gone->from && (absent->own != NULL || absent->over != ABSENT_TOLD))
        count_forgotten(gone, 1);
    take(gone, absent);
}

/* One more is to come. */
static void make_room(struct gone *gone, enum gone_state state, enum absent_over over)
{
    static const size_t most[ABSENT_OVERS] = {
        [ABSENT_KEPT] = GONE_OVER_MAX, [ABSENT_TOLD] = GONE_TOLD_MAX};
    const struct absents *absents = &gone->absents;

    if (state != GONE_AWAY && absents->over[over].n >= most[over])
        evict(gone, absents->over[over].oldest);
    if (absents->sessions.count >= GONE_MAX)
        evict(gone, absents->first);
}

static struct absent *put(struct gone *gone, const uint8_t session[SESSION_LEN],
                          enum gone_state state, int is_foreign, uint64_t now_ms)
{
    struct absent *absent = absents_find(&gone->absents, session);
    enum absent_over over = state == GONE_ENDED && !is_foreign ? ABSENT_TOLD : ABSENT_KEPT;

    if (absent != NULL)
        take(gone, absent);
    drop_due(gone, now_ms, PUT_DROPS);
    make_room(gone, state, over);
    absent = absents_put(&gone->absents, session, over, now_ms);
    if (absent == NULL) {
        count_forgotten(gone, 1);
        return NULL;
    }
    if (gone->absents.sessions.count > gone->most)
        gone->most = gone->absents.sessions.count;
    absent->state = (uint8_t)state;
    absent->is_foreign = (uint8_t)is_foreign;
    absent->left_ms = now_ms;
    return absent;
}

/* It may come back, as uid.  A user with very many loses its own first. */
static int begin(struct gone *gone, struct absent *absent, struct slice uid)
{
    struct absent_list *owners;

    if (absent_begin(&gone->absents, absent, uid) < 0)
        return -1;
    owners = &absent->own->owners;
    if (owners->n > GONE_USER_MAX && gone->absents.sessions.count > GONE_BUSY) {
        gone->forgotten++;
        take(gone, owners->oldest);
    }
    return 0;
}

/* It is not known for sure what it is in. */
static void forget(struct gone *gone, struct absent *absent)
{
    take(gone, absent);
    count_forgotten(gone, 1);
}

/* Returns 0, or -1 without memory, or where there are as many seats as there may be. */
static int seat(struct gone *gone, struct absent *absent, struct slice room, uint64_t since,
                int is_claimed)
{
    struct absents *absents = &gone->absents;
    struct absent_name *name;
    int rc;

    if (absents->seats.count >= GONE_SEATS_MAX || (name = absents_name(absents, room, 1)) == NULL)
        return -1;
    rc = absent_join(absents, absent, name, since | (is_claimed ? ABSENT_CLAIMED : 0));
    absents_name_tidy(absents, name);
    return rc < 0 ? -1 : 0;
}

int gone_put(struct gone *gone, const struct gone_session *session, uint64_t now_ms)
{
    struct absent *absent = put(gone, session->session, session->state, 1, now_ms);
    int rc = 0;

    if (absent == NULL)
        return -1;
    absent->left_ms = session->left_ms;
    absent->daemon = session->daemon;
    absent->left = (uint8_t)session->left;
    if (session->state != GONE_AWAY)
        return 0;
    rc = begin(gone, absent, session->uid);
    for (size_t i = 0; rc == 0 && i < session->nrooms; i++)
        rc = seat(gone, absent, session->rooms[i].name, session->rooms[i].since,
                  session->rooms[i].is_claimed);
    if (rc < 0)
        forget(gone, absent);
    return rc;
}

static int rooms_reach(struct gone *gone, size_t n)
{
    struct gone_room *rooms;

    if (n <= gone->cap)
        return 0;
    n = n < ROOMS_MIN ? ROOMS_MIN : n;
    if ((rooms = reallocarray(gone->rooms, n, sizeof(*rooms))) == NULL)
        return -1;
    gone->rooms = rooms;
    gone->cap = n;
    return 0;
}

int gone_find(struct gone *gone, const uint8_t session[SESSION_LEN], struct gone_session *out)
{
    const struct absent *absent = find(gone, session);

    if (absent == NULL || rooms_reach(gone, absent->nseats) < 0)
        return -1;
    *out = (struct gone_session){.state = (enum gone_state)absent->state,
                                 .left_ms = absent->left_ms,
                                 .daemon = absent->daemon,
                                 .left = absent->left,
                                 .rooms = gone->rooms};
    memcpy(out->session, session, SESSION_LEN);
    if (absent->own != NULL)
        out->uid = absent_name_text(absent->own);
    for (const struct absent_seat *at = absent->seats; at != NULL; at = at->other_next)
        gone->rooms[out->nrooms++] =
            (struct gone_room){absent_name_text(at->name), at->since & ~ABSENT_CLAIMED,
                               (at->since & ABSENT_CLAIMED) != 0};
    return 0;
}

void gone_take(struct gone *gone, const uint8_t session[SESSION_LEN])
{
    struct absent *absent = find(gone, session);

    if (absent != NULL)
        take(gone, absent);
}

void gone_break(struct gone *gone)
{
    sessions_break(gone->sessions);
    for (struct absent *absent = gone->absents.last; absent != NULL && absent->number >= gone->from;
         absent = absent->prev) {
        if (absent->own == NULL)
            continue;
        absent_end(&gone->absents, absent, ABSENT_KEPT);
        absent->state = GONE_BROKEN;
    }
}

/* --- requests ---------------------------------------------------------------------- */

static struct apply apply_of(struct gone *gone)
{
    return (struct apply){&gone->absents, {GONE_LOOKS_MAX, GONE_SEATS_MAX}, GONE_ENDED};
}

static void count_request(struct gone *gone)
{
    gone->last_request_ms = clock_wall_ms();
    gone->requests++;
}

void gone_note_request(struct gone *gone)
{
    count_request(gone);
    gone->unkept = gone->requests;
}

uint64_t gone_requests(const struct gone *gone)
{
    return gone->requests;
}

/* --- ... that sessions from elsewhere have missed --- */

void gone_keep_requests(struct gone *gone, uint64_t from)
{
    const struct order *order;

    gone->keeps_requests = from != UINT64_MAX;
    while ((order = gone->recent.first) != NULL && order->request.number <= from)
        orders_acted(&gone->recent, order->request.id, RECENT_LANE);
    if (order == NULL)
        orders_drop_lane(&gone->recent, RECENT_LANE);
}

/* Of what is too much for recent it is only known that it was. */
static void keep_request(struct gone *gone, const struct gone_request *request)
{
    static const struct route_targets recent = {.n = 1, .lanes = {RECENT_LANE}};
    struct gone_request numbered = *request;

    numbered.number = gone->requests;
    if (gone->keeps_requests)
        orders_put(&gone->recent, &numbered, &recent);
    if (gone->recent.last == NULL || gone->recent.last->request.number != gone->requests)
        gone->unkept = gone->requests;
}

int gone_make_up(struct gone *gone, const uint8_t session[SESSION_LEN], uint64_t from)
{
    struct absent *absent = find(gone, session);
    struct apply apply = apply_of(gone);
    int failed = gone->unkept > from;

    for (const struct order *order = gone->recent.first; absent != NULL && !failed && order != NULL;
         order = order->next)
        if (order->request.number > from)
            failed = apply_to(&apply, &order->request, absent) < 0;
    if (absent != NULL && failed)
        forget(gone, absent);
    return absent != NULL && !failed ? 0 : -1;
}

int64_t gone_last_request_ms(const struct gone *gone)
{
    return gone->last_request_ms;
}

/* What that worker is at: whoever joins rooms there by request joins them by this one. */
static void tell_joining(struct gone *gone, unsigned lane)
{
    const struct order *order = orders_next(&gone->orders, NULL, lane);

    if (order != NULL && order->request.type == MSG_JOIN)
        route_joining(gone->route, lane, order->request.seq);
    else
        route_joining(gone->route, lane,
                      orders_are_lost(&gone->orders, lane) ? ROUTE_UNKNOWN : ROUTE_NOT_JOINING);
}

void gone_request(struct gone *gone, const struct gone_request *request,
                  const struct route_targets *targets)
{
    struct apply apply = apply_of(gone);

    count_request(gone);
    keep_request(gone, request);
    if (apply_request(&apply, request, gone->from) < 0)
        forget_all(gone);
    orders_put(&gone->orders, request, targets);
    for (size_t i = 0; i < targets->n; i++)
        tell_joining(gone, targets->lanes[i]);
}

void gone_acted(struct gone *gone, uint32_t id, unsigned lane)
{
    int was_open = orders_are_open(&gone->orders, lane);

    orders_acted(&gone->orders, id, lane);
    if (was_open && !orders_are_open(&gone->orders, lane))
        gone->youth[lane]++;
    tell_joining(gone, lane);
}

/* --- clients that come and go ------------------------------------------------------ */

static int youth(const struct gone *gone, unsigned lane)
{
    return gone->youth[lane] % SESSIONS_YOUTH_MAX + 1;
}

int gone_client_in(struct gone *gone, unsigned lane, uint64_t client,
                   const uint8_t session[SESSION_LEN], enum sessions_origin origin)
{
    int rc = sessions_put(gone->sessions, lane, client, session, origin);

    if (rc == 0 && orders_are_open(&gone->orders, lane))
        sessions_mark_young(gone->sessions, lane, client, youth(gone, lane));
    return rc;
}

struct keeper {
    struct gone *gone;
    struct absent *absent;
    unsigned lane;
    uint64_t now_ms;
    int failed;
};

static void visit_room(const struct route_seat *in, void *arg)
{
    struct keeper *keeper = arg;

    if (!keeper->failed &&
        seat(keeper->gone, keeper->absent, in->room, in->seq, in->is_claimed) < 0)
        keeper->failed = 1;
}

/* Which of the requests that its worker has not carried out came before such a client is not
 * known.  1 if one concerns it. */
static int is_doubtful(const struct gone *gone, const struct absent *absent, unsigned lane)
{
    const struct order *order = NULL;

    while ((order = orders_next(&gone->orders, order, lane)) != NULL)
        if (apply_concerns(&gone->absents, &order->request, absent))
            return 1;
    return 0;
}

/* What that client is, as far as its worker has told.  NULL where it is nothing that may come
 * back. */
static struct absent *keep(struct gone *gone, unsigned lane, uint64_t client, struct slice uid,
                           uint64_t now_ms)
{
    struct keeper keeper = {.gone = gone};
    struct sessions_entry entry;
    struct absent *absent;

    if (sessions_get(gone->sessions, lane, client, &entry) < 0)
        return NULL;
    sessions_take(gone->sessions, lane, client);
    absent = put(gone, entry.session, entry.is_broken ? GONE_BROKEN : GONE_AWAY, entry.is_foreign,
                 now_ms);
    if (absent == NULL || entry.is_broken)
        return NULL;
    keeper.absent = absent;
    keeper.failed = begin(gone, absent, uid) < 0;
    if (!keeper.failed)
        absent->left = (uint8_t)route_client_rooms(gone->route, lane, client, visit_room, &keeper);
    if (!keeper.failed && !orders_are_lost(&gone->orders, lane) &&
        !(entry.youth == youth(gone, lane) && is_doubtful(gone, absent, lane)))
        return absent;
    forget(gone, absent);
    return NULL;
}

void gone_client_taken(struct gone *gone, unsigned lane, uint64_t client, struct slice uid,
                       uint64_t now_ms)
{
    struct absent *absent = keep(gone, lane, client, uid, now_ms);
    struct apply apply = apply_of(gone);
    const struct order *order = NULL;

    while (absent != NULL && (order = orders_next(&gone->orders, order, lane)) != NULL) {
        if (apply_to(&apply, &order->request, absent) < 0) {
            forget(gone, absent);
            return;
        }
    }
}

void gone_client_left(struct gone *gone, unsigned lane, uint64_t client, struct slice uid,
                      int is_ended, uint64_t now_ms)
{
    struct sessions_entry entry;

    if (!is_ended) {
        gone_client_taken(gone, lane, client, uid, now_ms);
        return;
    }
    if (sessions_get(gone->sessions, lane, client, &entry) < 0)
        return;
    sessions_take(gone->sessions, lane, client);
    (void)put(gone, entry.session, GONE_ENDED, entry.is_foreign, now_ms);
}

static void visit_client(struct slice uid, uint64_t client, void *arg)
{
    const struct keeper *keeper = arg;

    (void)keep(keeper->gone, keeper->lane, client, uid, keeper->now_ms);
}

/* Each request is carried out for all of them together: that looks at those it means. */
void gone_worker_down(struct gone *gone, unsigned lane, uint64_t now_ms)
{
    struct keeper keeper = {.gone = gone, .lane = lane, .now_ms = now_ms};
    struct apply apply = apply_of(gone);
    const struct order *order = NULL;
    uint64_t from = gone->absents.number;

    route_each_client(gone->route, lane, visit_client, &keeper);
    while ((order = orders_next(&gone->orders, order, lane)) != NULL) {
        if (apply_request(&apply, &order->request, from) < 0) {
            forget_all(gone);
            break;
        }
    }
    orders_drop_lane(&gone->orders, lane);
    tell_joining(gone, lane);
    sessions_drop_lane(gone->sessions, lane);
}
