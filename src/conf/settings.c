#include "conf/settings.h"

#include "base/log.h"
#include "base/utf8.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOUND_MAX  96  /* bytes of a description, for what was found */
#define WANTED_MAX 256 /* likewise, for what was wanted */

/* --- checks --- */

static int has_word(const char *words, const struct jsonc *value)
{
    for (; *words; words += strcspn(words, "|"), words += *words == '|') {
        size_t len = strcspn(words, "|");

        if (value->len == len && memcmp(value->text, words, len) == 0)
            return 1;
    }
    return 0;
}

static int is_bool(const struct jsonc *value)
{
    return value->type == JSONC_TRUE || value->type == JSONC_FALSE;
}

/* Text of a string: NULL if it will do, else what is wrong with it. */
static const char *text_fault(const struct key *key, const struct jsonc *value, char *dst,
                              size_t cap)
{
    if ((int64_t)value->len > key->max) {
        (void)snprintf(dst, cap, "found %zu bytes, wanted at most %lld", value->len,
                       (long long)key->max);
        return dst;
    }
    if (key->flags & (KEY_SECRET | KEY_LINES))
        return NULL;
    if (!utf8_valid(value->text, value->len))
        return "found invalid UTF-8, wanted text";
    for (size_t i = 0; i < value->len; i++)
        if ((unsigned char)value->text[i] < 0x20 || value->text[i] == 0x7f)
            return "found a control character, wanted text";
    return NULL;
}

/* What a text such as "10s" stands for: it has to say its unit.  *number is in that of the
 * key. */
static enum quantity_result quantity_of(const struct key *key, const struct jsonc *value,
                                        int64_t *number)
{
    if (key->type != KEY_INT || value->type != JSONC_STRING)
        return QUANTITY_BAD;
    return quantity_parse(value->text, value->len, key->unit, number);
}

static int is_int(const struct key *key, const struct jsonc *value)
{
    int64_t number;

    if (quantity_of(key, value, &number) == QUANTITY_OK)
        return number >= key->min && number <= key->max;
    if (key->words != NULL && value->type == JSONC_STRING)
        return has_word(key->words, value);
    return value->type == JSONC_NUMBER && trunc(value->number) == value->number &&
           value->number >= (double)key->min && value->number <= (double)key->max;
}

/* 1 if the value is of the key's type, the text of strings aside. */
static int fits(const struct key *key, const struct jsonc *value)
{
    switch (key->type) {
    case KEY_SECTION:
        return value->type == JSONC_OBJECT;
    case KEY_INT:
        return is_int(key, value);
    case KEY_BOOL:
        return is_bool(value);
    case KEY_SWITCH:
        return is_bool(value) || value->type == JSONC_OBJECT;
    case KEY_TEXT:
        return value->type == JSONC_STRING;
    case KEY_WORD:
        return value->type == JSONC_STRING && has_word(key->words, value);
    case KEY_LISTEN: /* their elements are for the one who builds the list */
    case KEY_KEYS:
    case KEY_SENTINELS:
        return value->type == JSONC_ARRAY && value->count > 0;
    case KEY_LIST:
        if (is_bool(value))
            return (key->flags & KEY_ANY) != 0;
        return value->type == JSONC_STRING ||
               (value->type == JSONC_ARRAY && (value->count > 0 || !(key->flags & KEY_FILLED)));
    case KEY_TEXTS:
        return value->type == JSONC_STRING || (value->type == JSONC_ARRAY && value->count > 0);
    case KEY_IGNORED:
        break;
    }
    return 1;
}

static int element_fits(const struct key *key, const struct jsonc *value)
{
    return value->type == JSONC_STRING && value->len > 0 &&
           (key->words == NULL || has_word(key->words, value));
}

/* What is not, in a text that has a number. */
static const char *not_wanted(enum quantity_result result, enum quantity unit)
{
    if (result == QUANTITY_BARE)
        return ", and no quotes around it";
    if (result != QUANTITY_OTHER)
        return "";
    if (unit == QUANTITY_COUNT)
        return ", and no unit";
    return unit == QUANTITY_BYTES ? ", and no unit of time" : ", and no unit of sizes";
}

