/* src/codec/token.c beside libjwt's own jwt_decode(): what we accept, it accepts with the
 * same key, and reads the same claims in it; what it makes, we accept.  Not the other way
 * round: it accepts much more. */
#include "codec/token.h"

#include "jwt_make.h"
#include "jwt_sign.h"
#include "tap.h"
#include "token_vectors.h"

#include <cjson/cJSON.h>
#include <errno.h>

#define NOW     1000000
#define MUTANTS 6000

static const char *const types[] = {"JWT", NULL}; /* libjwt 1.10.2 knows no other */
static struct token_policy policy = {
    .algs = TOKEN_ALGS, .types = types, .token_bytes = TOKEN_BYTES_CAP};
static struct token_user user;

static enum token_result judge(const char *text, int64_t now_s)
{
    return token_verify(&policy, text, strlen(text), now_s * 1000,
                        &(struct token_trial){.tries = TOKEN_TRIES_MAX}, &user);
}

/* All claims of a token, in one form for all, as our reading has them. */
static void claims_of(const char *text, struct buf *out)
{
    struct jwt_parts parts = {0};

    buf_reset(out);
    if (jwt_parts_split(&parts, text, strlen(text)) == 0 && jwt_parts_read_header(&parts) == 0 &&
        jwt_parts_read_claims(&parts) == 0)
        buf_puts(out, jwt_parts_claim_json(&parts, ""));
    buf_putc(out, '\0');
    jwt_parts_clear(&parts);
}

/* 1 if the user that we found is the one of these claims. */
static int same_user(jwt_t *jwt)
{
    char *profile = jwt_get_grants_json(jwt, "profile");
    const char *uid = jwt_get_grant(jwt, "uid");
    long exp = jwt_get_grant_int(jwt, "exp");
    int same = user.expires_ms == 0 || user.exp_form != NUMERIC_DATE_FINE || exp <= 0 ||
               exp * 1000 == user.expires_ms;

    if (profile == NULL && uid != NULL)
        same = same && strcmp(uid, user.uid) == 0;
    free(profile);
    return same;
}

/* 1 if jwt_decode() accepts it and finds the same in it; says what it found if not. */
static int decodes(const char *text, const void *key, size_t len)
{
    static struct buf ours;
    jwt_t *jwt = NULL;
    char *theirs = NULL;
    int same = 0;

    claims_of(text, &ours);
    if (jwt_decode(&jwt, text, key, (int)len) == 0) {
        theirs = jwt_get_grants_json(jwt, NULL);
        same = theirs != NULL && strcmp(theirs, (char *)ours.data) == 0 && same_user(jwt);
    }
    if (!same)
        printf("# %s\n#   ours   %s\n#   libjwt %s\n", text, (char *)ours.data,
               theirs != NULL ? theirs : "(refused)");
    free(theirs);
    jwt_free(jwt);
    buf_free(&ours);
    return same;
}

/* --- whole tokens ------------------------------------------------------------- */

static void test_vectors(void)
{
    cJSON *root = token_vectors(), *row;
    int accepted = 0;

    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(root, "tokens"))
    {
        const char *text = token_member(row, "token"), *secret = token_member(row, "secret");
        struct token_keys *keys = token_keys_new();

        token_keys_add_secret(keys, (struct slice){0}, secret, strlen(secret), 0);
        policy.keys = keys;
        if (judge(text, 1795386700) == TOKEN_OK) {
            ok(decodes(text, secret, strlen(secret)), "vector %s", token_member(row, "name"));
            accepted++;
        }
        token_keys_free(&keys);
    }
    ok(accepted >= 5, "vectors that are accepted: %d", accepted);
    cJSON_Delete(root);
}

/* --- every algorithm ---------------------------------------------------------- */

