/* The last value that a key takes and the first that it does not: each in a table here,
 * which has to name all that the schema has. */
#include "conf.h"
#include "conf/schema.h"

#include "scratch.h"
#include "tap.h"

#include <math.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SECRET       "0123456789abcdef0123456789abcdef"
#define DAY_MS       86400000

static struct buf errors, warnings;

static const char *text(struct buf *buf)
{
    buf_putc(buf, '\0');
    buf->len--;
    return (const char *)buf->data;
}

static int has(struct buf *buf, const char *part)
{
    return strstr(text(buf), part) != NULL;
}

/* One option, beside a secret and one worker in the file. */
static struct conf *load(const char *path, const char *value)
{
    char option[SCHEMA_PATH_MAX + 8];
    char *words[] = {option, strdup(value)};
    static const char file[] = "{\"auth\":{\"secret\":\"" SECRET "\"},\"workers\":1}";
    struct conf_args args = {.file = "t.conf", .options = words, .noptions = 2, .dir = scratch};
    struct conf *conf;

    (void)snprintf(option, sizeof(option), "--%s", path);
    buf_reset(&errors);
    buf_reset(&warnings);
    conf = conf_load_text(&args, file, strlen(file), CONF_FOR_DAEMON, &errors, &warnings);
    free(words[1]);
    return conf;
}

static void is_taken(const char *path, const char *value, const char *name)
{
    struct conf *conf = load(path, value);

    if (!ok(conf != NULL, "%s: %s", path, name))
        printf("#   %s", text(&errors));
    conf_free(&conf);
}

static void is_refused(const char *path, const char *value, const char *why, const char *name)
{
    struct conf *conf = load(path, value);

    if (!ok(conf == NULL && has(&errors, why), "%s: %s", path, name))
        printf("#   got  %s\n#   want %s\n", conf != NULL ? "a configuration" : text(&errors), why);
    conf_free(&conf);
}

/* --- numbers --- */

static const struct number {
    const char *path;
    int64_t min, max;
} numbers[] = {
    {"workers", 1, 256},
    {"port", 0, 65535},
    {"socket.io:redis:port", 1, 65535},
    {"socket.io:redis:database", 0, 2147483647},
    {"socket.io:pingInterval", 10, DAY_MS},
    {"socket.io:pingTimeout", 10, DAY_MS},
    {"socket.io:connectTimeout", 10, DAY_MS},
    {"socket.io:upgradeTimeout", 10, DAY_MS},
    {"socket.io:requestsTimeout", 100, 60000},
    {"socket.io:maxHttpBufferSize", 100, 268435456},
    {"socket.io:connectionStateRecovery:maxDisconnectionDuration", 100, DAY_MS},
    {"socket.io:connectionStateRecovery:maxBytes", 1048576, 4294967296},
    {"auth:options:clockTolerance", 0, 86400},
    {"limits:connections", 1, 16000000},
    {"limits:strangers", 1, 16000000},
    {"limits:connectionsPerUser", 0, 1000000},
    {"limits:connectionsPerAddress", 0, 1000000},
    {"limits:roomsPerClient", 2, 1000000},
    {"limits:headerBytes", 1024, 1048576},
    {"limits:headers", 8, 256},
    {"limits:tokenBytes", 64, 65536},
    {"limits:messageBytes", 64, 67108864},
    {"limits:attachments", 0, 255},
    {"limits:sendBuffer", 4096, 1073741824},
    {"limits:sendTimeout", 100, DAY_MS},
    {"limits:idleTimeout", 100, DAY_MS},
    {"shutdownTimeout", 0, DAY_MS},
    {"drainTimeout", 0, DAY_MS},
    {"admin:port", 0, 65535},
};

