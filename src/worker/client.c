#include "worker/client.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/slices.h"
#include "codec/token_rooms.h"
#include "conf.h"
#include "ipc/msg.h"
#include "worker/auth.h"
#include "worker/claim.h"
#include "worker/notice.h"
#include "worker/refusal.h"
#include "worker/uplink.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAR_MS (INT64_C(1000) * INT32_MAX) /* 68 years */

/* A question to the master.  It outlives its client: an answer that comes too
 * late has to be taken back under the same name. */
struct admission {
    struct admission *next;
    struct client *client; /* NULL: gone */
    uint64_t handle;
    uint8_t other_rooms; /* the client's token names others since then */
    uint8_t uid_len;
    char uid[];
};

struct clients {
    const struct conf *conf;
    struct engine *engine;
    struct rooms *rooms;
    struct uplink *uplink;
    struct worker_stats *stats;
    struct admission *asked, **asked_end; /* in the order they were sent */
    struct slices rooms_asked;            /* for one; reused */
    struct log_every refused[TOKEN_RESULTS], not_admitted;
    struct log_every not_served, not_asked, evicted;
    unsigned exp_warned; /* of which enum numeric_date warn_exp() has, a bit each */
};

static void become(struct clients *clients, struct client *client, enum client_state state)
{
    clients->stats->clients[client->state]--;
    client->state = (uint8_t)state;
    clients->stats->clients[state]++;
}

/* --- connects and disconnects in the log --- */

static void log_connected(const struct client *client)
{
    char user[4 * TOKEN_UID_MAX + 1], address[ADDRESS_TEXT_MAX];

    if (log_get_level() < LOG_LEVEL_INFO)
        return;
    log_info("client connected: user=%s address=%s transport=%s protocol=%d",
             log_word(user, sizeof(user), client->uid, client->uid_len),
             address_text(&client->address, address), socket_transport(client->socket),
             socket_version(client->socket));
}

static void log_disconnected(const struct client *client, enum close_reason why)
{
    uint32_t lasted_ds = (uint32_t)(clock_ms() / 100) - client->since_ds;
    char user[4 * TOKEN_UID_MAX + 1], address[ADDRESS_TEXT_MAX];

    if (log_get_level() < LOG_LEVEL_INFO)
        return;
    log_info("client disconnected: user=%s address=%s transport=%s reason=\"%s\" duration=%u.%us",
             log_word(user, sizeof(user), client->uid, client->uid_len),
             address_text(&client->address, address), socket_transport(client->socket),
             close_reason_name(why), lasted_ds / 10, lasted_ds % 10);
}

/* --- those that will hear nothing, in the log --- */

void client_unserved(struct clients *clients, const struct client *client, struct slice nsp)
{
    char name[128], text[512];
    uint64_t times;

    if (!notice_due(&clients->not_served, &times))
        return;
    snprintf(text, sizeof(text), "namespace is not served: namespace=%s served=%s",
             log_word(name, sizeof(name), nsp.ptr, nsp.len), clients->conf->nsp);
    notice_log(client, times, text, "");
}

static void log_not_asked(struct clients *clients, const struct client *client)
{
    char text[512];
    uint64_t times;

    if (!notice_due(&clients->not_asked, &times))
        return;
    snprintf(text, sizeof(text),
             "client did not ask for the namespace and is closed: served=%s within_ms=%u",
             clients->conf->nsp, clients->conf->connect_timeout_ms);
    notice_log(client, times, text, "");
}

/* The engine knows no address of a session that polls and has no connection. */
static void log_evicted(struct clients *clients, const struct client *client)
{
    uint64_t times;

    if (notice_due(&clients->evicted, &times))
        notice_log(client, times, "session without a good token closed, for others came:", "");
}

/* --- refusing --- */

/* Either may end with the client freed. */
static void refuse(struct clients *clients, struct client *client, const char *message,
                   const char *code)
{
    become(clients, client, CLIENT_OUT);
    socket_refuse(client->socket, message, code);
}

/* verdict: on its token, or NULL. */
static void refuse_token(struct clients *clients, struct client *client, enum token_result result,
                         const struct auth_verdict *verdict)
{
    const char *code = token_result_code(result);
    char message[REFUSAL_MESSAGE_MAX];

    clients->stats->refusals[result]++;
    refusal_log(client, &clients->refused[result], "client refused", code, verdict);
    refusal_message(result, verdict, message);
    refuse(clients, client, message, code);
}

static void refuse_verdict(struct clients *clients, struct client *client, unsigned verdict)
{
    if (verdict == MSG_ADMIT_NO_MEMORY) {
        refuse_token(clients, client, TOKEN_NO_MEMORY, NULL);
        return;
    }
    clients->stats->refusals[TOKEN_OK]++;
    refusal_log(client, &clients->not_admitted, "client refused", "user_limit", NULL);
    refuse(clients, client, "too many connections of this user", "user_limit");
}