static size_t write_private(char *dst, size_t cap, EVP_PKEY *pair)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int len;

    PEM_write_bio_PrivateKey(bio, pair, NULL, NULL, 0, NULL, NULL);
    len = BIO_read(bio, dst, (int)cap);
    BIO_free(bio);
    return (size_t)len;
}

static void test_pair(EVP_PKEY *pair, jwt_alg_t first, jwt_alg_t last)
{
    char private[4096], public[4096];
    size_t private_len = write_private(private, sizeof(private), pair);
    size_t public_len = write_public(public, sizeof(public), pair);
    struct token_keys *keys = token_keys_new();

    token_keys_add_pem(keys, (struct slice){0}, public, public_len, 0);
    policy.keys = keys;
    for (jwt_alg_t alg = first; alg <= last; alg++) {
        char *text = jwt_encoded(alg, private, private_len, "{\"uid\":\"u\",\"exp\":1000001}");

        ok(judge(text, NOW) == TOKEN_OK && strcmp(user.uid, "u") == 0 &&
               user.expires_ms == (NOW + 1) * INT64_C(1000),
           "what libjwt signs with %s is good", jwt_alg_str(alg));
        ok(decodes(text, public, public_len), "and libjwt thinks so too");
        free(text);
    }
    token_keys_free(&keys);
    EVP_PKEY_free(pair);
}

static void test_algorithms(void)
{
    struct token_keys *keys = jwt_keys();

    policy.keys = keys;
    for (jwt_alg_t alg = JWT_ALG_HS256; alg <= JWT_ALG_HS512; alg++) {
        char *text = jwt_encoded(alg, JWT_SECRET, JWT_SECRET_LEN,
                                 "{\"profile\":{\"uid\":\"u\"},\"exp\":1000001}");

        ok(judge(text, NOW) == TOKEN_OK && strcmp(user.uid, "u") == 0 &&
               user.expires_ms == (NOW + 1) * INT64_C(1000),
           "what libjwt signs with %s is good", jwt_alg_str(alg));
        ok(decodes(text, JWT_SECRET, JWT_SECRET_LEN), "and libjwt thinks so too");
        free(text);
    }
    token_keys_free(&keys);
    test_pair(EVP_RSA_gen(2048), JWT_ALG_RS256, JWT_ALG_RS512);
    test_pair(EVP_EC_gen("P-256"), JWT_ALG_ES256, JWT_ALG_ES256);
    test_pair(EVP_EC_gen("P-384"), JWT_ALG_ES384, JWT_ALG_ES384);
    test_pair(EVP_EC_gen("P-521"), JWT_ALG_ES512, JWT_ALG_ES512);
}

/* --- mutants ------------------------------------------------------------------ */

static uint32_t random_state = 2463534242;

static uint32_t below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

/* What JSON is made of, and what it is not. */
static const char *const pieces[] = {"{",
                                     "}",
                                     "[",
                                     "]",
                                     ",",
                                     ":",
                                     "\"",
                                     "\\",
                                     "0",
                                     "1",
                                     "-",
                                     ".",
                                     "e",
                                     "E9",
                                     "1e999",
                                     "1.5",
                                     "true",
                                     "null",
                                     "\\u0000",
                                     "\\u0061",
                                     "\\ud800",
                                     "\\udc00",
                                     "\\n",
                                     " ",
                                     "\n",
                                     "\t",
                                     "\x01",
                                     "\xff",
                                     "\xc3\xa9",
                                     "\xed\xa0\x80",
                                     "9223372036854775808",
                                     "18446744073709551616",
                                     "\"a\":1,",
                                     "\"uid\":\"v\",",
                                     "\"exp\":2000000,",
                                     "\"profile\":{\"uid\":\"p\"},",
                                     "\"sub\":\"s\",",
                                     "//",
                                     "\"\":[],",
                                     "\"iat\":-1,"};

