#include "worker/renew.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/slices.h"
#include "codec/json.h"
#include "codec/sio.h"
#include "codec/token_rooms.h"
#include "conf.h"
#include "engine/engine.h"
#include "worker/auth.h"
#include "worker/claim.h"
#include "worker/client.h"
#include "worker/membership.h"
#include "worker/refusal.h"
#include "worker/replay.h"
#include "worker/stats.h"
#include "worker/uplink.h"

#include <stdio.h>
#include <stdlib.h>

#define EVENT         SLICE("\"authenticate\"")
#define BURST         10 /* renewals of a client at once, at most */
#define EACH_S        6  /* after those, it may renew once in so many seconds */
#define ACK_MAX_BYTES 384

#define SECONDS_TEXT_MAX 32

/* An acknowledgement that waits for the master.  It outlives its client: a session of that
 * name that is in is the same stay, for who comes again is let in behind the answer. */
struct waiting {
    struct waiting *next;
    uint32_t id;
    uint64_t handle, ack;
    int64_t expires_ms;
};

struct renewals {
    struct renewal_parts parts;
    struct waiting *waiting, **waiting_end; /* in the order in which the master was told */
    uint32_t nwaiting, last_id;
    struct slices gone, come, left, joined; /* of one; reused */
    struct log_every refused[RENEWAL_RESULTS];
};

/* --- what it says --- */

static struct slice from_on(struct slice text, size_t n)
{
    return (struct slice){text.ptr + n, text.len - n};
}

static struct slice skip_space(struct slice json)
{
    size_t n = 0;

    while (n < json.len && (json.ptr[n] == ' ' || (json.ptr[n] >= '\t' && json.ptr[n] <= '\r')))
        n++;
    return from_on(json, n);
}

/* args is empty, or a JSON array that the codec has checked.  Returns 1 if it is
 * our event; *value is its first argument, empty if there is none. */
static int take_value(struct slice args, struct slice *value)
{
    long len;

    if (args.len == 0)
        return 0;
    args = skip_space(from_on(args, 1));
    if (args.len < EVENT.len || !slice_eq((struct slice){args.ptr, EVENT.len}, EVENT))
        return 0;
    args = skip_space(from_on(args, EVENT.len));
    *value = (struct slice){NULL, 0};
    if (args.len == 0 || args.ptr[0] != ',')
        return 1;
    args = skip_space(from_on(args, 1));
    if ((len = json_span(args.ptr, args.len)) > 0)
        *value = (struct slice){args.ptr, (size_t)len};
    return 1;
}

/* To verify a token is what costs: a flood of them is not looked at.  renew_s is
 * when all that were looked at would have come, at one each EACH_S. */
static int may_renew(struct client *client)
{
    uint32_t now_s = (uint32_t)(clock_ms() / 1000);

    if (client->renew_s < now_s)
        client->renew_s = now_s;
    if (client->renew_s - now_s > (BURST - 1) * EACH_S)
        return 0;
    client->renew_s += EACH_S;
    return 1;
}

/* --- what it is told --- */

static const char *message_of(unsigned result, const struct auth_verdict *verdict,
                              char dst[REFUSAL_MESSAGE_MAX])
{
    if (result == RENEWAL_OTHER_USER)
        return "the token is another user's";
    if (result == RENEWAL_RATE)
        return "too many tokens in a short time";
    return refusal_message((enum token_result)result, verdict, dst);
}

/* message and code are our own: nothing in them needs to be escaped.  verdict: on its token,
 * or NULL. */
static void refuse(struct renewals *renewals, struct client *client,
                   const struct sio_packet *packet, unsigned result,
                   const struct auth_verdict *verdict)
{
    const char *code = renewal_code(result);
    char json[ACK_MAX_BYTES], message[REFUSAL_MESSAGE_MAX];
    int len;

    renewals->parts.stats->renewals[result]++;
    if (result != TOKEN_NO_MEMORY && result != RENEWAL_RATE)
        socket_token_refused(client->socket);
    refusal_log(client, &renewals->refused[result], REFUSAL_OF_RENEWAL, code, verdict);
    if (!packet->has_id)
        return;
    len = snprintf(json, sizeof(json), "[{\"ok\":false,\"message\":\"%s\",\"code\":\"%s\"}]",
                   message_of(result, verdict, message), code);
    socket_ack(client->socket, packet->id, (struct slice){json, (size_t)len});
}

