#include "master/trial_rights.h"

#include "ask/call.h"
#include "base/clock.h"
#include "base/rand.h"
#include "codec/redis_error.h"
#include "master/topics.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_MS 2000
#define ANSWER_MS  1000
#define WHY_MAX    512

struct rights {
    struct trial *trial;
    const struct conf *conf;
    const struct conf_redis *at;
    struct call *call;
    struct topics topics;
    char name[400]; /* "redis localhost:6379" */
    char version[64], role[32];
    long long servers; /* that answer requests there; -1: not to be told */
};

/* --- hints ------------------------------------------------------------------------ */

const char *trial_hint(const char *why, int is_sentinel)
{
    static const struct {
        const char *part, *redis, *sentinel;
    } hints[] = {
        {"Connection refused",
         ": it does not run there, or does not listen on that address (bind and port in its "
         "configuration)",
         NULL},
        {"No such file", ": it does not run, or unixsocket in its configuration is another path",
         NULL},
        {"Permission denied",
         ": the socket is not for this user: unixsocketperm in the configuration of redis, or its "
         "group",
         NULL},
        {"Name or service not known", ": there is no such name; getent hosts tells those there are",
         NULL},
        {"name resolution", ": the name server does not answer; an address needs none", NULL},
        {"No route to host", ": a firewall, or no way there: ping, ip route", NULL},
        {"Network is unreachable", ": no way there: ip route", NULL},
        {"no answer within", ": it is stopped or overloaded, is no redis, or a firewall is between",
         NULL},
        {"Protocol error", ": that is no redis; is it another program's port?", NULL},
        {"NOAUTH", ": it wants a password: socket.io:redis:passwordFile",
         ": it wants a password: socket.io:redis:sentinelPasswordFile"},
        {"without any password", ": it has no password: take socket.io:redis:password out",
         ": it has no password: take socket.io:redis:sentinelPassword out"},
        {"WRONGPASS", ": socket.io:redis:username and passwordFile are to be those of its ACL",
         ": socket.io:redis:sentinelUsername and sentinelPasswordFile are to be those of its ACL"},
        {"invalid password", ": socket.io:redis:passwordFile is to be what its requirepass says",
         ": socket.io:redis:sentinelPasswordFile is to be what its requirepass says"},
        {"DENIED", ": it is in protected mode: give it a password, or bind it to where we are",
         NULL},
        {"LOADING", ": it reads its data; try again", NULL},
    };

    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
        if (strstr(why, hints[i].part) != NULL)
            return is_sentinel && hints[i].sentinel != NULL ? hints[i].sentinel : hints[i].redis;
    return "";
}

static int fail(struct rights *rights, const char *what, const char *why)
{
    trial_say(rights->trial, TRIAL_BAD, "%s: %s%s%s", rights->name, what, why, trial_hint(why, 0));
    return -1;
}

static int is_denied(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0;
}

/* --- letting in ------------------------------------------------------------------- */

static redisReply *ask(struct rights *rights, int argc, const char **argv)
{
    char why[WHY_MAX];
    redisReply *reply = call_ask(rights->call, ANSWER_MS, argc, argv, why, sizeof(why));

    if (reply == NULL)
        (void)fail(rights, "", why);
    return reply;
}

/* A command that has to be answered with anything but an error. */
static int need(struct rights *rights, int argc, const char **argv, const char *what)
{
    redisReply *reply = ask(rights, argc, argv);
    char why[WHY_MAX], shown[400];
    int rc = 0;

    if (reply == NULL)
        return -1;
    if (reply->type == REDIS_REPLY_ERROR) {
        (void)snprintf(why, sizeof(why), "%s: %s", argv[0],
                       redis_error_show(reply->str, NULL, shown, sizeof(shown)));
        rc = fail(rights, what, why);
    }
    freeReplyObject(reply);
    return rc;
}

static int connect_to(struct rights *rights)
{
    const char *ping[] = {"PING"};
    char why[WHY_MAX], database[16];
    const char *select[] = {"SELECT", database};

    rights->call = call_connect(rights->at, CONNECT_MS, why, sizeof(why));
    if (rights->call == NULL)
        return fail(rights, "cannot connect: ", why);
    if (call_auth(rights->call, rights->at, ANSWER_MS, why, sizeof(why)) < 0)
        return fail(rights, "it does not let us in: ", why);
    if (need(rights, 1, ping, "it does not let us in: ") < 0)
        return -1;
    (void)snprintf(database, sizeof(database), "%d", rights->at->database);
    return rights->at->database != 0
               ? need(rights, 2, select, "socket.io:redis:database cannot be selected: ")
               : 0;
}