static void mismatch(struct settings *set, const struct match *match, const struct jsonc *value,
                     const struct source *source)
{
    char found[FOUND_MAX], wanted[WANTED_MAX];
    int64_t number;
    enum quantity_result result = quantity_of(match->key, value, &number);
    const char *fault = result == QUANTITY_PART ? quantity_fault(result, match->key->unit) : "";
    /* What stands where an object should may be what should stand in it. */
    int secret = match->key->type == KEY_SECTION || (match->key->flags & KEY_SECRET);

    settings_error(set, source, match->path, "found %s%s, wanted %s%s",
                   value_describe(value, secret, found, sizeof(found)), fault,
                   schema_wanted(match->key, wanted, sizeof(wanted)),
                   not_wanted(result, match->key->unit));
}

/* In a file each element of an array may stand in a line of its own. */
static struct source source_of(const struct source *source, const struct jsonc *value)
{
    struct source at = *source;

    if (at.layer == LAYER_FILE)
        at.line = value->line;
    return at;
}

/* One string of a list (listed), or a value that is one.  Returns 0, or -1 (reported). */
static int check_text(struct settings *set, const struct match *match, const struct jsonc *value,
                      int listed, const struct source *source)
{
    int secret = (match->key->flags & KEY_SECRET) != 0;
    struct source at = source_of(source, value);
    char found[FOUND_MAX], wanted[WANTED_MAX];
    const char *fault;

    if (listed && !element_fits(match->key, value)) {
        settings_error(set, &at, match->path, "found %s, wanted %s",
                       secret && value->type == JSONC_STRING
                           ? "an empty string"
                           : value_describe(value, secret, found, sizeof(found)),
                       schema_wanted_element(match->key, wanted, sizeof(wanted)));
        return -1;
    }
    fault = text_fault(match->key, value, wanted, sizeof(wanted));
    if (fault != NULL)
        settings_error(set, &at, match->path, "%s", fault);
    return fault != NULL ? -1 : 0;
}

static int check(struct settings *set, const struct match *match, const struct jsonc *value,
                 const struct source *source)
{
    const struct key *key = match->key;
    int result = 0;

    if (!fits(key, value)) {
        mismatch(set, match, value, source);
        return -1;
    }
    if ((key->type != KEY_TEXT && key->type != KEY_LIST && key->type != KEY_TEXTS) ||
        is_bool(value))
        return 0;
    for (const struct jsonc *e = setting_next(value, NULL); e != NULL; e = setting_next(value, e))
        if (check_text(set, match, e, key->type == KEY_LIST || e != value, source) < 0)
            result = -1;
    return result;
}

/* --- values --- */

struct jsonc *value_from_text(const char *text, size_t len)
{
    struct jsonc *value = calloc(1, sizeof(*value));

    if (value == NULL)
        return NULL;
    value->type = JSONC_STRING;
    value->line = 1;
    value->len = len;
    value->text = strndup(text, len);
    if (value->text == NULL)
        jsonc_free(&value);
    return value;
}

const struct jsonc *setting_next(const struct jsonc *list, const struct jsonc *element)
{
    if (list->type != JSONC_ARRAY)
        return element != NULL ? NULL : list;
    return element != NULL ? element->next : list->first;
}

struct setting *settings_at(struct settings *set, const char *path)
{
    return &set->at[schema_key(path) - conf_keys];
}

int setting_given(const struct setting *setting)
{
    return setting->source.layer != LAYER_DEFAULT;
}

const char *setting_text(const struct setting *setting)
{
    const struct jsonc *value = setting->value;

    return value != NULL && value->type == JSONC_STRING && value->len > 0 ? value->text : NULL;
}

struct jsonc *settings_keep(struct settings *set, struct jsonc **tree)
{
    struct jsonc *kept = *tree;
    struct tree *grown = realloc(set->trees, (set->ntrees + 1) * sizeof(*grown));

    *tree = NULL;
    if (grown == NULL) {
        jsonc_free(&kept);
        settings_error(set, NULL, NULL, "out of memory");
        return NULL;
    }
    set->trees = grown;
    set->trees[set->ntrees++].root = kept;
    return kept;
}

static void remark_ignored(struct settings *set, const struct key *key, const struct source *source)
{
    for (size_t i = 0; i < set->nignored; i++)
        if (set->ignored[i].key == key)
            return;
    assert(set->nignored < SETTINGS_MAX);
    set->ignored[set->nignored++] = (struct remark){key, *source};
}

/* Path begins with the name of the section. */
static int lies_in(const char *path, const char *section)
{
    size_t n = strlen(section);

    return strncmp(path, section, n) == 0 && path[n] == ':';
}

