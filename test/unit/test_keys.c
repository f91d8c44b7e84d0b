/* Sets of keys: which of them judges a token, and that none judges one of another
 * family; PEM; sets as bytes. */
#include "codec/keys.h"

#include "jwt_sign.h"
#include "tap.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define NO_KID  ((struct slice){NULL, 0})
#define TRIES   4
#define SECRET  "a secret that is long enough for HS256"
#define SECRET2 "another one that is as long as it is..."

/* --- all families ------------------------------------------------------------- */

static EVP_PKEY *rsa, *rsa2, *p256, *p256_2, *p384, *p521;

static const struct alg {
    const char *name;
    unsigned bit;
    int hash, raw_len; /* bits; bytes of an ES signature */
} algs[] = {
    {"HS256", TOKEN_HS256, 256, 0},   {"HS384", TOKEN_HS384, 384, 0},
    {"HS512", TOKEN_HS512, 512, 0},   {"RS256", TOKEN_RS256, 256, 0},
    {"RS384", TOKEN_RS384, 384, 0},   {"RS512", TOKEN_RS512, 512, 0},
    {"ES256", TOKEN_ES256, 256, 64},  {"ES384", TOKEN_ES384, 384, 96},
    {"ES512", TOKEN_ES512, 512, 132},
};
#define ALGS (sizeof(algs) / sizeof(algs[0]))

static const EVP_MD *hash_of(const struct alg *alg)
{
    return alg->hash == 256 ? EVP_sha256() : alg->hash == 384 ? EVP_sha384() : EVP_sha512();
}

static EVP_PKEY *pair_of(unsigned bit)
{
    if (bit & TOKEN_RS)
        return rsa;
    return bit == TOKEN_ES256 ? p256 : bit == TOKEN_ES384 ? p384 : p521;
}

/* Signs as alg has it: with secret, or with pair. */
static void make(const struct alg *alg, const char *secret, EVP_PKEY *pair)
{
    put_text("{}", "{}", 2);
    if (alg->bit & TOKEN_HS)
        sign_hmac(hash_of(alg), secret, strlen(secret));
    else
        sign_key(hash_of(alg), pair, alg->raw_len);
}

static uint32_t tried; /* of the last token, by number */

/* Judges the last token as one of alg, against guard pages. */
static int verify_within(const struct token_keys *keys, unsigned alg, struct slice kid,
                         unsigned *tries)
{
    size_t at = (size_t)((uint8_t *)memrchr(token.data, '.', token.len) - token.data);
    unsigned char *text = tap_guard(token.data, at), *guarded;
    uint8_t sig[1024];
    long len = base64_decode(sig, (char *)token.data + at + 1, token.len - at - 1);
    int good;

    guarded = tap_guard(sig, (size_t)len);
    good = token_keys_find(keys, alg, kid, (struct slice){(char *)text, at},
                           (struct slice){(char *)guarded, (size_t)len}, tries, &tried) >= 0;
    tap_guard_free(guarded, (size_t)len);
    tap_guard_free(text, at);
    return good;
}

static int verify_as(const struct token_keys *keys, unsigned alg, struct slice kid)
{
    return verify_within(keys, alg, kid, &(unsigned){TRIES});
}

/* A set that has the key for each of the algorithms, and nothing else. */
static struct token_keys *set_of(unsigned bits)
{
    struct token_keys *keys = token_keys_new();

    if (bits & TOKEN_HS)
        token_keys_add_secret(keys, NO_KID, SECRET, strlen(SECRET), bits & TOKEN_HS);
    if (bits & TOKEN_RS)
        token_keys_add_public(keys, NO_KID, rsa, bits & TOKEN_RS);
    for (unsigned bit = TOKEN_ES256; bit <= TOKEN_ES512; bit <<= 1)
        if (bits & bit)
            token_keys_add_public(keys, NO_KID, pair_of(bit), bit);
    return keys;
}

/* Each algorithm's good signature is good for that one alone, whichever other
 * keys there are and whatever the header calls it. */
