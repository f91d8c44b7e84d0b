#include "conf/assign.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- lists ------------------------------------------------------------------------ */

void texts_add(struct texts *texts, char *text)
{
    texts->at = xrealloc(texts->at, (texts->n + 2) * sizeof(*texts->at));
    texts->at[texts->n++] = text;
    texts->at[texts->n] = NULL;
}

void texts_clear(struct texts *texts)
{
    for (size_t i = 0; i < texts->n; i++) {
        explicit_bzero(texts->at[i], strlen(texts->at[i]));
        free(texts->at[i]);
    }
    free(texts->at);
    *texts = (struct texts){0};
}

const char *texts_value(const struct texts *texts, const char *name, size_t len)
{
    for (size_t i = texts->n; i-- > 0;)
        if (strncmp(texts->at[i], name, len) == 0 && texts->at[i][len] == '=')
            return texts->at[i] + len + 1;
    return NULL;
}

const char *texts_variable(const struct texts *texts, const char *name)
{
    const char *value = texts_value(texts, name, strlen(name));

    return value != NULL && *value ? value : NULL;
}

/* --- words ------------------------------------------------------------------------ */

/* $NAME or ${NAME} at **at, which moves behind it.  Returns -1 for anything else. */
static int put_variable(struct buf *out, const char **at, const struct texts *vars)
{
    int brace = (*at)[1] == '{';
    const char *name = *at + 1 + brace, *value;
    size_t len = strspn(name, ASSIGN_NAME);

    if (len == 0 || (brace && name[len] != '}'))
        return -1;
    value = texts_value(vars, name, len);
    buf_puts(out, value != NULL ? value : "");
    *at = name + len + brace;
    return 0;
}

/* What is between quotes; *at is at the first one, and moves behind the second. */
static int put_quoted(struct buf *out, const char **at, const struct texts *vars,
                      enum assign_dialect dialect)
{
    char quote = *(*at)++;

    while (**at && **at != quote) {
        if (quote == '"' && **at == '`' && dialect == ASSIGN_SHELL)
            return -1;
        if (quote == '"' && **at == '$' && dialect == ASSIGN_SHELL) {
            if (put_variable(out, at, vars) < 0)
                return -1;
            continue;
        }
        if (quote == '"' && **at == '\\' && (*at)[1])
            (*at)++;
        buf_putc(out, (uint8_t) * (*at)++);
    }
    return *(*at) ? ((*at)++, 0) : -1;
}

char *assign_word(const char **at, const struct texts *vars, enum assign_dialect dialect)
{
    struct buf out = {0};
    char *word = NULL;
    int result = 0;

    while (result == 0 && **at && strchr(ASSIGN_BLANKS, **at) == NULL) {
        if (**at == '\'' || **at == '"') {
            result = put_quoted(&out, at, vars, dialect);
        } else if (**at == '$' && dialect == ASSIGN_SHELL) {
            result = put_variable(&out, at, vars);
        } else if (dialect == ASSIGN_SHELL && strchr("`;&|()<>", **at) != NULL) {
            result = -1;
        } else {
            if (**at == '\\' && (*at)[1])
                (*at)++;
            buf_putc(&out, (uint8_t) * (*at)++);
        }
    }
    if (result == 0)
        word = xstrndup(out.data != NULL ? (const char *)out.data : "", out.len);
    buf_free(&out);
    return word;
}

void texts_split(struct texts *texts, const char *text)
{
    for (text += strspn(text, ASSIGN_BLANKS); *text; text += strspn(text, ASSIGN_BLANKS)) {
        char *word = assign_word(&text, NULL, ASSIGN_PLAIN);

        if (word == NULL)
            return;
        texts_add(texts, word);
    }
}

/* The rest of a line for systemd: blanks need no quotes. */
static char *take_rest(const char **at)
{
    struct buf out = {0};
    char *rest;
    int whole;

    do {
        const char *start = *at;
        char *word;

        *at += strspn(*at, ASSIGN_BLANKS);
        buf_put(&out, start, (size_t)(*at - start));
        word = assign_word(at, NULL, ASSIGN_PLAIN);
        buf_puts(&out, word != NULL ? word : "");
        whole = word != NULL;
        free(word);
    } while (whole && **at);
    rest = whole ? xstrndup(out.data != NULL ? (const char *)out.data : "", out.len) : NULL;
    buf_free(&out);
    return rest;
}

int assign_take(struct texts *vars, const char *line, enum assign_dialect dialect)
{
    size_t len = strspn(line, ASSIGN_NAME);
    const char *at = line + len + 1;
    char *value, *text;

    if (len == 0 || isdigit((unsigned char)line[0]) || line[len] != '=')
        return 0;
    value = dialect == ASSIGN_PLAIN ? take_rest(&at) : assign_word(&at, vars, dialect);
    at += strspn(at, ASSIGN_BLANKS);
    if (value == NULL || (*at && *at != '#')) {
        free(value);
        return -1;
    }
    if (asprintf(&text, "%.*s=%s", (int)len, line, value) < 0)
        abort();
    free(value);
    texts_add(vars, text);
    return 1;
}
