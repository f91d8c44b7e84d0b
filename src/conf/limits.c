#include "conf/build.h"

#include "conf/cpus.h"

#include <string.h>
#include <sys/resource.h>

static void build_workers(struct conf *conf, struct settings *set)
{
    const struct jsonc *value = settings_at(set, "workers")->value;

    if (value != NULL && value->type != JSONC_STRING)
        return;
    conf->workers = cpus_usable();
    if (conf->workers > CONF_WORKERS_MAX)
        conf->workers = CONF_WORKERS_MAX;
}

/* The daemon raises its soft limit to the hard one.  A worker can write to all others,
 * those of another generation too. */
static size_t connections_possible(int workers)
{
    struct rlimit limit;
    size_t reserved = CONF_FILES_RESERVED + 2 * (size_t)workers;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        limit.rlim_max = 1024;
    if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > CONF_CONNECTIONS_MAX + reserved)
        return CONF_CONNECTIONS_MAX;
    return limit.rlim_max > reserved + 1 ? limit.rlim_max - reserved : 1;
}

static void build_connections(struct conf *conf, struct settings *set)
{
    const struct setting *setting = settings_at(set, "limits:connections");
    const char *policy = setting_text(settings_at(set, "limits:connectionsPerUserPolicy"));
    size_t possible = connections_possible(conf->workers);

    conf->replace_connections = policy != NULL && strcmp(policy, "replace") == 0;
    if (setting->value == NULL)
        conf->connections_max = possible;
    else if (conf->connections_max > possible)
        settings_warn(set, &setting->source, setting->path,
                      "found %zu, but the hard limit of open files allows %zu",
                      conf->connections_max, possible);
}

static void build_strangers(struct conf *conf, struct settings *set)
{
    if (settings_at(set, "limits:strangers")->value != NULL)
        return;
    conf->strangers_max = conf->connections_max / CONF_STRANGERS_PART;
    if (conf->strangers_max < CONF_STRANGERS_MIN)
        conf->strangers_max = CONF_STRANGERS_MIN;
}

void build_limits(struct conf *conf, struct settings *set)
{
    build_workers(conf, set);
    build_connections(conf, set);
    build_strangers(conf, set);
}