/* What is in force of it. */
static int64_t in_force(const struct conf *conf, const struct key *key)
{
    const char *at = (const char *)conf + key->offset;

    if (strcmp(key->path, "port") == 0)
        return conf->listen[0].port;
    if (strcmp(key->path, "admin:port") == 0)
        return conf->admin_port;
    if (strcmp(key->path, "auth:options:clockTolerance") == 0)
        return conf->token.tolerance_s;
    switch (key->field) {
    case FIELD_INT:
        return *(const int *)(const void *)at;
    case FIELD_U32:
        return *(const uint32_t *)(const void *)at;
    case FIELD_SIZE:
        return (int64_t) * (const size_t *)(const void *)at;
    default:
        return -1;
    }
}

static void number_is_taken(const struct key *key, int64_t value)
{
    char digits[32];
    struct conf *conf;

    (void)snprintf(digits, sizeof(digits), "%lld", (long long)value);
    conf = load(key->path, digits);
    if (ok(conf != NULL, "%s: %s is taken", key->path, digits))
        is_int(in_force(conf, key), value, "and is what is in force");
    else
        printf("#   %s", text(&errors));
    conf_free(&conf);
}

static void number_is_refused(const struct number *number, const char *value)
{
    char why[128];

    (void)snprintf(why, sizeof(why), "%s: found %s, wanted an integer from %lld to %lld",
                   number->path, value, (long long)number->min, (long long)number->max);
    is_refused(number->path, value, why, value);
}

/* The most and the least, written with a unit, and what is beyond them. */
static void test_quantity(const struct key *key)
{
    static const struct {
        const char *unit, *beyond;
    } kinds[] = {
        [QUANTITY_MS] = {"ms", "1.5d"},
        [QUANTITY_S] = {"s", "1.5d"},
        [QUANTITY_BYTES] = {"B", "5G"},
    };
    char value[40];
    struct conf *conf;

    for (int i = 0; i < 2; i++) {
        int64_t number = i == 0 ? key->min : key->max;

        (void)snprintf(value, sizeof(value), "%lld%s", (long long)number, kinds[key->unit].unit);
        conf = load(key->path, value);
        if (ok(conf != NULL, "%s: %s is taken", key->path, value))
            is_int(in_force(conf, key), number, "and is what is in force");
        conf_free(&conf);
    }
    conf = load(key->path, kinds[key->unit].beyond);
    ok(conf == NULL && strstr(text(&errors), "wanted an integer from ") != NULL,
       "%s: %s is too much", key->path, kinds[key->unit].beyond);
    conf_free(&conf);
    (void)snprintf(value, sizeof(value), "%lld%s", (long long)key->max,
                   key->unit == QUANTITY_BYTES ? "s" : "k");
    conf = load(key->path, value);
    ok(conf == NULL && strstr(text(&errors), quantity_units(key->unit)) != NULL,
       "%s: %s has the wrong unit, and the right ones are named", key->path, value);
    conf_free(&conf);
}

static void test_number(const struct number *number)
{
    const struct key *key = schema_key(number->path);
    char value[32];

    is_int(key->min, number->min, "the least");
    is_int(key->max, number->max, "and the most");
    number_is_taken(key, number->min);
    number_is_taken(key, number->max);
    (void)snprintf(value, sizeof(value), "%lld", (long long)number->min - 1);
    number_is_refused(number, value);
    (void)snprintf(value, sizeof(value), "%lld", (long long)number->max + 1);
    number_is_refused(number, value);
    (void)snprintf(value, sizeof(value), "%lld.5", (long long)number->min);
    number_is_refused(number, value);
    if (key->unit != QUANTITY_COUNT)
        test_quantity(key);
}

static void test_numbers(void)
{
    size_t n = 0;

    for (size_t i = 0; i < conf_nkeys; i++) {
        const char *path = conf_keys[i].path;
        size_t row = 0;

        if (conf_keys[i].type != KEY_INT)
            continue;
        while (row < COUNT(numbers) && strcmp(numbers[row].path, path) != 0)
            row++;
        if (ok(row < COUNT(numbers), "%s is in the table", path))
            test_number(&numbers[row]);
        n++;
    }
    is_int(n, COUNT(numbers), "and no other");
}

/* --- texts --- */

/* Longest value, which begins with start and goes on with x; bad: a text of such length is
 * no good for another reason (no such file). */
