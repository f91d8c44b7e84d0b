#include "ipc/change.h"
#include "base/slice.h"
#include "codec/forwarded.h"
#include "codec/http.h"
#include "conf/server.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* KEYS, LISTEN, CERTIFICATES, FILE_TEXT, SECRET and SENTINELS are of several members: those of
 * struct conf that are named for them below, whatever at says. */
enum kind {
    INT,
    U32,
    I64,
    SIZE,
    STRING,
    STRINGS,
    NETWORKS,
    KEYS,
    LISTEN,
    CERTIFICATES,
    FILE_TEXT,
    SECRET,
    SENTINELS
};

struct field {
    const char *key;
    enum kind kind;
    enum change_class class;
    size_t at;
    uint64_t max; /* of a number that travels */
};

#define FIELD(class, key, kind, member)                                                            \
    {                                                                                              \
        key, kind, CHANGE_##class, offsetof(struct conf, member), 0                                \
    }
#define LIVE(key, kind, member, max)                                                               \
    {                                                                                              \
        key, kind, CHANGE_LIVE, offsetof(struct conf, member), max                                 \
    }

/* Of a file what is in it counts, too.  member is the name of one, which cannot be in brackets.
 * NOLINTBEGIN(bugprone-macro-parentheses) */
#define TLS_CLIENT(path, member)                                                                   \
    FIELD(MASTER, path, INT, member.on), FIELD(MASTER, path ":ca", STRING, member.ca),             \
        FIELD(MASTER, path ":caFile", STRING, member.ca_file),                                     \
        FIELD(MASTER, path ":cert", STRING, member.cert),                                          \
        FIELD(MASTER, path ":certFile", STRING, member.cert_file),                                 \
        FIELD(MASTER, path ":key", STRING, member.key),                                            \
        FIELD(MASTER, path ":keyFile", STRING, member.key_file),                                   \
        FIELD(MASTER, path ":servername", STRING, member.servername),                              \
        FIELD(MASTER, path ":rejectUnauthorized", INT, member.verify)
/* NOLINTEND(bugprone-macro-parentheses) */

/* A setting that is in no line here takes effect with new workers, whenever they come:
 * each has to be. */