/* Whoever misses a value below must not say that it was not given. */
static void mark_broken(struct settings *set, const struct key *key)
{
    for (size_t i = 0; i < conf_nkeys; i++)
        if (&conf_keys[i] == key || lies_in(conf_keys[i].path, key->path))
            set->at[i].broken = 1;
}

static void put_member(struct settings *set, const char *section, const struct jsonc *value,
                       const struct source *source)
{
    struct source at = *source;
    char path[SCHEMA_PATH_MAX];
    struct match match = {NULL, NULL, -1};
    int n;

    n = snprintf(path, sizeof(path), "%s%s%s", section != NULL ? section : "",
                 section != NULL ? ":" : "", value->key);
    if (at.layer == LAYER_FILE)
        at.line = value->key_line;
    /* A ':' within a name is no way to say where the key lies. */
    if (n < (int)sizeof(path) && strchr(value->key, ':') == NULL)
        match = schema_match(path, SPELT_FILE);
    if (match.key != NULL)
        settings_put(set, &match, value, &at);
    else
        settings_unknown(set, &at, path, SPELT_FILE);
}

/* Sections lie within each other no deeper than in the table. */
static void put_section(struct settings *set, const char *section, const struct jsonc *object,
                        const struct source *source)
{
    for (const struct jsonc *value = object->first; value != NULL; value = value->next)
        put_member(set, section, value, source);
}

void settings_put_root(struct settings *set, const struct jsonc *object,
                       const struct source *source)
{
    put_section(set, NULL, object, source);
}

/* An alias and its key in one file: neither is the one that is meant. */
static int conflicts(struct settings *set, const struct setting *setting, const struct match *match,
                     const struct source *source)
{
    if (source->layer != LAYER_FILE || setting->source.layer != LAYER_FILE)
        return 0;
    settings_error(set, source, match->path,
                   "found it again under another name (%s, line %u), wanted one of them",
                   setting->path, setting->source.line);
    return 1;
}

/* 1 if one of the objects of auth:keys holds a secret itself. */
static int has_secret(const struct jsonc *keys)
{
    for (const struct jsonc *key = keys->first; key != NULL; key = key->next)
        if (jsonc_member(key, "secret") != NULL)
            return 1;
    return 0;
}

/* 1 if a value of a secret key holds one indeed. */
static int shows_secret(const struct key *key, const struct jsonc *value)
{
    if (key->type == KEY_KEYS)
        return has_secret(value);
    if (strcmp(key->path, "socket.io:redis:url") == 0)
        return value->text != NULL && strchr(value->text, '@') != NULL;
    return 1;
}

/* conf_args_split() overwrites it, but not soon enough for all. */
static void warn_visible(struct settings *set, const struct match *match, const struct jsonc *value,
                         const struct source *source)
{
    if (source->layer == LAYER_ARGS && shows_secret(match->key, value))
        settings_warn(set, source, match->path, "a secret there may be seen by other users");
    if (source->layer == LAYER_FILE && set->file_shared && shows_secret(match->key, value))
        settings_warn(set, source, match->path, "a secret, and the file may be read by everyone");
}

/* The number that a text with a unit stands for, in the unit of the key; value itself where it is
 * none.  NULL without memory (reported). */
static const struct jsonc *in_unit(struct settings *set, const struct key *key,
                                   const struct jsonc *value)
{
    struct jsonc *made;
    char text[32];
    int64_t number;

    if (quantity_of(key, value, &number) != QUANTITY_OK)
        return value;
    (void)snprintf(text, sizeof(text), "%lld", (long long)number);
    made = value_from_text(text, strlen(text));
    if (made == NULL) {
        settings_error(set, NULL, NULL, "out of memory");
        return NULL;
    }
    made->type = JSONC_NUMBER;
    made->number = (double)number;
    made->line = value->line;
    return settings_keep(set, &made);
}

int settings_are_some(const struct settings *set)
{
    return set->purpose == CONF_FOR_NOTIFY || set->purpose == CONF_FOR_PROBE ||
           set->purpose == CONF_FOR_TOKENS;
}

/* 1 if a value of this key counts. */
static int is_needed(const struct settings *set, const struct key *key)
{
    unsigned flag = set->purpose == CONF_FOR_NOTIFY  ? KEY_NOTIFY
                    : set->purpose == CONF_FOR_PROBE ? KEY_PROBE
                                                     : KEY_TOKENS;

    return !settings_are_some(set) || (key->flags & flag) != 0;
}

