#include "jwt_make.h"
#include "jwt_sign.h"
#include "tap.h"
#include "worker/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW       1700000000
#define TOKEN_MAX 1000

static struct token_hint hint; /* of the last judgement */
static struct token_policy policy = {.algs = TOKEN_HS, .token_bytes = TOKEN_MAX};
static char *any_origin[] = {(char[]){"*"}, NULL};
static char *origins[] = {(char[]){"*"}, (char[]){"https://app.example"}, NULL};

struct verdict {
    enum token_result result;
    struct auth_verdict is;
    int cookie; /* there was one that counts */
};

/* Judges a client whose request has query and headers (each line ended by CR LF)
 * and whose CONNECT packet is connect (Socket.IO, without the Engine.IO type). */
static struct verdict judge(const char *query, const char *headers, enum eio_version version,
                            const char *connect, char *const *cors)
{
    static struct http_request req;
    struct http_limits limits = {65536, 100};
    struct verdict verdict = {.is = {.source = AUTH_FROM_PACKET, .hint = &hint}};
    struct auth_tokens *tokens = NULL;
    struct sio_packet packet;
    char *head;
    size_t scanned = 0;
    unsigned char *guarded;
    size_t room = strlen(query) + strlen(headers) + 100;
    int len;

    head = malloc(room);
    len = snprintf(head, room, "GET /notifications/?EIO=4%s HTTP/1.1\r\n%s\r\n", query, headers);
    if (http_parse(&req, head, (size_t)len, &limits, &scanned) != len)
        abort();
    if (auth_collect(&tokens, &req, &policy, cors) < 0)
        abort();
    memset(head, 'x', (size_t)len); /* what is kept is a copy */
    verdict.cookie = auth_tokens_cookie(tokens);
    guarded = tap_guard(connect, strlen(connect));
    if (sio_decode(&packet, version, (struct slice){(char *)guarded, strlen(connect)}) < 0)
        abort();
    verdict.result = auth_judge(&policy, &packet, tokens, NOW * INT64_C(1000), &verdict.is);
    tap_guard_free(guarded, strlen(connect));
    auth_tokens_free(&tokens);
    ok(tokens == NULL, "tokens are gone");
    free(head);
    return verdict;
}

/* want: the uid, or the code of the refusal. */
static void judged(struct verdict got, const char *want, const char *name)
{
    if (got.result == TOKEN_OK)
        is_str(got.is.user.uid, want, name);
    else
        is_str(token_result_code(got.result), want, name);
}

/* format with its first $ replaced by a and its second by b; valid for some calls. */
static const char *fill(const char *format, const char *a, const char *b)
{
    static char ring[8][8192];
    static unsigned turn;
    char *out = ring[turn++ % 8];
    size_t n = 0;

    for (; *format != '\0' && n < sizeof(ring[0]) - 1; format++) {
        if (*format != '$') {
            out[n++] = *format;
            continue;
        }
        n += (size_t)snprintf(out + n, sizeof(ring[0]) - n, "%s", a);
        a = b;
    }
    out[n] = '\0';
    return out;
}

#define HOST "Host: push.example:3000\r\n"

