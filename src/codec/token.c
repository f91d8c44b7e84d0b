#include "codec/token.h"

#include "base/base64.h"
#include "base/slice.h"
#include "codec/json.h"
#include "codec/token_rooms.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define PROFILE_MAX_BYTES 65536 /* inflated */
#define JSON_SPACE        " \t\n\r"
#define TIME_WANTED       " has to be a number of seconds since 1970"
#define UID_WANTED        " has to be a string of 1 to 255 bytes"
#define ROOMS_WANTED                                                                               \
    " has to be a string or an array of strings, each of 1 to 1024 bytes, at most "                \
    "limits:roomsPerClient of them"
#define ROOMS_OF_ALL 2 /* everybody's and the user's */

_Static_assert(TOKEN_ROOM_MAX == 1024, "as ROOMS_WANTED says");

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

/* --- the header -------------------------------------------------------------- */

/* A token while it is judged. */
struct token {
    struct jwt_parts parts;
    unsigned alg;                        /* the header's, one bit */
    struct slice kid;                    /* the header's; ptr is NULL if it has none */
    const struct token_policy *rooms_by; /* says which rooms count; NULL: none do */
    const char *wanted, *claim;          /* as in struct token_trial */
    int64_t expires_ms;                  /* as in struct token_user */
    enum numeric_date exp_form;
};

/* If it is refused with result, that is for a member that has to be otherwise; what has
 * been said of one already stays. */
static enum token_result unfit(struct token *token, enum token_result result, const char *wanted)
{
    if (result != TOKEN_OK && token->wanted == NULL)
        token->wanted = wanted;
    return result;
}

static enum token_result malformed(void)
{
    return errno == ENOMEM ? TOKEN_NO_MEMORY : TOKEN_MALFORMED;
}

/* A type without what RFC 7515, 4.1.9, lets be left out. */
static const char *bare_type(const char *type)
{
    static const char prefix[] = "application/";

    return strncasecmp(type, prefix, sizeof(prefix) - 1) == 0 ? type + sizeof(prefix) - 1 : type;
}

/* What has another type of its own was signed for another purpose. */
static int typ_fits(const char *typ, const char *const *types)
{
    if (typ == NULL || types == NULL)
        return 1;
    for (typ = bare_type(typ); *types != NULL; types++)
        if (strcmp(*types, "*") == 0 || strcasecmp(bare_type(*types), typ) == 0)
            return 1;
    return 0;
}

static enum token_result read_header(struct token *token, const struct token_policy *policy)
{
    const char *alg, *typ, *kid;
    int has_crit, has_kid;

    if (token->parts.header.len > JWT_HEADER_MAX)
        return TOKEN_TOO_LARGE;
    if (jwt_parts_read_header(&token->parts) != 0)
        return malformed();
    alg = jwt_parts_header(&token->parts, "alg", NULL);
    token->alg = alg != NULL ? token_alg_parse(alg) : 0;
    if ((token->alg & policy->algs & token_keys_algs(policy->keys)) == 0)
        return TOKEN_BAD_ALGORITHM;
    (void)jwt_parts_header(&token->parts, "crit", &has_crit);
    if (has_crit)
        return unfit(token, TOKEN_BAD_CLAIM, "crit has to be absent");
    typ = jwt_parts_header(&token->parts, "typ", NULL);
    kid = jwt_parts_header(&token->parts, "kid", &has_kid);
    if (!typ_fits(typ, policy->types))
        return unfit(token, TOKEN_MALFORMED, "typ has to be one of auth:options:types");
    if (has_kid && kid == NULL)
        return unfit(token, TOKEN_MALFORMED, "kid has to be a string");
    if (kid != NULL)
        token->kid = slice_str(kid);
    return TOKEN_OK;
}

static enum token_result check_signature(const struct token *token,
                                         const struct token_policy *policy,
                                         struct token_trial *trial)
{
    trial->key = token_keys_find(policy->keys, token->alg, token->kid, token->parts.text,
                                 token->parts.signature, &trial->tries, &trial->tried);
    return trial->key >= 0 ? TOKEN_OK : TOKEN_BAD_SIGNATURE;
}

/* --- the claims -------------------------------------------------------------- */

