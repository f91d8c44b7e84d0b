/* A client in each of its states, with an engine, a master and tokens that are made up
 * here: what it asks of them is a text. */
#include "base/clock.h"
#include "base/log.h"
#include "base/slices.h"
#include "codec/token_rooms.h"
#include "conf.h"
#include "ipc/msg.h"
#include "log_file.h"
#include "sio/claim.h"
#include "tap.h"
#include "worker/auth.h"
#include "worker/client.h"
#include "worker/refusal.h"
#include "worker/replay.h"
#include "worker/uplink.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#define FAR_MS (INT64_C(1000) * INT32_MAX) /* as in client.c */

/* --- what it did --- */

static char did[2048];

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
    size_t len = strlen(did);
    va_list args;

    va_start(args, fmt);
    vsnprintf(did + len, sizeof(did) - len, fmt, args);
    va_end(args);
}

/* It did that since the last time, each with a space behind it. */
static void done(const char *want, const char *name)
{
    is_str(did, want, name);
    did[0] = '\0';
}

/* --- memory --- */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);

static int nomem; /* the allocation that fails: 1 is the next; 0: none */

static int fails(void)
{
    if (nomem == 0 || --nomem > 0)
        return 0;
    errno = ENOMEM;
    return 1;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    void *bytes = fails() ? NULL : __real_malloc(n * size);

    return bytes == NULL ? NULL : memset(bytes, 0, n * size); /* what was freed last, mostly */
}

/* --- time --- */

static uint64_t now_ms = 5000; /* monotonic */
static int64_t wall_ms = 1000000;

uint64_t clock_ms(void)
{
    return now_ms;
}

uint64_t clock_us(void)
{
    return now_ms * 1000;
}

int64_t clock_wall_ms(void)
{
    return wall_ms;
}

/* --- the engine --- */

struct made { /* a socket that is made up */
    struct socket socket;
    uint64_t handle;
    struct client *client;
};

static struct made *sockets[4];

static const struct made *made_of(const struct socket *socket)
{
    return (const struct made *)(const void *)socket;
}

void *socket_data(const struct socket *socket)
{
    return made_of(socket)->client;
}

uint64_t socket_handle(const struct socket *socket)
{
    return made_of(socket)->handle;
}

struct socket *socket_find(const struct sio *sio, uint64_t handle)
{
    (void)sio;
    for (size_t i = 0; i < 4; i++)
        if (sockets[i] != NULL && sockets[i]->handle == handle)
            return &sockets[i]->socket;
    return NULL;
}

enum eio_version socket_version(const struct socket *socket)
{
    (void)socket;
    return EIO4;
}

const char *socket_transport(const struct socket *socket)
{
    (void)socket;
    return "websocket";
}

void socket_guard(struct socket *socket, int on)
{
    (void)socket;
    note("guard=%d ", on);
}

void socket_known(struct socket *socket)
{
    (void)socket;
    note("known ");
}

static int tokens_refused; /* as the engine was told */

void socket_token_refused(const struct socket *socket)
{
    (void)socket;
    tokens_refused++;
}

static int recovering; /* there are replays: LEFT says what becomes of the session */

void socket_accept(struct socket *socket, const struct sio_session *session)
{
    (void)socket;
    is_int((long)session->sid.len, 0, "by its own id");
    if (session->pid.len > 0)
        note("pid=%c:%llu ", session->pid.ptr[PID_LEN - 1], (unsigned long long)session->offset);
    note("accept ");
}

static int eio3, no_place; /* it recovers nothing; it cannot */

static int has_ended;

int socket_has_ended(const struct socket *socket)
{
    (void)socket;
    return has_ended;
}

uint64_t socket_opened_ms(const struct socket *socket)
{
    (void)socket;
    return 4;
}

int socket_session(const struct socket *socket, uint8_t session[SESSION_LEN])
{
    (void)socket;
    memset(session, 's', SESSION_LEN);
    return eio3 ? -1 : 0;
}

int socket_replay(struct socket *socket)
{
    (void)socket;
    note(no_place ? "no-place " : "replaying ");
    return no_place ? -1 : 0;
}

void socket_resume(struct socket *socket, const struct sio_session *session)
{
    (void)socket;
    note("resume=%c ", session->pid.ptr[PID_LEN - 1]);
}

void socket_caught_up(struct socket *socket, uint64_t offset)
{
    (void)socket;
    note("caught-up=%llu ", (unsigned long long)offset);
}

void session_close(struct session *session, int code, enum close_reason why)
{
    (void)session;
    note("close:%d:%s ", code, close_reason_name(why));
}

/* --- claims and replays --- */

static struct sio_claim claim; /* what the next CONNECT has */
static int query_recovers = 1;

void sio_claim_get(const struct sio_packet *packet, struct sio_claim *out)
{
    (void)packet;
    *out = claim;
}

int sio_claim_query(struct slice query)
{
    (void)query;
    return query_recovers;
}

static char a_replay;
static int told; /* the client has been told that it is in */

#define REPLAYS ((struct replays *)(void *)&a_replay)

void replay_add(struct replays *replays, struct client *client, const struct msg_admitted *admitted)
{
    (void)replays;
    client->replay = (struct replay *)(void *)&a_replay;
    note("replay:%llu ", (unsigned long long)admitted->from);
}

int replay_remove(struct replays *replays, struct client *client)
{
    (void)replays;
    client->replay = NULL;
    note("unreplay ");
    return told;
}

void socket_refuse(struct socket *socket, const char *message, const char *code)
{
    (void)socket;
    (void)message;
    note("refuse:%s ", code);
}

void socket_expire(struct socket *socket, uint64_t at_ms)
{
    (void)socket;
    note("expire=%llu ", (unsigned long long)at_ms);
}

void socket_disconnect(struct socket *socket, enum close_reason why)
{
    (void)socket;
    note("disconnect:%s ", close_reason_name(why));
}

/* --- the master --- */

