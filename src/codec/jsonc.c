#include "codec/jsonc.h"

#include "base/log.h"
#include "codec/jsonc_lex.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct jsonc *read_value(struct lexer *lex);

static struct jsonc *node_new(struct lexer *lex, enum jsonc_type type)
{
    struct jsonc *node = calloc(1, sizeof(*node));

    if (node == NULL) {
        lex_fail(lex, lex->pos, "out of memory");
        return NULL;
    }
    node->type = type;
    node->line = lex->line;
    return node;
}

static struct jsonc *read_string_value(struct lexer *lex)
{
    struct jsonc *node = node_new(lex, JSONC_STRING);

    if (node != NULL) {
        node->text = lex_string(lex, &node->len);
        if (node->text == NULL)
            jsonc_free(&node);
    }
    return node;
}

static struct jsonc *read_number(struct lexer *lex)
{
    size_t start = lex->pos;
    struct jsonc *node = node_new(lex, JSONC_NUMBER);

    if (node == NULL || lex_number(lex) < 0)
        goto fail;
    node->len = lex->pos - start;
    node->text = strndup(lex->text + start, node->len);
    if (node->text == NULL) {
        lex_fail(lex, start, "out of memory");
        goto fail;
    }
    node->number = strtod(node->text, NULL);
    if (!isfinite(node->number)) {
        lex_fail(lex, start, "found a number that is too large, wanted at most 1.7e308");
        goto fail;
    }
    return node;
fail:
    jsonc_free(&node);
    return NULL;
}

static struct jsonc *read_word(struct lexer *lex)
{
    static const struct {
        const char *word;
        size_t len;
        enum jsonc_type type;
    } words[] = {{"true", 4, JSONC_TRUE}, {"false", 5, JSONC_FALSE}, {"null", 4, JSONC_NULL}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t n = words[i].len;

        if (lex->len - lex->pos >= n && memcmp(lex->text + lex->pos, words[i].word, n) == 0) {
            struct jsonc *node = node_new(lex, words[i].type);

            lex->pos += n;
            return node;
        }
    }
    lex_fail_found(lex, "a value: a string in \" quotes, a number, true, false, null, [ or {");
    return NULL;
}

/* --- arrays and objects --- */

static int enter(struct lexer *lex)
{
    if (++lex->depth > JSONC_DEPTH_MAX) {
        lex_fail(lex, lex->pos, "found more than %d arrays and objects within each other",
                 JSONC_DEPTH_MAX);
        return -1;
    }
    lex->pos++;
    return lex_skip(lex);
}

/* After an element: the comma (1), or the end (0), or neither (-1). */
static int next_element(struct lexer *lex, int closing, const char *wanted)
{
    if (lex_skip(lex) < 0)
        return -1;
    if (lex_peek(lex) == closing) {
        lex->pos++;
        return 0;
    }
    if (lex_peek(lex) != ',') {
        lex_fail_found(lex, wanted);
        return -1;
    }
    struct lexer comma = *lex;

    lex->pos++;
    if (lex_skip(lex) < 0)
        return -1;
    if (lex_peek(lex) == closing) {
        lex_fail(&comma, comma.pos, "found a comma before '%c', wanted none after the last element",
                 closing);
        return -1;
    }
    return 1;
}

static void append(struct jsonc *parent, struct jsonc ***tail, struct jsonc *node)
{
    **tail = node;
    *tail = &node->next;
    parent->count++;
}

static struct jsonc *read_array(struct lexer *lex)
{
    struct jsonc *array = node_new(lex, JSONC_ARRAY), *node;
    struct jsonc **tail;
    int more = 1;

    if (array == NULL || enter(lex) < 0)
        goto fail;
    tail = &array->first;
    if (lex_peek(lex) == ']') {
        lex->pos++;
        more = 0;
    }
    while (more) {
        node = read_value(lex);
        if (node == NULL)
            goto fail;
        append(array, &tail, node);
        more = next_element(lex, ']', "',' or ']'");
        if (more < 0)
            goto fail;
    }
    lex->depth--;
    return array;
fail:
    jsonc_free(&array);
    return NULL;
}

/* A name may be there once only, and there may not be so many that looking for
 * the second takes long. */