/* Seconds, with a fraction if there is one. */
static const char *seconds_text(int64_t ms, char dst[SECONDS_TEXT_MAX])
{
    int len = snprintf(dst, SECONDS_TEXT_MAX, "%lld", (long long)(ms / 1000));

    if (ms % 1000 != 0)
        (void)snprintf(dst + len, SECONDS_TEXT_MAX - (size_t)len, ".%03d", (int)(ms % 1000));
    return dst;
}

static void acknowledge(const struct client *client, uint64_t ack, int64_t expires_ms)
{
    char json[ACK_MAX_BYTES], text[SECONDS_TEXT_MAX];
    int len = snprintf(json, sizeof(json), "[{\"ok\":true,\"expires\":%s}]",
                       expires_ms != 0 ? seconds_text(expires_ms, text) : "null");

    socket_ack(client->socket, ack, (struct slice){json, (size_t)len});
}

/* --- its rooms --- */

static void wait_add(struct renewals *renewals, struct waiting *waiting)
{
    *renewals->waiting_end = waiting;
    renewals->waiting_end = &waiting->next;
    renewals->nwaiting++;
    renewals->last_id = waiting->id;
}

int renew_noted(struct renewals *renewals, uint32_t id)
{
    struct waiting *waiting = renewals->waiting;
    struct socket *socket;
    const struct client *client;

    if (waiting == NULL || waiting->id != id)
        return -1;
    renewals->waiting = waiting->next;
    if (waiting->next == NULL)
        renewals->waiting_end = &renewals->waiting;
    renewals->nwaiting--;
    socket = socket_find(renewals->parts.sio, waiting->handle);
    client = socket != NULL ? socket_data(socket) : NULL;
    if (client != NULL && client->state == CLIENT_IN)
        acknowledge(client, waiting->ack, waiting->expires_ms);
    free(waiting);
    return 0;
}

/* The client leaves and joins what is in gone and come; id: of what the master is asked to
 * note, or 0.  Returns 1 if it has been told. */
static int change_rooms(struct renewals *renewals, struct client *client, uint32_t id)
{
    const struct renewal_parts *parts = &renewals->parts;

    renewals->left.n = renewals->joined.n = 0;
    membership_sort(&renewals->gone);
    membership_leave(parts->membership, client, &renewals->gone, &renewals->left);
    membership_join(parts->membership, client, &renewals->come, &renewals->joined);
    if (renewals->left.n + renewals->joined.n == 0)
        return 0;
    uplink_rooms(parts->uplink, id, socket_handle(client->socket), 1, &renewals->joined,
                 &renewals->left);
    return 1;
}

/* As change_rooms(), for the rooms of user.  Returns -1 without memory (nothing changed). */
static int take_rooms(struct renewals *renewals, struct client *client, struct token_user *user,
                      uint32_t id)
{
    struct token_rooms *before;
    int told = 0;

    if (token_rooms_equal(claim_rooms(client), user->rooms)) {
        token_rooms_free(&user->rooms);
        return 0;
    }
    renewals->gone.n = renewals->come.n = 0;
    if (claim_renew(client, user, &before, &renewals->gone, &renewals->come) < 0)
        return -1;
    if (renewals->gone.n + renewals->come.n > 0)
        told = change_rooms(renewals, client, id);
    token_rooms_free(&before); /* what was left is named there */
    return told;
}

