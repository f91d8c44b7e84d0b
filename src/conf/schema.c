#include "conf/schema.h"

#include "codec/broadcast.h"
#include "codec/http.h"
#include "conf.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MS_MAX         86400000 /* a day */
#define PATH_MAX_BYTES 4096
#define PEM_MAX_BYTES  262144
#define CONF_RECOVERY  "socket.io:connectionStateRecovery"

/* clang-format off: a table is read by its columns */
#define SECTION(p)                                                                                 \
    {                                                                                              \
        .path = (p), .type = KEY_SECTION, .flags = KEY_NOTIFY                                      \
    }
#define IGNORED(p)                                                                                 \
    {                                                                                              \
        .path = (p), .type = KEY_IGNORED                                                           \
    }
#define AT(kind, member) .field = (kind), .offset = offsetof(struct conf, member)
#define INT(p, lo, hi, d, f, ...)                                                                  \
    {                                                                                              \
        .path = (p), .type = KEY_INT, .flags = (f), .min = (lo), .max = (hi), .deflt = (d),        \
        __VA_ARGS__                                                                                \
    }
#define MS(p, lo, hi, d, ...)    INT(p, lo, hi, d, 0, .unit = QUANTITY_MS, __VA_ARGS__)
#define BYTES(p, lo, hi, d, ...) INT(p, lo, hi, d, 0, .unit = QUANTITY_BYTES, __VA_ARGS__)
#define BOOL(p, d, f, ...)                                                                         \
    {                                                                                              \
        .path = (p), .type = KEY_BOOL, .flags = (f), .deflt = (d), __VA_ARGS__                     \
    }
#define TEXT(p, n, d, f, ...)                                                                      \
    {                                                                                              \
        .path = (p), .type = KEY_TEXT, .flags = (f), .max = (n), .deflt = (d), __VA_ARGS__         \
    }
#define WORD(p, w, d, f)                                                                           \
    {                                                                                              \
        .path = (p), .type = KEY_WORD, .flags = (f), .words = (w), .deflt = (d)                    \
    }
#define LIST(p, n, d, f, ...)                                                                      \
    {                                                                                              \
        .path = (p), .type = KEY_LIST, .flags = (f), .max = (n), .deflt = (d), __VA_ARGS__         \
    }

#define TEXTS(p, n, f)                                                                             \
    {                                                                                              \
        .path = (p), .type = KEY_TEXTS, .flags = (f), .max = (n)                                   \
    }

/* TLS as a client: all its keys.  member is the name of one, which cannot be in brackets.
 * NOLINTBEGIN(bugprone-macro-parentheses) */
#define TLS_CLIENT(p, member)                                                                      \
    {.path = (p),                                                                                  \
     .type = KEY_SWITCH,                                                                           \
     .flags = KEY_NOTIFY,                                                                          \
     .deflt = "false",                                                                             \
     AT(FIELD_INT, member.on)},                                                                    \
        TEXT(p ":ca", PEM_MAX_BYTES, NULL, KEY_NOTIFY | KEY_LINES, AT(FIELD_TEXT, member.ca),      \
             .absent = "the system's authorities"),                                                \
        TEXT(p ":caFile", PATH_MAX_BYTES, NULL, KEY_NOTIFY | KEY_FILE,                             \
             AT(FIELD_TEXT, member.ca_file)),                                                      \
        TEXT(p ":cert", PEM_MAX_BYTES, NULL, KEY_NOTIFY | KEY_LINES, AT(FIELD_TEXT, member.cert)), \
        TEXT(p ":certFile", PATH_MAX_BYTES, NULL, KEY_NOTIFY | KEY_FILE,                           \
             AT(FIELD_TEXT, member.cert_file)),                                                    \
        TEXT(p ":key", PEM_MAX_BYTES, NULL, KEY_NOTIFY | KEY_SECRET, AT(FIELD_TEXT, member.key)),  \
        TEXT(p ":keyFile", PATH_MAX_BYTES, NULL, KEY_NOTIFY | KEY_FILE,                            \
             AT(FIELD_TEXT, member.key_file)),                                                     \
        TEXT(p ":servername", 255, NULL, KEY_NOTIFY, AT(FIELD_TEXT, member.servername),            \
             .absent = "the host"),                                                                \
        BOOL(p ":rejectUnauthorized", "true", KEY_NOTIFY, AT(FIELD_INT, member.verify))
