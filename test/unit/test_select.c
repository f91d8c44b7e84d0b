/* Who is meant by a request: with real rooms, and sockets that are made up. */
#include "engine/engine.h"
#include "ipc/msg.h"
#include "nomem.h"
#include "tap.h"
#include "worker/client.h"
#include "worker/room.h"
#include "worker/select.h"

#define MANY 1000

static struct engine engine;
static struct socket sockets[MANY]; /* their handles are their places, from 1 on */
static struct client clients[MANY];
static const char *sids[MANY];
static int nin; /* the first of them are in */
static struct rooms rooms;

/* --- the engine --- */

uint64_t socket_handle(const struct socket *socket)
{
    return (uint64_t)(socket - sockets) + 1;
}

uint64_t socket_new_mark(struct sio *sio)
{
    return ++sio->fanout_serial;
}

struct socket *socket_next(const struct sio *sio, uint32_t *place)
{
    (void)sio;
    return *place < (uint32_t)nin ? &sockets[(*place)++] : NULL;
}

struct socket *socket_by_sid(const struct sio *sio, struct slice sid)
{
    (void)sio;
    for (int i = 0; i < MANY; i++)
        if (sids[i] != NULL && slice_eq(sid, slice_str(sids[i])))
            return &sockets[i];
    return NULL;
}

struct socket *socket_in_sid(const struct sio *sio, struct slice sid)
{
    return slice_eq(sid, SLICE("sid2")) ? NULL : socket_by_sid(sio, sid);
}

/* --- a request --- */

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

static struct who who;
static struct handles handles;

static int chosen(unsigned select, const char *of, const char *except)
{
    who.select = select;
    names(&who.rooms, of);
    names(&who.except, except);
    handles.n = 0;
    return select_handles(&engine, &rooms, &who, &handles);
}

/* Their places, in order. */
static const char *those(void)
{
    static char text[16];
    size_t n = 0;

    for (uint64_t i = 0; i < 10; i++)
        for (size_t at = 0; at < handles.n; at++)
            if (handles.at[at] == i + 1)
                text[n++] = (char)('0' + i);
    text[n] = '\0';
    return text;
}

static void join(int i, const char *name)
{
    clients[i].socket = &sockets[i];
    if (room_join(&rooms, &clients[i].member, slice_str(name)) != 1)
        abort();
}

/* --- tests --- */

static void test_who(void)
{
    static const struct {
        unsigned select;
        const char *rooms, *except, *those;
    } rows[] = {
        {MSG_SELECT_ROOMS, "", "", "01234"},
        {MSG_SELECT_ROOMS, "a", "", "01"},
        {MSG_SELECT_ROOMS, "a,b", "", "012"},
        {MSG_SELECT_ROOMS, "b,a", "a", "2"},
        {MSG_SELECT_ROOMS, "", "a", "234"},
        {MSG_SELECT_ROOMS, "all", "b,nobody", "03"},
        {MSG_SELECT_ROOMS, "nobody", "", ""},
        {MSG_SELECT_ROOMS, "sid3", "", "3"},
        {MSG_SELECT_ROOMS, "sid3,a", "sid0", "13"},
        {MSG_SELECT_ROOMS, "", "sid3,sid0", "124"},
        {MSG_SELECT_ROOMS, "sid3", "sid3", ""},
        {MSG_SELECT_IDS, "sid3", "", "3"},
        {MSG_SELECT_IDS, "sid3", "a", "3"},
        {MSG_SELECT_IDS, "sid0", "a", ""},
        {MSG_SELECT_IDS, "a", "", ""},
        {MSG_SELECT_IDS, "sid9", "", ""},
        {MSG_SELECT_ROOMS, "sid2", "", ""}, /* it has left that room */
        {MSG_SELECT_ROOMS, "", "sid2", "01234"},
        {MSG_SELECT_IDS, "sid2", "", "2"},
        {MSG_SELECT_IDS, "", "", ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        is_int(chosen(rows[i].select, rows[i].rooms, rows[i].except), 0, "chosen");
        is_str(those(), rows[i].those, rows[i].rooms[0] != '\0' ? rows[i].rooms : "everybody");
    }
    chosen(MSG_SELECT_ROOMS, "a", "");
    is_int(select_handles(&engine, &rooms, &who, &handles), 0, "chosen once more");
    is_int((long)handles.n, 4, "they are appended");
}

static void test_many(void)
{
    uint64_t sum = 0;

    for (int i = 10; i < MANY; i++) {
        join(i, "many");
        if (i % 2 == 0)
            join(i, "even");
    }
    chosen(MSG_SELECT_ROOMS, "even,many", "");
    for (size_t i = 0; i < handles.n; i++)
        sum += handles.at[i];
    is_int((long)handles.n, MANY - 10, "each of many, once");
    is_int((long)sum, (MANY - 10) * (MANY + 11) / 2, "each of them");
    chosen(MSG_SELECT_ROOMS, "many", "even");
    is_int((long)handles.n, (MANY - 10) / 2, "half of them");
    handles_clear(&handles);
    ok(handles.at == NULL && handles.n == 0, "freed");
    nomem = 1;
    is_int(chosen(MSG_SELECT_ROOMS, "many", ""), -1, "no memory");
    nomem = 0;
    is_int(chosen(MSG_SELECT_ROOMS, "many", ""), 0, "then it is asked again");
    is_int((long)handles.n, MANY - 10, "and they are all there");
}

int main(void)
{
    rooms_init(&rooms);
    for (int i = 0; i < 4; i++)
        join(i, "all");
    join(0, "a");
    join(1, "a");
    join(1, "b");
    join(2, "b");
    nin = 5;
    sids[0] = "sid0";
    sids[2] = "sid2";
    sids[3] = "sid3";
    test_who();
    test_many();
    for (int i = 0; i < MANY; i++)
        room_leave_all(&rooms, &clients[i].member);
    rooms_clear(&rooms);
    handles_clear(&handles);
    slices_clear(&who.rooms);
    slices_clear(&who.except);
    return tap_done();
}
