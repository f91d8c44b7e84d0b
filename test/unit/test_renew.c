/* Tokens that take the place of another: the event, how often, and what is answered.  The
 * tokens, the client's session and what becomes of its expiry are made up here. */
#include "base/clock.h"
#include "conf.h"
#include "log_file.h"
#include "tap.h"
#include "worker/auth.h"
#include "worker/client.h"
#include "worker/renew.h"

static char acked[512], judged[64];
static int64_t renewed_ms;
static int judgements, renewals_taken;

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

/* --- neighbours --- */

int socket_ack(struct socket *socket, uint64_t id, struct slice json)
{
    (void)socket;
    snprintf(acked, sizeof(acked), "%llu%.*s", (unsigned long long)id, (int)json.len, json.ptr);
    return 0;
}

const char *socket_transport(const struct socket *socket)
{
    (void)socket;
    return "polling";
}

void client_renewed(struct clients *clients, struct client *client, const struct token_user *user,
                    int64_t at_ms)
{
    (void)clients;
    (void)client;
    renewals_taken++;
    renewed_ms = at_ms == 77000 ? user->expires_ms : -1;
}

static struct {
    enum token_result result;
    const char *uid, *wanted;
    int64_t expires_ms;
} token;

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
    return token.result;
}

/* --- one client --- */

static const struct conf conf = {.nsp = (char[]){"/axr"}};
static struct worker_stats stats;
static struct renewals *renewals;
static char ann[] = "ann";
static struct client client;

static void begin(void)
{
    token.result = TOKEN_OK;
    token.uid = "ann";
    token.wanted = NULL;
    token.expires_ms = 0;
    memset(&client, 0, sizeof(client));
    client.uid = ann;
    client.uid_len = 3;
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

    acked[0] = judged[0] = '\0';
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
    begin();
    is_int(looked_at(10), 10, "ten at once");
    is_int(looked_at(1), 0, "and not one more");
    is_str(acked,
           "9[{\"ok\":false,\"message\":\"too many tokens in a short time\","
           "\"code\":\"token_rate\"}]",
           "which is told so");
    is_int((long)stats.renewals[RENEWAL_RATE], 1, "and counted");
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

static void test_memory(void)
{
    struct renewals *other = renewals_new(&conf, NULL, &stats);

    ok(other != NULL, "made");
    renewals_free(&other);
    ok(other == NULL, "and freed");
    renewals_free(&other);
}

int main(void)
{
    log_begin_at(LOG_LEVEL_INFO);
    renewals = renewals_new(&conf, NULL, &stats);
    test_event();
    test_ends();
    test_who();
    test_answers();
    test_burst();
    test_memory();
    renewals_free(&renewals);
    log_end();
    return tap_done();
}