/* NOLINTEND(bugprone-macro-parentheses) */

const struct key conf_keys[] = {
    INT("workers", 1, CONF_WORKERS_MAX, "\"auto\"", 0, .words = "auto", AT(FIELD_INT, workers)),
    INT("port", 0, 65535, "3000", 0),
    TEXT("host", 255, NULL, 0, .absent = "all addresses"),
    {.path = "listen", .type = KEY_LISTEN},
    LIST("proxies", 255, NULL, 0, .absent = "nobody"),
    {.path = "proxyHeader",
     .type = KEY_WORD,
     .words = "X-Forwarded-For|Forwarded",
     .absent = "X-Forwarded-For, else Forwarded"},
    TEXT("path", 256, "\"/notifications\"", 0, AT(FIELD_TEXT, path)),

    SECTION("tls"),
    TEXT("tls:certFile", PATH_MAX_BYTES, NULL, KEY_FILE),
    TEXT("tls:keyFile", PATH_MAX_BYTES, NULL, KEY_FILE, .absent = "that of tls:certFile"),
    {.path = "tls:certificates", .type = KEY_KEYS},
    WORD("tls:minVersion", "TLSv1.2|TLSv1.3", "\"TLSv1.2\"", 0),
    TEXT("tls:ciphers", 4096, NULL, 0, .absent = "those with forward secrecy and AEAD",
         AT(FIELD_TEXT, tls.ciphers)),
    TEXT("tls:cipherSuites", 1024, NULL, 0, .absent = "AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305",
         AT(FIELD_TEXT, tls.cipher_suites)),

    SECTION("socket.io"),
    TEXT("socket.io:namespace", CONF_NSP_MAX, "\"/axr\"", KEY_NOTIFY, AT(FIELD_TEXT, nsp)),
    SECTION("socket.io:redis"),
    TEXT("socket.io:redis:host", 255, "\"localhost\"", KEY_NOTIFY, AT(FIELD_TEXT, redis.host)),
    INT("socket.io:redis:port", 1, 65535, "6379", KEY_NOTIFY, AT(FIELD_INT, redis.port)),
    TEXT("socket.io:redis:path", PATH_MAX_BYTES, NULL, KEY_NOTIFY | KEY_FILE,
         AT(FIELD_TEXT, redis.path)),
    TEXT("socket.io:redis:url", 4096, NULL, KEY_NOTIFY | KEY_SECRET),
    TEXT("socket.io:redis:username", 1024, NULL, KEY_NOTIFY, AT(FIELD_TEXT, redis.username)),
    TEXT("socket.io:redis:password", 65536, NULL, KEY_NOTIFY | KEY_SECRET,
         AT(FIELD_TEXT, redis.password)),
    TEXT("socket.io:redis:passwordFile", PATH_MAX_BYTES, NULL, KEY_NOTIFY | KEY_FILE),
    INT("socket.io:redis:database", 0, INT32_MAX, "0", KEY_NOTIFY, AT(FIELD_INT, redis.database)),
    TLS_CLIENT("socket.io:redis:tls", redis.tls),
    {.path = "socket.io:redis:sentinels", .type = KEY_SENTINELS, .flags = KEY_NOTIFY},
    TEXT("socket.io:redis:name", 255, "\"mymaster\"", KEY_NOTIFY, AT(FIELD_TEXT, redis.name)),
    TEXT("socket.io:redis:sentinelUsername", 1024, NULL, KEY_NOTIFY,
         AT(FIELD_TEXT, redis.sentinel_username)),
    TEXT("socket.io:redis:sentinelPassword", 65536, NULL, KEY_NOTIFY | KEY_SECRET,
         AT(FIELD_TEXT, redis.sentinel_password)),
    TEXT("socket.io:redis:sentinelPasswordFile", PATH_MAX_BYTES, NULL, KEY_NOTIFY | KEY_FILE),
    TLS_CLIENT("socket.io:redis:sentinelTLS", redis.sentinel_tls),
    TEXT("socket.io:key", 256, "\"socket.io\"", KEY_NOTIFY, AT(FIELD_TEXT, key)),
    MS("socket.io:pingInterval", 10, MS_MAX, "25000", AT(FIELD_U32, ping_interval_ms)),
    MS("socket.io:pingTimeout", 10, MS_MAX, "20000", AT(FIELD_U32, ping_timeout_ms)),
    MS("socket.io:connectTimeout", 10, MS_MAX, "45000", AT(FIELD_U32, connect_timeout_ms)),
    MS("socket.io:upgradeTimeout", 10, MS_MAX, "10000", AT(FIELD_U32, upgrade_timeout_ms)),
    MS("socket.io:requestsTimeout", 100, 60000, "1000", AT(FIELD_U32, requests_timeout_ms)),
    BYTES("socket.io:maxHttpBufferSize", 100, 256 << 20, "1000000",
          AT(FIELD_SIZE, max_http_buffer)),
    LIST("socket.io:transports", 16, "[\"polling\",\"websocket\"]", KEY_FILLED,
         .words = "polling|websocket"),
    BOOL("socket.io:allowEIO3", "true", 0, AT(FIELD_INT, allow_eio3)),
    BOOL("socket.io:presence", "false", 0, AT(FIELD_INT, presence)),
    {.path = CONF_RECOVERY, .type = KEY_SWITCH, .deflt = "false", AT(FIELD_INT, recovery)},
    MS(CONF_RECOVERY ":maxDisconnectionDuration", 100, MS_MAX, "120000",
       AT(FIELD_U32, recovery_ms)),
    BYTES(CONF_RECOVERY ":maxBytes", 1 << 20, INT64_C(4) << 30, "67108864",
          AT(FIELD_SIZE, recovery_bytes)),
    TEXT(CONF_RECOVERY ":secretFile", PATH_MAX_BYTES, NULL, KEY_FILE,
         AT(FIELD_TEXT, recovery_file)),
    TEXT("socket.io:clientFile", PATH_MAX_BYTES, NULL, KEY_FILE, AT(FIELD_TEXT, client_file)),

    SECTION("auth"),
    TEXTS("auth:secret", KEY_SECRET_MAX, KEY_SECRET | KEY_TOKENS),
    TEXTS("auth:secretFile", PATH_MAX_BYTES, KEY_FILE | KEY_TOKENS),
    TEXTS("auth:publicKeyFile", PATH_MAX_BYTES, KEY_FILE | KEY_TOKENS),
    {.path = "auth:keys", .type = KEY_KEYS, .flags = KEY_SECRET | KEY_TOKENS},
    TEXT("auth:jwksFile", PATH_MAX_BYTES, NULL, KEY_FILE | KEY_TOKENS, AT(FIELD_TEXT, jwks_file)),
    SECTION("auth:options"),
    LIST("auth:options:algorithms", 16, NULL, KEY_FILLED | KEY_TOKENS),
    LIST("auth:options:audience", 1024, NULL, KEY_FILLED | KEY_TOKENS, .absent = "unchecked"),
    LIST("auth:options:issuer", 1024, NULL, KEY_FILLED | KEY_TOKENS, .absent = "unchecked"),
    LIST("auth:options:types", 255, "[\"JWT\",\"at+jwt\"]", KEY_FILLED | KEY_TOKENS),
    INT("auth:options:clockTolerance", 0, 86400, "0", KEY_TOKENS, .unit = QUANTITY_S),
    TEXT("auth:options:roomsClaim", 255, NULL, KEY_TOKENS, AT(FIELD_TEXT, token.rooms_claim)),

    SECTION("cors"),
    LIST("cors:origins", 1024, "[\"*\"]", KEY_ANY),
    BOOL("cors:credentials", "false", 0, AT(FIELD_INT, cors_credentials)),

    SECTION("limits"),
    INT("limits:connections", 1, CONF_CONNECTIONS_MAX, NULL, 0, AT(FIELD_SIZE, connections_max)),
    INT("limits:strangers", 1, CONF_CONNECTIONS_MAX, NULL, 0, AT(FIELD_SIZE, strangers_max)),
    INT("limits:connectionsPerUser", 0, 1000000, "0", 0, AT(FIELD_U32, connections_per_user)),
    INT("limits:connectionsPerAddress", 0, 1000000, "0", 0, AT(FIELD_U32, connections_per_address)),
    WORD("limits:connectionsPerUserPolicy", "refuse|replace", "\"refuse\"", 0),
    INT("limits:roomsPerClient", 2, 1000000, "1000", KEY_TOKENS, AT(FIELD_U32, rooms_per_client)),
    BYTES("limits:headerBytes", 1024, 1 << 20, "16384", AT(FIELD_SIZE, head_bytes)),
    INT("limits:headers", 8, HTTP_HEADERS_CAP, "100", 0, AT(FIELD_SIZE, head_headers)),
    INT("limits:tokenBytes", 64, 65536, "8192", KEY_TOKENS, .unit = QUANTITY_BYTES,
        AT(FIELD_SIZE, token.token_bytes)),
    INT("limits:messageBytes", 64, CONF_MESSAGE_BYTES_MAX, "4194304", KEY_NOTIFY,
        .unit = QUANTITY_BYTES, AT(FIELD_SIZE, message_bytes)),
    INT("limits:attachments", 0, BROADCAST_ATTACHMENTS_MAX, "10", KEY_NOTIFY,
        AT(FIELD_SIZE, attachments)),
    BYTES("limits:sendBuffer", 4096, 1 << 30, "1048576", AT(FIELD_SIZE, send_buffer)),
    MS("limits:sendTimeout", 100, MS_MAX, "10000", AT(FIELD_U32, send_timeout_ms)),
    MS("limits:idleTimeout", 100, MS_MAX, "65000", AT(FIELD_U32, idle_timeout_ms)),

    MS("shutdownTimeout", 0, MS_MAX, "10000", AT(FIELD_U32, shutdown_timeout_ms)),
    MS("drainTimeout", 0, MS_MAX, "30000", AT(FIELD_U32, drain_timeout_ms)),

    SECTION("log"),
    WORD("log:level", "error|warn|info|debug", "\"info\"", 0),
    TEXT("log:target", PATH_MAX_BYTES, "\"stderr\"", 0),
    WORD("log:format", "text|json", "\"text\"", 0),

    SECTION("admin"),
    TEXT("admin:host", 255, "\"127.0.0.1\"", KEY_PROBE),
    INT("admin:port", 0, 65535, "3001", KEY_PROBE, .words = "off"),
    TEXT("admin:token", CONF_ADMIN_TOKEN_MAX, NULL, KEY_SECRET, AT(FIELD_TEXT, admin_token)),
    TEXT("admin:tokenFile", PATH_MAX_BYTES, NULL, KEY_FILE),

    TEXT("pidFile", PATH_MAX_BYTES, NULL, KEY_FILE, AT(FIELD_TEXT, pid_file)),
    TEXT("user", 255, NULL, 0, AT(FIELD_TEXT, user)),
    TEXT("group", 255, NULL, 0, AT(FIELD_TEXT, group)),
    BOOL("sandbox", "true", 0, AT(FIELD_INT, sandbox)),

    /* What services of this ecosystem carry: their name and description, their
     * stores, sessions and jobs, and how they sign tokens (checks that a token
     * must pass, such as jsonwebtoken's subject or maxAge, are no such keys). */
    IGNORED("service_name"),
    IGNORED("version"),
    IGNORED("title"),
    IGNORED("description"),
    IGNORED("contact"),
    IGNORED("license"),
    IGNORED("termsOfService"),
    IGNORED("cluster_url"),
    IGNORED("cookie_secret"),
    IGNORED("session"),
    IGNORED("datastores"),
    IGNORED("trusted_roles"),
    IGNORED("jobs"),
    IGNORED("events"),
    IGNORED("scripts"),
    IGNORED("class_loader"),
    IGNORED("telemetry"),
    IGNORED("metrics"),
    IGNORED("headers"),
    IGNORED("rbac"),
    IGNORED("acl"),
    IGNORED("auth:strategy"),
    IGNORED("auth:payload"),
    IGNORED("auth:socketTimeout"),
    IGNORED("auth:options:expiresIn"),
    IGNORED("auth:options:notBefore"),
    IGNORED("auth:options:noTimestamp"),
    IGNORED("auth:options:keyid"),
    IGNORED("auth:options:header"),
    IGNORED("cors:methods"),
    IGNORED("cors:allowedHeaders"),
    IGNORED("cors:exposedHeaders"),
    IGNORED("cors:maxAge"),
    IGNORED("cors:preflightContinue"),
    IGNORED("cors:optionsSuccessStatus"),
    IGNORED(CONF_RECOVERY ":skipMiddlewares"),
    IGNORED("socket.io:redis:family"),
    IGNORED("socket.io:redis:keepAlive"),
    IGNORED("socket.io:redis:noDelay"),
    IGNORED("socket.io:redis:connectTimeout"),
    IGNORED("socket.io:redis:connectionName"),
    IGNORED("socket.io:redis:lazyConnect"),
    IGNORED("socket.io:redis:enableReadyCheck"),
    IGNORED("socket.io:redis:enableOfflineQueue"),
    IGNORED("socket.io:redis:maxRetriesPerRequest"),
    IGNORED("socket.io:redis:autoResubscribe"),
    IGNORED("socket.io:redis:role"),
    IGNORED("socket.io:redis:preferredSlaves"),
    IGNORED("socket.io:redis:enableTLSForSentinelMode"),
    IGNORED("socket.io:redis:sentinelRetryStrategy"),
    IGNORED("socket.io:redis:sentinelReconnectStrategy"),
    IGNORED("socket.io:redis:sentinelCommandTimeout"),
    IGNORED("socket.io:redis:sentinelMaxConnections"),
    IGNORED("socket.io:redis:updateSentinels"),
    IGNORED("socket.io:redis:failoverDetector"),
};
/* clang-format on */

