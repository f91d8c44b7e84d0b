#include "conf/source.h"

#include "conf/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FILE_MAX_BYTES (1 << 20)

/* --- line ends --- */

/* What a program or an editor has left behind a text is no part of it. */
static size_t chomped(const char *text, size_t len)
{
    if (len == 0 || text[len - 1] != '\n')
        return len;
    len--;
    return len > 0 && text[len - 1] == '\r' ? len - 1 : len;
}

static void chomp_all(struct jsonc *value)
{
    if (value->type == JSONC_STRING && value->len > 0) {
        value->len = chomped(value->text, value->len);
        value->text[value->len] = '\0';
    }
    for (struct jsonc *e = value->first; e != NULL; e = e->next)
        chomp_all(e);
}

/* --- the file --- */

/* Returns 1 if it is empty, -1 with the errors in the settings. */
static int read_text(struct settings *set, const char *name, const char *text, size_t len)
{
    struct source source = {LAYER_FILE, name, (int)strlen(name), 1};
    struct jsonc_error error;
    struct jsonc *tree = jsonc_parse(text, len, &error);
    const struct jsonc *root;
    char found[64];

    if (tree == NULL && error.blank)
        return 1;
    if (tree == NULL) {
        settings_error(set, NULL, NULL, "%s:%u:%u: %s", name, error.line, error.column, error.text);
        return -1;
    }
    chomp_all(tree);
    root = settings_keep(set, &tree);
    if (root == NULL)
        return -1;
    source.line = root->line;
    if (root->type != JSONC_OBJECT) {
        settings_error(set, &source, NULL, "found %s, wanted an object",
                       value_describe(root, 1, found, sizeof(found)));
        return -1;
    }
    settings_put_root(set, root, &source);
    return 0;
}

/* /dev/null is meant to be empty.  A file may be one that is written anew at this
 * moment: while it is in force, all that it says would be lost. */
static int take_empty(struct settings *set, const struct file *file, const char *name)
{
    if (!file->regular || settings_are_some(set))
        return 0;
    if (set->purpose != CONF_FOR_RELOAD) {
        settings_warn(set, NULL, NULL, "%s: the file is empty", name);
        return 0;
    }
    settings_error(set, NULL, NULL, "%s: the file is empty, wanted an object; {} is one", name);
    return -1;
}

/* A daemon has left the directory that the name begins at. */
static int read_named(struct settings *set, struct file *file, const char *name)
{
    char *full = file_name(set->args->dir, name);
    int result, saved;

    if (full == NULL)
        return -1;
    result = file_read(file, full, FILE_MAX_BYTES,
                       set->purpose == CONF_FOR_RELOAD ? FILE_AT_ONCE : FILE_ANY);
    saved = errno;
    free(full);
    errno = saved;
    return result;
}

static int read_file(struct settings *set)
{
    const char *name = set->args->file != NULL ? set->args->file : CONF_DEFAULT_FILE;
    struct file file;
    int result;

    if (read_named(set, &file, name) < 0) {
        if (set->args->file == NULL && (errno == ENOENT || errno == ENOTDIR))
            return 0;
        settings_error(set, NULL, NULL, "%s: cannot read the configuration: %s", name,
                       strerror(errno));
        return -1;
    }
    set->file_shared = file.shared;
    result = read_text(set, name, file.text, file.len);
    if (result > 0)
        result = take_empty(set, &file, name);
    file_clear(&file);
    return result;
}

/* --- values that are text --- */

static struct jsonc *parse(const char *text, struct jsonc_error *error)
{
    return jsonc_parse(text, strlen(text), error);
}

/* a, b,c */
static struct jsonc *split_list(const char *text)
{
    struct jsonc *list = calloc(1, sizeof(*list)), **tail;

    if (list == NULL)
        return NULL;
    list->type = JSONC_ARRAY;
    list->line = 1;
    tail = &list->first;
    for (;;) {
        size_t n;

        text += strspn(text, " \t");
        n = strcspn(text, ",");
        const char *next = text + n;

        while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
            n--;
        *tail = value_from_text(text, n);
        if (*tail == NULL) {
            jsonc_free(&list);
            return NULL;
        }
        tail = &(*tail)->next;
        list->count++;
        if (!*next)
            return list;
        text = next + 1;
    }
}

