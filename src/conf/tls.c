#include "conf/build.h"

#include "conf/certfile.h"
#include "conf/ciphers.h"
#include "conf/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One pair of files as it is written: what is not there is NULL. */
struct pair {
    struct settings *set;
    struct source source;
    const char *setting; /* tls:certFile or tls:certificates */
    long element;        /* of tls:certificates, or -1 */
    const char *cert, *key;
};

/* "tls:", or "tls:certificates:1:" */
static void place_of(const struct pair *pair, char *dst, size_t cap)
{
    if (pair->element < 0)
        (void)snprintf(dst, cap, "tls:");
    else
        (void)snprintf(dst, cap, "tls:certificates:%ld:", pair->element);
}

static char *full_name(struct settings *set, const char *name)
{
    char *full = file_name(set->args->dir, name);

    if (full == NULL)
        settings_error(set, NULL, NULL, "out of memory");
    return full;
}

/* Who may not read it now may have to do with what there is; see conf_keep_certificates(). */
static int may_be_unread(const struct settings *set)
{
    return set->purpose == CONF_FOR_RELOAD || set->purpose == CONF_FOR_REHEARSAL;
}

/* path is that of the place without its last ':'. */
static void forbidden(const struct certfile_place *place, struct buf *why)
{
    char path[SCHEMA_PATH_MAX];

    (void)snprintf(path, sizeof(path), "%.*s", (int)strlen(place->path) - 1, place->path);
    (void)buf_putc(why, '\0');
    settings_error(place->set, place->source, path, "%s", (const char *)why->data);
}

static void take(struct conf *conf, const struct pair *pair)
{
    struct settings *set = pair->set;
    struct conf_certificate *one = &conf->tls.at[conf->tls.n];
    char path[SCHEMA_PATH_MAX];
    const struct certfile_place place = {set, &pair->source, path};
    enum certfile_result result;
    struct buf why = {0};

    place_of(pair, path, sizeof(path));
    one->cert_file = full_name(set, pair->cert);
    one->key_file = full_name(set, pair->key != NULL ? pair->key : pair->cert);
    if (one->cert_file == NULL || one->key_file == NULL) {
        certfile_clear(one);
        return;
    }
    result = certfile_read(&place, one, &why);
    if (result == CERTFILE_FORBIDDEN && !may_be_unread(set))
        forbidden(&place, &why);
    one->unread = result == CERTFILE_FORBIDDEN;
    if (result == CERTFILE_READ || (result == CERTFILE_FORBIDDEN && may_be_unread(set)))
        set->certificate_sources[conf->tls.n++] =
            (struct key_source){pair->source, pair->setting, pair->element, pair->cert};
    else
        certfile_clear(one);
    buf_free(&why);
}

/* --- tls:certFile and tls:keyFile ------------------------------------------------------- */

static void build_first(struct conf *conf, struct settings *set)
{
    const struct setting *cert = settings_at(set, "tls:certFile"),
                         *key = settings_at(set, "tls:keyFile");
    struct pair pair = {set, cert->source,       "tls:certFile",
                        -1,  setting_text(cert), setting_text(key)};

    if (pair.cert != NULL)
        take(conf, &pair);
    else if (pair.key != NULL && !cert->broken)
        settings_error(set, &key->source, key->path, "wanted tls:certFile beside it");
}

/* --- tls:certificates ------------------------------------------------------------------- */

static int is_file(const struct jsonc *value)
{
    return value->type == JSONC_STRING && value->len > 0;
}

/* Returns 0, or -1 (reported). */
static int find_members(struct pair *pair, const struct jsonc *object, const char *path)
{
    for (const struct jsonc *m = object->first; m != NULL; m = m->next) {
        const char **file = strcmp(m->key, "certFile") == 0  ? &pair->cert
                            : strcmp(m->key, "keyFile") == 0 ? &pair->key
                                                             : NULL;

        if (file == NULL) {
            settings_error(pair->set, &pair->source, path,
                           "found an unknown member, wanted certFile and keyFile");
            return -1;
        }
        if (!is_file(m)) {
            settings_error(pair->set, &pair->source, path,
                           "%s: wanted the name of a file, a string that is not empty", m->key);
            return -1;
        }
        *file = m->text;
    }
    if (pair->cert != NULL)
        return 0;
    settings_error(pair->set, &pair->source, path, "found no certFile, wanted one");
    return -1;
}

static void take_element(struct conf *conf, struct settings *set, const struct setting *setting,
                         const struct jsonc *element, long i)
{
    struct pair pair = {
        .set = set, .source = setting->source, .setting = setting->path, .element = i};
    char path[48];

    (void)snprintf(path, sizeof(path), "tls:certificates:%ld", i);
    if (pair.source.layer == LAYER_FILE)
        pair.source.line = element->line;
    if (conf->tls.n == CONF_CERTIFICATES_MAX)
        settings_error(set, &pair.source, path, "found more than %d certificates",
                       CONF_CERTIFICATES_MAX);
    else if (element->type != JSONC_OBJECT)
        settings_error(set, &pair.source, path, "wanted an object with certFile and keyFile");
    else if (find_members(&pair, element, path) == 0)
        take(conf, &pair);
}

static void build_others(struct conf *conf, struct settings *set)
{
    const struct setting *setting = settings_at(set, "tls:certificates");
    long i = 0;

    if (setting->value == NULL)
        return;
    for (const struct jsonc *e = setting->value->first; e != NULL && i <= CONF_CERTIFICATES_MAX;
         e = e->next)
        take_element(conf, set, setting, e, i++);
}

/* --- all of it -------------------------------------------------------------------------- */

void build_tls(struct conf *conf, struct settings *set)
{
    const struct jsonc *version = settings_at(set, "tls:minVersion")->value;
    int errors = set->nerrors;

    conf->tls.min_version = build_has_word(version, "TLSv1.3") ? CONF_TLS_1_3 : CONF_TLS_1_2;
    conf->tls.at = calloc(CONF_CERTIFICATES_MAX, sizeof(*conf->tls.at));
    if (conf->tls.at == NULL) {
        settings_error(set, NULL, NULL, "out of memory");
        return;
    }
    build_first(conf, set);
    build_others(conf, set);
    if (set->nerrors == errors &&
        (conf->tls.n > 0 || conf->tls.ciphers != NULL || conf->tls.cipher_suites != NULL))
        ciphers_check(conf, set);
}
