#include "worker/select.h"
#include "engine/engine.h"
#include "ipc/msg.h"
#include "worker/client.h"
#include "worker/room.h"

#include <stdlib.h>
#include <string.h>

#define HANDLES_MIN 16
#define AHEAD       ((size_t)6) /* members by which a fetch from memory precedes what is read */

struct selection {
    struct engine *engine;
    uint64_t mark;           /* of those who have been seen */
    struct handles *handles; /* NULL: they are only marked */
    int failed;              /* no memory */
};

void handles_clear(struct handles *handles)
{
    free(handles->at);
    memset(handles, 0, sizeof(*handles));
}

static int handles_put(struct handles *handles, uint64_t handle)
{
    if (handles->n == handles->cap) {
        size_t cap = handles->cap > 0 ? handles->cap * 2 : HANDLES_MIN;
        uint64_t *at = reallocarray(handles->at, cap, sizeof(*at));

        if (at == NULL)
            return -1;
        handles->at = at;
        handles->cap = cap;
    }
    handles->at[handles->n++] = handle;
    return 0;
}

static void take(struct selection *selection, struct socket *socket)
{
    if (socket_mark(socket, selection->mark) && selection->handles != NULL &&
        handles_put(selection->handles, socket_handle(socket)) < 0)
        selection->failed = 1;
}

/* Of many thousands each leads to another that is read. */
static void fetch_ahead(const struct room_entry *member, size_t n)
{
    if (n > 2 * AHEAD)
        __builtin_prefetch(client_of(&member[2 * AHEAD]));
    if (n > AHEAD)
        __builtin_prefetch(client_of(&member[AHEAD])->socket, 1);
}

static void take_room(struct selection *selection, const struct room *room)
{
    const struct room_entry *members;
    size_t n = 0;

    if (room == NULL)
        return;
    members = room_members(room, &n);
    for (size_t i = 0; i < n; i++) {
        fetch_ahead(&members[i], n - i);
        take(selection, client_of(&members[i])->socket);
    }
}

/* A name may be a room, or a client's Socket.IO id, which is a room too but stands in no
 * table. */
static void take_names(struct selection *selection, const struct rooms *rooms,
                       const struct slices *names)
{
    struct socket *socket;

    for (size_t i = 0; i < names->n; i++) {
        take_room(selection, room_find(rooms, names->at[i]));
        if ((socket = socket_in_sid(&selection->engine->sio, names->at[i])) != NULL)
            take(selection, socket);
    }
}

static void take_ids(struct selection *selection, const struct slices *ids)
{
    struct socket *socket;

    for (size_t i = 0; i < ids->n; i++)
        if ((socket = socket_by_sid(&selection->engine->sio, ids->at[i])) != NULL)
            take(selection, socket);
}

static void take_all(struct selection *selection)
{
    struct socket *socket;
    uint32_t place = 0;

    while ((socket = socket_next(&selection->engine->sio, &place)) != NULL)
        take(selection, socket);
}

int select_handles(struct engine *engine, const struct rooms *rooms, const struct who *who,
                   struct handles *handles)
{
    struct selection selection = {.engine = engine, .mark = socket_new_mark(&engine->sio)};

    take_names(&selection, rooms, &who->except);
    selection.handles = handles;
    if (who->select == MSG_SELECT_IDS)
        take_ids(&selection, &who->rooms);
    else if (who->rooms.n > 0)
        take_names(&selection, rooms, &who->rooms);
    else
        take_all(&selection);
    return selection.failed ? -1 : 0;
}
