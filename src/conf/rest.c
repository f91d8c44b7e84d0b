#include "conf/build.h"

#include "conf/cpus.h"
#include "conf/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CLIENT_MAX_BYTES (16U << 20)

/* --- what all that build need --- */

char *build_strdup(struct settings *set, const char *text)
{
    char *copy = text != NULL ? strdup(text) : NULL;

    if (text != NULL && copy == NULL)
        settings_error(set, NULL, NULL, "out of memory");
    return copy;
}

void build_set(char **text, char *value)
{
    if (*text != NULL)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = value;
}

char *build_file_name(struct settings *set, const struct setting *setting)
{
    const char *text = setting_text(setting);
    char *name = text != NULL ? file_name(set->args->dir, text) : NULL;

    if (text != NULL && name == NULL)
        settings_error(set, NULL, NULL, "out of memory");
    return name;
}

char **build_strings(struct settings *set, const struct jsonc *list)
{
    size_t n = list->type == JSONC_ARRAY ? list->count : 1, i = 0;
    char **strings = calloc(n + 1, sizeof(*strings));

    for (const struct jsonc *e = setting_next(list, NULL); strings != NULL && e != NULL;
         e = setting_next(list, e))
        if ((strings[i++] = strdup(e->text)) == NULL)
            build_strings_free(&strings);
    if (strings == NULL)
        settings_error(set, NULL, NULL, "out of memory");
    return strings;
}

void build_strings_free(char ***strings)
{
    for (size_t i = 0; *strings != NULL && (*strings)[i] != NULL; i++)
        free((*strings)[i]);
    free(*strings);
    *strings = NULL;
}

/* --- fields --- */

/* An empty string stands for the default. */
static const char *text_in_force(const struct setting *setting, const struct key *key, char *dst,
                                 size_t cap)
{
    const char *text = setting_text(setting);
    size_t len;

    if (text != NULL || key->deflt == NULL)
        return text;
    len = strlen(key->deflt) - 2; /* without its quotes; there is no escape in one */
    if (len >= cap)
        return NULL;
    memcpy(dst, key->deflt + 1, len);
    dst[len] = '\0';
    return dst;
}

static void set_text(char **field, struct settings *set, const struct setting *setting,
                     const struct key *key)
{
    char deflt[64];
    const char *text = text_in_force(setting, key, deflt, sizeof(deflt));

    build_set(field,
              key->flags & KEY_FILE ? build_file_name(set, setting) : build_strdup(set, text));
}

static void set_field(struct conf *conf, struct settings *set, const struct setting *setting,
                      const struct key *key)
{
    void *field = (char *)conf + key->offset;
    const struct jsonc *value = setting->value;
    double number = 0;

    if (value != NULL && value->type == JSONC_NUMBER)
        number = value->number;
    else if (value != NULL && value->type == JSONC_TRUE)
        number = 1;
    switch (key->field) {
    case FIELD_INT:
        *(int *)field = (int)number;
        break;
    case FIELD_U32:
        *(uint32_t *)field = (uint32_t)number;
        break;
    case FIELD_SIZE:
        *(size_t *)field = (size_t)number;
        break;
    case FIELD_TEXT:
        set_text(field, set, setting, key);
        break;
    case FIELD_NONE:
        break;
    }
}

void build_fields(struct conf *conf, struct settings *set)
{
    for (size_t i = 0; i < conf_nkeys; i++)
        set_field(conf, set, &set->at[i], &conf_keys[i]);
}

/* --- names --- */

static void refuse(struct settings *set, const char *path, const char *wanted)
{
    const struct setting *setting = settings_at(set, path);
    char found[96];

    settings_error(set, &setting->source, setting->path, "found %s, wanted %s",
                   setting->value != NULL ? value_describe(setting->value, 0, found, sizeof(found))
                                          : "none",
                   wanted);
}

/* axr and /axr are the same, as they are for Socket.IO. */
static void build_namespace(struct conf *conf, struct settings *set)
{
    size_t len = conf->nsp != NULL ? strlen(conf->nsp) : 0;
    char *nsp;

    if (len == 0)
        return;
    if (conf->nsp[0] != '/') {
        nsp = malloc(len + 2);
        if (nsp == NULL) {
            settings_error(set, NULL, NULL, "out of memory");
            return;
        }
        nsp[0] = '/';
        memcpy(nsp + 1, conf->nsp, len + 1);
        build_set(&conf->nsp, nsp);
        len++;
    }
    /* ',' ends a namespace in a packet, '?' begins its query. */
    if (strpbrk(conf->nsp, ",?") != NULL)
        refuse(set, "socket.io:namespace", "a namespace without ',' and '?'");
    else if (len > CONF_NSP_MAX)
        refuse(set, "socket.io:namespace", "at most 256 bytes with its '/'");
}

