#include "worker/deliver.h"
#include "engine/engine.h"
#include "worker/acks.h"
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

/* Whoever is meant, whether it can be queued for him or not: who asks waits for so many. */
static void ask(struct fanout *fan, struct ack_round *round, struct socket *socket)
{
    if (!fanout_concerns(fan, socket))
        return;
    acks_note(round, socket);
    fanout_send(fan, socket);
}

static void ask_all(struct fanout *fan, struct ack_round *round, const struct room_entry *members,
                    size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fetch_ahead(&members[i], n - i);
        ask(fan, round, client_of(&members[i])->socket);
    }
}

/* Sending ends no session before the loop's next turn, so neither the rooms nor
 * their members change under the walk. */
static void send_room(struct fanout *fan, struct ack_round *round, const struct room *room)
{
    const struct room_entry *members;
    size_t n = 0;

    if (room == NULL)
        return;
    members = room_members(room, &n);
    if (round != NULL) {
        ask_all(fan, round, members, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        fetch_ahead(&members[i], n - i);
        fanout_send(fan, client_of(&members[i])->socket);
    }
}

static void send_one(struct fanout *fan, struct ack_round *round, struct socket *socket)
{
    if (socket == NULL)
        return;
    if (round == NULL)
        fanout_send(fan, socket);
    else
        ask(fan, round, socket);
}

static void send_everybody(struct fanout *fan, struct ack_round *round)
{
    struct socket *socket;
    uint32_t place = 0;

    if (round == NULL) {
        fanout_send_all(fan);
        return;
    }
    while ((socket = socket_next(fan->sio, &place)) != NULL)
        ask(fan, round, socket);
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

static void begin(struct fanout *fan, struct engine *engine, const struct msg_broadcast *bc)
{
    fanout_begin(&engine->sio, fan, bc->json, bc->attachments.at, bc->attachments.n,
                 (bc->flags & BROADCAST_VOLATILE) != 0);
    fanout_received(fan, bc->received_us);
    fanout_offset(fan, bc->offset);
}

/* A name may be a room, or a client's Socket.IO id, which is a room too but stands in no
 * table.  round: NULL if nobody is to acknowledge it. */
static int deliver(struct fanout *fan, struct ack_round *round, const struct rooms *rooms,
                   const struct msg_broadcast *bc)
{
    const struct sio *sio = fan->sio;
    struct socket *socket;

    for (size_t i = 0; i < bc->except.n; i++) {
        except_room(fan, room_find(rooms, bc->except.at[i]));
        if ((socket = socket_in_sid(sio, bc->except.at[i])) != NULL)
            fanout_except(fan, socket);
    }
    for (size_t i = 0; i < bc->rooms.n; i++) {
        send_room(fan, round, room_find(rooms, bc->rooms.at[i]));
        send_one(fan, round, socket_in_sid(sio, bc->rooms.at[i]));
    }
    if (bc->rooms.n == 0)
        send_everybody(fan, round);
    fanout_end(fan);
    return fan->failed ? -1 : 0;
}

int deliver_broadcast(struct engine *engine, const struct rooms *rooms,
                      const struct msg_broadcast *bc)
{
    struct fanout fan;

    begin(&fan, engine, bc);
    return deliver(&fan, NULL, rooms, bc);
}

int deliver_emit(struct engine *engine, const struct rooms *rooms, const struct msg_broadcast *bc,
                 struct acks *acks, uint32_t request, uint32_t timeout_ms)
{
    struct ack_round round;
    struct fanout fan;
    int result;

    begin(&fan, engine, bc);
    acks_begin(acks, &round, request, timeout_ms, fan.serial);
    fanout_ack(&fan, round.id);
    result = deliver(&fan, &round, rooms, bc);
    acks_end(&round);
    return result;
}
