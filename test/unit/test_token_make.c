/* Tokens that are made are such as the policy takes, and say what they should. */
#include "codec/token_facts.h"
#include "codec/token_make.h"
#include "jwt_make.h"
#include "tap.h"

#include <stdio.h>
#include <string.h>

#define NOW_MS INT64_C(1795386700123)
#define NOW_S  INT64_C(1795386700)

static struct token_policy policy_of(const struct token_keys *keys)
{
    return (struct token_policy){.keys = keys, .algs = TOKEN_ALGS, .token_bytes = 8192};
}

/* The whole token, terminated. */
static struct buf out;

static enum token_made made(const struct token_policy *policy, const char *uid, int64_t ttl_s)
{
    enum token_result result;
    enum token_made how;

    buf_reset(&out);
    how = token_make(&out, policy, slice_str(uid), NOW_MS, ttl_s, &result);
    is_int(how == TOKEN_MADE, result == TOKEN_OK, "made, or refused");
    is_int(how == TOKEN_MADE, out.len > 0, "and nothing else comes out");
    return how;
}

/* A part of it, decoded. */
static const char *part(int number)
{
    static struct jwt_parts parts;

    jwt_parts_clear(&parts);
    if (jwt_parts_split(&parts, (const char *)out.data, out.len) != 0)
        return "malformed";
    if (number < 0) {
        jwt_parts_clear(&parts);
        return "";
    }
    return number == 0 ? parts.header.ptr : parts.claims.ptr;
}

static void test_plain(void)
{
    struct token_keys *keys = jwt_keys();
    struct token_policy policy = policy_of(keys);
    struct token_trial trial = {.tries = TOKEN_TRIES_MAX};
    struct token_user user = {0};

    is_int(made(&policy, "alice", 60), TOKEN_MADE, "a token");
    is_str(part(0), "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", "its header");
    is_str(part(1), "{\"profile\":{\"uid\":\"alice\"},\"iat\":1795386700,\"exp\":1795386760}",
           "its claims");
    is_int(token_verify(&policy, (const char *)out.data, out.len, NOW_MS, &trial, &user), TOKEN_OK,
           "it is good");
    is_str(user.uid, "alice", "for the user");
    is_int(user.expires_ms, (NOW_S + 60) * 1000, "for so long");
    is_int(trial.key, 0, "by the key");
    is_int(token_verify(&policy, (const char *)out.data, out.len, NOW_MS + 60000, &trial, &user),
           TOKEN_EXPIRED, "and no longer");
    is_int(made(&policy, "a\"\\\xc3\xa9\x01", 0), TOKEN_MADE, "odd bytes");
    is_str(part(1), "{\"profile\":{\"uid\":\"a\\\"\\\\\xc3\xa9\\u0001\"},\"iat\":1795386700}",
           "are escaped, and without an end there is no exp");
    token_keys_free(&keys);
}

static void test_wanted(void)
{
    static const char *const issuers[] = {"me", "you", NULL}, *const audiences[] = {"us", NULL};
    static const char *const types[] = {"a+jwt", "application/b", NULL};
    static const char *const jwt_too[] = {"a+jwt", "jwt", NULL}, *const any[] = {"*", NULL};
    struct token_keys *keys = jwt_keys();
    struct token_policy policy = policy_of(keys);

    policy.issuers = issuers;
    policy.audiences = audiences;
    policy.types = types;
    policy.algs = TOKEN_HS512 | TOKEN_RS;
    is_int(made(&policy, "u", 0), TOKEN_MADE, "what a policy wants");
    is_str(part(0), "{\"alg\":\"HS512\",\"typ\":\"a+jwt\"}", "is in the header");
    is_str(part(1),
           "{\"profile\":{\"uid\":\"u\"},\"iat\":1795386700,\"aud\":\"us\",\"iss\":\"me\"}",
           "and in the claims");
    policy.types = jwt_too;
    (void)made(&policy, "u", 0);
    is_str(part(0), "{\"alg\":\"HS512\",\"typ\":\"JWT\"}", "JWT, where it may be");
    policy.types = any;
    (void)made(&policy, "u", 0);
    is_str(part(0), "{\"alg\":\"HS512\",\"typ\":\"JWT\"}", "also where all may");
    token_keys_free(&keys);
}

