/* Tokens that take the place of another: the event, how often, and what is answered.  The
 * tokens, the client's session and what becomes of its expiry are made up here. */
#include "base/clock.h"
#include "base/slices.h"
#include "codec/token_rooms.h"
#include "conf.h"
#include "engine/engine.h"
#include "log_file.h"
#include "tap.h"
#include "worker/auth.h"
#include "worker/claim.h"
#include "worker/client.h"
#include "worker/membership.h"
#include "worker/renew.h"
#include "worker/replay.h"
#include "worker/uplink.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

static char acked[512], judged[64];
static int64_t renewed_ms;
static int judgements, renewals_taken;

/* --- memory --- */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

static int nomem; /* the allocation that fails: 1 is the next; 0: none */

void *__wrap_malloc(size_t size)
{
    if (nomem > 0 && --nomem == 0) {
        errno = ENOMEM;
        return NULL;
    }
    return __real_malloc(size);
}

/* --- time --- */

static uint64_t now_ms = 1000000;

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
    return 77000;
}

static struct client client;

/* --- neighbours --- */

static int tokens_refused; /* as the engine was told */

void socket_token_refused(const struct socket *socket)
{
    (void)socket;
    tokens_refused++;
}

int socket_ack(struct socket *socket, uint64_t id, struct slice json)
{
    (void)socket;
    snprintf(acked, sizeof(acked), "%llu%.*s", (unsigned long long)id, (int)json.len, json.ptr);
    return 0;
}

static uint64_t is_there; /* the handle by which the client is found */

struct socket *socket_find(const struct sio *sio, uint64_t handle)
{
    (void)sio;
    return handle == is_there ? (struct socket *)&is_there : NULL;
}

void *socket_data(const struct socket *socket)
{
    return socket == (struct socket *)&is_there ? &client : NULL;
}

uint64_t socket_handle(const struct socket *socket)
{
    (void)socket;
    return 7;
}

enum eio_version socket_version(const struct socket *socket)
{
    (void)socket;
    return EIO4;
}

const char *socket_transport(const struct socket *socket)
{
    (void)socket;
    return "polling";
}

void client_renewed(struct clients *clients, struct client *of, const struct token_user *user,
                    int64_t at_ms)
{
    (void)clients;
    (void)of;
    renewals_taken++;
    renewed_ms = at_ms == 77000 ? user->expires_ms : -1;
}

static int finishes; /* one that is catching up is in when it has to be */
static char replays_mark;
#define REPLAYS ((struct replays *)(void *)&replays_mark)

int replay_finish(struct replays *replays, struct client *of)
{
    is_int(replays == REPLAYS && of == &client && judgements == 0, 1,
           "what it has missed comes first");
    if (finishes)
        of->state = CLIENT_IN;
    return finishes;
}

/* --- rooms: "-a +b ROOMS:1:7-a+b " --- */

static char did[512];
static int is_in_all; /* it is in all that it is to join, and in none that it is to leave */

static void note(const char *sign, const struct slices *list)
{
    for (size_t i = 0; i < list->n; i++) {
        size_t len = strlen(did);

        snprintf(did + len, sizeof(did) - len, "%s%.*s", sign, (int)list->at[i].len,
                 list->at[i].ptr);
    }
}

void membership_sort(struct slices *names)
{
    if (names->n > 1)
        strcat(did, "sort ");
}

void membership_leave(struct membership *membership, struct client *of, const struct slices *names,
                      struct slices *left)
{
    (void)membership;
    (void)of;
    note(" -", names);
    for (size_t i = 0; i < names->n && !is_in_all; i++)
        slices_put(left, names->at[i]);
}

void membership_join(struct membership *membership, struct client *of, const struct slices *names,
                     struct slices *joined)
{
    (void)membership;
    (void)of;
    note(" +", names);
    for (size_t i = 0; i < names->n && !is_in_all; i++)
        slices_put(joined, names->at[i]);
}

void uplink_rooms(struct uplink *uplink, uint32_t id, uint64_t handle, int is_claim,
                  const struct slices *joined, const struct slices *left)
{
    size_t len = strlen(did);

    (void)uplink;
    ok(is_claim, "by its token");
    snprintf(did + len, sizeof(did) - len, " ROOMS:%u:%u", id, (unsigned)handle);
    note("-", left);
    note("+", joined);
}

static struct {
    enum token_result result;
    const char *uid, *wanted, *rooms;
    int64_t expires_ms;
} token;

static struct token_rooms *rooms_named(const char *json)
{
    cJSON *value = cJSON_Parse(json);
    struct token_rooms *rooms;

    if (token_rooms_make(&rooms, value, 1000) < 0)
        ok(0, "rooms: %s", json);
    cJSON_Delete(value);
    return rooms;
}