void uplink_admit(struct uplink *uplink, const struct msg_admit *admit)
{
    (void)uplink;
    note("ADMIT:%llu:%.*s", (unsigned long long)admit->client, (int)admit->uid.len, admit->uid.ptr);
    for (size_t i = 0; i < admit->rooms.n; i++)
        note("+%.*s", (int)admit->rooms.at[i].len, admit->rooms.at[i].ptr);
    if (admit->session.len > 0)
        note(":%c", admit->session.ptr[SESSION_LEN - 1]);
    if (admit->pid.len > 0)
        note(":%c:%d:%llu", admit->pid.ptr[PID_LEN - 1], admit->has_offset,
             (unsigned long long)admit->offset);
    is_int((long)admit->opened_ms, admit->pid.len > 0 ? 4 : 0, "since when it is here, with a pid");
    note(" ");
}

/* Its session is over, or not: only where there are any. */
void uplink_left(struct uplink *uplink, uint64_t client, struct slice uid, int ended)
{
    (void)uplink;
    note("LEFT:%llu:%.*s%s ", (unsigned long long)client, (int)uid.len, uid.ptr,
         recovering ? ended ? ":ended" : ":away" : "");
}

/* --- tokens --- */

static struct auth_tokens *const OF_HANDSHAKE = (struct auth_tokens *)&wall_ms;

static struct { /* what the next token is */
    enum token_result result;
    const char *uid;
    int64_t expires_ms;
    enum auth_source source;
    enum numeric_date exp_form;
    const char *rooms; /* JSON, or NULL */
} token;
static int collect_fails, cookie;

static struct token_rooms *rooms_named(const char *json)
{
    cJSON *value = cJSON_Parse(json);
    struct token_rooms *rooms;

    if (token_rooms_make(&rooms, value, 1000) < 0)
        ok(0, "rooms: %s", json);
    cJSON_Delete(value);
    return rooms;
}

int auth_collect(struct auth_tokens **tokens, const struct http_request *req,
                 const struct token_policy *policy, char *const *origins)
{
    (void)req;
    (void)policy;
    (void)origins;
    *tokens = collect_fails ? NULL : OF_HANDSHAKE;
    return collect_fails ? -1 : 0;
}

int auth_tokens_cookie(const struct auth_tokens *tokens)
{
    return tokens != NULL && cookie;
}

int auth_cookie_counts(const struct http_request *req, char *const *origins)
{
    (void)req;
    (void)origins;
    return cookie;
}

void auth_tokens_free(struct auth_tokens **tokens)
{
    if (*tokens != NULL)
        note("forget ");
    *tokens = NULL;
}

enum token_result auth_judge(const struct token_policy *policy, const struct sio_packet *packet,
                             const struct auth_tokens *tokens, int64_t at_ms,
                             struct auth_verdict *verdict)
{
    (void)policy;
    (void)packet;
    (void)tokens;
    if (at_ms != wall_ms)
        note("late ");
    if (token.result != TOKEN_OK)
        return token.result;
    verdict->user.uid_len = strlen(token.uid);
    memcpy(verdict->user.uid, token.uid, verdict->user.uid_len + 1);
    verdict->user.expires_ms = token.expires_ms;
    verdict->user.exp_form = token.exp_form;
    verdict->user.rooms = token.rooms != NULL ? rooms_named(token.rooms) : NULL;
    verdict->source = token.source;
    return TOKEN_OK;
}

void refusal_log(const struct client *client, struct log_every *every, enum refusal_of what,
                 const char *code, const struct auth_verdict *verdict)
{
    (void)client;
    (void)every;
    (void)what;
    (void)verdict;
    note("log:%s ", code);
}

const char *refusal_message(enum token_result result, const struct auth_verdict *verdict,
                            char dst[REFUSAL_MESSAGE_MAX])
{
    (void)result;
    (void)verdict;
    strcpy(dst, "no");
    return dst;
}

/* --- a worker around it --- */

static char *no_origins[] = {NULL};
static const struct conf conf = {
    .nsp = (char[]){"/axr"}, .cors_origins = no_origins, .connect_timeout_ms = 45000};
static struct rooms rooms;
static struct worker_stats stats;
static struct clients *clients;
static struct engine engine;
static struct made one = {.handle = 7};
static const struct sio_packet packet;
static const struct http_request request;

static struct client *opened(struct made *of)
{
    struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = htons(4321), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    struct address address;

    address_set(&address, (struct sockaddr *)&peer);
    of->client = client_opened(clients, &of->socket, &request, &address);
    return of->client;
}

static void begin(void)
{
    memset(&stats, 0, sizeof(stats));
    rooms_init(&rooms);
    clients = clients_new(&conf, &engine, &rooms, NULL, &stats);
    sockets[0] = &one;
    token.result = TOKEN_OK;
    token.uid = "ann";
    token.expires_ms = 0;
    token.source = AUTH_FROM_PACKET;
    token.rooms = NULL;
    opened(&one);
    did[0] = '\0';
}

/* The client goes, from whatever state. */
static void end(void)
{
    if (one.client->state != CLIENT_OUT)
        client_left(clients, one.client, CLOSE_CLIENT);
    client_closed(clients, one.client, CLOSE_CLIENT);
    one.client = NULL;
    is_int((long)(stats.clients[CLIENT_OUT] + stats.clients[CLIENT_JOINING] +
                  stats.clients[CLIENT_CATCHING] + stats.clients[CLIENT_IN] + rooms_count(&rooms)),
           0, "nobody is left, in no room");
    clients_free(&clients);
    rooms_clear(&rooms);
    did[0] = '\0';
}

static void connect_as(const char *uid)
{
    token.uid = uid;
    client_connect(clients, one.client, &packet);
}

static int answered(uint64_t handle, unsigned verdict)
{
    const struct msg_admitted admitted = {.client = handle, .verdict = (uint8_t)verdict};

    return client_admitted(clients, &admitted);
}

static void admitted(unsigned verdict)
{
    is_int(answered(7, verdict), 0, "that was asked");
}

/* Has come in. */
static void let_in(const char *uid)
{
    connect_as(uid);
    admitted(MSG_ADMIT_OK);
    did[0] = '\0';
}

