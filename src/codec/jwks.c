#include "codec/jwks.h"

#include "base/base64.h"
#include "base/log.h"
#include "codec/jsonc.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SECRET_SHORT  32 /* RFC 7518, 3.2: as long as the hash of HS256 */
#define EC_COORD_MAX  66
#define EXPONENT_BITS 64

/* One key while it is read. */
struct jwk {
    struct token_keys *keys;
    jwks_note_fn *note;
    void *arg;
    const struct jsonc *object;
    size_t number; /* from 1 */
    struct slice kid;
    unsigned algs; /* of its alg; 0: it has none */
};

enum { BAD = -1, TAKEN = 0, LEFT_OUT = 1 };

/* --- messages ---------------------------------------------------------------- */

/* Returns result. */
__attribute__((format(printf, 3, 4))) static int say(const struct jwk *jwk, int result,
                                                     const char *fmt, ...)
{
    char text[512], kid[128], why[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    kid[0] = '\0';
    if (jwk->kid.ptr != NULL)
        log_escape(kid, sizeof(kid), jwk->kid.ptr, jwk->kid.len);
    (void)snprintf(text, sizeof(text), "key %zu%s%s%s: %s%s", jwk->number,
                   jwk->kid.ptr != NULL ? " (kid \"" : "", kid, jwk->kid.ptr != NULL ? "\")" : "",
                   why, result == LEFT_OUT ? "; it is left out" : "");
    jwk->note(jwk->arg, result == BAD, jwk->object->line, text);
    return result;
}

/* --- members ----------------------------------------------------------------- */

static const struct jsonc *member(const struct jwk *jwk, const char *name)
{
    return jsonc_member(jwk->object, name);
}

/* *text is NULL if there is no such member.  Returns BAD (said) if it is no string. */
static int get_text(const struct jwk *jwk, const char *name, const char **text)
{
    const struct jsonc *value = member(jwk, name);

    *text = NULL;
    if (value == NULL)
        return TAKEN;
    if (value->type != JSONC_STRING)
        return say(jwk, BAD, "its \"%s\" is no string", name);
    *text = value->text;
    return TAKEN;
}

static void free_bytes(uint8_t *bytes, size_t len)
{
    if (bytes != NULL)
        explicit_bzero(bytes, len);
    free(bytes);
}

/* The bytes that a member has as base64url.  Allocated, *len of them; NULL (said)
 * if there is none, or it is not that, or empty. */
static uint8_t *get_bytes(const struct jwk *jwk, const char *name, size_t *len)
{
    const struct jsonc *value = member(jwk, name);
    uint8_t *bytes;
    long n;

    if (value == NULL || value->type != JSONC_STRING || value->len == 0) {
        (void)say(jwk, BAD, "its \"%s\" is %s", name,
                  value == NULL ? "missing" : "no string, or an empty one");
        return NULL;
    }
    bytes = malloc(value->len);
    if (bytes == NULL) {
        (void)say(jwk, BAD, "out of memory");
        return NULL;
    }
    n = base64url_decode(bytes, value->text, value->len);
    if (n <= 0) {
        free_bytes(bytes, value->len);
        (void)say(jwk, BAD, "its \"%s\" is not base64url", name);
        return NULL;
    }
    *len = (size_t)n;
    return bytes;
}

/* --- the kinds of keys ------------------------------------------------------- */

static int result_of(const struct jwk *jwk, enum key_result result)
{
    switch (result) {
    case KEY_OK:
        return TAKEN;
    case KEY_EMPTY:
        return say(jwk, BAD, "its secret is empty");
    case KEY_IS_PUBLIC:
        return say(jwk, BAD, "its secret is a public key or holds a PEM: all may know it");
    case KEY_TOO_LONG:
        return say(jwk, BAD, "its secret or its kid is too long");
    case KEY_BAD_ID:
        return say(jwk, BAD, "its kid is empty");
    case KEY_UNUSABLE:
        return say(jwk, BAD, "its numbers are not those of a public key");
    case KEY_OTHER_ALG:
        return say(jwk, BAD, "its \"alg\" is none that such a key can do");
    case KEY_TOO_MANY:
        return say(jwk, BAD, "there are more than %d keys", KEYS_MAX);
    case KEY_NO_MEMORY:
        break;
    }
    return say(jwk, BAD, "out of memory");
}

static int add_oct(const struct jwk *jwk)
{
    size_t len = 0;
    uint8_t *secret = get_bytes(jwk, "k", &len);
    int result;

    if (secret == NULL)
        return BAD;
    result = result_of(jwk, token_keys_add_secret(jwk->keys, jwk->kid, secret, len, jwk->algs));
    if (result == TAKEN && len < SECRET_SHORT)
        (void)say(jwk, TAKEN, "the secret has %zu bytes; fewer than %d are easier to guess", len,
                  SECRET_SHORT);
    free_bytes(secret, len);
    return result;
}

/* Makes the key that params describe and adds it. */
static int add_public(const struct jwk *jwk, const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = build != NULL ? OSSL_PARAM_BLD_to_param(build) : NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;
    enum key_result result = KEY_NO_MEMORY;

    if (params != NULL && ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1) {
        result = KEY_UNUSABLE;
        if (EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) == 1)
            result = token_keys_add_public(jwk->keys, jwk->kid, pkey, jwk->algs);
    }
    EVP_PKEY_free(pkey);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    ERR_clear_error();
    return result_of(jwk, result);
}