enum token_result auth_judge_json(const struct token_policy *policy, struct slice json,
                                  int64_t at_ms, struct auth_verdict *verdict)
{
    (void)policy;
    (void)at_ms;
    judgements++;
    snprintf(judged, sizeof(judged), "%.*s", (int)json.len, json.len > 0 ? json.ptr : "");
    verdict->wanted = token.wanted;
    verdict->claim = NULL;
    verdict->user.uid_len = strlen(token.uid);
    memcpy(verdict->user.uid, token.uid, verdict->user.uid_len + 1);
    verdict->user.expires_ms = token.expires_ms;
    verdict->user.rooms =
        token.rooms != NULL && token.result == TOKEN_OK ? rooms_named(token.rooms) : NULL;
    return token.result;
}

/* --- one client --- */

static const struct conf conf = {.nsp = (char[]){"/axr"}};
static struct worker_stats stats;
static const struct renewal_parts parts = {.conf = &conf, .replays = REPLAYS, .stats = &stats};
static struct renewals *renewals;

static void begin(void)
{
    static struct token_user ann = {.uid = "ann", .uid_len = 3};

    claim_forget(&client);
    is_there = 7;
    is_in_all = 0;
    token.result = TOKEN_OK;
    token.uid = "ann";
    token.wanted = NULL;
    token.expires_ms = 0;
    token.rooms = NULL;
    memset(&client, 0, sizeof(client));
    claim_take(&client, &ann);
    client.state = CLIENT_IN;
    memset(&stats, 0, sizeof(stats));
    judgements = renewals_taken = 0;
}

/* data: the packet's array. */
static void packet_of(enum sio_type type, const char *nsp, const char *data, int has_id)
{
    struct sio_packet packet = {.type = type,
                                .nsp = slice_str(nsp),
                                .data = slice_str(data),
                                .has_id = has_id,
                                .id = has_id ? 9 : 0};

    acked[0] = judged[0] = did[0] = '\0';
    renew_packet(renewals, &client, &packet);
}

static void emit(const char *data)
{
    packet_of(SIO_EVENT, "/axr", data, 1);
}

/* --- tests --- */

