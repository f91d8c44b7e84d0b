#include "master/admin_routes.h"

#include "base/log.h"
#include "base/utf8.h"
#include "codec/http.h"
#include "codec/json.h"
#include "codec/once.h"
#include "codec/request.h"
#include "codec/token.h"
#include "conf.h"
#include "master/admin_counts.h"
#include "master/asking.h"
#include "master/lookup.h"
#include "master/route.h"

#include <stdlib.h>
#include <string.h>

/* A user that is looked for. */
struct search {
    struct caller *caller;  /* NULL: it has gone */
    struct admin_desk desk; /* a reload may end the admin address meanwhile */
    struct lookup *lookup;  /* while it is under way */
    int close;              /* POST: its connections are to be closed */
    struct lookup_found found;
    size_t connections;
    struct address address; /* of the caller */
    size_t uid_len;
    char uid[TOKEN_UID_MAX];
};

/* --- the name ----------------------------------------------------------------- */

/* Decodes name into uid, which has room for CALLER_HEAD_BYTES.  Returns 0, or -1 where no user can
 * have it. */
static int take_uid(char *bytes, struct slice name, struct slice *uid)
{
    long len = name.len <= CALLER_HEAD_BYTES ? http_unescape(bytes, name, 0) : -1;

    if (len <= 0 || len > TOKEN_UID_MAX || !utf8_valid(bytes, (size_t)len) ||
        memchr(bytes, '\0', (size_t)len) != NULL)
        return -1;
    *uid = (struct slice){bytes, (size_t)len};
    return 0;
}

/* NULL: the caller has been refused. */
static struct search *search_new(const struct admin_call *call)
{
    struct search *search = calloc(1, sizeof(*search));
    char bytes[CALLER_HEAD_BYTES];
    struct slice uid;

    if (search == NULL) {
        caller_refuse(call->caller, 503, NULL, "out of memory");
    } else if (take_uid(bytes, call->name, &uid) < 0) {
        caller_refuse(call->caller, 400, NULL, "no user has this name");
        free(search);
        search = NULL;
    } else {
        search->caller = call->caller;
        search->address = *caller_address(call->caller);
        search->desk = *call->desk;
        search->uid_len = uid.len;
        memcpy(search->uid, uid.ptr, uid.len);
    }
    return search;
}

static struct slice uid_of(const struct search *search)
{
    return (struct slice){search->uid, search->uid_len};
}

static void search_free(struct search *search)
{
    lookup_free(&search->lookup);
    free(search);
}

static void on_gone(void *arg)
{
    search_free(arg);
}

/* Begins to look.  gone: of its caller.  Returns 0, or -1: it cannot, as too many do. */
static int look(struct search *search, unsigned max,
                void (*done)(const struct lookup_found *found, void *arg), void (*gone)(void *arg))
{
    search->lookup = lookup_new(search->desk.asking, max, uid_of(search), done, search);
    if (search->lookup == NULL)
        return -1;
    caller_wait(search->caller, CALLER_WRITE_MS, gone, search);
    return 0;
}

/* --- where it is -------------------------------------------------------------- */

/* What others know comes behind what this daemon does. */
static void put_rooms(struct buf *out, const struct status_user *user,
                      const struct lookup_found *found)
{
    struct buf own = {0};
    struct once once = {0};
    struct slices rooms = {0};
    struct json_walk walk;
    struct slice room;

    (void)buf_putc(&own, '[');
    for (size_t i = 0; i < user->rooms.n; i++) {
        (void)buf_puts(&own, i > 0 ? "," : "");
        (void)request_put_room(&own, user->rooms.at[i]);
    }
    (void)buf_putc(&own, ']');
    out->failed |= own.failed;
    once_begin(&once, &rooms);
    walk = json_walk((struct slice){(const char *)own.data, own.len});
    while (!own.failed && json_walk_element(&walk, &room))
        out->failed |= once_put(&once, &rooms, room) < 0;
    for (size_t i = 0; i < found->rooms.n; i++)
        out->failed |= once_put(&once, &rooms, found->rooms.at[i]) < 0;
    for (size_t i = 0; i < rooms.n; i++) {
        (void)buf_puts(out, i > 0 ? "," : ",\"rooms\":[");
        (void)buf_put(out, rooms.at[i].ptr, rooms.at[i].len);
    }
    (void)buf_puts(out, rooms.n > 0 ? "]" : ",\"rooms\":[]");
    (void)buf_puts(out, user->has_more || found->more_rooms ? ",\"moreRooms\":true" : "");
    slices_clear(&rooms);
    once_clear(&once);
    buf_free(&own);
}