static const struct field fields[] = {
    LIVE("log:level", INT, log_level, LOG_LEVEL_DEBUG),
    LIVE("log:target", INT, log_target, LOG_TO_FILE),
    LIVE("log:target (file)", STRING, log_file, 0),
    LIVE("log:format", INT, log_format, LOG_JSON),
    LIVE("auth (a key)", KEYS, token, 0),
    LIVE("auth:options:algorithms", U32, token.algs, TOKEN_HS | TOKEN_RS | TOKEN_ES),
    LIVE("auth:options:audience", STRINGS, token.audiences, 0),
    LIVE("auth:options:issuer", STRINGS, token.issuers, 0),
    LIVE("auth:options:types", STRINGS, token.types, 0),
    LIVE("auth:options:clockTolerance", I64, token.tolerance_s, INT64_C(1) << 31),
    LIVE("auth:options:roomsClaim", STRING, token.rooms_claim, 0),
    LIVE("cors:origins", STRINGS, cors_origins, 0),
    LIVE("cors:credentials", INT, cors_credentials, 1),
    LIVE("proxies", NETWORKS, proxies.from, 0),
    LIVE("proxyHeader", INT, proxies.header, FORWARDED_STANDARD),
    LIVE("socket.io:connectTimeout", U32, connect_timeout_ms, UINT32_MAX),
    LIVE("socket.io:upgradeTimeout", U32, upgrade_timeout_ms, UINT32_MAX),
    LIVE("limits:connections", SIZE, connections_max, SIZE_MAX),
    LIVE("limits:strangers", SIZE, strangers_max, SIZE_MAX),
    LIVE("limits:connectionsPerAddress", U32, connections_per_address, UINT32_MAX),
    LIVE("limits:roomsPerClient", U32, rooms_per_client, UINT32_MAX),
    LIVE("limits:headerBytes", SIZE, head_bytes, SIZE_MAX),
    LIVE("limits:headers", SIZE, head_headers, HTTP_HEADERS_CAP),
    LIVE("limits:tokenBytes", SIZE, token.token_bytes, TOKEN_BYTES_CAP),
    LIVE("limits:sendBuffer", SIZE, send_buffer, SIZE_MAX),
    LIVE("limits:sendTimeout", U32, send_timeout_ms, UINT32_MAX),
    LIVE("limits:idleTimeout", U32, idle_timeout_ms, UINT32_MAX),
    LIVE("tls (a certificate)", CERTIFICATES, tls, 0),
    LIVE("tls:minVersion", INT, tls.min_version, CONF_TLS_1_3),
    LIVE("tls:ciphers", STRING, tls.ciphers, 0),
    LIVE("tls:cipherSuites", STRING, tls.cipher_suites, 0),

    FIELD(MASTER, "socket.io:redis:host", STRING, redis.host),
    FIELD(MASTER, "socket.io:redis:port", INT, redis.port),
    FIELD(MASTER, "socket.io:redis:path", STRING, redis.path),
    FIELD(MASTER, "socket.io:redis:username", STRING, redis.username),
    FIELD(MASTER, "socket.io:redis:password", STRING, redis.password),
    FIELD(MASTER, "socket.io:redis:database", INT, redis.database),
    FIELD(MASTER, "socket.io:redis:sentinels", SENTINELS, redis.sentinels),
    FIELD(MASTER, "socket.io:redis:name", STRING, redis.name),
    FIELD(MASTER, "socket.io:redis:sentinelUsername", STRING, redis.sentinel_username),
    FIELD(MASTER, "socket.io:redis:sentinelPassword", STRING, redis.sentinel_password),
    TLS_CLIENT("socket.io:redis:tls", redis.tls),
    TLS_CLIENT("socket.io:redis:sentinelTLS", redis.sentinel_tls),
    FIELD(MASTER, "socket.io:requestsTimeout", U32, requests_timeout_ms),
    FIELD(MASTER, "socket.io:presence", INT, presence),
    FIELD(MASTER, "socket.io:connectionStateRecovery:secretFile", SECRET, recovery_secret),
    FIELD(MASTER, "auth:jwksFile", STRING, jwks_file),
    FIELD(MASTER, "limits:connectionsPerUser", U32, connections_per_user),
    FIELD(MASTER, "limits:connectionsPerUserPolicy", INT, replace_connections),
    FIELD(MASTER, "limits:messageBytes", SIZE, message_bytes),
    FIELD(MASTER, "limits:attachments", SIZE, attachments),
    FIELD(MASTER, "admin:host", STRING, admin_host),
    FIELD(MASTER, "admin:port", INT, admin_port),
    FIELD(MASTER, "admin:token", STRING, admin_token),
    FIELD(MASTER, "shutdownTimeout", U32, shutdown_timeout_ms),
    FIELD(MASTER, "drainTimeout", U32, drain_timeout_ms),

    FIELD(WORKERS, "listen (host and port)", LISTEN, listen),
    FIELD(WORKERS, "workers", INT, workers),
    FIELD(WORKERS, "sandbox", INT, sandbox),
    FIELD(WORKERS, "path", STRING, path),
    FIELD(WORKERS, "socket.io:pingInterval", U32, ping_interval_ms),
    FIELD(WORKERS, "socket.io:pingTimeout", U32, ping_timeout_ms),
    FIELD(WORKERS, "socket.io:maxHttpBufferSize", SIZE, max_http_buffer),
    FIELD(WORKERS, "socket.io:transports (polling)", INT, polling),
    FIELD(WORKERS, "socket.io:transports (websocket)", INT, websocket),
    FIELD(WORKERS, "socket.io:allowEIO3", INT, allow_eio3),
    FIELD(WORKERS, "socket.io:connectionStateRecovery", INT, recovery),
    FIELD(WORKERS, "socket.io:connectionStateRecovery:maxDisconnectionDuration", U32, recovery_ms),
    FIELD(WORKERS, "socket.io:connectionStateRecovery:maxBytes", SIZE, recovery_bytes),
    FIELD(WORKERS, "socket.io:clientFile", FILE_TEXT, client_text),

    FIELD(RESTART, "socket.io:namespace", STRING, nsp),
    FIELD(RESTART, "socket.io:key", STRING, key),
    FIELD(RESTART, "pidFile", STRING, pid_file),
    FIELD(RESTART, "user", STRING, user),
    FIELD(RESTART, "group", STRING, group),
};

