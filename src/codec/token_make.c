#include "codec/token_make.h"

#include "base/base64.h"
#include "base/slice.h"
#include "codec/json.h"
#include "codec/token_rooms.h"

#include <string.h>

/* --- what is signed with ------------------------------------------------------------ */

struct signer {
    size_t key;
    unsigned alg;
    const char *name;
};

/* HS256 before the others: it is what most libraries take without being told. */
static int find_signer(struct signer *signer, const struct token_policy *policy)
{
    static const char *const names[] = {"HS256", "HS384", "HS512"};
    size_t n = policy->keys != NULL ? token_keys_count(policy->keys) : 0;

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
            unsigned alg = token_alg_parse(names[k]);

            if ((alg & policy->algs & token_keys_algs_at(policy->keys, i)) != 0) {
                *signer = (struct signer){i, alg, names[k]};
                return 1;
            }
        }
    return 0;
}

/* --- header and claims ---------------------------------------------------------------- */

static const char *type_of(const struct token_policy *policy)
{
    const char *first = policy->types != NULL ? policy->types[0] : NULL;

    for (const char *const *type = policy->types; type != NULL && *type != NULL; type++)
        if (strcmp(*type, "*") == 0 || strcasecmp(*type, "JWT") == 0)
            return "JWT";
    return first != NULL ? first : "JWT";
}

static void put_member(struct buf *json, const char *name, struct slice text)
{
    buf_printf(json, ",\"%s\":", name);
    json_put_string(json, text.ptr, text.len);
}

static void put_header(struct buf *json, const struct token_policy *policy,
                       const struct signer *signer)
{
    struct slice kid = token_keys_kid(policy->keys, signer->key);

    buf_printf(json, "{\"alg\":\"%s\"", signer->name);
    put_member(json, "typ", slice_str(type_of(policy)));
    if (kid.ptr != NULL)
        put_member(json, "kid", kid);
    buf_putc(json, '}');
}

static void put_claims(struct buf *json, const struct token_policy *policy, struct slice uid,
                       int64_t now_s, int64_t ttl_s)
{
    int64_t exp = now_s + ttl_s;

    buf_puts(json, "{\"profile\":{\"uid\":");
    json_put_string(json, uid.ptr, uid.len);
    buf_printf(json, "},\"iat\":%lld", (long long)now_s);
    if (ttl_s != 0)
        buf_printf(json, ",\"exp\":%lld", (long long)exp);
    if (policy->audiences != NULL)
        put_member(json, "aud", slice_str(policy->audiences[0]));
    if (policy->issuers != NULL)
        put_member(json, "iss", slice_str(policy->issuers[0]));
    buf_putc(json, '}');
}

/* --- the token ---------------------------------------------------------------------- */

static void put_base64url(struct buf *out, const void *bytes, size_t n)
{
    uint8_t *to = buf_reserve(out, BASE64URL_LEN(n));

    if (to != NULL)
        out->len += base64url_encode((char *)to, bytes, n);
}

static void put_token(struct buf *token, const struct token_policy *policy,
                      const struct signer *signer, const struct buf *header,
                      const struct buf *claims)
{
    uint8_t mac[KEY_MAC_MAX];
    size_t len;

    put_base64url(token, header->data, header->len);
    buf_putc(token, '.');
    put_base64url(token, claims->data, claims->len);
    if (token->failed)
        return;
    len = token_keys_sign(policy->keys, signer->key, signer->alg,
                          (struct slice){(const char *)token->data, token->len}, mac);
    token->failed = len == 0;
    buf_putc(token, '.');
    put_base64url(token, mac, len);
}

/* Whoever is given it is to be let in. */
static enum token_result try_it(const struct buf *token, const struct token_policy *policy,
                                int64_t now_ms)
{
    struct token_trial trial = {.tries = TOKEN_TRIES_MAX};
    struct token_user user = {0};
    enum token_result result =
        token_verify(policy, (const char *)token->data, token->len, now_ms, &trial, &user);

    token_rooms_free(&user.rooms);
    return result;
}

enum token_made token_make(struct buf *out, const struct token_policy *policy, struct slice uid,
                           int64_t now_ms, int64_t ttl_s, enum token_result *result)
{
    struct buf header = {0}, claims = {0}, token = {0};
    struct signer signer;

    *result = TOKEN_NO_MEMORY;
    if (!find_signer(&signer, policy))
        return TOKEN_MADE_UNSIGNED;
    put_header(&header, policy, &signer);
    put_claims(&claims, policy, uid, now_ms / 1000, ttl_s);
    if (!header.failed && !claims.failed)
        put_token(&token, policy, &signer, &header, &claims);
    if (!header.failed && !claims.failed && !token.failed)
        *result = try_it(&token, policy, now_ms);
    if (*result == TOKEN_OK && buf_put(out, token.data, token.len) < 0)
        *result = TOKEN_NO_MEMORY;
    if (token.data != NULL)
        explicit_bzero(token.data, token.len);
    buf_free(&header);
    buf_free(&claims);
    buf_free(&token);
    if (*result == TOKEN_OK)
        return TOKEN_MADE;
    return *result == TOKEN_NO_MEMORY ? TOKEN_MADE_NO_MEMORY : TOKEN_MADE_REFUSED;
}