static void test_families(void)
{
    struct token_keys *all = set_of(TOKEN_ALGS);

    is_int(token_keys_count(all), 5, "a secret, an RSA key and three curves");
    is_int(token_keys_algs(all), TOKEN_ALGS, "do all algorithms");
    for (size_t i = 0; i < ALGS; i++) {
        struct token_keys *alone = set_of(algs[i].bit);
        struct token_keys *others = set_of(TOKEN_ALGS & ~algs[i].bit);
        unsigned as = 0;

        make(&algs[i], SECRET, pair_of(algs[i].bit));
        ok(verify_as(alone, algs[i].bit, NO_KID), "%s with its key", algs[i].name);
        for (size_t j = 0; j < ALGS; j++) {
            if (verify_as(all, algs[j].bit, NO_KID))
                as |= algs[j].bit;
            if (verify_as(others, algs[j].bit, NO_KID))
                as = ~0u;
        }
        is_int(as, algs[i].bit, "is good as that only, and not without that key");
        make(&algs[i], SECRET2, algs[i].bit & TOKEN_RS ? rsa2 : p256_2);
        ok(!verify_as(all, algs[i].bit, NO_KID), "%s with another's key", algs[i].name);
        token_keys_free(&alone);
        token_keys_free(&others);
    }
    token_keys_free(&all);
    ok(all == NULL, "freed");
    token_keys_free(&all);
}

/* What is public, used as the secret of an HMAC. */
static void test_public_as_secret(void)
{
    struct token_keys *all = set_of(TOKEN_ALGS);
    EVP_PKEY *const pairs[] = {rsa, p256, p384, p521};
    int accepted = 0;

    for (size_t i = 0; i < 4; i++) {
        char pem[4096];
        size_t len = write_public(pem, sizeof(pem), pairs[i]);
        unsigned char *der = NULL;
        int der_len = i2d_PUBKEY(pairs[i], &der);
        const struct slice texts[] = {
            {pem, len}, {pem, len - 1}, {(char *)der, (size_t)der_len}, {"", 0}};
        struct token_keys *secrets = token_keys_new();

        for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++) {
            for (size_t k = 0; k < 3; k++) {
                put_text("{}", "{}", 2);
                sign_hmac(hash_of(&algs[k]), texts[j].ptr, texts[j].len);
                for (size_t as = 0; as < ALGS; as++)
                    accepted += verify_as(all, algs[as].bit, NO_KID);
            }
        }
        is_int(token_keys_add_secret(secrets, NO_KID, pem, len, 0), KEY_IS_PUBLIC,
               "a PEM is no secret");
        is_int(token_keys_add_secret(secrets, NO_KID, der, (size_t)der_len, 0), KEY_IS_PUBLIC,
               "nor is the DER in it");
        token_keys_free(&secrets);
        OPENSSL_free(der);
    }
    is_int(accepted, 0, "an HMAC with a public key is never good");
    token_keys_free(&all);
}

/* A certificate is as public as the key in it. */
static void test_certificate(void)
{
    struct token_keys *secrets = token_keys_new();
    X509 *cert = X509_new();
    unsigned char *der = NULL;
    char *text;
    int len;

    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 60);
    X509_set_pubkey(cert, rsa);
    X509_sign(cert, rsa, EVP_sha256());
    len = i2d_X509(cert, &der);
    ok(len > 0, "a certificate");
    is_int(token_keys_add_secret(secrets, NO_KID, der, (size_t)len, 0), KEY_IS_PUBLIC,
           "is no secret");
    text = malloc((size_t)len * 2 + 4);
    len = (int)base64_encode(text, der, (size_t)len);
    is_int(token_keys_add_secret(secrets, NO_KID, text, (size_t)len, 0), KEY_IS_PUBLIC,
           "nor is its base64");
    free(text);
    OPENSSL_free(der);
    X509_free(cert);
    token_keys_free(&secrets);
}

