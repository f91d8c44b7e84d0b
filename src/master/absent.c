#include "master/absent.h"

#include <stdlib.h>
#include <string.h>

#define SEAT_KEY_LEN (2 * sizeof(void *))

_Static_assert(offsetof(struct absent_seat, name) ==
                   offsetof(struct absent_seat, absent) + sizeof(void *),
               "a key has no gap");

void absents_init(struct absents *absents)
{
    *absents = (struct absents){.number = 1};
    table_init(&absents->sessions);
    table_init(&absents->names);
    table_init(&absents->seats);
}

void absents_clear(struct absents *absents)
{
    while (absents->first != NULL)
        absents_take(absents, absents->first);
    table_clear(&absents->sessions);
    table_clear(&absents->names);
    table_clear(&absents->seats);
    slab_clear(&absents->slab);
}

static void list_put(struct absent_list *list, struct absent *absent)
{
    absent->own_prev = NULL;
    absent->own_next = list->newest;
    *(list->newest != NULL ? &list->newest->own_prev : &list->oldest) = absent;
    list->newest = absent;
    list->n++;
}

static void list_take(struct absent_list *list, const struct absent *absent)
{
    *(absent->own_prev != NULL ? &absent->own_prev->own_next : &list->newest) = absent->own_next;
    *(absent->own_next != NULL ? &absent->own_next->own_prev : &list->oldest) = absent->own_prev;
    list->n--;
}

/* --- sessions --------------------------------------------------------------------- */

struct absent *absents_find(const struct absents *absents, const uint8_t session[SESSION_LEN])
{
    return (struct absent *)table_find(&absents->sessions, (const char *)session, SESSION_LEN);
}

struct absent *absents_put(struct absents *absents, const uint8_t session[SESSION_LEN],
                           enum absent_over over, uint64_t now_ms)
{
    struct absent *absent = slab_alloc(&absents->slab, sizeof(*absent));

    if (absent == NULL)
        return NULL;
    *absent = (struct absent){
        .prev = absents->last, .number = absents->number, .put_ms = now_ms, .over = (uint8_t)over};
    memcpy(absent->session, session, SESSION_LEN);
    absent->node =
        (struct table_node){.key = (const char *)absent->session, .key_len = SESSION_LEN};
    if (table_insert(&absents->sessions, &absent->node) < 0) {
        slab_free(&absents->slab, absent, sizeof(*absent));
        return NULL;
    }
    absents->number++;
    *(absents->last != NULL ? &absents->last->next : &absents->first) = absent;
    absents->last = absent;
    list_put(&absents->over[over], absent);
    return absent;
}

void absents_take(struct absents *absents, struct absent *absent)
{
    absent_end(absents, absent, ABSENT_KEPT);
    list_take(&absents->over[absent->over], absent);
    table_remove(&absents->sessions, &absent->node);
    *(absent->prev != NULL ? &absent->prev->next : &absents->first) = absent->next;
    *(absent->next != NULL ? &absent->next->prev : &absents->last) = absent->prev;
    slab_free(&absents->slab, absent, sizeof(*absent));
}

int absent_begin(struct absents *absents, struct absent *absent, struct slice uid)
{
    struct absent_name *name = absents_name(absents, uid, 1);

    if (name == NULL)
        return -1;
    list_take(&absents->over[absent->over], absent);
    list_put(&name->owners, absent);
    absent->own = name;
    return 0;
}

/* It is not in the room any more. */
static void seat_leave(struct absents *absents, struct absent_seat *seat)
{
    table_remove(&absents->seats, &seat->node);
    *(seat->prev != NULL ? &seat->prev->next : &seat->name->seats) = seat->next;
    if (seat->next != NULL)
        seat->next->prev = seat->prev;
}