/* A time in milliseconds.  Returns BAD if there is one that is none. */
static enum numeric_date read_time(const struct token *token, const char *name, int *there,
                                   int64_t *ms)
{
    const char *json = jwt_parts_claim_json(&token->parts, name);

    *there = json != NULL;
    return json != NULL ? numeric_date_parse(json, ms) : NUMERIC_DATE_FINE;
}

static enum token_result check_times(struct token *token, const struct token_policy *policy,
                                     int64_t now_ms)
{
    int64_t tolerance_ms = policy->tolerance_s * 1000, exp = 0, nbf = 0;
    int has_exp, has_nbf;

    token->exp_form = read_time(token, "exp", &has_exp, &exp);
    if (token->exp_form == NUMERIC_DATE_BAD)
        return unfit(token, TOKEN_BAD_CLAIM, "exp" TIME_WANTED);
    if (read_time(token, "nbf", &has_nbf, &nbf) == NUMERIC_DATE_BAD)
        return unfit(token, TOKEN_BAD_CLAIM, "nbf" TIME_WANTED);
    if (has_nbf && nbf > now_ms + tolerance_ms)
        return TOKEN_NOT_YET;
    if (has_exp && now_ms >= exp + tolerance_ms)
        return TOKEN_EXPIRED;
    if (has_exp)
        token->expires_ms = exp + tolerance_ms;
    return TOKEN_OK;
}

static int is_one_of(const char *text, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(text, *list) == 0)
            return 1;
    return 0;
}

static enum token_result check_list(const cJSON *list, const char *const *audiences)
{
    const cJSON *one;
    int found = 0;

    if (!cJSON_IsArray(list))
        return TOKEN_BAD_CLAIM;
    cJSON_ArrayForEach(one, list)
    {
        if (!cJSON_IsString(one))
            return TOKEN_BAD_CLAIM;
        found |= is_one_of(one->valuestring, audiences);
    }
    return found ? TOKEN_OK : TOKEN_BAD_AUDIENCE;
}

static enum token_result check_audience(struct token *token, const char *const *audiences)
{
    int there;
    const char *audience = jwt_parts_claim(&token->parts, "aud", &there);
    enum token_result result = TOKEN_BAD_CLAIM;
    cJSON *list;

    if (audiences == NULL)
        return TOKEN_OK;
    if (audience != NULL)
        return is_one_of(audience, audiences) ? TOKEN_OK : TOKEN_BAD_AUDIENCE;
    if (!there)
        return TOKEN_BAD_AUDIENCE;
    /* libjwt has no way into it. */
    list = json_tree(slice_str(jwt_parts_claim_json(&token->parts, "aud")));
    if (list != NULL)
        result = check_list(list, audiences);
    else if (errno == ENOMEM)
        result = TOKEN_NO_MEMORY;
    cJSON_Delete(list);
    if (result == TOKEN_BAD_CLAIM)
        return unfit(token, result, "aud has to be a string or an array of strings");
    return result;
}

static enum token_result check_issuer(struct token *token, const char *const *issuers)
{
    int there;
    const char *issuer = jwt_parts_claim(&token->parts, "iss", &there);

    if (issuers == NULL)
        return TOKEN_OK;
    if (issuer == NULL && there)
        return unfit(token, TOKEN_BAD_CLAIM, "iss has to be a string");
    if (issuer == NULL)
        return TOKEN_BAD_ISSUER;
    return is_one_of(issuer, issuers) ? TOKEN_OK : TOKEN_BAD_ISSUER;
}

static enum token_result check_claims(struct token *token, const struct token_policy *policy,
                                      int64_t now_ms)
{
    enum token_result result;

    if (jwt_parts_read_claims(&token->parts) != 0)
        return malformed();
    if ((result = check_times(token, policy, now_ms)) == TOKEN_OK)
        result = check_audience(token, policy->audiences);
    if (result == TOKEN_OK)
        result = check_issuer(token, policy->issuers);
    return result;
}

/* --- its rooms --------------------------------------------------------------- */

/* What rooms_claim calls a member of the profile; NULL: it is a claim of its own. */
static const char *rooms_member(const struct token *token)
{
    static const char prefix[] = "profile.";
    const char *name = token->rooms_by->rooms_claim;

    return strncmp(name, prefix, sizeof(prefix) - 1) == 0 ? name + sizeof(prefix) - 1 : NULL;
}

