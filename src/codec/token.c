#include "codec/token.h"

#include "base/base64.h"
#include "base/slice.h"
#include "codec/json.h"

#include <cjson/cJSON.h>
#include <jwt.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <strings.h>
#include <zlib.h>

#define RSA_BITS_MIN      2048
#define TIME_MAX          ((int64_t)1 << 53)
#define PROFILE_MAX_BYTES 65536 /* inflated */

/* --- names ------------------------------------------------------------------- */

unsigned token_alg_parse(const char *name)
{
    static const struct {
        const char *name;
        enum token_alg alg;
    } algs[] = {
        {"HS256", TOKEN_HS256}, {"HS384", TOKEN_HS384}, {"HS512", TOKEN_HS512},
        {"RS256", TOKEN_RS256}, {"RS384", TOKEN_RS384}, {"RS512", TOKEN_RS512},
        {"ES256", TOKEN_ES256}, {"ES384", TOKEN_ES384}, {"ES512", TOKEN_ES512},
    };

    for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++)
        if (strcmp(name, algs[i].name) == 0)
            return algs[i].alg;
    return 0;
}

static const struct {
    const char *code, *message;
} results[] = {
    [TOKEN_OK] = {"token_ok", "The token is good"},
    [TOKEN_MISSING] = {"token_missing", "No token was given"},
    [TOKEN_TOO_LARGE] = {"token_too_large", "The token is too large"},
    [TOKEN_MALFORMED] = {"token_malformed", "The token is malformed"},
    [TOKEN_BAD_ALGORITHM] = {"token_algorithm", "The token's algorithm is not accepted"},
    [TOKEN_BAD_SIGNATURE] = {"token_signature", "The token's signature is invalid"},
    [TOKEN_EXPIRED] = {"token_expired", "The token has expired"},
    [TOKEN_NOT_YET] = {"token_not_active", "The token is not valid yet"},
    [TOKEN_BAD_AUDIENCE] = {"token_audience", "The token is for another audience"},
    [TOKEN_BAD_ISSUER] = {"token_issuer", "The token is from another issuer"},
    [TOKEN_BAD_CLAIM] = {"token_claim", "A claim of the token is invalid"},
    [TOKEN_NO_USER] = {"token_user", "The token names no user"},
    [TOKEN_NO_MEMORY] = {"token_internal", "The token could not be checked"},
};

const char *token_result_code(enum token_result result)
{
    return results[result].code;
}

const char *token_result_message(enum token_result result)
{
    return results[result].message;
}

/* --- keys -------------------------------------------------------------------- */