static int check_key(struct lexer *lex, const struct jsonc *object, const char *key, size_t at)
{
    const struct jsonc *first = jsonc_member(object, key);
    char name[64];

    if (first != NULL) {
        lex_fail(lex, at,
                 "found the key \"%s\" again (it is in line %u already), wanted each key once",
                 log_escape(name, sizeof(name), key, strlen(key)), first->key_line);
        return -1;
    }
    if (object->count == JSONC_MEMBERS_MAX) {
        lex_fail(lex, at, "found more than %d keys in one object", JSONC_MEMBERS_MAX);
        return -1;
    }
    return 0;
}

/* A value may be a secret, and a key one that has lost its place. */
static void wipe(char *text, size_t len)
{
    if (text != NULL)
        explicit_bzero(text, len);
    free(text);
}

/* KEY : VALUE.  Returns the value with its key, or NULL. */
static struct jsonc *read_member(struct lexer *lex, const struct jsonc *object)
{
    unsigned key_line = lex->line;
    size_t at = lex->pos, len = 0;
    struct jsonc *node = NULL;
    char *key;

    if (lex_peek(lex) != '"') {
        lex_fail_found(lex, "a key in \" quotes");
        return NULL;
    }
    key = lex_string(lex, &len);
    if (key == NULL || check_key(lex, object, key, at) < 0 || lex_skip(lex) < 0)
        goto fail;
    if (lex_peek(lex) != ':') {
        lex_fail_found(lex, "':' after the key");
        goto fail;
    }
    lex->pos++;
    if (lex_skip(lex) < 0)
        goto fail;
    node = read_value(lex);
    if (node == NULL)
        goto fail;
    node->key = key;
    node->key_line = key_line;
    return node;
fail:
    wipe(key, len);
    return NULL;
}

static struct jsonc *read_object(struct lexer *lex)
{
    struct jsonc *object = node_new(lex, JSONC_OBJECT), *node;
    struct jsonc **tail;
    int more = 1;

    if (object == NULL || enter(lex) < 0)
        goto fail;
    tail = &object->first;
    if (lex_peek(lex) == '}') {
        lex->pos++;
        more = 0;
    }
    while (more) {
        node = read_member(lex, object);
        if (node == NULL)
            goto fail;
        append(object, &tail, node);
        more = next_element(lex, '}', "',' or '}'");
        if (more < 0)
            goto fail;
    }
    lex->depth--;
    return object;
fail:
    jsonc_free(&object);
    return NULL;
}

static struct jsonc *read_value(struct lexer *lex)
{
    switch (lex_peek(lex)) {
    case '{':
        return read_object(lex);
    case '[':
        return read_array(lex);
    case '"':
        return read_string_value(lex);
    case '-':
    case '0' ... '9':
        return read_number(lex);
    default:
        return read_word(lex);
    }
}

struct jsonc *jsonc_parse(const char *text, size_t len, struct jsonc_error *error)
{
    struct lexer lex = {.text = text, .len = len, .line = 1, .error = error};
    struct jsonc *node;

    memset(error, 0, sizeof(*error));
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        lex.pos = lex.line_start = 3;
    if (lex_skip(&lex) < 0)
        return NULL;
    if (lex.pos == lex.len)
        error->blank = 1;
    node = read_value(&lex);
    if (node == NULL)
        return NULL;
    if (lex_skip(&lex) < 0) {
        jsonc_free(&node);
    } else if (lex.pos < lex.len) {
        lex_fail_found(&lex, "nothing after the value");
        jsonc_free(&node);
    }
    return node;
}

/* The tree is at most JSONC_DEPTH_MAX deep, so recursion ends. */
void jsonc_free(struct jsonc **node)
{
    struct jsonc *n = *node;

    *node = NULL;
    if (n == NULL)
        return;
    while (n->first != NULL) {
        struct jsonc *child = n->first;

        n->first = child->next;
        jsonc_free(&child);
    }
    wipe(n->text, n->len);
    wipe(n->key, n->key != NULL ? strlen(n->key) : 0);
    free(n);
}

const struct jsonc *jsonc_member(const struct jsonc *object, const char *name)
{
    if (object->type != JSONC_OBJECT)
        return NULL;
    for (const struct jsonc *node = object->first; node != NULL; node = node->next)
        if (strcmp(node->key, name) == 0)
            return node;
    return NULL;
}
