/* Who gets a broadcast: with real rooms, and an engine that notes what it is told. */
#include "engine/engine.h"
#include "tap.h"
#include "worker/acks.h"
#include "worker/client.h"
#include "worker/deliver.h"
#include "worker/room.h"

#include <stdlib.h>

#define SERIAL 4711 /* of each fan-out */

#define MANY 1000 /* clients, so that what is fetched ahead has an end */

struct made { /* a socket that is made up */
    struct socket socket;
    int in; /* the namespace */
    int sent, excepted;
    const char *sid; /* its Socket.IO id, or NULL */
};

static struct engine engine;
static struct made made[MANY];
static struct client client[MANY];
static struct rooms rooms;
static int fails, ends, soon;
static struct fanout begun;
static uint64_t received_us, offset;
static long acked_id;
static int nnoted, noted_early, reached, ended_first;

/* --- the engine --- */

static struct made *made_of(struct socket *socket)
{
    return (struct made *)(void *)socket;
}

void fanout_begin(struct sio *sio, struct fanout *fanout, struct slice json,
                  const struct slice *attachments, size_t nattachments, int is_volatile)
{
    memset(fanout, 0, sizeof(*fanout));
    fanout->sio = sio;
    fanout->json = json;
    fanout->attachments = attachments;
    fanout->nattachments = nattachments;
    fanout->is_volatile = is_volatile;
    fanout->serial = SERIAL;
    begun = *fanout;
    received_us = offset = 0;
}

void fanout_received(struct fanout *fanout, uint64_t at_us)
{
    (void)fanout;
    received_us = at_us;
}

void fanout_offset(struct fanout *fanout, uint64_t at)
{
    (void)fanout;
    offset = at;
}

void fanout_except(struct fanout *fanout, struct socket *socket)
{
    (void)fanout;
    made_of(socket)->excepted++;
}

void fanout_ack(struct fanout *fanout, uint64_t id)
{
    (void)fanout;
    acked_id = (long)id;
}

int fanout_concerns(const struct fanout *fanout, const struct socket *socket)
{
    const struct made *of = (const struct made *)(const void *)socket;

    (void)fanout;
    return !of->excepted && of->sent == 0;
}

int fanout_send(struct fanout *fanout, struct socket *socket)
{
    if (fails)
        fanout->failed = 1;
    made_of(socket)->sent += !made_of(socket)->excepted;
    return 1;
}

void fanout_send_all(struct fanout *fanout)
{
    for (int i = 0; i < MANY; i++)
        if (made[i].in)
            fanout_send(fanout, &made[i].socket);
}

struct socket *socket_next(const struct sio *sio, uint32_t *place)
{
    (void)sio;
    while (*place < MANY)
        if (made[(*place)++].in)
            return &made[*place - 1].socket;
    return NULL;
}

void fanout_soon(const struct socket *socket)
{
    soon += socket >= &made[0].socket && socket <= &made[MANY - 1].socket;
}

void fanout_end(struct fanout *fanout)
{
    (void)fanout;
    ends++;
}

struct socket *socket_in_sid(const struct sio *sio, struct slice sid)
{
    (void)sio;
    for (int i = 0; i < MANY; i++)
        if (made[i].sid != NULL && slice_eq(sid, slice_str(made[i].sid)))
            return &made[i].socket;
    return NULL;
}

/* --- acknowledgements --- */

void acks_begin(struct acks *acks, struct ack_round *round, uint32_t request, uint32_t timeout_ms,
                uint64_t serial)
{
    ok(acks == (struct acks *)&made && request == 7 && timeout_ms == 1000 && serial == SERIAL,
       "it is told for what, and how long");
    *round = (struct ack_round){.id = 17};
    nnoted = 0;
}

void acks_note(struct ack_round *round, const struct socket *socket)
{
    const struct made *of = (const struct made *)(const void *)socket;

    round->clients++;
    nnoted++;
    noted_early += of->sent == 0;
}

void acks_end(struct ack_round *round)
{
    reached = (int)round->clients;
    ended_first = ends == 1;
}

/* --- rooms and a broadcast --- */

static void join(int i, const char *name)
{
    client[i].socket = &made[i].socket;
    if (room_join(&rooms, &client[i].member, slice_str(name)) != 1)
        abort();
}

/* Names that are separated by commas. */
static void names(struct slices *list, const char *text)
{
    list->n = 0;
    while (*text != '\0') {
        size_t n = strcspn(text, ",");

        slices_put(list, (struct slice){text, n});
        text += n + (text[n] == ',');
    }
}

static struct msg_broadcast bc;

static int asks; /* they are to acknowledge it */