static unsigned key_algs(EVP_PKEY *key)
{
    char curve[64];

    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
        return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN ? TOKEN_RS : 0;
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

unsigned token_pem_algs(const char *pem, size_t len)
{
    BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL;
    const unsigned char *at;
    EVP_PKEY *key = NULL;
    unsigned algs = 0;
    long der_len;

    /* PEM_read_bio_PUBKEY() would look for a public key behind other blocks;
     * what else lies in the file then is a mistake that nobody notices. */
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
    if (key != NULL && PEM_read_bio(bio, &name, &header, &der, &der_len) != 1)
        algs = key_algs(key);
out:
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return algs;
}

/* --- JSON without a tree ----------------------------------------------------- */
/* libjwt's own getters read "1e3" as 0 and cannot tell what is missing from what
 * is of a wrong type; a tree of cJSON cannot tell 1.0 from 1.  So members are
 * found in the text, and only strings are handed to cJSON to be decoded. */

struct member {
    const char *name;
    struct slice raw; /* JSON text of its value; ptr is NULL if it is not there */
};

static struct slice skip(struct slice s, size_t n)
{
    return (struct slice){s.ptr + n, s.len - n};
}

static struct slice skip_space(struct slice s)
{
    while (s.len > 0 &&
           (s.ptr[0] == ' ' || s.ptr[0] == '\t' || s.ptr[0] == '\n' || s.ptr[0] == '\r'))
        s = skip(s, 1);
    return s;
}

/* Checks that text is one JSON object and nothing else.  *inside is what comes
 * after its brace. */
static int open_object(struct slice text, struct slice *inside)
{
    long len = json_span(text.ptr, text.len);

    if (len <= 0 || skip_space(skip(text, (size_t)len)).len > 0 || json_has_nul(text.ptr, text.len))
        return -1;
    text = skip_space(text);
    if (text.ptr[0] != '{')
        return -1;
    *inside = skip(text, 1);
    return 0;
}

/* Takes the next value off the inside of a valid array, or the next name or
 * value off that of a valid object.  Returns 0 at its end. */
static int next_value(struct slice *inside, struct slice *value)
{
    long len;

    *inside = skip_space(*inside);
    if (inside->len == 0 || inside->ptr[0] == ']' || inside->ptr[0] == '}' ||
        (len = json_span(inside->ptr, inside->len)) <= 0)
        return 0;
    *value = (struct slice){inside->ptr, (size_t)len};
    *inside = skip_space(skip(*inside, (size_t)len));
    if (inside->len > 0 && (inside->ptr[0] == ',' || inside->ptr[0] == ':'))
        *inside = skip(*inside, 1);
    return 1;
}

/* The string that raw holds, in a node that cJSON_Delete() frees; NULL if raw is
 * no string, or one with half a surrogate pair. */
static cJSON *read_string(struct slice raw)
{
    if (raw.len < 2 || raw.ptr[0] != '"')
        return NULL;
    return cJSON_ParseWithLength(raw.ptr, raw.len);
}

static int string_is(struct slice raw, const char *want)
{
    size_t len = strlen(want);
    cJSON *string;
    int same;

    if (raw.ptr == NULL)
        return 0;
    if (raw.len == len + 2 && raw.ptr[0] == '"' && memcmp(raw.ptr + 1, want, len) == 0)
        return 1;
    if (memchr(raw.ptr, '\\', raw.len) == NULL)
        return 0;
    string = read_string(raw);
    same = string != NULL && strcmp(string->valuestring, want) == 0;
    cJSON_Delete(string);
    return same;
}

/* Returns -1 if one of the members is there twice (RFC 7519, section 4: whom do
 * we believe?). */
static int find_members(struct slice inside, struct member *members, size_t n)
{
    struct slice name, value;

    while (next_value(&inside, &name) && next_value(&inside, &value)) {
        for (size_t i = 0; i < n; i++) {
            if (!string_is(name, members[i].name))
                continue;
            if (members[i].raw.ptr != NULL)
                return -1;
            members[i].raw = value;
        }
    }
    return 0;
}

/* --- the token's parts ------------------------------------------------------- */

enum { EXP, NBF, AUD, ISS, PROFILE, COMPRESSION, UID, SUB, CLAIMS };

struct token {
    char *text;                   /* the token, terminated */
    struct slice header, payload; /* JSON, terminated */
    size_t signature_len;
    unsigned alg; /* the header's, one bit */
    struct member claims[CLAIMS];
    int64_t exp, nbf;
};

static int is_base64url(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '+' || text[i] == '/' || text[i] == '=')
            return 0;
    return 1;
}

/* Decodes a segment to *to, terminates it and moves *to behind it. */
static int decode_segment(struct slice segment, char **to, struct slice *decoded)
{
    long len;

    if (!is_base64url(segment.ptr, segment.len) ||
        (len = base64_decode((uint8_t *)*to, segment.ptr, segment.len)) < 0)
        return -1;
    *decoded = (struct slice){*to, (size_t)len};
    (*to)[len] = '\0';
    *to += len + 1;
    return 0;
}

/* Fills text, header, payload and signature_len; the caller frees text, which
 * all of them are in. */
static enum token_result split(struct token *token, const char *text, size_t len)
{
    const char *dot = memchr(text, '.', len), *dot2 = NULL;
    struct slice signature;
    char *to;

