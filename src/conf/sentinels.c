#include "conf/build.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SENTINELS_MAX 16
#define SENTINEL_PORT 26379

static const char wanted_place[] = "\"host:port\", \"host\" or \"[::1]:port\"";

struct list { /* that is made, and where it is in the configuration */
    struct conf_redis *redis;
    struct settings *set;
    const struct setting *setting;
    struct source source;
};

static void bad(struct list *list, const struct jsonc *value, const char *wanted)
{
    char found[96];

    settings_error(list->set, &list->source, list->setting->path, "found %s, wanted %s",
                   value_describe(value, 0, found, sizeof(found)), wanted);
}

/* --- one sentinel --- */

static int is_there(const struct conf_redis *redis, struct slice host, int port)
{
    for (size_t i = 0; i < redis->nsentinels; i++)
        if (redis->sentinels[i].port == port &&
            slice_eq_nocase(slice_str(redis->sentinels[i].host), host))
            return 1;
    return 0;
}

static void add(struct list *list, struct slice host, int port, const struct jsonc *value)
{
    struct conf_redis *redis = list->redis;
    struct conf_sentinel *sentinel = &redis->sentinels[redis->nsentinels];

    if (is_there(redis, host, port)) {
        bad(list, value, "each sentinel once");
    } else if (redis->nsentinels == SENTINELS_MAX) {
        bad(list, value, "at most 16 sentinels");
    } else {
        sentinel->host = strndup(host.ptr, host.len);
        sentinel->port = port;
        if (sentinel->host == NULL)
            settings_error(list->set, NULL, NULL, "out of memory");
        else
            redis->nsentinels++;
    }
}

/* -1: none from 1 to 65535. */
static int port_of(const char *text)
{
    size_t len = strlen(text);
    long port =
        len > 0 && len <= 5 && strspn(text, "0123456789") == len ? strtol(text, NULL, 10) : 0;

    return port >= 1 && port <= 65535 ? (int)port : -1;
}

/* host, host:port, ::1, [::1] or [::1]:port. */
static void add_text(struct list *list, const struct jsonc *value)
{
    const char *text = value->text, *colon = strrchr(text, ':');
    const char *close = *text == '[' ? strchr(text, ']') : NULL;
    struct slice host = slice_str(text);
    int port = SENTINEL_PORT;

    if (close != NULL) {
        host = (struct slice){text + 1, (size_t)(close - text - 1)};
        colon = close[1] != '\0' ? close + 1 : NULL;
        if (memchr(host.ptr, ':', host.len) == NULL || (colon != NULL && *colon != ':')) {
            bad(list, value, wanted_place);
            return;
        }
    } else if (colon != NULL && strchr(text, ':') == colon) {
        host.len = (size_t)(colon - text);
    } else {
        colon = NULL; /* of an IPv6 address, if of anything */
    }
    if (colon != NULL)
        port = port_of(colon + 1);
    if (port < 0)
        bad(list, value, "a port from 1 to 65535 after the last ':'");
    else if (!address_host(host.ptr, host.len))
        bad(list, value, wanted_place);
    else
        add(list, host, port, value);
}

/* -1: none from 1 to 65535. */
static int port_member(const struct jsonc *port)
{
    if (port == NULL)
        return SENTINEL_PORT;
    if (port->type == JSONC_STRING)
        return port_of(port->text);
    if (port->type != JSONC_NUMBER || !(port->number >= 1 && port->number <= 65535))
        return -1;
    return (double)(int)port->number == port->number ? (int)port->number : -1;
}

static void add_object(struct list *list, const struct jsonc *value)
{
    const struct jsonc *host = jsonc_member(value, "host");
    const struct jsonc *port = jsonc_member(value, "port");

    for (const struct jsonc *m = value->first; m != NULL; m = m->next) {
        if (strcmp(m->key, "host") != 0 && strcmp(m->key, "port") != 0) {
            bad(list, value, "its keys to be host and port");
            return;
        }
    }
    if (host == NULL || host->type != JSONC_STRING || !address_host(host->text, host->len))
        bad(list, host != NULL ? host : value,
            "host to be a name or an address, IPv6 without brackets");
    else if (port_member(port) < 0)
        bad(list, port, "port to be a number from 1 to 65535");
    else
        add(list, (struct slice){host->text, host->len}, port_member(port), value);
}

static void add_any(struct list *list, const struct jsonc *value)
{
    if (value->type == JSONC_STRING)
        add_text(list, value);
    else if (value->type == JSONC_OBJECT)
        add_object(list, value);
    else
        bad(list, value, wanted_place);
}

/* --- all, and what goes with them --- */

static void build_list(struct conf *conf, struct settings *set, const struct setting *setting)
{
    struct list list = {&conf->redis, set, setting, setting->source};

    conf->redis.sentinels = calloc(SENTINELS_MAX, sizeof(*conf->redis.sentinels));
    if (conf->redis.sentinels == NULL) {
        settings_error(set, NULL, NULL, "out of memory");
        return;
    }
    for (const struct jsonc *e = setting->value->first; e != NULL; e = e->next) {
        if (setting->source.layer == LAYER_FILE)
            list.source.line = e->line;
        add_any(&list, e);
    }
}

static void warn_unused(struct settings *set, const char *path, const char *why)
{
    const struct setting *setting = settings_at(set, path);

    if (setting_given(setting) && (setting->value == NULL || setting->value->type != JSONC_FALSE))
        settings_warn(set, &setting->source, path, "%s", why);
}

void build_sentinels(struct conf *conf, struct settings *set)
{
    static const char *const instead[] = {"socket.io:redis:host", "socket.io:redis:port",
                                          "socket.io:redis:path"};
    static const char *const theirs[] = {"socket.io:redis:name", "socket.io:redis:sentinelUsername",
                                         "socket.io:redis:sentinelPassword",
                                         "socket.io:redis:sentinelPasswordFile",
                                         "socket.io:redis:sentinelTLS"};
    const struct setting *setting = settings_at(set, "socket.io:redis:sentinels");

    build_password(set, "socket.io:redis:sentinelPasswordFile", "socket.io:redis:sentinelPassword",
                   &conf->redis.sentinel_password);
    if (setting->value == NULL) {
        for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++)
            warn_unused(set, theirs[i], "has no effect without socket.io:redis:sentinels");
        return;
    }
    build_list(conf, set, setting);
    for (size_t i = 0; i < sizeof(instead) / sizeof(instead[0]); i++)
        warn_unused(set, instead[i], "not used, for socket.io:redis:sentinels is given");
    build_set(&conf->redis.host, NULL);
    build_set(&conf->redis.path, NULL);
}
