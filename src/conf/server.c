#include "conf/server.h"

#include "base/slice.h"
#include "codec/tls_client.h"

#include <stdlib.h>
#include <string.h>

static char *text_copy(const char *text, int *failed)
{
    char *copy = text != NULL ? strdup(text) : NULL;

    *failed |= text != NULL && copy == NULL;
    return copy;
}

static struct conf_sentinel *sentinels_copy(const struct conf_redis *from, int *failed)
{
    struct conf_sentinel *copy;

    if (from->nsentinels == 0)
        return NULL;
    copy = calloc(from->nsentinels, sizeof(*copy));
    *failed |= copy == NULL;
    for (size_t i = 0; copy != NULL && i < from->nsentinels; i++) {
        copy[i].host = text_copy(from->sentinels[i].host, failed);
        copy[i].port = from->sentinels[i].port;
    }
    return copy;
}

static struct conf_redis_tls tls_copy(const struct conf_redis_tls *from, int *failed)
{
    return (struct conf_redis_tls){.on = from->on,
                                   .verify = from->verify,
                                   .servername = text_copy(from->servername, failed),
                                   .ca_file = text_copy(from->ca_file, failed),
                                   .cert_file = text_copy(from->cert_file, failed),
                                   .key_file = text_copy(from->key_file, failed),
                                   .ca = text_copy(from->ca, failed),
                                   .cert = text_copy(from->cert, failed),
                                   .key = text_copy(from->key, failed)};
}

int server_copy(struct conf_redis *to, const struct conf_redis *from)
{
    int failed = 0;

    *to = (struct conf_redis){.host = text_copy(from->host, &failed),
                              .port = from->port,
                              .path = text_copy(from->path, &failed),
                              .username = text_copy(from->username, &failed),
                              .password = text_copy(from->password, &failed),
                              .database = from->database,
                              .tls = tls_copy(&from->tls, &failed),
                              .sentinels = sentinels_copy(from, &failed),
                              .name = text_copy(from->name, &failed),
                              .sentinel_username = text_copy(from->sentinel_username, &failed),
                              .sentinel_password = text_copy(from->sentinel_password, &failed),
                              .sentinel_tls = tls_copy(&from->sentinel_tls, &failed)};
    to->nsentinels = to->sentinels != NULL ? from->nsentinels : 0;
    return failed ? -1 : 0;
}

int server_tls_client(struct tls_client **client, const struct conf_redis_tls *conf,
                      struct buf *error)
{
    const struct tls_client_options options = {conf->ca, conf->cert, conf->key, conf->verify};
    enum tls_client_part part;

    *client = NULL;
    if (!conf->on)
        return 0;
    *client = tls_client_new(&options, error, &part);
    return *client != NULL ? 0 : -1;
}

const char *server_tls_name(const struct conf_redis *server)
{
    return server->tls.servername != NULL ? server->tls.servername : server->host;
}

static void text_wipe(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
}

void server_wipe(struct conf_redis *server)
{
    text_wipe(server->password);
    text_wipe(server->tls.key);
    text_wipe(server->sentinel_password);
    text_wipe(server->sentinel_tls.key);
}

static void tls_clear(struct conf_redis_tls *tls)
{
    free(tls->servername);
    free(tls->ca_file);
    free(tls->cert_file);
    free(tls->key_file);
    free(tls->ca);
    free(tls->cert);
    free(tls->key);
}

void server_clear(struct conf_redis *server)
{
    server_wipe(server);
    for (size_t i = 0; i < server->nsentinels; i++)
        free(server->sentinels[i].host);
    free(server->sentinels);
    free(server->host);
    free(server->path);
    free(server->username);
    free(server->password);
    tls_clear(&server->tls);
    tls_clear(&server->sentinel_tls);
    free(server->name);
    free(server->sentinel_username);
    free(server->sentinel_password);
    *server = (struct conf_redis){0};
}

int server_eq_sentinels(const struct conf_redis *a, const struct conf_redis *b)
{
    if (a->nsentinels != b->nsentinels)
        return 0;
    for (size_t i = 0; i < a->nsentinels; i++)
        if (!text_eq(a->sentinels[i].host, b->sentinels[i].host) ||
            a->sentinels[i].port != b->sentinels[i].port)
            return 0;
    return 1;
}

/* The files are what is in them. */
static int eq_tls(const struct conf_redis_tls *a, const struct conf_redis_tls *b)
{
    if (!a->on || !b->on)
        return !a->on == !b->on;
    return !a->verify == !b->verify && text_eq(a->servername, b->servername) &&
           text_eq(a->ca, b->ca) && text_eq(a->cert, b->cert) && text_eq(a->key, b->key);
}

int server_eq(const struct conf_redis *a, const struct conf_redis *b)
{
    return text_eq(a->host, b->host) && a->port == b->port && text_eq(a->path, b->path) &&
           text_eq(a->username, b->username) && text_eq(a->password, b->password) &&
           a->database == b->database && eq_tls(&a->tls, &b->tls) && server_eq_sentinels(a, b) &&
           eq_tls(&a->sentinel_tls, &b->sentinel_tls) && text_eq(a->name, b->name) &&
           text_eq(a->sentinel_username, b->sentinel_username) &&
           text_eq(a->sentinel_password, b->sentinel_password);
}