/* --- who it is --- */

/* Says once what is odd about the exp of a good token. */
static void warn_exp(struct clients *clients, const struct token_user *user)
{
    char uid[4 * TOKEN_UID_MAX + 1];

    if (user->exp_form == NUMERIC_DATE_FINE || (clients->exp_warned & 1U << user->exp_form) != 0)
        return;
    clients->exp_warned |= 1U << user->exp_form;
    log_warnx(
        "a token has an exp after the year 3000%s; RFC 7519 wants seconds; said once: user=%s",
        user->exp_form == NUMERIC_DATE_MS ? ", and it is taken for milliseconds" : "",
        log_word(uid, sizeof(uid), user->uid, user->uid_len));
}

static enum token_result take_user(struct client *client, struct token_user *user,
                                   enum auth_source source)
{
    int same_rooms = token_rooms_equal(claim_rooms(client), user->rooms);

    if (claim_take(client, user) < 0) {
        token_rooms_free(&user->rooms);
        return TOKEN_NO_MEMORY;
    }
    if (client->asked != NULL && !same_rooms)
        client->asked->other_rooms = 1;
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
static enum token_result judge(struct clients *clients, struct client *client,
                               const struct sio_packet *packet, struct auth_verdict *verdict)
{
    int64_t now_ms = clock_wall_ms();
    enum token_result result =
        auth_judge(&clients->conf->token, packet, client->tokens, now_ms, verdict);

    if (result == TOKEN_OK) {
        if (client->tokens != NULL && verdict->source != AUTH_FROM_COOKIE)
            socket_guard(client->socket, 0);
        auth_tokens_free(&client->tokens);
        warn_exp(clients, &verdict->user);
        return take_user(client, &verdict->user, verdict->source);
    }
    if (!client->kept)
        return result;
    if (!has_expired(client, now_ms))
        return TOKEN_OK;
    return result == TOKEN_MISSING ? TOKEN_EXPIRED : result;
}

/* --- admission --- */

static void ask(struct clients *clients, struct client *client)
{
    struct admission *asked = malloc(sizeof(*asked) + client->uid_len);

    clients->rooms_asked.n = 0;
    if (asked == NULL || claim_list(client, &clients->rooms_asked) < 0) {
        free(asked);
        refuse_token(clients, client, TOKEN_NO_MEMORY, NULL);
        return;
    }
    asked->next = NULL;
    asked->client = client;
    asked->handle = socket_handle(client->socket);
    asked->other_rooms = 0;
    asked->uid_len = client->uid_len;
    memcpy(asked->uid, client->uid, client->uid_len);
    *clients->asked_end = asked;
    clients->asked_end = &asked->next;
    client->asked = asked;
    uplink_admit(clients->uplink, asked->handle, client_uid(client), &clients->rooms_asked);
}

/* Mostly the first one: the master answers in order, but for those that it holds. */
static struct admission *take_asked(struct clients *clients, uint64_t handle)
{
    struct admission **at = &clients->asked, *found;

