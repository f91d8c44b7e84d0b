/* Each live setting on its way to workers: different in one configuration from all the others,
 * it arrives with that very value, and is in force, and nothing else has changed. */
#include "codec/forwarded.h"
#include "conf.h"
#include "ipc/change.h"
#include "tap.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_BYTES    (1 << 20)

static struct token_keys *first_keys, *other_keys;
static char first_origin[] = "https://first.example", other_origin[] = "https://other.example";
static char *first_origins[] = {first_origin, NULL},
            *other_origins[] = {first_origin, other_origin, NULL}, *no_origins[] = {NULL};
static const char *const first_names[] = {"first", NULL},
                         *const other_names[] = {"", "other", NULL}, *const no_names[] = {NULL};
static char first_file[] = "/first", other_file[] = "/other";
static struct conf_certificate
    first_certificates[] = {{.cert = first_file, .cert_len = 6, .key = other_file, .key_len = 6}},
    other_certificates[] = {{.cert = first_file, .cert_len = 6, .key = first_file, .key_len = 6},
                            {.cert = other_file, .cert_len = 6, .key = other_file, .key_len = 6}};

static struct network first_networks[] = {{{10}, 8}},
                      other_networks[] = {{{10}, 8}, {{0xfd, 1}, 16}, {{0}, 0}, {{[15] = 1}, 128}};

/* As it is before. */
static struct conf base(void)
{
    return (struct conf){
        .log_level = LOG_LEVEL_INFO,
        .log_target = LOG_TO_STDERR,
        .log_file = first_file,
        .log_format = LOG_TEXT,
        .token = {.keys = first_keys,
                  .algs = TOKEN_HS,
                  .audiences = first_names,
                  .issuers = first_names,
                  .types = first_names,
                  .tolerance_s = 5,
                  .token_bytes = 8192},
        .cors_origins = first_origins,
        .cors_credentials = 0,
        .proxies = {{first_networks, 1, 0}, FORWARDED_EITHER},
        .connect_timeout_ms = 45000,
        .upgrade_timeout_ms = 10000,
        .connections_max = 1000,
        .strangers_max = 250,
        .connections_per_address = 50,
        .rooms_per_client = 1000,
        .head_bytes = 16384,
        .head_headers = 100,
        .send_buffer = 1048576,
        .send_timeout_ms = 10000,
        .idle_timeout_ms = 65000,
        .tls = {.at = first_certificates,
                .n = 1,
                .min_version = CONF_TLS_1_2,
                .ciphers = first_file},
    };
}

/* --- what is changed ---------------------------------------------------------- */

/* Each changes one setting to value number i, and returns 0 where there is no such. */
#define NUMBERS(name, member, ...)                                                                 \
    static int set_##name(struct conf *conf, size_t i)                                             \
    {                                                                                              \
        static const int64_t values[] = {__VA_ARGS__};                                             \
        if (i >= COUNT(values))                                                                    \
            return 0;                                                                              \
        conf->member = (__typeof__(conf->member))values[i];                                        \
        return 1;                                                                                  \
    }
#define POINTERS(name, member, ...)                                                                \
    static int set_##name(struct conf *conf, size_t i)                                             \
    {                                                                                              \
        __typeof__(conf->member) const values[] = {__VA_ARGS__};                                   \
        if (i >= COUNT(values))                                                                    \
            return 0;                                                                              \
        conf->member = values[i];                                                                  \
        return 1;                                                                                  \
    }

#define STRUCTS(name, member, ...)                                                                 \
    static int set_##name(struct conf *conf, size_t i)                                             \
    {                                                                                              \
        const __typeof__(conf->member) values[] = {__VA_ARGS__};                                   \
        if (i >= COUNT(values))                                                                    \
            return 0;                                                                              \
        conf->member = values[i];                                                                  \
        return 1;                                                                                  \
    }

NUMBERS(level, log_level, LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_DEBUG)
static int set_certificates(struct conf *conf, size_t i)
{
    static const struct conf_tls values[] = {{.at = other_certificates, .n = 1},
                                             {.at = other_certificates, .n = 2},
                                             {.at = NULL, .n = 0}};

    if (i >= COUNT(values))
        return 0;
    conf->tls.at = values[i].at;
    conf->tls.n = values[i].n;
    return 1;
}