/* --- tests --- */

static size_t in_room(struct slice name)
{
    const struct room *room = room_find(&rooms, name);
    size_t n = 0;

    if (room != NULL)
        room_members(room, &n);
    return n;
}

static void test_in_and_out(void)
{
    begin();
    is_int((long)stats.clients[CLIENT_OUT], 1, "one that has not asked");
    connect_as("ann");
    done("guard=0 forget known ADMIT:7:ann ", "a good token: the master is asked");
    is_int((long)stats.clients[CLIENT_JOINING], 1, "it joins");
    admitted(MSG_ADMIT_OK);
    done("accept expire=0 ", "let in, for ever");
    is_int((long)stats.clients[CLIENT_IN], 1, "it is in");
    is_int((long)in_room(SLICE("ann")), 1, "in its user's room");
    is_int((long)in_room(ROOM_EVERYBODY), 1, "and everybody's");
    is_int(answered(7, MSG_ADMIT_OK), -1, "an answer that nobody waits for");
    client_left(clients, one.client, CLOSE_LEFT);
    done("LEFT:7:ann ", "it leaves: the master hears of it once");
    is_int((long)rooms_count(&rooms), 0, "it is in no room");
    is_int((long)stats.disconnects[CLOSE_LEFT], 1, "counted by its reason");
    connect_as("ann");
    done("known ADMIT:7:ann ", "it may ask again");
    admitted(MSG_ADMIT_USER_LIMIT);
    done("log:user_limit refuse:user_limit ", "refused: no LEFT, it is not counted there");
    is_int((long)stats.refusals[TOKEN_OK], 1, "counted as the limit");
    connect_as("ann");
    did[0] = '\0';
    admitted(MSG_ADMIT_NO_MEMORY);
    done("log:token_internal refuse:token_internal ", "the master has no memory");
    is_int((long)stats.refusals[TOKEN_NO_MEMORY], 1, "counted as that");
    is_int(tokens_refused, 0, "neither is the token's fault");
    end();

    begin();
    let_in("allusers");
    is_int((long)in_room(ROOM_EVERYBODY), 1, "called like everybody's room: there once");
    end();
}

static void test_refused(void)
{
    begin();
    token.result = TOKEN_BAD_SIGNATURE;
    connect_as("ann");
    done("log:token_signature refuse:token_signature ", "a bad token: the master is not asked");
    is_int((long)stats.refusals[TOKEN_BAD_SIGNATURE], 1, "counted by its code");
    is_int(tokens_refused, 1, "and for its address");
    is_int((long)stats.clients[CLIENT_OUT], 1, "it may ask again");
    token.result = TOKEN_OK;
    connect_as("ann");
    done("guard=0 forget known ADMIT:7:ann ", "with a better one");
    end();
}

/* Between the question and its answer. */
static void test_joining(void)
{
    begin();
    connect_as("ann");
    client_left(clients, one.client, CLOSE_LEFT);
    done("guard=0 forget known ADMIT:7:ann ", "it leaves while joining: nothing to take back yet");
    is_int((long)stats.disconnects[CLOSE_LEFT], 0, "it was not in");
    admitted(MSG_ADMIT_OK);
    done("LEFT:7:ann ", "the answer is taken back");

    connect_as("ann");
    client_left(clients, one.client, CLOSE_LEFT);
    did[0] = '\0';
    admitted(MSG_ADMIT_USER_LIMIT);
    done("", "a refusal is not");

    connect_as("ann");
    client_left(clients, one.client, CLOSE_LEFT);
    did[0] = '\0';
    connect_as("ann");
    done("known ", "asks again: the answer that is out is its");
    admitted(MSG_ADMIT_OK);
    done("accept expire=0 ", "as the same user");
    client_left(clients, one.client, CLOSE_LEFT);

    connect_as("ann");
    client_left(clients, one.client, CLOSE_LEFT);
    connect_as("anna");
    did[0] = '\0';
    admitted(MSG_ADMIT_OK);
    done("LEFT:7:ann ADMIT:7:anna ", "as another: taken back, and asked anew");
    admitted(MSG_ADMIT_USER_LIMIT);
    done("log:user_limit refuse:user_limit ", "whose answer it is");

    connect_as("ann");
    client_left(clients, one.client, CLOSE_LEFT);
    connect_as("bob");
    did[0] = '\0';
    admitted(MSG_ADMIT_USER_LIMIT);
    done("ADMIT:7:bob ", "another's refusal is not its own");
    end();
}

/* The rooms that its token names. */
static void test_rooms(void)
{
    begin();
    token.rooms = "[\"guild:1\",\"allusers\",\"ann\",\"b\"]";
    connect_as("ann");
    done("guard=0 forget known ADMIT:7:ann+b+guild:1 ", "the master is asked with them");
    admitted(MSG_ADMIT_OK);
    done("accept expire=0 ", "let in");
    is_int((long)in_room(SLICE("guild:1")), 1, "into them");
    is_int((long)in_room(SLICE("b")), 1, "all");
    is_int((long)in_room(SLICE("ann")), 1, "into its user's once");
    is_int((long)rooms_count(&rooms), 4, "and no other");
    client_left(clients, one.client, CLOSE_LEFT);
    is_int((long)rooms_count(&rooms), 0, "it leaves them with all others");
    done("LEFT:7:ann ", "which the master knows");
    token.rooms = NULL;
    connect_as("ann");
    done("known ADMIT:7:ann ", "another token names none");
    admitted(MSG_ADMIT_OK);
    is_int((long)rooms_count(&rooms), 2, "it is in none");
    end();

    begin();
    token.rooms = "\"a\"";
    token.source = AUTH_FROM_HANDSHAKE;
    let_in("ann");
    client_left(clients, one.client, CLOSE_LEFT);
    token.result = TOKEN_MISSING;
    did[0] = '\0';
    connect_as("ann");
    done("known ADMIT:7:ann+a ", "those of a kept one, too");
    admitted(MSG_ADMIT_OK);
    is_int((long)in_room(SLICE("a")), 1, "are joined again");
    end();
}

