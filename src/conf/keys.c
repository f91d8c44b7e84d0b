#include "conf/build.h"

#include "codec/jwks.h"
#include "conf/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES KEY_SECRET_MAX
#define SECRET_SHORT   32 /* RFC 7518, 3.2: as long as the hash of HS256 */
#define NO_KID         ((struct slice){NULL, 0})

/* Where a key comes from, for messages, and what is fixed before it is read. */
struct origin {
    struct settings *set;
    struct token_keys *keys; /* where it goes */
    struct source source;
    const char *path;
    const char *setting; /* the path without the element's number */
    long element;        /* of auth:keys, or -1 */
    const char *file;    /* that it is in, or NULL */
    struct slice kid;
    unsigned algs; /* 0: all of its family */
};

static int has(const char *text, size_t len, const char *part)
{
    return memmem(text, len, part, strlen(part)) != NULL;
}

/* Reads the file called name.  Returns 0, or -1 (reported). */
static int read_key(const struct origin *from, const char *name, size_t max, struct file *file)
{
    char *full = file_name(from->set->args->dir, name);
    int result = -1;

    if (full == NULL)
        settings_error(from->set, NULL, NULL, "out of memory");
    else if (file_read(file, full, max, FILE_REGULAR) < 0)
        settings_error(from->set, &from->source, from->path, "cannot read %s: %s", full,
                       errno == EFBIG ? "it has more than 65536 bytes" : file_strerror(errno));
    else
        result = 0;
    free(full);
    return result;
}

/* The key was the last to be added. */
static void note_source(const struct origin *from)
{
    size_t n = token_keys_count(from->keys);

    from->set->key_sources[n - 1] =
        (struct key_source){from->source, from->setting, from->element, from->file};
}

/* What has become of a key of either kind. */
static void report(const struct origin *from, enum key_result result)
{
    switch (result) {
    case KEY_OK:
        note_source(from);
        break;
    case KEY_UNUSABLE: /* told by who knows the text */
        break;
    case KEY_EMPTY:
        settings_error(from->set, &from->source, from->path, "found an empty secret");
        break;
    case KEY_IS_PUBLIC:
        settings_error(from->set, &from->source, from->path,
                       "found a PEM or a public key, wanted a secret; a public key belongs into "
                       "auth:publicKeyFile, a set of JSON Web Keys into auth:jwksFile");
        break;
    case KEY_TOO_LONG:
    case KEY_BAD_ID:
        settings_error(from->set, &from->source, from->path,
                       "found a kid that is empty or has more than %d bytes, or a secret of more "
                       "than %d",
                       KEY_ID_MAX, KEY_SECRET_MAX);
        break;
    case KEY_OTHER_ALG:
        settings_error(from->set, &from->source, from->path,
                       "found an algorithm that the key beside it cannot do");
        break;
    case KEY_TOO_MANY:
        settings_error(from->set, &from->source, from->path, "found more than %d keys", KEYS_MAX);
        break;
    case KEY_NO_MEMORY:
        settings_error(from->set, NULL, NULL, "out of memory");
        break;
    }
}

/* --- secrets --- */

static void take_secret(const struct origin *from, const char *text, size_t len)
{
    enum key_result result = token_keys_add_secret(from->keys, from->kid, text, len, from->algs);

    report(from, result);
    if (result == KEY_OK && len < SECRET_SHORT)
        settings_warn(from->set, &from->source, from->path,
                      "the secret has %zu bytes; fewer than %d are easier to guess", len,
                      SECRET_SHORT);
}

/* Returns 1 if there was a secret in the file (or an error), 0 if it is empty. */
static int take_secret_file(struct origin *from, const char *name)
{
    struct file file;
    size_t len;

    from->file = name;
    if (read_key(from, name, FILE_MAX_BYTES, &file) < 0)
        return 1;
    file_chomp(&file);
    len = file.len;
    if (file.shared)
        settings_warn(from->set, &from->source, from->path, "%s may be read by everyone", name);
    if (len > 0)
        take_secret(from, file.text, len);
    else
        settings_warn(from->set, &from->source, from->path, "%s is empty, so there is no secret",
                      name);
    file_clear(&file);
    return len > 0;
}

