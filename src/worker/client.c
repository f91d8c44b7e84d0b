/* client - one client between its handshake and its end: tokens, admission, rooms.
 *
 * The master counts a client from the MSG_ADMIT that it answers with MSG_ADMIT_OK
 * until MSG_LEFT; each such answer must lead to exactly one MSG_LEFT:
 *
 *   OUT --connect(), token good--> JOINING   MSG_ADMIT, unless one is still out
 *   OUT --connect(), token bad---> OUT       session_refuse
 *   JOINING --left()-------------> OUT       nothing: the answer is not here yet
 *   JOINING --answer OK----------> IN        rooms, session_accept
 *   JOINING --answer not OK------> OUT       session_refuse
 *   JOINING --answer for another uid: OK is taken back, and MSG_ADMIT sent again
 *   OUT or gone --answer OK------> the same  MSG_LEFT
 *   IN --left()------------------> OUT       rooms, MSG_LEFT
 *   IN --MSG_KICK----------------> OUT       session_disconnect, which calls left()
 *
 * At most one question is out for a client, so the answer in hand is always that
 * one's.  A client that left and asked again before the answer came takes it for
 * itself if it is still the same user.  A MSG_KICK that comes in any other state,
 * or for another user, is for one that has gone: its MSG_LEFT is on the way. */
#include "base/clock.h"
#include "conf.h"
#include "worker/state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAR_MS (INT64_C(1000) * INT32_MAX) /* 68 years */

/* --- to the master --- */

static void tell(struct worker *worker, enum msg_type type, uint64_t handle, struct slice uid)
{
    size_t mark;

    buf_reset(&worker->out);
    mark = msg_begin(&worker->out, type);
    msg_put_u64(&worker->out, handle);
    msg_put_bytes(&worker->out, uid.ptr, uid.len);
    msg_end(&worker->out, mark);
    worker_send(worker);
}

static struct slice uid_of(const struct client *client)
{
    return (struct slice){client->uid, client->uid_len};
}

static void become(struct worker *worker, struct client *client, enum client_state state)
{
    worker->clients[client->state]--;
    client->state = (uint8_t)state;
    worker->clients[state]++;
}

/* --- connects and disconnects in the log --- */

static void log_connected(const struct client *client)
{
    char user[4 * TOKEN_UID_MAX + 1], address[ADDRESS_TEXT_MAX];

    if (log_get_level() < LOG_LEVEL_INFO)
        return;
    log_info("client connected: user=%s address=%s transport=%s protocol=%d",
             log_word(user, sizeof(user), client->uid, client->uid_len),
             address_text(&client->address, address), session_transport(client->session),
             session_version(client->session));
}

static void log_disconnected(const struct client *client, enum engine_close why)
{
    uint32_t lasted_ds = (uint32_t)(clock_ms() / 100) - client->since_ds;
    char user[4 * TOKEN_UID_MAX + 1], address[ADDRESS_TEXT_MAX];

    if (log_get_level() < LOG_LEVEL_INFO)
        return;
    log_info("client disconnected: user=%s address=%s transport=%s reason=\"%s\" duration=%u.%us",
             log_word(user, sizeof(user), client->uid, client->uid_len),
             address_text(&client->address, address), session_transport(client->session),
             engine_close_name(why), lasted_ds / 10, lasted_ds % 10);
}

/* --- those that will hear nothing, in the log --- */

#define NOTHING_LOG_MS 60000

/* 1 if a line may be written: *times, or 0 where only debug wants it. */
static int is_due(struct log_every *every, uint64_t *times)
{
    *times = log_due(every, NOTHING_LOG_MS);
    return *times > 0 || log_get_level() >= LOG_LEVEL_DEBUG;
}

static void log_nothing(const struct client *client, const char *text, uint64_t times)
{
    char address[ADDRESS_TEXT_MAX];

    address_text(&client->address, address);
    if (times > 0)
        log_info("%s address=%s transport=%s times=%llu", text, address,
                 session_transport(client->session), (unsigned long long)times);
    else
        log_debug("%s address=%s transport=%s", text, address, session_transport(client->session));
}