static void put_value(struct settings *set, const struct match *match, const struct jsonc *value,
                      const struct source *source)
{
    struct setting *setting = &set->at[match->key - conf_keys];

    if (check(set, match, value, source) < 0) {
        setting->broken = 1;
        return;
    }
    if (match->key->flags & KEY_SECRET) {
        if (value->type == JSONC_STRING && value->len == 0)
            return;
        warn_visible(set, match, value, source);
    }
    if (conflicts(set, setting, match, source))
        return;
    value = in_unit(set, match->key, value);
    if (value == NULL)
        return;
    setting->value = value;
    setting->source = *source;
    setting->path = match->path;
}

void settings_put(struct settings *set, const struct match *match, const struct jsonc *value,
                  const struct source *source)
{
    const struct key *key = match->key;

    if (key->type == KEY_IGNORED) {
        remark_ignored(set, key, source);
        return;
    }
    if (key->type == KEY_SECTION && !fits(key, value)) {
        mismatch(set, match, value, source);
        mark_broken(set, key);
        return;
    }
    if (key->type == KEY_SECTION || (key->type == KEY_SWITCH && value->type == JSONC_OBJECT))
        put_section(set, key->path, value, source);
    if (key->type != KEY_SECTION && is_needed(set, key))
        put_value(set, match, value, source);
}

/* The list that this source has begun to make of elements, or a new one. */
static struct jsonc *own_list(struct settings *set, const struct match *match,
                              const struct source *source)
{
    struct setting *setting = &set->at[match->key - conf_keys];
    struct jsonc *list;

    for (size_t i = 0; i < set->ntrees; i++)
        if (set->trees[i].root == setting->value && setting->source.layer == source->layer &&
            setting->value->type == JSONC_ARRAY)
            return set->trees[i].root;
    list = calloc(1, sizeof(*list));
    if (list == NULL) {
        settings_error(set, NULL, NULL, "out of memory");
        return NULL;
    }
    list->type = JSONC_ARRAY;
    list->line = 1;
    return settings_keep(set, &list);
}

/* Puts *value where number index of the list is, or at its end. */
static void set_element(struct jsonc *list, size_t index, struct jsonc **value)
{
    struct jsonc **link = &list->first, *old;

    while (index-- > 0)
        link = &(*link)->next;
    old = *link;
    if (old != NULL) {
        (*value)->next = old->next;
        old->next = NULL;
        jsonc_free(&old);
    } else {
        list->count++;
    }
    *link = *value;
    *value = NULL;
}

void settings_put_element(struct settings *set, const struct match *match, struct jsonc *value,
                          const struct source *source)
{
    struct match whole = {match->key, match->path, -1};
    struct jsonc *list = NULL;

    if (!is_needed(set, match->key))
        goto out;
    list = own_list(set, match, source);
    if (list == NULL)
        goto out;
    if ((size_t)match->element > list->count) {
        settings_error(set, source, match->path, "found element %ld without element %zu before it",
                       match->element, list->count);
        goto out;
    }
    set_element(list, (size_t)match->element, &value);
    put_value(set, &whole, list, source);
out:
    jsonc_free(&value);
}

/* --- begin and end --- */

void settings_init(struct settings *set, const struct conf_args *args, enum conf_for purpose,
                   struct buf *errors, struct buf *warnings)
{
    *set =
        (struct settings){.args = args, .purpose = purpose, .errors = errors, .warnings = warnings};
    assert(conf_nkeys <= SETTINGS_MAX);
    for (size_t i = 0; i < conf_nkeys; i++) {
        const char *deflt = conf_keys[i].deflt;
        struct jsonc_error error;
        struct jsonc *value = deflt != NULL ? jsonc_parse(deflt, strlen(deflt), &error) : NULL;

        set->at[i].path = conf_keys[i].path;
        if (value != NULL)
            set->at[i].value = settings_keep(set, &value);
        else if (deflt != NULL)
            settings_error(set, NULL, conf_keys[i].path, "default: %s", error.text);
    }
}

void settings_clear(struct settings *set)
{
    for (size_t i = 0; i < set->ntrees; i++)
        jsonc_free(&set->trees[i].root);
    free(set->trees);
    memset(set, 0, sizeof(*set));
}