const size_t conf_nkeys = sizeof(conf_keys) / sizeof(conf_keys[0]);

/* Other names of a key, which other services use. */
static const struct {
    const char *alias, *path;
} aliases[] = {
    {"auth:password", "auth:secret"},
    {"auth:options:algorithm", "auth:options:algorithms"},
    {"cors:origin", "cors:origins"},
    {"socket.io:redis:db", "socket.io:redis:database"},
};
#define NALIASES (sizeof(aliases) / sizeof(aliases[0]))

const struct key *schema_key(const char *path)
{
    for (size_t i = 0; i < conf_nkeys; i++)
        if (strcmp(conf_keys[i].path, path) == 0)
            return &conf_keys[i];
    assert(!"no such key in the table");
    return NULL;
}

/* --- spelling --- */

/* Length of the separator that name begins with, or 0. */
static size_t separator(const char *name, enum spelling how)
{
    switch (how) {
    case SPELT_FILE:
        return name[0] == ':';
    case SPELT_ARGS:
        return name[0] == ':' || name[0] == '.';
    case SPELT_ENV:
    case SPELT_FOLDED:
        return name[0] == '_' && name[1] == '_' ? 2 : 0;
    }
    return 0;
}

static int same_char(char path, char name, enum spelling how)
{
    if (how != SPELT_FOLDED)
        return path == name;
    return tolower((unsigned char)path) == tolower((unsigned char)name) ||
           (path == '.' && name == '_');
}