/* The forms in which issuers publish a key, each given as a secret. */
static void test_published(void)
{
    static const char *const texts[] = {
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"sXch\",\"e\":\"AQAB\"}]}",
        "{ \"crv\": \"P-256\", \"kty\": \"EC\", \"x\": \"gI0G\", \"y\": \"SLW\" }",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ me@here",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY me@here",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO7Q me@here",
        "---- BEGIN SSH2 PUBLIC KEY ----\nAAAAB3NzaC1yc2EAAAADAQABAAABgQ\n",
    };
    EVP_PKEY *const pairs[] = {rsa, p256, p384, p521};
    struct token_keys *secrets = token_keys_new();
    unsigned char *der = NULL;
    int len;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        is_int(token_keys_add_secret(secrets, NO_KID, texts[i], strlen(texts[i]), 0), KEY_IS_PUBLIC,
               "no secret, but a key as it is published");
    for (size_t i = 0; i < 4; i++) {
        char pem[4096], *body, *frame;
        size_t pem_len = write_public(pem, sizeof(pem), pairs[i]);

        pem[pem_len] = '\0';
        body = strchr(pem, '\n') + 1;
        frame = strstr(body, "-----END");
        is_int(token_keys_add_secret(secrets, NO_KID, body, (size_t)(frame - body), 0),
               KEY_IS_PUBLIC, "nor is a PEM without its frame");
    }
    len = i2d_PublicKey(rsa, &der);
    is_int(token_keys_add_secret(secrets, NO_KID, der, (size_t)len, 0), KEY_IS_PUBLIC,
           "nor is PKCS #1");
    OPENSSL_free(der);
    is_int(token_keys_add_secret(secrets, NO_KID, "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", 32, 0),
           KEY_OK, "what only begins like a key is one");
    token_keys_free(&secrets);
}

static void test_signatures(void)
{
    struct token_keys *all = set_of(TOKEN_ALGS);
    uint8_t zeros[132] = {0};
    int accepted = 0;

    for (size_t i = 0; i < ALGS; i++) {
        make(&algs[i], SECRET, pair_of(algs[i].bit));
        token.len = (size_t)((uint8_t *)memrchr(token.data, '.', token.len) - token.data) + 1;
        accepted += verify_as(all, algs[i].bit, NO_KID);
        for (size_t n = 1; n <= sizeof(zeros); n++) {
            size_t len = token.len;

            put_segment(zeros, n);
            accepted += verify_as(all, algs[i].bit, NO_KID);
            token.len = len;
        }
    }
    is_int(accepted, 0, "no signature, and zeros of any length");
    put_text("{}", "{}", 2);
    sign_key(EVP_sha256(), p256, 0);
    ok(!verify_as(all, TOKEN_ES256, NO_KID), "ES256 as DER");
    put_text("{}", "{}", 2);
    sign_key(EVP_sha512(), rsa, 0);
    ok(!verify_as(all, TOKEN_RS256, NO_KID), "RS256 over the wrong hash");
    put_text("{}", "{}", 2);
    sign_key(EVP_sha256(), p384, 96);
    ok(!verify_as(all, TOKEN_ES256, NO_KID), "ES256 with a P-384 key");
    token_keys_free(&all);
}

/* --- which key ---------------------------------------------------------------- */

static void test_kid(void)
{
    struct token_keys *keys = token_keys_new();
    const struct alg *hs = &algs[0];

    token_keys_add_secret(keys, SLICE("a"), "key a", 5, 0);
    token_keys_add_secret(keys, SLICE("b"), "key b", 5, 0);
    token_keys_add_secret(keys, NO_KID, "nameless", 8, 0);
    make(hs, "key a", NULL);
    ok(verify_as(keys, hs->bit, SLICE("a")), "the key that the token names");
    is_int(tried, 1 << 0, "which is the one that was tried");
    ok(!verify_as(keys, hs->bit, SLICE("b")), "not another that has a name");
    is_int(tried, 1 << 1 | 1 << 2, "that, and the one without a name, were tried");
    ok(!verify_as(keys, hs->bit, SLICE("c")), "nor under a name that is not known");
    ok(!verify_as(keys, hs->bit, SLICE("")), "nor under an empty one");
    ok(!verify_as(keys, hs->bit, SLICE("A")), "names are told apart by case");
    ok(verify_as(keys, hs->bit, NO_KID), "any key, if the token names none");
    make(hs, "key b", NULL);
    ok(verify_as(keys, hs->bit, NO_KID), "any of them");
    is_int(tried, 1 << 0 | 1 << 1, "up to that one");
    make(hs, "nameless", NULL);
    ok(verify_as(keys, hs->bit, SLICE("a")), "one without a name, after the named one");
    ok(verify_as(keys, hs->bit, SLICE("c")), "or after none");
    ok(verify_as(keys, hs->bit, NO_KID), "or to a token that names none");

    token_keys_add_secret(keys, SLICE("a"), "a again", 7, TOKEN_HS512);
    make(&algs[2], "a again", NULL);
    ok(verify_as(keys, TOKEN_HS512, SLICE("a")), "two keys of one name");
    make(hs, "a again", NULL);
    ok(!verify_as(keys, hs->bit, SLICE("a")), "one of which is for one algorithm only");
    is_int(tried, 1 << 0 | 1 << 2, "and is not tried with another");
    token_keys_add_public(keys, SLICE("a"), p256, 0);
    make(&algs[6], NULL, p256);
    ok(verify_as(keys, TOKEN_ES256, SLICE("a")), "and one of another family");
    token_keys_free(&keys);
}