/* --- what it is ------------------------------------------------------------------- */

/* The value of a line "name:value" of INFO. */
static void take_info(const char *info, const char *name, char *dst, size_t cap)
{
    const char *at = strstr(info, name);

    if (at != NULL)
        (void)snprintf(dst, cap, "%.*s", (int)strcspn(at + strlen(name), "\r\n"),
                       at + strlen(name));
}

static int ask_version(struct rights *rights)
{
    const char *info[] = {"INFO", "server"};
    redisReply *reply = ask(rights, 2, info);
    char number[32] = "", valkey[32] = "";

    if (reply == NULL)
        return -1;
    if (reply->type == REDIS_REPLY_STRING) {
        take_info(reply->str, "redis_version:", number, sizeof(number));
        take_info(reply->str, "valkey_version:", valkey, sizeof(valkey));
    }
    freeReplyObject(reply);
    if (valkey[0] != '\0')
        (void)snprintf(rights->version, sizeof(rights->version), ", Valkey %s", valkey);
    else if (number[0] != '\0')
        (void)snprintf(rights->version, sizeof(rights->version), ", version %s", number);
    return 0;
}

static int ask_role(struct rights *rights)
{
    const char *role[] = {"ROLE"};
    redisReply *reply = ask(rights, 1, role);

    if (reply == NULL)
        return -1;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
        reply->element[0]->type == REDIS_REPLY_STRING)
        (void)snprintf(rights->role, sizeof(rights->role), "%.20s", reply->element[0]->str);
    freeReplyObject(reply);
    if (strcmp(rights->role, "slave") != 0)
        return 0;
    trial_say(rights->trial, rights->conf->redis.nsentinels > 0 ? TRIAL_BAD : TRIAL_ODD,
              "%s: it is a replica: notifications come, but what the daemon publishes reaches "
              "nobody at the master: name the master, or the sentinels (socket.io:redis:sentinels)",
              rights->name);
    return 0;
}

/* Servers of the cluster, this daemon among them where it runs. */
static int ask_servers(struct rights *rights)
{
    struct slice channel = topics_at(&rights->topics, TOPIC_REQUEST);
    char name[600];
    const char *argv[] = {"PUBSUB", "NUMSUB", name};
    redisReply *reply;

    (void)snprintf(name, sizeof(name), "%.*s", (int)channel.len, channel.ptr);
    reply = ask(rights, 3, argv);
    if (reply == NULL)
        return -1;
    if (is_denied(reply))
        trial_say(
            rights->trial, TRIAL_ODD,
            "%s: no right to PUBSUB NUMSUB: on the admin address GET /users knows this daemon "
            "only, and POST /emit counts no acknowledgements",
            rights->name);
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[1]->type == REDIS_REPLY_INTEGER)
        rights->servers = reply->element[1]->integer;
    freeReplyObject(reply);
    return 0;
}

/* --- publishing ------------------------------------------------------------------- */

enum may { MAY_NOT_BE_TOLD, MAY, MAY_NOT };

/* A command within a transaction that is given up: redis has looked at the rights by then. */
static int ask_in_multi(struct rights *rights, const char *channel, enum may *may)
{
    const char *multi[] = {"MULTI"}, *publish[] = {"PUBLISH", channel, ""},
               *discard[] = {"DISCARD"};
    redisReply *reply = ask(rights, 1, multi);
    int is_open = reply != NULL && reply->type == REDIS_REPLY_STATUS;

    if (reply == NULL)
        return -1;
    freeReplyObject(reply);
    if (!is_open)
        return 0;
    reply = ask(rights, 3, publish);
    if (reply == NULL)
        return -1;
    if (reply->type == REDIS_REPLY_STATUS)
        *may = MAY;
    else if (is_denied(reply))
        *may = MAY_NOT;
    freeReplyObject(reply);
    reply = ask(rights, 1, discard);
    if (reply == NULL)
        return -1;
    freeReplyObject(reply);
    return 0;
}

