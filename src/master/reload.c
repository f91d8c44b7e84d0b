#include "master/reload.h"

#include <stddef.h>
#include <string.h>

enum kind { INT, U32, SIZE, STRING, STRINGS };

struct field {
    const char *key;
    enum kind kind;
    size_t at;
};

#define FIELD(key, kind, member)                                                                   \
    {                                                                                              \
        key, kind, offsetof(struct conf, member)                                                   \
    }

static const struct field fields[] = {
    FIELD("workers", INT, workers),
    FIELD("path", STRING, path),
    FIELD("socket.io:namespace", STRING, nsp),
    FIELD("socket.io:key", STRING, key),
    FIELD("socket.io:redis:host", STRING, redis.host),
    FIELD("socket.io:redis:port", INT, redis.port),
    FIELD("socket.io:redis:path", STRING, redis.path),
    FIELD("socket.io:redis:username", STRING, redis.username),
    FIELD("socket.io:redis:password", STRING, redis.password),
    FIELD("socket.io:redis:database", INT, redis.database),
    FIELD("socket.io:pingInterval", U32, ping_interval_ms),
    FIELD("socket.io:pingTimeout", U32, ping_timeout_ms),
    FIELD("socket.io:connectTimeout", U32, connect_timeout_ms),
    FIELD("socket.io:upgradeTimeout", U32, upgrade_timeout_ms),
    FIELD("socket.io:maxHttpBufferSize", SIZE, max_http_buffer),
    FIELD("socket.io:transports (polling)", INT, polling),
    FIELD("socket.io:transports (websocket)", INT, websocket),
    FIELD("socket.io:allowEIO3", INT, allow_eio3),
    FIELD("auth:jwksFile", STRING, jwks_file),
    FIELD("cors:origins", STRINGS, cors_origins),
    FIELD("cors:credentials", INT, cors_credentials),
    FIELD("limits:connections", SIZE, connections_max),
    FIELD("limits:connectionsPerUser", U32, connections_per_user),
    FIELD("limits:headerBytes", SIZE, head_bytes),
    FIELD("limits:headers", SIZE, head_headers),
    FIELD("limits:tokenBytes", SIZE, token.token_bytes),
    FIELD("limits:messageBytes", SIZE, message_bytes),
    FIELD("limits:attachments", SIZE, attachments),
    FIELD("limits:sendBuffer", SIZE, send_buffer),
    FIELD("limits:sendTimeout", U32, send_timeout_ms),
    FIELD("shutdownTimeout", U32, shutdown_timeout_ms),
    FIELD("log:target", INT, log_target),
    FIELD("log:target (file)", STRING, log_file),
    FIELD("log:format", INT, log_format),
    FIELD("admin:host", STRING, admin_host),
    FIELD("admin:port", INT, admin_port),
    FIELD("pidFile", STRING, pid_file),
    FIELD("user", STRING, user),
    FIELD("group", STRING, group),
    FIELD("sandbox", INT, sandbox),
};

_Static_assert(sizeof(enum log_target) == sizeof(int), "log:target is compared as an int");
_Static_assert(sizeof(enum log_format) == sizeof(int), "log:format is compared as an int");

static int same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static int same_texts(const char *const *a, const char *const *b)
{
    if (!a || !b)
        return a == b;
    for (; *a && *b; a++, b++)
        if (strcmp(*a, *b) != 0)
            return 0;
    return *a == *b;
}

static int same_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    if (!a || !b)
        return a == b;
    return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static int same_field(const struct field *field, const struct conf *a, const struct conf *b)
{
    const void *one = (const char *)a + field->at, *other = (const char *)b + field->at;
    switch (field->kind) {
    case INT:
        return *(const int *)one == *(const int *)other;
    case U32:
        return *(const uint32_t *)one == *(const uint32_t *)other;
    case SIZE:
        return *(const size_t *)one == *(const size_t *)other;
    case STRING:
        return same_text(*(const char *const *)one, *(const char *const *)other);
    case STRINGS:
        return same_texts(*(const char *const *const *)one, *(const char *const *const *)other);
    }
    return 0;
}

static int same_listen(const struct conf *a, const struct conf *b)
{
    if (a->nlisten != b->nlisten)
        return 0;
    for (size_t i = 0; i < a->nlisten; i++) {
        const struct conf_listen *one = &a->listen[i], *other = &b->listen[i];
        if (one->port != other->port || !same_text(one->host, other->host) ||
            !same_text(one->unix_path, other->unix_path))
            return 0;
    }
    return 1;
}

static int same_keys(const struct token_policy *a, const struct token_policy *b)
{
    return token_keys_equal(a->keys, b->keys);
}

static int same_claims(const struct token_policy *a, const struct token_policy *b)
{
    return a->algs == b->algs && a->tolerance_s == b->tolerance_s &&
           same_texts(a->audiences, b->audiences) && same_texts(a->issuers, b->issuers);
}

static int add(struct buf *keys, int n, const char *key)
{
    if (n > 0)
        (void)buf_puts(keys, ", ");
    (void)buf_puts(keys, key);
    return n + 1;
}

int reload_changes(const struct conf *now, const struct conf *wanted, struct buf *keys)
{
    int n = 0;
    if (!same_listen(now, wanted))
        n = add(keys, n, "port, host or listen");
    if (!same_keys(&now->token, &wanted->token))
        n = add(keys, n, "auth (a key)");
    if (!same_claims(&now->token, &wanted->token))
        n = add(keys, n, "auth:options");
    if (!same_text(now->client_file, wanted->client_file) ||
        !same_bytes(now->client_text, now->client_len, wanted->client_text, wanted->client_len))
        n = add(keys, n, "socket.io:clientFile");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!same_field(&fields[i], now, wanted))
            n = add(keys, n, fields[i].key);
    return n;
}
