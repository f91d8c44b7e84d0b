#include "conf/build.h"

#include "conf/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX_BYTES 65536
#define SECRET_SHORT  32 /* RFC 7518, 3.2: as long as the hash of HS256 */

static int has(const char *text, size_t len, const char *part)
{
    return memmem(text, len, part, strlen(part)) != NULL;
}

/* Reads the file that setting names.  Returns 0, or -1 (reported). */
static int read_key(struct settings *set, const struct setting *setting, struct file *file)
{
    char *name = build_file_name(set, setting);
    int result = -1;

    if (!name)
        return -1;
    if (file_read(file, name, KEY_MAX_BYTES) < 0)
        settings_error(set, &setting->source, setting->path, "cannot read %s: %s", name,
                       errno == EFBIG ? "it has more than 65536 bytes" : strerror(errno));
    else
        result = 0;
    free(name);
    return result;
}

/* --- the secret --- */

static void take_secret(struct conf *conf, struct settings *set, const struct setting *setting,
                        const char *text, size_t len)
{
    if (has(text, len, "-----BEGIN")) {
        settings_error(set, &setting->source, setting->path,
                       "found a PEM, wanted a secret; a public key belongs into "
                       "auth:publicKeyFile");
        return;
    }
    if (len < SECRET_SHORT)
        settings_warn(set, &setting->source, setting->path,
                      "the secret has %zu bytes; fewer than %d are easier to guess", len,
                      SECRET_SHORT);
    conf->secret = malloc(len + 1);
    if (!conf->secret) {
        settings_error(set, NULL, NULL, "out of memory");
        return;
    }
    memcpy(conf->secret, text, len);
    conf->secret[len] = '\0';
    conf->token.secret = conf->secret;
    conf->token.secret_len = len;
}

/* Returns 1 if there was a secret in the file (or an error), 0 if it is empty. */
static int take_secret_file(struct conf *conf, struct settings *set, const struct setting *setting)
{
    struct file file;
    size_t len;

    if (read_key(set, setting, &file) < 0)
        return 1;
    len = file.len - (file.len > 0 && file.text[file.len - 1] == '\n');
    if (file.shared)
        settings_warn(set, &setting->source, setting->path, "%s may be read by everyone",
                      setting_text(setting));
    if (len > 0)
        take_secret(conf, set, setting, file.text, len);
    else
        settings_warn(set, &setting->source, setting->path, "%s is empty, so there is no secret",
                      setting_text(setting));
    file_clear(&file);
    return len > 0;
}

/* Where both are given, the source that counts more decides. */
static void build_secret(struct conf *conf, struct settings *set)
{
    const struct setting *secret = settings_at(set, "auth:secret");
    const struct setting *file = settings_at(set, "auth:secretFile");
    int has_file = setting_text(file) != NULL;

    if (secret->value && has_file && secret->source.layer == file->source.layer) {
        settings_error(set, &file->source, file->path, "found %s as well, wanted one of them",
                       secret->path);
        return;
    }
    if (has_file && (!secret->value || file->source.layer > secret->source.layer)) {
        if (take_secret_file(conf, set, file))
            return;
    } else if (has_file) {
        settings_warn(set, &file->source, file->path, "not used, for %s is given", secret->path);
    }
    if (secret->value)
        take_secret(conf, set, secret, secret->value->text, secret->value->len);
}

/* --- the public key --- */

static const char *pem_fault(const struct file *file)
{
    if (has(file->text, file->len, "PRIVATE KEY-----"))
        return "found a private key, wanted the public one";
    if (has(file->text, file->len, "-----BEGIN CERTIFICATE"))
        return "found a certificate, wanted its public key (openssl x509 -pubkey -noout)";
    if (!has(file->text, file->len, "-----BEGIN PUBLIC KEY-----") &&
        !has(file->text, file->len, "-----BEGIN RSA PUBLIC KEY-----"))
        return "found no public key in PEM, wanted -----BEGIN PUBLIC KEY-----";
    return "found a public key that cannot be used, wanted RSA of 2048 bits or more, or EC on "
           "P-256, P-384 or P-521";
}

