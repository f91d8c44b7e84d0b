#include "master/apply.h"

#include "base/base64.h"
#include "codec/sid.h"
#include "master/route.h"

#include <stdlib.h>
#include <string.h>

#define CHOSEN_MIN 16

/* Those whom a request means. */
struct chosen {
    const struct apply *apply;
    uint64_t from;
    uint32_t out, in;   /* marks: of those who are not meant, and who are */
    struct absent **at; /* the latter */
    size_t n, cap;
    size_t looks;
    int failed; /* no memory, or more looks than there may be */
};

/* --- one session ---------------------------------------------------------------- */

static int is_everybody(struct slice name)
{
    return slice_eq(name, SLICE(ROUTE_EVERYBODY));
}

/* The one that goes by that id, or NULL. */
static struct absent *by_id(const struct absents *absents, struct slice id)
{
    uint8_t session[SESSION_LEN];
    char text[SIO_SID_LEN];
    struct absent *absent;

    if (id.len != SIO_SID_LEN || base64_decode(session, id.ptr, id.len) != SESSION_LEN ||
        (absent = absents_find(absents, session)) == NULL || absent->own == NULL)
        return NULL;
    base64url_encode(text, session, SESSION_LEN); /* of two texts for one id, ours */
    return memcmp(text, id.ptr, id.len) == 0 ? absent : NULL;
}

static int is_of(const struct absent *absent, struct slice uid)
{
    return slice_eq(absent_name_text(absent->own), uid);
}

static int is_in(const struct absents *absents, const struct absent *absent, struct slice room)
{
    const struct absent_name *name;

    if (!(absent->left & MSG_LEFT_EVERYBODY) && is_everybody(room))
        return 1;
    if (!(absent->left & MSG_LEFT_OWN) && is_of(absent, room))
        return 1;
    if (!(absent->left & MSG_LEFT_ID) && by_id(absents, room) == absent)
        return 1;
    if (absent->nseats == 0)
        return 0;
    name = (struct absent_name *)table_find(&absents->names, room.ptr, room.len);
    return name != NULL && absent_seat(absents, absent, name) != NULL;
}

static int is_in_one(const struct absents *absents, const struct absent *absent,
                     const struct slices *rooms)
{
    for (size_t i = 0; i < rooms->n; i++)
        if (is_in(absents, absent, rooms->at[i]))
            return 1;
    return 0;
}

static int is_one(const struct absents *absents, const struct absent *absent,
                  const struct slices *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        if (by_id(absents, ids->at[i]) == absent)
            return 1;
    return 0;
}

int apply_concerns(const struct absents *absents, const struct gone_request *request,
                   const struct absent *absent)
{
    if (absent->own == NULL || is_in_one(absents, absent, request->except))
        return 0;
    if (request->by_id)
        return is_one(absents, absent, request->rooms);
    return request->rooms->n == 0 || is_in_one(absents, absent, request->rooms);
}

/* As many rooms as limits:roomsPerClient counts. */
static uint32_t rooms_of(const struct absent *absent)
{
    return absent->nseats + !(absent->left & MSG_LEFT_EVERYBODY) + !(absent->left & MSG_LEFT_OWN);
}

/* name is NULL where nobody has a seat of that name, and for a join: never. */
static int join(const struct apply *apply, const struct gone_request *request,
                struct absent *absent, struct absent_name *name)
{
    struct absents *absents = apply->absents;
    struct slice text = absent_name_text(name);

    if (rooms_of(absent) >= request->rooms_max)
        return 0;
    if (by_id(absents, text) == absent) {
        absent->left &= (uint8_t)~MSG_LEFT_ID;
        return 0;
    }
    if ((!(absent->left & MSG_LEFT_EVERYBODY) && is_everybody(text)) ||
        (!(absent->left & MSG_LEFT_OWN) && name == absent->own))
        return 0;
    if (absents->seats.count >= apply->limits.seats)
        return -1;
    return absent_join(absents, absent, name, request->seq) < 0 ? -1 : 0;
}

static void leave(const struct apply *apply, struct absent *absent, struct slice text,
                  struct absent_name *name)
{
    if (by_id(apply->absents, text) == absent)
        absent->left |= MSG_LEFT_ID;
    if (!(absent->left & MSG_LEFT_EVERYBODY) && is_everybody(text))
        absent->left |= MSG_LEFT_EVERYBODY;
    else if (!(absent->left & MSG_LEFT_OWN) && name != NULL && name == absent->own)
        absent->left |= MSG_LEFT_OWN;
    else if (name != NULL)
        (void)absent_leave(apply->absents, absent, name);
}

static void end(const struct apply *apply, struct absent *absent)
{
    absent_end(apply->absents, absent, absent->is_foreign ? ABSENT_KEPT : ABSENT_TOLD);
    absent->state = apply->ended;
}

/* --- who is meant ---------------------------------------------------------------- */

/* One look more.  Returns 0 where there may be none. */
static int may_look(struct chosen *chosen)
{
    if (++chosen->looks > chosen->apply->limits.looks)
        chosen->failed = 1;
    return !chosen->failed;
}