#define END (fields + sizeof(fields) / sizeof(fields[0]))

_Static_assert(sizeof(enum log_level) == sizeof(int), "log:level is taken for an int");
_Static_assert(sizeof(enum log_target) == sizeof(int), "log:target is taken for an int");
_Static_assert(sizeof(enum log_format) == sizeof(int), "log:format is taken for an int");
_Static_assert(sizeof(unsigned) == sizeof(uint32_t), "token.algs is taken for a uint32_t");

static const void *member(const struct conf *conf, const struct field *field)
{
    return (const char *)conf + field->at;
}

static void *member_of(struct conf *conf, const struct field *field)
{
    return (char *)conf + field->at;
}

static uint64_t number(const struct conf *conf, const struct field *field)
{
    const void *at = member(conf, field);

    switch (field->kind) {
    case INT:
        return (uint64_t)(int64_t) * (const int *)at;
    case U32:
        return *(const uint32_t *)at;
    case I64:
        return (uint64_t) * (const int64_t *)at;
    default:
        return *(const size_t *)at;
    }
}

/* --- the same? --- */

static int same_texts(const char *const *a, const char *const *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    for (; *a != NULL && *b != NULL; a++, b++)
        if (strcmp(*a, *b) != 0)
            return 0;
    return *a == *b;
}

static int same_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    if (a == NULL || b == NULL)
        return a == b;
    return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static int same_networks(const struct networks *a, const struct networks *b)
{
    if (a->n != b->n || a->unix_too != b->unix_too)
        return 0;
    for (size_t i = 0; i < a->n; i++)
        if (!network_equal(&a->at[i], &b->at[i]))
            return 0;
    return 1;
}

static int same_listen(const struct conf *a, const struct conf *b)
{
    if (a->nlisten != b->nlisten)
        return 0;
    for (size_t i = 0; i < a->nlisten; i++) {
        const struct conf_listen *one = &a->listen[i], *other = &b->listen[i];

        if (one->port != other->port || !text_eq(one->host, other->host) ||
            !text_eq(one->unix_path, other->unix_path) || one->tls != other->tls ||
            one->proxy != other->proxy)
            return 0;
    }
    return 1;
}

/* Their files may have other names: what counts is what was in them. */
int change_same_certificates(const struct conf_tls *a, const struct conf_tls *b)
{
    if (a->n != b->n)
        return 0;
    for (size_t i = 0; i < a->n; i++) {
        const struct conf_certificate *one = &a->at[i], *other = &b->at[i];

        if (!same_bytes(one->cert, one->cert_len, other->cert, other->cert_len) ||
            !same_bytes(one->key, one->key_len, other->key, other->key_len))
            return 0;
    }
    return 1;
}