static void build_public_key(struct conf *conf, struct settings *set)
{
    const struct setting *setting = settings_at(set, "auth:publicKeyFile");
    struct file file;
    unsigned algs;

    if (!setting_text(setting) || read_key(set, setting, &file) < 0)
        return;
    algs = token_pem_algs(file.text, file.len);
    if (algs == 0) {
        settings_error(set, &setting->source, setting->path, "%s: %s", setting_text(setting),
                       pem_fault(&file));
        file_clear(&file);
        return;
    }
    conf->public_key = file.text; /* no secret: nothing to overwrite later */
    conf->token.public_key = file.text;
    conf->token.public_key_len = file.len;
    conf->token.public_algs = algs;
}

/* --- what a token must satisfy --- */

/* Each algorithm that is named needs a key, or nobody could ever use it. */
static void check_algorithm(struct conf *conf, struct settings *set, const struct setting *setting,
                            const struct jsonc *value, int keys_known)
{
    const struct token_policy *token = &conf->token;
    unsigned alg = token_alg_parse(value->text);
    struct source source = setting->source;
    char found[96];

    if (source.layer == LAYER_FILE)
        source.line = value->line;
    value_describe(value, 0, found, sizeof(found));
    if (alg == 0)
        settings_error(set, &source, setting->path,
                       "found %s, wanted HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384 or "
                       "ES512",
                       found);
    else if (keys_known && (alg & TOKEN_HS) && !token->secret)
        settings_error(set, &source, setting->path, "found %s, which needs auth:secretFile", found);
    else if (keys_known && !(alg & TOKEN_HS) && !token->public_key)
        settings_error(set, &source, setting->path, "found %s, which needs auth:publicKeyFile",
                       found);
    else if (keys_known && !(alg & TOKEN_HS) && !(alg & token->public_algs))
        settings_error(set, &source, setting->path,
                       "found %s, which the key in auth:publicKeyFile cannot verify", found);
    conf->token.algs |= alg;
}

static void build_algorithms(struct conf *conf, struct settings *set, int keys_known)
{
    struct token_policy *token = &conf->token;
    const struct setting *setting = settings_at(set, "auth:options:algorithms");
    unsigned possible = (token->secret ? TOKEN_HS : 0U) | token->public_algs;
    const struct jsonc *list = setting->value;

    if (!list) {
        token->algs = possible;
        return;
    }
    for (const struct jsonc *e = setting_next(list, NULL); e; e = setting_next(list, e))
        check_algorithm(conf, set, setting, e, keys_known);
    token->algs &= possible;
}

static char **build_names_of(struct settings *set, const char *path)
{
    const struct setting *setting = settings_at(set, path);

    return setting->value ? build_strings(set, setting->value) : NULL;
}

static void build_claims(struct conf *conf, struct settings *set)
{
    const struct setting *tolerance = settings_at(set, "auth:options:clockTolerance");

    conf->audiences = build_names_of(set, "auth:options:audience");
    conf->issuers = build_names_of(set, "auth:options:issuer");
    conf->token.audiences = (const char *const *)conf->audiences;
    conf->token.issuers = (const char *const *)conf->issuers;
    if (tolerance->value)
        conf->token.tolerance_s = (int64_t)tolerance->value->number;
}

void build_auth(struct conf *conf, struct settings *set)
{
    int before = set->nerrors;
    int broken = settings_at(set, "auth:secret")->broken ||
                 settings_at(set, "auth:secretFile")->broken ||
                 settings_at(set, "auth:publicKeyFile")->broken;

    build_secret(conf, set);
    build_public_key(conf, set);
    broken = broken || set->nerrors > before;
    if (!broken && !conf->secret && !conf->public_key)
        settings_error(set, NULL, "auth",
                       "found no key to check tokens with, wanted auth:secretFile (a file that "
                       "holds the secret), auth:secret or auth:publicKeyFile");
    build_algorithms(conf, set, !broken && (conf->secret || conf->public_key));
    build_claims(conf, set);
}
