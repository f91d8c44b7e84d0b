/* The configuration: every key from every source, what is refused and how that
 * reads, and what is made of it. */
#include "codec/keyset.h"
#include "conf.h"
#include "conf/schema.h"

#include "certificate_make.h"
#include "scratch.h"
#include "tap.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define SECRET      "0123456789abcdef0123456789abcdef"
#define WITH_SECRET "\"auth\":{\"secret\":\"" SECRET "\"}"
#define LIST(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static const char public_pem[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpopwSk+NplptpGpWF45cL3y7IBCw\n"
    "qYLTkjqv0XsWMb2NUpaVRUb29x0HZsjl0Bay/XF4zUdSBHYlEAA8hMixkA==\n"
    "-----END PUBLIC KEY-----\n";

static struct buf errors, warnings, report;

/* --- loading and comparing --- */

/* What tokens may be signed with. */
static unsigned algs_of(const struct conf *conf)
{
    return conf->token.algs & token_keys_algs(conf->token.keys);
}

/* 1 if there is one key, and it is that secret. */
static int has_secret(const struct conf *conf, const void *secret, size_t len)
{
    return conf != NULL && conf->keys->n == 1 && conf->keys->at[0].secret_len == len &&
           memcmp(conf->keys->at[0].secret, secret, len) == 0;
}

static char **copy(const char *const *words, size_t *n)
{
    char **out;

    *n = 0;
    while (words != NULL && words[*n] != NULL)
        ++*n;
    out = calloc(*n + 1, sizeof(*out));
    for (size_t i = 0; i < *n; i++)
        out[i] = strdup(words[i]);
    return out;
}

static void drop(char **words)
{
    for (size_t i = 0; words[i] != NULL; i++)
        free(words[i]);
    free(words);
}

static const char *text(struct buf *buf)
{
    buf_putc(buf, '\0');
    buf->len--;
    return (const char *)buf->data;
}

static struct conf *load_for(enum conf_for purpose, const char *file, const char *const *env,
                             const char *const *options)
{
    struct conf_args args = {.file = "t.conf"};
    size_t n;
    struct conf *conf;

    args.environ = copy(env, &n);
    args.options = copy(options, &args.noptions);
    buf_reset(&errors);
    buf_reset(&warnings);
    buf_reset(&report);
    conf = conf_load_text(&args, file, strlen(file), purpose, &errors, &warnings);
    if (conf != NULL)
        conf_print(conf, &report);
    drop(args.environ);
    drop(args.options);
    if ((conf == NULL) != (errors.len > 0))
        ok(0, "an error if and only if there is no configuration");
    return conf;
}

static struct conf *load(const char *file, const char *const *env, const char *const *options)
{
    return load_for(CONF_FOR_DAEMON, file, env, options);
}

/* Loads what must do; says what was wrong if it does not. */
static struct conf *good(const char *name, const char *file, const char *const *env,
                         const char *const *options)
{
    struct conf *conf = load(file, env, options);

    if (!ok(conf != NULL, "%s", name))
        printf("#   %s", text(&errors));
    return conf;
}

static int has(struct buf *buf, const char *fragment)
{
    return strstr(text(buf), fragment) != NULL;
}

static void refused(const char *name, const char *file, const char *const *env,
                    const char *const *options, const char *fragment)
{
    struct conf *conf = load(file, env, options);

    if (!ok(conf == NULL && has(&errors, fragment), "%s", name))
        printf("#   got  %s\n#   want %s\n", conf != NULL ? "a configuration" : text(&errors),
               fragment);
    conf_free(&conf);
}

static int shows(const char *line)
{
    char whole[1024];

    (void)snprintf(whole, sizeof(whole), "%s\n", line);
    return strncmp(text(&report), whole, strlen(whole)) == 0 ||
           (snprintf(whole, sizeof(whole), "\n%s\n", line) > 0 && has(&report, whole));
}

/* --- defaults --- */

static void test_defaults(void)
{
    struct conf *conf =
        good("a secret is all that is needed", "", LIST("auth__secret=" SECRET), NULL);

    if (conf == NULL)
        return;
    is_int(conf->nlisten, 1, "one listener");
    is_int(conf->listen[0].port, 3000, "port 3000");
    ok(conf->listen[0].host == NULL && conf->listen[0].unix_path == NULL, "all addresses");
    is_str(conf->path, "/notifications/", "path");
    is_str(conf->nsp, "/axr", "namespace");
    is_str(conf->key, "socket.io", "key");
    is_str(conf->redis.host, "localhost", "redis host");
    is_int(conf->redis.port, 6379, "redis port");
    is_int(conf->redis.database, 0, "redis database");
    ok(conf->redis.path == NULL && conf->redis.username == NULL && conf->redis.password == NULL,
       "nothing else of redis");
    is_int(conf->ping_interval_ms, 25000, "pingInterval");
    is_int(conf->ping_timeout_ms, 20000, "pingTimeout");
    is_int(conf->connect_timeout_ms, 45000, "connectTimeout");
    is_int(conf->upgrade_timeout_ms, 10000, "upgradeTimeout");
    is_int(conf->requests_timeout_ms, 1000, "requestsTimeout");
    is_int(conf->max_http_buffer, 1000000, "maxHttpBufferSize");
    ok(conf->polling && conf->websocket, "both transports");
    ok(conf->allow_eio3, "allowEIO3");
    ok(conf->client_file == NULL, "no clientFile");
    ok(!conf->recovery && conf->recovery_file == NULL && conf->recovery_secret == NULL,
       "no recovery");
    is_int(conf->recovery_ms, 120000, "maxDisconnectionDuration");
    is_int((long)conf->recovery_bytes, 67108864, "maxBytes");
    is_mem(conf->keys->at[0].secret, conf->keys->at[0].secret_len, SECRET, 32, "the secret");
    ok(conf->keys->n == 1 && conf->token.audiences == NULL && conf->token.issuers == NULL,
       "no more of auth");
    is_int(algs_of(conf), TOKEN_HS, "algorithms of a secret");
    is_int(conf->token.tolerance_s, 0, "clockTolerance");
    is_int(conf->token.token_bytes, 8192, "limits:tokenBytes");
    ok(conf->cors_any && strcmp(conf->cors_origins[0], "*") == 0 && conf->cors_origins[1] == NULL,
       "origins");
    ok(!conf->cors_credentials, "credentials");
    is_int(conf->connections_per_user, 0, "connectionsPerUser");
    is_int(conf->replace_connections, 0, "connectionsPerUserPolicy");
    is_int(conf->rooms_per_client, 1000, "roomsPerClient");
    is_int(conf->head_bytes, 16384, "headerBytes");
    is_int(conf->head_headers, 100, "headers");
    is_int(conf->message_bytes, 4194304, "messageBytes");
    is_int(conf->attachments, 10, "attachments");
    is_int(conf->send_buffer, 1048576, "sendBuffer");
    is_int(conf->send_timeout_ms, 10000, "sendTimeout");
    is_int(conf->idle_timeout_ms, 65000, "idleTimeout");
    is_int(conf->shutdown_timeout_ms, 10000, "shutdownTimeout");
    is_int(conf->drain_timeout_ms, 30000, "drainTimeout");
    ok(conf->log_level == LOG_LEVEL_INFO && conf->log_target == LOG_TO_STDERR &&
           conf->log_format == LOG_TEXT && conf->log_file == NULL,
       "the log");
    is_str(conf->admin_host, "127.0.0.1", "admin host");
    is_int(conf->admin_port, 3001, "admin port");
    ok(conf->pid_file == NULL && conf->user == NULL && conf->group == NULL,
       "no pid file, user, group");
    ok(conf->sandbox, "the sandbox is on");
    is_int(warnings.len, 0, "defaults warn of nothing");
    conf_free(&conf);
    ok(conf == NULL, "freed");
}

/* --- every key from every source --- */

/* Values for the file (as JSON), a plain variable, one with the prefix, and the
 * command line; then how each is shown, where that differs from the first. */