NUMBERS(min_version, tls.min_version, CONF_TLS_1_3)
POINTERS(ciphers, tls.ciphers, other_file, NULL)
POINTERS(cipher_suites, tls.cipher_suites, other_file)
NUMBERS(target, log_target, LOG_TO_SYSLOG, LOG_TO_FILE)
POINTERS(file, log_file, other_file, NULL)
NUMBERS(format, log_format, LOG_JSON)
POINTERS(keys, token.keys, other_keys, NULL)
NUMBERS(algs, token.algs, TOKEN_HS256, TOKEN_ES512, TOKEN_HS | TOKEN_RS | TOKEN_ES)
POINTERS(audiences, token.audiences, other_names, no_names, NULL)
POINTERS(issuers, token.issuers, other_names, no_names, NULL)
POINTERS(types, token.types, other_names, no_names, NULL)
POINTERS(rooms_claim, token.rooms_claim, other_file)
NUMBERS(tolerance, token.tolerance_s, 0, 86400, INT64_C(1) << 31)
POINTERS(origins, cors_origins, other_origins, no_origins)
NUMBERS(credentials, cors_credentials, 1)
STRUCTS(proxies, proxies.from, {NULL, 0, 0}, {first_networks, 1, 1}, {other_networks, 1, 1},
        {other_networks, 2, 0}, {other_networks + 1, 1, 0}, {other_networks, 4, 1})
NUMBERS(proxy_header, proxies.header, FORWARDED_X_FOR, FORWARDED_STANDARD)
NUMBERS(connect_timeout, connect_timeout_ms, 10, 45001, 86400000, UINT32_MAX)
NUMBERS(upgrade_timeout, upgrade_timeout_ms, 10, 10001, 86400000, UINT32_MAX)
NUMBERS(connections, connections_max, 1, 1001, 16000000, INT64_MAX)
NUMBERS(strangers, strangers_max, 1, 251, 16000000, INT64_MAX)
NUMBERS(per_address, connections_per_address, 0, 51, 1000000, UINT32_MAX)
NUMBERS(rooms_per_client, rooms_per_client, 2, 1001, 1000000, UINT32_MAX)
NUMBERS(head_bytes, head_bytes, 1024, 16385, 1 << 20, INT64_MAX)
NUMBERS(headers, head_headers, 8, 101, 256)
NUMBERS(token_bytes, token.token_bytes, 64, 8193, 65536)
NUMBERS(send_buffer, send_buffer, 4096, 1048577, 1 << 30, INT64_MAX)
NUMBERS(send_timeout, send_timeout_ms, 100, 10001, 86400000, UINT32_MAX)
NUMBERS(idle_timeout, idle_timeout_ms, 100, 65001, 86400000, UINT32_MAX)

/* All that change_diff() knows as live: a line of src/ipc/change.c without one here fails. */
static const struct {
    const char *key;
    int (*set)(struct conf *conf, size_t i);
} rows[] = {
    {"log:level", set_level},
    {"log:target", set_target},
    {"log:target (file)", set_file},
    {"log:format", set_format},
    {"auth (a key)", set_keys},
    {"auth:options:algorithms", set_algs},
    {"auth:options:audience", set_audiences},
    {"auth:options:issuer", set_issuers},
    {"auth:options:types", set_types},
    {"auth:options:clockTolerance", set_tolerance},
    {"auth:options:roomsClaim", set_rooms_claim},
    {"cors:origins", set_origins},
    {"cors:credentials", set_credentials},
    {"proxies", set_proxies},
    {"proxyHeader", set_proxy_header},
    {"socket.io:connectTimeout", set_connect_timeout},
    {"socket.io:upgradeTimeout", set_upgrade_timeout},
    {"limits:connections", set_connections},
    {"limits:strangers", set_strangers},
    {"limits:connectionsPerAddress", set_per_address},
    {"limits:roomsPerClient", set_rooms_per_client},
    {"limits:headerBytes", set_head_bytes},
    {"limits:headers", set_headers},
    {"limits:tokenBytes", set_token_bytes},
    {"limits:sendBuffer", set_send_buffer},
    {"limits:sendTimeout", set_send_timeout},
    {"limits:idleTimeout", set_idle_timeout},
    {"tls (a certificate)", set_certificates},
    {"tls:minVersion", set_min_version},
    {"tls:ciphers", set_ciphers},
    {"tls:cipherSuites", set_cipher_suites},
};