/* ... of another token than that which the master was asked for. */
static void test_other_rooms(void)
{
    begin();
    token.rooms = "\"a\"";
    connect_as("ann");
    client_left(clients, one.client, CLOSE_LEFT);
    did[0] = '\0';
    token.rooms = "[\"a\",\"a\"]";
    connect_as("ann");
    done("known ", "asks again for the same rooms: the answer that is out is its");
    admitted(MSG_ADMIT_OK);
    done("accept expire=0 ", "as that");
    client_left(clients, one.client, CLOSE_LEFT);

    connect_as("ann");
    client_left(clients, one.client, CLOSE_LEFT);
    token.rooms = "\"b\"";
    did[0] = '\0';
    connect_as("ann");
    admitted(MSG_ADMIT_OK);
    done("known LEFT:7:ann ADMIT:7:ann+b ", "for others: taken back, and asked anew");
    is_int((long)in_room(SLICE("a")), 0, "it is not in the former");
    admitted(MSG_ADMIT_OK);
    is_int((long)in_room(SLICE("b")), 1, "but in the latter");
    end();
}

/* Two that wait, answered in the other order; one of them gone. */
static void test_two(void)
{
    struct made other = {.handle = 8}, third = {.handle = 10};

    begin();
    sockets[1] = &other;
    opened(&other);
    connect_as("ann");
    token.uid = "bob";
    client_connect(clients, other.client, &packet);
    did[0] = '\0';
    is_int(answered(9, MSG_ADMIT_OK), -1, "nobody is called so");
    is_int(answered(8, MSG_ADMIT_OK), 0, "the second first");
    done("accept expire=0 ", "is let in");
    client_left(clients, other.client, CLOSE_CLIENT);
    client_closed(clients, other.client, CLOSE_CLIENT);
    other.client = NULL;
    sockets[1] = NULL;
    done("LEFT:8:bob ", "and goes");

    opened(&other);
    client_connect(clients, other.client, &packet);
    client_left(clients, other.client, CLOSE_CLIENT);
    client_closed(clients, other.client, CLOSE_CLIENT);
    other.client = NULL;
    opened(&third); /* mostly where the other one was */
    client_connect(clients, third.client, &packet);
    did[0] = '\0';
    is_int(answered(8, MSG_ADMIT_OK), 0, "the question outlives its client");
    done("LEFT:8:bob ", "and the answer is taken back");
    client_left(clients, third.client, CLOSE_CLIENT);
    client_closed(clients, third.client, CLOSE_CLIENT);
    is_int(answered(10, MSG_ADMIT_USER_LIMIT), 0, "another's question is its own");
    did[0] = '\0';
    admitted(MSG_ADMIT_OK);
    done("accept expire=0 ", "the first waits through all that");

    /* What nobody answers any more is freed. */
    opened(&other);
    client_connect(clients, other.client, &packet);
    client_left(clients, other.client, CLOSE_CLIENT);
    client_closed(clients, other.client, CLOSE_CLIENT);
    end();
}

static void test_kick(void)
{
    begin();
    client_kick(clients, 7, SLICE("ann"), MSG_KICK_REPLACED);
    connect_as("ann");
    did[0] = '\0';
    client_kick(clients, 7, SLICE("ann"), MSG_KICK_REPLACED);
    done("", "one that is not in is not kicked");
    admitted(MSG_ADMIT_OK);
    did[0] = '\0';
    client_kick(clients, 7, SLICE("an"), MSG_KICK_REPLACED);
    client_kick(clients, 7, SLICE("anna"), MSG_KICK_REPLACED);
    client_kick(clients, 7, (struct slice){NULL, 0}, MSG_KICK_REPLACED);
    client_kick(clients, 8, SLICE("ann"), MSG_KICK_REPLACED);
    done("", "nor another user, nor another client");
    client_kick(clients, 7, SLICE("ann"), MSG_KICK_REPLACED);
    done("disconnect:replaced by a newer connection ", "one that is in, as that user");
    client_kick(clients, 7, SLICE("ann"), MSG_KICK_TAKEN);
    done("disconnect:session taken by another connection ", "or for that");
    end();
}

/* --- sessions --- */

static void begin_recovering(void)
{
    begin();
    clients_set_replays(clients, REPLAYS);
    recovering = 1;
    told = 0;
    claim = (struct sio_claim){.wants = 1};
}

static void end_recovering(void)
{
    end();
    recovering = eio3 = no_place = 0;
}

/* Comes with a pid that ends in that letter, or none, and an offset, or none. */
static void connect_with(char pid, uint64_t offset)
{
    claim = (struct sio_claim){
        .wants = 1, .has_pid = pid != 0, .has_offset = offset != 0, .offset = offset};
    memset(claim.pid, pid, PID_LEN);
    did[0] = '\0';
    connect_as("ann");
}

static char pid_text[PID_LEN];

/* With a session: a new one, or the one it asked for. */
static void answer_with(int resumed)
{
    struct msg_admitted admitted = {.client = 7,
                                    .verdict = MSG_ADMIT_OK,
                                    .pid = {pid_text, PID_LEN},
                                    .offset = 5,
                                    .resumed = (uint8_t)resumed,
                                    .from = resumed ? 9 : 0};

    memset(pid_text, 'P', PID_LEN);
    did[0] = '\0';
    is_int(client_admitted(clients, &admitted), 0, "that was asked");
}

static int fits(void)
{
    const struct sio_session session = {.pid = {pid_text, PID_LEN}};

    did[0] = '\0';
    return client_replay_ops.fits(one.client, &session, 1, clients);
}

static void unfit(void)
{
    did[0] = '\0';
    one.client->replay = NULL;
    client_replay_ops.unfit(one.client, clients);
}

static void caught_up(void)
{
    did[0] = '\0';
    one.client->replay = NULL;
    client_replay_ops.caught_up(one.client, 6, clients);
}

/* It is catching up, and not told yet. */
static void come_back(void)
{
    connect_with('p', 3);
    answer_with(1);
}