/* redis 7. */
static int ask_dry(struct rights *rights, const char *channel, enum may *may)
{
    const char *user = rights->at->username != NULL ? rights->at->username : "default";
    const char *argv[] = {"ACL", "DRYRUN", user, "PUBLISH", channel, ""};
    redisReply *reply = ask(rights, 6, argv);

    if (reply == NULL)
        return -1;
    if (reply->type == REDIS_REPLY_STATUS)
        *may = MAY;
    else if (reply->type == REDIS_REPLY_STRING)
        *may = MAY_NOT;
    freeReplyObject(reply);
    return 0;
}

/* On a channel that nobody else knows of. */
static int ask_by_publishing(struct rights *rights, const char *channel, enum may *may)
{
    const char *argv[] = {"PUBLISH", channel, ""};
    redisReply *reply = ask(rights, 3, argv);

    if (reply == NULL)
        return -1;
    *may = is_denied(reply) ? MAY_NOT : MAY;
    freeReplyObject(reply);
    return 0;
}

/* is_ours: nobody hears what is published there.  Returns 0, or -1 when the connection is no
 * more. */
static int try_publish(struct rights *rights, const char *channel, int is_ours, const char *without)
{
    enum may may = MAY_NOT_BE_TOLD;

    if (ask_in_multi(rights, channel, &may) < 0 ||
        (may == MAY_NOT_BE_TOLD && ask_dry(rights, channel, &may) < 0) ||
        (may == MAY_NOT_BE_TOLD && is_ours && ask_by_publishing(rights, channel, &may) < 0))
        return -1;
    if (may == MAY_NOT)
        trial_say(rights->trial, TRIAL_ODD,
                  "%s: no right to PUBLISH on %s: %s; see socket.io:redis:username in "
                  "axr-notifyd.conf(5)",
                  rights->name, channel, without);
    return 0;
}

static int try_publishing(struct rights *rights)
{
    const struct conf *conf = rights->conf;
    char channel[700];
    uint64_t number;

    rand_bytes(&number, sizeof(number));
    (void)snprintf(channel, sizeof(channel), "%s-response#%s#%016llx#", conf->key, conf->nsp,
                   (unsigned long long)number);
    if (try_publish(rights, channel, 1,
                    "what other servers ask, fetchSockets() and the like, is not answered") < 0)
        return -1;
    (void)snprintf(channel, sizeof(channel), "%s-request#%s#", conf->key, conf->nsp);
    if (try_publish(rights, channel, 0,
                    conf->presence ? "nobody hears who comes and goes (socket.io:presence)"
                                   : "the daemon asks nothing of other servers") < 0)
        return -1;
    (void)snprintf(channel, sizeof(channel), "%s-peer#%s#", conf->key, conf->nsp);
    if (conf->recovery &&
        try_publish(rights, channel, 0,
                    "each daemon recovers its own clients only (connectionStateRecovery)") < 0)
        return -1;
    return 0;
}

/* --- further rights ---------------------------------------------------------------- */

static int try_command(struct rights *rights, int argc, const char **argv, const char *without)
{
    redisReply *reply = ask(rights, argc, argv);

    if (reply == NULL)
        return -1;
    if (is_denied(reply))
        trial_say(rights->trial, TRIAL_ODD, "%s: no right to %s %s: %s", rights->name, argv[0],
                  argv[1], without);
    freeReplyObject(reply);
    return 0;
}

/* Numbers from 1 on are clients. */
static int try_commands(struct rights *rights)
{
    const char *info[] = {"CLIENT", "INFO"}, *myid[] = {"CLUSTER", "MYID"};
    const char *kill[] = {"CLIENT", "KILL", "ID", "0"};
    static const char lost[] =
        "a connection that was lost without a word is waited for until redis notices it";

    if (try_command(rights, 2, info, lost) < 0 || try_command(rights, 4, kill, lost) < 0)
        return -1;
    return rights->conf->recovery
               ? try_command(rights, 2, myid,
                             "daemons at different nodes of a Redis Cluster take each other for "
                             "one at the same")
               : 0;
}

/* --- subscribing ------------------------------------------------------------------ */

static int is_named(const redisReply *reply, const char *kind)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
           reply->element[0]->type == REDIS_REPLY_STRING &&
           strcmp(reply->element[0]->str, kind) == 0;
}