/* value NULL: it is there twice. */
static enum token_result take_rooms(struct token *token, const cJSON *value,
                                    struct token_user *user)
{
    size_t max = token->rooms_by->rooms_per_client;

    max = max > ROOMS_OF_ALL ? max - ROOMS_OF_ALL : 0;
    if (value != NULL && token_rooms_make(&user->rooms, value, max) == 0)
        return TOKEN_OK;
    if (value != NULL && errno == ENOMEM)
        return TOKEN_NO_MEMORY;
    token->claim = token->rooms_by->rooms_claim;
    return unfit(token, TOKEN_BAD_CLAIM, ROOMS_WANTED);
}

/* Of a profile, where they are a member of it. */
static enum token_result read_profile_rooms(struct token *token, const cJSON *profile,
                                            struct token_user *user)
{
    const char *name = token->rooms_by != NULL ? rooms_member(token) : NULL;
    const cJSON *value;

    if (name == NULL || (json_tree_member(profile, name, &value) == 0 && value == NULL))
        return TOKEN_OK;
    return take_rooms(token, value, user);
}

/* Of a claim of their own. */
static enum token_result read_rooms(struct token *token, struct token_user *user)
{
    enum token_result result;
    const char *json;
    cJSON *value;

    if (token->rooms_by == NULL || rooms_member(token) != NULL)
        return TOKEN_OK;
    json = jwt_parts_claim_json(&token->parts, token->rooms_by->rooms_claim);
    if (json == NULL)
        return TOKEN_OK;
    value = json_tree(slice_str(json));
    if (value == NULL && errno == ENOMEM)
        return TOKEN_NO_MEMORY;
    result = take_rooms(token, value, user);
    cJSON_Delete(value);
    return result;
}

/* --- the user ---------------------------------------------------------------- */

static enum token_result take_uid(const char *uid, struct token_user *user)
{
    size_t len = uid != NULL ? strlen(uid) : 0;

    if (len == 0 || len > TOKEN_UID_MAX)
        return TOKEN_NO_USER;
    memcpy(user->uid, uid, len + 1);
    user->uid_len = len;
    return TOKEN_OK;
}

/* The uid of the object that json is, and the rooms, if they are there. */
static enum token_result read_profile(struct token *token, struct slice json,
                                      struct token_user *user)
{
    cJSON *profile = json_tree(json);
    enum token_result result = TOKEN_NO_USER;
    const cJSON *uid;

    if (profile == NULL && errno == ENOMEM)
        result = TOKEN_NO_MEMORY;
    else if (json_tree_member(profile, "uid", &uid) == 0 && cJSON_IsString(uid))
        result = take_uid(uid->valuestring, user);
    if (result == TOKEN_OK)
        result = read_profile_rooms(token, profile, user);
    cJSON_Delete(profile);
    return result;
}

