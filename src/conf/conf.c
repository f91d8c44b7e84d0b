#include "conf.h"

#include "conf/build.h"
#include "conf/source.h"

#include <stdlib.h>
#include <string.h>

static void build(struct conf *conf, struct settings *set)
{
    build_fields(conf, set);
    build_namespace(conf, set);
    build_redis(conf, set);
    if (set->purpose == CONF_FOR_NOTIFY)
        return;
    build_listen(conf, set);
    build_auth(conf, set);
    build_cors(conf, set);
    build_recovery(conf, set);
    build_limits(conf, set);
    build_serve(conf, set);
    build_log(conf, set);
    build_admin(conf, set);
    if (set->nerrors == 0)
        build_report(conf, set);
}

static struct conf *load(const struct conf_args *args, const char *text, size_t len,
                         enum conf_for purpose, struct buf *errors, struct buf *warnings)
{
    struct conf *conf = calloc(1, sizeof(*conf));
    struct settings set;

    settings_init(&set, args, purpose, errors, warnings);
    if (conf == NULL)
        settings_error(&set, NULL, NULL, "out of memory");
    else if (sources_read(&set, text, len) == 0)
        build(conf, &set);
    if (set.nerrors > 0)
        conf_free(&conf);
    settings_clear(&set);
    return conf;
}

struct conf *conf_load(const struct conf_args *args, enum conf_for purpose, struct buf *errors,
                       struct buf *warnings)
{
    return load(args, NULL, 0, purpose, errors, warnings);
}

struct conf *conf_load_text(const struct conf_args *args, const char *text, size_t len,
                            enum conf_for purpose, struct buf *errors, struct buf *warnings)
{
    return load(args, text, len, purpose, errors, warnings);
}

void conf_print(const struct conf *conf, struct buf *out)
{
    buf_put(out, conf->report.data, conf->report.len);
}

static void free_listeners(struct conf *conf)
{
    for (size_t i = 0; i < conf->nlisten; i++) {
        free(conf->listen[i].host);
        free(conf->listen[i].unix_path);
    }
    free(conf->listen);
}

static void free_auth(struct conf *conf)
{
    token_keys_free(&conf->keys);
    token_keys_free(&conf->given_keys);
    build_strings_free(&conf->audiences);
    build_strings_free(&conf->issuers);
    build_strings_free(&conf->token_types);
}

static void free_secret(struct conf *conf)
{
    if (conf->recovery_secret != NULL)
        explicit_bzero(conf->recovery_secret, conf->recovery_secret_len);
    free(conf->recovery_secret);
}

void conf_free(struct conf **conf)
{
    struct conf *c = *conf;

    *conf = NULL;
    if (c == NULL)
        return;
    for (size_t i = 0; i < conf_nkeys; i++)
        if (conf_keys[i].field == FIELD_TEXT)
            build_set((char **)(void *)((char *)c + conf_keys[i].offset), NULL);
    free_listeners(c);
    free_auth(c);
    build_strings_free(&c->cors_origins);
    free(c->log_file);
    free(c->admin_host);
    free(c->client_text);
    free_secret(c);
    buf_free(&c->report);
    free(c);
}