/* Text that is to be JSON.  Where it is not: if it looks like an array or an
 * object, *error says what is wrong with it; anything else is a string. */
static struct jsonc *json_or_text(const char *text, struct jsonc_error *error)
{
    struct jsonc *value = parse(text, error);
    char first = text[strspn(text, " \t\r\n")];

    if (value != NULL || first == '{' || first == '[')
        return value;
    error->text[0] = '\0';
    return value_from_text(text, strlen(text));
}

static struct jsonc *list_from_text(const struct key *key, const char *text,
                                    struct jsonc_error *error)
{
    char first = text[strspn(text, " \t\r\n")];

    if (first == '[' || first == '"' || first == '{')
        return parse(text, error);
    if (key->flags & KEY_ANY && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
        return parse(text, error);
    return split_list(text);
}

/* [::1]:80 begins as an array does. */
static struct jsonc *listen_from_text(const char *text, struct jsonc_error *error)
{
    struct jsonc *value = parse(text, error), *list;

    if (value != NULL && value->type == JSONC_ARRAY)
        return value;
    if (value == NULL && strpbrk(text, "\"{") != NULL)
        return NULL;
    if (value == NULL || value->type == JSONC_NUMBER) {
        jsonc_free(&value);
        error->text[0] = '\0';
        return split_list(text);
    }
    list = calloc(1, sizeof(*list));
    if (list == NULL) {
        jsonc_free(&value);
        return NULL;
    }
    list->type = JSONC_ARRAY;
    list->first = value;
    list->count = 1;
    return list;
}

/* A secret or a file name may be any text: one that is meant begins with [" or is []. */
static struct jsonc *texts_from_text(const char *text, struct jsonc_error *error)
{
    const char *at = text + strspn(text, " \t\r\n");

    if (*at == '[') {
        at++;
        at += strspn(at, " \t\r\n");
        if (*at == '"' || *at == ']')
            return parse(text, error);
    }
    return value_from_text(text, strlen(text));
}

static struct jsonc *from_text(const struct key *key, int element, const char *text,
                               struct jsonc_error *error)
{
    if (element)
        return key->type == KEY_LISTEN || key->type == KEY_KEYS || key->type == KEY_SENTINELS
                   ? json_or_text(text, error)
                   : value_from_text(text, strlen(text));
    switch (key->type) {
    case KEY_TEXT:
    case KEY_WORD:
    case KEY_IGNORED:
        return value_from_text(text, strlen(text));
    case KEY_LIST:
        return list_from_text(key, text, error);
    case KEY_LISTEN:
    case KEY_SENTINELS:
        return listen_from_text(text, error);
    case KEY_TEXTS:
        return texts_from_text(text, error);
    case KEY_KEYS:
    case KEY_SECTION:
    case KEY_INT:
    case KEY_BOOL:
    case KEY_SWITCH:
        break;
    }
    return json_or_text(text, error);
}

/* The same of text without the end of its line.  NULL and no error without memory. */
static struct jsonc *from_line(const struct key *key, int element, const char *text,
                               struct jsonc_error *error)
{
    size_t len = strlen(text), n = chomped(text, len);
    char *copy = n < len ? strndup(text, n) : NULL;
    struct jsonc *value = NULL;

