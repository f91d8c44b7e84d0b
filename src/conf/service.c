#include "conf/service.h"

#include "base/mem.h"
#include "conf/args.h"
#include "conf/assign.h"
#include "conf/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME           "axr-notifyd"
#define FILE_MAX_BYTES (1 << 16)

static void replace(char **where, const char *text)
{
    free(*where);
    *where = text != NULL && *text ? xstrdup(text) : NULL;
}

struct reader {
    const char *root;
    struct buf *notes;
};

/* --- files ------------------------------------------------------------------------ */

static char *below(const struct reader *reader, const char *name)
{
    char *full = xmalloc(strlen(reader->root) + strlen(name) + 1);

    (void)sprintf(full, "%s%s", reader->root, name);
    return full;
}

/* The text of the file called name (below root), or NULL: not there, or noted. */
static char *read_text(const struct reader *reader, const char *name)
{
    char *full = below(reader, name), *text = NULL;
    struct file file;

    if (file_read(&file, full, FILE_MAX_BYTES, FILE_REGULAR) == 0) {
        text = xstrdup(file.text);
        file_clear(&file);
    } else if (errno != ENOENT && errno != ENOTDIR) {
        (void)buf_printf(reader->notes, "%s: cannot be read: %s\n", name, file_strerror(errno));
    }
    free(full);
    return text;
}

/* Takes a line off *text; a backslash at its end joins the next one. */
static char *next_line(char **text)
{
    char *line = *text, *end = line;

    if (!*line)
        return NULL;
    while (*end && *end != '\n') {
        if (end[0] == '\\' && end[1] == '\n')
            end[0] = end[1] = ' ';
        end++;
    }
    *text = *end ? end + 1 : end;
    *end = '\0';
    while (end > line && strchr(ASSIGN_BLANKS, end[-1]) != NULL)
        *--end = '\0';
    return line;
}

/* --- systemd's unit --------------------------------------------------------------- */

static const char *const unit_dirs[] = {
    "/etc/systemd/system",     "/run/systemd/system", "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system", "/lib/systemd/system",
};
#define NDIRS (sizeof(unit_dirs) / sizeof(unit_dirs[0]))

struct unit {
    char *user, *group, *exec, *logs;
    struct texts groups, env, env_files, caps;
    long files;
};

static void unit_clear(struct unit *unit)
{
    free(unit->user);
    free(unit->group);
    free(unit->exec);
    free(unit->logs);
    texts_clear(&unit->groups);
    texts_clear(&unit->env);
    texts_clear(&unit->env_files);
    texts_clear(&unit->caps);
}

/* A list grows with each line of its key, and an empty one ends it. */
static void unit_list(struct texts *list, const char *value)
{
    if (*value)
        texts_split(list, value);
    else
        texts_clear(list);
}

/* SOFT:HARD, or one number for both; 0 for anything else, as infinity. */
static long hard_limit(const char *value)
{
    const char *colon = strchr(value, ':');
    long n = strtol(colon != NULL ? colon + 1 : value, NULL, 10);

    return n > 0 ? n : 0;
}

static void unit_set(struct unit *unit, const char *key, const char *value)
{
    if (strcmp(key, "User") == 0)
        replace(&unit->user, value);
    else if (strcmp(key, "Group") == 0)
        replace(&unit->group, value);
    else if (strcmp(key, "SupplementaryGroups") == 0)
        unit_list(&unit->groups, value);
    else if (strcmp(key, "ExecStart") == 0)
        replace(&unit->exec, value);
    else if (strcmp(key, "LogsDirectory") == 0)
        replace(&unit->logs, value);
    else if (strcmp(key, "Environment") == 0)
        unit_list(&unit->env, value);
    else if (strcmp(key, "EnvironmentFile") == 0)
        unit_list(&unit->env_files, value);
    else if (strcmp(key, "AmbientCapabilities") == 0)
        unit_list(&unit->caps, value);
    else if (strcmp(key, "LimitNOFILE") == 0)
        unit->files = hard_limit(value);
}

/* What %X stands for, or NULL: only systemd can tell. */
static const char *specifier(char x)
{
    static const struct {
        char x;
        const char *text;
    } known[] = {
        {'%', "%"},        {'C', "/var/cache"}, {'E', "/etc"},
        {'L', "/var/log"}, {'N', NAME},         {'S', "/var/lib"},
        {'T', "/tmp"},     {'V', "/var/tmp"},   {'n', NAME ".service"},
        {'p', NAME},       {'t', "/run"},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].x == x)
            return known[i].text;
    return NULL;
}

/* value with what its specifiers stand for; what is not known is noted, and stays. */
static char *specified(const struct reader *reader, const char *name, const char *value)
{
    struct buf out = {0};
    char *text;

    for (; *value; value++) {
        const char *known = *value == '%' ? specifier(value[1]) : NULL;

        if (*value == '%' && known == NULL)
            (void)buf_printf(reader->notes, "%s: %%%.1s: only systemd can tell what it is\n", name,
                             value + 1);
        if (known != NULL)
            buf_puts(&out, known);
        else
            buf_putc(&out, (uint8_t)*value);
        value += known != NULL;
    }
    if (buf_putc(&out, '\0') < 0)
        abort();
    text = xstrdup((const char *)out.data);
    buf_free(&out);
    return text;
}

