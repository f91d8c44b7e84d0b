#include "worker/act.h"
#include "base/buf.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "worker/client.h"
#include "worker/membership.h"
#include "worker/room.h"
#include "worker/uplink.h"

#include <event2/event.h>
#include <stdlib.h>

#define SLICE_MS  5    /* in one turn of the loop, about */
#define WAIT_MS   2    /* for the pipe to take what waits */
#define NAMES_MAX 1000 /* at once for a client, which bounds a step, and what is said of it */

struct acts {
    struct act_parts parts;
    void (*done)(void *arg);
    void *arg;
    struct event *timer;

    /* The request that is carried out: nobody yet has had the names from names.at on, those
     * before client have had some. */
    enum msg_type type;
    uint32_t id;
    int close;
    struct handles clients;
    size_t client;
    struct buf text; /* the names' bytes */
    struct slices names, some;
    size_t name;                /* the first of some, which are tried now */
    struct slices joined, left; /* by one client; reused */
};

/* --- one client --- */

static void change_rooms(struct acts *acts, uint64_t handle, struct client *client)
{
    acts->joined.n = acts->left.n = 0;
    if (acts->type == MSG_JOIN)
        membership_join(acts->parts.membership, client, &acts->some, &acts->joined);
    else
        membership_leave(acts->parts.membership, client, &acts->some, &acts->left);
    if (acts->joined.n + acts->left.n > 0)
        uplink_rooms(acts->parts.uplink, 0, handle, 0, &acts->joined, &acts->left);
}

/* It may have gone since it was chosen. */
static void act_on(struct acts *acts, uint64_t handle)
{
    struct socket *socket = socket_find(&acts->parts.engine->sio, handle);
    struct client *client = socket == NULL ? NULL : socket_data(socket);

    if (client == NULL || client->state != CLIENT_IN)
        return;
    if (acts->type != MSG_DISCONNECT)
        change_rooms(acts, handle, client);
    else if (acts->close)
        socket_disconnect_all(socket, CLOSE_DISCONNECTED);
    else
        socket_leave(socket, CLOSE_DISCONNECTED);
}

/* --- all of them --- */

/* The next names are everybody's turn.  Returns 0 if there are none. */
static int next_names(struct acts *acts)
{
    size_t left = acts->names.n - acts->name;

    acts->client = 0;
    if (left == 0)
        return 0;
    acts->some = (struct slices){.at = acts->names.at + acts->name,
                                 .n = left < NAMES_MAX ? left : NAMES_MAX};
    acts->name += acts->some.n;
    return 1;
}

/* Carries on.  Returns 1, or 0 if all is done. */
static int carry_on(struct acts *acts)
{
    uint64_t until_ms = clock_ms() + SLICE_MS;

    do {
        if (acts->client == acts->clients.n && !next_names(acts))
            return 0;
        if (uplink_is_behind(acts->parts.uplink))
            return 1;
        if (acts->client < acts->clients.n)
            act_on(acts, acts->clients.at[acts->client++]);
    } while (clock_ms() < until_ms);
    return 1;
}

/* What was large is not kept. */
static void forget(struct acts *acts)
{
    handles_clear(&acts->clients);
    buf_free(&acts->text);
    slices_clear(&acts->names);
    slices_clear(&acts->joined);
    slices_clear(&acts->left);
}

static void finish(struct acts *acts)
{
    uplink_acted(acts->parts.uplink, acts->id, (uint32_t)acts->clients.n);
    forget(acts);
}

static void wait_a_little(struct acts *acts)
{
    struct timeval wait = {0, uplink_is_behind(acts->parts.uplink) ? WAIT_MS * 1000L : 0};

    evtimer_add(acts->timer, &wait);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct acts *acts = arg;

    (void)fd;
    (void)what;
    if (carry_on(acts)) {
        wait_a_little(acts);
        return;
    }
    finish(acts);
    acts->done(acts->arg);
}

/* --- a request --- */

/* A room in which nobody is here is left by nobody. */
static int is_there(const struct acts *acts, struct slice name)
{
    return room_find(acts->parts.rooms, name) != NULL ||
           socket_in_sid(&acts->parts.engine->sio, name) != NULL;
}

/* The message that they lie in goes. */
static int keep_names(struct acts *acts, const struct act_request *request)
{
    const struct slices *names = &request->names;
    size_t len = 0;
    char *at;

    acts->names.n = 0;
    for (size_t i = 0; i < names->n; i++)
        len += names->at[i].len;
    buf_reset(&acts->text);
    if (buf_reserve(&acts->text, len + 1) == NULL)
        return -1;
    for (size_t i = 0; i < names->n; i++) {
        if (request->type == MSG_LEAVE && !is_there(acts, names->at[i]))
            continue;
        at = (char *)acts->text.data + acts->text.len;
        buf_put(&acts->text, names->at[i].ptr, names->at[i].len);
        if (slices_put(&acts->names, (struct slice){at, names->at[i].len}) < 0)
            return -1;
    }
    if (request->type == MSG_LEAVE)
        membership_sort(&acts->names);
    return 0;
}

enum act_result act_begin(struct acts *acts, const struct act_request *request)
{
    acts->type = request->type;
    acts->id = request->id;
    acts->close = request->close;
    if (select_handles(acts->parts.engine, acts->parts.rooms, &request->who, &acts->clients) < 0 ||
        keep_names(acts, request) < 0) {
        forget(acts);
        return ACT_NO_MEMORY;
    }
    acts->name = 0;
    acts->client = acts->type == MSG_DISCONNECT ? 0 : acts->clients.n;
    if (carry_on(acts)) {
        wait_a_little(acts);
        return ACT_BEGUN;
    }
    finish(acts);
    return ACT_DONE;
}

struct acts *acts_new(const struct act_parts *parts, void (*done)(void *arg), void *arg)
{
    struct acts *acts = calloc(1, sizeof(*acts));

    if (acts == NULL)
        return NULL;
    acts->parts = *parts;
    acts->done = done;
    acts->arg = arg;
    acts->timer = evtimer_new(parts->base, on_timer, acts);
    if (acts->timer == NULL)
        acts_free(&acts);
    return acts;
}

void acts_free(struct acts **acts_ptr)
{
    struct acts *acts = *acts_ptr;

    *acts_ptr = NULL;
    if (acts == NULL)
        return;
    if (acts->timer != NULL)
        event_free(acts->timer);
    forget(acts);
    free(acts);
}
