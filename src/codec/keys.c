#include "codec/keys.h"

#include "base/base64.h"
#include "base/log.h"
#include "codec/keyset.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#define FACTOR_MAX 751 /* as OpenSSL's own check has it */

/* --- algorithms -------------------------------------------------------------- */

static const struct {
    char name[6];
    const char *digest;
    unsigned alg;
    size_t coordinate; /* bytes of r and of s */
} algorithms[] = {
    {"HS256", "SHA256", TOKEN_HS256, 0},  {"HS384", "SHA384", TOKEN_HS384, 0},
    {"HS512", "SHA512", TOKEN_HS512, 0},  {"RS256", "SHA256", TOKEN_RS256, 0},
    {"RS384", "SHA384", TOKEN_RS384, 0},  {"RS512", "SHA512", TOKEN_RS512, 0},
    {"ES256", "SHA256", TOKEN_ES256, 32}, {"ES384", "SHA384", TOKEN_ES384, 48},
    {"ES512", "SHA512", TOKEN_ES512, 66},
};
#define ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))

unsigned token_alg_parse(const char *name)
{
    for (size_t i = 0; i < ALGORITHMS; i++)
        if (strcmp(name, algorithms[i].name) == 0)
            return algorithms[i].alg;
    return 0;
}

void token_algs_put(struct buf *out, unsigned algs)
{
    const char *between = "";

    buf_putc(out, '[');
    for (size_t i = 0; i < ALGORITHMS; i++) {
        if ((algs & algorithms[i].alg) == 0)
            continue;
        buf_printf(out, "%s\"%s\"", between, algorithms[i].name);
        between = ",";
    }
    buf_putc(out, ']');
}

/* The index of alg's row; alg is one bit of TOKEN_ALGS. */
static size_t row_of(unsigned alg)
{
    return (size_t)__builtin_ctz(alg);
}

/* What key can do: 0 if it can do nothing here. */
static unsigned public_algs(EVP_PKEY *key)
{
    char curve[64];
    int bits = EVP_PKEY_get_bits(key);

    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
        return bits >= KEY_RSA_BITS_MIN && bits <= KEY_RSA_BITS_MAX ? TOKEN_RS : 0;
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) != 1)
        return 0;
    switch (OBJ_txt2nid(curve)) {
    case NID_X9_62_prime256v1:
        return TOKEN_ES256;
    case NID_secp384r1:
        return TOKEN_ES384;
    case NID_secp521r1:
        return TOKEN_ES512;
    default:
        return 0;
    }
}

/* --- the set ----------------------------------------------------------------- */

struct token_keys *token_keys_new(void)
{
    return calloc(1, sizeof(struct token_keys));
}

static void key_clear(struct token_key *key)
{
    if (key->secret != NULL)
        explicit_bzero(key->secret, key->secret_len);
    free(key->secret);
    free(key->kid);
    for (size_t i = 0; i < KEY_HASHES; i++)
        EVP_MAC_CTX_free(key->mac[i]);
    EVP_PKEY_free(key->pkey);
    memset(key, 0, sizeof(*key));
}

void token_keys_clear(struct token_keys *keys)
{
    if (keys == NULL)
        return;
    for (size_t i = 0; i < keys->n; i++)
        key_clear(&keys->at[i]);
    keys->n = 0;
    keys->algs = 0;
}

void token_keys_free(struct token_keys **keys)
{
    token_keys_clear(*keys);
    free(*keys);
    *keys = NULL;
}

size_t token_keys_count(const struct token_keys *keys)
{
    return keys->n;
}

unsigned token_keys_algs(const struct token_keys *keys)
{
    return keys != NULL ? keys->algs : 0;
}

struct slice token_keys_secret(const struct token_keys *keys, size_t i)
{
    return (struct slice){(const char *)keys->at[i].secret, keys->at[i].secret_len};
}

struct slice token_keys_kid(const struct token_keys *keys, size_t i)
{
    return (struct slice){keys->at[i].kid, keys->at[i].kid_len};
}

unsigned token_keys_algs_at(const struct token_keys *keys, size_t i)
{
    return keys->at[i].algs;
}

void token_keys_describe(const struct token_keys *keys, size_t i, struct buf *out)
{
    const struct token_key *key = &keys->at[i];
    char kid[KEY_ID_MAX * 4 + 1];

    if (key->kid != NULL) {
        log_escape(kid, sizeof(kid), key->kid, key->kid_len);
        buf_printf(out, "kid \"%s\", ", kid);
    }
    token_algs_put(out, key->algs);
}

