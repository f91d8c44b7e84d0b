#include "conf/build.h"

#include "conf/file.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#define LISTEN_MAX  64
#define TOKEN_SHORT 16 /* bytes of admin:token */

static const char wanted_address[] = "\"host:port\", \"[::1]:port\" or \"unix:/path\"";

/* --- addresses --- */

int address_host(const char *host, size_t len)
{
    char text[256];
    struct in6_addr in6;

    if (len == 0 || len >= sizeof(text))
        return 0;
    memcpy(text, host, len);
    text[len] = '\0';
    if (strchr(text, ':') != NULL)
        return inet_pton(AF_INET6, text, &in6) == 1;
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == len;
}

static int port_parse(const char *text)
{
    size_t len = strlen(text);
    long port;

    if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
        return -1;
    port = strtol(text, NULL, 10);
    return port <= 65535 ? (int)port : -1;
}

/* Host and port as people write them: 80, host:80, :80, *:80, [::1]:80.
 * *host is borrowed from text, NULL for all addresses.  Returns NULL, or what
 * was wanted. */
static const char *address_parse(const char *text, const char **host, size_t *len, int *port)
{
    const char *colon = strrchr(text, ':');

    *host = text;
    *len = colon != NULL ? (size_t)(colon - text) : 0;
    *port = port_parse(colon != NULL ? colon + 1 : text);
    if (*port < 0)
        return colon != NULL ? "a port from 0 to 65535 after the last ':'" : wanted_address;
    if (*len >= 2 && text[0] == '[' && text[*len - 1] == ']') {
        *host = text + 1;
        *len -= 2;
        return memchr(*host, ':', *len) != NULL && address_host(*host, *len)
                   ? NULL
                   : "an IPv6 address in []";
    }
    if (*len == 0 || (*len == 1 && text[0] == '*')) {
        *host = NULL;
        return NULL;
    }
    if (memchr(text, ':', *len) != NULL)
        return "an IPv6 address in brackets: [::1]:port";
    return address_host(*host, *len) ? NULL : wanted_address;
}

/* --- one listener --- */

struct place { /* of the listener in the configuration */
    struct conf *conf;
    struct settings *set;
    const struct setting *setting;
    struct source source;
    int tls; /* 1 or 0 where it says so; -1: where there are certificates, but for a Unix socket */
    int proxy; /* it expects a PROXY header */
};

static void bad(struct place *place, const struct jsonc *value, const char *wanted)
{
    char found[96];

    settings_error(place->set, &place->source, place->setting->path, "found %s, wanted %s",
                   value_describe(value, 0, found, sizeof(found)), wanted);
}

static int same(const struct conf_listen *a, const struct conf_listen *b)
{
    if (a->unix_path != NULL || b->unix_path != NULL)
        return a->unix_path != NULL && b->unix_path != NULL &&
               strcmp(a->unix_path, b->unix_path) == 0;
    if (a->port != b->port || a->port == 0)
        return 0;
    return a->host != NULL && b->host != NULL ? strcasecmp(a->host, b->host) == 0
                                              : a->host == b->host;
}

/* What is wrong with the certificates has been said by who has read them. */
static int certificates_given(struct settings *set)
{
    return setting_given(settings_at(set, "tls:certFile")) ||
           setting_given(settings_at(set, "tls:certificates"));
}

static void speak(struct place *place, struct conf_listen *listen)
{
    listen->proxy = place->proxy;
    listen->tls =
        place->tls >= 0 ? place->tls : place->conf->tls.n > 0 && listen->unix_path == NULL;
    if (listen->tls && !certificates_given(place->set))
        settings_error(place->set, &place->source, place->setting->path,
                       "found \"tls\": true, wanted a certificate for it in tls:certFile");
}

/* Appends listener (takes its strings) unless it is there already. */
static void add(struct place *place, struct conf_listen *listen, const struct jsonc *value)
{
    struct conf *conf = place->conf;
    size_t i = 0;

    while (i < conf->nlisten && !same(&conf->listen[i], listen))
        i++;
    if (i < conf->nlisten) {
        bad(place, value, "each address once");
    } else if (conf->nlisten == LISTEN_MAX) {
        bad(place, value, "at most 64 addresses");
    } else {
        speak(place, listen);
        conf->listen[conf->nlisten++] = *listen;
        return;
    }
    free(listen->host);
    free(listen->unix_path);
}

