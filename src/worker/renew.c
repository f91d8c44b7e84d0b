#include "worker/renew.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/json.h"
#include "codec/sio.h"
#include "conf.h"
#include "engine/engine.h"
#include "worker/auth.h"
#include "worker/client.h"
#include "worker/refusal.h"
#include "worker/stats.h"

#include <stdio.h>
#include <stdlib.h>

#define EVENT         SLICE("\"authenticate\"")
#define BURST         10 /* renewals of a client at once, at most */
#define EACH_S        6  /* after those, it may renew once in so many seconds */
#define ACK_MAX_BYTES 384

#define SECONDS_TEXT_MAX 32

struct renewals {
    const struct conf *conf;
    struct clients *clients;
    struct worker_stats *stats;
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

    renewals->stats->renewals[result]++;
    refusal_log(client, &renewals->refused[result], "token not renewed", code, verdict);
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

static void renew(struct renewals *renewals, struct client *client, const struct sio_packet *packet,
                  const struct token_user *user, int64_t now_ms)
{
    char json[ACK_MAX_BYTES], text[SECONDS_TEXT_MAX];
    const char *expires = user->expires_ms != 0 ? seconds_text(user->expires_ms, text) : "null";
    int len;

    renewals->stats->renewals[TOKEN_OK]++;
    client_renewed(renewals->clients, client, user, now_ms);
    log_debug("token renewed: expires=%s", expires);
    if (!packet->has_id)
        return;
    len = snprintf(json, sizeof(json), "[{\"ok\":true,\"expires\":%s}]", expires);
    socket_ack(client->socket, packet->id, (struct slice){json, (size_t)len});
}

static void judge(struct renewals *renewals, struct client *client, const struct sio_packet *packet,
                  struct slice value)
{
    struct token_hint hint;
    struct auth_verdict verdict = {.hint = refusal_hint(&hint)};
    const struct token_user *user = &verdict.user;
    int64_t now_ms = clock_wall_ms();
    enum token_result result = auth_judge_json(&renewals->conf->token, value, now_ms, &verdict);

    if (result != TOKEN_OK)
        refuse(renewals, client, packet, result, &verdict);
    else if (!slice_eq(client_uid(client), (struct slice){user->uid, user->uid_len}))
        refuse(renewals, client, packet, RENEWAL_OTHER_USER, &verdict);
    else
        renew(renewals, client, packet, user, now_ms);
}

void renew_packet(struct renewals *renewals, struct client *client, const struct sio_packet *packet)
{
    struct slice value;

    if (packet->type != SIO_EVENT || client->state != CLIENT_IN ||
        !slice_eq(packet->nsp, slice_str(renewals->conf->nsp)) || !take_value(packet->data, &value))
        return;
    if (may_renew(client))
        judge(renewals, client, packet, value);
    else
        refuse(renewals, client, packet, RENEWAL_RATE, NULL);
}

struct renewals *renewals_new(const struct conf *conf, struct clients *clients,
                              struct worker_stats *stats)
{
    struct renewals *renewals = calloc(1, sizeof(*renewals));

    if (renewals == NULL)
        return NULL;
    renewals->conf = conf;
    renewals->clients = clients;
    renewals->stats = stats;
    return renewals;
}

void renewals_free(struct renewals **renewals)
{
    free(*renewals);
    *renewals = NULL;
}