/* Some bytes of text left out, changed or put in; at most cap in the end. */
static void mutate(char *text, size_t cap)
{
    for (uint32_t n = 1 + below(3); n > 0; n--) {
        size_t len = strlen(text), at = below((uint32_t)len + 1),
               cut = below(4) == 0 ? below(8) : 0;
        const char *piece = below(4) == 0 ? "" : pieces[below(sizeof(pieces) / sizeof(pieces[0]))];
        size_t piece_len = strlen(piece);

        if (cut > len - at)
            cut = len - at;
        if (len + piece_len >= cap)
            return;
        memmove(text + at + piece_len, text + at + cut, len - at - cut + 1);
        memcpy(text + at, piece, piece_len);
    }
}

static const char *const headers[] = {"{\"alg\":\"HS256\",\"typ\":\"JWT\"}", "{\"alg\":\"HS256\"}",
                                      "{\"typ\":\"jwt\",\"kid\":\"a\",\"alg\":\"HS256\"}"};
static const char *const payloads[] = {
    "{\"uid\":\"u\",\"exp\":2000000,\"nbf\":1,\"iat\":1}",
    "{\"sub\":\"s\",\"aud\":[\"a\",\"b\"],\"iss\":\"i\",\"x\":{\"y\":[1.5,-2e3,true,null,"
    "\"\\u00e9\"]}}",
    "{\"profile\":{\"uid\":\"p\",\"roles\":[\"r\",\"s\"],\"name\":\"\xc3\xa9\"},\"uid\":\"u\"}",
    "{\"profile\":\"{\\\"uid\\\":\\\"p\\\"}\",\"compression\":\"none\"}",
    "{\"iat\":1e999,\"sub\":\"s\"}",
    "{\"bio\":\"\\ud800\",\"sub\":\"s\"}",
    "{\"n\":18446744073709551616,\"sub\":\"s\"}",
    "{\"sub\":\"s\",\"a\":{\"b\":1,\"b\":2}}"};

/* Header or claims changed, and signed by whom we trust. */
static void test_mutants(void)
{
    struct token_keys *keys = jwt_keys();
    int accepted = 0, same = 0;

    policy.keys = keys;
    for (int i = 0; i < MUTANTS; i++) {
        char header[512], payload[512];

        snprintf(header, sizeof(header), "%s", headers[below(3)]);
        snprintf(payload, sizeof(payload), "%s",
                 payloads[below(sizeof(payloads) / sizeof(payloads[0]))]);
        if (below(8) == 0)
            mutate(header, sizeof(header));
        else if (below(8) != 0)
            mutate(payload, sizeof(payload));
        put_text(header, payload, strlen(payload));
        sign_hmac(EVP_sha256(), JWT_SECRET, JWT_SECRET_LEN);
        buf_putc(&token, '\0');
        if (judge((char *)token.data, NOW) != TOKEN_OK)
            continue;
        accepted++;
        same += decodes((char *)token.data, JWT_SECRET, JWT_SECRET_LEN);
    }
    ok(accepted > MUTANTS / 10, "mutants that are accepted: %d", accepted);
    is_int(same, accepted, "accepted by libjwt, with the same claims");
    token_keys_free(&keys);
}

/* Characters of a good token changed: none is good any more, whoever judges. */
static void test_forged(void)
{
    struct token_keys *keys = jwt_keys();
    char *good = jwt_encoded(JWT_ALG_HS256, JWT_SECRET, JWT_SECRET_LEN, "{\"uid\":\"u\"}");
    size_t len = strlen(good), refused = 0;

    policy.keys = keys;
    for (size_t i = 0; i < len; i++) {
        char was = good[i];

        good[i] = was == 'A' ? 'B' : 'A';
        refused += judge(good, NOW) != TOKEN_OK;
        good[i] = was;
    }
    is_int(refused, len, "refused with any one character changed");
    free(good);
    token_keys_free(&keys);
}

int main(void)
{
    test_vectors();
    test_algorithms();
    test_mutants();
    test_forged();
    buf_free(&token);
    return tap_done();
}
