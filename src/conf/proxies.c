#include "codec/forwarded.h"
#include "conf/build.h"

#include <stdlib.h>
#include <string.h>

#define PROXIES_MAX 1024

static const char *wanted_of(enum network_fault fault)
{
    switch (fault) {
    case NETWORK_NO_PREFIX:
        return "a prefix of 0 to 32 bits after the '/', or of 0 to 128 for IPv6";
    case NETWORK_HOST_BITS:
        return "a network without bits behind its prefix, such as 10.0.0.0/8";
    case NETWORK_NO_ADDRESS:
    case NETWORK_GOOD:
        break;
    }
    return "an address, a network such as 10.0.0.0/8 or fd00::/8, or \"unix\"";
}

static void add(struct conf *conf, struct settings *set, const struct setting *setting,
                const struct jsonc *value)
{
    struct networks *from = &conf->proxies.from;
    struct source source = setting->source;
    enum network_fault fault;
    char found[96];

    if (source.layer == LAYER_FILE)
        source.line = value->line;
    if (strcmp(value->text, "unix") == 0) {
        from->unix_too = 1;
        return;
    }
    fault = network_parse(&from->at[from->n], (struct slice){value->text, value->len});
    if (fault != NETWORK_GOOD) {
        settings_error(set, &source, setting->path, "found %s, wanted %s",
                       value_describe(value, 0, found, sizeof(found)), wanted_of(fault));
        return;
    }
    if (network_is_all(&from->at[from->n]))
        settings_warn(set, &source, setting->path,
                      "found %s: whoever connects is believed to be who it says",
                      value_describe(value, 0, found, sizeof(found)));
    from->n++;
}

static void build_header(struct conf *conf, struct settings *set)
{
    const struct setting *setting = settings_at(set, "proxyHeader");
    const char *text = setting_text(setting);

    conf->proxies.header = FORWARDED_EITHER;
    if (text != NULL)
        conf->proxies.header =
            strcmp(text, "Forwarded") == 0 ? FORWARDED_STANDARD : FORWARDED_X_FOR;
    if (text != NULL && conf->proxies.from.n == 0 && !conf->proxies.from.unix_too)
        settings_warn(set, &setting->source, setting->path, "not used, for proxies names nobody");
}

/* It would refuse whoever comes. */
static void check_listeners(const struct conf *conf, struct settings *set)
{
    const struct setting *listen = settings_at(set, "listen");
    const struct networks *from = &conf->proxies.from;

    for (size_t i = 0; i < conf->nlisten; i++) {
        const struct conf_listen *one = &conf->listen[i];

        if (one->proxy && one->unix_path != NULL && !from->unix_too)
            settings_error(set, &listen->source, listen->path,
                           "found proxyProtocol on a Unix socket, wanted \"unix\" in proxies");
        else if (one->proxy && one->unix_path == NULL && from->n == 0)
            settings_error(set, &listen->source, listen->path,
                           "found proxyProtocol, wanted the addresses of those who connect there "
                           "in proxies");
    }
}

void build_proxies(struct conf *conf, struct settings *set)
{
    const struct setting *setting = settings_at(set, "proxies");
    const struct jsonc *list = setting->value;
    size_t n = list == NULL ? 0 : list->type == JSONC_ARRAY ? list->count : 1;

    if (n > PROXIES_MAX) {
        settings_error(set, &setting->source, setting->path,
                       "found %zu elements, wanted %d at most", n, PROXIES_MAX);
        return;
    }
    conf->proxies.from.at = calloc(n + 1, sizeof(*conf->proxies.from.at));
    if (conf->proxies.from.at == NULL) {
        settings_error(set, NULL, NULL, "out of memory");
        return;
    }
    for (const struct jsonc *e = list != NULL ? setting_next(list, NULL) : NULL; e != NULL;
         e = setting_next(list, e))
        add(conf, set, setting, e);
    build_header(conf, set);
    if (!setting->broken)
        check_listeners(conf, set);
}