static struct origin origin_of(struct conf *conf, struct settings *set,
                               const struct setting *setting, const struct jsonc *element)
{
    struct origin from = {.set = set,
                          .keys = conf->given_keys,
                          .source = setting->source,
                          .path = setting->path,
                          .setting = setting->path,
                          .element = -1,
                          .kid = NO_KID};

    if (from.source.layer == LAYER_FILE)
        from.source.line = element->line;
    return from;
}

/* 1 if anything but an empty text was given. */
static int has_value(const struct setting *setting)
{
    return setting->value != NULL &&
           (setting->value->type == JSONC_ARRAY || setting_text(setting) != NULL);
}

static int take_secret_files(struct conf *conf, struct settings *set, const struct setting *files)
{
    int found = 0;

    for (const struct jsonc *e = setting_next(files->value, NULL); e != NULL;
         e = setting_next(files->value, e)) {
        struct origin from = origin_of(conf, set, files, e);

        found |= take_secret_file(&from, e->text);
    }
    return found;
}

/* Both count if they are given in the same source; else the source that counts
 * more decides. */
static void build_secrets(struct conf *conf, struct settings *set)
{
    const struct setting *secrets = settings_at(set, "auth:secret");
    const struct setting *files = settings_at(set, "auth:secretFile");
    int by_file = has_value(files), found = 0;
    int layers = (int)files->source.layer - (int)secrets->source.layer;

    if (by_file && (secrets->value == NULL || layers >= 0))
        found = take_secret_files(conf, set, files);
    else if (by_file)
        settings_warn(set, &files->source, files->path, "not used, for %s is given", secrets->path);
    if (secrets->value == NULL || (found && layers > 0))
        return;
    for (const struct jsonc *e = setting_next(secrets->value, NULL); e != NULL;
         e = setting_next(secrets->value, e)) {
        struct origin from = origin_of(conf, set, secrets, e);

        take_secret(&from, e->text, e->len);
    }
}

/* --- public keys --- */

static const char *pem_fault(const struct file *file)
{
    if (has(file->text, file->len, "PRIVATE KEY-----"))
        return "found a private key, wanted the public one";
    if (has(file->text, file->len, "-----BEGIN CERTIFICATE"))
        return "found a certificate, wanted its public key (openssl x509 -pubkey -noout)";
    if (!has(file->text, file->len, "-----BEGIN PUBLIC KEY-----") &&
        !has(file->text, file->len, "-----BEGIN RSA PUBLIC KEY-----"))
        return "found no public key in PEM, wanted -----BEGIN PUBLIC KEY-----";
    return "found a public key that cannot be used, wanted one, RSA of 2048 to 4096 bits, or EC on "
           "P-256, P-384 or P-521";
}

static void take_public_file(struct origin *from, const char *name)
{
    struct file file;
    enum key_result result;

    from->file = name;
    if (read_key(from, name, FILE_MAX_BYTES, &file) < 0)
        return;
    result = token_keys_add_pem(from->keys, from->kid, file.text, file.len, from->algs);
    report(from, result);
    if (result == KEY_UNUSABLE)
        settings_error(from->set, &from->source, from->path, "%s: %s", name, pem_fault(&file));
    file_clear(&file);
}

static void build_public_keys(struct conf *conf, struct settings *set)
{
    const struct setting *files = settings_at(set, "auth:publicKeyFile");

    if (!has_value(files))
        return;
    for (const struct jsonc *e = setting_next(files->value, NULL); e != NULL;
         e = setting_next(files->value, e)) {
        struct origin from = origin_of(conf, set, files, e);

        take_public_file(&from, e->text);
    }
}

/* --- auth:keys --- */

/* One of auth:keys as it is written: what is not there is NULL. */
struct named {
    const struct jsonc *kid, *secret, *secret_file, *public_file, *algs;
};

static int is_text(const struct jsonc *value)
{
    return value->type == JSONC_STRING && value->len > 0;
}