static struct waiting *waiting_new(struct renewals *renewals, const struct client *client,
                                   const struct sio_packet *packet, int64_t expires_ms)
{
    uint32_t id = renewals->last_id + 1;
    struct waiting *waiting = malloc(sizeof(*waiting));

    if (waiting == NULL)
        return NULL;
    *waiting = (struct waiting){NULL, id != 0 ? id : 1, socket_handle(client->socket), packet->id,
                                expires_ms};
    return waiting;
}

/* Returns TOKEN_OK, or why not: nothing has changed then. */
static unsigned renew(struct renewals *renewals, struct client *client,
                      const struct sio_packet *packet, struct token_user *user, int64_t now_ms)
{
    struct waiting *waiting = NULL;
    int told;

    if (packet->has_id && renewals->nwaiting >= RENEWALS_WAITING_MAX)
        return RENEWAL_RATE;
    if (packet->has_id &&
        (waiting = waiting_new(renewals, client, packet, user->expires_ms)) == NULL)
        return TOKEN_NO_MEMORY;
    told = take_rooms(renewals, client, user, waiting != NULL ? waiting->id : 0);
    if (told < 0) {
        free(waiting);
        return TOKEN_NO_MEMORY;
    }
    renewals->parts.stats->renewals[TOKEN_OK]++;
    client_renewed(renewals->parts.clients, client, user, now_ms);
    log_event(DEBUG, "token_renewed", "token renewed[: expires={}]",
              user->expires_ms != 0 ? LOG_SECONDS("expires", user->expires_ms) : LOG_SHOWN("null"));
    if (waiting != NULL && told) {
        wait_add(renewals, waiting);
        return TOKEN_OK;
    }
    free(waiting);
    if (packet->has_id)
        acknowledge(client, packet->id, user->expires_ms);
    return TOKEN_OK;
}

static void judge(struct renewals *renewals, struct client *client, const struct sio_packet *packet,
                  struct slice value)
{
    struct token_hint hint;
    struct auth_verdict verdict = {.hint = refusal_hint(&hint)};
    struct token_user *user = &verdict.user;
    int64_t now_ms = clock_wall_ms();
    unsigned result = auth_judge_json(&renewals->parts.conf->token, value, now_ms, &verdict);

    if (result != TOKEN_OK) {
        refuse(renewals, client, packet, result, &verdict);
        return;
    }
    result = RENEWAL_OTHER_USER;
    if (slice_eq(client_uid(client), (struct slice){user->uid, user->uid_len}))
        result = renew(renewals, client, packet, user, now_ms);
    if (result != TOKEN_OK)
        refuse(renewals, client, packet, result, &verdict);
    token_rooms_free(&user->rooms);
}

void renew_packet(struct renewals *renewals, struct client *client, const struct sio_packet *packet)
{
    struct slice value;

    if (packet->type != SIO_EVENT || !client_is_admitted(client) ||
        !slice_eq(packet->nsp, slice_str(renewals->parts.conf->nsp)) ||
        !take_value(packet->data, &value))
        return;
    /* What it has missed is for those rooms that it had. */
    if (client->state == CLIENT_CATCHING && !replay_finish(renewals->parts.replays, client))
        return;
    if (may_renew(client))
        judge(renewals, client, packet, value);
    else
        refuse(renewals, client, packet, RENEWAL_RATE, NULL);
}

struct renewals *renewals_new(const struct renewal_parts *parts)
{
    struct renewals *renewals = calloc(1, sizeof(*renewals));

    if (renewals == NULL)
        return NULL;
    renewals->parts = *parts;
    renewals->waiting_end = &renewals->waiting;
    return renewals;
}

void renewals_free(struct renewals **renewals_ptr)
{
    struct renewals *renewals = *renewals_ptr;
    struct waiting *waiting;

    *renewals_ptr = NULL;
    if (renewals == NULL)
        return;
    while ((waiting = renewals->waiting) != NULL) {
        renewals->waiting = waiting->next;
        free(waiting);
    }
    slices_clear(&renewals->gone);
    slices_clear(&renewals->come);
    slices_clear(&renewals->left);
    slices_clear(&renewals->joined);
    free(renewals);
}