/* What is an event "authenticate", and what its token. */
static void test_event(void)
{
    static const struct {
        const char *data, *value; /* value NULL: not our event */
    } rows[] = {
        {"[\"authenticate\",\"x\"]", "\"x\""},
        {"[\"authenticate\",{\"token\":\"x\"},7]", "{\"token\":\"x\"}"},
        {" [\"authenticate\",1]", NULL}, /* the codec gives it without a space */
        {"[ \t\r\n\"authenticate\" , \"x\" ]", "\"x\""},
        {"[\"authenticate\"]", ""},
        {"[\"authenticate\" ]", ""},
        {"[\"authenticate\",\"x\\\"]\"]", "\"x\\\"]\""},
        {"[\"authenticat\",\"x\"]", NULL},
        {"[\"authenticated\",\"x\"]", NULL},
        {"[\"Authenticate\",\"x\"]", NULL},
        {"[7,\"authenticate\"]", NULL},
        {"[]", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin();
        emit(rows[i].data);
        ok(judgements == (rows[i].value != NULL), "row %zu: our event, or not", i);
        if (rows[i].value != NULL)
            is_str(judged, rows[i].value, "its first argument");
    }
}

/* The event reads no byte behind the packet. */
static void test_ends(void)
{
    static const char whole[] = "[\"authenticate\",\"x\"]";

    for (size_t n = 0; n <= sizeof(whole) - 1; n++) {
        unsigned char *at = tap_guard(whole, n);
        struct sio_packet packet = {
            .type = SIO_EVENT, .nsp = SLICE("/axr"), .data = {(const char *)at, n}};

        begin();
        renew_packet(renewals, &client, &packet);
        tap_guard_free(at, n);
    }
    is_int(judgements, 1, "each prefix");
}

static void test_who(void)
{
    begin();
    client.state = CLIENT_JOINING;
    emit("[\"authenticate\",\"x\"]");
    is_int(judgements, 0, "of one that is not in yet");
    client.state = CLIENT_OUT;
    emit("[\"authenticate\",\"x\"]");
    is_int(judgements, 0, "or has left");
    client.state = CLIENT_IN;
    packet_of(SIO_ACK, "/axr", "[\"authenticate\",\"x\"]", 1);
    is_int(judgements, 0, "an acknowledgement is no event");
    packet_of(SIO_EVENT, "/", "[\"authenticate\",\"x\"]", 1);
    is_int(judgements, 0, "nor is one of another namespace");
    is_str(acked, "", "none of them is answered");
    packet_of(SIO_EVENT, "/axr", "[\"authenticate\",\"x\"]", 0);
    is_int(renewals_taken, 1, "one that wants no answer counts");
    is_str(acked, "", "and gets none");
    token.result = TOKEN_EXPIRED;
    packet_of(SIO_EVENT, "/axr", "[\"authenticate\",\"x\"]", 0);
    is_str(acked, "", "nor when it is refused");
    is_int((long)stats.renewals[TOKEN_EXPIRED], 1, "which is counted");
    is_int(tokens_refused, 1, "and for its address");
}

/* One that is still to get some of what it has missed. */
static void test_catching(void)
{
    begin();
    client.state = CLIENT_CATCHING;
    finishes = 0;
    emit("[\"other\",\"x\"]");
    is_int(client.state, CLIENT_CATCHING, "another event changes nothing");
    emit("[\"authenticate\",\"x\"]");
    is_int(judgements, 0, "one whose rest is lost is closed, and not looked at");
    finishes = 1;
    emit("[\"authenticate\",\"x\"]");
    is_str(acked, "9[{\"ok\":true,\"expires\":null}]", "else it is in before its token counts");
    is_int(client.state, CLIENT_IN, "as any other");
}

static void test_answers(void)
{
    begin();
    emit("[\"authenticate\",\"x\"]");
    is_str(acked, "9[{\"ok\":true,\"expires\":null}]", "for ever");
    token.expires_ms = 2000000000000;
    emit("[\"authenticate\",\"x\"]");
    is_str(acked, "9[{\"ok\":true,\"expires\":2000000000}]", "until then");
    is_int(renewed_ms, 2000000000000, "as the client's expiry");
    token.expires_ms = 2000000000007;
    emit("[\"authenticate\",\"x\"]");
    is_str(acked, "9[{\"ok\":true,\"expires\":2000000000.007}]", "with a fraction");
    is_int((long)stats.renewals[TOKEN_OK], 3, "each is counted");
    is_int(renewals_taken, 3, "and taken");

    token.result = TOKEN_BAD_CLAIM;
    token.wanted = "exp has to be a number";
    emit("[\"authenticate\",\"x\"]");
    ok(strstr(acked, "9[{\"ok\":false,\"message\":\"") == acked &&
           strstr(acked, ": exp has to be a number\",\"code\":\"token_claim\"}]") != NULL,
       "refused, with what was wanted");
    token.result = TOKEN_OK;
    token.uid = "anna";
    emit("[\"authenticate\",\"x\"]");
    is_str(acked,
           "9[{\"ok\":false,\"message\":\"the token is another user's\","
           "\"code\":\"token_other_user\"}]",
           "another user's, whose name begins alike");
    token.uid = "an";
    emit("[\"authenticate\",\"x\"]");
    is_int((long)stats.renewals[RENEWAL_OTHER_USER], 2, "or is shorter");
    is_int(renewals_taken, 3, "nothing is taken of those");
    is_int(logged("token not renewed: reason=token_claim address="), 1, "a line for each cause");
    is_int(logged("token not renewed: reason=token_other_user address="), 1, "once a minute");
}

/* How many of n are looked at, one behind the other. */
static int looked_at(int n)
{
    int before = judgements;

    for (int i = 0; i < n; i++)
        emit("[\"authenticate\",\"x\"]");
    return judgements - before;
}

static void test_burst(void)
{
    int before = tokens_refused;

    begin();
    is_int(looked_at(10), 10, "ten at once");
    is_int(looked_at(1), 0, "and not one more");
    is_str(acked,
           "9[{\"ok\":false,\"message\":\"too many tokens in a short time\","
           "\"code\":\"token_rate\"}]",
           "which is told so");
    is_int((long)stats.renewals[RENEWAL_RATE], 1, "and counted");
    is_int(tokens_refused, before, "though not as a bad one");
    now_ms += 5999;
    is_int(looked_at(1), 0, "nor in the next six seconds");
    now_ms += 1;
    is_int(looked_at(2), 1, "then one");
    now_ms += 12000;
    is_int(looked_at(3), 2, "two after twice the time: what was refused costs nothing");
    now_ms += 59000;
    is_int(looked_at(20), 9, "nine after nine times the time");
    now_ms += 3600000;
    is_int(looked_at(20), 10, "ten at most, however long nothing came");
    token.result = TOKEN_BAD_SIGNATURE;
    now_ms += 60000;
    is_int(looked_at(20), 10, "bad ones count alike");
}

static void renew_with(const char *rooms)
{
    token.rooms = rooms;
    client.renew_s = 0;
    emit("[\"authenticate\",\"x\"]");
}

/* The master has noted what it was told of last. */
static void noted(uint32_t id)
{
    is_int(renew_noted(renewals, id), 0, "that was told");
}

#define ANSWER "9[{\"ok\":true,\"expires\":null}]"

static void test_rooms(void)
{
    begin();
    renew_with("[\"b\",\"a\"]");
    is_str(did, " +a +b ROOMS:1:7+a+b", "joins them, and the master is told");
    is_str(acked, "", "and answers first");
    is_int(renewals_taken, 1, "it is taken at once");
    noted(1);
    is_str(acked, ANSWER, "then the client is answered");
    is_int(renew_noted(renewals, 1), -1, "nothing else is to be noted");
    renew_with("[\"a\",\"b\",\"a\"]");
    is_str(did, "", "the same: nothing changes");
    is_str(acked, ANSWER, "answered at once");
    renew_with("[\"d\",\"c\",\"b\",\"ann\",\"allusers\"]");
    is_str(did, " -a +c +d ROOMS:2:7-a+c+d", "only what differs, and not what every client has");
    renew_with("[\"x\"]");
    is_str(did, "sort  -b -c -d +x ROOMS:3:7-b-c-d+x", "another before the master has answered");
    is_int(renew_noted(renewals, 3), -1, "they come in their order");
    token.expires_ms = 5000;
    renew_with(NULL);
    is_str(did, " -x ROOMS:4:7-x", "none");
    noted(2);
    noted(3);
    is_str(acked, ANSWER, "each answer is of its own token");
    noted(4);
    is_str(acked, "9[{\"ok\":true,\"expires\":5}]", "each");
    ok(claim_rooms(&client) == NULL, "it has none");
    is_in_all = 1;
    renew_with("\"y\"");
    is_str(did, " +y", "one that it is in already");
    is_str(acked, "9[{\"ok\":true,\"expires\":5}]", "is nothing to wait for");
    renew_with("[\"y\",\"ann\"]");
    is_str(did, "", "nor is one that every client has");
    is_in_all = 0;
    token.rooms = "\"z\"";
    packet_of(SIO_EVENT, "/axr", "[\"authenticate\",\"x\"]", 0);
    is_str(did, " -y +z ROOMS:0:7-y+z", "who wants no answer waits for none");
    is_int((long)stats.renewals[TOKEN_OK], 8, "all are counted");
}

/* What becomes of it while the master has not answered. */
static void test_gone(void)
{
    begin();
    renew_with("\"a\"");
    renew_with("\"b\"");
    client.state = CLIENT_OUT;
    noted(5);
    is_str(acked, "", "one that has left");
    client.state = CLIENT_IN;
    is_there = 8;
    noted(6);
    is_str(acked, "", "or that is not there any more, is not answered");
    is_there = 7;
    renew_with("\"c\"");
    noted(7);
    is_str(acked, ANSWER, "one that stays is");
}

static void test_refused_rooms(void)
{
    begin();
    renew_with("\"a\"");
    noted(8);
    token.uid = "bob";
    renew_with("\"b\"");
    is_str(did, "", "another's token changes nothing");
    token.uid = "ann";
    token.result = TOKEN_BAD_CLAIM;
    renew_with("\"b\"");
    is_str(did, "", "nor does a bad one");
    token.result = TOKEN_OK;
    renew_with("\"a\"");
    for (int i = 2; i <= 3; i++) { /* behind what makes the token's rooms */
        struct token_rooms *rooms = rooms_named("\"a\"");

        nomem = i;
        renew_with("\"b\"");
        ok(nomem == 0 && strstr(acked, "token_internal") != NULL, "without memory");
        is_str(did, "", "nothing changes");
        ok(token_rooms_equal(claim_rooms(&client), rooms), "it has the rooms that it had");
        token_rooms_free(&rooms);
    }
    is_int((long)stats.renewals[TOKEN_NO_MEMORY], 2, "which is counted");
}

static void test_many(void)
{
    int n = 0;

    begin();
    do {
        renew_with(n++ % 2 == 0 ? "\"a\"" : "\"b\"");
    } while (acked[0] == '\0' && n <= RENEWALS_WAITING_MAX + 1);
    ok(n > RENEWALS_WAITING_MAX / 2 && n <= RENEWALS_WAITING_MAX + 1, "so many wait");
    ok(strstr(acked, "token_rate") != NULL, "further ones are refused");
    token.rooms = "\"c\"";
    client.renew_s = 0;
    packet_of(SIO_EVENT, "/axr", "[\"authenticate\",\"x\"]", 0);
    ok(strstr(did, "+c ROOMS:0:7") != NULL, "but for those that want no answer");
}

static void test_memory(void)
{
    struct renewals *other = renewals_new(&parts);

    ok(other != NULL, "made");
    renewals_free(&other);
    ok(other == NULL, "and freed");
    renewals_free(&other);
}

int main(void)
{
    log_begin_at(LOG_LEVEL_INFO);
    renewals = renewals_new(&parts);
    test_event();
    test_ends();
    test_who();
    test_catching();
    test_answers();
    test_burst();
    test_rooms();
    test_gone();
    test_refused_rooms();
    test_many();
    test_memory();
    claim_forget(&client);
    renewals_free(&renewals);
    log_end();
    return tap_done();
}