/* Returns 0, or -1 (reported). */
static int find_members(const struct origin *from, const struct jsonc *object, struct named *named)
{
    const struct {
        const char *name;
        const struct jsonc **value;
    } members[] = {
        {"kid", &named->kid},
        {"secret", &named->secret},
        {"secretFile", &named->secret_file},
        {"publicKeyFile", &named->public_file},
        {"algorithm", &named->algs},
        {"algorithms", &named->algs},
    };
    const size_t n = sizeof(members) / sizeof(members[0]);

    for (const struct jsonc *value = object->first; value != NULL; value = value->next) {
        size_t i = 0;

        while (i < n && strcmp(value->key, members[i].name) != 0)
            i++;
        if (i == n || *members[i].value != NULL) {
            /* The name is not shown: it may be a secret that has lost its place. */
            settings_error(from->set, &from->source, from->path,
                           i == n ? "found an unknown member, wanted kid, secret, secretFile, "
                                    "publicKeyFile or algorithms"
                                  : "found algorithm and algorithms, wanted one of them");
            return -1;
        }
        if (members[i].value != &named->algs && !is_text(value)) {
            settings_error(from->set, &from->source, from->path,
                           "%s: wanted a string that is not empty", members[i].name);
            return -1;
        }
        *members[i].value = value;
    }
    return 0;
}

/* Returns 0, or -1 (reported). */
static int find_algorithms(struct origin *from, const struct jsonc *list)
{
    for (const struct jsonc *e = list != NULL ? setting_next(list, NULL) : NULL; e != NULL;
         e = setting_next(list, e)) {
        unsigned alg = e->type == JSONC_STRING ? token_alg_parse(e->text) : 0;

        if (alg == 0) {
            char found[96];

            settings_error(from->set, &from->source, from->path,
                           "algorithms: found %s, wanted HS256, HS384, HS512, RS256, RS384, RS512, "
                           "ES256, ES384 or ES512",
                           value_describe(e, 0, found, sizeof(found)));
            return -1;
        }
        from->algs |= alg;
    }
    if (list == NULL || from->algs != 0)
        return 0;
    settings_error(from->set, &from->source, from->path, "algorithms: found an empty array");
    return -1;
}

static void take_named(struct origin *from, const struct jsonc *object)
{
    struct named named = {0};

    if (object->type != JSONC_OBJECT) {
        settings_error(from->set, &from->source, from->path, "wanted an object");
        return;
    }
    if (find_members(from, object, &named) < 0 || find_algorithms(from, named.algs) < 0)
        return;
    if ((named.secret != NULL) + (named.secret_file != NULL) + (named.public_file != NULL) != 1) {
        settings_error(from->set, &from->source, from->path,
                       "wanted one of secret, secretFile and publicKeyFile");
        return;
    }
    if (named.kid != NULL)
        from->kid = (struct slice){named.kid->text, named.kid->len};
    if (named.secret != NULL)
        take_secret(from, named.secret->text, named.secret->len);
    else if (named.public_file != NULL)
        take_public_file(from, named.public_file->text);
    else if (!take_secret_file(from, named.secret_file->text))
        report(from, KEY_EMPTY);
}

static void build_named_keys(struct conf *conf, struct settings *set)
{
    const struct setting *setting = settings_at(set, "auth:keys");
    long i = 0;

    if (setting->value == NULL)
        return;
    for (const struct jsonc *e = setting->value->first; e != NULL; e = e->next) {
        struct origin from = origin_of(conf, set, setting, e);
        char path[32];

        (void)snprintf(path, sizeof(path), "auth:keys:%ld", i);
        from.path = path;
        from.element = i++;
        take_named(&from, e);
    }
}

/* --- the JWKS file --- */

struct notes {
    struct settings *set;
    const char *name;
};

static void on_note(void *arg, int bad, unsigned line, const char *text)
{
    const struct notes *notes = arg;
    const struct source source = {LAYER_FILE, notes->name, (int)strlen(notes->name), line};

    if (bad)
        settings_error(notes->set, &source, NULL, "%s", text);
    else
        settings_warn(notes->set, &source, NULL, "%s", text);
}

/* The file's keys, or NULL (reported); *again is 1 if that may be none of the file's
 * fault. */
static struct token_keys *read_jwks(const struct conf *conf, struct settings *set, int *again)
{
    struct notes notes = {set, conf->jwks_file};
    struct token_keys *keys = NULL;
    struct file file;

