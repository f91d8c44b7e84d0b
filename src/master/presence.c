#include "master/presence.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/table.h"
#include "codec/json.h"
#include "codec/request.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_MS 1000 /* after something could not be published, or kept */
#define LOG_MS   60000

enum told { TOLD_GONE, TOLD_HERE, TOLD_UNSURE };

/* Where a user is, each list in the order in which they came into it. */
enum where {
    SETTLED, /* told of, and so it is; after a worker's end some of them are in another list */
    QUEUED,  /* to be told of */
    SENT,    /* redis has not confirmed it */
    GONE,    /* may be back yet, as may ... */
    MOVED,
    LISTS
};

struct ring { /* in a ring with its head */
    struct ring *next, *prev;
};

struct watched { /* a user */
    struct ring link;
    struct table_node node;
    struct presence *presence;
    uint64_t until_ms; /* GONE, MOVED */
    uint8_t told;      /* enum told: the last thing that was */
    uint8_t where;
    uint8_t is_over; /* QUEUED: it has not come back in time */
    uint8_t is_lost; /* SENT: nobody asks for it any more */
    char uid[];
};

struct presence {
    struct slice own;
    const struct presence_ops *ops;
    void *arg;
    int on, stopping;
    int suspect; /* redis has taken nothing since it took something not: one at a time */
    struct table users;
    struct ring lists[LISTS];
    struct ring doubtful;   /* were SETTLED before a worker went */
    struct ring forgotten;  /* sent, and not asked for any more */
    struct ring dead;       /* to be freed */
    size_t queued, sent;    /* users in these lists */
    uint64_t blocked_until; /* nothing is published before; 0: it may be */
    uint64_t look_ms;       /* when to look for those that are missing; UINT64_MAX: no */
    uint32_t cursor;        /* of that look, once it has begun */
    struct log_every failed_log;
    struct presence_stats stats;
};

/* --- rings ---------------------------------------------------------------------- */

static void ring_init(struct ring *head)
{
    head->next = head->prev = head;
}

static int ring_empty(const struct ring *head)
{
    return head->next == head;
}