static const struct {
    const char *path, *start;
    size_t max;
    int bad;
} texts[] = {
    {"host", "", 255, 0},
    {"tls:certFile", "/", 4096, 1},
    {"tls:keyFile", "/", 4096, 1},
    {"tls:ciphers", "", 4096, 1},
    {"tls:cipherSuites", "", 1024, 1},
    {"proxies", "", 255, 1},
    {"path", "", 256, 0},
    {"socket.io:namespace", "/", 256, 0},
    {"socket.io:redis:host", "", 255, 0},
    {"socket.io:redis:path", "/", 4096, 1},
    {"socket.io:redis:url", "redis://h?db=", 4096, 1},
    {"socket.io:redis:username", "", 1024, 0},
    {"socket.io:redis:password", "", 65536, 0},
    {"socket.io:redis:passwordFile", "/", 4096, 1},
    {"socket.io:redis:name", "", 255, 0},
    {"socket.io:redis:sentinelUsername", "", 1024, 0},
    {"socket.io:redis:sentinelPassword", "", 65536, 0},
    {"socket.io:redis:sentinelPasswordFile", "/", 4096, 1},
    {"socket.io:redis:tls:ca", "", 262144, 1},
    {"socket.io:redis:tls:caFile", "/", 4096, 1},
    {"socket.io:redis:tls:cert", "", 262144, 1},
    {"socket.io:redis:tls:certFile", "/", 4096, 1},
    {"socket.io:redis:tls:key", "", 262144, 1},
    {"socket.io:redis:tls:keyFile", "/", 4096, 1},
    {"socket.io:redis:tls:servername", "", 255, 0},
    {"socket.io:redis:sentinelTLS:ca", "", 262144, 1},
    {"socket.io:redis:sentinelTLS:caFile", "/", 4096, 1},
    {"socket.io:redis:sentinelTLS:cert", "", 262144, 1},
    {"socket.io:redis:sentinelTLS:certFile", "/", 4096, 1},
    {"socket.io:redis:sentinelTLS:key", "", 262144, 1},
    {"socket.io:redis:sentinelTLS:keyFile", "/", 4096, 1},
    {"socket.io:redis:sentinelTLS:servername", "", 255, 0},
    {"socket.io:key", "", 256, 0},
    {"socket.io:connectionStateRecovery:secretFile", "/", 4096, 1},
    {"socket.io:clientFile", "/", 4096, 1},
    {"auth:secret", "", 65536, 0},
    {"auth:secretFile", "/", 4096, 1},
    {"auth:publicKeyFile", "/", 4096, 1},
    {"auth:jwksFile", "/", 4096, 1},
    {"auth:options:audience", "", 1024, 0},
    {"auth:options:issuer", "", 1024, 0},
    {"auth:options:types", "", 255, 0},
    {"auth:options:roomsClaim", "", 255, 0},
    {"auth:options:algorithms", "", 16, 1},
    {"cors:origins", "http://", 1024, 0},
    {"socket.io:transports", "", 16, 1},
    {"log:target", "/", 4096, 0},
    {"admin:host", "", 255, 0},
    {"admin:token", "", 1024, 0},
    {"admin:tokenFile", "/", 4096, 1},
    {"pidFile", "/", 4096, 0},
    {"user", "", 255, 0},
    {"group", "", 255, 0},
};

static int is_text(const struct key *key)
{
    return key->type == KEY_TEXT || key->type == KEY_LIST || key->type == KEY_TEXTS;
}

static void test_text(const char *path, const char *start, size_t max, int bad)
{
    char *value = malloc(max + 2), why[128];
    struct conf *conf;

    memset(value, 'x', max + 1);
    memcpy(value, start, strlen(start));
    value[max + 1] = '\0';
    (void)snprintf(why, sizeof(why), "%s: found %zu bytes, wanted at most %zu", path, max + 1, max);
    if (schema_key(path)->words == NULL)
        is_refused(path, value, why, "a byte too many");
    value[max] = '\0';
    conf = load(path, value);
    ok((conf != NULL) == !bad && !has(&errors, "wanted at most"), "%s: %zu bytes", path, max);
    conf_free(&conf);
    free(value);
}