/* --- the same? ---------------------------------------------------------------- */
/* By other means than change_diff(), which is on trial too. */

static int same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static int same_list(const char *const *a, const char *const *b)
{
    size_t i = 0;

    if (a == NULL || b == NULL)
        return a == b;
    while (a[i] != NULL && b[i] != NULL && strcmp(a[i], b[i]) == 0)
        i++;
    return a[i] == NULL && b[i] == NULL;
}

static int same_networks(const struct networks *a, const struct networks *b)
{
    if (a->n != b->n || a->unix_too != b->unix_too)
        return 0;
    for (size_t i = 0; i < a->n; i++)
        if (memcmp(a->at[i].ip, b->at[i].ip, 16) != 0 || a->at[i].bits != b->at[i].bits)
            return 0;
    return 1;
}

static int same_certificates(const struct conf_tls *a, const struct conf_tls *b)
{
    size_t i = 0;

    while (i < a->n && i < b->n && same_text(a->at[i].cert, b->at[i].cert) &&
           same_text(a->at[i].key, b->at[i].key))
        i++;
    return i == a->n && i == b->n;
}

/* Bit i of what is returned: it is not in both what row i sets. */
static uint32_t others(const struct conf *a, const struct conf *b)
{
    const int same[] = {
        a->log_level == b->log_level,
        a->log_target == b->log_target,
        same_text(a->log_file, b->log_file),
        a->log_format == b->log_format,
        token_keys_equal(a->token.keys, b->token.keys),
        a->token.algs == b->token.algs,
        same_list(a->token.audiences, b->token.audiences),
        same_list(a->token.issuers, b->token.issuers),
        same_list(a->token.types, b->token.types),
        a->token.tolerance_s == b->token.tolerance_s,
        same_text(a->token.rooms_claim, b->token.rooms_claim),
        same_list((const char *const *)a->cors_origins, (const char *const *)b->cors_origins),
        a->cors_credentials == b->cors_credentials,
        same_networks(&a->proxies.from, &b->proxies.from),
        a->proxies.header == b->proxies.header,
        a->connect_timeout_ms == b->connect_timeout_ms,
        a->upgrade_timeout_ms == b->upgrade_timeout_ms,
        a->connections_max == b->connections_max,
        a->strangers_max == b->strangers_max,
        a->connections_per_address == b->connections_per_address,
        a->rooms_per_client == b->rooms_per_client,
        a->head_bytes == b->head_bytes,
        a->head_headers == b->head_headers,
        a->token.token_bytes == b->token.token_bytes,
        a->send_buffer == b->send_buffer,
        a->send_timeout_ms == b->send_timeout_ms,
        a->idle_timeout_ms == b->idle_timeout_ms,
        same_certificates(&a->tls, &b->tls),
        a->tls.min_version == b->tls.min_version,
        same_text(a->tls.ciphers, b->tls.ciphers),
        same_text(a->tls.cipher_suites, b->tls.cipher_suites),
    };
    uint32_t bits = 0;

    _Static_assert(COUNT(same) == COUNT(rows), "a comparison for each row");

    for (uint32_t i = 0; i < COUNT(same); i++)
        bits |= (uint32_t)!same[i] << i;
    return bits;
}

/* --- there and in force ------------------------------------------------------- */

static struct conf *sent(const struct conf *conf)
{
    struct buf out = {0};
    struct conf *got = NULL;
    struct msg msg;

    if (change_put(&out, conf) == 0 &&
        msg_decode(&msg, out.data, out.len, MAX_BYTES) == (long)out.len)
        got = change_get(&msg);
    buf_free(&out);
    return got;
}

static void is_told(const struct conf *was, const struct conf *conf, size_t row)
{
    struct buf keys = {0};

    is_int(change_diff(was, conf, CHANGE_LIVE, &keys), 1, rows[row].key);
    buf_putc(&keys, '\0');
    is_str((char *)keys.data, rows[row].key, "is told by its name, and alone");
    is_int(change_diff(was, conf, CHANGE_MASTER | CHANGE_WORKERS | CHANGE_RESTART, &keys), 0,
           "and is in no other class");
    buf_free(&keys);
}