static void on_unserved(struct session *session, struct slice nsp, void *arg)
{
    struct worker *worker = arg;
    char name[128], text[512];
    uint64_t times;

    if (!is_due(&worker->not_served, &times))
        return;
    snprintf(text, sizeof(text), "namespace is not served: namespace=%s served=%s",
             log_word(name, sizeof(name), nsp.ptr, nsp.len), worker->conf.nsp);
    log_nothing(session_data(session), text, times);
}

static void log_not_asked(struct worker *worker, const struct client *client)
{
    char text[512];
    uint64_t times;

    if (!is_due(&worker->not_asked, &times))
        return;
    snprintf(text, sizeof(text),
             "client did not ask for the namespace and is closed: served=%s within_ms=%u",
             worker->conf.nsp, worker->conf.connect_timeout_ms);
    log_nothing(client, text, times);
}

/* The engine knows no address of a session that polls and has no connection. */
static void log_evicted(struct worker *worker, const struct client *client)
{
    uint64_t times;

    if (is_due(&worker->evicted, &times))
        log_nothing(client, "session without a good token closed, for others came:", times);
}

/* --- refusing --- */

/* Either may end with the client freed. */
static void refuse(struct worker *worker, struct client *client, const char *message,
                   const char *code)
{
    become(worker, client, CLIENT_OUT);
    session_refuse(client->session, message, code);
}

/* verdict: on its token, or NULL. */
static void refuse_token(struct worker *worker, struct client *client, enum token_result result,
                         const struct auth_verdict *verdict)
{
    const char *code = token_result_code(result);
    char message[REFUSAL_MESSAGE_MAX];

    worker->refusals[result]++;
    refusal_log(client, &worker->refused[result], "client refused", code, verdict);
    refusal_message(result, verdict != NULL ? verdict->wanted : NULL, message);
    refuse(worker, client, message, code);
}

static void refuse_verdict(struct worker *worker, struct client *client, unsigned verdict)
{
    if (verdict == MSG_ADMIT_NO_MEMORY) {
        refuse_token(worker, client, TOKEN_NO_MEMORY, NULL);
        return;
    }
    worker->refusals[TOKEN_OK]++;
    refusal_log(client, &worker->not_admitted, "client refused", "user_limit", NULL);
    refuse(worker, client, "too many connections of this user", "user_limit");
}

/* --- who it is --- */

void client_warn_exp(struct worker *worker, const struct token_user *user)
{
    char uid[4 * TOKEN_UID_MAX + 1];

    if (user->exp_form == NUMERIC_DATE_FINE || (worker->exp_warned & 1U << user->exp_form) != 0)
        return;
    worker->exp_warned |= 1U << user->exp_form;
    log_warnx(
        "a token has an exp after the year 3000%s; RFC 7519 wants seconds; said once: user=%s",
        user->exp_form == NUMERIC_DATE_MS ? ", and it is taken for milliseconds" : "",
        log_word(uid, sizeof(uid), user->uid, user->uid_len));
}

static enum token_result take_user(struct client *client, const struct token_user *user,
                                   enum auth_source source)
{
    char *uid = malloc(user->uid_len);

    if (uid == NULL)
        return TOKEN_NO_MEMORY;
    memcpy(uid, user->uid, user->uid_len);
    free(client->uid);
    client->uid = uid;
    client->uid_len = (uint8_t)user->uid_len;
    client->expires_ms = user->expires_ms;
    client->kept = source != AUTH_FROM_PACKET;
    return TOKEN_OK;
}

static int has_expired(const struct client *client, int64_t now_ms)
{
    return client->expires_ms != 0 && now_ms >= client->expires_ms;
}

/* The tokens of the handshake do not outlive the first good verdict; what they said
 * does, for a client that leaves and asks again without a token of its own. */
