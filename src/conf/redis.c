#include "conf/build.h"

#include "codec/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

/* redis://USER:PASSWORD@HOST:PORT/DATABASE, with TLS rediss://
 * redis+unix://USER:PASSWORD@/PATH?db=DATABASE, or unix:// */
struct url {
    char *host, *path, *username, *password; /* NULL: not in it */
    int port, database;                      /* -1: not in it */
    int is_unix, is_tls;
};

static void wipe(char **text)
{
    build_set(text, NULL);
}

static void url_clear(struct url *url)
{
    wipe(&url->host);
    wipe(&url->path);
    wipe(&url->username);
    wipe(&url->password);
}

/* The len bytes with %XX decoded, or NULL: broken, a NUL, or no memory. */
static char *decode(const char *text, size_t len)
{
    char *out = malloc(len + 1);
    long n = out != NULL ? http_unescape(out, (struct slice){text, len}, 0) : -1;

    if (n < 0 || memchr(out, '\0', (size_t)n) != NULL) {
        if (out != NULL)
            explicit_bzero(out, len);
        free(out);
        return NULL;
    }
    out[n] = '\0';
    return out;
}

/* text has digits and nothing else, up to end. */
static int number(const char *text, const char *end, long max)
{
    char *stop;
    long value;

    if (text == end || *text < '0' || *text > '9')
        return -1;
    errno = 0;
    value = strtol(text, &stop, 10);
    return stop == end && errno == 0 && value <= max ? (int)value : -1;
}

static const char *read_user(struct url *url, const char *text, const char *end)
{
    const char *colon = memchr(text, ':', (size_t)(end - text));
    const char *user_end = colon != NULL ? colon : end;

    if (user_end > text && (url->username = decode(text, (size_t)(user_end - text))) == NULL)
        return "a user name with its % signs as %25";
    if (colon != NULL && end > colon + 1 &&
        (url->password = decode(colon + 1, (size_t)(end - colon - 1))) == NULL)
        return "a password with its % signs as %25";
    return NULL;
}

static const char *read_host(struct url *url, const char *text, const char *end)
{
    const char *close = *text == '[' ? memchr(text, ']', (size_t)(end - text)) : NULL;
    const char *host = close != NULL ? text + 1 : text;
    const char *colon =
        memchr(close != NULL ? close : text, ':', (size_t)(end - (close != NULL ? close : text)));
    const char *host_end = close != NULL ? close : colon != NULL ? colon : end;

    if (close != NULL && close + 1 != (colon != NULL ? colon : end))
        return "\":port\" after the ] of the address";
    if (host_end > host) {
        if (!address_host(host, (size_t)(host_end - host)))
            return "a host name or an address after the //";
        url->host = strndup(host, (size_t)(host_end - host));
        if (url->host == NULL)
            return "more memory";
    }
    if (colon != NULL && colon + 1 < end) {
        url->port = number(colon + 1, end, 65535);
        if (url->port < 1)
            return "a port from 1 to 65535";
    }
    return NULL;
}

static const char *read_query(struct url *url, const char *text)
{
    static const char wanted[] =
        "nothing but ?db=NUMBER after the ?; what TLS needs is in socket.io:redis:tls";
    const char *value = strchr(text, '=');

    if (!*text)
        return NULL;
    if (value == NULL || (strncmp(text, "db=", 3) != 0 && strncmp(text, "database=", 9) != 0))
        return wanted;
    url->database = number(value + 1, value + strlen(value), INT32_MAX);
    return url->database < 0 ? wanted : NULL;
}

/* /3 of a TCP URL. */
static const char *read_database(struct url *url, const char *text, const char *end)
{
    if (end - text <= 1)
        return NULL;
    url->database = number(text + 1, end, INT32_MAX);
    return url->database < 0 ? "a database number after the host" : NULL;
}

static const char *read_path(struct url *url, const char *text, const char *end)
{
    if (end - text <= 1 || (url->path = decode(text, (size_t)(end - text))) == NULL)
        return "the path of a socket: redis+unix:///run/redis/redis.sock";
    return NULL;
}

static const char *read_scheme(struct url *url, const char **text)
{
    static const struct {
        const char *text;
        int is_unix, is_tls;
    } schemes[] = {
        {"redis://", 0, 0}, {"rediss://", 0, 1}, {"redis+unix://", 1, 0}, {"unix://", 1, 0}};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t n = strlen(schemes[i].text);

        if (strncasecmp(*text, schemes[i].text, n) == 0) {
            url->is_unix = schemes[i].is_unix;
            url->is_tls = schemes[i].is_tls;
            *text += n;
            return NULL;
        }
    }
    return "redis://user:password@host:port/database, rediss:// or redis+unix:///path";
}