static void test_session(void)
{
    begin();
    connect_with('p', 3);
    done("guard=0 forget known ADMIT:7:ann ", "nobody recovers: the master is asked for nobody");
    end();

    begin_recovering();
    connect_with(0, 0);
    done("guard=0 forget known ADMIT:7:ann:s ", "a session that is new, by its name");
    answer_with(0);
    done("pid=P:5 accept expire=0 ", "the client is told its pid");
    did[0] = '\0';
    client_left(clients, one.client, CLOSE_LEFT);
    done("LEFT:7:ann:ended ", "it has left: it is over");
    connect_with(0, 8);
    done("known ADMIT:7:ann:s ", "an offset alone says nothing");
    answer_with(0);
    client_left(clients, one.client, CLOSE_CLIENT);
    connect_with('p', 0);
    done("known ADMIT:7:ann:s:p:0:0 ", "a pid without one");
    answer_with(0);
    client_left(clients, one.client, CLOSE_CLIENT);
    has_ended = 1;
    connect_with('p', 8);
    done("known ADMIT:7:ann:s ", "who has gone already takes no session from who may have it");
    has_ended = 0;
    answer_with(0);
    client_left(clients, one.client, CLOSE_CLIENT);
    connect_with('p', 8);
    done("known ADMIT:7:ann:s:p:1:8 ", "or with one");
    answer_with(0);
    done("pid=P:5 accept expire=0 ", "it is another's, or over: it gets a new one");
    client_left(clients, one.client, CLOSE_CLIENT);
    is_int((long)stats.replays[REPLAY_MALFORMED], 0, "all were well-formed");
    claim.bad_offset = 1;
    claim.has_offset = 0;
    did[0] = '\0';
    connect_as("ann");
    done("known ADMIT:7:ann:s ", "an offset that is none: not from the start on");
    is_int((long)stats.replays[REPLAY_MALFORMED], 1, "counted");
    answer_with(0);
    client_left(clients, one.client, CLOSE_CLIENT);
    claim = (struct sio_claim){.wants = 1, .bad_pid = 1};
    did[0] = '\0';
    connect_as("ann");
    done("known ADMIT:7:ann:s ", "a pid that is none");
    is_int((long)stats.replays[REPLAY_MALFORMED], 2, "likewise");
    answer_with(0);
    client_left(clients, one.client, CLOSE_CLIENT);
    claim.wants = 0;
    did[0] = '\0';
    connect_as("ann");
    done("known ADMIT:7:ann ", "one that wants none");
    client_left(clients, one.client, CLOSE_CLIENT);
    admitted(MSG_ADMIT_USER_LIMIT);
    eio3 = 1;
    connect_with('p', 8);
    done("known ADMIT:7:ann ", "or cannot have any");
    end_recovering();

    query_recovers = 0;
    begin_recovering();
    client_closed(clients, one.client, CLOSE_CLIENT);
    opened(&one);
    did[0] = '\0';
    connect_with('p', 8);
    done("guard=0 forget known ADMIT:7:ann ", "nor one whose handshake has said so");
    end_recovering();
    query_recovers = 1;
}

/* When it ends it is over, or not. */
static void test_ended(void)
{
    static const struct {
        enum close_reason why;
        const char *left;
    } rows[] = {
        {CLOSE_CLIENT, "LEFT:7:ann:away "},       {CLOSE_PING_TIMEOUT, "LEFT:7:ann:away "},
        {CLOSE_SEND_TIMEOUT, "LEFT:7:ann:away "}, {CLOSE_SEND_BUFFER, "LEFT:7:ann:away "},
        {CLOSE_TOO_BIG, "LEFT:7:ann:away "},      {CLOSE_SHUTDOWN, "LEFT:7:ann:away "},
        {CLOSE_NO_MEMORY, "LEFT:7:ann:away "},    {CLOSE_OVERRUN, "LEFT:7:ann:away "},
        {CLOSE_TAKEN, "LEFT:7:ann:away "},        {CLOSE_PROTOCOL, "LEFT:7:ann:ended "},
        {CLOSE_EXPIRED, "LEFT:7:ann:ended "},     {CLOSE_LEFT, "LEFT:7:ann:ended "},
        {CLOSE_REPLACED, "LEFT:7:ann:ended "},    {CLOSE_DISCONNECTED, "LEFT:7:ann:ended "},
    };

    begin_recovering();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        connect_with(0, 0);
        answer_with(0);
        did[0] = '\0';
        client_left(clients, one.client, rows[i].why);
        done(rows[i].left, close_reason_name(rows[i].why));
    }
    end_recovering();
}

static void test_resumed(void)
{
    begin_recovering();
    come_back();
    done("replay:9 ", "it has its session back: what it has missed comes first");
    is_int((long)stats.clients[CLIENT_CATCHING], 1, "it is catching up");
    is_int((long)rooms_count(&rooms), 0, "in no room");
    is_int(fits(), 0, "all fits");
    done("replaying resume=P expire=0 ", "it is told so");
    is_int(one.socket.sidless, 1, "it had left the room of its id");
    caught_up();
    done("caught-up=6 ", "it has all");
    is_int((long)stats.clients[CLIENT_IN], 1, "and is in");
    did[0] = '\0';
    client_left(clients, one.client, CLOSE_CLIENT);
    done("LEFT:7:ann:away ", "and goes as any other");
    is_int((long)stats.disconnects[CLOSE_CLIENT], 1, "counted");

    come_back();
    unfit();
    done("LEFT:7:ann:ended ADMIT:7:ann:s ",
         "it does not fit: its session is over, it gets a new one");
    is_int((long)stats.clients[CLIENT_JOINING], 1, "that it waits for");
    answer_with(0);
    done("pid=P:5 accept expire=0 ", "and gets");
    client_left(clients, one.client, CLOSE_CLIENT);

    come_back();
    no_place = 1;
    is_int(fits(), -1, "no memory for its id");
    done("no-place unreplay LEFT:7:ann:ended ADMIT:7:ann:s ", "likewise");
    no_place = 0;
    admitted(MSG_ADMIT_USER_LIMIT);
    is_int((long)stats.clients[CLIENT_OUT], 1, "which may be refused");

    clients_set_replays(clients, NULL);
    clients_set_replays(clients, REPLAYS);
    connect_with('p', 3);
    clients_set_replays(clients, NULL);
    answer_with(1);
    done("LEFT:7:ann:ended ADMIT:7:ann ", "a worker that cannot");
    admitted(MSG_ADMIT_USER_LIMIT);
    clients_set_replays(clients, REPLAYS);
    end_recovering();
}