static void test_keys(void)
{
    struct token_keys *keys = token_keys_new();
    struct token_policy policy = policy_of(keys);
    static const char secret[] = "another secret, that is long enough";

    is_int(made(&policy, "u", 0), TOKEN_MADE_UNSIGNED, "no key");
    token_keys_add_secret(keys, SLICE("a\"b"), secret, sizeof(secret) - 1, TOKEN_HS384);
    token_keys_add_secret(keys, (struct slice){0}, JWT_SECRET, JWT_SECRET_LEN, 0);
    is_int(made(&policy, "u", 0), TOKEN_MADE, "the first one that may be used");
    is_str(part(0), "{\"alg\":\"HS384\",\"typ\":\"JWT\",\"kid\":\"a\\\"b\"}", "with its name");
    policy.algs = TOKEN_HS256;
    is_int(made(&policy, "u", 0), TOKEN_MADE, "else the next");
    is_str(part(0), "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", "which has none");
    policy.algs = TOKEN_RS;
    is_int(made(&policy, "u", 0), TOKEN_MADE_UNSIGNED, "no algorithm");
    policy.keys = NULL;
    is_int(made(&policy, "u", 0), TOKEN_MADE_UNSIGNED, "no keys at all");
    token_keys_free(&keys);
}

static void test_refused(void)
{
    struct token_keys *keys = jwt_keys();
    struct token_policy policy = policy_of(keys);
    char uid[258];

    memset(uid, 'x', sizeof(uid) - 2);
    uid[256] = '\0';
    is_int(made(&policy, uid, 0), TOKEN_MADE_REFUSED, "a user with 256 bytes");
    uid[255] = '\0';
    is_int(made(&policy, uid, 0), TOKEN_MADE, "with 255");
    policy.token_bytes = 64;
    is_int(made(&policy, "u", 0), TOKEN_MADE_REFUSED, "a token that is too long");
    token_keys_free(&keys);
}

static void test_facts(void)
{
    struct token_facts facts;
    const char *token =
        jwt_with("{\"uid\":\"u\",\"iat\":1,\"nbf\":2.5,\"exp\":\"x\",\"aud\":[\"a\",\"b\"],"
                 "\"iss\":\"me\"}");

    token_facts_read(&facts, token, strlen(token));
    is_int(facts.read, 1, "a token is read");
    is_str(facts.alg, "HS256", "its algorithm");
    is_str(facts.typ, "JWT", "its type");
    is_str(facts.audience, "[\"a\",\"b\"]", "its audience");
    is_str(facts.hint.uid, "u", "its user");
    is_str(facts.hint.iss, "me", "its issuer");
    is_int(facts.issued.there, 1, "when it was made");
    is_int(facts.issued.ms, 1000, "in milliseconds");
    is_int(facts.from.ms, 2500, "from when it is good");
    is_int(facts.expires.there, 0, "a time that is none");
    for (size_t len = 0; len < strlen(token); len++) {
        unsigned char *guarded = tap_guard(token, len);

        token_facts_read(&facts, (const char *)guarded, len);
        tap_guard_free(guarded, len);
    }
    ok(1, "each prefix is read no further than it goes");
    token_facts_read(&facts, "a.b", 3);
    is_int(facts.read, 0, "what is no token");
    is_str(facts.alg, "", "says nothing");
}

int main(void)
{
    test_plain();
    test_wanted();
    test_keys();
    test_refused();
    test_facts();
    (void)part(-1);
    buf_free(&out);
    return tap_done();
}