/* Adds the key of these two numbers; a size of theirs that is not taken is no fault. */
static int add_numbers(const struct jwk *jwk, const BIGNUM *modulus, const BIGNUM *exponent)
{
    int bits = BN_num_bits(modulus), result;
    OSSL_PARAM_BLD *build;

    if (bits < KEY_RSA_BITS_MIN || bits > KEY_RSA_BITS_MAX || BN_num_bits(exponent) > EXPONENT_BITS)
        return say(jwk, LEFT_OUT, "RSA of %d bits, wanted %d to %d, and an exponent of %d at most",
                   bits, KEY_RSA_BITS_MIN, KEY_RSA_BITS_MAX, EXPONENT_BITS);
    build = OSSL_PARAM_BLD_new();
    if (build == NULL || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) != 1 ||
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) != 1)
        result = result_of(jwk, KEY_NO_MEMORY);
    else
        result = add_public(jwk, "RSA", build);
    OSSL_PARAM_BLD_free(build);
    return result;
}

static int add_rsa(const struct jwk *jwk)
{
    size_t n_len = 0, e_len = 0;
    uint8_t *n = get_bytes(jwk, "n", &n_len);
    uint8_t *e = n != NULL ? get_bytes(jwk, "e", &e_len) : NULL;
    BIGNUM *modulus = NULL, *exponent = NULL;
    int result = BAD;

    if (e == NULL)
        goto out;
    modulus = BN_bin2bn(n, (int)n_len, NULL);
    exponent = BN_bin2bn(e, (int)e_len, NULL);
    if (modulus == NULL || exponent == NULL)
        result = result_of(jwk, KEY_NO_MEMORY);
    else
        result = add_numbers(jwk, modulus, exponent);
out:
    BN_free(modulus);
    BN_free(exponent);
    free(n);
    free(e);
    return result;
}

/* Adds the key of the point (x, y), each of len bytes. */
static int add_point(const struct jwk *jwk, const char *curve, const uint8_t *x, const uint8_t *y,
                     size_t len)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    uint8_t point[1 + 2 * EC_COORD_MAX] = {4}; /* uncompressed */
    int result;

    memcpy(point + 1, x, len);
    memcpy(point + 1 + len, y, len);
    if (build == NULL ||
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * len) != 1)
        result = result_of(jwk, KEY_NO_MEMORY);
    else
        result = add_public(jwk, "EC", build);
    OSSL_PARAM_BLD_free(build);
    return result;
}

static int add_ec(const struct jwk *jwk)
{
    static const struct {
        const char *name;
        size_t len;
    } curves[] = {{"P-256", 32}, {"P-384", 48}, {"P-521", EC_COORD_MAX}};
    const char *crv;
    size_t i = 0, x_len = 0, y_len = 0;
    uint8_t *x, *y;
    int result = BAD;

    if (get_text(jwk, "crv", &crv) != TAKEN)
        return BAD;
    if (crv == NULL)
        return say(jwk, BAD, "its \"crv\" is missing");
    while (i < 3 && strcmp(crv, curves[i].name) != 0)
        i++;
    if (i == 3)
        return say(jwk, LEFT_OUT, "its curve is none of P-256, P-384 and P-521");
    x = get_bytes(jwk, "x", &x_len);
    y = x != NULL ? get_bytes(jwk, "y", &y_len) : NULL;
    if (y != NULL && (x_len != curves[i].len || y_len != curves[i].len))
        result = say(jwk, BAD, "its \"x\" and \"y\" have not %zu bytes", curves[i].len);
    else if (y != NULL)
        result = add_point(jwk, curves[i].name, x, y, x_len);
    free(x);
    free(y);
    return result;
}