/* Returns 1 if the file is there. */
static int unit_read(struct unit *unit, const struct reader *reader, const char *name)
{
    char *text = read_text(reader, name), *rest = text, *line, *equals, *value;
    int ours = 0;

    while (rest != NULL && ((line = next_line(&rest)) != NULL)) {
        line += strspn(line, ASSIGN_BLANKS);
        if (*line == '[')
            ours = strcmp(line, "[Service]") == 0;
        equals = strchr(line, '=');
        if (!ours || equals == NULL || *line == '#' || *line == ';')
            continue;
        *equals = '\0';
        line[strcspn(line, ASSIGN_BLANKS)] = '\0';
        value = specified(reader, name, equals + 1 + strspn(equals + 1, ASSIGN_BLANKS));
        unit_set(unit, line, value);
        free(value);
    }
    free(text);
    return text != NULL;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static int by_base_name(const void *one, const void *two)
{
    return strcmp(base_name(*(char *const *)one), base_name(*(char *const *)two));
}

static int is_hidden(const struct texts *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(base_name(names->at[i]), base_name(name)) == 0)
            return 1;
    return 0;
}

/* Adds the drop-ins in a directory, but those that one before has by the same name. */
static void find_dropins(struct texts *names, const struct reader *reader, const char *dir)
{
    char *full = below(reader, dir);
    DIR *opened = opendir(full);
    struct dirent *entry;

    while (opened != NULL && ((entry = readdir(opened)) != NULL)) {
        const char *dot = strrchr(entry->d_name, '.');
        char *name;

        if (dot == NULL || strcmp(dot, ".conf") != 0)
            continue;
        if (asprintf(&name, "%s/%s", dir, entry->d_name) < 0)
            abort();
        if (is_hidden(names, name))
            free(name);
        else
            texts_add(names, name);
    }
    if (opened != NULL)
        closedir(opened);
    free(full);
}

static void read_dropins(struct unit *unit, const struct reader *reader)
{
    struct texts names = {0};
    char dir[128];

    for (size_t i = 0; i < NDIRS; i++) {
        (void)snprintf(dir, sizeof(dir), "%s/" NAME ".service.d", unit_dirs[i]);
        find_dropins(&names, reader, dir);
    }
    if (names.n > 0)
        qsort(names.at, names.n, sizeof(*names.at), by_base_name);
    for (size_t i = 0; i < names.n; i++)
        (void)unit_read(unit, reader, names.at[i]);
    texts_clear(&names);
}

/* Variables of a file win over those of the unit. */
static void read_environment(struct unit *unit, const struct reader *reader)
{
    for (size_t i = 0; i < unit->env_files.n; i++) {
        const char *name = unit->env_files.at[i];
        char *text = read_text(reader, name + (*name == '-')), *rest = text, *line;

        while (rest != NULL && ((line = next_line(&rest)) != NULL))
            (void)assign_take(&unit->env, line + strspn(line, ASSIGN_BLANKS), ASSIGN_PLAIN);
        free(text);
    }
}

/* A word that is a variable may be several, or none.  The first words are the program. */
static void take_command(struct texts *words, const struct unit *unit)
{
    const char *at = unit->exec != NULL ? unit->exec : "";
    int program = 1;

    for (at += strspn(at, ASSIGN_BLANKS); *at; at += strspn(at, ASSIGN_BLANKS)) {
        size_t len = *at == '$' ? strspn(at + 1, ASSIGN_NAME) : 0;

        if (program) {
            program = strchr(at, '@') != NULL && strcspn(at, "@") < strcspn(at, "/") ? 2 : 1;
            for (; program > 0 && *at; program--)
                at += strcspn(at, ASSIGN_BLANKS) +
                      strspn(at + strcspn(at, ASSIGN_BLANKS), ASSIGN_BLANKS);
        } else if (len > 0 && strchr(ASSIGN_BLANKS, at[len + 1]) != NULL) {
            const char *value = texts_value(&unit->env, at + 1, len);

            texts_split(words, value != NULL ? value : "");
            at += len + 1;
        } else {
            char *word = assign_word(&at, &unit->env, ASSIGN_SHELL);

            if (word == NULL)
                return;
            texts_add(words, word);
        }
    }
}

static int has_text(const struct texts *texts, const char *text)
{
    for (size_t i = 0; i < texts->n; i++)
        if (strcmp(texts->at[i], text) == 0)
            return 1;
    return 0;
}

