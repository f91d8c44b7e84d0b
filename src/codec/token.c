#include "codec/token.h"

#include "base/base64.h"
#include "base/slice.h"
#include "codec/json.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <zlib.h>

#define TIME_MAX          ((int64_t)1 << 53)
#define PROFILE_MAX_BYTES 65536 /* inflated */

/* --- names ------------------------------------------------------------------- */

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

/* --- JSON without a tree ----------------------------------------------------- */
/* A tree of cJSON cannot tell 1.0 from 1.  So members are found in the text, and
 * only strings are handed to cJSON to be decoded. */

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

/* The string that raw holds, of valid JSON: *text is borrowed from raw or, if
 * there are escapes in it, from *node, which cJSON_Delete() frees (NULL too).
 * -1 if raw is no string, or one with half a surrogate pair. */
static int read_string(struct slice raw, struct slice *text, cJSON **node)
{
    *node = NULL;
    if (raw.len < 2 || raw.ptr[0] != '"')
        return -1;
    *text = (struct slice){raw.ptr + 1, raw.len - 2};
    if (memchr(text->ptr, '\\', text->len) == NULL)
        return 0;
    *node = cJSON_ParseWithLength(raw.ptr, raw.len);
    if (*node == NULL)
        return -1;
    *text = slice_str((*node)->valuestring);
    return 0;
}

static int string_is(struct slice raw, const char *want)
{
    struct slice text;
    cJSON *node;
    int same = read_string(raw, &text, &node) == 0 && slice_eq(text, slice_str(want));

    cJSON_Delete(node);
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
    char *decoded;                /* what the next three are in; owned */
    struct slice header, payload; /* JSON */
    struct slice signature;
    struct slice text; /* what is signed */
    unsigned alg;      /* the header's, one bit */
    struct slice kid;  /* the header's; ptr is NULL if it has none */
    cJSON *kid_node;   /* what kid is in, or NULL; owned */
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

/* Fills decoded, which the caller frees, and what is in it. */
static enum token_result split(struct token *token, const char *text, size_t len)
{
    const char *dot = memchr(text, '.', len), *dot2 = NULL;
    char *to;

    if (dot != NULL)
        dot2 = memchr(dot + 1, '.', len - (size_t)(dot + 1 - text));
    if (dot2 == NULL)
        return TOKEN_MALFORMED;
    token->decoded = to = malloc(len + 3);
    if (to == NULL)
        return TOKEN_NO_MEMORY;
    token->text = (struct slice){text, (size_t)(dot2 - text)};
    if (decode_segment((struct slice){text, (size_t)(dot - text)}, &to, &token->header) != 0 ||
        decode_segment((struct slice){dot + 1, (size_t)(dot2 - dot - 1)}, &to, &token->payload) !=
            0 ||
        decode_segment((struct slice){dot2 + 1, len - (size_t)(dot2 + 1 - text)}, &to,
                       &token->signature) != 0)
        return TOKEN_MALFORMED; /* a third dot is no base64url either */
    return TOKEN_OK;
}

static unsigned read_alg(struct slice raw)
{
    struct slice text;
    char name[8] = "";
    cJSON *node;

    if (read_string(raw, &text, &node) == 0 && text.len < sizeof(name))
        memcpy(name, text.ptr, text.len);
    cJSON_Delete(node);
    return token_alg_parse(name);
}

/* What has another type of its own was signed for another purpose. */
static int typ_fits(struct slice raw)
{
    struct slice text;
    cJSON *node;
    int fits = read_string(raw, &text, &node) != 0 || slice_eq_nocase(text, SLICE("JWT"));

    cJSON_Delete(node);
    return fits;
}

static enum token_result read_header(struct token *token, const struct token_policy *policy)
{
    struct member members[] = {
        {"alg", {NULL, 0}}, {"crit", {NULL, 0}}, {"typ", {NULL, 0}}, {"kid", {NULL, 0}}};
    struct slice inside;

    if (open_object(token->header, &inside) != 0 || find_members(inside, members, 4) != 0)
        return TOKEN_MALFORMED;
    token->alg = read_alg(members[0].raw);
    if ((token->alg & policy->algs & token_keys_algs(policy->keys)) == 0)
        return TOKEN_BAD_ALGORITHM;
    if (members[1].raw.ptr != NULL)
        return TOKEN_BAD_CLAIM;
    if (!typ_fits(members[2].raw) ||
        (members[3].raw.ptr != NULL &&
         read_string(members[3].raw, &token->kid, &token->kid_node) != 0))
        return TOKEN_MALFORMED;
    return TOKEN_OK;
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

static enum token_result check_signature(const struct token *token,
                                         const struct token_policy *policy, unsigned *tries)
{
    return token_keys_verify(policy->keys, token->alg, token->kid, token->text, token->signature,
                             tries)
               ? TOKEN_OK
               : TOKEN_BAD_SIGNATURE;
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
    struct slice uid;
    cJSON *node;
    int result = -1;

    if (read_string(raw, &uid, &node) == 0 && uid.len > 0 && uid.len <= TOKEN_UID_MAX) {
        memcpy(user->uid, uid.ptr, uid.len);
        user->uid[uid.len] = '\0';
        user->uid_len = uid.len;
        result = 0;
    }
    cJSON_Delete(node);
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

static int read_compressed_profile(struct slice base64, struct token_user *user)
{
    uint8_t *packed = malloc(base64.len + PROFILE_MAX_BYTES), *json;
    long packed_len, json_len;
    int result = -1;

    if (packed == NULL)
        return -1;
    json = packed + base64.len;
    if ((packed_len = base64_decode(packed, base64.ptr, base64.len)) >= 0 &&
        (json_len = inflate_whole(json, PROFILE_MAX_BYTES, packed, (size_t)packed_len)) > 0)
        result = read_profile_object((struct slice){(char *)json, (size_t)json_len}, user);
    free(packed);
    return result;
}

static int read_profile(struct slice raw, int compressed, struct token_user *user)
{
    struct slice text;
    cJSON *node;
    int result = -1;

    if (raw.ptr[0] == '{')
        return read_profile_object(raw, user);
    if (read_string(raw, &text, &node) == 0)
        result = compressed ? read_compressed_profile(text, user) : read_profile_object(text, user);
    cJSON_Delete(node);
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
                               time_t now, unsigned *tries, struct token_user *user)
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
        (result = check_signature(&parts, policy, tries)) != TOKEN_OK ||
        (result = check_claims(&parts, policy, now > 0 ? now : 0)) != TOKEN_OK ||
        (result = read_user(&parts, &found)) != TOKEN_OK)
        goto out;
    if (parts.claims[EXP].raw.ptr != NULL)
        found.expires = parts.exp + policy->tolerance_s;
    *user = found;
out:
    cJSON_Delete(parts.kid_node);
    free(parts.decoded);
    return result;
}