static void ring_put(struct ring *head, struct ring *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static void ring_take(struct ring *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
}

/* All of from behind all of to. */
static void ring_move(struct ring *to, struct ring *from)
{
    if (ring_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    ring_init(from);
}

static struct watched *watched_of(struct ring *link)
{
    return (struct watched *)(void *)((char *)link - offsetof(struct watched, link));
}

static struct slice uid_of(const struct watched *user)
{
    return (struct slice){user->uid, user->node.key_len};
}

/* --- users ---------------------------------------------------------------------- */

static void count(struct presence *presence, const struct watched *user, int by)
{
    if (user->where == QUEUED)
        presence->queued += (size_t)by;
    if (user->where == SENT)
        presence->sent += (size_t)by;
}

static void move(struct presence *presence, struct watched *user, enum where where)
{
    count(presence, user, -1);
    ring_take(&user->link);
    user->where = (uint8_t)where;
    user->is_over = 0;
    ring_put(&presence->lists[where], &user->link);
    count(presence, user, 1);
}

static struct watched *find(const struct presence *presence, struct slice uid)
{
    struct table_node *node = table_find(&presence->users, uid.ptr, uid.len);

    return node == NULL ? NULL
                        : (struct watched *)(void *)((char *)node - offsetof(struct watched, node));
}

/* From the start, if it has begun. */
static void look(struct presence *presence, unsigned ms)
{
    presence->look_ms = clock_ms() + ms;
    presence->cursor = 0;
}

/* Where there is no memory, all are looked through once more. */
static void add(struct presence *presence, struct slice uid)
{
    struct watched *user = malloc(sizeof(*user) + uid.len);

    if (user == NULL) {
        look(presence, RETRY_MS);
        return;
    }
    memset(user, 0, sizeof(*user));
    memcpy(user->uid, uid.ptr, uid.len);
    user->node.key = user->uid;
    user->node.key_len = (uint32_t)uid.len;
    if (table_insert(&presence->users, &user->node) < 0) {
        free(user);
        look(presence, RETRY_MS);
        return;
    }
    user->presence = presence;
    user->told = TOLD_GONE;
    user->where = QUEUED;
    ring_put(&presence->lists[QUEUED], &user->link);
    count(presence, user, 1);
}

static void drop(struct presence *presence, struct watched *user)
{
    count(presence, user, -1);
    ring_take(&user->link);
    table_remove(&presence->users, &user->node);
    free(user);
}

/* Puts it where it belongs, which may be nowhere. */
static void place(struct presence *presence, struct watched *user, int moved)
{
    if (user->where == SENT)
        return; /* until that is over */
    if (presence->ops->connections(uid_of(user), presence->arg) > 0) {
        user->is_over = 0;
        if (user->told == TOLD_HERE)
            move(presence, user, SETTLED);
        else if (user->where != QUEUED)
            move(presence, user, QUEUED);
    } else if (user->told == TOLD_GONE) {
        drop(presence, user);
    } else if (user->where != GONE && user->where != MOVED && !user->is_over) {
        move(presence, user, moved ? MOVED : GONE);
        user->until_ms = clock_ms() + (moved ? PRESENCE_MOVED_MS : PRESENCE_GONE_MS);
    }
}

static void visit(struct slice uid, void *arg)
{
    if (find(arg, uid) == NULL)
        add(arg, uid);
}

/* --- telling -------------------------------------------------------------------- */

/* Returns 0, or -1 without memory. */
static int put(struct buf *out, const struct presence *presence, struct slice uid,
               size_t connections)
{
    struct buf data = {0};
    int result;

    buf_puts(&data, "{\"uid\":");
    (void)json_put_string(&data, uid.ptr, uid.len);
    (void)buf_printf(&data, ",\"online\":%s,\"connections\":%zu}",
                     connections > 0 ? "true" : "false", connections);
    result = data.failed
                 ? -1
                 : request_put_server_side_emit(out, presence->own, SLICE("presence"),
                                                (struct slice){(const char *)data.data, data.len});
    buf_free(&data);
    return result == 0 ? 0 : -1;
}

static void rearm(struct presence *presence);

static void failed(struct presence *presence, struct watched *user)
{
    uint64_t times = log_due(&presence->failed_log, LOG_MS);

    presence->stats.failed++;
    user->told = TOLD_UNSURE;
    presence->suspect = 1;
    presence->blocked_until = clock_ms() + RETRY_MS;
    if (times > 0)
        log_event(WARN, "presence_untold",
                  "presence: redis has refused what a user does, or was lost; it is told "
                  "again[: times={}]",
                  LOG_TIMES(times));
}

static void on_done(int ok, void *arg)
{
    struct watched *user = arg;
    struct presence *presence = user->presence;

    if (ok) {
        presence->stats.told[user->told == TOLD_HERE]++;
        presence->suspect = 0;
    }
    if (user->is_lost) {
        ring_take(&user->link);
        free(user);
        return;
    }
    if (!ok)
        failed(presence, user);
    move(presence, user, SETTLED);
    place(presence, user, 0);
    rearm(presence);
}

static int may_send(const struct presence *presence)
{
    return presence->stopping || presence->sent < (presence->suspect ? 1 : PRESENCE_AT_ONCE);
}

/* Returns 0, or -1 if it cannot be. */
static int tell(struct presence *presence, struct watched *user, size_t connections)
{
    struct buf payload = {0};

    if (put(&payload, presence, uid_of(user), connections) < 0 ||
        presence->ops->publish(&payload, on_done, user, presence->arg) < 0) {
        buf_free(&payload);
        presence->blocked_until = clock_ms() + RETRY_MS;
        return -1;
    }
    buf_free(&payload);
    user->told = connections > 0 ? TOLD_HERE : TOLD_GONE;
    move(presence, user, SENT);
    return 0;
}

/* Those in the queue; at most max. */
static void tell_all(struct presence *presence, size_t max)
{
    struct ring *queue = &presence->lists[QUEUED];

    while (max-- > 0 && !ring_empty(queue) && may_send(presence)) {
        struct watched *user = watched_of(queue->next);
        size_t connections = presence->ops->connections(uid_of(user), presence->arg);

        if (connections > 0 ? user->told == TOLD_HERE : !user->is_over)
            place(presence, user, 0);
        else if (tell(presence, user, connections) < 0)
            return;
    }
}

/* --- time ----------------------------------------------------------------------- */

/* Those who have not come back: they are told of. */
static void give_up(struct presence *presence, enum where where, size_t max)
{
    struct ring *list = &presence->lists[where];
    uint64_t now_ms = clock_ms();

    while (max-- > 0 && !ring_empty(list)) {
        struct watched *user = watched_of(list->next);

        if (!presence->stopping && now_ms < user->until_ms)
            return;
        move(presence, user, QUEUED);
        user->is_over = 1;
    }
}

static void doubt(struct presence *presence, size_t max)
{
    while (max-- > 0 && !ring_empty(&presence->doubtful))
        place(presence, watched_of(presence->doubtful.next), 1);
}

/* Those that are here, and not in the table. */
static void look_on(struct presence *presence, size_t max)
{
    uint64_t since_ms = presence->look_ms;
    uint32_t cursor = presence->cursor;

    if (clock_ms() < since_ms)
        return;
    do
        cursor = presence->ops->scan(cursor, visit, presence, presence->arg);
    while (--max > 0 && cursor != 0 && presence->look_ms == since_ms);
    if (presence->look_ms != since_ms)
        return; /* all once more */
    presence->cursor = cursor;
    if (cursor == 0)
        presence->look_ms = UINT64_MAX;
}

static void bury(struct presence *presence, size_t max)
{
    struct ring *dead = &presence->dead, *link = dead->next, *next;

    for (; max-- > 0 && link != dead; link = next) {
        next = link->next;
        free(watched_of(link));
    }
    dead->next = link;
    link->prev = dead;
}

static uint64_t sooner(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* When there is something to do; UINT64_MAX: never. */
static uint64_t next_ms(const struct presence *presence)
{
    uint64_t at_ms = presence->look_ms;

    if (!ring_empty(&presence->doubtful) || !ring_empty(&presence->dead))
        return 0;
    if (presence->queued > 0 && may_send(presence))
        at_ms = sooner(at_ms, presence->blocked_until);
    for (int where = GONE; where <= MOVED; where++)
        if (!ring_empty(&presence->lists[where]))
            at_ms = sooner(
                at_ms, presence->stopping ? 0 : watched_of(presence->lists[where].next)->until_ms);
    return at_ms;
}

static void rearm(struct presence *presence)
{
    uint64_t at_ms = next_ms(presence), now_ms = clock_ms();

    if (at_ms != UINT64_MAX)
        presence->ops->wake(at_ms > now_ms ? (unsigned)(at_ms - now_ms) : 0, presence->arg);
}

void presence_wake(struct presence *presence)
{
    size_t max = presence->stopping ? SIZE_MAX : PRESENCE_AT_ONCE;

    bury(presence, max);
    look_on(presence, max);
    doubt(presence, max);
    give_up(presence, GONE, max);
    give_up(presence, MOVED, max);
    if (clock_ms() >= presence->blocked_until) {
        presence->blocked_until = 0;
        tell_all(presence, max);
    }
    rearm(presence);
}

/* --- what happens --------------------------------------------------------------- */

void presence_changed(struct presence *presence, struct slice uid, int moved)
{
    struct watched *user;

    if (!presence->on)
        return;
    if ((user = find(presence, uid)) != NULL)
        place(presence, user, moved && !presence->stopping);
    else if (presence->ops->connections(uid, presence->arg) > 0)
        add(presence, uid);
    rearm(presence);
}

void presence_worker_down(struct presence *presence)
{
    if (!presence->on)
        return;
    ring_move(&presence->doubtful, &presence->lists[SETTLED]);
    rearm(presence);
}

void presence_ready(struct presence *presence)
{
    presence->blocked_until = 0;
    if (presence->on)
        rearm(presence);
}

void presence_stop(struct presence *presence)
{
    presence->stopping = 1;
    if (presence->on)
        rearm(presence);
}

static void ring_free(struct ring *head)
{
    struct ring *link = head->next, *next;

    for (; link != head; link = next) {
        next = link->next;
        free(watched_of(link));
    }
    ring_init(head);
}

static void forget_all(struct presence *presence)
{
    struct ring *sent = &presence->lists[SENT];

    for (struct ring *link = sent->next; link != sent; link = link->next)
        watched_of(link)->is_lost = 1;
    ring_move(&presence->forgotten, sent);
    for (int where = 0; where < LISTS; where++)
        ring_move(&presence->dead, &presence->lists[where]);
    ring_move(&presence->dead, &presence->doubtful);
    table_clear(&presence->users);
    presence->queued = presence->sent = 0;
    presence->look_ms = UINT64_MAX;
}

void presence_set(struct presence *presence, int on)
{
    if (on == presence->on)
        return;
    presence->on = on;
    if (on) {
        table_init(&presence->users);
        look(presence, 0);
    } else {
        forget_all(presence);
    }
    rearm(presence);
}

struct presence_stats presence_stats(const struct presence *presence)
{
    struct presence_stats stats = presence->stats;

    stats.waiting = presence->queued + presence->sent;
    return stats;
}

/* --- coming and going ----------------------------------------------------------- */

struct presence *presence_new(struct slice own, const struct presence_ops *ops, void *arg)
{
    struct presence *presence = calloc(1, sizeof(*presence));

    if (presence == NULL)
        return NULL;
    presence->own = own;
    presence->ops = ops;
    presence->arg = arg;
    for (int where = 0; where < LISTS; where++)
        ring_init(&presence->lists[where]);
    ring_init(&presence->doubtful);
    ring_init(&presence->forgotten);
    ring_init(&presence->dead);
    presence->look_ms = UINT64_MAX;
    return presence;
}

void presence_free(struct presence **presencep)
{
    struct presence *presence = *presencep;

    *presencep = NULL;
    if (presence == NULL)
        return;
    if (presence->on)
        forget_all(presence);
    ring_free(&presence->forgotten);
    ring_free(&presence->dead);
    free(presence);
}