static enum token_result judge(struct worker *worker, struct client *client,
                               const struct sio_packet *packet, struct auth_verdict *verdict)
{
    int64_t now_ms = clock_wall_ms();
    enum token_result result =
        auth_judge(&worker->conf.token, packet, client->tokens, now_ms, verdict);

    if (result == TOKEN_OK) {
        if (client->tokens != NULL && verdict->source != AUTH_FROM_COOKIE)
            session_guard(client->session, 0);
        auth_tokens_free(&client->tokens);
        client_warn_exp(worker, &verdict->user);
        return take_user(client, &verdict->user, verdict->source);
    }
    if (!client->kept)
        return result;
    if (!has_expired(client, now_ms))
        return TOKEN_OK;
    return result == TOKEN_MISSING ? TOKEN_EXPIRED : result;
}

/* --- admission --- */

static void ask(struct worker *worker, struct client *client)
{
    struct admission *asked = malloc(sizeof(*asked) + client->uid_len);

    if (asked == NULL) {
        refuse_token(worker, client, TOKEN_NO_MEMORY, NULL);
        return;
    }
    asked->next = NULL;
    asked->client = client;
    asked->handle = session_handle(client->session);
    asked->uid_len = client->uid_len;
    memcpy(asked->uid, client->uid, client->uid_len);
    *worker->asked_end = asked;
    worker->asked_end = &asked->next;
    client->asked = asked;
    tell(worker, MSG_ADMIT, asked->handle, uid_of(client));
}

/* Mostly the first one: the master answers in order, but for those that it holds. */
static struct admission *take_asked(struct worker *worker, uint64_t handle)
{
    struct admission **at = &worker->asked, *found;

    while (*at != NULL && (*at)->handle != handle)
        at = &(*at)->next;
    found = *at;
    if (found == NULL)
        return NULL;
    *at = found->next;
    if (found->next == NULL)
        worker->asked_end = at;
    return found;
}

/* An absolute time of the wall clock becomes a monotonic one here, once: later
 * jumps of the clock disconnect nobody.  One too far away to matter is none. */
uint64_t client_deadline(int64_t expires_ms, int64_t now_ms)
{
    if (expires_ms == 0 || expires_ms - now_ms > FAR_MS)
        return 0;
    return clock_ms() + (uint64_t)(expires_ms - now_ms) + 1; /* both are cut off */
}

static void let_in(struct worker *worker, struct client *client)
{
    int64_t now_ms = clock_wall_ms();
    enum token_result result = TOKEN_OK;

    /* A user who is called like everybody's room is in it once, as all are. */
    if (has_expired(client, now_ms))
        result = TOKEN_EXPIRED;
    else if (room_join(&worker->rooms, &client->member, EVERYBODY) < 0 ||
             room_join(&worker->rooms, &client->member, uid_of(client)) < 0)
        result = TOKEN_NO_MEMORY;
    if (result != TOKEN_OK) {
        room_leave_all(&worker->rooms, &client->member);
        tell(worker, MSG_LEFT, session_handle(client->session), uid_of(client));
        refuse_token(worker, client, result, NULL);
        return;
    }
    become(worker, client, CLIENT_IN);
    client->since_ds = (uint32_t)(clock_ms() / 100);
    log_connected(client);
    session_accept(client->session);
    session_expire(client->session, client_deadline(client->expires_ms, now_ms));
}

int client_admitted(struct worker *worker, uint64_t handle, unsigned verdict)
{
    struct admission *asked = take_asked(worker, handle);
    struct client *client;
    int waits, same;

    if (asked == NULL)
        return -1;
    client = asked->client;
    waits = client != NULL && client->state == CLIENT_JOINING;
    same = waits && slice_eq((struct slice){asked->uid, asked->uid_len}, uid_of(client));
    if (client != NULL)
        client->asked = NULL;
    if (verdict == MSG_ADMIT_OK && !same)
        tell(worker, MSG_LEFT, handle, (struct slice){asked->uid, asked->uid_len});
    free(asked);
    if (waits && !same)
        ask(worker, client);
    else if (waits && verdict == MSG_ADMIT_OK)
        let_in(worker, client);
    else if (waits)
        refuse_verdict(worker, client, verdict);
    return 0;
}

