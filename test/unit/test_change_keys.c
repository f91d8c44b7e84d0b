/* Each key of the configuration is one of those whose change is noticed: what is not in
 * src/ipc/change.c takes effect whenever workers happen to be new. */
#include "ipc/change.h"

#include "conf.h"
#include "conf/schema.h"
#include "tap.h"

#include <stdlib.h>

#define ALL (CHANGE_LIVE | CHANGE_MASTER | CHANGE_WORKERS | CHANGE_RESTART)

static char text[] = "text";

/* What conf->member is set from, where no key names a member of its own, and how its
 * change is told.  NULL: by another key, whose value it decides. */
static const struct {
    const char *path, *told;
} others[] = {
    {"port", "listen (host and port)"},
    {"host", "listen (host and port)"},
    {"listen", "listen (host and port)"},
    {"proxies", "proxies"},
    {"proxyHeader", "proxyHeader"},
    {"tls:certFile", "tls (a certificate)"},
    {"tls:keyFile", "tls (a certificate)"},
    {"tls:certificates", "tls (a certificate)"},
    {"tls:minVersion", "tls:minVersion"},
    {"socket.io:redis:url", NULL},
    {"socket.io:redis:passwordFile", NULL},
    {"socket.io:redis:sentinels", "socket.io:redis:sentinels"},
    {"socket.io:redis:sentinelPasswordFile", NULL},
    {"socket.io:transports", "socket.io:transports (polling)"},
    {"auth:secret", "auth (a key)"},
    {"auth:secretFile", "auth (a key)"},
    {"auth:publicKeyFile", "auth (a key)"},
    {"auth:keys", "auth (a key)"},
    {"auth:options:algorithms", "auth:options:algorithms"},
    {"auth:options:audience", "auth:options:audience"},
    {"auth:options:issuer", "auth:options:issuer"},
    {"auth:options:types", "auth:options:types"},
    {"auth:options:clockTolerance", "auth:options:clockTolerance"},
    {"cors:origins", "cors:origins"},
    {"limits:connectionsPerUserPolicy", "limits:connectionsPerUserPolicy"},
    {"log:level", "log:level"},
    {"log:target", "log:target"},
    {"log:format", "log:format"},
    {"admin:host", "admin:host"},
    {"admin:port", "admin:port"},
    {"admin:tokenFile", NULL},
};
#define OTHERS (sizeof(others) / sizeof(others[0]))

/* A configuration in which the member of that key is another than in one that is zero. */
static void set_member(struct conf *conf, const struct key *key)
{
    void *at = (char *)conf + key->offset;

    switch (key->field) {
    case FIELD_INT:
        *(int *)at = 1;
        break;
    case FIELD_U32:
        *(uint32_t *)at = 1;
        break;
    case FIELD_SIZE:
        *(size_t *)at = 1;
        break;
    case FIELD_TEXT:
        *(char **)at = text;
        break;
    case FIELD_NONE:
        break;
    }
}

static void test_member(const struct key *key)
{
    struct conf one = {0}, other = {0};
    struct buf out = {0};

    set_member(&other, key);
    is_int(change_diff(&one, &other, ALL, &out), 1, key->path);
    buf_putc(&out, '\0');
    is_str((char *)out.data, key->path, "is told by its name");
    buf_free(&out);
}

/* All that no key names a member for. */
static void test_others(void)
{
    static struct conf_listen listen = {.port = 1};
    static struct conf_sentinel sentinel = {text, 1};
    static struct conf_certificate certificate = {
        .cert = text, .key = text, .cert_len = 4, .key_len = 4};
    static char *list[] = {text, NULL};
    static const char *const words[] = {text, NULL};
    struct conf one = {0},
                other = {.listen = &listen, .nlisten = 1, .polling = 1, .cors_origins = list};
    struct buf out = {0};

    other.proxies = (struct conf_proxies){.from.unix_too = 1, .header = 1};
    other.tls = (struct conf_tls){.at = &certificate, .n = 1, .min_version = CONF_TLS_1_2};
    other.keys = token_keys_new();
    other.token.keys = other.keys;
    other.token.algs = TOKEN_HS256;
    other.token.audiences = other.token.issuers = other.token.types = words;
    other.token.tolerance_s = 1;
    other.replace_connections = 1;
    other.log_level = LOG_LEVEL_DEBUG;
    other.log_target = LOG_TO_FILE;
    other.log_format = LOG_JSON;
    other.redis.sentinels = &sentinel;
    other.redis.nsentinels = 1;
    other.admin_host = text;
    other.admin_port = 1;
    change_diff(&one, &other, ALL, &out);
    buf_putc(&out, '\0');
    for (size_t i = 0; i < OTHERS; i++)
        if (others[i].told != NULL)
            ok(strstr((char *)out.data, others[i].told) != NULL, "%s is told as %s", others[i].path,
               others[i].told);
    token_keys_free(&other.keys);
    buf_free(&out);
}

/* What the manual says of each class: axr-notifyd(8), RELOAD. */
static void test_classes(void)
{
    static const struct {
        unsigned class;
        const char *keys;
    } classes[] = {
        {CHANGE_WORKERS,
         "workers, sandbox, path, socket.io:pingInterval, socket.io:pingTimeout, "
         "socket.io:maxHttpBufferSize, socket.io:allowEIO3, socket.io:connectionStateRecovery, "
         "socket.io:connectionStateRecovery:maxDisconnectionDuration, "
         "socket.io:connectionStateRecovery:maxBytes, socket.io:clientFile"},
        {CHANGE_RESTART, "socket.io:namespace, socket.io:key, pidFile, user, group"},
    };
    struct conf one = {0}, other = {0};

    for (size_t i = 0; i < conf_nkeys; i++)
        set_member(&other, &conf_keys[i]);
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        struct buf out = {0};

        change_diff(&one, &other, classes[i].class, &out);
        buf_putc(&out, '\0');
        is_str((char *)out.data, classes[i].keys, "the keys of a class that have members");
        buf_free(&out);
    }
}

static void test_client_file(void)
{
    struct conf one = {.client_file = text, .client_text = text, .client_len = 4}, other = one;
    struct buf out = {0};

    is_int(change_diff(&one, &other, ALL, &out), 0, "the same client file");
    other.client_file = NULL;
    is_int(change_diff(&one, &other, ALL, &out), 1, "another file with the same text");
    buf_free(&out);
}

static void test_recovery_secret(void)
{
    struct conf one = {.recovery_file = text, .recovery_secret = text, .recovery_secret_len = 4},
                other = one;
    struct buf out = {0};

    is_int(change_diff(&one, &other, ALL, &out), 0, "the same secret");
    other.recovery_secret_len = 3;
    is_int(change_diff(&one, &other, CHANGE_MASTER, &out), 1, "another in the same file");
    is_int(change_diff(&one, &other, ALL & ~(unsigned)CHANGE_MASTER, &out), 0,
           "is the master's alone");
    buf_free(&out);
}

static int is_among_others(const char *path)
{
    for (size_t i = 0; i < OTHERS; i++)
        if (strcmp(others[i].path, path) == 0)
            return 1;
    return 0;
}

int main(void)
{
    for (size_t i = 0; i < conf_nkeys; i++) {
        const struct key *key = &conf_keys[i];

        if (key->field != FIELD_NONE)
            test_member(key);
        else if (key->type != KEY_SECTION && key->type != KEY_IGNORED)
            ok(is_among_others(key->path), "%s has a line in this test", key->path);
    }
    test_others();
    test_classes();
    test_client_file();
    test_recovery_secret();
    return tap_done();
}