/* How often it is connected; this daemon, where it is not among those that have answered, knows
 * what it has. */
static size_t connections_of(const struct status_user *user, const struct lookup_found *found)
{
    return found->connections + (found->has_own ? 0 : user->connections);
}

static void put_user(struct buf *out, struct slice uid, const struct status_user *user,
                     const struct lookup_found *found)
{
    int is_cluster = found->servers > 0;
    size_t connections = connections_of(user, found);

    (void)buf_puts(out, "{\"uid\":");
    (void)json_put_string(out, uid.ptr, uid.len);
    (void)buf_printf(out, ",\"connected\":%s,\"connections\":%zu",
                     connections > 0 ? "true" : "false", connections);
    put_rooms(out, user, found);
    (void)buf_printf(out, ",\"here\":{\"connections\":%zu},\"servers\":%u,\"answered\":%u",
                     user->connections, is_cluster ? found->servers : 1,
                     is_cluster ? found->answered : 1);
    if (is_cluster) {
        (void)buf_puts(out, ",\"sockets\":[");
        (void)buf_put(out, found->sockets.data, found->sockets.len);
        (void)buf_puts(out, found->more_sockets ? "],\"moreSockets\":true}\n" : "]}\n");
    } else {
        (void)buf_puts(out, ",\"cluster\":false}\n");
    }
}

static void answer_user(struct search *search, const struct lookup_found *found)
{
    const struct admin_desk *desk = &search->desk;
    struct status_user user = {0};
    struct buf body = {0};

    desk->ops->user(uid_of(search), &user, desk->arg);
    put_user(&body, uid_of(search), &user, found);
    slices_clear(&user.rooms);
    caller_answer(search->caller, 200, CALLER_JSON, NULL, &body);
}

static void on_found(const struct lookup_found *found, void *arg)
{
    static const struct lookup_found nothing;
    struct search *search = arg;

    search->lookup = NULL;
    answer_user(search, found->why == NULL ? found : &nothing);
    search_free(search);
}

/* The room of a user who is called as that of everybody would have each server tell of all its
 * clients. */
static int is_asked_here(const struct admin_call *call, const struct search *search)
{
    const struct slice uid = {search->uid, search->uid_len};
    struct slice cluster;

    return call->desk->asking == NULL || slice_eq(uid, SLICE(ROUTE_EVERYBODY)) ||
           (http_query(call->query, "cluster", &cluster) && slice_eq(cluster, SLICE("0")));
}

void admin_user(const struct admin_call *call)
{
    static const struct lookup_found nothing;
    struct search *search = search_new(call);

    if (search == NULL)
        return;
    if (is_asked_here(call, search)) {
        answer_user(search, &nothing);
        search_free(search);
    } else if (look(search, ADMIN_LOOKUPS, on_found, on_gone) < 0) {
        caller_refuse(call->caller, 503, "Retry-After: 1\r\n", "too many questions are under way");
        search_free(search);
    }
}

/* --- its end ------------------------------------------------------------------ */

static int is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* {"close":true}, {"close":false}, {} or nothing.  Returns 1, 0, or -1. */
static int take_close(struct slice body)
{
    struct json_walk walk;
    struct slice key, value;
    int close = 1, n = 0;

    if (body.len == 0)
        return 1;
    while (body.len > 0 && is_space(body.ptr[0]))
        body = (struct slice){body.ptr + 1, body.len - 1};
    while (body.len > 0 && is_space(body.ptr[body.len - 1]))
        body.len--;
    if (body.len == 0 || body.ptr[0] != '{' || json_span(body.ptr, body.len) != (long)body.len)
        return -1;
    walk = json_walk(body);
    while (json_walk_member(&walk, &key, &value)) {
        close = slice_eq(value, SLICE("true"));
        if (n++ > 0 || !json_key_is(key, "close") || (!close && !slice_eq(value, SLICE("false"))))
            return -1;
    }
    return close;
}