static int deliver(const char *to, const char *except)
{
    for (int i = 0; i < MANY; i++)
        made[i].sent = made[i].excepted = 0;
    names(&bc.rooms, to);
    names(&bc.except, except);
    ends = 0;
    acked_id = -1;
    if (asks)
        return deliver_emit(&engine, &rooms, &bc, (struct acks *)&made, 7, 1000);
    return deliver_broadcast(&engine, &rooms, &bc);
}

/* Of the first ten: the digit of each that it was sent to. */
static const char *receivers(void)
{
    static char text[11];
    size_t n = 0;

    for (int i = 0; i < 10; i++)
        if (made[i].sent > 0)
            text[n++] = (char)('0' + i);
    text[n] = '\0';
    return text;
}

/* --- tests --- */

static void test_who(void)
{
    static const struct {
        const char *rooms, *except, *receivers;
    } rows[] = {
        {"", "", "01234"},       {"ann", "", "01"},     {"allusers", "", "0123"},
        {"bob,ann", "", "012"},  {"nobody", "", ""},    {"nobody,bob", "", "2"},
        {"an", "", ""},          {"", "ann", "234"},    {"ann,bob", "ann", "2"},
        {"ann", "nobody", "01"}, {"", "allusers", "4"}, {"sid3", "", "3"},
        {"sid3,ann", "", "013"}, {"sid3", "sid3", ""},  {"", "sid0,bob", "134"},
        {"sid9", "", ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        is_int(deliver(rows[i].rooms, rows[i].except), 0, "delivered");
        is_str(receivers(), rows[i].receivers,
               rows[i].rooms[0] != '\0' ? rows[i].rooms : "everybody");
        is_int(ends, 1, "and ended");
        if (asks) {
            is_int(acked_id, 17, "with an id");
            is_int(reached, (int)strlen(rows[i].receivers), "so many are meant");
            is_int(ended_first, 1, "which is told when it is queued");
        } else {
            is_int(acked_id, -1, "without an id");
        }
    }
}

static void test_asked(void)
{
    asks = 1;
    noted_early = 0;
    test_who();
    is_int(noted_early > 0 && nnoted == 0, 1, "each is noted before it can answer");
    fails = 1;
    is_int(deliver("", ""), -1, "no memory");
    is_int(reached, 5, "they are meant all the same");
    fails = asks = 0;
}

static void test_what(void)
{
    bc.json = SLICE("[1");
    bc.flags = 0;
    bc.received_us = 12345;
    bc.offset = 54321;
    names(&bc.attachments, "a,b");
    deliver("", "");
    ok(slice_eq(begun.json, SLICE("[1")) && begun.attachments == bc.attachments.at &&
           begun.nattachments == 2 && begun.sio == &engine.sio,
       "the event and its attachments");
    is_int(begun.is_volatile, 0, "not volatile");
    is_int((long)received_us, 12345, "when it came");
    is_int((long)offset, 54321, "and where in the stream");
    bc.flags = BROADCAST_VOLATILE;
    deliver("", "");
    is_int(begun.is_volatile, 1, "volatile");
    fails = 1;
    is_int(deliver("", ""), -1, "no memory");
    is_int(ends, 1, "is an end, too");
    is_int(deliver("nobody", ""), 0, "nor is any needed for nobody");
    fails = 0;
}

static void test_many(void)
{
    int sent = 0;

    for (int i = 10; i < MANY; i++)
        join(i, "many");
    soon = 0;
    deliver("many", "");
    for (int i = 10; i < MANY; i++)
        sent += made[i].sent;
    is_int(sent, MANY - 10, "each of many, once");
    is_int(soon, MANY - 10 - 6, "all but the first six were fetched ahead");
    asks = 1;
    soon = 0;
    deliver("many,many", "");
    is_int(nnoted, MANY - 10, "each is asked once");
    is_int(soon, 2 * (MANY - 10 - 6), "fetched ahead as well");
    asks = 0;
}

int main(void)
{
    static const char *const users[] = {"ann", "ann", "bob", "zed"};

    rooms_init(&rooms);
    for (int i = 0; i < 4; i++) {
        join(i, "allusers");
        join(i, users[i]);
        made[i].in = 1;
    }
    made[4].in = 1; /* has left everybody's room, and its own */
    made[0].sid = "sid0";
    made[3].sid = "sid3";
    test_who();
    test_what();
    test_asked();
    test_many();
    for (int i = 0; i < MANY; i++)
        room_leave_all(&rooms, &client[i].member);
    rooms_clear(&rooms);
    msg_broadcast_clear(&bc);
    return tap_done();
}
