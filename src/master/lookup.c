#include "master/lookup.h"

#include "codec/json.h"
#include "codec/once.h"
#include "codec/request.h"
#include "master/asking.h"

#include <stdlib.h>

struct lookup {
    struct question *question;
    void (*done)(const struct lookup_found *found, void *arg);
    void *arg;
    struct buf uid; /* as JSON */
    struct lookup_found found;
    int is_own;       /* what is heard is the answer of this daemon */
    size_t told;      /* sockets in found.sockets */
    struct buf names; /* what found.rooms borrows: it does not move */
    struct once once;
};

/* --- what servers answer ------------------------------------------------------ */

/* Of a name that is not there yet. */
static void add_room(struct lookup *lookup, struct slice room)
{
    struct lookup_found *found = &lookup->found;
    struct slice copy = {(const char *)lookup->names.data + lookup->names.len, room.len};

    if (lookup->names.len + room.len > LOOKUP_BYTES || found->rooms.n == LOOKUP_ROOMS) {
        found->more_rooms = 1;
        return;
    }
    (void)buf_put(&lookup->names, room.ptr, room.len);
    if (once_put(&lookup->once, &found->rooms, copy) <= 0)
        lookup->names.len -= room.len;
}

/* Those that are a text or a number, but for the client's own. */
static void add_rooms(struct lookup *lookup, const struct answer_client *client)
{
    struct json_walk walk = json_walk(client->rooms);
    struct slice room;

    while (client->rooms.len > 0 && json_walk_element(&walk, &room))
        if (!slice_eq(room, client->id) && strchr("\"-0123456789", room.ptr[0]) != NULL)
            add_room(lookup, room);
}

static void put_member(struct buf *out, const char *name, struct slice json)
{
    if (json.len == 0)
        return;
    (void)buf_printf(out, ",\"%s\":", name);
    (void)buf_put(out, json.ptr, json.len);
}

static void put_time(struct buf *out, struct slice issued)
{
    char digits[32] = "";

    if (issued.len == 0 || issued.len >= sizeof(digits))
        return;
    memcpy(digits, issued.ptr, issued.len);
    (void)buf_puts(out, ",\"time\":");
    (void)json_put_date(out, strtod(digits, NULL));
}

static void add_socket(struct lookup *lookup, const struct answer_client *client)
{
    struct buf *out = &lookup->found.sockets;

    if (lookup->told == LOOKUP_SOCKETS ||
        out->len + client->rooms.len + client->id.len + client->address.len > LOOKUP_BYTES) {
        lookup->found.more_sockets = 1;
        return;
    }
    (void)buf_puts(out, lookup->told++ == 0 ? "{\"id\":" : ",{\"id\":");
    (void)buf_put(out, client->id.ptr, client->id.len);
    (void)buf_printf(out, ",\"here\":%s", lookup->is_own ? "true" : "false");
    put_member(out, "address", client->address);
    put_time(out, client->issued);
    put_member(out, "rooms", client->rooms);
    (void)buf_putc(out, '}');
}

/* One that says whose it is, and is another's, is in the room only. */
static void on_client(const struct answer_client *client, void *arg)
{
    struct lookup *lookup = arg;
    struct slice uid = {(const char *)lookup->uid.data, lookup->uid.len};

    lookup->found.members++;
    if (client->uid.len > 0 && !slice_eq(client->uid, uid))
        return;
    lookup->found.connections++;
    add_socket(lookup, client);
    add_rooms(lookup, client);
}

static int on_heard(struct slice payload, int is_own, void *arg)
{
    struct lookup *lookup = arg;

    lookup->is_own = is_own;
    if (answer_clients(payload, question_id(lookup->question), on_client, lookup) < 0)
        return 0;
    lookup->found.has_own |= is_own;
    return 1;
}

static void on_over(enum question_end end, const char *why, void *arg)
{
    struct lookup *lookup = arg;
    struct lookup_found *found = &lookup->found;

    found->servers = question_servers(lookup->question);
    found->answered = question_answered(lookup->question);
    if (end == QUESTION_UNASKED)
        found->why = why;
    if (found->sockets.failed)
        found->why = "out of memory";
    lookup->done(found, lookup->arg);
    lookup_free(&lookup);
}

static const struct question_ops ops = {.heard = on_heard, .over = on_over};

/* --- coming and going --------------------------------------------------------- */

struct lookup *lookup_new(struct asking *asking, unsigned max, struct slice uid,
                          void (*done)(const struct lookup_found *found, void *arg), void *arg)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    struct buf request = {0};

    if (lookup == NULL)
        return NULL;
    lookup->done = done;
    lookup->arg = arg;
    once_begin(&lookup->once, &lookup->found.rooms);
    lookup->question = question_new(asking, max, LOOKUP_MS, &ops, lookup);
    if (lookup->question == NULL || buf_reserve(&lookup->names, LOOKUP_BYTES) == NULL ||
        json_put_string(&lookup->uid, uid.ptr, uid.len) < 0) {
        lookup_free(&lookup);
        return NULL;
    }
    (void)request_put_fetch(&request, question_uid(lookup->question), question_id(lookup->question),
                            uid);
    question_ask(lookup->question, &request);
    return lookup;
}

void lookup_free(struct lookup **lookupp)
{
    struct lookup *lookup = *lookupp;

    if (lookup == NULL)
        return;
    *lookupp = NULL;
    question_free(&lookup->question);
    slices_clear(&lookup->found.rooms);
    buf_free(&lookup->found.sockets);
    buf_free(&lookup->names);
    buf_free(&lookup->uid);
    once_clear(&lookup->once);
    free(lookup);
}