static void test_tries(void)
{
    struct token_keys *keys = token_keys_new();
    unsigned tries = 0;

    for (int i = 0; i < TRIES - 1; i++)
        token_keys_add_public(keys, NO_KID, p256_2, 0);
    token_keys_add_public(keys, NO_KID, p384, 0);
    token_keys_add_public(keys, NO_KID, p256, 0);
    make(&algs[6], NULL, p256);
    ok(verify_as(keys, TOKEN_ES256, NO_KID), "a public key after three that are not it");
    ok(verify_as(keys, TOKEN_ES256, SLICE("x")), "for a token that names another too");
    is_int(token_keys_rivals(keys, 1), TRIES, "all of them are within reach");
    token_keys_free(&keys);

    keys = token_keys_new();
    for (int i = 0; i < TRIES; i++)
        token_keys_add_public(keys, NO_KID, p256_2, 0);
    token_keys_add_public(keys, NO_KID, p256, 0);
    ok(!verify_as(keys, TOKEN_ES256, NO_KID), "not after four: a bad token must not cost more");
    is_int(token_keys_rivals(keys, 1), TRIES + 1, "which may be found out");
    token_keys_add_public(keys, SLICE("x"), p256, 0);
    ok(verify_as(keys, TOKEN_ES256, SLICE("x")), "the one that it names comes first");
    is_int(token_keys_rivals(keys, 1), TRIES + 1, "and is none of those without a name");
    is_int(token_keys_rivals(keys, 0), TRIES + 2, "but one of all");
    ok(!verify_within(keys, TOKEN_ES256, SLICE("x"), &tries), "without a try left none is tried");
    is_int(tried, 0, "as is said");
    tries = 2;
    ok(verify_within(keys, TOKEN_ES256, SLICE("x"), &tries), "with one left it is");
    is_int(tries, 1, "which is counted");
    make(&algs[7], NULL, p384);
    ok(!verify_within(keys, TOKEN_ES384, SLICE("x"), &tries), "a key for another algorithm");
    is_int(tries, 1, "takes no try");
    put_text("{}", "{}", 2);
    sign_key(EVP_sha256(), p521, 132);
    ok(!verify_within(keys, TOKEN_ES256, SLICE("x"), &tries), "a signature of the wrong length");
    is_int(tries, 0, "takes one");
    token_keys_free(&keys);

    keys = token_keys_new();
    for (int i = 0; i < 2; i++)
        token_keys_add_public(keys, NO_KID, p521, 0);
    is_int(token_keys_rivals(keys, 1), 2, "the last of the algorithms counts too");
    token_keys_free(&keys);

    keys = token_keys_new();
    for (int i = 0; i < KEYS_MAX; i++)
        token_keys_add_secret(keys, NO_KID, i < KEYS_MAX - 1 ? "no" : SECRET,
                              i < KEYS_MAX - 1 ? 2 : strlen(SECRET), 0);
    make(&algs[0], SECRET, NULL);
    ok(verify_as(keys, TOKEN_HS256, NO_KID), "secrets are tried all");
    is_int(token_keys_rivals(keys, 0), 0, "and do not count");
    ok(verify_within(keys, TOKEN_HS256, NO_KID, &(unsigned){0}), "even where no try is left");
    is_int(token_keys_add_secret(keys, NO_KID, "x", 1, 0), KEY_TOO_MANY, "but are 32 at most");
    is_int(token_keys_add_public(keys, NO_KID, p256, 0), KEY_TOO_MANY, "with public keys");
    is_int(token_keys_count(keys), KEYS_MAX, "32 they stay");
    token_keys_free(&keys);
}

/* --- what is no key ----------------------------------------------------------- */

