#include "conf/build.h"

#include <stdlib.h>

/* An algorithm that is named needs a key, or nobody could ever use it.  Where a
 * JWKS file is, that may come yet. */
static void check_key(const struct conf *conf, struct settings *set, const struct source *source,
                      const char *path, unsigned alg, const char *found)
{
    unsigned possible = token_keys_algs(conf->keys);
    int secret = (alg & TOKEN_HS) != 0;
    const char *fault = ", which none of the public keys can verify";

    if (alg & possible)
        return;
    if (secret && possible & TOKEN_HS)
        fault = ", which none of the secrets may be used for";
    else if (secret)
        fault = ", which needs auth:secretFile";
    else if (!(possible & (TOKEN_RS | TOKEN_ES)))
        fault = ", which needs auth:publicKeyFile";
    if (conf->jwks_file != NULL)
        settings_warn(set, source, path, "found %s%s; auth:jwksFile has none yet", found, fault);
    else
        settings_error(set, source, path, "found %s%s", found, fault);
}

static void check_algorithm(const struct conf *conf, struct settings *set,
                            const struct setting *setting, const struct jsonc *value,
                            int keys_known)
{
    unsigned alg = token_alg_parse(value->text);
    struct source source = setting->source;
    char found[96];

    if (source.layer == LAYER_FILE)
        source.line = value->line;
    value_describe(value, 0, found, sizeof(found));
    if (alg == 0)
        settings_error(set, &source, setting->path,
                       "found %s, wanted HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384 or "
                       "ES512",
                       found);
    else if (keys_known)
        check_key(conf, set, &source, setting->path, alg, found);
}

/* What is accepted, whether there is a key for it or not. */
static unsigned wanted_algorithms(const struct jsonc *list)
{
    unsigned algs = 0;

    if (list == NULL)
        return TOKEN_ALGS;
    for (const struct jsonc *e = setting_next(list, NULL); e != NULL; e = setting_next(list, e))
        algs |= token_alg_parse(e->text);
    return algs;
}

static char **build_names_of(struct settings *set, const char *path)
{
    const struct setting *setting = settings_at(set, path);

    return setting->value != NULL ? build_strings(set, setting->value) : NULL;
}

static void build_claims(struct conf *conf, struct settings *set)
{
    const struct setting *tolerance = settings_at(set, "auth:options:clockTolerance");

    conf->audiences = build_names_of(set, "auth:options:audience");
    conf->issuers = build_names_of(set, "auth:options:issuer");
    conf->token_types = build_names_of(set, "auth:options:types");
    conf->token.audiences = (const char *const *)conf->audiences;
    conf->token.issuers = (const char *const *)conf->issuers;
    conf->token.types = (const char *const *)conf->token_types;
    if (tolerance->value != NULL)
        conf->token.tolerance_s = (int64_t)tolerance->value->number;
    conf->token.rooms_per_client = conf->rooms_per_client;
    if (text_eq(conf->token.rooms_claim, "profile."))
        build_refuse(set, "auth:options:roomsClaim",
                     "the name of a claim, or profile. and that of a member");
}

/* 1 if a key was given that could not be read: what follows from there being none
 * is no fault of its own. */
static int is_broken(struct settings *set)
{
    static const char *const paths[] = {"auth:secret", "auth:secretFile", "auth:publicKeyFile",
                                        "auth:keys", "auth:jwksFile"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (settings_at(set, paths[i])->broken)
            return 1;
    return 0;
}

void build_auth(struct conf *conf, struct settings *set)
{
    const struct setting *algorithms = settings_at(set, "auth:options:algorithms");
    const struct jsonc *list = algorithms->value;
    int before = set->nerrors, known;

    conf->token.algs = wanted_algorithms(list);
    build_keys(conf, set);
    known = set->nerrors == before && !is_broken(set);
    if (known && token_keys_algs(conf->keys) == 0) {
        settings_error(set, NULL, "auth",
                       "found no key to check tokens with, wanted auth:secretFile (a file that "
                       "holds the secret), auth:secret, auth:publicKeyFile, auth:keys or "
                       "auth:jwksFile");
        known = 0;
    }
    for (const struct jsonc *e = list != NULL ? setting_next(list, NULL) : NULL; e != NULL;
         e = setting_next(list, e))
        check_algorithm(conf, set, algorithms, e, known);
    if (known && set->nerrors == before && !(conf->token.algs & token_keys_algs(conf->keys)))
        settings_error(set, &algorithms->source, algorithms->path,
                       "found no key that may be used for any of them");
    build_claims(conf, set);
}
