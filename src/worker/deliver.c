#include "worker/deliver.h"
#include "engine/engine.h"
#include "worker/client.h"
#include "worker/room.h"

#define AHEAD ((size_t)6) /* members by which a fetch from memory precedes what is read there */

/* Many thousands do not fit into the CPU's caches, and each leads by way of two others
 * to what is written: all three are asked for while those before are served. */
static void fetch_ahead(const struct room_entry *member, size_t n)
{
    if (n > 3 * AHEAD)
        __builtin_prefetch(client_of(&member[3 * AHEAD]));
    if (n > 2 * AHEAD)
        __builtin_prefetch(client_of(&member[2 * AHEAD])->socket, 1);
    if (n > AHEAD)
        fanout_soon(client_of(&member[AHEAD])->socket);
}

/* Sending ends no session before the loop's next turn, so neither the rooms nor
 * their members change under the walk. */
static void send_room(struct fanout *fan, const struct room *room)
{
    const struct room_entry *members;
    size_t n = 0;

    if (room == NULL)
        return;
    members = room_members(room, &n);
    for (size_t i = 0; i < n; i++) {
        fetch_ahead(&members[i], n - i);
        fanout_send(fan, client_of(&members[i])->socket);
    }
}

static void except_room(struct fanout *fan, const struct room *room)
{
    const struct room_entry *members;
    size_t n = 0;

    if (room == NULL)
        return;
    members = room_members(room, &n);
    for (size_t i = 0; i < n; i++)
        fanout_except(fan, client_of(&members[i])->socket);
}

int deliver_broadcast(struct engine *engine, const struct rooms *rooms,
                      const struct msg_broadcast *bc)
{
    struct socket *socket;
    struct fanout fan;

    fanout_begin(&engine->sio, &fan, bc->json, bc->attachments.at, bc->attachments.n,
                 (bc->flags & BROADCAST_VOLATILE) != 0);
    fanout_received(&fan, bc->received_us);
    /* A name may be a room, or a client's Socket.IO id, which is a room too but
     * stands in no table. */
    for (size_t i = 0; i < bc->except.n; i++) {
        except_room(&fan, room_find(rooms, bc->except.at[i]));
        if ((socket = socket_by_sid(&engine->sio, bc->except.at[i])) != NULL)
            fanout_except(&fan, socket);
    }
    for (size_t i = 0; i < bc->rooms.n; i++) {
        send_room(&fan, room_find(rooms, bc->rooms.at[i]));
        if ((socket = socket_by_sid(&engine->sio, bc->rooms.at[i])) != NULL)
            fanout_send(&fan, socket);
    }
    if (bc->rooms.n == 0)
        fanout_send_all(&fan);
    fanout_end(&fan);
    return fan.failed ? -1 : 0;
}