static const struct sample {
    const char *path;
    const char *in[4];
    const char *shown[4];
} samples[] = {
    {"workers", {"5", "6", "7", "256"}, {0}},
    {"port", {"1", "0", "65535", "80"}, {0}},
    {"host",
     {"\"a\"", "b.example", "::1", "10.0.0.1"},
     {0, "\"b.example\"", "\"::1\"", "\"10.0.0.1\""}},
    {"listen",
     {"[1]", "[\"a:2\"]", "b:3,[::1]:4", "[::2]:5"},
     {"[\"*:1\"]", "[\"a:2\"]", "[\"b:3\",\"[::1]:4\"]", "[\"[::2]:5\"]"}},
    {"proxies",
     {"[\"10.0.0.0/8\",\"unix\"]", "::1", "192.0.2.1,fd00::/8", "[\"127.0.0.1\"]"},
     {0, "[\"::1\"]", "[\"192.0.2.1\",\"fd00::/8\"]", 0}},
    {"proxyHeader",
     {"\"Forwarded\"", "X-Forwarded-For", "Forwarded", "X-Forwarded-For"},
     {0, "\"X-Forwarded-For\"", "\"Forwarded\"", "\"X-Forwarded-For\""}},
    {"tls:certFile",
     {"\"DIR/server.pem\"", "DIR/server.pem", "DIR/server.pem", "DIR/server.pem"},
     {0, "\"DIR/server.pem\"", "\"DIR/server.pem\"", "\"DIR/server.pem\""}},
    {"tls:keyFile",
     {"\"DIR/server.pem\"", "DIR/server.pem", "DIR/server.pem", "DIR/server.pem"},
     {0, "\"DIR/server.pem\"", "\"DIR/server.pem\"", "\"DIR/server.pem\""}},
    {"tls:certificates",
     {"[{\"certFile\":\"DIR/server.pem\"}]", "[{\"certFile\":\"DIR/server.pem\"}]",
      "[{\"certFile\":\"DIR/server.pem\"}]", "[{\"certFile\":\"DIR/server.pem\"}]"},
     {0}},
    {"tls:minVersion",
     {"\"TLSv1.3\"", "TLSv1.2", "TLSv1.3", "TLSv1.2"},
     {0, "\"TLSv1.2\"", "\"TLSv1.3\"", "\"TLSv1.2\""}},
    {"tls:ciphers",
     {"\"HIGH\"", "ECDHE+AESGCM", "HIGH:!aNULL", "HIGH"},
     {0, "\"ECDHE+AESGCM\"", "\"HIGH:!aNULL\"", "\"HIGH\""}},
    {"tls:cipherSuites",
     {"\"TLS_AES_128_GCM_SHA256\"", "TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256",
      "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"},
     {0, "\"TLS_AES_256_GCM_SHA384\"", "\"TLS_AES_128_GCM_SHA256\"",
      "\"TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256\""}},
    {"path", {"\"/a\"", "b", "/c/", "/d/e"}, {"\"/a/\"", "\"/b/\"", "\"/c/\"", "\"/d/e/\""}},
    {"socket.io:namespace", {"\"/a\"", "b", "/", "/d"}, {0, "\"/b\"", "\"/\"", "\"/d\""}},
    {"socket.io:redis:host", {"\"a\"", "b", "c", "d"}, {0, "\"b\"", "\"c\"", "\"d\""}},
    {"socket.io:redis:port", {"1", "2", "3", "4"}, {0}},
    {"socket.io:redis:path", {"\"/a\"", "/b", "/c", "/d"}, {0, "\"/b\"", "\"/c\"", "\"/d\""}},
    {"socket.io:redis:url",
     {"\"redis://a\"", "redis://b", "redis://:x@c", "redis://u:x@d:1/2?db=3"},
     {0, "\"redis://b\"", "\"redis://:********@c\"", "\"redis://u:********@d:1/2?db=3\""}},
    {"socket.io:redis:username", {"\"a\"", "b", "12", "null"}, {0, "\"b\"", "\"12\"", "\"null\""}},
    {"socket.io:redis:password",
     {"\"a\"", "b", "12345", "{}"},
     {"********", "********", "********", "********"}},
    {"socket.io:redis:passwordFile",
     {"\"/dev/null\"", "/dev/null", "/dev/null", "/dev/null"},
     {0, "\"/dev/null\"", "\"/dev/null\"", "\"/dev/null\""}},
    {"socket.io:redis:database", {"1", "2", "3", "4"}, {0}},
    {"socket.io:redis:tls", {"{}", "false", "true", "false"}, {"true", 0, 0, 0}},
    {"socket.io:redis:tls:caFile",
     {"\"DIR/ca.pem\"", "DIR/ca.pem", "DIR/ca2.pem", "DIR/ca.pem"},
     {0, "\"DIR/ca.pem\"", "\"DIR/ca2.pem\"", "\"DIR/ca.pem\""}},
    {"socket.io:redis:tls:servername",
     {"\"a\"", "b.example", "::1", "10.0.0.1"},
     {0, "\"b.example\"", "\"::1\"", "\"10.0.0.1\""}},
    {"socket.io:redis:tls:rejectUnauthorized", {"false", "true", "false", "true"}, {0}},
    {"socket.io:redis:sentinels",
     {"[\"a:1\"]", "[{\"host\":\"a\",\"port\":1}]", "b,c:2, [::1]:3", "d"},
     {0, 0, "[\"b\",\"c:2\",\"[::1]:3\"]", "[\"d\"]"}},
    {"socket.io:redis:name", {"\"a\"", "b", "1", "d"}, {0, "\"b\"", "\"1\"", "\"d\""}},
    {"socket.io:redis:sentinelUsername",
     {"\"a\"", "b", "12", "null"},
     {0, "\"b\"", "\"12\"", "\"null\""}},
    {"socket.io:redis:sentinelPassword",
     {"\"a\"", "b", "12345", "{}"},
     {"********", "********", "********", "********"}},
    {"socket.io:redis:sentinelPasswordFile",
     {"\"/dev/null\"", "/dev/null", "/dev/null", "/dev/null"},
     {0, "\"/dev/null\"", "\"/dev/null\"", "\"/dev/null\""}},
    {"socket.io:redis:sentinelTLS", {"true", "false", "{}", "false"}, {0, 0, "true", 0}},
    {"socket.io:redis:sentinelTLS:caFile",
     {"\"DIR/ca.pem\"", "DIR/ca.pem", "DIR/ca2.pem", "DIR/ca.pem"},
     {0, "\"DIR/ca.pem\"", "\"DIR/ca2.pem\"", "\"DIR/ca.pem\""}},
    {"socket.io:redis:sentinelTLS:servername",
     {"\"a\"", "b.example", "::1", "10.0.0.1"},
     {0, "\"b.example\"", "\"::1\"", "\"10.0.0.1\""}},
    {"socket.io:redis:sentinelTLS:rejectUnauthorized", {"false", "true", "false", "true"}, {0}},
    {"socket.io:key", {"\"a\"", "b", "1", "\"d\""}, {0, "\"b\"", "\"1\"", "\"\\\"d\\\"\""}},
    {"socket.io:pingInterval", {"1000", "1001", "1002", "1e3"}, {0, 0, 0, "1000"}},
    {"socket.io:pingTimeout", {"1000", "1001", "1002", "1003"}, {0}},
    {"socket.io:connectTimeout", {"1000", "1001", "1002", "1003"}, {0}},
    {"socket.io:requestsTimeout", {"200", "201", "202", "203"}, {0}},
    {"socket.io:upgradeTimeout", {"1000", "1001", "1002", "1003"}, {0}},
    {"socket.io:maxHttpBufferSize", {"1000", "1001", "1002", "1003"}, {0}},
    {"socket.io:transports",
     {"[\"polling\"]", "websocket", "polling, websocket", "[\"websocket\"]"},
     {0, "[\"websocket\"]", "[\"polling\",\"websocket\"]", 0}},
    {"socket.io:allowEIO3", {"false", "true", "false", "true"}, {0}},
    {"socket.io:presence", {"true", "false", "true", "false"}, {0}},
    {"socket.io:connectionStateRecovery",
     {"{\"maxBytes\":1048576}", "false", "{}", "false"},
     {"true", 0, "true", 0}},
    {"socket.io:connectionStateRecovery:maxDisconnectionDuration",
     {"1000", "1001", "1002", "1e3"},
     {0, 0, 0, "1000"}},
    {"socket.io:connectionStateRecovery:maxBytes",
     {"1048576", "1048577", "2000000", "4294967296"},
     {0}},
    {"socket.io:connectionStateRecovery:secretFile",
     {"\"DIR/secret\"", "DIR/secret", "DIR/secret2", "DIR/secret"},
     {0, "\"DIR/secret\"", "\"DIR/secret2\"", "\"DIR/secret\""}},
    {"socket.io:clientFile",
     {"\"DIR/secret\"", "DIR/secret", "DIR/secret2", "DIR/secret"},
     {0, "\"DIR/secret\"", "\"DIR/secret2\"", "\"DIR/secret\""}},
    {"auth:secret",
     {"\"" SECRET "\"", SECRET, SECRET, SECRET},
     {"********", "********", "********", "********"}},
    {"auth:secretFile",
     {"\"DIR/secret\"", "DIR/secret", "DIR/secret2", "DIR/secret"},
     {0, "\"DIR/secret\"", "\"DIR/secret2\"", "\"DIR/secret\""}},
    {"auth:publicKeyFile",
     {"\"DIR/ec.pem\"", "DIR/ec.pem", "DIR/ec.pem", "DIR/ec.pem"},
     {0, "\"DIR/ec.pem\"", "\"DIR/ec.pem\"", "\"DIR/ec.pem\""}},
    {"auth:keys",
     {"[{\"kid\":\"a\",\"secret\":\"" SECRET "\"}]", "[{\"secretFile\":\"DIR/secret\"}]",
      "[{\"algorithm\":\"HS256\",\"secret\":\"" SECRET "\",\"kid\":\"b\"}]",
      "[{\"publicKeyFile\":\"DIR/ec.pem\"}]"},
     {"[{\"kid\":\"a\",\"secret\":\"********\"}]", 0,
      "[{\"algorithm\":\"HS256\",\"secret\":\"********\",\"kid\":\"b\"}]", 0}},
    {"auth:jwksFile",
     {"\"DIR/jwks\"", "DIR/jwks", "DIR/jwks", "DIR/jwks"},
     {0, "\"DIR/jwks\"", "\"DIR/jwks\"", "\"DIR/jwks\""}},
    {"auth:options:algorithms",
     {"[\"HS256\"]", "HS384", "HS512,HS256", "[\"HS384\",\"HS512\"]"},
     {0, "[\"HS384\"]", "[\"HS256\",\"HS512\"]", 0}},
    {"auth:options:audience", {"\"a\"", "b", "c,d", "[\"e\"]"}, {0, "[\"b\"]", "[\"c\",\"d\"]", 0}},
    {"auth:options:issuer", {"[\"a\"]", "b", "c,d", "\"e\""}, {0, "[\"b\"]", "[\"c\",\"d\"]", 0}},
    {"auth:options:types", {"[\"a\"]", "b", "c,d", "\"e\""}, {0, "[\"b\"]", "[\"c\",\"d\"]", 0}},
    {"auth:options:clockTolerance", {"1", "2", "3", "4"}, {0}},
    {"auth:options:roomsClaim",
     {"\"a\"", "https://a/b", "c", "profile.d"},
     {0, "\"https://a/b\"", "\"c\"", "\"profile.d\""}},
    {"cors:origins",
     {"\"https://A\"", "http://b:80", "true", "[\"https://c:8443\",\"null\"]"},
     {"[\"https://a\"]", "[\"http://b\"]", "[\"*\"]", 0}},
    {"cors:credentials", {"true", "false", "true", "false"}, {0}},
    {"limits:connections", {"10", "11", "12", "13"}, {0}},
    {"limits:strangers", {"10", "11", "12", "13"}, {0}},
    {"limits:connectionsPerUser", {"1", "2", "3", "0"}, {0}},
    {"limits:connectionsPerAddress", {"1", "2", "3", "0"}, {0}},
    {"limits:connectionsPerUserPolicy",
     {"\"replace\"", "refuse", "replace", "refuse"},
     {0, "\"refuse\"", "\"replace\"", "\"refuse\""}},
    {"limits:roomsPerClient", {"2", "3", "4", "5"}, {0}},
    {"limits:headerBytes", {"2000", "2001", "2002", "2003"}, {0}},
    {"limits:headers", {"20", "21", "22", "256"}, {0}},
    {"limits:tokenBytes", {"2000", "2001", "2002", "2003"}, {0}},
    {"limits:messageBytes", {"2000", "2001", "2002", "2003"}, {0}},
    {"limits:attachments", {"0", "1", "2", "255"}, {0}},
    {"limits:sendBuffer", {"20000", "20001", "20002", "20003"}, {0}},
    {"limits:sendTimeout", {"2000", "2001", "2002", "2003"}, {0}},
    {"limits:idleTimeout", {"3000", "3001", "3002", "3003"}, {0}},
    {"shutdownTimeout", {"0", "1", "2", "3"}, {0}},
    {"drainTimeout", {"0", "1", "2", "3"}, {0}},
    {"log:level", {"\"debug\"", "warn", "error", "info"}, {0, "\"warn\"", "\"error\"", "\"info\""}},
    {"log:target",
     {"\"syslog\"", "/a", "stderr", "/var/log/b"},
     {0, "\"/a\"", "\"stderr\"", "\"/var/log/b\""}},
    {"log:format", {"\"json\"", "text", "json", "text"}, {0, "\"text\"", "\"json\"", "\"text\""}},
    {"admin:host", {"\"a\"", "b", "off", "::"}, {0, "\"b\"", "\"off\"", "\"::\""}},
    {"admin:port", {"\"off\"", "off", "0", "5"}, {0, "\"off\"", 0, 0}},
    {"admin:token",
     {"\"a\"", "b", "12345", "{}"},
     {"********", "********", "********", "********"}},
    {"admin:tokenFile",
     {"\"/dev/null\"", "/dev/null", "/dev/null", "/dev/null"},
     {0, "\"/dev/null\"", "\"/dev/null\"", "\"/dev/null\""}},
    {"pidFile", {"\"/a\"", "/b", "/c", "/d"}, {0, "\"/b\"", "\"/c\"", "\"/d\""}},
    {"user", {"\"a\"", "b", "0", "d"}, {0, "\"b\"", "\"0\"", "\"d\""}},
    {"group", {"\"a\"", "b", "0", "d"}, {0, "\"b\"", "\"0\"", "\"d\""}},
    {"sandbox", {"true", "false", "true", "false"}, {0}},
};

/* Puts the directory where a sample says DIR. */
static void expand(char *dst, size_t cap, const char *src)
{
    const char *mark = strstr(src, "DIR");

    if (mark != NULL)
        (void)snprintf(dst, cap, "%.*s%s%s", (int)(mark - src), src, scratch, mark + 3);
    else
        (void)snprintf(dst, cap, "%s", src);
}

/* {"socket.io":{"key":V}} with a secret, so that the key is all that varies. */
static void nest(char *dst, size_t cap, const char *path, const char *value)
{
    int is_auth = strncmp(path, "auth:", 5) == 0;
    int is_secret = strncmp(path, "auth:secret", 11) == 0, depth = 0;
    size_t n = (size_t)snprintf(dst, cap, "{\n%s", is_auth ? "" : WITH_SECRET ",\n");

    for (const char *name = path;;) {
        size_t len = strcspn(name, ":");

        n += (size_t)snprintf(dst + n, cap - n, "\"%.*s\":", (int)len, name);
        if (!name[len])
            break;
        n += (size_t)snprintf(dst + n, cap - n, "{%s",
                              is_auth && !is_secret && depth == 0 ? "\"secret\":\"" SECRET "\",\n"
                                                                  : "\n");
        if (strcmp(path, "tls:keyFile") == 0)
            n += (size_t)snprintf(dst + n, cap - n, "\"certFile\":\"%s/server.pem\",", scratch);
        depth++;
        name += len + 1;
    }
    n += (size_t)snprintf(dst + n, cap - n, "%s", value);
    while (depth-- >= 0)
        n += (size_t)snprintf(dst + n, cap - n, "}");
}

/* a:b as a__b */
static void env_name(char *dst, size_t cap, const char *path)
{
    size_t n = 0;

    for (; *path && n + 3 < cap; path++) {
        if (*path == ':')
            dst[n++] = '_';
        dst[n++] = *path == ':' ? '_' : *path;
    }
    dst[n] = '\0';
}