static int same(const struct field *field, const struct conf *a, const struct conf *b)
{
    const void *one = member(a, field), *other = member(b, field);

    switch (field->kind) {
    case INT:
    case U32:
    case I64:
    case SIZE:
        return number(a, field) == number(b, field);
    case STRING:
        return text_eq(*(const char *const *)one, *(const char *const *)other);
    case STRINGS:
        return same_texts(*(const char *const *const *)one, *(const char *const *const *)other);
    case NETWORKS:
        return same_networks(one, other);
    case KEYS:
        return token_keys_equal(a->token.keys, b->token.keys);
    case LISTEN:
        return same_listen(a, b);
    case CERTIFICATES:
        return change_same_certificates(&a->tls, &b->tls);
    case FILE_TEXT:
        return text_eq(a->client_file, b->client_file) &&
               same_bytes(a->client_text, a->client_len, b->client_text, b->client_len);
    case SECRET:
        return text_eq(a->recovery_file, b->recovery_file) &&
               same_bytes(a->recovery_secret, a->recovery_secret_len, b->recovery_secret,
                          b->recovery_secret_len);
    case SENTINELS:
        return server_eq_sentinels(&a->redis, &b->redis);
    }
    return 0;
}

int change_diff(const struct conf *now, const struct conf *wanted, unsigned classes,
                struct buf *keys)
{
    int n = 0;

    for (const struct field *field = fields; field < END; field++) {
        if ((field->class & classes) == 0 || same(field, now, wanted))
            continue;
        if (n++ > 0)
            buf_puts(keys, ", ");
        buf_puts(keys, field->key);
    }
    return n;
}

int change_keep(const struct conf *now, struct conf *wanted)
{
    for (const struct field *field = fields; field < END; field++) {
        const char *text;
        char **to, *copy;

        if (field->class != CHANGE_RESTART)
            continue;
        text = *(const char *const *)member(now, field); /* they are all texts */
        copy = text == NULL ? NULL : strdup(text);
        if (text != NULL && copy == NULL)
            return -1;
        to = member_of(wanted, field);
        free(*to);
        *to = copy;
    }
    return 0;
}

/* --- on the wire: numbers u64; texts u8 (1: it is there) and bytes; lists of texts
 * u8 and list; networks u8 (unix_too) and bytes; the keys as keys_put() has them; certificates
 * u32 how many, and of each the PEM of chain and key, both bytes --- */

static void text_put(struct buf *out, const char *text, size_t len)
{
    msg_put_u8(out, text != NULL);
    msg_put_bytes(out, text, text == NULL ? 0 : len);
}

static void texts_put(struct buf *out, const char *const *texts)
{
    struct slices list = {0};

    msg_put_u8(out, texts != NULL);
    for (; texts != NULL && *texts != NULL; texts++)
        if (slices_put(&list, slice_str(*texts)) < 0)
            out->failed = 1;
    msg_put_list(out, &list);
    free(list.at);
}

static void networks_put(struct buf *out, const struct networks *networks)
{
    struct buf bytes = {0};

    msg_put_u8(out, networks->unix_too != 0);
    for (size_t i = 0; i < networks->n; i++)
        network_encode(&networks->at[i], &bytes);
    if (bytes.failed)
        out->failed = 1;
    msg_put_bytes(out, bytes.data, bytes.len);
    buf_free(&bytes);
}

static void keys_put(struct buf *out, const struct token_keys *keys)
{
    struct buf bytes = {.secret = 1};

    if (keys != NULL && token_keys_encode(keys, &bytes) < 0)
        out->failed = 1;
    text_put(out, (const char *)bytes.data, bytes.len);
    buf_free(&bytes);
}

static void certificates_put(struct buf *out, const struct conf_tls *tls)
{
    msg_put_u32(out, (uint32_t)tls->n);
    for (size_t i = 0; i < tls->n; i++) {
        msg_put_bytes(out, tls->at[i].cert, tls->at[i].cert_len);
        msg_put_bytes(out, tls->at[i].key, tls->at[i].key_len);
    }
}