/* The answer to it, behind the messages that have come meanwhile. */
static int subscribe(struct rights *rights, enum topic topic, redisReply **reply)
{
    struct slice name = topics_at(&rights->topics, topic);
    int is_pattern = topics_is_pattern(topic), rc = 1;
    const char *kind = is_pattern ? "psubscribe" : "subscribe";
    const char *argv[] = {is_pattern ? "PSUBSCRIBE" : "SUBSCRIBE", name.ptr};
    const size_t lengths[] = {strlen(argv[0]), name.len};
    uint64_t until = clock_ms() + ANSWER_MS;
    char why[WHY_MAX] = "no answer within 1 s";

    *reply = call_command(rights->call, ANSWER_MS, 2, argv, lengths, why, sizeof(why));
    while (*reply != NULL && (*reply)->type != REDIS_REPLY_ERROR && !is_named(*reply, kind)) {
        freeReplyObject(*reply);
        *reply = NULL;
        rc = call_wait(rights->call, until, reply, NULL, NULL, why, sizeof(why));
        if (rc <= 0)
            *reply = NULL;
    }
    return *reply != NULL ? 0 : fail(rights, "", why);
}

static int try_topic(struct rights *rights, enum topic topic, enum trial_kind kind,
                     const char *without)
{
    struct slice name = topics_at(&rights->topics, topic);
    redisReply *reply;
    char shown[200];

    if (subscribe(rights, topic, &reply) < 0)
        return -1;
    if (reply->type == REDIS_REPLY_ERROR)
        trial_say(rights->trial, kind, "%s: no right to %s to %.*s: %s; it says: %s", rights->name,
                  topics_is_pattern(topic) ? "PSUBSCRIBE" : "SUBSCRIBE", (int)name.len, name.ptr,
                  without, redis_error_show(reply->str, NULL, shown, sizeof(shown)));
    freeReplyObject(reply);
    return 0;
}

/* That of requests as a pattern: who subscribes to the channel is counted, and waited for. */
static int try_subscribing(struct rights *rights)
{
    static const char needed[] = "no notification would come; the rights that are needed are in "
                                 "axr-notifyd.conf(5), socket.io:redis:username";

    for (int topic = 0; topic < TOPICS_NEEDED; topic++)
        if (try_topic(rights, (enum topic)topic, TRIAL_BAD, needed) < 0)
            return -1;
    if (try_topic(rights, TOPIC_REQUEST_PATTERN, TRIAL_ODD,
                  "nobody counts the daemon, and it does not hear what backends want done to "
                  "clients, such as disconnectSockets()") < 0)
        return -1;
    return rights->conf->recovery
               ? try_topic(rights, TOPIC_PEER, TRIAL_ODD,
                           "each daemon recovers its own clients only (connectionStateRecovery)")
               : 0;
}

/* --- all of it -------------------------------------------------------------------- */

static void say_good(struct rights *rights)
{
    char servers[96] = "";

    if (rights->servers >= 0)
        (void)snprintf(servers, sizeof(servers), "; %lld server%s of the cluster there",
                       rights->servers, rights->servers == 1 ? "" : "s");
    trial_say(rights->trial, TRIAL_GOOD, "%s%s%s: it lets us in, and we may subscribe%s",
              rights->name, rights->version,
              rights->at->tls.on && rights->at->path == NULL ? ", TLS" : "", servers);
}

void trial_rights(struct trial *trial, const struct conf *conf, const struct conf_redis *at)
{
    struct rights rights = {.trial = trial, .conf = conf, .at = at, .servers = -1};

    if (at->path != NULL)
        (void)snprintf(rights.name, sizeof(rights.name), "redis %.300s", at->path);
    else
        (void)snprintf(rights.name, sizeof(rights.name),
                       strchr(at->host, ':') != NULL ? "redis [%.300s]:%d" : "redis %.300s:%d",
                       at->host, at->port);
    if (topics_init(&rights.topics, conf->key, conf->nsp) < 0)
        trial_say(trial, TRIAL_BAD, "%s: out of memory", rights.name);
    else if (connect_to(&rights) == 0 && ask_version(&rights) == 0 && ask_role(&rights) == 0 &&
             ask_servers(&rights) == 0 && try_commands(&rights) == 0 &&
             try_publishing(&rights) == 0 && try_subscribing(&rights) == 0 && trial->bad == 0)
        say_good(&rights);
    call_free(&rights.call);
    topics_clear(&rights.topics);
}
