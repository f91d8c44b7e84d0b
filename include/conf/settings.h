/* conf/settings - the value of every key with the source it came from: what the
 * sources fill and struct conf is built from.  Private to conf/.
 *
 * Lives for one conf_load().  All errors are gathered: a bad value is reported
 * and left out, and the reading goes on. */
#ifndef CONF_SETTINGS_H
#define CONF_SETTINGS_H

#include "base/buf.h"
#include "codec/jsonc.h"
#include "codec/keys.h"
#include "conf.h"
#include "conf/schema.h"

#include <stddef.h>

enum layer { LAYER_DEFAULT, LAYER_FILE, LAYER_ENV, LAYER_ARGS };

struct source {
    enum layer layer;
    const char *name; /* of the file or the variable; not terminated */
    int name_len;
    unsigned line; /* in the file */
};

struct setting {
    const struct jsonc *value; /* NULL: none */
    struct source source;
    const char *path; /* as spelt: the key's path or an alias */
    int broken;       /* a bad value was given, and reported */
};

/* A key and where it was found. */
struct remark {
    const struct key *key;
    struct source source;
};

/* Where a key that checks tokens, or a certificate, came from. */
struct key_source {
    struct source source;
    const char *path; /* of the setting */
    long element;     /* of auth:keys or tls:certificates, or -1 */
    const char *file; /* that it is in, as the setting has it, or NULL */
};

struct tree {
    struct jsonc *root;
};

#define SETTINGS_MAX 192 /* keys in the table, at most */

struct settings {
    const struct conf_args *args;
    enum conf_for purpose;
    struct buf *errors, *warnings;
    int nerrors;
    int file_shared;                 /* everybody may read the configuration's file */
    struct setting at[SETTINGS_MAX]; /* indexed as conf_keys */
    struct tree *trees;              /* owned: what the values point into */
    size_t ntrees;
    struct remark ignored[SETTINGS_MAX];
    size_t nignored;
    struct key_source key_sources[KEYS_MAX];                      /* in the order of conf->keys */
    struct key_source certificate_sources[CONF_CERTIFICATES_MAX]; /* of conf->tls.at */
};

/* Every key has its default.  args and both buffers are borrowed. */
void settings_init(struct settings *set, const struct conf_args *args, enum conf_for purpose,
                   struct buf *errors, struct buf *warnings);
void settings_clear(struct settings *set);

struct setting *settings_at(struct settings *set, const char *path);

/* 1 if any source but the defaults gave it a value. */
int setting_given(const struct setting *setting);

/* The text of a string value that is not empty, or NULL. */
const char *setting_text(const struct setting *setting);

/* 1 for who needs only some of the keys, axr-notify and --health. */
int settings_are_some(const struct settings *set);

/* Walks a value that is one thing or an array of them: NULL begins, NULL ends. */
const struct jsonc *setting_next(const struct jsonc *list, const struct jsonc *element);

/* Keeps tree until settings_clear(); *tree becomes NULL.  Returns it, or NULL
 * (reported) without memory. */
struct jsonc *settings_keep(struct settings *set, struct jsonc **tree);

/* Checks value against the match's key and makes it the one in force.  For an
 * object, does so for all that is in it. */
void settings_put(struct settings *set, const struct match *match, const struct jsonc *value,
                  const struct source *source);

/* The same for all members of an object that is the whole configuration. */
void settings_put_root(struct settings *set, const struct jsonc *object,
                       const struct source *source);

/* Sets element number match->element of a list; those of one source make a list
 * of their own.  Takes value. */
void settings_put_element(struct settings *set, const struct match *match, struct jsonc *value,
                          const struct source *source);

/* --- complain.c --- */

/* "source: path: message" and a newline, into errors or warnings.  path is not
 * escaped.  source NULL leaves the source out. */
void settings_error(struct settings *set, const struct source *source, const char *path,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void settings_warn(struct settings *set, const struct source *source, const char *path,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* There is no key of that name (as spelt in that source). */
void settings_unknown(struct settings *set, const struct source *source, const char *name,
                      enum spelling how);

/* "file NAME:12", "environment NAME", "command line", "default". */
void source_put(struct buf *out, const struct source *source);

/* value as a person reads it, for "found %s": the string "abc".  That of a key
 * that is secret is not shown, only what it is. */
const char *value_describe(const struct jsonc *value, int secret, char *dst, size_t cap);

/* --- settings.c --- */

/* A string value of its own.  NULL without memory. */
struct jsonc *value_from_text(const char *text, size_t len);

#endif
