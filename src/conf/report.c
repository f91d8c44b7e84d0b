#include "conf/build.h"

#include "codec/certificate.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_S 86400

static const char mask[] = "********";

/* --- values as JSON --- */

static void put_text(struct buf *out, const char *text)
{
    json_put_string_lossy(out, text, strlen(text));
}

static void put_value(struct buf *out, const struct jsonc *value)
{
    static const char *const words[] = {
        [JSONC_NULL] = "null", [JSONC_FALSE] = "false", [JSONC_TRUE] = "true"};
    const char *between = "";

    switch (value->type) {
    case JSONC_NULL:
    case JSONC_FALSE:
    case JSONC_TRUE:
        buf_puts(out, words[value->type]);
        return;
    case JSONC_NUMBER:
        buf_printf(out, "%.15g", value->number);
        return;
    case JSONC_STRING:
        json_put_string_lossy(out, value->text, value->len);
        return;
    case JSONC_ARRAY:
    case JSONC_OBJECT:
        break;
    }
    buf_putc(out, value->type == JSONC_ARRAY ? '[' : '{');
    for (const struct jsonc *e = value->first; e != NULL; e = e->next, between = ",") {
        buf_puts(out, between);
        if (e->key != NULL) {
            put_text(out, e->key);
            buf_putc(out, ':');
        }
        put_value(out, e);
    }
    buf_putc(out, value->type == JSONC_ARRAY ? ']' : '}');
}

static void put_strings(struct buf *out, char *const *strings)
{
    buf_putc(out, '[');
    for (size_t i = 0; strings[i] != NULL; i++) {
        if (i > 0)
            buf_putc(out, ',');
        put_text(out, strings[i]);
    }
    buf_putc(out, ']');
}

/* --- keys whose value in force is not the one that was given --- */

/* The password of a redis URL masked. */
static void put_url(struct buf *out, const char *url)
{
    const char *start = strstr(url, "://") + 3; /* it has been parsed */
    const char *end = start + strcspn(start, "/?");
    const char *at = memrchr(start, '@', (size_t)(end - start));
    const char *colon = at != NULL ? memchr(start, ':', (size_t)(at - start)) : NULL;
    struct buf shown = {0};

    if (colon != NULL)
        buf_printf(&shown, "%.*s:%s%s", (int)(colon - url), url, mask, at);
    else
        buf_puts(&shown, url);
    json_put_string_lossy(out, (const char *)shown.data, shown.len);
    buf_free(&shown);
}

static void put_address(struct buf *out, const struct conf_listen *listen)
{
    const char *host = listen->host != NULL ? listen->host : "*";
    const char *open = strchr(host, ':') != NULL ? "[" : "", *close = *open ? "]" : "";

    if (listen->unix_path != NULL)
        buf_printf(out, "unix:%s", listen->unix_path);
    else
        buf_printf(out, "%s%s%s:%d", open, host, close, listen->port);
}

static void put_listen(struct buf *out, const struct conf *conf)
{
    buf_putc(out, '[');
    for (size_t i = 0; i < conf->nlisten; i++) {
        buf_puts(out, i > 0 ? ",\"" : "\"");
        put_address(out, &conf->listen[i]);
        buf_putc(out, '"');
    }
    buf_putc(out, ']');
}

