#include "worker/client.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/token_rooms.h"
#include "codec/ws.h"
#include "conf.h"
#include "ipc/msg.h"
#include "sio/claim.h"
#include "worker/admission.h"
#include "worker/auth.h"
#include "worker/claim.h"
#include "worker/notice.h"
#include "worker/refusal.h"
#include "worker/replay.h"
#include "worker/uplink.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 128                         /* of the name of a namespace in the log */
#define FAR_MS    (INT64_C(1000) * INT32_MAX) /* 68 years */

struct clients {
    const struct conf *conf;
    struct engine *engine;
    struct rooms *rooms;
    struct uplink *uplink;
    struct worker_stats *stats;
    struct admissions admissions;
    struct replays *replays; /* NULL: nobody has a session back */
    struct log_every refused[TOKEN_RESULTS], not_admitted;
    struct log_every not_served, not_asked, aside, evicted;
    unsigned exp_warned; /* of which enum numeric_date warn_exp() has, a bit each */
};

static void become(struct clients *clients, struct client *client, enum client_state state)
{
    clients->stats->clients[client->state]--;
    client->state = (uint8_t)state;
    clients->stats->clients[state]++;
}

/* --- those that will hear nothing, in the log --- */

void client_unserved(struct clients *clients, const struct client *client, struct slice nsp)
{
    char shown[ADDRESS_TEXT_MAX];
    uint64_t times;

    if (notice_due(&clients->not_served, &times))
        log_event_at(notice_level(times), "namespace_not_served",
                     "namespace is not served[: namespace={} served={} address={} transport={}]"
                     "[ times={}]",
                     LOG_WORD("namespace", nsp.ptr, nsp.len, SHOWN_MAX),
                     LOG_STR("served", clients->conf->nsp), NOTICE_FROM(client, shown),
                     LOG_TIMES(times));
}

/* Clients of EIO3 are in "/" unasked, and others may want to be in several; but who shows a token
 * there means to hear something. */
void client_aside(struct clients *clients, const struct client *client,
                  const struct sio_packet *packet)
{
    int has_token = client->tokens != NULL || packet->data.len > sizeof("{}") - 1;
    char shown[ADDRESS_TEXT_MAX];
    uint64_t times;

    if (socket_version(client->socket) != EIO3 && !client_is_admitted(client) && has_token &&
        notice_due(&clients->aside, &times))
        log_event_at(notice_level(times), "token_in_other_namespace",
                     "token for the namespace /, in which nothing is sent[: namespace={} "
                     "served={} address={} transport={}][ times={}]",
                     LOG_STR("namespace", "/"), LOG_STR("served", clients->conf->nsp),
                     NOTICE_FROM(client, shown), LOG_TIMES(times));
}

static void log_not_asked(struct clients *clients, const struct client *client)
{
    char shown[ADDRESS_TEXT_MAX];
    uint64_t times;

    if (notice_due(&clients->not_asked, &times))
        log_event_at(notice_level(times), "namespace_not_asked_for",
                     "client did not ask for the namespace and is closed[: served={} within_ms={} "
                     "address={} transport={}][ times={}]",
                     LOG_STR("served", clients->conf->nsp),
                     LOG_MILLIS("within", clients->conf->connect_timeout_ms),
                     NOTICE_FROM(client, shown), LOG_TIMES(times));
}

/* The engine knows no address of a session that polls and has no connection. */
static void log_evicted(struct clients *clients, const struct client *client)
{
    char shown[ADDRESS_TEXT_MAX];
    uint64_t times;

    if (notice_due(&clients->evicted, &times))
        log_event_at(notice_level(times), "session_evicted",
                     "session without a good token closed, for others came"
                     "[: address={} transport={}][ times={}]",
                     NOTICE_FROM(client, shown), LOG_TIMES(times));
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
    if (result != TOKEN_NO_MEMORY)
        socket_token_refused(client->socket);
    refusal_log(client, &clients->refused[result], REFUSAL_OF_CLIENT, code, verdict);
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
    refusal_log(client, &clients->not_admitted, REFUSAL_OF_CLIENT, "user_limit", NULL);
    refuse(clients, client, "too many connections of this user", "user_limit");
}

/* --- who it is --- */