/* If name begins with path, and path ends at name's end or at a separator in
 * it, returns what follows path, else NULL. */
static const char *after_path(const char *path, const char *name, enum spelling how)
{
    for (; *path; path++) {
        size_t n = *path == ':' ? separator(name, how) : (size_t)same_char(*path, *name, how);

        if (n == 0)
            return NULL;
        name += n;
    }
    return *name == '\0' || separator(name, how) ? name : NULL;
}

/* The element's index that rest (":0") names, or -1. */
static long element_of(const char *rest, enum spelling how)
{
    const char *at = rest + separator(rest, how);
    long n = 0;

    if (how == SPELT_FILE || at == rest || !*at || strlen(at) > 4)
        return -1;
    for (; *at; at++) {
        if (*at < '0' || *at > '9')
            return -1;
        n = n * 10 + (*at - '0');
    }
    return n;
}

/* Tries name against path, which spells key. */
static int match_one(struct match *match, const struct key *key, const char *path, const char *name,
                     enum spelling how)
{
    const char *rest = after_path(path, name, how);

    if (rest == NULL)
        return 0;
    match->key = key;
    match->path = path;
    match->element = -1;
    if (!*rest || key->type == KEY_IGNORED)
        return 1;
    if (key->type == KEY_LIST || key->type == KEY_LISTEN || key->type == KEY_TEXTS ||
        key->type == KEY_KEYS || key->type == KEY_SENTINELS)
        match->element = element_of(rest, how);
    return match->element >= 0;
}