static void check_shown(const struct sample *sample, int which, const char *source)
{
    char want[512], shown[256];

    expand(shown, sizeof(shown),
           sample->shown[which] != NULL ? sample->shown[which] : sample->in[which]);
    (void)snprintf(want, sizeof(want), "%s = %s  (%s)", sample->path, shown, source);
    if (!ok(shows(want), "%s from %s", sample->path, source))
        printf("#   want %s\n%s\n", want, text(&report));
}

static void test_key(const struct sample *sample)
{
    char file[512], value[4][256], plain[600], folded[700], option[400], name[300], source[400];
    char upper[SCHEMA_PATH_MAX + 64];
    struct conf *conf;
    int line = 1;

    for (int i = 0; i < 4; i++)
        expand(value[i], sizeof(value[i]), sample->in[i]);
    nest(file, sizeof(file), sample->path, value[0]);
    for (const char *c = file; *c; c++)
        line += *c == '\n';
    env_name(name, sizeof(name), sample->path);
    (void)snprintf(plain, sizeof(plain), "%s=%s", name, value[1]);
    (void)snprintf(folded, sizeof(folded), "%s=%s", schema_env_name(sample->path, upper), value[2]);
    (void)snprintf(option, sizeof(option), "--%s", sample->path);

    conf = good(sample->path, file, NULL, NULL);
    (void)snprintf(source, sizeof(source), "file t.conf:%d", line);
    check_shown(sample, 0, source);
    conf_free(&conf);
    conf = good(plain, file, LIST(plain), NULL);
    (void)snprintf(source, sizeof(source), "environment %s", name);
    check_shown(sample, 1, source);
    conf_free(&conf);
    conf = good(folded, file, LIST(folded, plain), NULL);
    (void)snprintf(source, sizeof(source), "environment %s", upper);
    check_shown(sample, 2, source);
    conf_free(&conf);
    conf = good(option, file, LIST(folded, plain), LIST(option, value[3]));
    check_shown(sample, 3, "command line");
    conf_free(&conf);
}

/* One of those needs another, or is of several lines: test_conf_tls_client has them. */
static int is_of_tls(const char *path)
{
    static const char *const names[] = {":ca", ":cert", ":certFile", ":key", ":keyFile"};
    const char *at = strstr(path, "tls:");

    if (at == NULL)
        at = strstr(path, "sentinelTLS:");
    for (size_t i = 0; at != NULL && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(strchr(at, ':'), names[i]) == 0)
            return 1;
    return 0;
}

static void test_every_key(void)
{
    size_t n = sizeof(samples) / sizeof(samples[0]), tried = 0, keys = 0;

    for (size_t i = 0; i < conf_nkeys; i++) {
        if (conf_keys[i].type == KEY_SECTION || conf_keys[i].type == KEY_IGNORED ||
            is_of_tls(conf_keys[i].path))
            continue;
        keys++;
        for (size_t j = 0; j < n; j++) {
            if (strcmp(samples[j].path, conf_keys[i].path) == 0) {
                test_key(&samples[j]);
                tried++;
            }
        }
    }
    is_int(tried, keys, "no key of the table is left out");
}

/* --- spelling --- */

static void test_command_line(void)
{
    static const char *const spellings[] = {"--socket.io:redis:host", "--socket.io.redis.host",
                                            "--socket.io:redis.host", "--socket.io.redis:host"};
    char word[64];
    struct conf *conf;

    for (size_t i = 0; i < 4; i++) {
        conf = good(spellings[i], "{" WITH_SECRET "}", NULL, LIST(spellings[i], "r1"));
        is_str(conf ? conf->redis.host : NULL, "r1", "with a word of its own");
        conf_free(&conf);
        (void)snprintf(word, sizeof(word), "%s=r=2", spellings[i]);
        conf = load("{" WITH_SECRET "}", NULL, LIST(word));
        ok(conf == NULL && has(&errors, "command line: socket.io:redis:host: found no host name"),
           "after the first =");
        conf_free(&conf);
    }
    conf = good("twice", "{" WITH_SECRET "}", NULL, LIST("--port", "1", "--port=2"));
    ok(conf != NULL && conf->listen[0].port == 2, "the last counts");
    conf_free(&conf);
    conf = good("an alias and its key", "{" WITH_SECRET "}", NULL,
                LIST("--cors:origin", "https://a", "--cors:origins", "https://b"));
    ok(conf != NULL && strcmp(conf->cors_origins[0], "https://b") == 0 &&
           conf->cors_origins[1] == NULL,
       "the last of the two counts");
    conf_free(&conf);
    conf = good("an object", "{" WITH_SECRET ",\"socket.io\":{\"namespace\":\"/n\",\"key\":\"k\"}}",
                NULL, LIST("--socket.io", "{\"key\":\"x\",\"redis\":{\"port\":1}}"));
    ok(conf != NULL && strcmp(conf->key, "x") == 0 && strcmp(conf->nsp, "/n") == 0 &&
           conf->redis.port == 1,
       "is merged key by key");
    conf_free(&conf);
    conf =
        good("elements", "{" WITH_SECRET ",\"cors\":{\"origins\":[\"https://x\",\"https://y\"]}}",
             NULL, LIST("--cors:origins:0", "https://a", "--cors.origins.1", "https://b"));
    ok(conf != NULL && strcmp(conf->cors_origins[0], "https://a") == 0 &&
           strcmp(conf->cors_origins[1], "https://b") == 0 && conf->cors_origins[2] == NULL,
       "make a list of their own");
    conf_free(&conf);
    conf = good("an element set again", "{" WITH_SECRET "}", NULL,
                LIST("--listen", "[1,2]", "--listen:0", "3", "--listen:2", "{\"port\":4}",
                     "--listen:3=unix:/s"));
    ok(conf != NULL && conf->nlisten == 4 && conf->listen[0].port == 3 &&
           conf->listen[2].port == 4 && strcmp(conf->listen[3].unix_path, "/s") == 0,
       "changes the list of the same source");
    conf_free(&conf);
}

static void test_environment(void)
{
    struct conf *conf;

    conf = good("upper case", "{" WITH_SECRET "}",
                LIST("PORT=1", "HOST=zzz", "PATH=/bin", "USER=root", "GROUP=x", "LISTEN=?",
                     "WORKERS=99", "LOG=x", "empty", "=x", "=", ""),
                NULL);
    ok(conf != NULL && conf->listen[0].port == 1 && conf->listen[0].host == NULL &&
           conf->user == NULL,
       "without the prefix only PORT counts");
    conf_free(&conf);
    conf =
        good("ranks", "{" WITH_SECRET "}", LIST("AXR_NOTIFYD__PORT=3", "port=2", "PORT=1"), NULL);
    ok(conf != NULL && conf->listen[0].port == 3, "the prefix over the plain name");
    conf_free(&conf);
    conf = good("ranks", "{" WITH_SECRET "}", LIST("port=2", "PORT=1"), NULL);
    ok(conf != NULL && conf->listen[0].port == 2, "the plain name over PORT");
    conf_free(&conf);
    conf = good(
        "any case", "{" WITH_SECRET "}",
        LIST("axr_Notifyd__socket.io__RedIs__host=a", "AXR_NOTIFYD__SOCKET_IO__PINGINTERVAL=999"),
        NULL);
    ok(conf != NULL && strcmp(conf->redis.host, "a") == 0 && conf->ping_interval_ms == 999,
       "of the prefix and name");
    conf_free(&conf);
    conf = good("empty", "{" WITH_SECRET ",\"port\":5,\"pidFile\":\"/x\"}",
                LIST("PORT=", "AXR_NOTIFYD__LISTEN=", "AXR_NOTIFYD__AUTH__SECRET=", "pidFile=",
                     "AXR_NOTIFYD__LOG__LEVEL=", "AXR_NOTIFYD__AUTH=", "AXR_NOTIFYD__WORKERS=\n"),
                NULL);
    ok(conf != NULL && conf->listen[0].port == 5 && conf->keys->n == 1 && conf->pid_file == NULL,
       "is not given, but for strings that are no secret");
    conf_free(&conf);
    conf = good("whole and part", "{}",
                LIST("auth__options__issuer=part",
                     "auth={\"secret\":\"" SECRET "\",\"options\":{\"issuer\":\"whole\"}}"),
                NULL);
    ok(conf != NULL && strcmp(conf->issuers[0], "part") == 0,
       "the part counts, whatever the order");
    conf_free(&conf);
    conf = good(
        "elements", "{" WITH_SECRET "}",
        LIST("AXR_NOTIFYD__CORS__ORIGINS__1=https://b", "AXR_NOTIFYD__CORS__ORIGINS__0=https://a"),
        NULL);
    ok(conf != NULL && strcmp(conf->cors_origins[1], "https://b") == 0 &&
           conf->cors_origins[2] == NULL,
       "in any order");
    conf_free(&conf);
    conf = good("the same twice", "{" WITH_SECRET "}",
                LIST("AXR_NOTIFYD__PORT=3", "axr_notifyd__port=3"), NULL);
    conf_free(&conf);
    conf = good("unknown", "{" WITH_SECRET "}",
                LIST("socket.io__redis__hots=x", "foo__bar=1", "AXR_NOTIFYD_PORT=tcp://1.2.3.4:5"),
                NULL);
    ok(has(&warnings, "environment socket.io__redis__hots: unknown key, not used; did you mean "
                      "\"socket.io:redis:host\"?") &&
           !has(&warnings, "foo") && !has(&warnings, "tcp"),
       "is no error without the prefix, but a warning where it looks like a slip");
    conf_free(&conf);
}

/* --- what is refused --- */

