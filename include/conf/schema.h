/* conf/schema - every key of the configuration, in one table, and how a key is
 * spelt in each source.  Private to conf/. */
#ifndef CONF_SCHEMA_H
#define CONF_SCHEMA_H

#include "base/quantity.h"

#include <stddef.h>
#include <stdint.h>

enum key_type {
    KEY_SECTION, /* an object with keys of its own in the table */
    KEY_IGNORED, /* belongs to other services; it and all below it is skipped */
    KEY_INT,     /* an integer from min to max, with a unit if unit has any; or one of words */
    KEY_BOOL,
    KEY_TEXT,  /* at most max bytes */
    KEY_WORD,  /* one of words */
    KEY_LIST,  /* a string or an array of strings */
    KEY_TEXTS, /* a string or an array of strings, which may hold anything: only what
                  begins as an array of strings does is one outside the file */
    KEY_KEYS,  /* an array of objects: auth:keys, tls:certificates */
    KEY_LISTEN,
    KEY_SENTINELS, /* an array of addresses, likewise */
    KEY_SWITCH, /* true, false or an object, which has keys of its own in the table and is true */
};

enum key_flags {
    KEY_SECRET = 1 << 0, /* never shown; empty: not given */
    KEY_NOTIFY = 1 << 1, /* axr-notify needs it too */
    KEY_FILE = 1 << 2,   /* a file name; a relative one begins at conf_args.dir */
    KEY_ANY = 1 << 3,    /* KEY_LIST: true is "*", false is none */
    KEY_FILLED = 1 << 4, /* KEY_LIST: one element at least */
    KEY_LINES = 1 << 5,  /* KEY_TEXT: of several lines, PEM, which are not shown */
    KEY_PROBE = 1 << 6,  /* axr-notifyd --health needs it too */
    KEY_TOKENS = 1 << 7, /* whoever makes or checks tokens needs it */
};

enum key_field { FIELD_NONE, FIELD_INT, FIELD_U32, FIELD_SIZE, FIELD_TEXT };

struct key {
    const char *path; /* names joined by ':' */
    enum key_type type;
    unsigned flags;
    enum quantity unit;   /* KEY_INT: of what min, max and the value are */
    enum key_field field; /* member of struct conf that takes the value as it is ... */
    int64_t min, max;
    const char *words;  /* separated by '|', or NULL */
    const char *deflt;  /* as JSON, or NULL: none */
    const char *absent; /* what conf_print() shows for none */
    size_t offset;      /* ... and where that is */
};

#define SCHEMA_PATH_MAX 256 /* a longer path is no key */

/* In the order in which conf_print() shows them. */
extern const struct key conf_keys[];
extern const size_t conf_nkeys;

/* The key of that path, which must be there. */
const struct key *schema_key(const char *path);

enum spelling {
    SPELT_FILE,   /* socket.io:redis:host */
    SPELT_ARGS,   /* the same, with '.' in place of ':' where wanted */
    SPELT_ENV,    /* socket.io__redis__host */
    SPELT_FOLDED, /* SOCKET_IO__REDIS__HOST: any case, '_' for '.' */
};

struct match {
    const struct key *key; /* NULL: there is no such key */
    const char *path;      /* as spelt: key->path or one of its aliases */
    long element;          /* of a list (KEY:0, KEY:1...), or -1: the key itself */
};

struct match schema_match(const char *name, enum spelling how);

/* Writes the path that whoever wrote name may have meant into dst, spelt as in
 * the file.  Returns dst, or NULL if nothing comes close. */
const char *schema_suggest(const char *name, enum spelling how, char dst[SCHEMA_PATH_MAX]);

/* A path as the environment has it: AXR_NOTIFYD__SOCKET_IO__REDIS__HOST. */
const char *schema_env_name(const char *path, char dst[SCHEMA_PATH_MAX + 64]);

/* What a value of that key must be, for "wanted %s". */
const char *schema_wanted(const struct key *key, char *dst, size_t cap);
/* The same of an element of a KEY_LIST. */
const char *schema_wanted_element(const struct key *key, char *dst, size_t cap);

#define SCHEMA_ENV_PREFIX "AXR_NOTIFYD__"

#endif