static void test_texts(void)
{
    size_t n = 0;

    for (size_t i = 0; i < conf_nkeys; i++) {
        const struct key *key = &conf_keys[i];
        size_t row = 0;

        if (!is_text(key))
            continue;
        while (row < COUNT(texts) && strcmp(texts[row].path, key->path) != 0)
            row++;
        n++;
        if (!ok(row < COUNT(texts), "%s is in the table", key->path))
            continue;
        is_int(key->max, texts[row].max, "with its length");
        /* That of a path to a socket is told in its own words. */
        if (strcmp(key->path, "socket.io:redis:path") != 0)
            test_text(key->path, texts[row].start, texts[row].max, texts[row].bad);
    }
    is_int(n, COUNT(texts), "and no other");
}

static void test_bytes(void)
{
    is_refused("path", "/a b", "a path of printable ASCII", "a blank");
    is_taken("path", "/a!~", "the first and the last that are printed");
    is_refused("path", "/a\x7f", "found a control character", "DEL");
    is_refused("socket.io:key", "a\x1f", "found a control character", "the last control character");
    is_taken("socket.io:key", "a ", "a blank, which is none");
    is_refused("socket.io:key", "a\x7f", "found a control character", "DEL, which is one");
}

/* --- sockets --- */

/* n of them, with commas in between. */
static char *many_paths(size_t n)
{
    struct buf list = {0};

    for (size_t i = 0; i < n; i++)
        buf_printf(&list, "%sunix:/%zu", i > 0 ? "," : "", i);
    buf_putc(&list, '\0');
    return (char *)list.data;
}

/* start and then so many x. */
static const char *stretched(const char *start, size_t len)
{
    static char out[8192];

    memset(out, 'x', len);
    memcpy(out, start, strlen(start));
    out[len] = '\0';
    return out;
}

static void test_sockets(void)
{
    char *all = many_paths(64), *more = many_paths(65);
    struct conf *conf = load("listen", all);

    ok(conf != NULL && conf->nlisten == 64, "64 addresses");
    ok(conf != NULL && strcmp(conf->listen[63].unix_path, "/63") == 0, "with the last of them");
    conf_free(&conf);
    is_refused("listen", more, "found \"unix:/64\", wanted at most 64 addresses", "the 65th");
    free(all);
    free(more);
    is_taken("listen", stretched("unix:/", 5 + 107), "a path of 107 bytes");
    is_refused("listen", stretched("unix:/", 5 + 108), "a socket's path of 1 to 107", "and of 108");
    is_taken("socket.io:redis:path", stretched("/", 107), "a path of 107 bytes");
    is_refused("socket.io:redis:path", stretched("/", 108),
               "socket.io:redis:path: found 108 bytes, wanted at most 107", "and of 108");
    is_taken("socket.io:redis:url", stretched("unix:///", 7 + 107), "a path of 107 bytes");
    is_refused("socket.io:redis:url", stretched("unix:///", 7 + 108),
               "socket.io:redis:path: found 108 bytes, wanted at most 107", "and of 108");
    is_taken("socket.io:redis:url", "unix:///a", "a path of 2 bytes");
    is_refused("socket.io:redis:url", "unix:///", "the path of a socket", "and of 1");
    is_taken("listen", "unix:/", "a path of 1 byte");
}