void build_names(struct conf *conf, struct settings *set)
{
    build_namespace(conf, set);
}

/* /a/b/ from a/b, /a/b or /a/b//; / from / */
static void build_path(struct conf *conf, struct settings *set)
{
    const char *given = conf->path;
    size_t len;
    char *path;

    if (given == NULL)
        return;
    for (const char *c = given; *c; c++) {
        if (*c <= 0x20 || *c >= 0x7f || strchr("?#%", *c) != NULL) {
            refuse(set, "path", "a path of printable ASCII without '?', '#', '%' and blanks");
            return;
        }
    }
    given += strspn(given, "/");
    len = strlen(given);
    while (len > 0 && given[len - 1] == '/')
        len--;
    path = calloc(1, len + 3);
    if (path == NULL) {
        settings_error(set, NULL, NULL, "out of memory");
        return;
    }
    path[0] = '/';
    memcpy(path + 1, given, len);
    if (len > 0)
        path[len + 1] = '/';
    build_set(&conf->path, path);
}

/* --- numbers that the machine decides --- */

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

/* --- the others --- */

static int lists(const struct jsonc *list, const char *word)
{
    for (const struct jsonc *e = list != NULL ? setting_next(list, NULL) : NULL; e != NULL;
         e = setting_next(list, e))
        if (e->text != NULL && strcmp(e->text, word) == 0)
            return 1;
    return 0;
}

static void build_log(struct conf *conf, struct settings *set)
{
    const struct setting *setting = settings_at(set, "log:target");
    const char *target = setting_text(setting);
    const char *level = setting_text(settings_at(set, "log:level"));

    if (level != NULL && log_level_parse(level, &conf->log_level) < 0)
        refuse(set, "log:level", "error, warn, info or debug");
    conf->log_format = lists(settings_at(set, "log:format")->value, "json") ? LOG_JSON : LOG_TEXT;
    conf->log_target = LOG_TO_STDERR;
    if (target == NULL || strcmp(target, "stderr") == 0)
        return;
    if (strcmp(target, "syslog") == 0) {
        conf->log_target = LOG_TO_SYSLOG;
    } else if (strchr(target, '/') != NULL) { /* so that a slip such as "sylog" is no file */
        conf->log_target = LOG_TO_FILE;
        conf->log_file = build_file_name(set, setting);
    } else {
        refuse(set, "log:target", "\"stderr\", \"syslog\" or a file name with a '/' in it");
    }
}

static void build_admin(struct conf *conf, struct settings *set)
{
    const struct setting *setting = settings_at(set, "admin:host");
    const struct jsonc *port = settings_at(set, "admin:port")->value;
    const char *host = setting_text(setting);

    conf->admin_port = port != NULL ? (int)port->number : 0;
    if ((port != NULL && port->type == JSONC_STRING) || (host != NULL && strcmp(host, "off") == 0))
        return;
    if (host != NULL && !address_host(host, strlen(host)))
        refuse(set, "admin:host", "a host name, an address or \"off\"");
    else
        conf->admin_host = build_strdup(set, host != NULL ? host : "127.0.0.1");
}

/* Read here, before privileges are dropped, and once for all workers. */
static void build_client_file(struct conf *conf, struct settings *set)
{
    const struct setting *setting = settings_at(set, "socket.io:clientFile");
    struct file file;
    char *fitting;

    if (conf->client_file == NULL)
        return;
    if (file_read(&file, conf->client_file, CLIENT_MAX_BYTES, FILE_REGULAR) < 0) {
        settings_error(set, &setting->source, setting->path, "cannot read %s: %s",
                       conf->client_file,
                       errno == EFBIG ? "it has more than 16 MiB" : file_strerror(errno));
        return;
    }
    conf->client_text = file.text;
    conf->client_len = file.len;
    fitting = realloc(file.text, file.len + 1); /* 16 MiB were asked for */
    if (fitting != NULL)
        conf->client_text = fitting;
}

void build_rest(struct conf *conf, struct settings *set)
{
    const struct jsonc *transports = settings_at(set, "socket.io:transports")->value;

    build_workers(conf, set);
    build_path(conf, set);
    build_connections(conf, set);
    build_strangers(conf, set);
    build_log(conf, set);
    build_admin(conf, set);
    build_client_file(conf, set);
    conf->polling = lists(transports, "polling");
    conf->websocket = lists(transports, "websocket");
}