static void field_put(struct buf *out, const struct field *field, const struct conf *conf)
{
    const void *at = member(conf, field);
    const char *text;

    switch (field->kind) {
    case STRING:
        text = *(const char *const *)at;
        text_put(out, text, text == NULL ? 0 : strlen(text));
        break;
    case STRINGS:
        texts_put(out, *(const char *const *const *)at);
        break;
    case NETWORKS:
        networks_put(out, at);
        break;
    case KEYS:
        keys_put(out, conf->token.keys);
        break;
    case CERTIFICATES:
        certificates_put(out, &conf->tls);
        break;
    default:
        msg_put_u64(out, number(conf, field));
        break;
    }
}

int change_put(struct buf *out, const struct conf *conf)
{
    size_t mark;

    out->secret = 1;
    mark = msg_begin(out, MSG_SETTINGS);
    for (const struct field *field = fields; field < END; field++)
        if (field->class == CHANGE_LIVE)
            field_put(out, field, conf);
    return msg_end(out, mark);
}

/* Returns 1 if it is there, 0 if it is none, -1 if it is neither. */
static int there_get(struct msg *msg, struct slice *bytes)
{
    unsigned there = msg_get_u8(msg);

    *bytes = msg_get_bytes(msg);
    return msg->bad || there > 1 || (!there && bytes->len > 0) ? -1 : (int)there;
}

/* A copy of its own, without a NUL in it.  *text NULL: there is none. */
static int text_get(struct msg *msg, char **text)
{
    struct slice bytes;
    int there = there_get(msg, &bytes);

    if (there <= 0)
        return there;
    if (memchr(bytes.ptr, '\0', bytes.len) == NULL)
        *text = strndup(bytes.ptr, bytes.len);
    return *text != NULL ? 0 : -1;
}

static int texts_get(struct msg *msg, char ***texts)
{
    unsigned there = msg_get_u8(msg);
    struct slices list = {0};
    int result = -1;

    msg_get_list(msg, &list);
    if (msg->bad || there > 1 || (!there && list.n > 0))
        goto out;
    if (there && (*texts = calloc(list.n + 1, sizeof(**texts))) == NULL)
        goto out;
    for (size_t i = 0; i < list.n; i++) {
        struct slice one = list.at[i];

        if (memchr(one.ptr, '\0', one.len) != NULL ||
            ((*texts)[i] = strndup(one.ptr, one.len)) == NULL)
            goto out;
    }
    result = 0;
out:
    free(list.at);
    return result;
}

static int networks_get(struct msg *msg, struct networks *networks)
{
    unsigned unix_too = msg_get_u8(msg);
    struct slice bytes = msg_get_bytes(msg);
    size_t n = bytes.len / NETWORK_BYTES;

    if (msg->bad || unix_too > 1 || bytes.len % NETWORK_BYTES != 0)
        return -1;
    networks->unix_too = (int)unix_too;
    networks->at = calloc(n + 1, sizeof(*networks->at));
    if (networks->at == NULL)
        return -1;
    for (; networks->n < n; networks->n++)
        if (network_decode(&networks->at[networks->n],
                           (const uint8_t *)bytes.ptr + NETWORK_BYTES * networks->n) < 0)
            return -1;
    return 0;
}

static int keys_get(struct msg *msg, struct conf *conf)
{
    struct slice bytes;
    int there = there_get(msg, &bytes);

    if (there <= 0)
        return there;
    conf->keys = token_keys_decode(bytes.ptr, bytes.len);
    conf->token.keys = conf->keys;
    return conf->keys != NULL ? 0 : -1;
}

/* PEM holds no NUL. */
static char *pem_get(struct msg *msg, size_t *len)
{
    struct slice bytes = msg_get_bytes(msg);
    char *text = NULL;

    if (!msg->bad && bytes.len > 0 && memchr(bytes.ptr, '\0', bytes.len) == NULL)
        text = strndup(bytes.ptr, bytes.len);
    *len = text != NULL ? bytes.len : 0;
    return text;
}