static void test_addresses(void)
{
    char address[8200];

    for (int len = 255; len <= 256; len++) {
        (void)snprintf(address, sizeof(address), "%s:1", stretched("", (size_t)len));
        if (len == 255)
            is_taken("listen", address, "a name of 255 bytes");
        else
            is_refused("listen", address, "wanted \"host:port\"", "and of 256");
    }
    is_taken("listen", "a:65535", "the last port");
    is_refused("listen", "a:65536", "wanted a port from 0 to 65535", "and one more");
    is_taken("listen", "a:00080", "five digits");
    is_refused("listen", "a:000080", "wanted a port from 0 to 65535", "and one more");
    is_taken("listen", "[65535]", "the last port as a number");
    is_taken("listen", "[0]", "and any");
    is_refused("listen", "[65536]", "wanted a port from 0 to 65535", "one more as a number");
    is_refused("listen", "[-1]", "wanted a port from 0 to 65535", "and one below");
    is_taken("listen", "{\"port\":65535}", "the last port of an object");
    is_refused("listen", "{\"port\":65536}", "wanted a port from 0 to 65535", "and one more");
    is_refused("listen", "[]:80", "an IPv6 address in []", "no address");
    is_refused("host", "[]", "a host name or an address", "no address in brackets");
    is_taken("listen", "[::]:80", "the shortest address");
    is_taken("host", "[::]", "in brackets");
    is_taken("socket.io:redis:url", "redis://h:1", "the first port");
    is_taken("socket.io:redis:url", "redis://h:9/9", "ports and databases of nines");
    is_taken("socket.io:redis:url", "redis://h:65535/2147483647", "the last port and database");
    is_taken("socket.io:redis:url", "redis://h?db=0", "the first database");
    is_refused("socket.io:redis:url", "redis://h:65536", "a port from 1 to 65535", "one more port");
    is_refused("socket.io:redis:url", "redis://h/2147483648", "a database number", "database");
    is_refused("socket.io:redis:url", "redis://h?db=2147483648", "nothing but ?db=NUMBER", "db=");
    is_refused("socket.io:redis:url", "redis://h:/:", "a database number", "no digit");
}

/* --- files --- */

/* A file of len bytes: text, and white space behind it, or what fill is. */
static void make_file(const char *name, const char *begin, char fill, size_t len)
{
    char *bytes = malloc(len);

    memset(bytes, fill, len);
    memcpy(bytes, begin, strlen(begin));
    scratch_write(name, bytes, len, 0600);
    free(bytes);
}

static void check_file(const char *path, const char *begin, char fill, size_t max, const char *why)
{
    make_file("limit", begin, fill, max);
    is_taken(path, scratch_path("limit"), "a file of the greatest length");
    make_file("limit", begin, fill, max + 1);
    is_refused(path, scratch_path("limit"), why, "and of a byte more");
}

static void test_config_file(void)
{
    static const char begin[] = "{\"auth\":{\"secret\":\"" SECRET "\"}}";
    struct conf_args args = {.file = "limit", .dir = scratch};

    for (size_t more = 0; more < 2; more++) {
        struct conf *conf;

        make_file("limit", begin, ' ', (1 << 20) + more);
        buf_reset(&errors);
        conf = conf_load(&args, CONF_FOR_DAEMON, &errors, &warnings);
        if (more == 0)
            ok(conf != NULL, "a configuration of 1 MiB");
        else
            ok(conf == NULL && has(&errors, "cannot read the configuration: File too large"),
               "and of a byte more");
        conf_free(&conf);
    }
}

static void test_files(void)
{
    static const char jwks[] = "{\"keys\":[{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY"
                               "3ODlhYmNkZWY\"}]}";

    test_config_file();
    check_file("auth:secretFile", "", 's', 65536, "it has more than 65536 bytes");
    check_file("socket.io:redis:passwordFile", "", 'p', 65536, "File too large");
    check_file("socket.io:connectionStateRecovery:secretFile", "", 's', 65536,
               "it has more than 65536 bytes");
    check_file("auth:jwksFile", jwks, ' ', 262144, "it has more than 262144 bytes");
    check_file("auth:publicKeyFile",
               "-----BEGIN PUBLIC KEY-----\n"
               "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpopwSk+NplptpGpWF45cL3y7IBCw\n"
               "qYLTkjqv0XsWMb2NUpaVRUb29x0HZsjl0Bay/XF4zUdSBHYlEAA8hMixkA==\n"
               "-----END PUBLIC KEY-----\n",
               '\n', 65536, "it has more than 65536 bytes");
    unlink(scratch_path("limit"));
}

/* --- names --- */

