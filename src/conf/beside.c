#include "conf/beside.h"

#include "conf/args.h"
#include "conf/file.h"
#include "conf/service.h"
#include "conf/source.h"

#include <string.h>

/* ---- keys ---- */

static const char *file_of(const struct conf_args *args)
{
    return args->file != NULL ? args->file : CONF_DEFAULT_FILE;
}

static int has_key(const struct conf_args *args, const struct key *key)
{
    for (size_t i = 0; i + 1 < args->noptions; i += 2)
        if (source_arg_key(args->options[i] + 2) == key)
            return 1;
    for (size_t i = 0; args->environ != NULL && args->environ[i] != NULL; i++)
        if (source_env_key(args->environ[i]) == key)
            return 1;
    return 0;
}

static int is_missed(const struct conf_args *args, const struct key *key)
{
    return key != NULL && source_concerns_tokens(key) && !has_key(args, key);
}

static void put_keys(const struct conf_args *args, const struct conf_args *given, const char *name,
                     struct buf *lines)
{
    static const char end[] = ", and tokens are judged without it here, where it is not given";

    for (size_t i = 0; i + 1 < given->noptions; i += 2)
        if (is_missed(args, source_arg_key(given->options[i] + 2)))
            buf_printf(lines, "the service (%s) gives the daemon %.100s%s\n", name,
                       given->options[i], end);
    for (size_t i = 0; given->environ[i] != NULL; i++)
        if (is_missed(args, source_env_key(given->environ[i])))
            buf_printf(lines, "the service (%s) gives the daemon the variable %.*s%s\n", name,
                       (int)strcspn(given->environ[i], "="), given->environ[i], end);
}

/* ---- all of it ---- */

void beside_put(const struct conf_args *args, const char *root, struct buf *lines)
{
    struct service service;
    struct conf_args given = {0};
    struct buf notes = {0};

    if (service_find(&service, root, &notes) && service_args(&given, &service, NULL, &notes) == 0) {
        const char *theirs = file_of(&given);
        int same = strcmp(theirs, file_of(args)) == 0 || file_is_same(theirs, file_of(args));

        if (same)
            put_keys(args, &given, service.name, lines);
        else if (args->file == NULL)
            buf_printf(lines,
                       "the service (%s) starts the daemon with -c %s, and this reads %s: give "
                       "-c %s here, too\n",
                       service.name, theirs, file_of(args), theirs);
    }
    conf_args_clear(&given);
    service_clear(&service);
    buf_free(&notes);
}