void absent_end(struct absents *absents, struct absent *absent, enum absent_over over)
{
    struct absent_name *own = absent->own;
    struct absent_seat *next;

    for (struct absent_seat *seat = absent->seats; seat != NULL; seat = next) {
        struct absent_name *name = seat->name;

        next = seat->other_next;
        seat_leave(absents, seat);
        slab_free(&absents->slab, seat, sizeof(*seat));
        absents_name_tidy(absents, name);
    }
    absent->seats = NULL;
    absent->nseats = 0;
    if (own == NULL)
        return;
    list_take(&own->owners, absent);
    list_put(&absents->over[over], absent);
    absent->own = NULL;
    absent->over = (uint8_t)over;
    absents_name_tidy(absents, own);
}

/* --- rooms ------------------------------------------------------------------------ */

struct absent_name *absents_name(struct absents *absents, struct slice name, int make)
{
    struct table_node *node = table_find(&absents->names, name.ptr, name.len);
    struct absent_name *made;

    if (node != NULL || !make)
        return (struct absent_name *)node;
    if (name.len > UINT32_MAX / 2 ||
        (made = slab_alloc(&absents->slab, sizeof(*made) + name.len)) == NULL)
        return NULL;
    *made = (struct absent_name){.seats = NULL};
    if (name.len > 0)
        memcpy(made->text, name.ptr, name.len);
    made->node = (struct table_node){.key = made->text, .key_len = (uint32_t)name.len};
    if (table_insert(&absents->names, &made->node) < 0) {
        slab_free(&absents->slab, made, sizeof(*made) + name.len);
        return NULL;
    }
    return made;
}

struct slice absent_name_text(const struct absent_name *name)
{
    return (struct slice){name->text, name->node.key_len};
}

void absents_name_tidy(struct absents *absents, struct absent_name *name)
{
    if (name->owners.n > 0 || name->seats != NULL)
        return;
    table_remove(&absents->names, &name->node);
    slab_free(&absents->slab, name, sizeof(*name) + name->node.key_len);
}

struct absent_seat *absent_seat(const struct absents *absents, const struct absent *absent,
                                const struct absent_name *name)
{
    const void *key[2] = {absent, name};

    if (absent->seats == NULL || name->seats == NULL)
        return NULL;
    return (struct absent_seat *)table_find(&absents->seats, (const char *)key, SEAT_KEY_LEN);
}

int absent_join(struct absents *absents, struct absent *absent, struct absent_name *name,
                uint64_t since)
{
    struct absent_seat *seat = absent_seat(absents, absent, name);

    if (seat != NULL) {
        seat->since &= since | ~ABSENT_CLAIMED;
        return 0;
    }
    if ((seat = slab_alloc(&absents->slab, sizeof(*seat))) == NULL)
        return -1;
    *seat = (struct absent_seat){.absent = absent,
                                 .name = name,
                                 .next = name->seats,
                                 .other_next = absent->seats,
                                 .since = since};
    seat->node = (struct table_node){.key = (const char *)&seat->absent, .key_len = SEAT_KEY_LEN};
    if (table_insert(&absents->seats, &seat->node) < 0) {
        slab_free(&absents->slab, seat, sizeof(*seat));
        return -1;
    }
    if (seat->next != NULL)
        seat->next->prev = seat;
    name->seats = seat;
    if (seat->other_next != NULL)
        seat->other_next->other_prev = seat;
    absent->seats = seat;
    absent->nseats++;
    return 1;
}

int absent_leave(struct absents *absents, struct absent *absent, struct absent_name *name)
{
    struct absent_seat *seat = absent_seat(absents, absent, name);

    if (seat == NULL)
        return 0;
    seat_leave(absents, seat);
    *(seat->other_prev != NULL ? &seat->other_prev->other_next : &absent->seats) = seat->other_next;
    if (seat->other_next != NULL)
        seat->other_next->other_prev = seat->other_prev;
    absent->nseats--;
    slab_free(&absents->slab, seat, sizeof(*seat));
    return 1;
}