static void test_places(void)
{
    const char *good = jwt_make("u1", 0), *old = jwt_make("u1", NOW - 10);
    struct verdict v;

    judged(judge("", HOST, EIO4, "0/axr,", NULL), "token_missing", "no token anywhere");
    v = judge("", HOST, EIO4, fill("0/axr,{\"token\":\"$\"}", good, ""), NULL);
    judged(v, "u1", "in the auth object");
    is_int(v.is.source, AUTH_FROM_PACKET, "is the packet's");
    v = judge(fill("&token=$", good, ""), HOST, EIO4, "0/axr,", NULL);
    judged(v, "u1", "query token");
    is_int(v.is.source, AUTH_FROM_HANDSHAKE, "is the handshake's");
    judged(judge(fill("&auth_token=$", good, ""), HOST, EIO4, "0/axr,", NULL), "u1",
           "query auth_token");
    judged(judge(fill("&jwt_token=$", good, ""), HOST, EIO4, "0/axr,", NULL), "u1",
           "query jwt_token");
    judged(judge(fill("&Token=$", good, ""), HOST, EIO4, "0/axr,", NULL), "token_missing",
           "query names have a case");
    judged(judge("", fill(HOST "Authorization: Bearer $\r\n", good, ""), EIO4, "0/axr,", NULL),
           "u1", "Authorization: Bearer");
    judged(judge("", fill(HOST "authorization: jwt  \t$\r\n", good, ""), EIO4, "0/axr,", NULL),
           "u1", "authorization: jwt, and more white space");
    judged(judge("", fill(HOST "Authorization: BEARER$\r\n", good, ""), EIO4, "0/axr,", NULL),
           "token_missing", "no white space, no scheme");
    judged(judge("", fill(HOST "Authorization: Basic $\r\n", good, ""), EIO4, "0/axr,", NULL),
           "token_missing", "another scheme");
    judged(judge("", HOST "Authorization: Bearer\r\n", EIO4, "0/axr,", NULL), "token_missing",
           "a scheme without a token");
    is_int(v.cookie, 0, "there is no cookie");
    v = judge("", fill(HOST "Cookie: a=b; jwt=$; c=d\r\n", good, ""), EIO4, "0/axr,", NULL);
    judged(v, "u1", "cookie jwt");
    is_int(v.cookie, 1, "there is a cookie");
    is_int(v.is.source, AUTH_FROM_COOKIE, "and it is where the token was");
    v = judge(fill("&token=$", good, ""), fill(HOST "Cookie: jwt=$\r\n", good, ""), EIO4, "0/axr,",
              NULL);
    is_int(v.is.source, AUTH_FROM_HANDSHAKE, "beside a good one in the query it is not");
    is_int(v.cookie, 1, "though there is one");
    v = judge("", fill(HOST "Cookie: jwt=$\r\n", old, ""), EIO4,
              fill("0/axr,{\"token\":\"$\"}", good, ""), NULL);
    is_int(v.is.source, AUTH_FROM_PACKET, "nor beside one in the packet");
    v = judge("", fill(HOST "Cookie: jwt=\r\nAuthorization: JWT $\r\n", good, ""), EIO4, "0/axr,",
              NULL);
    is_int(v.is.source, AUTH_FROM_HANDSHAKE, "an empty cookie is none");
    is_int(v.cookie, 0, "so there is none");
    judged(judge("", HOST, EIO3, fill("0/axr?token=$,", good, ""), NULL), "u1",
           "query of the namespace, as 2.x sends it");
    judged(judge("", HOST, EIO3, fill("0/axr?a=b&jwt_token=$", good, ""), NULL), "u1",
           "query of the namespace, as 1.x sends it");
    judged(judge(fill("&token=$", old, ""), HOST, EIO4, "0/axr,", NULL), "token_expired",
           "the fault is told");
}

static void test_order(void)
{
    const char *one = jwt_make("one", 0), *two = jwt_make("two", 0);
    const char *old = jwt_make("old", NOW - 10);

    judged(judge(fill("&token=$", two, ""), HOST, EIO4, fill("0/axr,{\"token\":\"$\"}", one, ""),
                 NULL),
           "one", "the packet comes before the query");
    judged(judge(fill("&token=$", two, ""), HOST, EIO3, fill("0/axr?token=$,", one, ""), NULL),
           "one", "the namespace's query comes before the request's");
    judged(judge(fill("&token=$&jwt_token=$", two, one), HOST, EIO4, "0/axr,", NULL), "one",
           "jwt_token comes before token");
    judged(judge(fill("&token=$&auth_token=$", two, one), HOST, EIO4, "0/axr,", NULL), "one",
           "auth_token comes before token");
    judged(judge(fill("&token=$", one, ""), fill(HOST "Authorization: Bearer $\r\n", two, ""), EIO4,
                 "0/axr,", NULL),
           "one", "the query comes before the header");
    judged(judge("", fill(HOST "Cookie: jwt=$\r\nAuthorization: JWT $\r\n", two, one), EIO4,
                 "0/axr,", NULL),
           "one", "the header comes before the cookie");
    judged(judge(fill("&token=$", one, ""), HOST, EIO4, fill("0/axr,{\"token\":\"$\"}", old, ""),
                 NULL),
           "one", "a bad token does not stop a good one that comes later");
    judged(judge("&token=x", fill(HOST "Cookie: jwt=$\r\nAuthorization: JWT $\r\n", one, old), EIO4,
                 "0/axr,{\"token\":\"y\"}", NULL),
           "one", "nor do three");
    judged(judge("&token=x", HOST, EIO4, fill("0/axr,{\"token\":\"$\"}", old, ""), NULL),
           "token_expired", "of several faults the first is told");
    judged(judge(fill("&token=x&token=$", one, ""), HOST, EIO4, "0/axr,", NULL), "one",
           "of a name given twice the last counts, as in Engine.IO");
}