static void test_refused(void)
{
    static char large[KEY_SECRET_MAX + 1], name[KEY_ID_MAX + 1];
    struct token_keys *keys = token_keys_new();

    memset(large, 'x', sizeof(large));
    memset(name, 'x', sizeof(name));
    is_int(token_keys_add_secret(keys, NO_KID, "", 0, 0), KEY_EMPTY, "an empty secret");
    is_int(token_keys_add_secret(keys, NO_KID, large, sizeof(large), 0), KEY_TOO_LONG,
           "65537 bytes");
    is_int(token_keys_add_secret(keys, NO_KID, "s", 1, TOKEN_RS256), KEY_OTHER_ALG,
           "a secret for RS256");
    is_int(token_keys_add_secret(keys, NO_KID, "s", 1, TOKEN_HS256 | TOKEN_ES256), KEY_OTHER_ALG,
           "a secret for two families");
    is_int(token_keys_add_public(keys, NO_KID, rsa, TOKEN_HS256), KEY_OTHER_ALG,
           "an RSA key for HS256");
    is_int(token_keys_add_public(keys, NO_KID, rsa, TOKEN_ES256), KEY_OTHER_ALG, "or for ES256");
    is_int(token_keys_add_public(keys, NO_KID, p384, TOKEN_ES256), KEY_OTHER_ALG,
           "P-384 for ES256");
    is_int(token_keys_add_secret(keys, SLICE(""), "s", 1, 0), KEY_BAD_ID, "an empty name");
    is_int(token_keys_add_secret(keys, SLICE("a\0b"), "s", 1, 0), KEY_BAD_ID, "NUL in a name");
    is_int(token_keys_add_secret(keys, (struct slice){name, 256}, "s", 1, 0), KEY_TOO_LONG,
           "a name of 256 bytes");
    is_int(token_keys_count(keys), 0, "nothing was added");
    is_int(token_keys_algs(keys), 0, "nor can anything be done");
    is_int(token_keys_add_secret(keys, (struct slice){name, 255}, large, KEY_SECRET_MAX, 0), KEY_OK,
           "255 and 65536 bytes");
    token_keys_free(&keys);
}

/* --- PEM ---------------------------------------------------------------------- */

static size_t write_private(char *dst, size_t cap, EVP_PKEY *pair)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int len;

    PEM_write_bio_PrivateKey(bio, pair, NULL, NULL, 0, NULL, NULL);
    len = BIO_read(bio, dst, (int)cap);
    BIO_free(bio);
    return (size_t)len;
}

static size_t write_certificate(char *dst, size_t cap, EVP_PKEY *pair)
{
    BIO *bio = BIO_new(BIO_s_mem());
    X509 *x509 = X509_new();
    int len;

    X509_gmtime_adj(X509_getm_notBefore(x509), 0);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, pair);
    X509_sign(x509, pair, EVP_sha256());
    PEM_write_bio_X509(bio, x509);
    len = BIO_read(bio, dst, (int)cap);
    X509_free(x509);
    BIO_free(bio);
    return (size_t)len;
}

/* What the key of a PEM can do, 0 if it is refused. */
static unsigned pem_algs(const char *pem, size_t len)
{
    struct token_keys *keys = token_keys_new();
    unsigned can = 0;

    if (token_keys_add_pem(keys, NO_KID, pem, len, 0) == KEY_OK)
        can = token_keys_algs(keys);
    token_keys_free(&keys);
    return can;
}

/* A public key whose modulus is that of pair, raised to power: of more bits, and quickly
 * made. */
static EVP_PKEY *power_of(EVP_PKEY *pair, int power)
{
    BIGNUM *n = NULL, *product = BN_new();
    BN_CTX *bn = BN_CTX_new();
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params;

    EVP_PKEY_get_bn_param(pair, OSSL_PKEY_PARAM_RSA_N, &n);
    BN_copy(product, n);
    while (--power > 0)
        BN_mul(product, product, n, bn);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, product);
    OSSL_PARAM_BLD_push_ulong(build, OSSL_PKEY_PARAM_RSA_E, 65537);
    params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_fromdata_init(ctx);
    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_BLD_free(build);
    BN_CTX_free(bn);
    BN_free(product);
    BN_free(n);
    return key;
}

static void is_pem(EVP_PKEY *pair, unsigned want, const char *name)
{
    char pem[4096];

    is_int(pem_algs(pem, write_public(pem, sizeof(pem), pair)), want, name);
    EVP_PKEY_free(pair);
}