/* 1 if text, terminated, is one JSON value, with white space around it and nothing else. */
static int is_json(struct slice text)
{
    long len = json_span(text.ptr, text.len);

    return len > 0 && strspn(text.ptr + len, JSON_SPACE) == text.len - (size_t)len;
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

static enum token_result read_compressed_profile(struct token *token, struct slice base64,
                                                 struct token_user *user)
{
    uint8_t *packed = malloc(base64.len + PROFILE_MAX_BYTES + 1), *json;
    enum token_result result = TOKEN_NO_USER;
    struct slice text;
    long packed_len, json_len;

    if (packed == NULL)
        return TOKEN_NO_MEMORY;
    json = packed + base64.len;
    if ((packed_len = base64_decode(packed, base64.ptr, base64.len)) >= 0 &&
        (json_len = inflate_whole(json, PROFILE_MAX_BYTES, packed, (size_t)packed_len)) > 0) {
        json[json_len] = '\0';
        text = (struct slice){(char *)json, (size_t)json_len};
        if (is_json(text)) /* nobody has looked at it */
            result = read_profile(token, text, user);
    }
    free(packed);
    return result;
}

/* OpenID Connect has the URL of a page in profile, others a name or nothing. */
static int holds_object(const char *json)
{
    return json[strspn(json, JSON_SPACE)] == '{';
}

static int is_zlib(const struct token *token)
{
    const char *compression = jwt_parts_claim(&token->parts, "compression", NULL);

    return compression != NULL && strcmp(compression, "zlib") == 0;
}

static enum token_result read_claim(struct token *token, struct token_user *user)
{
    int there;
    const char *text = jwt_parts_claim(&token->parts, "uid", &there);

    if (text != NULL || there)
        return unfit(token, take_uid(text, user), "uid" UID_WANTED);
    text = jwt_parts_claim(&token->parts, "sub", &there);
    if (text != NULL || there)
        return unfit(token, take_uid(text, user), "sub" UID_WANTED);
    return unfit(token, TOKEN_NO_USER, "profile.uid, uid or sub" UID_WANTED);
}

static enum token_result read_user(struct token *token, struct token_user *user)
{
    int there;
    const char *text = jwt_parts_claim(&token->parts, "profile", &there), *json;

    if (text != NULL && *text != '\0' && is_zlib(token))
        return unfit(token, read_compressed_profile(token, slice_str(text), user),
                     "profile has to be a JSON object, gzipped and in base64, with a uid of 1 to "
                     "255 bytes");
    json = text == NULL && there ? jwt_parts_claim_json(&token->parts, "profile") : NULL;
    if (text != NULL && is_json(slice_str(text)))
        json = text;
    if (json != NULL && holds_object(json))
        return unfit(token, read_profile(token, slice_str(json), user), "profile.uid" UID_WANTED);
    return read_claim(token, user);
}

/* A forged token ends before its claims are read. */
static enum token_result judge(struct token *token, const struct token_policy *policy,
                               int64_t now_ms, struct token_trial *trial, struct token_user *user)
{
    enum token_result result;

    if ((result = read_header(token, policy)) == TOKEN_OK &&
        (result = check_signature(token, policy, trial)) == TOKEN_OK &&
        (result = check_claims(token, policy, now_ms)) == TOKEN_OK &&
        (result = read_user(token, user)) == TOKEN_OK)
        result = read_rooms(token, user);
    return result;
}

enum token_result token_verify(const struct token_policy *policy, const char *token, size_t len,
                               int64_t now_ms, struct token_trial *trial, struct token_user *user)
{
    struct token judged = {.rooms_by = policy->rooms_claim != NULL ? policy : NULL};
    struct token_user found = {0};
    enum token_result result;

    trial->wanted = trial->claim = NULL;
    trial->key = -1;
    trial->tried = 0;
    if (len == 0)
        return TOKEN_MISSING;
    if (len > policy->token_bytes || len > TOKEN_BYTES_CAP)
        return TOKEN_TOO_LARGE;
    if (jwt_parts_split(&judged.parts, token, len) != 0)
        result = malformed();
    else
        result = judge(&judged, policy, now_ms > 0 ? now_ms : 0, trial, &found);
    if (result == TOKEN_OK) {
        found.expires_ms = judged.expires_ms;
        found.exp_form = judged.exp_form;
        *user = found;
    } else if (result != TOKEN_NO_MEMORY) {
        trial->wanted = judged.wanted;
        trial->claim = judged.claim;
    }
    jwt_parts_clear(&judged.parts);
    return result;
}

/* --- what a refused token says, for the log ---------------------------------- */

static void keep(char *dst, size_t cap, const char *text)
{
    (void)snprintf(dst, cap, "%s", text != NULL ? text : "");
}

void token_peek(const char *token, size_t len, struct token_hint *hint)
{
    struct token peeked = {0};
    struct token_user user = {0};

    memset(hint, 0, sizeof(*hint));
    if (jwt_parts_split(&peeked.parts, token, len) == 0 &&
        peeked.parts.header.len <= JWT_HEADER_MAX && jwt_parts_read_header(&peeked.parts) == 0) {
        keep(hint->kid, sizeof(hint->kid), jwt_parts_header(&peeked.parts, "kid", NULL));
        if (jwt_parts_read_claims(&peeked.parts) == 0) {
            keep(hint->iss, sizeof(hint->iss), jwt_parts_claim(&peeked.parts, "iss", NULL));
            (void)read_user(&peeked, &user);
            keep(hint->uid, sizeof(hint->uid), user.uid);
        }
    }
    jwt_parts_clear(&peeked.parts);
}