static const struct {
    const char *file, *env, *option, *value, *want;
} broken[] = {
    {"{\"port\":\"3000\"}", 0, 0, 0,
     "t.conf:1: port: found \"3000\", wanted an integer from 0 to 65535"},
    {"{\n\"port\":\n65536}", 0, 0, 0, "t.conf:2: port: found 65536, wanted an integer"},
    {"{\"port\":-1}", 0, 0, 0, "found -1"},
    {"{\"port\":1.5}", 0, 0, 0, "found 1.5"},
    {"{\"port\":null}", 0, 0, 0, "port: found null"},
    {"{\"port\":[1]}", 0, 0, 0, "port: found an array"},
    {"{\"workers\":0}", 0, 0, 0, "workers: found 0, wanted an integer from 1 to 256, or \"auto\""},
    {"{\"workers\":\"all\"}", 0, 0, 0, "workers: found \"all\""},
    {"{\"socket.io\":{\"allowEIO3\":1}}", 0, 0, 0,
     "socket.io:allowEIO3: found 1, wanted true or false"},
    {"{\"socket.io\":[]}", 0, 0, 0, "socket.io: found an empty array, wanted an object"},
    {"{\"socket.io\":{\"key\":5}}", 0, 0, 0, "socket.io:key: found 5, wanted a string"},
    {"{\"socket.io\":{\"transports\":[]}}", 0, 0, 0, "found an empty array, wanted a string or"},
    {"{\"socket.io\":{\"transports\":[\n\"polling\",\n\"flash\"]}}", 0, 0, 0,
     "t.conf:3: socket.io:transports: found \"flash\", wanted \"polling\" or \"websocket\""},
    {"{\"log\":{\"level\":\"loud\"}}", 0, 0, 0,
     "log:level: found \"loud\", wanted \"error\", \"warn\", \"info\" or \"debug\""},
    {"{\"log\":{\"target\":\"sylog\"}}", 0, 0, 0, "log:target: found \"sylog\", wanted \"stderr\""},
    {"{\"wrokers\":1}", 0, 0, 0, "t.conf:1: wrokers: unknown key; did you mean \"workers\"?"},
    {"{\"redis\":{}}", 0, 0, 0, "redis: unknown key; did you mean \"socket.io:redis\"?"},
    {"{\"pingTimeout\":1}", 0, 0, 0, "did you mean \"socket.io:pingTimeout\"?"},
    {"{\"socket.io:key\":\"x\"}", 0, 0, 0, "socket.io:key: unknown key"},
    {"{\"socket.io\":{\"redis:host\":\"x\"}}", 0, 0, 0, "unknown key"},
    {"{\"cors\":{\"origins\":{\"0\":\"x\"}}}", 0, 0, 0, "cors:origins: found an object"},
    {"{\"\\u001b[2J\":1}", 0, 0, 0, "t.conf:1: \\x1b[2J: unknown key"},
    {"{\"xyzzyplugh\":1}", 0, 0, 0, "xyzzyplugh: unknown key\n"},
    {"{\"port\":1,\n\"port\":2}", 0, 0, 0,
     "t.conf:2:1: found the key \"port\" again (it is in line 1"},
    {"{\"port\":1,}", 0, 0, 0, "t.conf:1:10: found a comma before '}'"},
    {"[]", 0, 0, 0, "t.conf:1: found an empty array, wanted an object"},
    {"{\"cors\":{\"origin\":\"*\",\n\"origins\":\"*\"}}", 0, 0, 0,
     "t.conf:2: cors:origins: found it again under another name (cors:origin, line 1)"},
    {"{\"user\":\"a\\nb\"}", 0, 0, 0, "user: found a control character"},
    {"", "AXR_NOTIFYD__PORT=x", 0, 0,
     "environment AXR_NOTIFYD__PORT: port: found \"x\", wanted an integer"},
    {"", "PORT=x", 0, 0, "environment PORT: port: found \"x\""},
    {"", "port={", 0, 0, "environment port: port: column 2: found the end of the text"},
    {"", "AXR_NOTIFYD__PROT=1", 0, 0,
     "environment AXR_NOTIFYD__PROT: unknown key; did you mean \"AXR_NOTIFYD__PORT\"?"},
    {"", "AXR_NOTIFYD__SOCKET_IO__PING_INTERVAL=1", 0, 0,
     "did you mean \"AXR_NOTIFYD__SOCKET_IO__PINGINTERVAL\"?"},
    {"", "AXR_NOTIFYD__=1", 0, 0, "environment AXR_NOTIFYD__: unknown key"},
    {"", "auth=x", 0, 0, "environment auth: auth: found a string, wanted an object"},
    {"", "AXR_NOTIFYD__AUTH={\"a\"", 0, 0, "AUTH: auth: column 5: found the end of the text"},
    {"", "AXR_NOTIFYD__USER=\xff", 0, 0, "user: found invalid UTF-8"},
    {"", "cors__origins__1=https://a", 0, 0, "found element 1 without element 0 before it"},
    {"", 0, "--prot", "1", "command line: prot: unknown key; did you mean \"port\"?"},
    {"", 0, "--socket.io.redis.hst", "1",
     "socket.io.redis.hst: unknown key; did you mean \"socket.io:redis:host\"?"},
    {"", 0, "--port", "", "command line: port: found \"\", wanted an integer"},
    {"", 0, "--port", 0, "command line: port: found no value after it"},
    {"", 0, "--port", "\"80\"", "command line: port: found \"80\""},
    {"", 0, "--port:0", "1", "port:0: unknown key"},
    {"", 0, "--cors:origins:0:x", "1", "unknown key"},
    {"", 0, "--cors:origins", "[\"https://a\"",
     "command line: cors:origins: column 13: found the end"},
    {"", 0, "--cors:origins", "https://a,",
     "cors:origins: found \"\", wanted a string that is not empty"},
    {"", 0, "--socket.io", "5", "command line: socket.io: found a number, wanted an object"},
    {"", 0, "stray", 0, "command line: found a word that is no --KEY"},
    {"", 0, "--admin:port", "of",
     "admin:port: found \"of\", wanted an integer from 0 to 65535, or \"off\""},
    {"", 0, "--admin:host", "a b", "admin:host: found \"a b\", wanted a host name"},
    {"", 0, "--path", "/a?b", "path: found \"/a?b\", wanted a path"},
    {"", 0, "--path", "/a b", "path: found \"/a b\""},
    {"", 0, "--socket.io:namespace", "/a,b",
     "socket.io:namespace: found \"/a,b\", wanted a namespace without"},
    {"", 0, "--socket.io:namespace", "/a?b", "wanted a namespace without"},
    {"", 0, "--host", "a:b", "host: found \"a:b\", wanted a host name or an address"},
    {"", 0, "--cors:origins", "https://a/",
     "cors:origins: found \"https://a/\", wanted \"*\" or an origin"},
    {"", 0, "--cors:origins", "https://a.*", "wanted \"*\" or an origin"},
    {"", 0, "--cors:origins", "https://*", "wanted \"*\" or an origin"},
    {"", 0, "--cors:origins", "a.example", "wanted \"*\" or an origin"},
    {"", 0, "--cors:origins", "[5]", "cors:origins: found 5"},
    {"", 0, "--cors:origins", "[\"\"]", "cors:origins: found \"\""},
    {"{\"proxies\":[\"10.0.0.0/8\",\n\"10.0.0.1/8\"]}", 0, 0, 0,
     "t.conf:2: proxies: found \"10.0.0.1/8\", wanted a network without bits behind its prefix"},
    {"", 0, "--proxies", "10.0.0.0/33",
     "proxies: found \"10.0.0.0/33\", wanted a prefix of 0 to 32 bits after the '/'"},
    {"", 0, "--proxies", "proxy.example",
     "proxies: found \"proxy.example\", wanted an address, a network such as 10.0.0.0/8"},
    {"", 0, "--proxies", "unix:", "proxies: found \"unix:\", wanted an address"},
    {"{\"proxies\":{}}", 0, 0, 0, "proxies: found an object, wanted a string or an array"},
    {"{\"proxies\":true}", 0, 0, 0, "proxies: found true, wanted a string or an array"},
    {"", 0, "--proxyHeader", "X-Real-IP",
     "proxyHeader: found \"X-Real-IP\", wanted \"X-Forwarded-For\" or \"Forwarded\""},
    {"", 0, "--limits:attachments", "256",
     "limits:attachments: found 256, wanted an integer from 0 to 255"},
    {"{\"limits\":{\"sendTimeout\":\"10 parsecs\"}}", 0, 0, 0,
     "t.conf:1: limits:sendTimeout: found \"10 parsecs\", wanted an integer from 100 to 86400000 "
     "(milliseconds), or a duration as \"10s\" (ms, s, m, h or d)\n"},
    {"", 0, "--limits:sendTimeout", "64k", "limits:sendTimeout: found \"64k\", wanted an integer"},
    {"", 0, "--limits:sendTimeout", "99ms", "limits:sendTimeout: found \"99ms\", wanted an"},
    {"", 0, "--limits:sendTimeout", "2d", "limits:sendTimeout: found \"2d\", wanted an integer"},
    {"", 0, "--limits:sendTimeout", "0.1001s",
     "limits:sendTimeout: found \"0.1001s\", which is no whole number of milliseconds, wanted an "
     "integer"},
    {"{\"limits\":{\"sendTimeout\":\"10000\"}}", 0, 0, 0, "sendTimeout: found \"10000\", wanted"},
    {"", "AXR_NOTIFYD__LIMITS__SENDBUFFER=10s", 0, 0,
     "environment AXR_NOTIFYD__LIMITS__SENDBUFFER: limits:sendBuffer: found \"10s\", wanted an "
     "integer from 4096 to 1073741824 (bytes), or a size as \"64k\" (B, k, M or G), and no unit of "
     "time\n"},
    {"", 0, "--socket.io:connectionStateRecovery:maxBytes", "64k",
     "found \"64k\", wanted an integer from 1048576 to 4294967296 (bytes), or a size as \"64M\""},
    {"", 0, "--auth:options:clockTolerance", "500ms",
     "found \"500ms\", which is no whole number of seconds, wanted an integer from 0 to 86400 "
     "(seconds), or a duration as \"10s\""},
    {"", 0, "--limits:connections", "10k",
     "limits:connections: found \"10k\", wanted an integer from 1 to 16000000, and no unit\n"},
    {"", 0, "--limits:connections", "1e9", "limits:connections: found 1e9"},
    {"{\"limits\":{\"connections\":\"10\"}}", 0, 0, 0,
     "found \"10\", wanted an integer from 1 to 16000000, and no quotes around it\n"},
    {"", 0, "--limits:sendTimeout", "64k", "(ms, s, m, h or d), and no unit of sizes\n"},
    {"", 0, "--limits:sendTimeout", "10 s", "found \"10 s\", wanted an integer"},
    {"", 0, "--limits:sendTimeout", "10S", "(ms, s, m, h or d)\n"},
};

static void test_broken(void)
{
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        refused(broken[i].want, broken[i].file, broken[i].env != NULL ? LIST(broken[i].env) : NULL,
                broken[i].option != NULL ? LIST(broken[i].option, broken[i].value) : NULL,
                broken[i].want);
}

static void test_long(void)
{
    char *long_name = malloc(2000), *file = malloc(5000);
    char nsp[300];

    memset(long_name, 'a', 1999);
    long_name[1999] = '\0';
    memcpy(long_name, "AXR_NOTIFYD__", 13);
    long_name[1990] = '=';
    refused("a long variable", "", LIST(long_name), NULL, "unknown key");
    memcpy(long_name, "--", 2);
    refused("a long option", "", NULL, LIST(long_name), "unknown key");
    (void)snprintf(file, 5000, "{\"%s\":1,\"log\":{\"%s\":1}}", long_name, long_name);
    refused("a long key", file, NULL, NULL, "unknown key");
    memset(nsp, 'n', 256);
    nsp[256] = '\0';
    refused("a namespace of 256 bytes without its /", "", NULL, LIST("--socket.io:namespace", nsp),
            "wanted at most 256 bytes");
    memset(nsp, 'n', 257);
    nsp[257] = '\0';
    refused("a namespace of 257 bytes", "", NULL, LIST("--socket.io:namespace", nsp),
            "found 257 bytes, wanted at most 256");
    nsp[0] = '/';
    nsp[256] = '\0';
    struct conf *conf = good("a namespace of 256 bytes", "{" WITH_SECRET "}", NULL,
                             LIST("--socket.io:namespace", nsp));

    conf_free(&conf);
    free(long_name);
    free(file);
}

static void test_all_errors(void)
{
    size_t lines = 0;

    ok(load("{\"port\":\"x\",\n\"wrokers\":1,\n\"log\":{\"level\":1,\n\"target\":\"x\"},"
            "\"cors\":{\"origins\":[1,\n2,\"b\"]}}",
            LIST("AXR_NOTIFYD__FOO=1"), LIST("--bar", "1")) == NULL,
       "many errors");
    for (size_t i = 0; i < errors.len; i++)
        lines += errors.data[i] == '\n';
    is_int(lines, 9, "each has its line");
    refused("what comes in spite of a file that is no JSON", "{", LIST("PORT=x"), NULL,
            "environment PORT");
    ok(!has(&errors, "found no key"), "but not what may be in it");
    refused("a bad value", "{\"auth\":{\"secret\":5}}", NULL, NULL, "auth:secret: found a number");
    ok(!has(&errors, "found no key"), "is not also a missing one");
    refused("no object", "{\"auth\":null}", NULL, NULL, "auth: found null, wanted an object");
    ok(!has(&errors, "found no key"), "is not also a missing key");
}

/* --- auth --- */

static void refused_auth(const char *auth, const char *want)
{
    char file[400], expanded[300];

    expand(expanded, sizeof(expanded), auth);
    (void)snprintf(file, sizeof(file), "{\"auth\":{%s}}", expanded);
    refused(want, file, NULL, NULL, want);
}

static struct conf *good_auth(const char *auth)
{
    char file[400], expanded[300];

    expand(expanded, sizeof(expanded), auth);
    (void)snprintf(file, sizeof(file), "{\"auth\":{%s}}", expanded);
    return good(auth, file, NULL, NULL);
}

#define S "\"secret\":\"" SECRET "\""
#define K "\"publicKeyFile\":\"DIR/ec.pem\""