struct match schema_match(const char *name, enum spelling how)
{
    struct match match;

    for (size_t i = 0; i < conf_nkeys; i++)
        if (match_one(&match, &conf_keys[i], conf_keys[i].path, name, how))
            return match;
    for (size_t i = 0; i < NALIASES; i++)
        if (match_one(&match, schema_key(aliases[i].path), aliases[i].alias, name, how))
            return match;
    return (struct match){NULL, NULL, -1};
}

/* name as the file would have it, as far as that can be told. */
static void to_path(const char *name, enum spelling how, char dst[SCHEMA_PATH_MAX])
{
    size_t n = 0;

    while (*name && n < SCHEMA_PATH_MAX - 1) {
        size_t skip = how == SPELT_ARGS ? 0 : separator(name, how);

        dst[n++] = (char)(skip ? ':' : *name);
        name += skip ? skip : 1;
    }
    dst[n] = '\0';
}

/* Equal for a person who wrote down what they remembered. */
static int alike(char a, char b)
{
    static const char marks[] = ":._";

    return tolower((unsigned char)a) == tolower((unsigned char)b) ||
           (strchr(marks, a) != NULL && strchr(marks, b) != NULL);
}

/* Letters to insert, remove or replace between the two (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t row[SCHEMA_PATH_MAX + 1], lb = strlen(b);

    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t corner = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < lb; j++) {
            size_t best = corner + !alike(a[i], b[j]);

            corner = row[j + 1];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (corner + 1 < best)
                best = corner + 1;
            row[j + 1] = best;
        }
    }
    return row[lb];
}

/* 1 if path ends in the names that tail has: the right key, the wrong place. */
static int ends_in(const char *path, const char *tail)
{
    size_t lp = strlen(path), lt = strlen(tail);

    return lt < lp && strcasecmp(path + lp - lt, tail) == 0 && path[lp - lt - 1] == ':';
}