static void choose(struct chosen *chosen, struct absent *absent, uint32_t mark)
{
    if (!may_look(chosen) || absent->own == NULL || absent->number < chosen->from ||
        absent->mark == chosen->out || absent->mark == chosen->in)
        return;
    absent->mark = mark;
    if (mark == chosen->out)
        return;
    if (chosen->n == chosen->cap) {
        size_t cap = chosen->cap > 0 ? chosen->cap * 2 : CHOSEN_MIN;
        struct absent **at = reallocarray(chosen->at, cap, sizeof(struct absent *));

        if (at == NULL) {
            chosen->failed = 1;
            return;
        }
        chosen->at = at;
        chosen->cap = cap;
    }
    chosen->at[chosen->n++] = absent;
}

/* Those who have left everybody's room are meant where all are, but not by its name. */
static void choose_all(struct chosen *chosen, int by_name, uint32_t mark)
{
    for (struct absent *absent = chosen->apply->absents->last;
         absent != NULL && absent->number >= chosen->from && !chosen->failed; absent = absent->prev)
        if (!by_name || !(absent->left & MSG_LEFT_EVERYBODY))
            choose(chosen, absent, mark);
}

static void choose_room(struct chosen *chosen, struct slice room, uint32_t mark)
{
    struct absents *absents = chosen->apply->absents;
    const struct absent_name *name = absents_name(absents, room, 0);
    struct absent *absent = by_id(absents, room);

    if (is_everybody(room))
        choose_all(chosen, 1, mark);
    if (absent != NULL && !(absent->left & MSG_LEFT_ID))
        choose(chosen, absent, mark);
    if (name == NULL)
        return;
    for (absent = name->owners.newest; absent != NULL && !chosen->failed; absent = absent->own_next)
        if (!(absent->left & MSG_LEFT_OWN))
            choose(chosen, absent, mark);
    for (const struct absent_seat *seat = name->seats; seat != NULL && !chosen->failed;
         seat = seat->next)
        choose(chosen, seat->absent, mark);
}

static void choose_rooms(struct chosen *chosen, const struct slices *rooms, uint32_t mark)
{
    for (size_t i = 0; i < rooms->n && may_look(chosen); i++)
        choose_room(chosen, rooms->at[i], mark);
}

static void choose_ids(struct chosen *chosen, const struct slices *ids)
{
    struct absent *absent;

    for (size_t i = 0; i < ids->n && may_look(chosen); i++)
        if ((absent = by_id(chosen->apply->absents, ids->at[i])) != NULL)
            choose(chosen, absent, chosen->in);
}

/* Two marks that nobody has. */
static void marks_new(struct chosen *chosen, struct absents *absents)
{
    if (absents->turn > UINT32_MAX - 2) {
        for (struct absent *absent = absents->first; absent != NULL; absent = absent->next)
            absent->mark = 0;
        absents->turn = 0;
    }
    chosen->out = ++absents->turn;
    chosen->in = ++absents->turn;
}

static void choose_who(struct chosen *chosen, const struct gone_request *request)
{
    choose_rooms(chosen, request->except, chosen->out);
    if (request->by_id)
        choose_ids(chosen, request->rooms);
    else if (request->rooms->n > 0)
        choose_rooms(chosen, request->rooms, chosen->in);
    else
        choose_all(chosen, 0, chosen->in);
}

/* --- what is done ----------------------------------------------------------------- */

static void join_all(struct chosen *chosen, const struct gone_request *request, struct slice text)
{
    struct absents *absents = chosen->apply->absents;
    struct absent_name *name = text.len <= APPLY_NAME_MAX ? absents_name(absents, text, 1) : NULL;

    if (name == NULL) {
        chosen->failed |= text.len <= APPLY_NAME_MAX;
        return;
    }
    for (size_t i = 0; i < chosen->n && may_look(chosen); i++)
        if (join(chosen->apply, request, chosen->at[i], name) < 0)
            chosen->failed = 1;
    absents_name_tidy(absents, name);
}

static void leave_all(struct chosen *chosen, struct slice text)
{
    struct absents *absents = chosen->apply->absents;
    struct absent_name *name = absents_name(absents, text, 0);

    if (name == NULL && !is_everybody(text) && by_id(absents, text) == NULL)
        return;
    for (size_t i = 0; i < chosen->n && may_look(chosen); i++)
        leave(chosen->apply, chosen->at[i], text, name);
    if (name != NULL)
        absents_name_tidy(absents, name);
}

static void act(struct chosen *chosen, const struct gone_request *request)
{
    if (request->type == MSG_DISCONNECT) {
        for (size_t i = 0; i < chosen->n && may_look(chosen); i++) {
            chosen->looks += chosen->at[i]->nseats;
            end(chosen->apply, chosen->at[i]);
        }
        return;
    }
    for (size_t i = 0; chosen->n > 0 && i < request->names->n && may_look(chosen); i++) {
        if (request->type == MSG_JOIN)
            join_all(chosen, request, request->names->at[i]);
        else
            leave_all(chosen, request->names->at[i]);
    }
}

int apply_request(const struct apply *apply, const struct gone_request *request, uint64_t from)
{
    struct chosen chosen = {.apply = apply, .from = from};

    if (apply->absents->first == NULL)
        return 0;
    marks_new(&chosen, apply->absents);
    choose_who(&chosen, request);
    if (!chosen.failed)
        act(&chosen, request);
    free(chosen.at);
    return chosen.failed ? -1 : 0;
}

int apply_to(const struct apply *apply, const struct gone_request *request, struct absent *absent)
{
    struct chosen chosen = {.apply = apply, .at = &absent, .n = 1};

    if (apply_concerns(apply->absents, request, absent))
        act(&chosen, request);
    return chosen.failed ? -1 : 0;
}