static void test_no_key(void)
{
    static const char want[] = "auth: found no key to check tokens with, wanted auth:secretFile";

    refused("nothing at all", "", NULL, NULL, want);
    refused("an empty object", "{\"auth\":{}}", NULL, NULL, want);
    refused_auth("\"secret\":\"\"", want);
    refused_auth("\"password\":\"\"", want);
    refused_auth("\"secretFile\":\"\"", want);
    refused_auth("\"publicKeyFile\":\"\"", want);
    refused_auth("\"secretFile\":\"/dev/null\"", want);
    refused_auth("\"secretFile\":\"DIR/newline\"", want);
    refused_auth("\"strategy\":\"JWTStrategy\"", want);
    refused_auth("\"secret\":null", "auth:secret: found null, wanted a string");
    refused_auth("\"secret\":true", "auth:secret: found a boolean");
    refused_auth("\"secret\":{}", "auth:secret: found an object, wanted a string or an array of");
    refused_auth("\"secret\":12345", "auth:secret: found a number");
    refused_auth("\"secretFile\":null", "auth:secretFile: found null");
    refused_auth(S ",\"options\":null", "auth:options: found null");
    refused("auth on the command line", "{" WITH_SECRET "}", NULL, LIST("--auth", "null"),
            "command line: auth: found null");
}

static void test_secret(void)
{
    struct conf *conf;
    char name[200];

    refused_auth("\"secretFile\":\"DIR/nowhere\"", "nowhere: No such file or directory");
    refused_auth("\"secretFile\":\"DIR\"", "Is a directory");
    refused_auth("\"secretFile\":\"DIR/large\"", "more than 65536 bytes");
    refused_auth("\"secretFile\":\"DIR/ec.pem\"",
                 "auth:secretFile: found a PEM or a public key, wanted a secret");
    refused_auth("\"secret\":\"-----BEGIN PUBLIC KEY-----\\nx\"", "auth:secret: found a PEM");
    refused_auth(S ",\n\"password\":\"x\"",
                 "t.conf:2: auth:password: found it again under another name");

    conf = good_auth("\"password\":\"" SECRET "\"");
    ok(conf != NULL && shows("auth:secret = ********  (file t.conf:1, auth:password)"),
       "password is secret's other name");
    conf_free(&conf);
    conf = good_auth("\"secret\":\"short\"");
    ok(has(&warnings, "t.conf:1: auth:secret: the secret has 5 bytes; fewer than 32"),
       "a short one");
    conf_free(&conf);
    conf = good_auth("\"secretFile\":\"DIR/secret\"");
    ok(has_secret(conf, SECRET "\n", 33), "one newline at the end is dropped");
    is_int(warnings.len, 0, "a file of one's own is fine");
    conf_free(&conf);
    conf = good_auth("\"secretFile\":\"DIR/crlf\"");
    ok(has_secret(conf, SECRET "\r\n\r", 35), "so is CRLF, once");
    conf_free(&conf);
    conf = good_auth("\"secretFile\":\"DIR/nul\"");
    ok(has_secret(conf, "a\0b", 3), "any byte may be in it");
    conf_free(&conf);
    conf = good_auth("\"secretFile\":\"DIR/shared\"");
    ok(has(&warnings, "shared may be read by everyone"), "a file of everyone's is warned of");
    conf_free(&conf);

    (void)snprintf(name, sizeof(name), "AXR_NOTIFYD__AUTH__SECRETFILE=%s", scratch_path("secret"));
    conf = good("a file over a secret of a lesser source", "{\"auth\":{\"secret\":\"x\"}}",
                LIST(name), NULL);
    ok(has_secret(conf, SECRET "\n", 33), "is what counts");
    conf_free(&conf);
    conf =
        good("a secret over a file of a lesser source", "{\"auth\":{\"secretFile\":\"/nowhere\"}}",
             LIST("AXR_NOTIFYD__AUTH__SECRET=" SECRET), NULL);
    ok(has_secret(conf, SECRET, 32) &&
           has(&warnings, "t.conf:1: auth:secretFile: not used, for auth:secret is given"),
       "is what counts, and said");
    conf_free(&conf);
    conf = good("an empty file over a secret of a lesser source", "{" WITH_SECRET "}", NULL,
                LIST("--auth:secretFile", "/dev/null"));
    ok(has_secret(conf, SECRET, 32) && has(&warnings, "/dev/null is empty"), "is not given");
    conf_free(&conf);
    conf =
        good("an empty secret over another", "{" WITH_SECRET "}", NULL, LIST("--auth:secret", ""));
    ok(has_secret(conf, SECRET, 32), "is not given");
    conf_free(&conf);
    conf = good_auth("\"secret\":\"" SECRET "\\n\"");
    ok(has_secret(conf, SECRET, 32), "nor does a newline at its end count in the file");
    conf_free(&conf);
    conf = good("an environment made of a file", "{}",
                LIST("AXR_NOTIFYD__AUTH__SECRET=" SECRET "\r\n"), NULL);
    ok(has_secret(conf, SECRET, 32), "nor in the environment");
    conf_free(&conf);
    conf = good("two of them", "{}", LIST("AXR_NOTIFYD__AUTH__SECRET=" SECRET "\n\n"), NULL);
    ok(has_secret(conf, SECRET "\n", 33), "but one is as many as are dropped");
    conf_free(&conf);
    conf = good("one in a list", "{}", LIST("AXR_NOTIFYD__AUTH__SECRET__0=" SECRET "\n"), NULL);
    ok(has_secret(conf, SECRET, 32), "likewise");
    conf_free(&conf);
    conf = good("an end of line alone", "{" WITH_SECRET "}", LIST("AXR_NOTIFYD__AUTH__SECRET=\n"),
                NULL);
    ok(has_secret(conf, SECRET, 32), "is not given");
    conf_free(&conf);
    conf = good("a key among keys", "{\"auth\":{\"keys\":[{\"secret\":\"" SECRET "\\n\"}]}}", NULL,
                NULL);
    ok(has_secret(conf, SECRET, 32), "likewise");
    conf_free(&conf);
}

static void test_algorithms(void)
{
    struct conf *conf;

    conf = good_auth(K);
    ok(conf != NULL && conf->keys->n == 1 && algs_of(conf) == TOKEN_ES256, "those of a public key");
    conf_free(&conf);
    conf = good_auth(S "," K);
    ok(conf != NULL && algs_of(conf) == (TOKEN_HS | TOKEN_ES256), "those of both keys");
    conf_free(&conf);
    conf = good_auth(S "," K ",\"options\":{\"algorithm\":\"ES256\"}");
    ok(conf != NULL && algs_of(conf) == TOKEN_ES256, "one of them");
    conf_free(&conf);
    conf = good_auth(S ",\"options\":{\"algorithm\":[\"HS512\",\"HS512\"]}");
    ok(conf != NULL && algs_of(conf) == TOKEN_HS512, "an array under the other name");
    conf_free(&conf);
    refused_auth(S ",\"options\":{\"algorithms\":[\"none\"]}",
                 "algorithms: found \"none\", wanted HS256");
    refused_auth(S ",\"options\":{\"algorithms\":[\"HS256\",\n\"hs256\"]}",
                 "t.conf:2: auth:options:algorithms: found \"hs256\"");
    refused_auth(S ",\"options\":{\"algorithms\":[\"PS256\"]}", "found \"PS256\"");
    refused_auth(S ",\"options\":{\"algorithms\":[\"RS256\"]}",
                 "found \"RS256\", which needs auth:publicKeyFile");
    refused_auth(S ",\"options\":{\"algorithms\":[\"HS256\",\"ES256\"]}",
                 "found \"ES256\", which needs");
    refused_auth(K ",\"options\":{\"algorithms\":[\"HS256\"]}",
                 "found \"HS256\", which needs auth:secretFile");
    refused_auth(K ",\"options\":{\"algorithms\":[\"RS256\"]}",
                 "which none of the public keys can verify");
    refused_auth(K ",\"options\":{\"algorithms\":[\"ES384\"]}",
                 "which none of the public keys can verify");
    refused_auth(S ",\"options\":{\"algorithms\":[]}", "found an empty array");
    refused_auth(S ",\"options\":{\"algorithms\":\"\"}", "found \"\"");
    refused_auth(S ",\"options\":{\"algorithms\":null}", "found null");
    refused_auth("\"publicKeyFile\":\"DIR/private.pem\"",
                 "found a private key, wanted the public one");
    refused_auth("\"publicKeyFile\":\"DIR/cert.pem\"", "found a certificate");
    refused_auth("\"publicKeyFile\":\"DIR/secret\"", "found no public key in PEM");
    refused_auth("\"publicKeyFile\":\"/dev/null\"", "found no public key in PEM");
    refused_auth("\"publicKeyFile\":\"DIR/garbage.pem\"", "a public key that cannot be used");
    refused_auth("\"publicKeyFile\":\"DIR/nowhere\"", "No such file");
}

static void test_claims(void)
{
    struct conf *conf = good_auth(S ",\"options\":{\"audience\":[\"a\",\"b\"],\"issuer\":\"c,d\","
                                    "\"clockTolerance\":5}");

    ok(conf != NULL && strcmp(conf->token.audiences[0], "a") == 0 &&
           strcmp(conf->token.audiences[1], "b") == 0 && conf->token.audiences[2] == NULL,
       "audiences");
    ok(conf != NULL && strcmp(conf->token.issuers[0], "c,d") == 0 && conf->token.issuers[1] == NULL,
       "issuer");
    is_int(conf ? conf->token.tolerance_s : -1, 5, "clockTolerance");
    ok(conf != NULL && strcmp(conf->token.types[0], "JWT") == 0 &&
           strcmp(conf->token.types[1], "at+jwt") == 0 && conf->token.types[2] == NULL,
       "types, where none are given");
    conf_free(&conf);
    conf = good_auth(S ",\"options\":{\"types\":\"*\"}");
    ok(conf != NULL && strcmp(conf->token.types[0], "*") == 0 && conf->token.types[1] == NULL,
       "types that are");
    conf_free(&conf);
    refused_auth(S ",\"options\":{\"types\":[]}", "auth:options:types: found an empty array");
    refused_auth(S ",\"options\":{\"types\":[\"\"]}", "auth:options:types: found \"\"");
    refused_auth(S ",\"options\":{\"audience\":[]}", "auth:options:audience: found an empty array");
    refused_auth(S ",\"options\":{\"audience\":\"\"}", "auth:options:audience: found \"\"");
    refused_auth(S ",\"options\":{\"issuer\":[\"a\",\"\"]}", "auth:options:issuer: found \"\"");
    refused_auth(S ",\"options\":{\"issuer\":null}", "auth:options:issuer: found null");
    refused_auth(S ",\"options\":{\"issuer\":false}", "auth:options:issuer: found false");
    refused_auth(S ",\"options\":{\"subject\":\"x\"}", "auth:options:subject: unknown key");
    refused_auth(S ",\"options\":{\"maxAge\":\"1d\"}", "auth:options:maxAge: unknown key");
    refused_auth(S ",\"options\":{\"clockTolerance\":0.5}", "found 0.5");
    conf = good_auth(S ",\"options\":{\"roomsClaim\":\"profile.a\"}");
    is_str(conf ? conf->token.rooms_claim : NULL, "profile.a", "roomsClaim");
    is_int(conf ? (long)conf->token.rooms_per_client : -1, 1000, "and how many there may be");
    conf_free(&conf);
    conf = good_auth(S ",\"options\":{\"roomsClaim\":\"\"}");
    ok(conf != NULL && conf->token.rooms_claim == NULL, "an empty one is none");
    conf_free(&conf);
    refused_auth(S ",\"options\":{\"roomsClaim\":\"profile.\"}",
                 "auth:options:roomsClaim: found \"profile.\", wanted the name of a claim, or "
                 "profile. and that of a member");
    refused_auth(S ",\"options\":{\"roomsClaim\":[\"a\"]}", "auth:options:roomsClaim: found");
}

/* --- redis --- */

static void check_redis(const char *redis, const char *const *env, const char *const *options,
                        const char *want)
{
    char file[300], got[300] = "";
    struct conf *conf;

    (void)snprintf(file, sizeof(file), "{" WITH_SECRET ",\"socket.io\":{\"redis\":{%s}}}", redis);
    conf = good(redis, file, env, options);
    if (conf != NULL)
        (void)snprintf(got, sizeof(got), "%s:%s@%s:%d/%d%s",
                       conf->redis.username != NULL ? conf->redis.username : "",
                       conf->redis.password != NULL ? conf->redis.password : "", conf->redis.host,
                       conf->redis.port, conf->redis.database,
                       conf->redis.path != NULL ? conf->redis.path : "");
    is_str(got, want, "what is in force");
    conf_free(&conf);
}