size_t token_keys_rivals(const struct token_keys *keys, int nameless)
{
    size_t most = 0;

    for (unsigned alg = TOKEN_RS256; alg <= TOKEN_ES512; alg <<= 1) {
        size_t n = 0;

        for (size_t i = 0; i < keys->n; i++)
            n += (!nameless || keys->at[i].kid == NULL) && (keys->at[i].algs & alg) != 0;
        if (n > most)
            most = n;
    }
    return most;
}

/* --- adding ------------------------------------------------------------------ */

/* A new key that can do all of possible, cut to algs, at the end of the set.
 * On KEY_OK the caller fills it and calls added(), or key_clear(). */
static enum key_result begin(struct token_keys *keys, struct slice kid, unsigned possible,
                             unsigned algs, struct token_key **key)
{
    if ((algs & ~possible) != 0)
        return KEY_OTHER_ALG;
    if (kid.ptr != NULL && (kid.len == 0 || memchr(kid.ptr, '\0', kid.len) != NULL))
        return KEY_BAD_ID;
    if (kid.ptr != NULL && kid.len > KEY_ID_MAX)
        return KEY_TOO_LONG;
    if (keys->n == KEYS_MAX)
        return KEY_TOO_MANY;
    *key = &keys->at[keys->n];
    (*key)->algs = algs != 0 ? algs : possible;
    if (kid.ptr == NULL)
        return KEY_OK;
    (*key)->kid = strndup(kid.ptr, kid.len);
    (*key)->kid_len = kid.len;
    return (*key)->kid != NULL ? KEY_OK : KEY_NO_MEMORY;
}

static void added(struct token_keys *keys)
{
    keys->algs |= keys->at[keys->n++].algs;
}

/* The context of one hash with the key in it: what remains to be done for a
 * token is to hash the token. */
static EVP_MAC_CTX *keyed_mac(EVP_MAC *hmac, const struct token_key *key, const char *digest)
{
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(hmac);
    char name[8]; /* a parameter is not const, and is measured when it is made */
    OSSL_PARAM params[2];

    (void)snprintf(name, sizeof(name), "%s", digest);
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0);
    params[1] = OSSL_PARAM_construct_end();
    if (ctx != NULL && EVP_MAC_init(ctx, key->secret, key->secret_len, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

static enum key_result prepare_secret(struct token_key *key, const void *secret, size_t len)
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    enum key_result result = KEY_NO_MEMORY;

    key->secret = malloc(len);
    if (hmac == NULL || key->secret == NULL)
        goto out;
    memcpy(key->secret, secret, len);
    key->secret_len = len;
    for (size_t i = 0; i < KEY_HASHES; i++)
        if ((key->algs & algorithms[i].alg) != 0 &&
            (key->mac[i] = keyed_mac(hmac, key, algorithms[i].digest)) == NULL)
            goto out;
    result = KEY_OK;
out:
    EVP_MAC_free(hmac);
    return result;
}

/* SubjectPublicKeyInfo, RFC 5280, a certificate with one, or the RSAPublicKey of RFC
 * 8017. */
static int is_public_der(const uint8_t *der, size_t len)
{
    const unsigned char *as_info = der, *as_rsa = der, *as_cert = der;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &as_info, (long)len);
    X509 *cert = NULL;
    int found;

    if (pkey == NULL)
        pkey = d2i_PublicKey(EVP_PKEY_RSA, NULL, &as_rsa, (long)len);
    if (pkey == NULL)
        cert = d2i_X509(NULL, &as_cert, (long)len);
    found = pkey != NULL || cert != NULL;
    X509_free(cert);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return found;
}

/* That in base64, in lines or not: a PEM without its frame, as some issuers show it. */
static int is_public_base64(const char *text, size_t len)
{
    char *line = malloc(len * 2);
    uint8_t *der;
    size_t n = 0;
    long der_len;
    int found;

    if (line == NULL)
        return 0; /* nor will there be memory for the key */
    for (size_t i = 0; i < len; i++)
        if (text[i] != '\n' && text[i] != '\r' && text[i] != ' ')
            line[n++] = text[i];
    der = (uint8_t *)line + len;
    der_len = base64_decode(der, line, n);
    found = der_len > 0 && is_public_der(der, (size_t)der_len);
    explicit_bzero(line, len * 2);
    free(line);
    return found;
}

/* Whoever may read a public key could sign with it, were it taken for a secret. */
static int is_public(const void *bytes, size_t len)
{
    static const char *const marks[] = {"-----BEGIN", "---- BEGIN SSH2", "\"kty\"",
                                        "ssh-rsa ",   "ssh-ed25519 ",    "ecdsa-sha2-"};

    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (memmem(bytes, len, marks[i], strlen(marks[i])) != NULL)
            return 1;
    return is_public_der(bytes, len) || is_public_base64(bytes, len);
}