static void consider(const char *path, const char *name, const char **best, size_t *closest)
{
    const char *last = strrchr(name, ':');
    size_t d = distance(name, path);

    if (ends_in(path, name))
        d = d < 1 ? d : 1;
    else if (last != NULL && ends_in(path, last + 1))
        d = d < 2 ? d : 2;
    if (d < *closest) {
        *closest = d;
        *best = path;
    }
}

const char *schema_suggest(const char *name, enum spelling how, char dst[SCHEMA_PATH_MAX])
{
    const char *best = NULL;
    char path[SCHEMA_PATH_MAX];
    size_t closest;

    to_path(name, how, path);
    /* From here on it is another word. */
    closest = strlen(path) < 4 ? 2 : strlen(path) / 3 + 2;
    if (closest > 4)
        closest = 4;
    for (size_t i = 0; i < conf_nkeys; i++)
        if (conf_keys[i].type != KEY_IGNORED)
            consider(conf_keys[i].path, path, &best, &closest);
    for (size_t i = 0; i < NALIASES; i++)
        consider(aliases[i].alias, path, &best, &closest);
    if (best == NULL)
        return NULL;
    (void)snprintf(dst, SCHEMA_PATH_MAX, "%s", best);
    return dst;
}

const char *schema_env_name(const char *path, char dst[SCHEMA_PATH_MAX + 64])
{
    size_t n = (size_t)snprintf(dst, SCHEMA_PATH_MAX, "%s", SCHEMA_ENV_PREFIX);

    for (; *path && n < SCHEMA_PATH_MAX; path++) {
        if (*path == ':')
            dst[n++] = '_';
        dst[n++] = (char)(*path == ':' || *path == '.' ? '_' : toupper((unsigned char)*path));
    }
    dst[n] = '\0';
    return dst;
}