    while (*at != NULL && (*at)->handle != handle)
        at = &(*at)->next;
    found = *at;
    if (found == NULL)
        return NULL;
    *at = found->next;
    if (found->next == NULL)
        clients->asked_end = at;
    return found;
}

/* For socket_expire: when a token ends whose token_user.expires_ms is that; now_ms is
 * of the wall clock.  It becomes a monotonic time here, once: later jumps of the clock
 * disconnect nobody.  One too far away to matter is none. */
static uint64_t deadline(int64_t expires_ms, int64_t now_ms)
{
    if (expires_ms == 0 || expires_ms - now_ms > FAR_MS)
        return 0;
    return clock_ms() + (uint64_t)(expires_ms - now_ms) + 1; /* both are cut off */
}

static void let_in(struct clients *clients, struct client *client)
{
    int64_t now_ms = clock_wall_ms();
    enum token_result result = TOKEN_OK;

    /* A user who is called like everybody's room is in it once, as all are. */
    if (has_expired(client, now_ms))
        result = TOKEN_EXPIRED;
    else if (room_join(clients->rooms, &client->member, ROOM_EVERYBODY) < 0 ||
             room_join(clients->rooms, &client->member, client_uid(client)) < 0 ||
             claim_join(clients->rooms, client) < 0)
        result = TOKEN_NO_MEMORY;
    if (result != TOKEN_OK) {
        room_leave_all(clients->rooms, &client->member);
        uplink_left(clients->uplink, socket_handle(client->socket), client_uid(client));
        refuse_token(clients, client, result, NULL);
        return;
    }
    become(clients, client, CLIENT_IN);
    client->since_ds = (uint32_t)(clock_ms() / 100);
    log_connected(client);
    socket_accept(client->socket, NULL);
    socket_expire(client->socket, deadline(client->expires_ms, now_ms));
}

int client_admitted(struct clients *clients, uint64_t handle, unsigned verdict)
{
    struct admission *asked = take_asked(clients, handle);
    struct client *client;
    int waits, same;

    if (asked == NULL)
        return -1;
    client = asked->client;
    waits = client != NULL && client->state == CLIENT_JOINING;
    same = waits && !asked->other_rooms &&
           slice_eq((struct slice){asked->uid, asked->uid_len}, client_uid(client));
    if (client != NULL)
        client->asked = NULL;
    if (verdict == MSG_ADMIT_OK && !same)
        uplink_left(clients->uplink, handle, (struct slice){asked->uid, asked->uid_len});
    free(asked);
    if (waits && !same)
        ask(clients, client);
    else if (waits && verdict == MSG_ADMIT_OK)
        let_in(clients, client);
    else if (waits)
        refuse_verdict(clients, client, verdict);
    return 0;
}

void client_kick(struct clients *clients, uint64_t handle, struct slice uid)
{
    struct socket *socket = socket_find(&clients->engine->sio, handle);
    const struct client *client = socket == NULL ? NULL : socket_data(socket);

    if (client != NULL && client->state == CLIENT_IN && slice_eq(uid, client_uid(client)))
        socket_disconnect(socket, CLOSE_REPLACED);
}

void client_renewed(struct clients *clients, struct client *client, const struct token_user *user,
                    int64_t now_ms)
{
    warn_exp(clients, user);
    client->expires_ms = user->expires_ms;
    socket_expire(client->socket, deadline(user->expires_ms, now_ms));
}

/* --- what the engine tells --- */

struct client *client_opened(struct clients *clients, struct socket *socket,
                             const struct http_request *req, const struct sockaddr *peer)
{
    struct client *client = calloc(1, sizeof(*client));

    if (client == NULL)
        return NULL;
    client->socket = socket;
    client->polled = strcmp(socket_transport(socket), "polling") == 0;
    address_set(&client->address, peer);
    if (auth_collect(&client->tokens, req, &clients->conf->token, clients->conf->cors_origins) <
        0) {
        free(client);
        return NULL;
    }
    socket_guard(socket, auth_tokens_cookie(client->tokens));
    clients->stats->clients[CLIENT_OUT]++;
    return client;
}

/* What came in by the cookie is the user's page's: no other may hear it, even if it
 * knows the session's id. */
int client_guarded(const struct clients *clients, const struct http_request *req)
{
    return auth_cookie_counts(req, clients->conf->cors_origins);
}

void client_connect(struct clients *clients, struct client *client, const struct sio_packet *packet)
{
    struct token_hint hint;
    struct auth_verdict verdict = {.hint = refusal_hint(&hint)};
    enum token_result result = judge(clients, client, packet, &verdict);

    assert(client->state == CLIENT_OUT);
    if (result != TOKEN_OK) {
        refuse_token(clients, client, result, &verdict);
        return;
    }
    become(clients, client, CLIENT_JOINING);
    socket_known(client->socket);
    if (client->asked == NULL)
        ask(clients, client);
}

/* The session may be about to be freed: it is asked for its name and its transport, no
 * more. */
void client_left(struct clients *clients, struct client *client, enum close_reason why)
{
    if (client->state == CLIENT_IN) {
        log_disconnected(client, why);
        clients->stats->disconnects[why]++;
        room_leave_all(clients->rooms, &client->member);
        uplink_left(clients->uplink, socket_handle(client->socket), client_uid(client));
    }
    become(clients, client, CLIENT_OUT);
}

void client_closed(struct clients *clients, struct client *client, enum close_reason why)
{
    if (why == CLOSE_CONNECT_TIMEOUT)
        log_not_asked(clients, client);
    log_debug("client closed: reason=\"%s\"", close_reason_name(why));
    if (why == CLOSE_EVICTED)
        log_evicted(clients, client);
    assert(client->state == CLIENT_OUT && client->member.n == 0);
    if (client->asked != NULL)
        client->asked->client = NULL;
    clients->stats->clients[CLIENT_OUT]--;
    auth_tokens_free(&client->tokens);
    claim_forget(client);
    free(client);
}

/* --- all of them --- */

struct clients *clients_new(const struct conf *conf, struct engine *engine, struct rooms *rooms,
                            struct uplink *uplink, struct worker_stats *stats)
{
    struct clients *clients = calloc(1, sizeof(*clients));

    if (clients == NULL)
        return NULL;
    clients->conf = conf;
    clients->engine = engine;
    clients->rooms = rooms;
    clients->uplink = uplink;
    clients->stats = stats;
    clients->asked_end = &clients->asked;
    return clients;
}

void clients_free(struct clients **clients_ptr)
{
    struct clients *clients = *clients_ptr;
    struct admission *asked;

    *clients_ptr = NULL;
    if (clients == NULL)
        return;
    while ((asked = clients->asked) != NULL) {
        clients->asked = asked->next;
        free(asked);
    }
    slices_clear(&clients->rooms_asked);
    free(clients);
}
