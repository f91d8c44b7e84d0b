#include "master/comeback.h"

#include "base/clock.h"
#include "ipc/msg.h"
#include "ipc/start.h"
#include "master/gone.h"
#include "master/history.h"
#include "master/route.h"

#include <string.h>

void comeback_clear(struct comeback_maker *maker)
{
    slices_clear(&maker->comeback.rooms);
    buf_free(&maker->items);
    slices_clear(&maker->token);
    slices_clear(&maker->held);
    once_clear(&maker->once[0]);
    once_clear(&maker->once[1]);
    *maker = (struct comeback_maker){0};
}

/* The stream was at pos after the session began.  At its own daemon, of which the start is too
 * old to be known, it was; at another it may be that the offsets of two daemons were not the same
 * when it began. */
static int is_later(const struct history *history, const struct comeback_start *start, uint64_t pos)
{
    uint64_t ago_ms = history_age_of(history, pos, clock_ms());

    return start->is_own || (uint64_t)clock_wall_ms() > start->at_ms + COMEBACK_CLOCK_MS + ago_ms;
}

int comeback_locate(const struct history *history, const struct admit *admit,
                    const struct comeback_start *start, uint64_t *pos)
{
    uint64_t began = 0;
    int has_start = start->offset != 0 && history_find(history, start->offset, &began) == 0;

    if (!admit->has_offset) {
        *pos = began;
        return has_start ? 0 : -1;
    }
    if (admit->offset == 0 || history_find(history, admit->offset, pos) < 0)
        return -1;
    if (has_start && *pos < began)
        *pos = began;
    return has_start || is_later(history, start, *pos) ? 0 : -1;
}

/* --- its rooms -------------------------------------------------------------------- */

static int is_default(struct slice room, struct slice uid)
{
    return slice_eq(room, uid) || slice_eq(room, SLICE(ROUTE_EVERYBODY));
}

/* Those that the token names, each once. */
static int list_token(struct comeback_maker *maker, const struct admit *admit)
{
    once_begin(&maker->once[0], &maker->token);
    for (size_t i = 0; i < admit->rooms.n; i++)
        if (!is_default(admit->rooms.at[i], admit->uid) &&
            once_put(&maker->once[0], &maker->token, admit->rooms.at[i]) < 0)
            return -1;
    return 0;
}

static int list_held(struct comeback_maker *maker, const struct gone_session *session)
{
    once_begin(&maker->once[1], &maker->held);
    for (size_t i = 0; i < session->nrooms; i++)
        if (once_put(&maker->once[1], &maker->held, session->rooms[i].name) < 0)
            return -1;
    return 0;
}

/* Its item is the next. */
static int put(struct comeback_maker *maker, uint64_t since, struct slice name)
{
    struct slice item = {NULL, MSG_ROOM_HEAD + name.len}; /* where it is: settle() */

    return msg_put_room(&maker->items, since, name) < 0 ? -1
                                                        : slices_put(&maker->comeback.rooms, item);
}

/* Those of the session that are by the token, which still names them; then those that it names
 * anew. */
static int put_claimed(struct comeback_maker *maker, const struct gone_session *session,
                       uint64_t seq)
{
    size_t ntoken = maker->token.n;

    for (size_t i = 0; i < session->nrooms; i++) {
        const struct gone_room *room = &session->rooms[i];
        int is_new = room->is_claimed ? once_put(&maker->once[0], &maker->token, room->name) : 1;

        if (is_new < 0 || (is_new == 0 && put(maker, room->since, room->name) < 0))
            return -1;
    }
    for (size_t i = 0; i < ntoken; i++) {
        int is_new = once_put(&maker->once[1], &maker->held, maker->token.at[i]);

        if (is_new < 0 || (is_new == 1 && put(maker, seq, maker->token.at[i]) < 0))
            return -1;
    }
    maker->comeback.nclaimed = maker->comeback.rooms.n;
    return 0;
}

static int put_requested(struct comeback_maker *maker, const struct gone_session *session)
{
    for (size_t i = 0; i < session->nrooms; i++)
        if (!session->rooms[i].is_claimed &&
            put(maker, session->rooms[i].since, session->rooms[i].name) < 0)
            return -1;
    return 0;
}

/* The items stay where they are from now on. */
static void settle(struct comeback_maker *maker)
{
    const char *at = (const char *)maker->items.data;

    for (size_t i = 0; i < maker->comeback.rooms.n; i++) {
        maker->comeback.rooms.at[i].ptr = at;
        at += maker->comeback.rooms.at[i].len;
    }
}

/* RESUME_REFUSALS, or what is wrong. */
static enum resume_refusal put_rooms(struct comeback_maker *maker,
                                     const struct gone_session *session,
                                     const struct comeback_parts *parts, const struct admit *admit)
{
    buf_reset(&maker->items);
    maker->comeback.rooms.n = 0;
    maker->comeback.nclaimed = 0;
    if (session->nrooms + admit->rooms.n == 0)
        return RESUME_REFUSALS;
    if (list_token(maker, admit) < 0 || list_held(maker, session) < 0 ||
        put_claimed(maker, session, parts->seq) < 0 || put_requested(maker, session) < 0)
        return RESUME_BUSY;
    settle(maker);
    /* It is to fit into one message. */
    return maker->items.len <= start_message_max(parts->conf) / 2 ? RESUME_REFUSALS : RESUME_ROOMS;
}

/* --- its session ------------------------------------------------------------------ */

static enum resume_refusal judge(const struct gone_session *session,
                                 const struct comeback_parts *parts, const struct admit *admit)
{
    static const enum resume_refusal why[] = {
        [GONE_ENDED] = RESUME_ENDED, [GONE_BROKEN] = RESUME_GAP, [GONE_MOVED] = RESUME_ELSEWHERE};

    if (session->state != GONE_AWAY)
        return why[session->state];
    if (!slice_eq(session->uid, admit->uid))
        return RESUME_PID;
    if (clock_ms() - session->left_ms > parts->conf->recovery_ms)
        return RESUME_AWAY;
    return RESUME_REFUSALS;
}

enum resume_refusal comeback_make(struct comeback_maker *maker, const struct comeback_parts *parts,
                                  const struct admit *admit)
{
    struct comeback *comeback = &maker->comeback;
    struct comeback_start start = {.offset = admit->start};
    enum resume_refusal why;
    struct gone_session session;
    struct pid pid;

    if (pid_read(&pid, (const uint8_t *)admit->pid.ptr) < 0)
        return RESUME_PID;
    if (gone_find(parts->gone, pid.session, &session) < 0)
        return RESUME_UNKNOWN;
    why = judge(&session, parts, admit);
    if (why != RESUME_REFUSALS)
        return why;
    start.at_ms = pid.start_ms;
    start.is_own = pid.daemon == parts->self;
    if (comeback_locate(parts->history, admit, &start, &comeback->from) < 0)
        return RESUME_OFFSET;
    if ((admit->resumes & COMEBACK_FOREIGN) && comeback->from < history_holed(parts->history))
        return RESUME_HOLE;
    memcpy(comeback->session, pid.session, SESSION_LEN);
    comeback->left = session.left;
    comeback->has_own_id = (admit->resumes & COMEBACK_OWN_ID) != 0;
    return put_rooms(maker, &session, parts, admit);
}