/* Objects with their secrets masked. */
static void put_keys(struct buf *out, const struct jsonc *keys)
{
    buf_putc(out, '[');
    for (const struct jsonc *key = keys->first; key != NULL; key = key->next) {
        buf_puts(out, key == keys->first ? "{" : ",{");
        for (const struct jsonc *e = key->first; e != NULL; e = e->next) {
            buf_puts(out, e == key->first ? "" : ",");
            put_text(out, e->key);
            buf_putc(out, ':');
            if (strcmp(e->key, "secret") == 0)
                put_text(out, mask);
            else
                put_value(out, e);
        }
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

/* Returns 1 if it has shown the key. */
static int put_special(struct buf *out, const struct conf *conf, const struct key *key,
                       const struct setting *setting)
{
    if (strcmp(key->path, "listen") == 0 && setting->value != NULL)
        put_listen(out, conf);
    else if (strcmp(key->path, "socket.io:redis:url") == 0 && setting->value != NULL)
        put_url(out, setting->value->text);
    else if (strcmp(key->path, "auth:options:algorithms") == 0)
        token_algs_put(out, conf->token.algs & token_keys_algs(conf->keys));
    else if (strcmp(key->path, "auth:keys") == 0 && setting->value != NULL)
        put_keys(out, setting->value);
    else if (strcmp(key->path, "cors:origins") == 0 && conf->cors_origins != NULL)
        put_strings(out, conf->cors_origins);
    else
        return 0;
    return 1;
}

/* Returns 1 if it has shown the key: it has a field, and something is in it. */
static int put_field(struct buf *out, const struct conf *conf, const struct key *key)
{
    const void *field = (const char *)conf + key->offset;

    switch (key->field) {
    case FIELD_INT:
        if (key->type == KEY_BOOL || key->type == KEY_SWITCH)
            buf_puts(out, *(const int *)field ? "true" : "false");
        else
            buf_printf(out, "%d", *(const int *)field);
        return 1;
    case FIELD_U32:
        buf_printf(out, "%u", *(const uint32_t *)field);
        return 1;
    case FIELD_SIZE:
        buf_printf(out, "%zu", *(const size_t *)field);
        return 1;
    case FIELD_TEXT:
        if (*(char *const *)field == NULL)
            return 0;
        if (key->flags & KEY_SECRET)
            buf_puts(out, mask);
        else if (key->flags & KEY_LINES)
            buf_puts(out, "PEM");
        else
            put_text(out, *(char *const *)field);
        return 1;
    case FIELD_NONE:
        break;
    }
    return 0;
}

/* A key that struct conf does not hold as it is. */
static void put_given(struct buf *out, const struct key *key, const struct setting *setting)
{
    int none = setting->value == NULL || key->field == FIELD_TEXT ||
               (key->type == KEY_TEXT && setting_text(setting) == NULL) ||
               (key->type == KEY_TEXTS && setting->value->type == JSONC_STRING &&
                setting_text(setting) == NULL);

    if (none)
        buf_puts(out, key->absent != NULL ? key->absent : "none");
    else if (key->flags & KEY_SECRET)
        buf_puts(out, mask);
    else
        put_value(out, setting->value);
}

static void put_key(struct buf *out, const struct conf *conf, const struct key *key,
                    const struct setting *setting)
{
    buf_printf(out, "%s = ", key->path);
    if (!put_special(out, conf, key, setting) && !put_field(out, conf, key))
        put_given(out, key, setting);
    buf_puts(out, "  (");
    source_put(out, &setting->source);
    if (strcmp(setting->path, key->path) != 0)
        buf_printf(out, ", %s", setting->path);
    buf_puts(out, ")\n");
}

static void put_ignored(struct buf *out, const struct remark *remarks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "ignored: %s  (", remarks[i].key->path);
        source_put(out, &remarks[i].source);
        buf_puts(out, ")\n");
    }
}

/* Where something came from that is no value of a key; of several from there, which one. */
static void put_key_source(struct buf *out, const struct key_source *from, unsigned number,
                           unsigned of)
{
    buf_puts(out, "  (");
    source_put(out, &from->source);
    buf_printf(out, ", %s", from->path);
    if (from->element >= 0)
        buf_printf(out, ":%ld", from->element);
    if (from->file != NULL) {
        buf_putc(out, ' ');
        put_text(out, from->file);
    }
    if (of > 1)
        buf_printf(out, ", %u of %u", number, of);
    buf_puts(out, ")\n");
}

/* Which keys tokens are checked with, in the order in which they are tried. */
static void put_keys_in_force(struct buf *out, const struct conf *conf, const struct settings *set)
{
    for (size_t i = 0; i < conf->nkey_origins; i++) {
        buf_puts(out, "key: ");
        token_keys_describe(conf->keys, i, out);
        put_key_source(out, &set->key_sources[i], conf->key_origins[i].number,
                       conf->key_origins[i].of);
    }
}

static void put_left(struct buf *out, int64_t not_after)
{
    int64_t left = not_after - time(NULL);

    if (left < 0)
        buf_puts(out, "expired");
    else
        buf_printf(out, "%lld day%s left", (long long)(left / DAY_S), left / DAY_S == 1 ? "" : "s");
}

static void put_certificates(struct buf *out, const struct conf *conf, const struct settings *set)
{
    for (size_t i = 0; i < conf->tls.n; i++) {
        const struct conf_certificate *one = &conf->tls.at[i];

        if (one->unread)
            continue;
        buf_puts(out, "certificate: ");
        conf_certificate_put_names(one, out);
        buf_printf(out, "; %s, until ", one->kind);
        certificate_time_put(one->not_after, out);
        buf_puts(out, ", ");
        put_left(out, one->not_after);
        put_key_source(out, &set->certificate_sources[i], 1, 1);
    }
}

/* What is spoken where, if it is not the same everywhere. */
static void put_listeners(struct buf *out, const struct conf *conf)
{
    int differ = conf->tls.n > 0;

    for (size_t i = 0; i < conf->nlisten; i++)
        differ = differ || conf->listen[i].proxy;
    for (size_t i = 0; i < conf->nlisten && differ; i++) {
        const struct conf_listen *listen = &conf->listen[i];

        buf_puts(out, "listener: ");
        put_address(out, listen);
        buf_printf(out, "  %s%s\n", listen->tls ? "TLS" : "plain",
                   listen->proxy ? " behind a PROXY header" : "");
    }
}

void build_report(struct conf *conf, struct settings *set)
{
    struct buf *out = &conf->report;

    for (size_t i = 0; i < conf_nkeys; i++)
        if (conf_keys[i].type != KEY_SECTION && conf_keys[i].type != KEY_IGNORED)
            put_key(out, conf, &conf_keys[i], &set->at[i]);
    put_keys_in_force(out, conf, set);
    put_certificates(out, conf, set);
    put_listeners(out, conf);
    put_ignored(out, set->ignored, set->nignored);
    if (out->failed)
        settings_error(set, NULL, NULL, "out of memory");
}