/* Returns NULL, or what was wanted. */
static const char *url_parse(struct url *url, const char *text)
{
    const char *wanted, *end, *slash, *at, *query;

    url->port = url->database = -1;
    wanted = read_scheme(url, &text);
    if (wanted != NULL)
        return wanted;
    query = strchr(text, '?');
    end = query != NULL ? query : text + strlen(text);
    slash = memchr(text, '/', (size_t)(end - text));
    if (slash == NULL)
        slash = end;
    at = memrchr(text, '@', (size_t)(slash - text));
    if (at != NULL)
        wanted = read_user(url, text, at);
    if (wanted == NULL && !url->is_unix)
        wanted = read_host(url, at != NULL ? at + 1 : text, slash);
    else if (wanted == NULL && slash != (at != NULL ? at + 1 : text))
        wanted = "no host in the URL of a Unix socket";
    if (wanted == NULL)
        wanted = url->is_unix ? read_path(url, slash, end) : read_database(url, slash, end);
    return wanted != NULL || query == NULL ? wanted : read_query(url, query + 1);
}

/* --- the parts together --- */

/* A key of its own overrides the part of a URL, unless the URL comes from a
 * source that counts more. */
static int overrides(const struct setting *part, const struct setting *url)
{
    return setting_given(part) && part->source.layer >= url->source.layer;
}

static void take_text(struct settings *set, const char *path, char **field, char **value,
                      const struct setting *url)
{
    struct setting *part = settings_at(set, path);

    if (*value == NULL || overrides(part, url))
        return;
    build_set(field, *value);
    *value = NULL;
    part->source = url->source;
}

static void take_int(struct settings *set, const char *path, int *field, int value,
                     const struct setting *url)
{
    struct setting *part = settings_at(set, path);

    if (value < 0 || overrides(part, url))
        return;
    *field = value;
    part->source = url->source;
}

/* rediss:// is as good as "tls": true, and no worse than a false elsewhere that counts less. */
static void take_tls(struct conf_redis *redis, struct settings *set, const struct setting *url)
{
    struct setting *tls = settings_at(set, "socket.io:redis:tls");
    int is_off = setting_given(tls) && tls->value->type == JSONC_FALSE;

    if (is_off && tls->source.layer == url->source.layer) {
        settings_error(set, &tls->source, tls->path, "found false, and rediss: in %s", url->path);
    } else if (!is_off || tls->source.layer < url->source.layer) {
        redis->tls.on = 1;
        tls->source = url->source;
    }
}

static void take_url(struct conf *conf, struct settings *set, const struct setting *setting)
{
    struct conf_redis *redis = &conf->redis;
    struct url url = {0};
    const char *wanted = url_parse(&url, setting_text(setting));

    if (wanted != NULL) {
        settings_error(set, &setting->source, setting->path, "wanted %s", wanted);
    } else {
        take_text(set, "socket.io:redis:host", &redis->host, &url.host, setting);
        take_text(set, "socket.io:redis:path", &redis->path, &url.path, setting);
        take_text(set, "socket.io:redis:username", &redis->username, &url.username, setting);
        take_text(set, "socket.io:redis:password", &redis->password, &url.password, setting);
        take_int(set, "socket.io:redis:port", &redis->port, url.port, setting);
        take_int(set, "socket.io:redis:database", &redis->database, url.database, setting);
        if (url.is_tls)
            take_tls(redis, set, setting);
    }
    url_clear(&url);
}

/* A socket's path is used unless the host was named by a source that counts more. */
static void choose_endpoint(struct conf *conf, struct settings *set)
{
    struct setting *path = settings_at(set, "socket.io:redis:path");
    struct setting *host = settings_at(set, "socket.io:redis:host");

    if (conf->redis.path == NULL)
        return;
    if (host->source.layer > path->source.layer) {
        build_set(&conf->redis.path, NULL);
        path->source = host->source;
    } else if (strlen(conf->redis.path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        settings_error(set, &path->source, path->path, "found %zu bytes, wanted at most 107",
                       strlen(conf->redis.path));
    }
}

void build_redis(struct conf *conf, struct settings *set)
{
    const struct setting *url = settings_at(set, "socket.io:redis:url");
    const struct setting *host = settings_at(set, "socket.io:redis:host");

    if (conf->redis.host != NULL && !address_host(conf->redis.host, strlen(conf->redis.host)))
        settings_error(set, &host->source, host->path, "found no host name and no address");
    if (url->value != NULL)
        take_url(conf, set, url);
    choose_endpoint(conf, set);
    build_password(set, "socket.io:redis:passwordFile", "socket.io:redis:password",
                   &conf->redis.password);
    build_sentinels(conf, set);
    if (conf->redis.path != NULL && conf->redis.nsentinels == 0)
        build_no_tls_client(set, "socket.io:redis:tls", &conf->redis.tls);
    else
        build_tls_client(set, "socket.io:redis:tls", &conf->redis.tls);
    build_tls_client(set, "socket.io:redis:sentinelTLS", &conf->redis.sentinel_tls);
}