    if (dot != NULL)
        dot2 = memchr(dot + 1, '.', len - (size_t)(dot + 1 - text));
    if (dot2 == NULL)
        return TOKEN_MALFORMED;
    token->text = malloc(len + 1 + len + 3);
    if (token->text == NULL)
        return TOKEN_NO_MEMORY;
    memcpy(token->text, text, len);
    token->text[len] = '\0';
    to = token->text + len + 1;
    if (decode_segment((struct slice){text, (size_t)(dot - text)}, &to, &token->header) != 0 ||
        decode_segment((struct slice){dot + 1, (size_t)(dot2 - dot - 1)}, &to, &token->payload) !=
            0 ||
        decode_segment((struct slice){dot2 + 1, len - (size_t)(dot2 + 1 - text)}, &to,
                       &signature) != 0)
        return TOKEN_MALFORMED; /* a third dot is no base64url either */
    token->signature_len = signature.len;
    return TOKEN_OK;
}

static unsigned usable_algs(const struct token_policy *policy)
{
    unsigned keyed = policy->secret != NULL && policy->secret_len > 0 ? TOKEN_HS : 0;

    if (policy->public_key != NULL && policy->public_key_len > 0)
        keyed |= policy->public_algs & (TOKEN_RS | TOKEN_ES);
    return policy->algs & keyed;
}

static enum token_result read_header(struct token *token, const struct token_policy *policy)
{
    struct member members[] = {{"alg", {NULL, 0}}, {"crit", {NULL, 0}}};
    struct slice inside;
    cJSON *alg;

    if (open_object(token->header, &inside) != 0 || find_members(inside, members, 2) != 0)
        return TOKEN_MALFORMED;
    alg = read_string(members[0].raw);
    token->alg = alg != NULL ? token_alg_parse(alg->valuestring) : 0;
    cJSON_Delete(alg);
    if ((token->alg & usable_algs(policy)) == 0)
        return TOKEN_BAD_ALGORITHM;
    return members[1].raw.ptr != NULL ? TOKEN_BAD_CLAIM : TOKEN_OK;
}

/* An integer in the text, too: 1.5e9 is none. */
static int read_time(struct slice raw, int64_t *value)
{
    int negative = raw.ptr[0] == '-';
    int64_t sum = 0;

    for (size_t i = (size_t)negative; i < raw.len; i++) {
        if (raw.ptr[i] < '0' || raw.ptr[i] > '9')
            return -1;
        sum = sum * 10 + (raw.ptr[i] - '0');
        if (sum > TIME_MAX)
            return -1;
    }
    *value = negative ? -sum : sum;
    return 0;
}

/* What is wrong here is so whoever signed it, and is found before the work of
 * checking who did. */
static enum token_result read_claims(struct token *token)
{
    static const struct member claims[CLAIMS] = {
        [EXP] = {"exp", {NULL, 0}},         [NBF] = {"nbf", {NULL, 0}},
        [AUD] = {"aud", {NULL, 0}},         [ISS] = {"iss", {NULL, 0}},
        [PROFILE] = {"profile", {NULL, 0}}, [COMPRESSION] = {"compression", {NULL, 0}},
        [UID] = {"uid", {NULL, 0}},         [SUB] = {"sub", {NULL, 0}},
    };
    struct slice inside;

    memcpy(token->claims, claims, sizeof(claims));
    if (open_object(token->payload, &inside) != 0 ||
        find_members(inside, token->claims, CLAIMS) != 0)
        return TOKEN_MALFORMED;
    if (token->claims[EXP].raw.ptr != NULL && read_time(token->claims[EXP].raw, &token->exp) != 0)
        return TOKEN_BAD_CLAIM;
    if (token->claims[NBF].raw.ptr != NULL && read_time(token->claims[NBF].raw, &token->nbf) != 0)
        return TOKEN_BAD_CLAIM;
    return TOKEN_OK;
}

/* --- the signature ----------------------------------------------------------- */