static int find_unit(struct service *service, const struct reader *reader)
{
    struct unit unit = {0};
    struct texts words = {0};
    char name[128];
    size_t i = 0;

    do {
        (void)snprintf(name, sizeof(name), "%s/" NAME ".service", unit_dirs[i]);
    } while (!unit_read(&unit, reader, name) && ++i < NDIRS);
    if (i < NDIRS)
        read_dropins(&unit, reader);
    if (unit.exec == NULL) { /* none, or masked */
        unit_clear(&unit);
        return 0;
    }
    read_environment(&unit, reader);
    take_command(&words, &unit);
    service->name = xstrdup(name);
    replace(&service->user, unit.user);
    replace(&service->group, unit.group);
    service->words = words.at;
    service->nwords = words.n;
    service->environ = unit.env.at;
    service->groups = unit.groups.at;
    unit.env = unit.groups = (struct texts){0};
    service->files = unit.files;
    service->low_ports = has_text(&unit.caps, "CAP_NET_BIND_SERVICE");
    if (unit.logs != NULL && asprintf(&service->log_dir, "/var/log/%s", unit.logs) < 0)
        abort();
    unit_clear(&unit);
    return 1;
}

/* --- the init script -------------------------------------------------------------- */

static const char script[] = AXR_SYSCONFDIR "/init.d/" NAME;
static const char defaults[] = AXR_SYSCONFDIR "/default/" NAME;

/* Returns 1 if the file is there. */
static int read_script(struct texts *vars, struct texts *env, const struct reader *reader,
                       const char *name)
{
    static const char export[] = "export ";
    char *text = read_text(reader, name), *rest = text, *line;

    for (unsigned n = 1; rest != NULL && ((line = next_line(&rest)) != NULL); n++) {
        int exported = strncmp(line, export, strlen(export)) == 0, result;

        line += exported ? strlen(export) : 0;
        result = assign_take(vars, line, ASSIGN_SHELL);
        if (result > 0 && exported)
            texts_add(env, xstrdup(vars->at[vars->n - 1]));
        if (result < 0)
            (void)buf_printf(reader->notes, "%s: line %u: only a shell can tell what it sets\n",
                             name, n);
    }
    free(text);
    return text != NULL;
}

/* Each option with a value, as the script gives it to the daemon. */
static void option(struct texts *words, const char *name, const char *value)
{
    if (value == NULL)
        return;
    texts_add(words, xstrdup(name));
    texts_add(words, xstrdup(value));
}

static int find_script(struct service *service, const struct reader *reader)
{
    struct texts vars = {0}, env = {0}, words = {0};

    if (!read_script(&vars, &env, reader, script))
        return 0;
    (void)read_script(&vars, &env, reader, defaults);
    option(&words, "-c", texts_variable(&vars, "CONFIG"));
    texts_split(&words, texts_variable(&vars, "DAEMON_OPTS") != NULL
                            ? texts_variable(&vars, "DAEMON_OPTS")
                            : "");
    option(&words, "--user", texts_variable(&vars, "DAEMON_USER"));
    option(&words, "--group", texts_variable(&vars, "DAEMON_GROUP"));
    option(&words, "--pidFile", texts_variable(&vars, "PID_FILE"));
    service->name = xstrdup(script);
    service->words = words.at;
    service->nwords = words.n;
    service->environ = env.at;
    replace(&service->log_dir, texts_variable(&vars, "LOG_DIR"));
    texts_clear(&vars);
    return 1;
}

/* --- both --------------------------------------------------------------------------- */

int service_find(struct service *service, const char *root, struct buf *notes)
{
    const struct reader reader = {root, notes};
    char *running = below(&reader, "/run/systemd/system");
    int found;

    *service = (struct service){0};
    found = access(running, F_OK) == 0 && find_unit(service, &reader);
    free(running);
    return found || find_script(service, &reader);
}

static int visit(int id, const char *value, void *arg, struct buf *errors)
{
    (void)arg;
    if (id != 0)
        return 0;
    (void)buf_printf(errors, "no argument is wanted, found \"%.100s\"\n", value);
    return -1;
}

int service_args(struct conf_args *args, const struct service *service,
                 const struct conf_args *more, struct buf *errors)
{
    static const struct args_option own[] = {{"-d", 1, 0}};
    struct texts words = {0};
    int result;

    texts_add(&words, xstrdup(NAME));
    for (size_t i = 0; i < service->nwords; i++)
        texts_add(&words, xstrdup(service->words[i]));
    for (size_t i = 0; more != NULL && i < more->noptions; i++)
        texts_add(&words, xstrdup(more->options[i]));
    result = conf_args_split(args, (int)words.n, words.at, service->environ, own,
                             sizeof(own) / sizeof(own[0]), visit, NULL, errors);
    texts_clear(&words);
    return result;
}

const char *service_config(const struct service *service)
{
    const char *name = NULL;

    for (size_t i = 0; i + 1 < service->nwords; i++)
        if (strcmp(service->words[i], "-c") == 0)
            name = service->words[i + 1];
    return name;
}

/* NULL-terminated. */
static void list_clear(char **list)
{
    struct texts texts = {list, 0};

    while (list != NULL && list[texts.n] != NULL)
        texts.n++;
    texts_clear(&texts);
}

void service_clear(struct service *service)
{
    struct texts words = {service->words, service->nwords};

    texts_clear(&words);
    list_clear(service->environ);
    list_clear(service->groups);
    free(service->name);
    free(service->user);
    free(service->group);
    free(service->log_dir);
    *service = (struct service){0};
}