/* A variable's name of len bytes: start, and x behind it. */
static struct conf *load_variable(const char *start, size_t len)
{
    char *variables[] = {NULL, NULL};
    static const char file[] = "{\"auth\":{\"secret\":\"" SECRET "\"}}";
    struct conf_args args = {.file = "t.conf", .environ = variables};
    struct conf *conf;

    variables[0] = malloc(len + 3);
    memcpy(variables[0], stretched(start, len), len);
    memcpy(variables[0] + len, "=1", 3);
    buf_reset(&errors);
    buf_reset(&warnings);
    conf = conf_load_text(&args, file, strlen(file), CONF_FOR_DAEMON, &errors, &warnings);
    free(variables[0]);
    return conf;
}

static void test_names(void)
{
    for (size_t len = SCHEMA_PATH_MAX - 2; len <= SCHEMA_PATH_MAX + 1; len++) {
        struct conf *conf = load_variable("log__x", len);

        ok(conf != NULL && has(&warnings, "unknown key") == (len < SCHEMA_PATH_MAX),
           "a variable of %zu bytes is %s", len, len < SCHEMA_PATH_MAX ? "looked at" : "no key");
        conf_free(&conf);
        conf = load_variable("AXR_NOTIFYD__", len);
        ok(conf == NULL && has(&errors, "unknown key"), "and is refused where it is ours");
        conf_free(&conf);
        conf = load(stretched("log:", len - 1), "1");
        ok(conf == NULL && has(&errors, "unknown key"), "as is a key of %zu", len - 1);
    }
}

static void test_elements(void)
{
    is_refused("listen:9", "1", "found element 9 without element 0 before it", "one digit");
    is_refused("listen:9999", "1", "found element 9999 without element 0", "four digits");
    is_refused("listen:10000", "1", "unknown key", "and one more");
    is_refused("listen:0a", "1", "unknown key", "no digit");
    is_refused("listen:0/", "1", "unknown key", "what stands before 0");
    is_refused("listen:0;", "1", "unknown key", "and behind 9");
}

/* How far a name may be from the one that is meant. */
static void test_suggestions(void)
{
    is_refused("xort", "1", "did you mean \"port\"", "a letter of four");
    is_refused("xxrt", "1", "did you mean \"port\"", "two of four");
    is_refused("xxxt", "1", "unknown key\n", "three of four");
    is_refused("useXX", "1", "did you mean \"user\"", "two of five");
    is_refused("useXXX", "1", "did you mean \"user\"", "three of six");
    is_refused("shutdownTimeXXX", "1", "did you mean \"shutdownTimeout\"", "three of many");
    is_refused("shutdownTiXXXXX", "1", "unknown key\n", "five of many");
    is_refused("shutdownTimXXXX", "1", "unknown key\n", "four of many");
    is_refused("usr", "1", "did you mean \"user\"", "one of three");
    is_refused("uXX", "1", "unknown key\n", "two of three");
    is_refused("level", "1", "did you mean \"log:level\"", "the right name in the wrong place");
    is_refused("admin:level", "1", "did you mean \"log:level\"", "and in a wrong one");
}

/* --- keys --- */

static void test_keys(void)
{
    struct buf list = {0};

    for (int n = 32; n <= 33; n++) {
        buf_reset(&list);
        for (int i = 0; i < n; i++)
            buf_printf(&list, "%s\"" SECRET "%02d\"", i > 0 ? "," : "[", i);
        buf_puts(&list, "]");
        if (n == 32)
            is_taken("auth:secret", text(&list), "32 keys");
        else
            is_refused("auth:secret", text(&list), "found more than 32 keys", "and one more");
    }
    buf_free(&list);
    is_taken("auth:secret", stretched("", 32), "a secret of 32 bytes");
    ok(!has(&warnings, "easier to guess"), "which is not warned of");
    is_taken("auth:secret", stretched("", 31), "one of 31");
    ok(has(&warnings, "the secret has 31 bytes; fewer than 32 are easier to guess"), "which is");
}