/* libjwt says EINVAL for a bad signature and for what it cannot read alike: a
 * typ other than JWT, a number that overflows, half a surrogate pair. */
static enum token_result why_refused(const struct token *token)
{
    enum token_result result = TOKEN_MALFORMED;
    jwt_t *probe = NULL;
    const char *typ;

    if (jwt_new(&probe) != 0)
        return TOKEN_NO_MEMORY;
    if (jwt_add_headers_json(probe, token->header.ptr) == 0 &&
        jwt_add_grants_json(probe, token->payload.ptr) == 0) {
        typ = jwt_get_header(probe, "typ");
        if (typ == NULL || strcasecmp(typ, "JWT") == 0)
            result = TOKEN_BAD_SIGNATURE;
    }
    jwt_free(probe);
    return result;
}

static enum token_result check_signature(const struct token *token,
                                         const struct token_policy *policy)
{
    int hmac = (token->alg & TOKEN_HS) != 0;
    const char *key = hmac ? policy->secret : policy->public_key;
    size_t key_len = hmac ? policy->secret_len : policy->public_key_len;
    jwt_t *jwt = NULL;
    enum token_result result = TOKEN_OK;

    if (token->signature_len == 0 || key_len > INT_MAX)
        return TOKEN_BAD_SIGNATURE;
    if (jwt_decode(&jwt, token->text, (const unsigned char *)key, (int)key_len) != 0) {
        jwt = NULL;
        result = why_refused(token);
    } else if (token_alg_parse(jwt_alg_str(jwt_get_alg(jwt))) != token->alg) {
        result = TOKEN_BAD_ALGORITHM;
    }
    jwt_free(jwt);
    /* A failed check leaves its reason where TLS would take it for its own. */
    ERR_clear_error();
    return result;
}

/* --- the claims -------------------------------------------------------------- */

static int is_one_of(struct slice raw, const char *const *list)
{
    for (; *list != NULL; list++)
        if (string_is(raw, *list))
            return 1;
    return 0;
}

static enum token_result check_audience(struct slice raw, const char *const *audiences)
{
    struct slice inside, element;
    int found = 0;

    if (audiences == NULL)
        return TOKEN_OK;
    if (raw.ptr == NULL)
        return TOKEN_BAD_AUDIENCE;
    if (raw.ptr[0] == '"')
        return is_one_of(raw, audiences) ? TOKEN_OK : TOKEN_BAD_AUDIENCE;
    if (raw.ptr[0] != '[')
        return TOKEN_BAD_CLAIM;
    inside = skip(raw, 1);
    while (next_value(&inside, &element)) {
        if (element.ptr[0] != '"')
            return TOKEN_BAD_CLAIM;
        found |= is_one_of(element, audiences);
    }
    return found ? TOKEN_OK : TOKEN_BAD_AUDIENCE;
}

static enum token_result check_issuer(struct slice raw, const char *const *issuers)
{
    if (issuers == NULL)
        return TOKEN_OK;
    if (raw.ptr == NULL)
        return TOKEN_BAD_ISSUER;
    if (raw.ptr[0] != '"')
        return TOKEN_BAD_CLAIM;
    return is_one_of(raw, issuers) ? TOKEN_OK : TOKEN_BAD_ISSUER;
}

static enum token_result check_claims(const struct token *token, const struct token_policy *policy,
                                      int64_t now)
{
    enum token_result result;

    if (token->claims[NBF].raw.ptr != NULL && token->nbf > now + policy->tolerance_s)
        return TOKEN_NOT_YET;
    if (token->claims[EXP].raw.ptr != NULL && now >= token->exp + policy->tolerance_s)
        return TOKEN_EXPIRED;
    result = check_audience(token->claims[AUD].raw, policy->audiences);
    if (result == TOKEN_OK)
        result = check_issuer(token->claims[ISS].raw, policy->issuers);
    return result;
}

/* --- the user ---------------------------------------------------------------- */

