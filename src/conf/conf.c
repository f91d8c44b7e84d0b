#include "conf.h"

#include "conf/build.h"
#include "conf/certfile.h"
#include "conf/server.h"
#include "conf/source.h"

#include <stdlib.h>
#include <string.h>

#define STACK_BYTES 131072 /* more than reading a configuration takes of the stack */

static void build_tokens(struct conf *conf, struct settings *set)
{
    build_auth(conf, set);
    if (set->nerrors == 0)
        build_report(conf, set);
}

static void build(struct conf *conf, struct settings *set)
{
    if (set->purpose == CONF_FOR_PROBE) {
        build_admin(conf, set);
        return;
    }
    build_fields(conf, set);
    build_namespace(conf, set);
    if (set->purpose == CONF_FOR_TOKENS) {
        build_tokens(conf, set);
        return;
    }
    build_redis(conf, set);
    if (set->purpose == CONF_FOR_NOTIFY)
        return;
    build_tls(conf, set);
    build_listen(conf, set);
    build_proxies(conf, set);
    build_auth(conf, set);
    build_cors(conf, set);
    build_recovery(conf, set);
    build_limits(conf, set);
    build_serve(conf, set);
    build_log(conf, set);
    build_admin(conf, set);
    build_admin_token(conf, set);
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

/* What the functions that have read a configuration left of its secrets: in their frames, which
 * others may take without writing to all of them, and in vector registers, through which memory
 * is copied.  The dynamic linker saves those on the stack whenever it looks up a function, so that
 * a child would have a secret there that nobody can find. */
__attribute__((noinline)) static void traces_wipe(void)
{
    static void *(*const volatile copy)(void *, const void *, size_t) = memmove;
    char frames[STACK_BYTES];

    explicit_bzero(frames, sizeof(frames));
    /* Each length takes other registers. */
    for (size_t n = 8; n <= 4096; n *= 2)
        (void)copy(frames, frames + n, n);
}

struct conf *conf_load(const struct conf_args *args, enum conf_for purpose, struct buf *errors,
                       struct buf *warnings)
{
    struct conf *conf = load(args, NULL, 0, purpose, errors, warnings);

    traces_wipe();
    return conf;
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

static void free_certificates(struct conf *conf)
{
    for (size_t i = 0; i < conf->tls.n; i++)
        certfile_clear(&conf->tls.at[i]);
    free(conf->tls.at);
}

static void free_auth(struct conf *conf)
{
    token_keys_free(&conf->keys);
    build_key_origins_free(conf);
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
    server_clear(&c->redis);
    free_listeners(c);
    free(c->proxies.from.at);
    free_certificates(c);
    free_auth(c);
    build_strings_free(&c->cors_origins);
    free(c->log_file);
    free(c->admin_host);
    free(c->client_text);
    free_secret(c);
    buf_free(&c->report);
    free(c);
}