/* Whatever ends it while it catches up. */
static void test_catching(void)
{
    begin_recovering();
    come_back();
    did[0] = '\0';
    client_left(clients, one.client, CLOSE_CLIENT);
    done("unreplay LEFT:7:ann:away ", "gone before it was told: it may come back");
    is_int((long)stats.disconnects[CLOSE_CLIENT], 0, "it was not in");
    come_back();
    fits();
    told = 1;
    did[0] = '\0';
    client_left(clients, one.client, CLOSE_LEFT);
    done("unreplay LEFT:7:ann:ended ", "after that it has left");
    is_int((long)stats.disconnects[CLOSE_LEFT], 1, "and was in");
    told = 0;

    come_back();
    did[0] = '\0';
    client_kick(clients, 7, SLICE("bob"), MSG_KICK_REPLACED);
    done("", "another user is not meant");
    client_kick(clients, 7, SLICE("ann"), MSG_KICK_TAKEN);
    done("disconnect:session taken by another connection ", "the next one has come already");
    client_left(clients, one.client, CLOSE_TAKEN);

    come_back();
    fits();
    did[0] = '\0';
    one.client->replay = NULL;
    client_replay_ops.lost(one.client, CLOSE_OVERRUN, clients);
    done("close:0:history overrun ",
         "what was still to come is lost: it is closed, without a word");
    client_left(clients, one.client, CLOSE_OVERRUN);
    done("LEFT:7:ann:away ", "it may come back");
    is_int((long)stats.disconnects[CLOSE_OVERRUN], 1, "it was in");

    token.expires_ms = wall_ms + 100;
    come_back();
    wall_ms += 100;
    is_int(fits(), -1, "its token has ended meanwhile");
    done("unreplay LEFT:7:ann:ended log:token_expired refuse:token_expired ", "refused");
    token.expires_ms = wall_ms + 100;
    come_back();
    wall_ms += 99;
    is_int(fits(), 0, "or is about to");
    done("replaying resume=P expire=5002 ", "which counts");
    end_recovering();
}

/* It left, or came again, before the answer was here. */
static void test_claims(void)
{
    begin_recovering();
    connect_with('p', 3);
    client_left(clients, one.client, CLOSE_CLIENT);
    answer_with(1);
    done("LEFT:7:ann:away ", "gone: it may come back for it");
    connect_with('p', 3);
    client_left(clients, one.client, CLOSE_CLIENT);
    answer_with(0);
    done("LEFT:7:ann:ended ", "a new one that nobody has heard of");
    connect_with('p', 3);
    client_left(clients, one.client, CLOSE_LEFT);
    answer_with(1);
    done("LEFT:7:ann:ended ", "it has left by itself: over");

    connect_with('p', 3);
    client_left(clients, one.client, CLOSE_LEFT);
    connect_with('p', 3);
    answer_with(1);
    done("LEFT:7:ann:ended ADMIT:7:ann:s:p:1:3 ",
         "asks again: what it left it does not get by that");
    answer_with(0);
    done("pid=P:5 accept expire=0 ", "it gets a new one");
    client_left(clients, one.client, CLOSE_CLIENT);

    connect_with('p', 3);
    client_left(clients, one.client, CLOSE_LEFT);
    connect_with('q', 3);
    answer_with(1);
    done("LEFT:7:ann:ended ADMIT:7:ann:s:q:1:3 ", "with another pid");
    client_left(clients, one.client, CLOSE_LEFT);
    connect_with('q', 4);
    answer_with(1);
    done("LEFT:7:ann:ended ADMIT:7:ann:s:q:1:4 ", "another offset");
    client_left(clients, one.client, CLOSE_LEFT);
    connect_with('q', 0);
    answer_with(1);
    done("LEFT:7:ann:ended ADMIT:7:ann:s:q:0:0 ", "or none");
    client_left(clients, one.client, CLOSE_LEFT);
    connect_with(0, 0);
    answer_with(0);
    done("LEFT:7:ann:ended ADMIT:7:ann:s ", "or with nothing");
    client_left(clients, one.client, CLOSE_LEFT);
    connect_with(0, 0);
    answer_with(0);
    done("pid=P:5 accept expire=0 ", "with nothing twice it takes what comes");
    client_left(clients, one.client, CLOSE_LEFT);

    connect_with('p', 3);
    client_left(clients, one.client, CLOSE_LEFT);
    claim.wants = 0;
    connect_as("ann");
    answer_with(1);
    done("LEFT:7:ann:ended ADMIT:7:ann ", "or wants none any more");
    end_recovering();
}

/* --- expiry --- */

static void test_deadline(void)
{
    begin();
    token.expires_ms = wall_ms + 2000;
    connect_as("ann");
    did[0] = '\0';
    wall_ms += 1999;
    now_ms += 1999;
    admitted(MSG_ADMIT_OK);
    done("accept expire=7001 ", "in until its token ends, and no sooner");
    client_left(clients, one.client, CLOSE_LEFT);

    token.expires_ms = wall_ms + 1;
    connect_as("ann");
    wall_ms += 1;
    did[0] = '\0';
    admitted(MSG_ADMIT_OK);
    done("LEFT:7:ann log:token_expired refuse:token_expired ",
         "at its very end while joining: taken back");
    is_int((long)stats.clients[CLIENT_OUT], 1, "it is out");
    is_int((long)stats.disconnects[CLOSE_EXPIRED], 0, "it was not in");

    token.expires_ms = wall_ms + FAR_MS;
    connect_as("ann");
    did[0] = '\0';
    admitted(MSG_ADMIT_OK);
    is_int(strcmp(did, "accept expire=0 ") != 0, 1, "68 years are a time");
    client_left(clients, one.client, CLOSE_LEFT);
    token.expires_ms = wall_ms + FAR_MS + 1;
    connect_as("ann");
    did[0] = '\0';
    admitted(MSG_ADMIT_OK);
    done("accept expire=0 ", "more are for ever");
    end();
}