static void test_pem(void)
{
    static char text[8192], pem[4096];
    size_t len = write_public(pem, sizeof(pem), p256), n;
    unsigned any = 0;

    is_int(pem_algs(pem, 0), 0, "an empty PEM");
    is_int(pem_algs("garbage", 7), 0, "no PEM");
    for (size_t i = 0; i + 2 < len; i++) { /* the last dash's newline may go */
        unsigned char *guarded = tap_guard(pem, i);

        any |= pem_algs((char *)guarded, i);
        tap_guard_free(guarded, i);
    }
    is_int(any, 0, "a PEM cut off anywhere");
    memcpy(text, pem, len);
    memcpy(text + len, pem, len);
    is_int(pem_algs(text, 2 * len), 0, "two public keys");
    is_int(pem_algs(text, write_certificate(text, sizeof(text), p256)), 0, "a certificate");
    n = write_private(text, sizeof(text), p256);
    is_int(pem_algs(text, n), 0, "a private key");
    memcpy(text + n, pem, len);
    is_int(pem_algs(text, n + len), 0, "a private key before it");
    is_pem(EVP_RSA_gen(2048), TOKEN_RS, "RSA of 2048 bits");
    is_pem(EVP_EC_gen("P-256"), TOKEN_ES256, "P-256");
    is_pem(EVP_EC_gen("P-384"), TOKEN_ES384, "P-384");
    is_pem(EVP_EC_gen("P-521"), TOKEN_ES512, "P-521");
    is_pem(EVP_RSA_gen(1024), 0, "RSA of 1024 bits");
    is_pem(power_of(rsa, 2), TOKEN_RS, "RSA of 4096 bits");
    is_pem(power_of(rsa, 3), 0, "RSA of 6144 bits");
    is_pem(EVP_EC_gen("secp256k1"), 0, "a curve that is not used");
    is_pem(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), 0, "Ed25519");
}

/* --- as bytes ----------------------------------------------------------------- */

static struct token_keys *mixed(void)
{
    struct token_keys *keys = set_of(TOKEN_ALGS & ~TOKEN_HS512);

    token_keys_add_secret(keys, SLICE("k\xc3\xa9y"), "\0binary\xff", 8, TOKEN_HS512);
    token_keys_add_public(keys, SLICE("r"), rsa2, TOKEN_RS384);
    return keys;
}

static void test_bytes(void)
{
    struct token_keys *keys = mixed(), *again = NULL, *none = token_keys_new();
    struct buf bytes = {0}, twice = {0}, shown = {0};
    size_t refused = 0;

    is_int(token_keys_encode(keys, &bytes), 0, "a set becomes bytes");
    again = token_keys_decode(bytes.data, bytes.len);
    ok(again != NULL && token_keys_equal(keys, again), "and a set again");
    is_int(token_keys_encode(again, &twice), 0, "which becomes");
    is_mem(twice.data, twice.len, bytes.data, bytes.len, "the same bytes");
    make(&algs[4], NULL, rsa2);
    ok(verify_as(again, TOKEN_RS384, SLICE("r")) && !verify_as(again, TOKEN_RS384, SLICE("s")),
       "its keys have their names");
    ok(!verify_as(again, TOKEN_RS256, SLICE("r")), "and algorithms");
    token_keys_describe(again, 5, &shown);
    buf_putc(&shown, '\0');
    is_str((char *)shown.data, "kid \"k\\xc3\\xa9y\", [\"HS512\"]", "and can be told apart");
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char *guarded = tap_guard(bytes.data, i);
        struct token_keys *cut = token_keys_decode(guarded, i);

        refused += cut == NULL;
        token_keys_free(&cut);
        tap_guard_free(guarded, i);
    }
    is_int(refused, bytes.len, "every prefix is refused");
    buf_putc(&bytes, 0);
    ok(token_keys_decode(bytes.data, bytes.len) == NULL, "and a byte too many");
    ok(token_keys_encode(none, &twice) != 0, "a set without keys is nothing to send");
    ok(token_keys_decode("\0", 1) == NULL, "nor to receive");
    token_keys_free(&keys);
    token_keys_free(&again);
    token_keys_free(&none);
    buf_free(&bytes);
    buf_free(&twice);
    buf_free(&shown);
}

