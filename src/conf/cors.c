#include "conf/build.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* scheme://host[:port] as a browser sends it: lower case, without the port that
 * the scheme implies, or a pattern (codec/origin.h).  Changes text in place.  Returns 0, or -1 if
 * it is none. */
static int normalise(char *text)
{
    char *host = strstr(text, "://");
    char *colon;

    if (host == NULL || host == text)
        return -1;
    for (char *c = text; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+-.") != (size_t)(host - text))
        return -1;
    host += 3;
    if (strncmp(host, "*.", 2) == 0)
        host += 2; /* a pattern: any name below */
    if (!*host || strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_~[]:") != strlen(host))
        return -1;
    colon = strrchr(host, ':');
    if (colon != NULL && ((strncmp(text, "http:", 5) == 0 && strcmp(colon, ":80") == 0) ||
                          (strncmp(text, "https:", 6) == 0 && strcmp(colon, ":443") == 0)))
        *colon = '\0';
    return 0;
}

static void check_origin(struct conf *conf, struct settings *set, const struct setting *setting,
                         const struct jsonc *value, char *origin)
{
    struct source source = setting->source;
    char found[96];

    if (source.layer == LAYER_FILE)
        source.line = value->line;
    if (strcmp(origin, "*") == 0)
        conf->cors_any = 1;
    else if (strcmp(origin, "null") != 0 && normalise(origin) < 0)
        settings_error(set, &source, setting->path,
                       "found %s, wanted \"*\" or an origin such as \"https://app.example.com\": "
                       "no path, no slash at its end, a wildcard only as its first name",
                       value_describe(value, 0, found, sizeof(found)));
}

/* Node's cors: true lets every origin in, false none. */
static void build_bool(struct conf *conf, struct settings *set, int any)
{
    conf->cors_origins = calloc(2, sizeof(*conf->cors_origins));
    if (conf->cors_origins == NULL)
        settings_error(set, NULL, NULL, "out of memory");
    else if (any)
        conf->cors_origins[0] = build_strdup(set, "*");
    conf->cors_any = any;
}

void build_cors(struct conf *conf, struct settings *set)
{
    const struct setting *setting = settings_at(set, "cors:origins");
    const struct jsonc *list = setting->value;
    size_t i = 0;

    if (list == NULL)
        return; /* no memory for the default */
    if (list->type == JSONC_TRUE || list->type == JSONC_FALSE) {
        build_bool(conf, set, list->type == JSONC_TRUE);
        return;
    }
    conf->cors_origins = build_strings(set, list);
    if (conf->cors_origins == NULL)
        return;
    for (const struct jsonc *e = setting_next(list, NULL); e != NULL; e = setting_next(list, e))
        check_origin(conf, set, setting, e, conf->cors_origins[i++]);
}