#define URL(u) "\"url\":\"" u "\""

static void test_redis(void)
{
    char name[200];

    check_redis(URL("redis://"), NULL, NULL, ":@localhost:6379/0");
    check_redis(URL("redis://r1"), NULL, NULL, ":@r1:6379/0");
    check_redis(URL("redis://r1:1/2"), NULL, NULL, ":@r1:1/2");
    check_redis(URL("redis://:1/"), NULL, NULL, ":@localhost:1/0");
    check_redis(URL("REDIS://[::1]:1"), NULL, NULL, ":@::1:1/0");
    check_redis(URL("redis://[::1]"), NULL, NULL, ":@::1:6379/0");
    check_redis(URL("redis://u:p@r1"), NULL, NULL, "u:p@r1:6379/0");
    check_redis(URL("redis://:p@r1?db=5"), NULL, NULL, ":p@r1:6379/5");
    check_redis(URL("redis://u%40:p%2f%3A:x@@r1"), NULL, NULL, "u@:p/::x@@r1:6379/0");
    check_redis(URL("redis+unix:///run/r.sock"), NULL, NULL, ":@localhost:6379/0/run/r.sock");
    check_redis(URL("unix://u:p@/run/r%20s?db=2"), NULL, NULL, "u:p@localhost:6379/2/run/r s");
    check_redis(URL("redis://u:p@a:1/2") ",\"host\":\"b\",\"port\":3,\"database\":4,"
                                         "\"username\":\"v\",\"password\":\"q\"",
                NULL, NULL, "v:q@b:3/4");
    check_redis(URL("redis://a:1") ",\"path\":\"/s\"", NULL, NULL, ":@a:1/0/s");
    check_redis("\"host\":\"b\",\"port\":3,\"password\":\"q\"",
                LIST("socket.io__redis__url=redis://a:1"), NULL, ":q@a:1/0");
    check_redis(URL("redis://a:1"), LIST("socket.io__redis__host=b"), NULL, ":@b:1/0");
    check_redis(URL("redis://u:p@r1:7\\n"), NULL, NULL, "u:p@r1:7/0");
    check_redis("", LIST("socket.io__redis__url=redis://u:p@r1:7/1\n"), NULL, "u:p@r1:7/1");
    check_redis("", LIST("socket.io__redis__url=unix:///run/r.sock\r\n"), NULL,
                ":@localhost:6379/0/run/r.sock");
    check_redis("",
                LIST("socket.io__redis__host=r1\n", "socket.io__redis__port=7\n",
                     "socket.io__redis__password=q\n"),
                NULL, ":q@r1:7/0");
    check_redis("\"password\":\"q\\r\\n\"", NULL, NULL, ":q@localhost:6379/0");
    check_redis("\"path\":\"/s\"", LIST("socket.io__redis__host=b"), NULL, ":@b:6379/0");
    check_redis("\"path\":\"/s\",\"host\":\"b\"", NULL, NULL, ":@b:6379/0/s");
    check_redis("\"path\":\"/s\"", NULL, LIST("--socket.io:redis:url", "redis://b"), ":@b:6379/0");
    check_redis("\"path\":\"/s\"", NULL, LIST("--socket.io:redis:path", ""), ":@localhost:6379/0");
    check_redis("\"db\":3", NULL, NULL, ":@localhost:6379/3");
    check_redis("\"host\":\"\",\"username\":\"\",\"password\":\"\",\"url\":\"\"", NULL, NULL,
                ":@localhost:6379/0");
    (void)snprintf(name, sizeof(name), "socket.io__redis__passwordFile=%s",
                   scratch_path("password"));
    check_redis("\"password\":\"x\"", LIST(name), NULL, ":pa ss@localhost:6379/0");
    (void)snprintf(name, sizeof(name), "socket.io__redis__passwordFile=%s",
                   scratch_path("crlf-password"));
    check_redis(URL("redis://:x@a"), LIST(name), NULL, ":pa ss@a:6379/0");
    check_redis("\"passwordFile\":\"/nowhere\"", NULL, LIST("--socket.io:redis:password", "y"),
                ":y@localhost:6379/0");
    (void)snprintf(name, sizeof(name), URL("redis://:x@a") ",\"passwordFile\":\"%s\"",
                   scratch_path("password"));
    check_redis(name, NULL, NULL, ":pa ss@a:6379/0");
    check_redis(URL("redis://a/0"), NULL, NULL, ":@a:6379/0");
    check_redis("\"database\":4", NULL, LIST("--socket.io:redis:url", "redis://b/0"), ":@b:6379/0");
    check_redis("\"username\":\"u\"", NULL, NULL, "u:@localhost:6379/0");
    is_int(warnings.len, 0, "is no mistake");
}

/* What is empty is none: redis tells the two apart. */
static void test_redis_empty(void)
{
    struct conf *conf;

    conf = good("no user in a URL", "{" WITH_SECRET "}", NULL,
                LIST("--socket.io:redis:url", "redis://:p@a"));
    ok(conf && !conf->redis.username && conf->redis.password, "is none");
    conf_free(&conf);
    conf = good("no password in a URL", "{" WITH_SECRET "}", NULL,
                LIST("--socket.io:redis:url", "redis://u:@a"));
    ok(conf && conf->redis.username && !conf->redis.password, "is none");
    conf_free(&conf);
    conf = good("a password file with nothing in it", "{" WITH_SECRET "}", NULL,
                LIST("--socket.io:redis:passwordFile", scratch_path("newline")));
    ok(conf && !conf->redis.password, "is none");
    conf_free(&conf);
}

static void refused_redis(const char *key, const char *value, const char *want)
{
    char option[100];

    (void)snprintf(option, sizeof(option), "--socket.io:redis:%s", key);
    refused(value, "{" WITH_SECRET "}", NULL, LIST(option, value), want);
    ok(!has(&errors, "hunter2"), "without the password");
}

static void test_redis_refused(void)
{
    refused_redis("tls", "1", "found 1, wanted true, false or an object");
    refused_redis("url", "r1:6379", "socket.io:redis:url: wanted redis://");
    refused_redis("url", "http://:hunter2@r1", "wanted redis://");
    refused_redis("url", "redis://:hunter2@r1:0", "a port from 1 to 65535");
    refused_redis("url", "redis://:hunter2@r1:65536", "a port from 1 to 65535");
    refused_redis("url", "redis://r1:1x", "a port from 1 to 65535");
    refused_redis("url", "redis://r1:+1", "a port from 1 to 65535");
    refused_redis("url", "redis://r 1", "a host name or an address");
    refused_redis("url", "redis://[::1", "a host name or an address");
    refused_redis("url", "redis://[::1]x", "after the ]");
    refused_redis("url", "redis://r1/x", "a database number");
    refused_redis("url", "redis://r1/1/2", "a database number");
    refused_redis("url", "redis://r1/-1", "a database number");
    refused_redis("url", "redis://r1/99999999999999999999", "a database number");
    refused_redis("url", "redis://r1?x=hunter2", "nothing but ?db=NUMBER");
    refused_redis("url", "redis://:hunter2%@r1", "a password with");
    refused_redis("url", "redis://:hunter2%00@r1", "a password with");
    refused_redis("url", "redis://%zz@r1", "a user name with");
    refused_redis("url", "unix://r1/x", "no host in the URL of a Unix socket");
    refused_redis("url", "unix://", "the path of a socket");
    refused_redis("host", "a/b", "found no host name");
    refused_redis("keyPrefix", "x", "unknown key");
    refused_redis("path",
                  "/0123456789012345678901234567890123456789012345678901234567890123456789012345"
                  "6789012345678901234567890123456789",
                  "socket.io:redis:path: found 111 bytes, wanted at most 107");
    refused_redis("passwordFile", "/nowhere", "cannot read /nowhere");
    refused_redis("passwordFile", scratch_path("nul"), "found a NUL");
    refused("two passwords", "{" WITH_SECRET "}", NULL,
            LIST("--socket.io:redis:password", "hunter2", "--socket.io:redis:passwordFile", "/x"),
            "socket.io:redis:passwordFile: found socket.io:redis:password as well");
}

/* --- the token of the admin address --- */

static void admin_token_is(const char *name, const char *file, const char *const *args,
                           const char *want, const char *warning)
{
    struct conf *conf = good(name, file, NULL, args);

    if (conf == NULL)
        return;
    if (want == NULL)
        ok(conf->admin_token == NULL, "there is none");
    else
        is_str(conf->admin_token, want, "it is in force");
    ok(warning == NULL ? !has(&warnings, "guess") : has(&warnings, warning), "warned of: %s",
       warning != NULL ? warning : "nothing");
    ok(!has(&warnings, "hunter"), "without the token");
    conf_free(&conf);
}

static void test_admin_token(void)
{
    char in_file[500];

    (void)snprintf(in_file, sizeof(in_file), "{" WITH_SECRET ",\"admin\":{\"tokenFile\":\"%s\"}}",
                   scratch_path("token"));
    admin_token_is("no token", "{" WITH_SECRET "}", NULL, NULL, NULL);
    admin_token_is("a token", "{" WITH_SECRET "}", LIST("--admin:token", "hunter2hunter2hunter2"),
                   "hunter2hunter2hunter2", NULL);
    admin_token_is("a short one", "{" WITH_SECRET "}", LIST("--admin:token", "hunter2hunter-2"),
                   "hunter2hunter-2", "admin:token: the token has 15 bytes; fewer than 16 ");
    scratch_write("token", "hunter2hunter2hunter2\r\n", 23, 0600);
    admin_token_is("a file", in_file, NULL, "hunter2hunter2hunter2", NULL);
    admin_token_is("one that counts more", in_file, LIST("--admin:token", "0123456789abcdef"),
                   "0123456789abcdef", NULL);
    refused("two tokens", "{" WITH_SECRET "}", NULL,
            LIST("--admin:token", "hunter2", "--admin:tokenFile", "/x"),
            "admin:tokenFile: found admin:token as well");
    refused("no file", "{" WITH_SECRET "}", NULL, LIST("--admin:tokenFile", "/nowhere"),
            "admin:tokenFile: cannot read /nowhere");
    refused("a blank", "{" WITH_SECRET "}", NULL, LIST("--admin:token", "hunter2 hunter2"),
            "admin:token: found what no header can carry");
    ok(!has(&errors, "hunter"), "which is not told");
    refused("no ASCII", "{" WITH_SECRET "}", NULL, LIST("--admin:token", "hunter\xc3\xa9"),
            "admin:token: found what no header can carry");
    scratch_write("token", "hunter2\n\n", 9, 0644);
    refused("two lines", in_file, NULL, NULL, "admin:tokenFile: found what no header can carry");
    scratch_write("token", "\n", 1, 0644);
    admin_token_is("an empty file", in_file, NULL, NULL, "admin:tokenFile: it is empty, so there ");
    unlink(scratch_path("token"));
}

/* --- listeners --- */

static void check_listen(const char *listen, const char *want)
{
    struct conf *conf = good(listen, "{" WITH_SECRET "}", NULL, LIST("--listen", listen));
    char line[300];

    (void)snprintf(line, sizeof(line), "listen = %s  (command line)", want);
    if (!ok(shows(line), "is %s", want))
        printf("#   %s\n", text(&report));
    conf_free(&conf);
}

static void refused_listen(const char *listen, const char *want)
{
    refused(listen, "{" WITH_SECRET "}", NULL, LIST("--listen", listen), want);
}