static void test_row(size_t row)
{
    struct conf was = base(), conf = base();

    for (size_t i = 0; rows[row].set(&conf, i); i++) {
        /* What a worker has in force: each value takes the place of the one that was. */
        struct conf worker = base(), *got;

        is_told(&was, &conf, row);
        is_int(others(&was, &conf), 1U << row, "the test sets it, and nothing else");
        got = sent(&conf);
        if (!ok(got != NULL, "value %zu is taken", i))
            continue;
        is_int(others(&conf, got), 0, "as it is, with all others");
        change_apply(&worker, got);
        is_int(others(&conf, &worker), 0, "it is in force, with all others");
        conf_free(&got);
    }
}

static int is_row(const char *key, size_t len)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        if (strlen(rows[i].key) == len && memcmp(rows[i].key, key, len) == 0)
            return 1;
    return 0;
}

/* Two configurations of which all bytes differ: all keys are told. */
static void test_whole(void)
{
    static char text[] = "text";
    static char *texts[] = {text, NULL};
    struct conf none = {0}, all;
    struct buf keys = {0};
    int n;

    memset(&all, 1, sizeof(all));
    all.log_file = text;
    all.token.keys = first_keys;
    all.token.audiences = all.token.issuers = all.token.types = (const char *const *)texts;
    all.cors_origins = texts;
    all.proxies.from = (struct networks){other_networks, 1, 1};
    n = change_diff(&none, &all, CHANGE_LIVE, &keys);
    is_int(n, COUNT(rows), "there are no more live settings than rows");
    buf_putc(&keys, '\0');
    for (const char *at = (char *)keys.data; *at != '\0';) {
        size_t len = strcspn(at, ",");

        ok(is_row(at, len), "%.*s has a row", (int)len, at);
        at += len + strspn(at + len, ", ");
    }
    buf_free(&keys);
}

/* --- the last that is taken --------------------------------------------------- */

static void is_refused(const struct conf *conf, const char *name)
{
    struct conf *got = sent(conf);

    ok(got == NULL, "%s", name);
    conf_free(&got);
}

#define REFUSED(member, value)                                                                     \
    do {                                                                                           \
        struct conf conf = base();                                                                 \
        conf.member = (__typeof__(conf.member))(value);                                            \
        is_refused(&conf, #member " of " #value);                                                  \
    } while (0)

static void test_range(void)
{
    REFUSED(log_level, LOG_LEVEL_DEBUG + 1);
    REFUSED(log_target, LOG_TO_FILE + 1);
    REFUSED(log_format, LOG_JSON + 1);
    REFUSED(log_level, -1);
    REFUSED(cors_credentials, 2);
    REFUSED(proxies.header, FORWARDED_STANDARD + 1);
    REFUSED(proxies.header, -1);
    REFUSED(token.algs, (TOKEN_HS | TOKEN_RS | TOKEN_ES) + 1);
    REFUSED(token.tolerance_s, (INT64_C(1) << 31) + 1);
    REFUSED(token.tolerance_s, -1);
    REFUSED(head_headers, 257);
    REFUSED(token.token_bytes, 65537);
}

/* No configuration has them, but a pipe might. */
static void test_networks(void)
{
    static struct network bad[] = {{{10, 1}, 8}, {{0}, 129}, {{[15] = 1}, 127}};

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct conf conf = base();

        conf.proxies.from.at = &bad[i];
        is_refused(&conf, "a network that is none");
    }
}

static struct token_keys *keys_make(const char *secret)
{
    struct token_keys *keys = token_keys_new();

    if (keys == NULL ||
        token_keys_add_secret(keys, (struct slice){0}, secret, strlen(secret), 0) != KEY_OK)
        abort();
    return keys;
}

int main(void)
{
    first_keys = keys_make("a secret that is long enough to be one");
    other_keys = keys_make("another that is as long as the first..");
    test_whole();
    for (size_t i = 0; i < COUNT(rows); i++)
        test_row(i);
    test_range();
    test_networks();
    token_keys_free(&first_keys);
    token_keys_free(&other_keys);
    return tap_done();
}
