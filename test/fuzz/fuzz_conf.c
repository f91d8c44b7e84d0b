/* A configuration file, and with it the environment and the command line: what
 * comes after a line of "--env" or "--args" is one variable, or one word, a line. */
#include "conf.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cuts text into lines, in place. */
static size_t lines(char *text, char *words[WORDS_MAX + 1])
{
    size_t n = 0;

    for (char *line = text; line && *line && n < WORDS_MAX;) {
        char *end = strchr(line, '\n');

        if (end)
            *end = '\0';
        words[n++] = line;
        line = end ? end + 1 : NULL;
    }
    words[n] = NULL;
    return n;
}

/* What follows mark in text, which ends there; or an empty string. */
static char *after(char *text, const char *mark)
{
    char *at = strstr(text, mark);

    if (!at)
        return text + strlen(text);
    *at = '\0';
    return at + strlen(mark);
}

/* The fuzzer must not read what its input names: not /dev/stdin, for one. */
static int names_file(const char *text, size_t size)
{
    return memmem(text, size, "File", 4) || memmem(text, size, "FILE", 4) ||
           memmem(text, size, "file", 4);
}

static void load(const struct conf_args *args, const char *text, size_t len, enum conf_for purpose)
{
    struct buf errors = {0}, warnings = {0}, out = {0};
    struct conf *conf = conf_load_text(args, text, len, purpose, &errors, &warnings);

    assert(!conf == (errors.len > 0));
    assert(errors.len == 0 || errors.data[errors.len - 1] == '\n');
    assert(warnings.len == 0 || warnings.data[warnings.len - 1] == '\n');
    if (conf && purpose == CONF_FOR_DAEMON) {
        assert((conf->token.algs & token_keys_algs(conf->keys)) != 0);
        assert(conf->nlisten > 0 && conf->workers > 0);
        conf_print(conf, &out);
    }
    conf_free(&conf);
    buf_free(&errors);
    buf_free(&warnings);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *env, *options;
    char *env_words[WORDS_MAX + 1], *option_words[WORDS_MAX + 1];
    struct conf_args args = {.file = "fuzz.conf", .environ = env_words, .options = option_words};
    size_t len = size;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (names_file(text, size))
        goto out;
    options = after(text, "\n--args\n");
    env = after(text, "\n--env\n");
    if (*env || *options)
        len = strlen(text);
    lines(env, env_words);
    args.noptions = lines(options, option_words);
    load(&args, text, len, CONF_FOR_DAEMON);
    load(&args, text, len, CONF_FOR_NOTIFY);
out:
    free(text);
    return 0;
}
