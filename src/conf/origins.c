#include "conf/build.h"

#include <stdlib.h>

/* Each of auth:keys is a setting of its own. */
static int is_same_place(const struct key_source *a, const struct key_source *b)
{
    return a->path == b->path && a->element == b->element;
}

/* Those that were given come first, then those of the JWKS file. */
static void note_jwks(struct conf *conf, struct settings *set)
{
    const struct setting *jwks = settings_at(set, "auth:jwksFile");

    for (size_t i = token_keys_count(conf->given_keys); i < token_keys_count(conf->keys); i++)
        set->key_sources[i] = (struct key_source){jwks->source, jwks->path, -1, jwks->value->text};
}

void build_key_origins(struct conf *conf, struct settings *set)
{
    size_t n = token_keys_count(conf->keys);

    if (conf->given_keys != NULL)
        note_jwks(conf, set);
    if (n == 0)
        return;
    conf->key_origins = calloc(n, sizeof(*conf->key_origins));
    if (conf->key_origins == NULL) {
        settings_error(set, NULL, NULL, "out of memory");
        return;
    }
    conf->nkey_origins = n;
    for (size_t i = 0; i < n; i++) {
        const struct key_source *from = &set->key_sources[i];
        struct conf_key_origin *origin = &conf->key_origins[i];

        origin->setting = from->path;
        origin->element = from->element;
        origin->file = build_strdup(set, from->file);
        for (size_t k = 0; k < n; k++) {
            unsigned same = (unsigned)is_same_place(from, &set->key_sources[k]);

            origin->of += same;
            origin->number += k <= i ? same : 0;
        }
    }
}

void build_key_origins_free(struct conf *conf)
{
    for (size_t i = 0; i < conf->nkey_origins; i++)
        free(conf->key_origins[i].file);
    free(conf->key_origins);
}