static void renewed(int64_t expires_ms)
{
    struct token_user user = {.uid = "ann", .uid_len = 3, .expires_ms = expires_ms};

    client_renewed(clients, one.client, &user, wall_ms);
}

/* A token that came with the handshake counts for later CONNECTs, until it ends. */
static void test_kept(void)
{
    begin();
    token.source = AUTH_FROM_HANDSHAKE;
    token.expires_ms = wall_ms + 1000;
    let_in("ann");
    client_left(clients, one.client, CLOSE_LEFT);
    did[0] = '\0';
    token.result = TOKEN_MISSING;
    wall_ms += 999;
    connect_as("ann");
    done("known ADMIT:7:ann ", "no token of its own: the kept one");
    admitted(MSG_ADMIT_OK);
    client_left(clients, one.client, CLOSE_LEFT);
    did[0] = '\0';
    wall_ms += 1;
    connect_as("ann");
    done("log:token_expired refuse:token_expired ", "which has ended");
    token.result = TOKEN_BAD_SIGNATURE;
    connect_as("ann");
    done("log:token_signature refuse:token_signature ", "a bad one of its own says why");
    end();

    begin();
    let_in("ann");
    client_left(clients, one.client, CLOSE_LEFT);
    did[0] = '\0';
    token.result = TOKEN_MISSING;
    connect_as("ann");
    done("log:token_missing refuse:token_missing ", "a CONNECT's token is not kept");
    end();

    begin();
    token.source = AUTH_FROM_HANDSHAKE;
    let_in("ann");
    client_left(clients, one.client, CLOSE_LEFT);
    token.source = AUTH_FROM_PACKET;
    let_in("bob");
    client_left(clients, one.client, CLOSE_LEFT);
    did[0] = '\0';
    token.result = TOKEN_MISSING;
    connect_as("ann");
    done("log:token_missing refuse:token_missing ", "nor is one before it any more");
    end();
}

static void test_renewed(void)
{
    int64_t start = wall_ms;

    begin();
    token.source = AUTH_FROM_HANDSHAKE;
    token.expires_ms = start + 1000;
    let_in("ann");
    renewed(start + 5000);
    is_int(strncmp(did, "expire=", 7), 0, "a renewed token has another deadline");
    client_left(clients, one.client, CLOSE_LEFT);
    token.result = TOKEN_MISSING;
    wall_ms = start + 4999;
    did[0] = '\0';
    connect_as("ann");
    done("known ADMIT:7:ann ", "its expiry counts for a later join, not that of the first");
    now_ms = 5000;
    admitted(MSG_ADMIT_OK);
    done("accept expire=5002 ", "which ends with it");
    client_left(clients, one.client, CLOSE_LEFT);
    did[0] = '\0';
    wall_ms = start + 5000;
    connect_as("ann");
    done("log:token_expired refuse:token_expired ", "and comes too late after it");
    end();

    begin();
    token.source = AUTH_FROM_HANDSHAKE;
    token.expires_ms = 0;
    wall_ms = start;
    let_in("ann");
    renewed(start + 10);
    client_left(clients, one.client, CLOSE_LEFT);
    token.result = TOKEN_MISSING;
    wall_ms = start + 10;
    did[0] = '\0';
    connect_as("ann");
    done("log:token_expired refuse:token_expired ", "a sooner end counts too");
    end();

    begin();
    token.source = AUTH_FROM_HANDSHAKE;
    token.expires_ms = start + 1000;
    wall_ms = start;
    let_in("ann");
    renewed(0);
    done("expire=0 ", "one for ever takes the deadline away");
    client_left(clients, one.client, CLOSE_LEFT);
    token.result = TOKEN_MISSING;
    wall_ms = start + 1000;
    did[0] = '\0';
    connect_as("ann");
    done("known ADMIT:7:ann ", "for later joins, too");
    end();
}

/* --- names and places --- */

static void test_long_uid(void)
{
    char uid[TOKEN_UID_MAX + 1], want[400];

    memset(uid, 'u', TOKEN_UID_MAX);
    uid[TOKEN_UID_MAX] = '\0';
    begin();
    connect_as(uid);
    snprintf(want, sizeof(want), "guard=0 forget known ADMIT:7:%s ", uid);
    done(want, "a user id of 255 bytes, whole");
    admitted(MSG_ADMIT_OK);
    is_int((long)in_room(slice_str(uid)), 1, "which is a room");
    did[0] = '\0';
    client_left(clients, one.client, CLOSE_LEFT);
    snprintf(want, sizeof(want), "LEFT:7:%s ", uid);
    done(want, "and leaves under the same name");
    end();
}

static void test_guard(void)
{
    begin();
    cookie = 1;
    client_closed(clients, one.client, CLOSE_CLIENT);
    did[0] = '\0';
    opened(&one);
    done("guard=1 ", "a cookie: its session is guarded");
    is_int(client_guarded(clients, NULL), 1, "by what may carry one");
    token.source = AUTH_FROM_COOKIE;
    connect_as("ann");
    done("forget known ADMIT:7:ann ", "and stays so where the cookie let it in");
    end();

    begin();
    token.source = AUTH_FROM_HANDSHAKE;
    connect_as("ann");
    done("guard=0 forget known ADMIT:7:ann ", "but not where another token did");
    end();
    cookie = 0;
    begin();
    client_closed(clients, one.client, CLOSE_CLIENT);
    did[0] = '\0';
    opened(&one);
    done("guard=0 ", "no cookie: it is not guarded");
    is_int(client_guarded(clients, NULL), 0, "nor asked");
    end();
}