static void test_listen(void)
{
    struct conf *conf;

    check_listen(
        "[3000,\"a:1\",\"[::1]:2\",\"unix:/s\",{\"port\":3},{\"host\":\"::1\",\"port\":4}]",
        "[\"*:3000\",\"a:1\",\"[::1]:2\",\"unix:/s\",\"*:3\",\"[::1]:4\"]");
    check_listen("80", "[\"*:80\"]");
    check_listen(":80, *:81", "[\"*:80\",\"*:81\"]");
    check_listen("[::]:80", "[\"[::]:80\"]");
    check_listen("[\"0\",0,\"a:0\",\"a:0\"]", "[\"*:0\",\"*:0\",\"a:0\",\"a:0\"]");
    check_listen("{\"host\":\"*\",\"port\":80}", "[\"*:80\"]");
    check_listen("\"a:80\"", "[\"a:80\"]");
    check_listen("unix:/a,unix:/b", "[\"unix:/a\",\"unix:/b\"]");
    refused_listen("[]", "listen: found an empty array");
    refused_listen("a", "found \"a\", wanted \"host:port\"");
    refused_listen("a:", "wanted a port from 0 to 65535 after the last ':'");
    refused_listen("a:65536", "wanted a port");
    refused_listen("a:-1", "wanted a port");
    refused_listen("::1:80", "wanted an IPv6 address in brackets");
    refused_listen("[a]:80", "wanted an IPv6 address in []");
    refused_listen("[1.2.3.4]:80", "wanted an IPv6 address in []");
    refused_listen("a b:80", "wanted \"host:port\"");
    refused_listen("http://a:80", "wanted an IPv6 address in brackets");
    refused_listen("unix:", "wanted a socket's path");
    refused_listen("[1.5]", "found 1.5, wanted a port");
    refused_listen("[65536]", "found 65536, wanted a port");
    refused_listen("[null]", "listen: found null");
    refused_listen("[[1]]", "listen: found an array");
    refused_listen("[{}]", "port to be a number");
    refused_listen("[{\"port\":\"80\"}]", "port to be a number");
    refused_listen("[{\"port\":80,\"tsl\":true}]", "its keys to be address, or host and port, tls");
    refused_listen("[{\"port\":80,\"host\":\"[::1]\"}]", "host to be a name");
    refused_listen("[80,\":80\"]", "found \":80\", wanted each address once");
    refused_listen("a:1,A:1", "each address once");
    refused_listen("unix:/a,unix:/a", "each address once");
    refused_listen("[1,2", "listen: found \"[1\"");
    refused_listen("[\"a:1\"", "listen: column 7");
    refused("lines of elements", "{" WITH_SECRET ",\"listen\":[\n1,\n2,\n1]}", NULL, NULL,
            "t.conf:4: listen: found 1, wanted each address once");

    conf = good("listen over port and host", "{" WITH_SECRET ",\"listen\":[1]}", LIST("PORT=2"),
                LIST("--host", "a"));
    ok(conf != NULL && conf->nlisten == 1 && conf->listen[0].port == 1 &&
           conf->listen[0].host == NULL,
       "is what counts");
    ok(has(&warnings, "environment PORT: port: not used, for listen is given") &&
           has(&warnings, "command line: host: not used"),
       "and said");
    conf_free(&conf);
    conf = good("host in brackets", "{" WITH_SECRET "}", NULL, LIST("--host", "[::1]"));
    is_str(conf ? conf->listen[0].host : NULL, "::1", "without them");
    conf_free(&conf);
    conf = good("host *", "{" WITH_SECRET "}", NULL, LIST("--host", "*"));
    ok(conf != NULL && conf->listen[0].host == NULL, "all addresses");
    conf_free(&conf);
}

/* --- the rest --- */

static const struct {
    const char *option, *value, *line;
} resolved[] = {
    {"--path", "", "path = \"/notifications/\"  (command line)"},
    {"--path", "/", "path = \"/\"  (command line)"},
    {"--path", "//a/b//", "path = \"/a/b/\"  (command line)"},
    {"--socket.io:namespace", "axr", "socket.io:namespace = \"/axr\"  (command line)"},
    {"--socket.io:namespace", "", "socket.io:namespace = \"/axr\"  (command line)"},
    {"--socket.io:key", "", "socket.io:key = \"socket.io\"  (command line)"},
    {"--cors:origins", "false", "cors:origins = []  (command line)"},
    {"--cors:origins", "[]", "cors:origins = []  (command line)"},
    {"--cors:origins", "HTTPS://App.Example:443",
     "cors:origins = [\"https://app.example\"]  (command line)"},
    {"--cors:origins", "http://[::1]:80,capacitor://localhost",
     "cors:origins = [\"http://[::1]\",\"capacitor://localhost\"]  (command line)"},
    {"--cors:origin", "*", "cors:origins = [\"*\"]  (command line, cors:origin)"},
    {"--workers", "\"auto\"", 0},
    {"--log:target", "./x", "log:target = \"./x\"  (command line)"},
};

static void test_resolved(void)
{
    for (size_t i = 0; i < sizeof(resolved) / sizeof(resolved[0]); i++) {
        struct conf *conf = good(resolved[i].value, "{" WITH_SECRET "}", NULL,
                                 LIST(resolved[i].option, resolved[i].value));

        if (resolved[i].line != NULL)
            ok(shows(resolved[i].line), "%s", resolved[i].line);
        conf_free(&conf);
    }
    struct conf *conf =
        good("several origins", "{" WITH_SECRET "}", NULL, LIST("--cors:origins", "https://a,*"));

    ok(conf != NULL && conf->cors_any && conf->cors_origins[1] != NULL, "any among others");
    conf_free(&conf);
    conf = good("none", "{" WITH_SECRET ",\"cors\":{\"origins\":false}}", NULL, NULL);
    ok(conf != NULL && !conf->cors_any && conf->cors_origins[0] == NULL, "nobody");
    conf_free(&conf);
    conf = good("true", "{" WITH_SECRET ",\"cors\":{\"origin\":true}}", NULL, NULL);
    ok(conf != NULL && conf->cors_any, "anybody");
    conf_free(&conf);
    conf = good("admin off", "{" WITH_SECRET ",\"admin\":{\"port\":\"off\"}}", NULL, NULL);
    ok(conf != NULL && conf->admin_host == NULL, "is none");
    conf_free(&conf);
    conf = good("admin off", "{" WITH_SECRET ",\"admin\":{\"host\":\"off\"}}", NULL, NULL);
    ok(conf != NULL && conf->admin_host == NULL, "is none, by its host");
    conf_free(&conf);
    conf = good("a log", "{" WITH_SECRET ",\"log\":{\"target\":\"stdout\"}}", NULL, NULL);
    ok(conf != NULL && conf->log_target == LOG_TO_STDOUT && conf->log_file == NULL, "is on stdout");
    conf_free(&conf);
    conf = good("a log file", "{" WITH_SECRET ",\"log\":{\"target\":\"/l\",\"format\":\"json\"}}",
                NULL, NULL);
    ok(conf != NULL && conf->log_target == LOG_TO_FILE && strcmp(conf->log_file, "/l") == 0 &&
           conf->log_format == LOG_JSON,
       "is one");
    conf_free(&conf);
}

static void test_client_file(void)
{
    struct conf *conf;
    char name[200];

    (void)snprintf(name, sizeof(name), "%s/password", scratch);
    conf = good("a client file", "{" WITH_SECRET "}", NULL, LIST("--socket.io:clientFile", name));
    ok(conf != NULL && conf->client_len == 6 && memcmp(conf->client_text, "pa ss\n", 6) == 0,
       "is read");
    conf_free(&conf);
    conf = good("no client file", "{" WITH_SECRET "}", NULL, LIST("--socket.io:clientFile", ""));
    ok(conf != NULL && conf->client_text == NULL, "is none");
    conf_free(&conf);
    refused("one that is not there", "{" WITH_SECRET "}", NULL,
            LIST("--socket.io:clientFile", "/nowhere/x.js"),
            "socket.io:clientFile: cannot read /nowhere/x.js: No such file");
    refused("a directory", "{" WITH_SECRET "}", NULL, LIST("--socket.io:clientFile", scratch),
            "Is a directory");
    (void)snprintf(name, sizeof(name), "%s/huge", scratch);
    ok(truncate(name, (16L << 20) + 1) == 0, "a huge file");
    refused("one of more than 16 MiB", "{" WITH_SECRET "}", NULL,
            LIST("--socket.io:clientFile", name), "it has more than 16 MiB");
    ok(truncate(name, 16L << 20) == 0, "and one that just fits");
    conf = good("16 MiB", "{" WITH_SECRET "}", NULL, LIST("--socket.io:clientFile", name));
    ok(conf != NULL && conf->client_len == 16U << 20, "is read");
    conf_free(&conf);
}

static void test_policy(void)
{
    struct conf *conf = good("replace", "{" WITH_SECRET "}", NULL,
                             LIST("--limits:connectionsPerUserPolicy", "replace"));

    ok(conf != NULL && conf->replace_connections, "connectionsPerUserPolicy: the oldest leaves");
    conf_free(&conf);
}

static void test_ignored(void)
{
    struct conf *conf =
        good("what other services carry",
             "{\"service_name\":\"x\",\"version\":\"1\",\"cookie_secret\":\"hunter2\",\"session\":{"
             "\"secret\":\"hunter2\"},\n"
             "\"datastores\":{\"a\":[1,{\"b\":null}]},\"trusted_roles\":[\"admin\"],\"jobs\":{},\n"
             "\"auth\":{\"strategy\":\"JWT\",\"payload\":{\"x\":1},\"password\":\"" SECRET "\",\n"
             "\"options\":{\"expiresIn\":\"7 days\"}}}",
             LIST("AXR_NOTIFYD__COOKIE_SECRET=hunter2", "session__secret=hunter2"),
             LIST("--datastores:mongodb:host", "x"));

    ok(shows("ignored: auth:options:expiresIn  (file t.conf:4)") &&
           shows("ignored: datastores  (file t.conf:2)") &&
           shows("ignored: auth:payload  (file t.conf:3)") &&
           shows("ignored: service_name  (file t.conf:1)"),
       "is reported with its place");
    ok(!has(&report, "hunter2"), "without its value");
    is_int(warnings.len, 0, "and not warned of");
    conf_free(&conf);
    refused("an ignored key twice", "{\"service_name\":1,\"service_name\":2}", NULL, NULL, "again");
}

/* No secret in what is shown, whatever way it came in. */
static void test_secrecy(void)
{
    struct conf *conf;

    conf = good("secrets",
                "{\"auth\":{\"secret\":\"hunter2a\"},\"socket.io\":{\"redis\":{\"url\":"
                "\"redis://u:hunter2b@h\"}}}",
                LIST("AXR_NOTIFYD__SOCKET_IO__REDIS__PASSWORD=hunter2c"), NULL);
    ok(!has(&report, "hunter2") && !has(&warnings, "hunter2"), "are masked");
    conf_free(&conf);
    conf = good("secrets on the command line", "", NULL,
                LIST("--auth", "{\"secret\":\"" SECRET "\"}", "--socket.io:redis:password",
                     "hunter2", "--socket.io:redis:url", "redis://u:hunter2@h"));
    ok(has(&warnings, "command line: auth:secret: a secret there may be seen by other users") &&
           has(&warnings, "socket.io:redis:password: a secret there") &&
           has(&warnings, "socket.io:redis:url: a secret there") && !has(&warnings, "hunter2"),
       "are warned of");
    conf_free(&conf);
    conf = good("none", "{" WITH_SECRET "}", NULL, LIST("--socket.io:redis:url", "redis://h"));
    is_int(warnings.len, 0, "a URL without a password is no secret");
    conf_free(&conf);
    refused("a bad object with a secret", "", LIST("auth={\"secret\":\"hunter2\",}"), NULL,
            "comma");
    ok(!has(&errors, "hunter2"), "is not shown");
    refused("no object but a secret", "", LIST("auth=[\"hunter2\"]"), NULL, "found an array");
    ok(!has(&errors, "hunter2"), "is not shown");
    refused("a secret at the place of an object", "{\"auth\":\"hunter2\"}", NULL, NULL,
            "auth: found a string");
    ok(!has(&errors, "hunter2"), "is not shown");
    refused("a secret in a key that is not there", "", LIST("AXR_NOTIFYD__AUTH__SECERT=hunter2"),
            LIST("--auth:scret", "hunter2"), "did you mean \"auth:secret\"?");
    ok(!has(&errors, "hunter2"), "is not shown");
}