/* n public keys for one algorithm, each with a kid or none with one. */
static void check_rivals(int n, int named, const char *warning)
{
    struct buf list = {0};

    for (int i = 0; i < n; i++) {
        buf_printf(&list, "%s{\"publicKeyFile\":\"ec.pem\"", i > 0 ? "," : "[");
        if (named)
            buf_printf(&list, ",\"kid\":\"%d\"", i);
        buf_puts(&list, "}");
    }
    buf_puts(&list, "]");
    is_taken("auth:keys", text(&list), "several public keys");
    if (warning == NULL)
        is_int(warnings.len, 0, "as many as may be tried");
    else
        ok(has(&warnings, warning), "warned of: %s", warning);
    buf_free(&list);
}

static void test_rivals(void)
{
    scratch_text("ec.pem", "-----BEGIN PUBLIC KEY-----\n"
                           "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpopwSk+NplptpGpWF45cL3y7IBCw\n"
                           "qYLTkjqv0XsWMb2NUpaVRUb29x0HZsjl0Bay/XF4zUdSBHYlEAA8hMixkA==\n"
                           "-----END PUBLIC KEY-----\n");
    check_rivals(4, 0, NULL);
    check_rivals(5, 0, "5 public keys have no kid; a token is tried with 4 of them at most");
    check_rivals(4, 1, NULL);
    check_rivals(5, 1,
                 "5 public keys are for one algorithm; a token without a kid is tried with "
                 "the first 4 of them only");
    unlink(scratch_path("ec.pem"));
}

/* --- the machine --- */

static void check_strangers(const char *connections, size_t want)
{
    struct conf *conf = load("limits:connections", connections);

    is_int(conf ? conf->strangers_max : 0, want, "strangers");
    conf_free(&conf);
}

#define NO_LIMIT (SIZE_MAX - 1) /* valgrind does not let it be set */

/* In a process with so many files: what one worker may have (path NULL), or 1 if the value
 * is warned of. */
static size_t with_files(rlim_t files, const char *path, const char *value)
{
    const struct rlimit limit = {files, files};
    int fds[2];
    size_t got = 0;
    pid_t pid;

    if (pipe(fds) < 0 || (pid = fork()) < 0)
        abort();
    if (pid == 0) {
        struct conf *conf = NULL;
        got = setrlimit(RLIMIT_NOFILE, &limit) < 0 ? NO_LIMIT : 0;
        if (got == 0)
            conf = load(path ? path : "workers", path ? value : "1");
        if (conf != NULL)
            got = path ? (size_t)has(&warnings, "the hard limit of open files")
                       : conf->connections_max;
        _exit((conf != NULL || got == NO_LIMIT) && write(fds[1], &got, sizeof(got)) == sizeof(got)
                  ? 0
                  : 1);
    }
    close(fds[1]);
    if (read(fds[0], &got, sizeof(got)) != sizeof(got))
        got = SIZE_MAX;
    close(fds[0]);
    waitpid(pid, NULL, 0);
    return got;
}

static void test_machine(void)
{
    const rlim_t reserved = 64 + 2;

    check_strangers("63", 16);
    check_strangers("67", 16);
    check_strangers("68", 17);
    if (with_files(reserved, NULL, NULL) == NO_LIMIT) {
        ok(1, "connections # SKIP no limit of files can be set");
        return;
    }
    is_int(with_files(reserved, NULL, NULL), 1, "connections: one where there is room for none");
    is_int(with_files(reserved + 1, NULL, NULL), 1, "one where there is for one");
    is_int(with_files(reserved + 2, NULL, NULL), 2, "two where there is for two");
    is_int(with_files(reserved + 9, "limits:connections", "9"), 0, "as many as may be");
    is_int(with_files(reserved + 9, "limits:connections", "10"), 1, "one more is warned of");
}

int main(void)
{
    scratch_make("test_conf_limits");
    test_numbers();
    test_texts();
    test_bytes();
    test_sockets();
    test_addresses();
    test_files();
    test_names();
    test_elements();
    test_suggestions();
    test_keys();
    test_rivals();
    test_machine();
    rmdir(scratch);
    buf_free(&errors);
    buf_free(&warnings);
    return tap_done();
}