void client_kick(struct worker *worker, uint64_t handle, struct slice uid, unsigned reason)
{
    struct session *session = session_find(worker->engine, handle);
    const struct client *client = session == NULL ? NULL : session_data(session);

    (void)reason; /* there is one */
    if (client != NULL && client->state == CLIENT_IN && slice_eq(uid, uid_of(client)))
        session_disconnect(session, CLOSE_REPLACED);
}

void client_forget_asked(struct worker *worker)
{
    struct admission *asked;

    while ((asked = worker->asked) != NULL) {
        worker->asked = asked->next;
        free(asked);
    }
    worker->asked_end = &worker->asked;
}

/* --- what the engine tells --- */

static void *on_opened(struct session *session, const struct http_request *req,
                       const struct sockaddr *peer, void *arg)
{
    struct worker *worker = arg;
    struct client *client = calloc(1, sizeof(*client));

    if (client == NULL)
        return NULL;
    client->session = session;
    address_set(&client->address, peer);
    if (auth_collect(&client->tokens, req, &worker->conf.token, worker->conf.cors_origins) < 0) {
        free(client);
        return NULL;
    }
    session_guard(session, auth_tokens_cookie(client->tokens));
    worker->clients[CLIENT_OUT]++;
    return client;
}

/* What came in by the cookie is the user's page's: no other may hear it, even if it
 * knows the session's id. */
static int on_guarded(const struct http_request *req, void *arg)
{
    const struct worker *worker = arg;

    return auth_cookie_counts(req, worker->conf.cors_origins);
}

static void on_connect(struct session *session, const struct sio_packet *packet, void *arg)
{
    struct worker *worker = arg;
    struct client *client = session_data(session);
    struct token_hint hint;
    struct auth_verdict verdict = {.hint = refusal_hint(&hint)};
    enum token_result result = judge(worker, client, packet, &verdict);

    assert(client->state == CLIENT_OUT);
    if (result != TOKEN_OK) {
        refuse_token(worker, client, result, &verdict);
        return;
    }
    become(worker, client, CLIENT_JOINING);
    session_known(session);
    if (client->asked == NULL)
        ask(worker, client);
}

/* The session may be about to be freed: it is asked for its name, no more. */
static void on_left(struct session *session, enum engine_close why, void *arg)
{
    struct worker *worker = arg;
    struct client *client = session_data(session);

    if (client->state == CLIENT_IN) {
        log_disconnected(client, why);
        worker->disconnects[why]++;
        room_leave_all(&worker->rooms, &client->member);
        tell(worker, MSG_LEFT, session_handle(session), uid_of(client));
    }
    become(worker, client, CLIENT_OUT);
}

static void on_closed(struct session *session, enum engine_close why, void *arg)
{
    struct worker *worker = arg;
    struct client *client = session_data(session);

    if (why == CLOSE_CONNECT_TIMEOUT)
        log_not_asked(worker, client);
    log_debug("client closed: reason=\"%s\"", engine_close_name(why));
    if (why == CLOSE_EVICTED)
        log_evicted(worker, client);
    assert(client->state == CLIENT_OUT && client->member.n == 0);
    if (client->asked != NULL)
        client->asked->client = NULL;
    worker->clients[CLIENT_OUT]--;
    auth_tokens_free(&client->tokens);
    free(client->uid);
    free(client);
}

const struct engine_app client_app = {
    .opened = on_opened,
    .guarded = on_guarded,
    .connect = on_connect,
    .unserved = on_unserved,
    .left = on_left,
    .packet = renew_packet,
    .text_only = 1,
    .closed = on_closed,
    .handoff = peers_handoff,
};