enum key_result token_keys_add_secret(struct token_keys *keys, struct slice kid, const void *secret,
                                      size_t len, unsigned algs)
{
    enum key_result result;
    struct token_key *key = NULL;

    if (len == 0)
        return KEY_EMPTY;
    if (len > KEY_SECRET_MAX)
        return KEY_TOO_LONG;
    if (is_public(secret, len))
        return KEY_IS_PUBLIC;
    if ((result = begin(keys, kid, TOKEN_HS, algs, &key)) == KEY_OK)
        result = prepare_secret(key, secret, len);
    if (result == KEY_OK)
        added(keys);
    else if (key != NULL)
        key_clear(key);
    return result;
}

/* Without the search of EVP_PKEY_public_check() for a modulus that is prime, which
 * stops the process for milliseconds, and for whoever made the key wrong finds
 * nothing: what is not random numbers has small factors. */
static int is_sound_rsa(const EVP_PKEY *pkey)
{
    BIGNUM *n = NULL, *e = NULL;
    int sound = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
                EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(n) &&
                BN_is_odd(e) && !BN_is_one(e);

    for (BN_ULONG factor = 3; sound && factor <= FACTOR_MAX; factor += 2)
        sound = BN_mod_word(n, factor) != 0;
    BN_free(n);
    BN_free(e);
    return sound;
}

/* The group of each of the curves has a prime order: a point on it is in it. */
static int is_sound_ec(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    int sound = ctx != NULL && EVP_PKEY_public_check_quick(ctx) == 1;

    EVP_PKEY_CTX_free(ctx);
    return sound;
}

/* 1 if the key's numbers can be those of a key of its kind. */
static int is_sound(EVP_PKEY *pkey)
{
    int sound = EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA ? is_sound_rsa(pkey) : is_sound_ec(pkey);

    ERR_clear_error();
    return sound;
}

static enum key_result add_public(struct token_keys *keys, struct slice kid, EVP_PKEY *pkey,
                                  unsigned algs, int checked)
{
    unsigned possible = public_algs(pkey);
    enum key_result result;
    struct token_key *key = NULL;

    if (possible == 0)
        return KEY_UNUSABLE;
    result = begin(keys, kid, possible, algs, &key);
    if (result == KEY_OK && !checked && !is_sound(pkey))
        result = KEY_UNUSABLE;
    if (result == KEY_OK && EVP_PKEY_up_ref(pkey) == 1) {
        key->pkey = pkey;
        added(keys);
    } else if (key != NULL) {
        key_clear(key);
    }
    return result;
}

enum key_result keyset_add_checked(struct token_keys *keys, struct slice kid, EVP_PKEY *pkey,
                                   unsigned algs)
{
    return add_public(keys, kid, pkey, algs, 1);
}

enum key_result token_keys_add_public(struct token_keys *keys, struct slice kid, EVP_PKEY *pkey,
                                      unsigned algs)
{
    return add_public(keys, kid, pkey, algs, 0);
}

/* The one key of a PEM, or NULL.  PEM_read_bio_PUBKEY() would look for it behind
 * other blocks; what else lies in the file then is a mistake that nobody
 * notices. */
