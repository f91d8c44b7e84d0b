#include "conf/args.h"

#include "base/mem.h"
#include "conf/source.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPTION_CONFIG (-1) /* id of -c */

struct split {
    struct conf_args *args;
    int argc, at; /* at: the word that is being looked at */
    char **argv;
    const struct args_option *own;
    size_t nown;
    args_visit *visit;
    void *arg;
    struct buf *errors;
};

static int usage(struct split *split, const char *what, const char *option, size_t len)
{
    buf_printf(split->errors, "%s%.*s\n", what, (int)(len < 100 ? len : 100), option);
    return -1;
}

/* The program's own option of that name, or NULL. */
static const struct args_option *find(const struct split *split, const char *name, size_t len)
{
    static const struct args_option config = {"-c", OPTION_CONFIG, 1};

    if (len == 2 && memcmp(name, "-c", 2) == 0)
        return &config;
    for (size_t i = 0; i < split->nown; i++)
        if (strlen(split->own[i].name) == len && memcmp(split->own[i].name, name, len) == 0)
            return &split->own[i];
    return NULL;
}

static char *next_word(struct split *split)
{
    return split->at + 1 < split->argc ? split->argv[++split->at] : NULL;
}

/* Frees what others may only read. */
static void drop(const char *text)
{
    void *memory;

    memcpy(&memory, &text, sizeof(memory));
    free(memory);
}

static int take(struct split *split, const struct args_option *option, const char *value)
{
    if (option->id != OPTION_CONFIG)
        return split->visit(option->id, value, split->arg, split->errors);
    assert(value != NULL); /* -c takes one */
    drop(split->args->file);
    split->args->file = xstrdup(value);
    return 0;
}

/* -dt, -cFILE, -c FILE */
static int split_short(struct split *split, const char *word)
{
    for (const char *c = word + 1; *c; c++) {
        char name[3] = {'-', *c, '\0'};
        const struct args_option *option = find(split, name, 2);
        const char *value = NULL;

        if (option == NULL)
            return usage(split, "unknown option ", name, 2);
        if (option->takes_value) {
            value = c[1] ? c + 1 : next_word(split);
            if (value == NULL)
                return usage(split, "a value is missing after ", name, 2);
        }
        if (take(split, option, value) < 0)
            return -1;
        if (option->takes_value)
            break;
    }
    return 0;
}

static void keep(struct split *split, const char *name, size_t len, char *value)
{
    struct conf_args *args = split->args;
    char *key = xstrndup(name, len);

    args->options[args->noptions++] = key;
    args->options[args->noptions++] = xstrdup(value);
    if (source_arg_secret(key + 2))
        memset(value, '*', strlen(value));
}

/* --own, --own VALUE, --own=VALUE, --KEY VALUE, --KEY=VALUE */
static int split_long(struct split *split, char *word)
{
    size_t len = strcspn(word, "=");
    char *value = word[len] ? word + len + 1 : NULL;
    const struct args_option *option = find(split, word, len);

    if (len == 2)
        return usage(split, "unknown option ", word, len);
    if (option != NULL && !option->takes_value)
        return value != NULL ? usage(split, "no value is wanted by ", word, len)
                             : take(split, option, NULL);
    if (value == NULL)
        value = next_word(split);
    if (value == NULL)
        return usage(split, "a value is missing after ", word, len);
    if (option != NULL)
        return take(split, option, value);
    keep(split, word, len, value);
    return 0;
}

static int is_operand(const char *word)
{
    return word[0] != '-' || word[1] == '\0' || (word[1] >= '0' && word[1] <= '9');
}

static int split_words(struct split *split)
{
    int options = 1;

    for (split->at = 1; split->at < split->argc; split->at++) {
        char *word = split->argv[split->at];
        int result;

        if (options && strcmp(word, "--") == 0) {
            options = 0;
            continue;
        }
        if (!options || is_operand(word))
            result = split->visit(0, word, split->arg, split->errors);
        else if (word[1] == '-')
            result = split_long(split, word);
        else
            result = split_short(split, word);
        if (result < 0)
            return -1;
    }
    return 0;
}

/* /proc shows the environment that a process was started with; what is read is the
 * copy. */
static void hide(char *variable)
{
    char *value = strchr(variable, '=');

    if (value != NULL && source_env_secret(variable))
        memset(value + 1, '*', strlen(value + 1));
}

/* A process title that is written over the environment must not change it. */
static void copy_environment(struct conf_args *args, char **envp)
{
    size_t n = 0;

    while (envp != NULL && envp[n] != NULL)
        n++;
    args->environ = xcalloc(n + 1, sizeof(*args->environ));
    for (size_t i = 0; i < n; i++) {
        args->environ[i] = xstrdup(envp[i]);
        hide(envp[i]);
    }
}

int conf_args_split(struct conf_args *args, int argc, char **argv, char **envp,
                    const struct args_option *own, size_t nown, args_visit *visit, void *arg,
                    struct buf *errors)
{
    struct split split = {.args = args,
                          .argc = argc,
                          .argv = argv,
                          .own = own,
                          .nown = nown,
                          .visit = visit,
                          .arg = arg,
                          .errors = errors};

    memset(args, 0, sizeof(*args));
    /* A word with '=' makes two. */
    args->options = xcalloc(2 * (size_t)argc + 1, sizeof(*args->options));
    args->dir = getcwd(NULL, 0);
    copy_environment(args, envp);
    return split_words(&split);
}

void conf_args_wipe(struct conf_args *args)
{
    for (size_t i = 0; i < args->noptions; i++)
        explicit_bzero(args->options[i], strlen(args->options[i]));
    for (size_t i = 0; args->environ != NULL && args->environ[i] != NULL; i++)
        explicit_bzero(args->environ[i], strlen(args->environ[i]));
}

void conf_args_clear(struct conf_args *args)
{
    conf_args_wipe(args);
    for (size_t i = 0; i < args->noptions; i++)
        free(args->options[i]);
    free(args->options);
    for (size_t i = 0; args->environ != NULL && args->environ[i] != NULL; i++)
        free(args->environ[i]);
    free(args->environ);
    drop(args->file);
    drop(args->dir);
    memset(args, 0, sizeof(*args));
}