static int read_uid(struct slice raw, struct token_user *user)
{
    cJSON *uid = read_string(raw);
    size_t len = uid != NULL ? strlen(uid->valuestring) : 0;
    int result = -1;

    if (len > 0 && len <= TOKEN_UID_MAX) {
        memcpy(user->uid, uid->valuestring, len + 1);
        user->uid_len = len;
        result = 0;
    }
    cJSON_Delete(uid);
    return result;
}

static int read_profile_object(struct slice json, struct token_user *user)
{
    struct member uid = {"uid", {NULL, 0}};
    struct slice inside;

    if (open_object(json, &inside) != 0 || find_members(inside, &uid, 1) != 0)
        return -1;
    return read_uid(uid.raw, user);
}

/* Inflates one gzip (or zlib) stream that ends where src does and fits into
 * dst.  Returns its length, or -1. */
static long inflate_whole(uint8_t *dst, size_t cap, uint8_t *src, size_t len)
{
    z_stream stream = {
        .next_in = src, .avail_in = (uInt)len, .next_out = dst, .avail_out = (uInt)cap};
    long result = -1;

    if (inflateInit2(&stream, MAX_WBITS + 32) != Z_OK)
        return -1;
    if (inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_in == 0)
        result = (long)(cap - stream.avail_out);
    inflateEnd(&stream);
    return result;
}

static int read_compressed_profile(const char *base64, struct token_user *user)
{
    size_t len = strlen(base64);
    uint8_t *packed = malloc(len + PROFILE_MAX_BYTES), *json;
    long packed_len, json_len;
    int result = -1;

    if (packed == NULL)
        return -1;
    json = packed + len;
    if ((packed_len = base64_decode(packed, base64, len)) >= 0 &&
        (json_len = inflate_whole(json, PROFILE_MAX_BYTES, packed, (size_t)packed_len)) > 0)
        result = read_profile_object((struct slice){(char *)json, (size_t)json_len}, user);
    free(packed);
    return result;
}

static int read_profile(struct slice raw, int compressed, struct token_user *user)
{
    cJSON *string;
    int result = -1;

    if (raw.ptr[0] == '{')
        return read_profile_object(raw, user);
    if ((string = read_string(raw)) == NULL)
        return -1;
    if (compressed)
        result = read_compressed_profile(string->valuestring, user);
    else
        result = read_profile_object(slice_str(string->valuestring), user);
    cJSON_Delete(string);
    return result;
}

static enum token_result read_user(const struct token *token, struct token_user *user)
{
    const struct member *claims = token->claims;
    int result;

    if (claims[PROFILE].raw.ptr != NULL)
        result =
            read_profile(claims[PROFILE].raw, string_is(claims[COMPRESSION].raw, "zlib"), user);
    else
        result = read_uid(claims[UID].raw.ptr != NULL ? claims[UID].raw : claims[SUB].raw, user);
    return result == 0 ? TOKEN_OK : TOKEN_NO_USER;
}

enum token_result token_verify(const struct token_policy *policy, const char *token, size_t len,
                               time_t now, struct token_user *user)
{
    struct token parts = {0};
    struct token_user found = {0};
    enum token_result result;

    if (len == 0)
        return TOKEN_MISSING;
    if (len > policy->token_bytes || len > TOKEN_BYTES_CAP)
        return TOKEN_TOO_LARGE;
    if ((result = split(&parts, token, len)) != TOKEN_OK ||
        (result = read_header(&parts, policy)) != TOKEN_OK ||
        (result = read_claims(&parts)) != TOKEN_OK ||
        (result = check_signature(&parts, policy)) != TOKEN_OK ||
        (result = check_claims(&parts, policy, now > 0 ? now : 0)) != TOKEN_OK ||
        (result = read_user(&parts, &found)) != TOKEN_OK)
        goto out;
    if (parts.claims[EXP].raw.ptr != NULL)
        found.expires = parts.exp + policy->tolerance_s;
    *user = found;
out:
    free(parts.text);
    return result;
}