static void add_unix(struct place *place, const char *path, const struct jsonc *value)
{
    struct conf_listen listen = {0};

    listen.unix_path = *path ? file_name(place->set->args->dir, path) : NULL;
    if (listen.unix_path == NULL ||
        strlen(listen.unix_path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        bad(place, value, "a socket's path of 1 to 107 bytes");
        free(listen.unix_path);
        return;
    }
    add(place, &listen, value);
}

/* host NULL: all addresses. */
static void add_tcp(struct place *place, const char *host, size_t len, int port,
                    const struct jsonc *value)
{
    struct conf_listen listen = {.port = port};

    if (host != NULL) {
        listen.host = strndup(host, len);
        if (listen.host == NULL) {
            settings_error(place->set, NULL, NULL, "out of memory");
            return;
        }
    }
    add(place, &listen, value);
}

static void add_text(struct place *place, const struct jsonc *value)
{
    const char *host, *wanted;
    size_t len;
    int port;

    if (strncmp(value->text, "unix:", 5) == 0) {
        add_unix(place, value->text + 5, value);
        return;
    }
    wanted = address_parse(value->text, &host, &len, &port);
    if (wanted != NULL)
        bad(place, value, wanted);
    else
        add_tcp(place, host, len, port, value);
}

static void add_number(struct place *place, const char *host, const struct jsonc *value)
{
    int port = (int)(value->number >= 0 && value->number <= 65535 ? value->number : -1);

    if (port < 0 || port != value->number)
        bad(place, value, "a port from 0 to 65535");
    else
        add_tcp(place, host, host != NULL ? strlen(host) : 0, port, value);
}

/* The host of {"host": "127.0.0.1", "port": 3000}: 0, or -1 (reported). */
static int member_host(struct place *place, const struct jsonc *value, const char **host)
{
    *host = NULL;
    if (value == NULL ||
        (value->type == JSONC_STRING && (!*value->text || strcmp(value->text, "*") == 0)))
        return 0;
    if (value->type != JSONC_STRING || !address_host(value->text, value->len)) {
        bad(place, value, "host to be a name or an address, IPv6 without brackets");
        return -1;
    }
    *host = value->text;
    return 0;
}

/* A switch of an object: 0, or -1 (reported).  What is not there stays as it is. */
static int member_switch(struct place *place, const struct jsonc *value, const char *wanted,
                         int *target)
{
    if (value == NULL)
        return 0;
    if (value->type != JSONC_TRUE && value->type != JSONC_FALSE) {
        bad(place, value, wanted);
        return -1;
    }
    *target = value->type == JSONC_TRUE;
    return 0;
}

static int has_other_members(const struct jsonc *object)
{
    static const char *const names[] = {"host", "port", "address", "tls", "proxyProtocol"};
    const size_t n = sizeof(names) / sizeof(names[0]);

    for (const struct jsonc *m = object->first; m != NULL; m = m->next) {
        size_t i = 0;

        while (i < n && strcmp(m->key, names[i]) != 0)
            i++;
        if (i == n)
            return 1;
    }
    return 0;
}

static void add_at(struct place *place, const struct jsonc *value)
{
    if (value->type == JSONC_STRING)
        add_text(place, value);
    else if (value->type == JSONC_NUMBER)
        add_number(place, NULL, value);
    else
        bad(place, value, "address to be \"host:port\", \"unix:/path\" or a port");
}

/* {"host": "127.0.0.1", "port": 3000} */
static void add_host_port(struct place *place, const struct jsonc *value)
{
    const struct jsonc *port = jsonc_member(value, "port");
    const char *host;

    if (member_host(place, jsonc_member(value, "host"), &host) < 0)
        return;
    if (port == NULL || port->type != JSONC_NUMBER)
        bad(place, port != NULL ? port : value, "port to be a number from 0 to 65535");
    else
        add_number(place, host, port);
}

static void add_where(struct place *place, const struct jsonc *value, const struct jsonc *address)
{
    if (address != NULL)
        add_at(place, address);
    else
        add_host_port(place, value);
}

static void add_object(struct place *place, const struct jsonc *value)
{
    const struct jsonc *address = jsonc_member(value, "address");

    if (has_other_members(value))
        bad(place, value, "its keys to be address, or host and port, tls and proxyProtocol");
    else if (address != NULL &&
             (jsonc_member(value, "host") != NULL || jsonc_member(value, "port") != NULL))
        bad(place, value, "address, or host and port");
    else if (member_switch(place, jsonc_member(value, "tls"), "tls to be true or false",
                           &place->tls) == 0 &&
             member_switch(place, jsonc_member(value, "proxyProtocol"),
                           "proxyProtocol to be true or false", &place->proxy) == 0)
        add_where(place, value, address);
    place->tls = -1;
    place->proxy = 0;
}

static void add_any(struct place *place, const struct jsonc *value)
{
    switch (value->type) {
    case JSONC_STRING:
        add_text(place, value);
        break;
    case JSONC_NUMBER:
        add_number(place, NULL, value);
        break;
    case JSONC_OBJECT:
        add_object(place, value);
        break;
    case JSONC_NULL:
    case JSONC_TRUE:
    case JSONC_FALSE:
    case JSONC_ARRAY:
        bad(place, value, wanted_address);
    }
}

/* --- all --- */

static void warn_unused(struct settings *set, const char *path)
{
    const struct setting *setting = settings_at(set, path);

    if (setting_given(setting))
        settings_warn(set, &setting->source, path, "not used, for listen is given");
}

static void build_list(struct place *place)
{
    const struct jsonc *list = place->setting->value;

    for (const struct jsonc *e = list->first; e != NULL; e = e->next) {
        if (place->setting->source.layer == LAYER_FILE)
            place->source.line = e->line;
        add_any(place, e);
    }
    warn_unused(place->set, "port");
    warn_unused(place->set, "host");
}

static void build_one(struct place *place)
{
    const struct setting *setting = settings_at(place->set, "host");
    const char *host = setting_text(setting);
    const struct jsonc *port = settings_at(place->set, "port")->value;
    size_t len = host != NULL ? strlen(host) : 0;

    if (host != NULL && strcmp(host, "*") == 0)
        host = NULL;
    if (host != NULL && len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    place->setting = setting;
    place->source = setting->source;
    if (host != NULL && !address_host(host, len))
        bad(place, setting->value, "a host name or an address");
    else if (port != NULL)
        add_tcp(place, host, len, (int)port->number, port);
}

/* Certificates for nobody. */
static void warn_unspoken(const struct conf *conf, struct settings *set)
{
    size_t i = 0;

    while (i < conf->nlisten && !conf->listen[i].tls)
        i++;
    if (conf->tls.n > 0 && conf->nlisten > 0 && i == conf->nlisten)
        settings_warn(set, NULL, "tls", "not used: no listener speaks TLS");
}

void build_listen(struct conf *conf, struct settings *set)
{
    struct place place = {conf, set, settings_at(set, "listen"), {0}, -1, 0};

    conf->listen = calloc(LISTEN_MAX, sizeof(*conf->listen));
    if (conf->listen == NULL) {
        settings_error(set, NULL, NULL, "out of memory");
        return;
    }
    place.source = place.setting->source;
    if (place.setting->value != NULL)
        build_list(&place);
    else if (!place.setting->broken)
        build_one(&place);
    warn_unspoken(conf, set);
}

/* --- the admin address --- */

void build_admin(struct conf *conf, struct settings *set)
{
    const struct setting *setting = settings_at(set, "admin:host");
    const struct jsonc *port = settings_at(set, "admin:port")->value;
    const char *host = setting_text(setting);

    conf->admin_port = port != NULL ? (int)port->number : 0;
    if ((port != NULL && port->type == JSONC_STRING) || (host != NULL && strcmp(host, "off") == 0))
        return;
    if (host != NULL && !address_host(host, strlen(host)))
        build_refuse(set, "admin:host", "a host name, an address or \"off\"");
    else
        conf->admin_host = build_strdup(set, host != NULL ? host : "127.0.0.1");
}

/* It goes as it is into a header. */
static int is_visible(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~')
            return 0;
    return 1;
}

void build_admin_token(struct conf *conf, struct settings *set)
{
    const struct setting *token = settings_at(set, "admin:token");
    const struct setting *file = settings_at(set, "admin:tokenFile");
    int before = set->nerrors;
    size_t len;

    build_password(set, "admin:tokenFile", "admin:token", &conf->admin_token);
    if (set->nerrors > before)
        return;
    if (setting_text(file) != NULL && file->source.layer >= token->source.layer)
        token = file; /* it is from there */
    if (conf->admin_token == NULL) {
        if (setting_text(file) != NULL)
            settings_warn(set, &file->source, file->path, "it is empty, so there is no token");
        return;
    }
    len = strlen(conf->admin_token);
    if (len > CONF_ADMIN_TOKEN_MAX || !is_visible(conf->admin_token))
        settings_error(set, &token->source, token->path,
                       "found what no header can carry, wanted 1 to %d visible characters of "
                       "ASCII without a blank",
                       CONF_ADMIN_TOKEN_MAX);
    else if (len < TOKEN_SHORT)
        settings_warn(set, &token->source, token->path,
                      "the token has %zu bytes; fewer than %d are easier to guess", len,
                      TOKEN_SHORT);
}