    memset(error, 0, sizeof(*error));
    if (n == len || copy != NULL)
        value = from_text(key, element, copy != NULL ? copy : text, error);
    if (value != NULL && value->type != JSONC_STRING)
        chomp_all(value);
    if (copy != NULL)
        explicit_bzero(copy, n);
    free(copy);
    return value;
}

static void put_text(struct settings *set, const struct match *match, const char *text,
                     const struct source *source)
{
    struct jsonc_error error;
    struct jsonc *value = from_line(match->key, match->element >= 0, text, &error);

    if (value == NULL) {
        settings_error(set, source, match->path, "column %u: %s", error.column,
                       error.text[0] ? error.text : "out of memory");
        settings_at(set, match->key->path)->broken = 1;
    } else if (match->element >= 0) {
        settings_put_element(set, match, value, source);
    } else {
        const struct jsonc *kept = settings_keep(set, &value);

        if (kept != NULL)
            settings_put(set, match, kept, source);
    }
}

/* --- the environment --- */

/* A variable that is one of ours. */
struct variable {
    struct match match;
    struct source source;
    const char *value;
    int rank; /* the higher counts: PORT, the plain name, the one with the prefix */
};

static int compare_int(long a, long b)
{
    return (a > b) - (a < b);
}

static int is_part(const struct key *key)
{
    return key->type != KEY_SECTION && key->type != KEY_SWITCH;
}

/* Within a rank the whole comes before its parts, so that a part counts. */
static int compare(const void *one, const void *two)
{
    const struct variable *a = one, *b = two;
    int a_part = is_part(a->match.key), b_part = is_part(b->match.key);
    int order = compare_int(a->rank, b->rank);

    if (order == 0)
        order = compare_int(a_part, b_part);
    if (order == 0)
        order = compare_int(a->match.key - conf_keys, b->match.key - conf_keys);
    if (order == 0)
        order = compare_int(a->match.element, b->match.element);
    return order;
}

/* socket.io__redis__hots: not ours to refuse, for the environment is everyone's,
 * but most likely a slip. */
static void warn_unknown(struct settings *set, const struct source *source, const char *name)
{
    char section[SCHEMA_PATH_MAX], path[SCHEMA_PATH_MAX];
    const char *end = strstr(name, "__"), *meant;
    struct match match;

    if (end == NULL || settings_are_some(set))
        return;
    (void)snprintf(section, sizeof(section), "%.*s", (int)(end - name), name);
    match = schema_match(section, SPELT_FILE);
    if (match.key == NULL || match.key->type != KEY_SECTION)
        return;
    meant = schema_suggest(name, SPELT_ENV, path);
    settings_warn(set, source, NULL, "unknown key, not used%s%s%s",
                  meant != NULL ? "; did you mean \"" : "", meant != NULL ? meant : "",
                  meant != NULL ? "\"?" : "");
}

#define PREFIX_LEN (sizeof(SCHEMA_ENV_PREFIX) - 1)

/* Nobody else's begins like this. */
static int is_prefixed(const char *word)
{
    return strncasecmp(word, SCHEMA_ENV_PREFIX, PREFIX_LEN) == 0;
}

/* Finds out whether word is ours; if it is, fills *variable and returns 1. */
static int read_variable(struct settings *set, const char *word, struct variable *variable)
{
    const char *equals = strchr(word, '=');
    size_t len = equals != NULL ? (size_t)(equals - word) : 0;
    int ours = is_prefixed(word);
    char name[SCHEMA_PATH_MAX];

    if (len == 0 || (len >= sizeof(name) && !ours))
        return 0;
    variable->source = (struct source){LAYER_ENV, word, (int)(len < 200 ? len : 200), 0};
    variable->value = equals + 1;
    (void)snprintf(name, sizeof(name), "%.*s", (int)len, word);
    if (ours && len < sizeof(name)) {
        variable->match = schema_match(name + PREFIX_LEN, SPELT_FOLDED);
        variable->rank = 2;
    } else if (ours) {
        variable->match.key = NULL;
    } else if (strcmp(name, "PORT") == 0) {
        variable->match = schema_match("port", SPELT_ENV);
        variable->rank = 0;
    } else {
        variable->match = schema_match(name, SPELT_ENV);
        variable->rank = 1;
    }
    if (variable->match.key == NULL && ours)
        settings_unknown(set, &variable->source, name + PREFIX_LEN, SPELT_FOLDED);
    else if (variable->match.key == NULL)
        warn_unknown(set, &variable->source, name);
    return variable->match.key != NULL;
}

/* Which of two the environment meant is not to be told: their order is chance. */
static void put_variable(struct settings *set, const struct variable *variable,
                         const struct variable *before)
{
    enum key_type type = variable->match.key->type;

    if (chomped(variable->value, strlen(variable->value)) == 0 && type != KEY_TEXT &&
        type != KEY_TEXTS && type != KEY_IGNORED)
        return;
    if (before != NULL && compare(variable, before) == 0 && type != KEY_IGNORED && *before->value &&
        strcmp(variable->value, before->value) != 0) {
        settings_error(set, &variable->source, variable->match.path,
                       "found it again under another name (environment %.*s), wanted one of them",
                       before->source.name_len, before->source.name);
        return;
    }
    put_text(set, &variable->match, variable->value, &variable->source);
}

static void read_environment(struct settings *set)
{
    struct variable *found = NULL;
    size_t n = 0, used = 0;

    while (set->args->environ != NULL && set->args->environ[n] != NULL)
        n++;
    if (n > 0)
        found = calloc(n, sizeof(*found));
    if (n > 0 && found == NULL)
        settings_error(set, NULL, NULL, "out of memory");
    for (size_t i = 0; found != NULL && i < n; i++)
        used += (size_t)read_variable(set, set->args->environ[i], &found[used]);
    if (used > 0)
        qsort(found, used, sizeof(*found), compare);
    for (size_t i = 0; i < used; i++)
        put_variable(set, &found[i], i > 0 ? &found[i - 1] : NULL);
    free(found);
}

/* --- the command line --- */

static void put_option(struct settings *set, const char *name, size_t len, const char *value)
{
    static const struct source source = {.layer = LAYER_ARGS};
    char key[SCHEMA_PATH_MAX];
    struct match match = {NULL, NULL, -1};

    (void)snprintf(key, sizeof(key), "%.*s", (int)(len < sizeof(key) ? len : sizeof(key)), name);
    if (len < sizeof(key))
        match = schema_match(key, SPELT_ARGS);
    if (match.key == NULL)
        settings_unknown(set, &source, key, SPELT_ARGS);
    else if (value == NULL)
        settings_error(set, &source, match.path, "found no value after it, wanted one");
    else
        put_text(set, &match, value, &source);
}

static void read_command_line(struct settings *set)
{
    size_t n = set->args->noptions;
    char **words = set->args->options;

    for (size_t i = 0; i < n; i++) {
        const char *name = words[i] + 2, *equals;

        if (strncmp(words[i], "--", 2) != 0) {
            settings_error(set, NULL, NULL, "command line: found a word that is no --KEY");
            continue;
        }
        equals = strchr(name, '=');
        if (equals != NULL)
            put_option(set, name, (size_t)(equals - name), equals + 1);
        else
            put_option(set, name, strlen(name), i + 1 < n ? words[i + 1] : NULL);
        i += equals == NULL;
    }
}

/* A section may hold a secret. */
static int may_be_secret(const struct key *key)
{
    return key->type == KEY_SECTION || key->type == KEY_IGNORED || key->flags & KEY_SECRET;
}

const struct key *source_arg_key(const char *name)
{
    return schema_match(name, SPELT_ARGS).key;
}

static const struct key *env_key(const char *variable)
{
    char name[SCHEMA_PATH_MAX];

    (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(variable, "="), variable);
    return is_prefixed(variable) ? schema_match(name + PREFIX_LEN, SPELT_FOLDED).key
                                 : schema_match(name, SPELT_ENV).key;
}

const struct key *source_env_key(const char *variable)
{
    const char *equals = strchr(variable, '=');

    return equals != NULL && equals[1] ? env_key(variable) : NULL;
}

int source_concerns_tokens(const struct key *key)
{
    size_t len = strlen(key->path);

    if (key->type != KEY_SECTION)
        return (key->flags & KEY_TOKENS) != 0;
    for (size_t i = 0; i < conf_nkeys; i++)
        if ((conf_keys[i].flags & KEY_TOKENS) != 0 &&
            strncmp(conf_keys[i].path, key->path, len) == 0 && conf_keys[i].path[len] == ':')
            return 1;
    return 0;
}

/* A name that is no key's may be a slip in one that is secret. */
int source_arg_secret(const char *name)
{
    const struct key *key = source_arg_key(name);

    return key == NULL || may_be_secret(key);
}

int source_env_secret(const char *variable)
{
    const struct key *key = env_key(variable);

    return key != NULL ? may_be_secret(key) : is_prefixed(variable);
}

int sources_read(struct settings *set, const char *text, size_t len)
{
    const char *name = set->args->file != NULL ? set->args->file : CONF_DEFAULT_FILE;
    int result = text != NULL ? read_text(set, name, text, len) : read_file(set);

    read_environment(set);
    read_command_line(set);
    return result < 0 ? -1 : 0;
}