/* --- what is logged --- */

static void test_logged(void)
{
    begin();
    log_set_level(LOG_LEVEL_INFO);
    connect_as("ann x");
    now_ms = 100050;
    admitted(MSG_ADMIT_OK);
    is_int(logged(" client connected: user=ann\\x20x address=127.0.0.1:4321 transport=websocket "
                  "protocol=4\n"),
           1, "who comes in");
    now_ms = 101650;
    client_left(clients, one.client, CLOSE_LEFT);
    is_int(logged(" client disconnected: user=ann\\x20x address=127.0.0.1:4321 "
                  "transport=websocket reason=\"client left\" duration=1.6s\n"),
           1, "who goes, why, and after how long");
    log_begin();

    for (int i = 0; i < 3; i++)
        client_unserved(clients, one.client, SLICE("/a b"));
    is_int(logged("namespace is not served: namespace=/a\\x20b served=/axr "
                  "address=127.0.0.1:4321 transport=websocket times=1\n"),
           1, "a namespace that is not served, once a minute");
    is_int(logged("not served"), 1, "not again");
    now_ms += 60000;
    client_unserved(clients, one.client, SLICE("/b"));
    is_int(logged("times=3"), 1, "and then how often it was");
    log_set_level(LOG_LEVEL_DEBUG);
    client_unserved(clients, one.client, SLICE("/c"));
    is_int(logged("namespace=/c"), 1, "at debug each");
    log_set_level(LOG_LEVEL_INFO);
    client_closed(clients, one.client, CLOSE_CONNECT_TIMEOUT);
    is_int(logged("client did not ask for the namespace and is closed: served=/axr within_ms=45000 "
                  "address=127.0.0.1:4321"),
           1, "who asks for nothing");
    is_int(logged("others came"), 0, "which is no fault of others");
    opened(&one);
    client_closed(clients, one.client, CLOSE_EVICTED);
    is_int(logged("session without a good token closed, for others came: address=127.0.0.1:4321"),
           1, "who has no token, and gave way");
    opened(&one);
    log_begin();
    end();
    is_int(logged("\n"), 0, "others are not told of");
}

/* In "/" where it is not the namespace. */
static void test_aside(void)
{
    const struct sio_packet with = {.nsp = SLICE("/"), .data = SLICE("{\"token\":\"x\"}")},
                            without = {.nsp = SLICE("/"), .data = SLICE("{}")};

    begin();
    log_begin();
    client_aside(clients, one.client, &without);
    client_aside(clients, one.client, &with);
    is_int(logged("token for the namespace /, in which nothing is sent: namespace=/ served=/axr "
                  "address=127.0.0.1:4321 transport=websocket times=1\n"),
           1, "with a token, be it that of the handshake: a line a minute");
    now_ms += 60000;
    let_in("ann");
    client_aside(clients, one.client, &with);
    is_int(logged("token for"), 1, "none of who is in");
    client_left(clients, one.client, CLOSE_LEFT);
    client_aside(clients, one.client, &without);
    is_int(logged("token for"), 1, "nor of who shows none");
    client_aside(clients, one.client, &with);
    is_int(logged("transport=websocket times=2\n"), 1, "a token of the packet");
    end();
    log_begin();
}

static void test_odd_exp(void)
{
    begin();
    token.exp_form = NUMERIC_DATE_MS;
    let_in("ann");
    client_left(clients, one.client, CLOSE_LEFT);
    let_in("ann");
    client_left(clients, one.client, CLOSE_LEFT);
    is_int(logged("taken for milliseconds; RFC 7519 wants seconds; said once: user=ann"), 1,
           "milliseconds in exp: said once");
    token.exp_form = NUMERIC_DATE_FAR;
    let_in("bob");
    client_left(clients, one.client, CLOSE_LEFT);
    is_int(logged("after the year 3000; RFC 7519 wants seconds; said once: user=bob"), 1,
           "what is too far for both is another thing");
    token.exp_form = NUMERIC_DATE_FINE;
    end();
    log_begin();
}

/* --- no memory --- */

static void test_no_memory(void)
{
    struct made other = {.handle = 8};

    begin();
    nomem = 1;
    ok(opened(&other) == NULL, "no memory for a client");
    collect_fails = 1;
    ok(opened(&other) == NULL, "nor for its tokens");
    collect_fails = 0;
    is_int((long)stats.clients[CLIENT_OUT], 1, "it is not counted");
    nomem = 1;
    did[0] = '\0';
    connect_as("ann");
    done("guard=0 forget log:token_internal refuse:token_internal ", "no memory for its name");
    nomem = 2;
    connect_as("ann");
    done("known log:token_internal refuse:token_internal ", "nor for the question");
    is_int(answered(7, MSG_ADMIT_OK), -1, "which was not asked");
    for (int nth = 1; nth <= 8; nth++) {
        connect_as("ann");
        did[0] = '\0';
        nomem = nth;
        admitted(MSG_ADMIT_OK);
        if (nomem == 0)
            done("LEFT:7:ann log:token_internal refuse:token_internal ",
                 "nor for a room: taken back");
        else
            done("accept expire=0 ", "all that it takes is there");
        nomem = 0;
        if (one.client->state == CLIENT_IN)
            break;
        is_int((long)rooms_count(&rooms), 0, "in no room");
    }
    is_int(one.client->state, CLIENT_IN, "in the end it is in");
    nomem = 1;
    ok(clients_new(&conf, &engine, &rooms, NULL, &stats) == NULL, "no memory at the start");
    end();
}

int main(void)
{
    log_begin_at(LOG_LEVEL_WARN);
    test_in_and_out();
    test_refused();
    test_joining();
    test_rooms();
    test_other_rooms();
    test_two();
    test_kick();
    test_session();
    test_ended();
    test_resumed();
    test_catching();
    test_claims();
    test_deadline();
    test_kept();
    test_renewed();
    test_long_uid();
    test_guard();
    test_no_memory();
    test_logged();
    test_aside();
    test_odd_exp();
    log_end();
    return tap_done();
}
