#include "conf/build.h"

#include "conf/file.h"

#include <stdlib.h>
#include <string.h>

/* --- texts --- */

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

/* --- what a value is, and what it ought to be --- */

int build_has_word(const struct jsonc *list, const char *word)
{
    for (const struct jsonc *e = list != NULL ? setting_next(list, NULL) : NULL; e != NULL;
         e = setting_next(list, e))
        if (e->text != NULL && strcmp(e->text, word) == 0)
            return 1;
    return 0;
}

void build_refuse(struct settings *set, const char *path, const char *wanted)
{
    const struct setting *setting = settings_at(set, path);
    char found[96];

    settings_error(set, &setting->source, setting->path, "found %s, wanted %s",
                   setting->value != NULL ? value_describe(setting->value, 0, found, sizeof(found))
                                          : "none",
                   wanted);
}

/* --- fields of the table --- */

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