static void test_notify(void)
{
    struct conf *conf = load_for(
        CONF_FOR_NOTIFY,
        "{\"auth\":{\"secretFile\":\"/nowhere\"},\"port\":\"x\",\"socket.io\":"
        "{\"redis\":{\"host\":\"r1\"},\"namespace\":\"n\",\"key\":\"k\",\"pingTimeout\":null},"
        "\"admin\":{\"port\":1}}",
        LIST("PORT=x", "socket.io__redis__hots=1"), NULL);

    ok(conf != NULL && strcmp(conf->redis.host, "r1") == 0 && strcmp(conf->nsp, "/n") == 0 &&
           strcmp(conf->key, "k") == 0,
       "axr-notify reads what it needs");
    is_int(warnings.len, 0, "and is not warned of the rest");
    conf_free(&conf);
    conf = load_for(CONF_FOR_NOTIFY, "{\"socket.io\":{\"redis\":{\"prot\":1,\"port\":0}}}", NULL,
                    NULL);
    ok(conf == NULL && has(&errors, "socket.io:redis:prot: unknown") &&
           has(&errors, "socket.io:redis:port: found 0"),
       "what it needs is checked");
    conf_free(&conf);
}

static void test_probe(void)
{
    struct conf *conf = load_for(
        CONF_FOR_PROBE,
        "{\"auth\":{\"secretFile\":\"/nowhere\"},\"port\":\"x\",\"admin\":{\"host\":\"::1\"},"
        "\"socket.io\":{\"redis\":{\"passwordFile\":\"/nowhere\",\"port\":0}}}",
        LIST("PORT=x", "AXR_NOTIFYD__ADMIN__PORT=4001", "socket.io__redis__hots=1"), NULL);

    ok(conf != NULL && strcmp(conf->admin_host, "::1") == 0 && conf->admin_port == 4001,
       "--health reads where to ask");
    is_int(warnings.len, 0, "and is not warned of the rest");
    conf_free(&conf);
    conf = load_for(CONF_FOR_PROBE, "{\"admin\":{\"prot\":1,\"port\":65536}}", NULL, NULL);
    ok(conf == NULL && has(&errors, "admin:prot: unknown") &&
           has(&errors, "admin:port: found 65536"),
       "what it needs is checked");
    conf_free(&conf);
}

/* --- files --- */

static struct conf *load_file_for(enum conf_for purpose, const char *name)
{
    struct conf_args args = {.file = name, .dir = strchr(name, '/') != NULL ? "/d" : scratch};
    char *options[] = {strdup("--auth:secret=" SECRET), strdup("--pidFile"), strdup("run/x.pid"),
                       strdup("--listen"), strdup("unix:s")};
    struct conf *conf;

    args.options = options;
    args.noptions = 5;
    buf_reset(&errors);
    buf_reset(&warnings);
    conf = conf_load(&args, purpose, &errors, &warnings);
    for (size_t i = 0; i < 5; i++)
        free(options[i]);
    return conf;
}

static struct conf *load_file(const char *name)
{
    return load_file_for(CONF_FOR_DAEMON, name);
}

static void refused_file(const char *name, const char *want)
{
    struct conf *conf = load_file(name);

    if (!ok(conf == NULL && has(&errors, want), "%s: %s", name, want))
        printf("#   %s\n", text(&errors));
    conf_free(&conf);
}

static void reloaded(const char *name, const char *want)
{
    struct conf *conf = load_file_for(CONF_FOR_RELOAD, name);

    if (!ok(want != NULL ? conf == NULL && has(&errors, want) : conf != NULL, "a reload of %s",
            name))
        printf("#   %s\n", text(&errors));
    conf_free(&conf);
}

/* A file that is cut off while it is written anew is a configuration without anything. */
static void test_empty_files(void)
{
    struct conf *conf;

    scratch_write("empty.conf", "", 0, 0600);
    scratch_write("comment.conf", "\xef\xbb\xbf // nothing\n", 15, 0600);
    scratch_write("good.conf", "{}", 2, 0600);
    conf = load_file(scratch_path("empty.conf"));
    ok(conf != NULL, "an empty file is an empty configuration");
    ok(has(&warnings, "empty.conf: the file is empty"), "but warned of");
    conf_free(&conf);
    conf = load_file(scratch_path("comment.conf"));
    ok(conf != NULL && has(&warnings, "comment.conf: the file is empty"), "so is one of comments");
    conf_free(&conf);
    conf = load_file(scratch_path("good.conf"));
    ok(conf != NULL && !has(&warnings, "empty"), "an empty object is not");
    conf_free(&conf);
    conf = load_file("/dev/null");
    ok(conf != NULL && !has(&warnings, "empty"), "nor is what is no file");
    conf_free(&conf);
    conf = load_file_for(CONF_FOR_NOTIFY, scratch_path("empty.conf"));
    ok(conf != NULL && !has(&warnings, "empty"), "nor one for axr-notify");
    conf_free(&conf);
    reloaded(scratch_path("empty.conf"), "empty.conf: the file is empty, wanted an object");
    reloaded(scratch_path("comment.conf"), "comment.conf: the file is empty");
    reloaded(scratch_path("good.conf"), NULL);
    reloaded("/dev/null", NULL);
}

static void warned_shared(const char *json, const char *want)
{
    struct conf *conf;

    scratch_write("good.conf", json, strlen(json), 0644);
    conf = load_file(scratch_path("good.conf"));
    ok(conf != NULL, "%s", json);
    if (!ok(want != NULL ? has(&warnings, want) : !has(&warnings, "everyone"), "warned of: %s",
            want != NULL ? want : "no"))
        printf("#   %s\n", text(&warnings));
    conf_free(&conf);
    scratch_write("good.conf", json, strlen(json), 0640);
    conf = load_file(scratch_path("good.conf"));
    ok(conf != NULL && !has(&warnings, "everyone"), "not if it is one's own");
    conf_free(&conf);
}

static void test_shared_file(void)
{
    warned_shared("{" WITH_SECRET "}", "good.conf:1: auth:secret: a secret, and the file may be "
                                       "read by everyone");
    warned_shared("{\"auth\":{\"keys\":[{\"kid\":\"a\",\"secret\":\"" SECRET "\"}]}}",
                  "auth:keys: a secret, and the file");
    warned_shared("{\"socket.io\":{\n\"redis\":{\"password\":\"x\"}}}",
                  "good.conf:2: socket.io:redis:password: a secret, and the file");
    warned_shared("{\"socket.io\":{\"redis\":{\"url\":\"redis://:x@a\"}}}",
                  "socket.io:redis:url: a secret, and the file");
    warned_shared("{\"socket.io\":{\"redis\":{\"url\":\"redis://a\",\"password\":\"\"}}}", NULL);
    warned_shared("{\"port\":77}", NULL);
}

static void test_files(void)
{
    struct conf *conf = load_file("/dev/null");

    if (!ok(conf != NULL, "/dev/null is an empty configuration"))
        printf("#   %s\n", text(&errors));
    is_str(conf ? conf->pid_file : NULL, "/d/run/x.pid",
           "a relative file name begins at the directory");
    is_str(conf ? conf->listen[0].unix_path : NULL, "/d/s", "a socket's path too");
    conf_free(&conf);
    scratch_write("utf16.conf", "\xff\xfe{\0}\0", 6, 0600);
    scratch_write("nul.conf", "{\0}", 3, 0600);
    scratch_write("good.conf", "{\"port\":77}", 11, 0600);
    conf = load_file(scratch_path("good.conf"));
    ok(conf != NULL, "a good one");
    conf_free(&conf);
    conf = load_file("good.conf");
    ok(conf != NULL, "by a name that begins at the directory of the start");
    conf_free(&conf);
    refused_file(scratch_path("nowhere.conf"),
                 "nowhere.conf: cannot read the configuration: No such file");
    refused_file(scratch, "cannot read the configuration: Is a directory");
    refused_file("/dev/zero", "cannot read the configuration: File too large");
    refused_file(scratch_path("utf16.conf"), "utf16.conf:1:1: found byte 0xff");
    refused_file(scratch_path("nul.conf"), "nul.conf:1:2: found byte 0x00");
}

static void test_machine(void)
{
    struct rlimit limit = {500, 1000};
    cpu_set_t cpus;
    struct conf *conf;
    int cpu = sched_getcpu();
    char more[32];

    CPU_ZERO(&cpus);
    CPU_SET(cpu < 0 ? 0 : cpu, &cpus);
    ok(sched_setaffinity(0, sizeof(cpus), &cpus) == 0, "one CPU");
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* valgrind does not allow it */
    ok(getrlimit(RLIMIT_NOFILE, &limit) == 0, "a limit of files");
    conf = good("auto", "{" WITH_SECRET "}", NULL, NULL);
    is_int(conf ? conf->workers : -1, 1, "one worker");
    is_int(conf ? conf->connections_max : 0,
           conf ? limit.rlim_max - CONF_FILES_RESERVED - 2 * (size_t)conf->workers : 1,
           "connections: the hard limit less a reserve");
    conf_free(&conf);
    (void)snprintf(more, sizeof(more), "%llu", (unsigned long long)limit.rlim_max);
    conf = good("more", "{" WITH_SECRET "}", NULL, LIST("--limits:connections", more));
    ok(conf != NULL && conf->connections_max == limit.rlim_max &&
           has(&warnings, "but the hard limit of open files allows"),
       "too many connections are warned of");
    conf_free(&conf);
    conf = good("a share", "{\"limits\":{\"connections\":100}," WITH_SECRET "}", NULL, NULL);
    is_int(conf ? conf->strangers_max : 0, 25, "strangers: a quarter of them");
    conf_free(&conf);
    conf = good("a few", "{\"limits\":{\"connections\":20}," WITH_SECRET "}", NULL, NULL);
    is_int(conf ? conf->strangers_max : 0, CONF_STRANGERS_MIN, "but not too few");
    conf_free(&conf);
}

static void make_files(void)
{
    static const char large[70000];
    struct made authority = make((struct make){.name = "authority", .is_authority = 1});

    scratch_make("test_conf");
    scratch_text("ca.pem", authority.cert);
    scratch_text("ca2.pem", authority.cert);
    made_free(&authority);
    scratch_write("secret", SECRET "\n\n", 34, 0600);
    scratch_write("secret2", SECRET SECRET "\n", 65, 0600);
    scratch_write("crlf", SECRET "\r\n\r\r\n", 37, 0600);
    scratch_write("crlf-password", "pa ss\r\n", 7, 0600);
    scratch_write("shared", SECRET "\n", 33, 0644);
    scratch_write("newline", "\n", 1, 0600);
    scratch_write("nul", "a\0b\n", 4, 0600);
    scratch_write("large", large, sizeof(large), 0600);
    scratch_write("huge", "", 0, 0600);
    scratch_write("password", "pa ss\n", 6, 0600);
    struct made server = make((struct make){.name = "a", .names = "DNS:a"});
    scratch_write("server.pem", strcat(server.cert, server.pem_key),
                  strlen(server.cert) + strlen(server.pem_key), 0600);
    made_free(&server);
    scratch_write("ec.pem", public_pem, sizeof(public_pem) - 1, 0644);
    scratch_write("private.pem", "-----BEGIN PRIVATE KEY-----\n", 28, 0600);
    scratch_write("cert.pem", "-----BEGIN CERTIFICATE-----\n", 28, 0600);
    scratch_write("jwks", "{\"keys\":[]}\n", 12, 0600);
    scratch_write("garbage.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 57,
                  0600);
}

static void remove_files(void)
{
    static const char *const names[] = {
        "secret",      "secret2",    "shared",        "newline",     "nul",        "large",
        "password",    "ec.pem",     "huge",          "private.pem", "server.pem", "cert.pem",
        "garbage.pem", "empty.conf", "comment.conf",  "utf16.conf",  "nul.conf",   "good.conf",
        "jwks",        "crlf",       "crlf-password", "ca.pem",      "ca2.pem"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(scratch_path(names[i]));
    rmdir(scratch);
}

int main(void)
{
    make_files();
    test_defaults();
    test_every_key();
    test_command_line();
    test_environment();
    test_broken();
    test_long();
    test_all_errors();
    test_no_key();
    test_secret();
    test_algorithms();
    test_claims();
    test_redis();
    test_redis_empty();
    test_redis_refused();
    test_admin_token();
    test_listen();
    test_resolved();
    test_client_file();
    test_policy();
    test_ignored();
    test_secrecy();
    test_notify();
    test_probe();
    test_empty_files();
    test_shared_file();
    test_files();
    test_machine();
    remove_files();
    buf_free(&errors);
    buf_free(&warnings);
    buf_free(&report);
    return tap_done();
}