static void put_disconnected(struct buf *out, const struct search *search, int subscribers)
{
    const struct lookup_found *found = &search->found;
    int is_cluster = found->servers > 0;

    (void)buf_puts(out, "{\"uid\":");
    (void)json_put_string(out, search->uid, search->uid_len);
    (void)buf_printf(
        out, ",\"connections\":%zu,\"servers\":%u,\"answered\":%u,\"subscribers\":%d%s}\n",
        search->connections, is_cluster ? found->servers : 1, is_cluster ? found->answered : 1,
        subscribers, is_cluster ? "" : ",\"cluster\":false");
}

static void on_ordered(int ok, void *arg)
{
    struct search *search = arg;
    struct buf body = {0};

    if (search->caller != NULL && ok == 0) {
        caller_refuse(search->caller, 503, NULL,
                      "redis has refused it, or its connection was lost before it said so");
    } else if (search->caller != NULL) {
        put_disconnected(&body, search, ok - 1);
        caller_answer(search->caller, 200, CALLER_JSON, NULL, &body);
    }
    if (ok > 0)
        admin_count_action(ADMIN_DISCONNECT);
    search_free(search);
}

/* What was ordered is carried out all the same. */
static void on_ordered_gone(void *arg)
{
    struct search *search = arg;

    search->caller = NULL;
}

static void log_order(const struct search *search)
{
    char text[ADDRESS_TEXT_MAX];

    log_event(INFO, "admin_disconnect", "admin: disconnect[ user={}][ connections={}][ from {}]",
              LOG_WORD("user", search->uid, search->uid_len, 0),
              LOG_UINT("connections", search->connections),
              LOG_STR("address", address_text(&search->address, text)));
}

/* As the emitters' in(uid).disconnectSockets(close). */
static void order(struct search *search)
{
    const struct conf *conf = search->desk.ops->conf(search->desk.arg);
    struct buf channel = {0}, request = {0};
    int rc = request_channel(&channel, slice_str(conf->key), slice_str(conf->nsp));

    (void)request_put_disconnect(&request, SLICE("emitter"), uid_of(search), search->close);
    if (search->caller != NULL)
        caller_wait(search->caller, CALLER_WRITE_MS, on_ordered_gone, search);
    if (rc == 0)
        rc = asking_publish(search->desk.asking,
                            (struct slice){(const char *)channel.data, channel.len}, &request,
                            on_ordered, search);
    if (rc == 0) {
        log_order(search);
    } else {
        if (search->caller != NULL)
            caller_refuse(search->caller, 503, "Retry-After: 1\r\n",
                          "redis cannot be told anything at present");
        search_free(search);
    }
    buf_free(&channel);
    buf_free(&request);
}

static void on_counted(const struct lookup_found *found, void *arg)
{
    struct search *search = arg;
    const struct admin_desk *desk = &search->desk;
    struct status_user user = {0};

    search->lookup = NULL;
    desk->ops->user(uid_of(search), &user, desk->arg);
    slices_clear(&user.rooms);
    search->found = (struct lookup_found){0};
    if (found->why == NULL) {
        search->found.servers = found->servers;
        search->found.answered = found->answered;
    }
    search->connections = found->members + (found->has_own ? 0 : user.connections);
    order(search);
}

void admin_disconnect(const struct admin_call *call)
{
    int close = take_close(call->body);
    struct search *search;

    if (close < 0) {
        caller_refuse(call->caller, 400, NULL,
                      "the body is wanted as an object with close, true or false, or not at all");
        return;
    }
    search = search_new(call);
    if (search == NULL)
        return;
    search->close = close;
    if (look(search, ASKING_QUESTIONS, on_counted, on_ordered_gone) < 0) {
        caller_refuse(call->caller, 503, "Retry-After: 1\r\n", "too many questions are under way");
        search_free(search);
    }
}