/* Says once what is odd about the exp of a good token. */
static void warn_exp(struct clients *clients, const struct token_user *user)
{
    if (user->exp_form == NUMERIC_DATE_FINE || (clients->exp_warned & 1U << user->exp_form) != 0)
        return;
    clients->exp_warned |= 1U << user->exp_form;
    log_event(WARN, "token_exp_odd",
              "a token has an exp after the year 3000[, and it is taken for {}]; RFC 7519 wants "
              "seconds; said once[: user={}]",
              LOG_IF(user->exp_form == NUMERIC_DATE_MS, LOG_STR("taken_for", "milliseconds")),
              LOG_WORD("user", user->uid, user->uid_len, 0));
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
        client->asked->changed = 1;
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

static void ask(struct clients *clients, struct client *client, const struct sio_claim *claim)
{
    if (admission_ask(&clients->admissions, client, claim) < 0)
        refuse_token(clients, client, TOKEN_NO_MEMORY, NULL);
}

/* What it has does not come back: it becomes one that is new. */
static void ask_plainly(struct clients *clients, struct client *client)
{
    static const struct sio_claim plain = {.wants = 1};

    uplink_left(clients->uplink, socket_handle(client->socket), client_uid(client), 1);
    become(clients, client, CLIENT_JOINING);
    ask(clients, client, &plain);
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

/* Before it is told: it is let in no more. */
static void turn_away(struct clients *clients, struct client *client, enum token_result result,
                      int ended)
{
    room_leave_all(clients->rooms, &client->member);
    uplink_left(clients->uplink, socket_handle(client->socket), client_uid(client), ended);
    refuse_token(clients, client, result, NULL);
}

static void told_in(struct client *client)
{
    client->since_ds = (uint32_t)(clock_ms() / 100);
    notice_connected(client);
}

static void let_in(struct clients *clients, struct client *client,
                   const struct msg_admitted *admitted)
{
    const struct sio_session session = {.pid = admitted->pid, .offset = admitted->offset};
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
        turn_away(clients, client, result, 1);
        return;
    }
    become(clients, client, CLIENT_IN);
    told_in(client);
    socket_accept(client->socket, &session);
    socket_expire(client->socket, deadline(client->expires_ms, now_ms));
}

/* It has its session back: what it has missed comes first. */
static void let_back(struct clients *clients, struct client *client,
                     const struct msg_admitted *admitted)
{
    if (clients->replays == NULL) {
        ask_plainly(clients, client);
        return;
    }
    become(clients, client, CLIENT_CATCHING);
    replay_add(clients->replays, client, admitted);
}

int client_admitted(struct clients *clients, const struct msg_admitted *admitted)
{
    struct admission *asked = admission_take(&clients->admissions, admitted->client);
    struct client *client;
    int waits, stands;

    if (asked == NULL)
        return -1;
    client = asked->client;
    waits = client != NULL && client->state == CLIENT_JOINING;
    stands = admission_stands(asked);
    if (client != NULL)
        client->asked = NULL;
    /* Of a session that is new the client has heard nothing. */
    if (admitted->verdict == MSG_ADMIT_OK && !stands)
        uplink_left(clients->uplink, admitted->client, admission_uid(asked),
                    !admitted->resumed || asked->ended);
    if (waits && !stands)
        ask(clients, client, &asked->claim);
    else if (waits && admitted->verdict != MSG_ADMIT_OK)
        refuse_verdict(clients, client, admitted->verdict);
    else if (waits && admitted->resumed)
        let_back(clients, client, admitted);
    else if (waits)
        let_in(clients, client, admitted);
    free(asked);
    return 0;
}

void client_kick(struct clients *clients, uint64_t handle, struct slice uid, enum msg_kick why)
{
    struct socket *socket = socket_find(&clients->engine->sio, handle);
    const struct client *client = socket == NULL ? NULL : socket_data(socket);

    if (client != NULL && client_is_admitted(client) && slice_eq(uid, client_uid(client)))
        socket_disconnect(socket, why == MSG_KICK_TAKEN ? CLOSE_TAKEN : CLOSE_REPLACED);
}

/* --- what its replay tells: struct replay_ops --- */

static int on_fits(struct client *client, const struct sio_session *session, int is_sidless,
                   void *arg)
{
    struct clients *clients = arg;
    int64_t now_ms = clock_wall_ms();

    if (has_expired(client, now_ms)) {
        replay_remove(clients->replays, client);
        turn_away(clients, client, TOKEN_EXPIRED, 1);
        return -1;
    }
    if (socket_replay(client->socket) < 0) {
        replay_remove(clients->replays, client);
        ask_plainly(clients, client);
        return -1;
    }
    told_in(client);
    socket_resume(client->socket, session);
    client->socket->sidless = is_sidless != 0;
    socket_expire(client->socket, deadline(client->expires_ms, now_ms));
    return 0;
}

static void on_unfit(struct client *client, void *arg)
{
    ask_plainly(arg, client);
}

static void on_caught_up(struct client *client, uint64_t offset, void *arg)
{
    become(arg, client, CLIENT_IN);
    socket_caught_up(client->socket, offset);
}

static void on_lost(struct client *client, enum close_reason why, void *arg)
{
    (void)arg;
    session_close(&client->socket->session, WS_CLOSE_NONE, why);
}

const struct replay_ops client_replay_ops = {on_fits, on_unfit, on_caught_up, on_lost};

void clients_set_replays(struct clients *clients, struct replays *replays)
{
    clients->replays = replays;
    clients->admissions.recovers = replays != NULL;
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
                             const struct http_request *req, const struct address *peer)
{
    struct client *client = calloc(1, sizeof(*client));

    if (client == NULL)
        return NULL;
    client->socket = socket;
    client->forgoes = clients->replays != NULL && !sio_claim_query(req->query);
    client->polled = strcmp(socket_transport(socket), "polling") == 0;
    client->address = *peer;
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

/* Where nobody has a session back nobody is asked for it. */
static void take_claim(struct clients *clients, const struct sio_packet *packet,
                       struct sio_claim *claim)
{
    *claim = (struct sio_claim){0};
    if (clients->replays == NULL)
        return;
    sio_claim_get(packet, claim);
    clients->stats->replays[REPLAY_MALFORMED] +=
        claim->bad_pid || (claim->has_pid && claim->bad_offset);
}

void client_connect(struct clients *clients, struct client *client, const struct sio_packet *packet)
{
    struct sio_claim claim;
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
    take_claim(clients, packet, &claim);
    if (client->asked == NULL)
        ask(clients, client, &claim);
    else
        admission_again(client->asked, &claim);
}

/* 1 if it is not to come back for what it had: it has left, or was put out; else it has lost its
 * connection, or we have.  One whose session was taken has none that could end. */
static int ends_session(enum close_reason why)
{
    switch (why) {
    case CLOSE_PROTOCOL:
    case CLOSE_REFUSED:
    case CLOSE_EXPIRED:
    case CLOSE_LEFT:
    case CLOSE_REPLACED:
    case CLOSE_DISCONNECTED:
        return 1;
    default:
        return 0;
    }
}

/* The session may be about to be freed: it is asked for its name and its transport, no
 * more. */
void client_left(struct clients *clients, struct client *client, enum close_reason why)
{
    int was_told = client->state == CLIENT_IN;

    if (client->state == CLIENT_JOINING && client->asked != NULL && ends_session(why))
        client->asked->ended = 1;
    if (client_is_admitted(client)) {
        if (client->state == CLIENT_CATCHING) /* or it is over, which is for those who were told */
            was_told = client->replay == NULL || replay_remove(clients->replays, client);
        room_leave_all(clients->rooms, &client->member);
        uplink_left(clients->uplink, socket_handle(client->socket), client_uid(client),
                    ends_session(why));
    }
    if (was_told) {
        notice_disconnected(client, why);
        clients->stats->disconnects[why]++;
    }
    become(clients, client, CLIENT_OUT);
}

void client_closed(struct clients *clients, struct client *client, enum close_reason why)
{
    if (why == CLOSE_CONNECT_TIMEOUT)
        log_not_asked(clients, client);
    log_event(DEBUG, "client_closed", "client closed[: reason=\"{}\"]",
              LOG_STR("reason", close_reason_name(why)));
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
    admissions_init(&clients->admissions, uplink);
    return clients;
}

void clients_free(struct clients **clients_ptr)
{
    struct clients *clients = *clients_ptr;

    *clients_ptr = NULL;
    if (clients == NULL)
        return;
    admissions_clear(&clients->admissions);
    free(clients);
}