/* --- wanted --- */

/* error|warn|info as "error", "warn" or "info". */
static int put_words(char *dst, size_t cap, const char *words)
{
    size_t n = 0;

    while (*words && n < cap) {
        size_t len = strcspn(words, "|");
        const char *next = words + len + (words[len] == '|');
        const char *after = !*next ? "" : strchr(next, '|') != NULL ? ", " : " or ";

        n += (size_t)snprintf(dst + n, cap - n, "\"%.*s\"%s", (int)len, words, after);
        words = next;
    }
    return (int)n;
}

const char *schema_wanted_element(const struct key *key, char *dst, size_t cap)
{
    if (key->words == NULL)
        return "a string that is not empty";
    (void)put_words(dst, cap, key->words);
    return dst;
}

/* Where the value has a unit, what that may be is said with an example that is in the range. */
static void put_number(char *dst, size_t cap, const struct key *key, const char *words)
{
    static const char *const names[] = {[QUANTITY_COUNT] = "",
                                        [QUANTITY_MS] = " (milliseconds)",
                                        [QUANTITY_S] = " (seconds)",
                                        [QUANTITY_BYTES] = " (bytes)"};
    int n =
        snprintf(dst, cap, "an integer from %lld to %lld%s%s%s", (long long)key->min,
                 (long long)key->max, names[key->unit], key->words != NULL ? ", or " : "", words);

    if (key->unit == QUANTITY_BYTES)
        (void)snprintf(dst + n, cap - (size_t)n, ", or a size as \"%s\" (%s)",
                       key->min > 65536 ? "64M" : "64k", quantity_units(key->unit));
    else if (key->unit != QUANTITY_COUNT)
        (void)snprintf(dst + n, cap - (size_t)n, ", or a duration as \"10s\" (%s)",
                       quantity_units(key->unit));
}

const char *schema_wanted(const struct key *key, char *dst, size_t cap)
{
    char words[128] = "";

    if (key->words != NULL)
        (void)put_words(words, sizeof(words), key->words);
    switch (key->type) {
    case KEY_SECTION:
        return "an object";
    case KEY_BOOL:
        return "true or false";
    case KEY_SWITCH:
        return "true, false or an object";
    case KEY_WORD:
        (void)snprintf(dst, cap, "%s", words);
        return dst;
    case KEY_LISTEN:
        return "an array of \"host:port\", \"[::1]:port\", \"unix:/path\", ports or objects";
    case KEY_SENTINELS:
        return "an array of \"host:port\", \"[::1]:port\" or objects with host and port, one at "
               "least";
    case KEY_INT:
        put_number(dst, cap, key, words);
        return dst;
    case KEY_LIST:
        (void)snprintf(dst, cap, "a string or an array of strings%s%s%s",
                       key->flags & KEY_FILLED ? ", one at least" : "",
                       key->words != NULL ? ", each " : "", words);
        return dst;
    case KEY_TEXTS:
        return "a string or an array of strings, one at least";
    case KEY_KEYS:
        return "an array of objects, one at least";
    case KEY_TEXT:
    case KEY_IGNORED:
        break;
    }
    return "a string";
}