static void test_bad_bytes(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *name;
    } cases[] = {
        {"\1\0\0\1\0\0\0\0", 8, "an empty secret"},
        {"\1\0\0\0\0\0\0\1s", 9, "no algorithm"},
        {"\1\0\0\x9\0\0\0\1s", 9, "algorithms of two families"},
        {"\1\0\2\1\0\0\0\1s", 9, "an algorithm that there is not"},
        {"\1\0\0\1\xff\xff\xff\xff", 8, "4 GB"},
        {"\1\2a\0\0\1\0\0\0\1s", 11, "NUL in a name"},
        {"\2\0\0\1\0\0\0\1s", 9, "one key where two are said"},
        {"\1\0\0\x8\0\0\0\1s", 9, "a public key that is none"},
    };
    struct token_keys *keys = token_keys_decode("\1\0\0\1\0\0\0\1s", 9);
    struct buf bytes = {0};

    ok(keys != NULL && token_keys_algs(keys) == TOKEN_HS256, "a good one, to begin with");
    token_keys_free(&keys);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        keys = token_keys_decode(cases[i].bytes, cases[i].len);
        ok(keys == NULL, "%s", cases[i].name);
        token_keys_free(&keys);
    }
    keys = set_of(TOKEN_ES256);
    token_keys_encode(keys, &bytes);
    bytes.data[3] = TOKEN_HS256;
    bytes.data[2] = 0;
    token_keys_free(&keys);
    keys = token_keys_decode(bytes.data, bytes.len);
    ok(keys == NULL, "a public key as a secret");
    bytes.data[3] = TOKEN_ES384;
    ok(token_keys_decode(bytes.data, bytes.len) == NULL, "a P-256 key for ES384");
    buf_free(&bytes);
}

static void test_equal(void)
{
    struct token_keys *a = mixed(), *b = mixed();
    EVP_PKEY *copy = NULL;
    unsigned char *der = NULL;
    const unsigned char *at;
    long len = i2d_PUBKEY(p256, &der);

    at = der;
    copy = d2i_PUBKEY(NULL, &at, len);
    token_keys_add_public(a, NO_KID, p256, 0);
    token_keys_add_public(b, NO_KID, copy, 0);
    ok(token_keys_equal(a, b), "the same keys from two sources are the same");
    is_int(token_keys_add_all(a, b), KEY_OK, "a set added to another");
    is_int(token_keys_count(a), 2 * token_keys_count(b), "has the keys of both");
    ok(!token_keys_equal(a, b) && !token_keys_equal(b, a), "and is another");
    ok(!token_keys_equal(a, NULL) && !token_keys_equal(NULL, a) && token_keys_equal(NULL, NULL),
       "no set");
    while (token_keys_add_all(a, b) == KEY_OK)
        ;
    is_int(token_keys_add_all(a, b), KEY_TOO_MANY, "too many");
    token_keys_free(&a);
    token_keys_free(&b);
    a = token_keys_new();
    b = token_keys_new();
    token_keys_add_secret(a, NO_KID, "s", 1, 0);
    token_keys_add_secret(b, SLICE("k"), "s", 1, 0);
    ok(!token_keys_equal(a, b), "one has a name");
    token_keys_free(&b);
    b = token_keys_new();
    token_keys_add_secret(b, NO_KID, "s", 1, TOKEN_HS256);
    ok(!token_keys_equal(a, b), "one is for one algorithm");
    token_keys_free(&b);
    b = token_keys_new();
    token_keys_add_secret(b, NO_KID, "t", 1, 0);
    ok(!token_keys_equal(a, b), "another secret");
    token_keys_free(&a);
    token_keys_free(&b);
    EVP_PKEY_free(copy);
    OPENSSL_free(der);
}

int main(void)
{
    rsa = EVP_RSA_gen(2048);
    rsa2 = EVP_RSA_gen(2048);
    p256 = EVP_EC_gen("P-256");
    p256_2 = EVP_EC_gen("P-256");
    p384 = EVP_EC_gen("P-384");
    p521 = EVP_EC_gen("P-521");
    is_int(token_alg_parse("ES512"), TOKEN_ES512, "ES512 is known");
    is_int(token_alg_parse("none"), 0, "none is not");
    test_families();
    test_public_as_secret();
    test_published();
    test_certificate();
    test_signatures();
    test_kid();
    test_tries();
    test_refused();
    test_pem();
    test_bytes();
    test_bad_bytes();
    test_equal();
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(rsa2);
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p256_2);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(p521);
    buf_free(&token);
    return tap_done();
}