/* --- a key, and all of them -------------------------------------------------- */

/* The parts that only its owner may have lie open on a host that needs none of them. */
static int check_private(const struct jwk *jwk)
{
    static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (member(jwk, names[i]) != NULL)
            return say(jwk, BAD, "it is a private key (it has \"%s\"), wanted the public one",
                       names[i]);
    return TAKEN;
}

static int check_use(const struct jwk *jwk)
{
    const struct jsonc *ops = member(jwk, "key_ops");
    const char *use;
    int verify = 0;

    if (get_text(jwk, "use", &use) != TAKEN)
        return BAD;
    if (use != NULL && strcmp(use, "sig") != 0)
        return say(jwk, LEFT_OUT, "its \"use\" is not \"sig\"");
    if (ops == NULL)
        return TAKEN;
    if (ops->type != JSONC_ARRAY)
        return say(jwk, BAD, "its \"key_ops\" is no array");
    for (const struct jsonc *op = ops->first; op != NULL; op = op->next) {
        if (op->type != JSONC_STRING)
            return say(jwk, BAD, "its \"key_ops\" has what is no string");
        verify |= strcmp(op->text, "verify") == 0;
    }
    return verify ? TAKEN : say(jwk, LEFT_OUT, "its \"key_ops\" has no \"verify\"");
}

static int check_alg(struct jwk *jwk)
{
    const char *alg;

    if (get_text(jwk, "alg", &alg) != TAKEN)
        return BAD;
    if (alg == NULL)
        return TAKEN;
    jwk->algs = token_alg_parse(alg);
    return jwk->algs != 0 ? TAKEN : say(jwk, LEFT_OUT, "its \"alg\" is not supported");
}

static int add_key(struct jwk *jwk)
{
    const struct jsonc *kid;
    const char *kty, *text;
    int result;

    if (jwk->object->type != JSONC_OBJECT)
        return say(jwk, BAD, "it is no object");
    if (get_text(jwk, "kid", &text) != TAKEN || get_text(jwk, "kty", &kty) != TAKEN)
        return BAD;
    if ((kid = member(jwk, "kid")) != NULL)
        jwk->kid = (struct slice){kid->text, kid->len};
    if (kty == NULL)
        return say(jwk, BAD, "its \"kty\" is missing");
    if (strcmp(kty, "oct") != 0 && strcmp(kty, "RSA") != 0 && strcmp(kty, "EC") != 0)
        return say(jwk, LEFT_OUT, "its \"kty\" is none of oct, RSA and EC");
    if (strcmp(kty, "oct") != 0 && check_private(jwk) != TAKEN)
        return BAD;
    if ((result = check_use(jwk)) != TAKEN || (result = check_alg(jwk)) != TAKEN)
        return result;
    if (strcmp(kty, "oct") == 0)
        return add_oct(jwk);
    return strcmp(kty, "RSA") == 0 ? add_rsa(jwk) : add_ec(jwk);
}

int jwks_parse(struct token_keys *keys, const char *text, size_t len, jwks_note_fn *note, void *arg)
{
    struct jsonc_error error;
    struct jsonc *root = jsonc_parse(text, len, &error);
    const struct jsonc *list = root != NULL ? jsonc_member(root, "keys") : NULL;
    struct jwk jwk = {.keys = keys, .note = note, .arg = arg};
    int bad = 0;

    if (root == NULL || list == NULL || list->type != JSONC_ARRAY) {
        note(arg, 1, root != NULL ? root->line : error.line,
             root != NULL ? "found no array \"keys\", wanted a JWK Set" : error.text);
        bad = 1;
    }
    for (const struct jsonc *key = bad ? NULL : list->first; key != NULL && !bad; key = key->next) {
        jwk.object = key;
        jwk.number++;
        jwk.kid = (struct slice){NULL, 0};
        jwk.algs = 0;
        bad = add_key(&jwk) == BAD;
    }
    jsonc_free(&root);
    return bad ? -1 : 0;
}