static void test_values(void)
{
    const char *good = jwt_make("u1", 0);
    char escaped[2048], large[5000];
    size_t n = 0;

    for (const char *c = good; *c != '\0'; c++)
        n += (size_t)snprintf(escaped + n, sizeof(escaped) - n, "%%%02x", (unsigned)*c);
    judged(judge(fill("&token=$", escaped, ""), HOST, EIO4, "0/axr,", NULL), "u1",
           "a percent-encoded query");
    judged(judge("", fill(HOST "Cookie: jwt=$\r\n", escaped, ""), EIO4, "0/axr,", NULL), "u1",
           "a percent-encoded cookie");
    judged(judge("", fill(HOST "Authorization: Bearer $\r\n", escaped, ""), EIO4, "0/axr,", NULL),
           "u1", "a percent-encoded header");
    judged(judge("&token=abc%2", HOST, EIO4, "0/axr,", NULL), "token_malformed", "a broken escape");
    judged(judge(fill("&token=$%00", good, ""), HOST, EIO4, "0/axr,", NULL), "token_malformed",
           "a NUL behind a good token");
    judged(judge(fill("&token=%&auth_token=$", good, ""), HOST, EIO4, "0/axr,", NULL), "u1",
           "a broken escape does not stop a good token");
    judged(
        judge("&token=&auth_token", HOST "Cookie: jwt=\r\n", EIO4, "0/axr,{\"token\":\"\"}", NULL),
        "token_missing", "empty values are none");

    memset(large, 'a', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    memcpy(large, "%61", 3); /* which is one */
    large[TOKEN_MAX + 2] = '\0';
    judged(judge(fill("&token=$", large, ""), HOST, EIO4, "0/axr,", NULL), "token_malformed",
           "exactly the limit");
    large[TOKEN_MAX + 2] = 'a';
    large[TOKEN_MAX + 3] = '\0';
    judged(judge(fill("&token=$", large, ""), HOST, EIO4, "0/axr,", NULL), "token_too_large",
           "and one more");
    memset(large, 'a', sizeof(large) - 1);
    judged(judge(fill("&token=$", large, ""), HOST, EIO4, "0/axr,", NULL), "token_too_large",
           "a query above the limit");
    judged(judge("", fill(HOST "Authorization: JWT $\r\n", large, ""), EIO4, "0/axr,", NULL),
           "token_too_large", "a header above the limit");
    judged(judge("", fill(HOST "Cookie: jwt=$\r\n", large, ""), EIO4, "0/axr,", NULL),
           "token_too_large", "a cookie above the limit");
    judged(judge("", HOST, EIO4, fill("0/axr,{\"token\":\"$\"}", large, ""), NULL),
           "token_too_large", "an auth token above the limit");
    judged(judge("", HOST, EIO3, fill("0/axr?token=$,", large, ""), NULL), "token_too_large",
           "a namespace query above the limit");
    judged(judge(fill("&jwt_token=$&token=$", large, good), HOST, EIO4, "0/axr,", NULL), "u1",
           "one that is too large does not stop a good one");
}

/* A token of the user u1, signed with pair. */
static const char *make_es256(char dst[512], EVP_PKEY *pair)
{
    put_text("{\"alg\":\"ES256\"}", "{\"sub\":\"u1\"}", 12);
    sign_key(EVP_sha256(), pair, 64);
    (void)snprintf(dst, 512, "%.*s", (int)token.len, (char *)token.data);
    return dst;
}

/* What one CONNECT may cost, however many tokens it has. */
static void test_tries(void)
{
    struct token_policy keep = policy;
    struct token_keys *keys = token_keys_new();
    EVP_PKEY *pair = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    char texts[2][512];
    const char *good = make_es256(texts[0], pair), *bad = make_es256(texts[1], other);
    const char *unknown = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1MSJ9.AAAA";

    token_keys_add_public(keys, (struct slice){NULL, 0}, pair, 0);
    token_keys_add_secret(keys, (struct slice){NULL, 0}, "0123456789abcdef", 16, 0);
    policy.keys = keys;
    policy.algs = TOKEN_ALGS;
    judged(judge(fill("&jwt_token=$&auth_token=$", bad, bad),
                 fill(HOST "Authorization: JWT $\r\nCookie: jwt=$\r\n", bad, good), EIO4, "0/axr,",
                 NULL),
           "u1", "a good token after three that a public key has refused");
    judged(judge(fill("&token=$", good, ""), HOST, EIO3,
                 fill("0/axr?jwt_token=$&auth_token=$,", bad, bad), NULL),
           "u1", "or after two of the namespace");
    judged(judge(fill("&jwt_token=$&auth_token=$", bad, bad),
                 fill(HOST "Authorization: JWT $\r\nCookie: jwt=$\r\n", bad, good), EIO3,
                 fill("0/axr?token=$,", bad, ""), NULL),
           "token_signature", "not after four");
    judged(judge(fill("&jwt_token=$&auth_token=$", unknown, unknown),
                 fill(HOST "Authorization: JWT $\r\nCookie: jwt=$\r\n", unknown, good), EIO3,
                 fill("0/axr?token=$&auth_token=$,", unknown, unknown), NULL),
           "u1", "those that a secret has refused do not count");
    policy = keep;
    token_keys_free(&keys);
    EVP_PKEY_free(pair);
    EVP_PKEY_free(other);
    buf_free(&token);
}

/* A token that is an argument of an event. */
static void test_json(void)
{
    const char *good = jwt_make("u1", 0);
    const struct {
        const char *json, *want, *name;
    } cases[] = {
        {fill("\"$\"", good, ""), "u1", "a string"},
        {fill("{\"token\":\"$\"}", good, ""), "u1", "an object"},
        {fill("{\"Token\":\"$\"}", good, ""), "token_missing", "names are compared exactly"},
        {fill("[\"$\"]", good, ""), "token_missing", "an array is none"},
        {fill("\"$\\u0000\"", good, ""), "token_malformed", "a NUL behind it"},
        {fill("\"$ \"", good, ""), "token_malformed", "a space behind it"},
        {fill("\"$\"", jwt_make("u1", 1), ""), "token_expired", "one that has expired"},
        {"\"x\"", "token_malformed", "no token"},
        {"\"\"", "token_missing", "an empty one"},
        {"", "token_missing", "nothing"},
        {"null", "token_missing", "null"},
        {"7", "token_missing", "a number"},
        {"{\"token\":7}", "token_malformed", "a number in an object"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = strlen(cases[i].json);
        unsigned char *guarded = tap_guard(cases[i].json, len);
        struct verdict got = {.is = {.source = AUTH_FROM_PACKET}};

        got.result = auth_judge_json(&policy, (struct slice){(char *)guarded, len},
                                     NOW * INT64_C(1000), &got.is);
        judged(got, cases[i].want, cases[i].name);
        tap_guard_free(guarded, len);
    }
}

/* What is said of tokens that are refused is said of the first. */
static void test_why(void)
{
    static char rooms[] = "rooms";
    const char *first = jwt_with("{\"exp\":\"never\",\"uid\":\"u1\",\"iss\":\"i1\"}");
    const char *later = jwt_with("{\"nbf\":[],\"uid\":\"u2\",\"iss\":\"i2\"}");
    struct verdict v = judge(fill("&token=$", later, ""), HOST, EIO4,
                             fill("0/axr,{\"token\":\"$\"}", first, ""), NULL);

    judged(v, "token_claim", "two with a fault in a claim");
    is_str(v.is.wanted, "exp has to be a number of seconds since 1970", "which, and why");
    is_str(hint.uid, "u1", "whose it says it is");
    is_str(hint.iss, "i1", "and whom it is from");
    v = judge(fill("&token=$", later, ""), HOST, EIO4, "0/axr,{\"token\":\"x\"}", NULL);
    judged(v, "token_malformed", "the first says nothing");
    ok(v.is.wanted == NULL && hint.uid[0] == '\0', "nor is anything said of it");
    v = judge(fill("&token=$", jwt_make("u1", 0), ""), HOST, EIO4,
              fill("0/axr,{\"token\":\"$\"}", first, ""), NULL);
    judged(v, "u1", "one that is good has nothing to be said");
    v = judge("", HOST, EIO4, "0/axr,", NULL);
    ok(v.is.wanted == NULL && hint.uid[0] == '\0', "nor has none");

    policy.rooms_claim = rooms;
    v = judge(fill("&token=$", later, ""), HOST, EIO4,
              fill("0/axr,{\"token\":\"$\"}", jwt_with("{\"uid\":\"u1\",\"rooms\":7}"), ""), NULL);
    judged(v, "token_claim", "rooms that are none");
    is_str(v.is.claim, "rooms", "says which claim");
    policy.rooms_claim = NULL;
    v = judge("", HOST, EIO4, fill("0/axr,{\"token\":\"$\"}", later, ""), NULL);
    judged(v, "token_claim", "another one");
    ok(v.is.claim == NULL && v.is.wanted != NULL, "is named by what is said of it");
}

static void test_object(void)
{
    const char *good = jwt_make("u1", 0);
    char *huge = malloc(AUTH_OBJECT_BYTES * 2);
    size_t n;

    judged(judge("", HOST, EIO4, fill("0/axr,{\"a\":[1,{}],\"token\":\"$\",\"z\":null}", good, ""),
                 NULL),
           "u1", "among other keys");
    judged(judge("", HOST, EIO4, fill("0/axr,{\"\\u0074oken\":\"$\"}", good, ""), NULL), "u1",
           "an escaped key is the same key");
    judged(judge("", HOST, EIO4, fill("0/axr,{\"Token\":\"$\"}", good, ""), NULL), "token_missing",
           "keys have a case");
    judged(judge("", HOST, EIO4, fill("0/axr,{\"a\":{\"token\":\"$\"}}", good, ""), NULL),
           "token_missing", "only at the top");
    judged(judge("", HOST, EIO4, fill("0/axr,{\"token\":[\"$\"]}", good, ""), NULL),
           "token_malformed", "an array is no token");
    judged(judge("", HOST, EIO4, fill("0/axr,{\"token\":\"$\",\"tok\\u0065n\":\"$\"}", good, good),
                 NULL),
           "token_malformed", "a token that is there twice");
    judged(judge("", HOST, EIO4, "0/axr,{\"token\":12}", NULL), "token_malformed",
           "a number is no token");
    judged(judge("", HOST, EIO4, "0/axr,{\"token\":\"\\ud800\"}", NULL), "token_malformed",
           "half a surrogate pair is no fault of ours");
    judged(judge("", HOST, EIO4, "0/axr,{\"token\":null}", NULL), "token_missing",
           "null is no token at all");
    judged(judge("", HOST, EIO4, fill("0/axr,{\"token\":\"$\\u0000\"}", good, ""), NULL),
           "token_malformed", "a NUL does not cut a string to a good token");
    judged(judge("", HOST, EIO4, fill("0/axr,{\"token\":\"$\\u0000x\"}", good, ""), NULL),
           "token_malformed", "with more behind it neither");
    judged(judge("", HOST, EIO4, fill("0/axr,{\"token\\u0000x\":\"$\"}", good, ""), NULL),
           "token_malformed", "nor does one cut a key");
    judged(
        judge("", HOST, EIO4, fill("0/axr,{\"a\":\"\\\\u0000\",\"token\":\"$\"}", good, ""), NULL),
        "u1", "an escaped backslash before u0000 is no NUL");

    n = (size_t)sprintf(huge, "0/axr,{\"token\":\"%s\",\"a\":[", good);
    while (n < AUTH_OBJECT_BYTES + TOKEN_MAX + 16)
        n += (size_t)sprintf(huge + n, "1,");
    sprintf(huge + n, "1]}");
    judged(judge("", HOST, EIO4, huge, NULL), "token_too_large", "an object that is too large");
    free(huge);
}

static void test_origin(void)
{
    static const struct {
        const char *origin, *host;
        int good;
    } rows[] = {
        {"http://push.example:3000", "push.example:3000", 1},
        {"http://push.example:3001", "push.example:3000", 0},
        {"https://app.example", "push.example", 1}, /* listed */
        {"null", "push.example", 0},
        {"*", "push.example", 0},
    };
    const char *good = jwt_make("u1", 0);
    char headers[1024];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(headers, sizeof(headers), "Host: %s\r\nOrigin: %s\r\nCookie: jwt=%s\r\n",
                 rows[i].host, rows[i].origin, good);
        judged(judge("", headers, EIO4, "0/axr,", origins), rows[i].good ? "u1" : "token_missing",
               fill("cookie from '$' at '$'", rows[i].origin, rows[i].host));
    }
    judged(judge("", fill(HOST "Origin: http://evil\r\nCookie: jwt=$\r\n", good, ""), EIO4,
                 "0/axr,", any_origin),
           "token_missing", "'*' lets no cookie in");
    judged(judge("", fill(HOST "Cookie: jwt=$\r\n", good, ""), EIO4, "0/axr,", any_origin), "u1",
           "without Origin the cookie counts");
    judged(judge("&j=0", fill(HOST "Cookie: jwt=$\r\n", good, ""), EIO4, "0/axr,", NULL),
           "token_missing", "a script never carries it");
    judged(judge("&j=", fill(HOST "Cookie: jwt=$\r\n", good, ""), EIO4, "0/axr,", NULL), "u1",
           "without a number it is none");
    judged(judge(fill("&j=0&token=$", good, ""), HOST, EIO4, "0/axr,", NULL), "u1",
           "a token that the page knows it does carry");
    judged(judge("", fill(HOST "Sec-Fetch-Site: cross-site\r\nCookie: jwt=$\r\n", good, ""), EIO4,
                 "0/axr,", origins),
           "token_missing", "nor does another site");
    judged(judge("", fill(HOST "Sec-Fetch-Site: same-site\r\nCookie: jwt=$\r\n", good, ""), EIO4,
                 "0/axr,", origins),
           "token_missing", "nor a sister host");
    judged(judge("",
                 fill(HOST "Sec-Fetch-Site: cross-site\r\nOrigin: https://app.example\r\n"
                           "Cookie: jwt=$\r\n",
                      good, ""),
                 EIO4, "0/axr,", origins),
           "u1", "a listed one does");
    judged(judge("", fill(HOST "Sec-Fetch-Site: same-origin\r\nCookie: jwt=$\r\n", good, ""), EIO4,
                 "0/axr,", origins),
           "u1", "and the host itself");
    judged(judge(fill("&token=$", good, ""), HOST "Origin: http://evil\r\n", EIO4, "0/axr,",
                 any_origin),
           "u1", "what a page has to know is not bound to its origin");
}

int main(void)
{
    struct token_keys *keys = jwt_keys();

    policy.keys = keys;
    test_places();
    test_order();
    test_values();
    test_json();
    test_tries();
    test_why();
    test_object();
    test_origin();
    token_keys_free(&keys);
    return tap_done();
}