static int certificates_get(struct msg *msg, struct conf *conf)
{
    uint32_t n = msg_get_u32(msg);

    if (msg->bad || n > CONF_CERTIFICATES_MAX)
        return -1;
    conf->tls.at = n > 0 ? calloc(n, sizeof(*conf->tls.at)) : NULL;
    if (n > 0 && conf->tls.at == NULL)
        return -1;
    for (; conf->tls.n < n; conf->tls.n++) {
        struct conf_certificate *one = &conf->tls.at[conf->tls.n];

        one->cert = pem_get(msg, &one->cert_len);
        one->key = pem_get(msg, &one->key_len);
        if (one->cert == NULL || one->key == NULL) {
            conf->tls.n++; /* what there is of it is to be freed */
            return -1;
        }
    }
    return 0;
}

static int number_get(struct msg *msg, const struct field *field, struct conf *conf)
{
    uint64_t value = msg_get_u64(msg);
    void *at = member_of(conf, field);

    if (msg->bad || value > field->max)
        return -1;
    if (field->kind == INT)
        *(int *)at = (int)value;
    else if (field->kind == U32)
        *(uint32_t *)at = (uint32_t)value;
    else if (field->kind == I64)
        *(int64_t *)at = (int64_t)value;
    else
        *(size_t *)at = (size_t)value;
    return 0;
}

/* The owner of the texts that a policy only borrows. */
static char ***owner(struct conf *conf, const struct field *field)
{
    if (field->at == offsetof(struct conf, token.audiences))
        return &conf->audiences;
    if (field->at == offsetof(struct conf, token.issuers))
        return &conf->issuers;
    if (field->at == offsetof(struct conf, token.types))
        return &conf->token_types;
    return member_of(conf, field);
}

static int field_get(struct msg *msg, const struct field *field, struct conf *conf)
{
    char ***texts;
    int result;

    switch (field->kind) {
    case STRING:
        return text_get(msg, member_of(conf, field));
    case STRINGS:
        texts = owner(conf, field);
        result = texts_get(msg, texts);
        memcpy(member_of(conf, field), texts, sizeof(*texts));
        return result;
    case NETWORKS:
        return networks_get(msg, member_of(conf, field));
    case KEYS:
        return keys_get(msg, conf);
    case CERTIFICATES:
        return certificates_get(msg, conf);
    default:
        return number_get(msg, field, conf);
    }
}

struct conf *change_get(struct msg *msg)
{
    struct conf *conf = calloc(1, sizeof(*conf));

    if (conf == NULL)
        return NULL;
    for (const struct field *field = fields; field < END; field++)
        if (field->class == CHANGE_LIVE && field_get(msg, field, conf) < 0)
            goto fail;
    /* What cannot be without, whatever the number of bytes. */
    if (msg_close(msg) < 0 || conf->cors_origins == NULL ||
        (conf->log_target == LOG_TO_FILE && conf->log_file == NULL))
        goto fail;
    return conf;
fail:
    conf_free(&conf);
    return NULL;
}

void change_apply(struct conf *to, const struct conf *from)
{
    static const size_t sizes[] = {[INT] = sizeof(int),
                                   [U32] = sizeof(uint32_t),
                                   [I64] = sizeof(int64_t),
                                   [SIZE] = sizeof(size_t),
                                   [STRING] = sizeof(char *),
                                   [STRINGS] = sizeof(char **),
                                   [NETWORKS] = sizeof(struct networks)};

    for (const struct field *field = fields; field < END; field++) {
        if (field->class != CHANGE_LIVE)
            continue;
        if (field->kind == KEYS) {
            to->token.keys = from->token.keys;
        } else if (field->kind == CERTIFICATES) {
            to->tls.at = from->tls.at;
            to->tls.n = from->tls.n;
        } else {
            memcpy(member_of(to, field), member(from, field), sizes[field->kind]);
        }
    }
    to->token.rooms_per_client = to->rooms_per_client;
}