    if (file_read(&file, conf->jwks_file, JWKS_MAX_BYTES, FILE_REGULAR) < 0) {
        settings_error(set, NULL, "auth:jwksFile", "cannot read %s: %s", conf->jwks_file,
                       errno == EFBIG ? "it has more than 262144 bytes" : file_strerror(errno));
        *again = errno != EFBIG;
        return NULL;
    }
    keys = token_keys_new();
    *again = keys == NULL;
    if (keys == NULL)
        settings_error(set, NULL, NULL, "out of memory");
    else if (jwks_parse(keys, file.text, file.len, on_note, &notes) < 0)
        token_keys_free(&keys);
    else if (file.shared && token_keys_algs(keys) & TOKEN_HS)
        settings_warn(set, NULL, "auth:jwksFile", "%s holds a secret and may be read by everyone",
                      conf->jwks_file);
    file_clear(&file);
    return keys;
}

/* Those of the file and those that were given otherwise, or NULL (reported, and
 * *again as of read_jwks()). */
static struct token_keys *all_keys(const struct conf *conf, struct settings *set, int *again)
{
    struct token_keys *jwks = read_jwks(conf, set, again),
                      *all = jwks != NULL ? token_keys_new() : NULL;
    enum key_result result = all != NULL ? KEY_OK : KEY_NO_MEMORY;

    if (jwks == NULL)
        return NULL;
    if (result == KEY_OK)
        result = token_keys_add_all(all, conf->given_keys);
    if (result == KEY_OK)
        result = token_keys_add_all(all, jwks);
    if (result == KEY_TOO_MANY)
        settings_error(set, NULL, "auth:jwksFile", "found more than %d keys, with those of auth",
                       KEYS_MAX);
    else if (result != KEY_OK)
        settings_error(set, NULL, NULL, "out of memory");
    *again = result == KEY_NO_MEMORY;
    if (result != KEY_OK)
        token_keys_free(&all);
    token_keys_free(&jwks);
    return all;
}

/* A key that no token may ever be tried with looks as if it were in force. */
static void warn_rivals(const struct token_keys *keys, struct settings *set)
{
    size_t nameless = token_keys_rivals(keys, 1), all = token_keys_rivals(keys, 0);

    if (nameless > TOKEN_TRIES_MAX)
        settings_warn(set, NULL, "auth",
                      "%zu public keys have no kid; a token is tried with %d of them at most",
                      nameless, TOKEN_TRIES_MAX);
    else if (all > TOKEN_TRIES_MAX)
        settings_warn(set, NULL, "auth",
                      "%zu public keys are for one algorithm; a token without a kid is tried with "
                      "the first %d of them only",
                      all, TOKEN_TRIES_MAX);
}

void build_keys(struct conf *conf, struct settings *set)
{
    int again;

    conf->given_keys = token_keys_new();
    if (conf->given_keys == NULL) {
        settings_error(set, NULL, NULL, "out of memory");
        return;
    }
    build_secrets(conf, set);
    build_public_keys(conf, set);
    build_named_keys(conf, set);
    if (conf->jwks_file != NULL) {
        conf->keys = all_keys(conf, set, &again);
    } else {
        conf->keys = conf->given_keys;
        conf->given_keys = NULL;
    }
    if (conf->keys != NULL) {
        warn_rivals(conf->keys, set);
        build_key_origins(conf, set);
    }
    conf->token.keys = conf->keys;
}

int conf_reread_keys(struct conf *conf, struct buf *errors, struct buf *warnings)
{
    struct settings set = {.errors = errors, .warnings = warnings};
    int again;
    struct token_keys *keys = all_keys(conf, &set, &again);

    if (keys != NULL && !(token_keys_algs(keys) & conf->token.algs)) {
        settings_error(&set, NULL, "auth:jwksFile", "%s: found no key to check tokens with",
                       conf->jwks_file);
        token_keys_free(&keys);
    }
    if (keys == NULL)
        return again ? CONF_KEYS_UNREAD : -1;
    if (token_keys_equal(keys, conf->keys)) {
        token_keys_free(&keys);
        return 0;
    }
    warn_rivals(keys, &set);
    token_keys_free(&conf->keys);
    conf->keys = keys;
    conf->token.keys = keys;
    return 1;
}