static EVP_PKEY *read_pem(const char *pem, size_t len)
{
    BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL;
    const unsigned char *at;
    EVP_PKEY *key = NULL;
    long der_len;

    if (bio == NULL || PEM_read_bio(bio, &name, &header, &der, &der_len) != 1 ||
        strcmp(name, PEM_STRING_PUBLIC) != 0)
        goto out;
    at = der;
    key = d2i_PUBKEY(NULL, &at, der_len);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    name = header = NULL;
    der = NULL;
    if (PEM_read_bio(bio, &name, &header, &der, &der_len) == 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
out:
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(bio);
    ERR_clear_error();
    return key;
}

enum key_result token_keys_add_pem(struct token_keys *keys, struct slice kid, const char *pem,
                                   size_t len, unsigned algs)
{
    EVP_PKEY *pkey = read_pem(pem, len);
    enum key_result result = KEY_UNUSABLE;

    if (pkey != NULL)
        result = token_keys_add_public(keys, kid, pkey, algs);
    EVP_PKEY_free(pkey);
    return result;
}

enum key_result token_keys_add_all(struct token_keys *keys, const struct token_keys *from)
{
    enum key_result result = KEY_OK;

    for (size_t i = 0; i < from->n && result == KEY_OK; i++) {
        const struct token_key *key = &from->at[i];
        struct slice kid = {key->kid, key->kid_len};

        if (key->pkey != NULL)
            result = keyset_add_checked(keys, kid, key->pkey, key->algs);
        else
            result = token_keys_add_secret(keys, kid, key->secret, key->secret_len, key->algs);
    }
    return result;
}

/* --- verifying --------------------------------------------------------------- */

_Static_assert(KEYS_MAX <= 32, "a bit for each key that was tried");

/* Returns the bytes of it, 0 where key has no such or OpenSSL no memory. */
static size_t make_mac(const struct token_key *key, unsigned alg, struct slice text,
                       uint8_t mac[KEY_MAC_MAX])
{
    EVP_MAC_CTX *ctx = key->mac[row_of(alg)];
    size_t len = 0;

    return ctx != NULL && EVP_MAC_init(ctx, NULL, 0, NULL) == 1 &&
                   EVP_MAC_update(ctx, (const uint8_t *)text.ptr, text.len) == 1 &&
                   EVP_MAC_final(ctx, mac, &len, KEY_MAC_MAX) == 1
               ? len
               : 0;
}

size_t token_keys_sign(const struct token_keys *keys, size_t i, unsigned alg, struct slice text,
                       uint8_t mac[KEY_MAC_MAX])
{
    return make_mac(&keys->at[i], alg, text, mac);
}

static int verify_mac(const struct token_key *key, unsigned alg, struct slice text,
                      struct slice signature)
{
    uint8_t mac[KEY_MAC_MAX];
    size_t len = make_mac(key, alg, text, mac);

    return len > 0 && len == signature.len && CRYPTO_memcmp(mac, signature.ptr, len) == 0;
}

/* r and s, each of n bytes, as the DER that OpenSSL wants.  Allocated by it; *len
 * is 0 on failure. */
static uint8_t *ecdsa_der(struct slice raw, size_t n, size_t *len)
{
    const uint8_t *bytes = (const uint8_t *)raw.ptr;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(bytes, (int)n, NULL), *s = BN_bin2bn(bytes + n, (int)n, NULL);
    uint8_t *der = NULL;
    int der_len = 0;

    if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL;
        der_len = i2d_ECDSA_SIG(sig, &der);
    }
    *len = der_len > 0 ? (size_t)der_len : 0;
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return der;
}

static int verify_digest(EVP_PKEY *pkey, const char *digest, struct slice text, const uint8_t *sig,
                         size_t sig_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int good = ctx != NULL &&
               EVP_DigestVerifyInit_ex(ctx, NULL, digest, NULL, NULL, pkey, NULL) == 1 &&
               EVP_DigestVerify(ctx, sig, sig_len, (const uint8_t *)text.ptr, text.len) == 1;

    EVP_MD_CTX_free(ctx);
    /* A failed check leaves its reason where TLS would take it for its own. */
    ERR_clear_error();
    return good;
}

static int verify_public(const struct token_key *key, unsigned alg, struct slice text,
                         struct slice signature)
{
    size_t row = row_of(alg), n = algorithms[row].coordinate, len;
    const char *digest = algorithms[row].digest;
    uint8_t *der;
    int good;

    if (n == 0)
        return verify_digest(key->pkey, digest, text, (const uint8_t *)signature.ptr,
                             signature.len);
    if (signature.len != 2 * n)
        return 0;
    der = ecdsa_der(signature, n, &len);
    good = len > 0 && verify_digest(key->pkey, digest, text, der, len);
    OPENSSL_free(der);
    return good;
}

static int has_kid(const struct token_key *key, struct slice kid)
{
    return key->kid != NULL && slice_eq((struct slice){key->kid, key->kid_len}, kid);
}

struct attempt {
    const struct token_keys *keys;
    unsigned alg;
    struct slice text, signature;
    unsigned *tries;
    uint32_t *tried;
};

static int try_key(const struct attempt *attempt, size_t i)
{
    const struct token_key *key = &attempt->keys->at[i];

    if ((key->algs & attempt->alg) == 0 || (key->pkey != NULL && *attempt->tries == 0))
        return 0;
    *attempt->tried |= UINT32_C(1) << i;
    if (key->pkey == NULL)
        return verify_mac(key, attempt->alg, attempt->text, attempt->signature);
    --*attempt->tries;
    return verify_public(key, attempt->alg, attempt->text, attempt->signature);
}

long token_keys_find(const struct token_keys *keys, unsigned alg, struct slice kid,
                     struct slice text, struct slice signature, unsigned *tries, uint32_t *tried)
{
    const struct attempt attempt = {keys, alg, text, signature, tries, tried};

    *tried = 0;
    if ((keys->algs & alg) == 0 || signature.len == 0)
        return -1;
    if (kid.ptr != NULL)
        for (size_t i = 0; i < keys->n; i++)
            if (has_kid(&keys->at[i], kid) && try_key(&attempt, i))
                return (long)i;
    for (size_t i = 0; i < keys->n; i++)
        if ((kid.ptr == NULL || keys->at[i].kid == NULL) && try_key(&attempt, i))
            return (long)i;
    return -1;
}
