#include "codec/token.h"

#include "codec/token_rooms.h"
#include "jwt_sign.h"
#include "tap.h"
#include "token_vectors.h"

#include <cjson/cJSON.h>
#include <openssl/rsa.h>
#include <zlib.h>

#define NOW    1000000
#define NOW_MS (NOW * INT64_C(1000))

static const char secret[] = "a secret that is long enough for HS256";

/* --- making tokens ------------------------------------------------------------ */

#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static void make_hs256(const char *header, const char *payload)
{
    put_text(header, payload, strlen(payload));
    sign_hmac(EVP_sha256(), secret, sizeof(secret) - 1);
}

/* --- judging them ------------------------------------------------------------- */

/* Its keys are set in main(): the secret. */
static const char *const types[] = {"JWT", "at+jwt", NULL};
static struct token_policy policy = {.algs = TOKEN_ALGS, .types = types, .token_bytes = 8192};
static struct token_user user;
static struct token_trial trial;

static struct token_keys *secret_keys(const char *text)
{
    struct token_keys *keys = token_keys_new();

    token_keys_add_secret(keys, (struct slice){0}, text, strlen(text), 0);
    return keys;
}

/* Verifies the last token against a guard page; user must stay untouched unless
 * it is good. */
static enum token_result verify(const struct token_policy *by)
{
    unsigned char *guarded = tap_guard(token.data, token.len);
    static struct token_user untouched;
    enum token_result result;

    trial = (struct token_trial){TOKEN_TRIES_MAX, "that of the token before", "its claim", 7, 1};
    memset(&user, 0x5a, sizeof(user));
    untouched = user;
    result = token_verify(by, (char *)guarded, token.len, NOW_MS, &trial, &user);
    tap_guard_free(guarded, token.len);
    if (result != TOKEN_OK && memcmp(&user, &untouched, sizeof(user)) != 0)
        ok(0, "user is untouched after %s", token_result_code(result));
    return result;
}

static void is_result(const struct token_policy *by, enum token_result want, const char *name)
{
    is_str(token_result_code(verify(by)), token_result_code(want), name);
}

static void is_user(const struct token_policy *by, const char *uid, const char *name)
{
    enum token_result result = verify(by);

    ok(result == TOKEN_OK && strcmp(user.uid, uid) == 0 && user.uid_len == strlen(uid), "%s: %s",
       name, token_result_code(result));
}

/* --- vectors ------------------------------------------------------------------ */

static void test_vectors(void)
{
    cJSON *root = token_vectors(), *row;
    struct token_policy by = policy;
    int n = 0;

    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(root, "tokens"))
    {
        const char *audiences[] = {token_member(row, "audience"), NULL};
        const char *issuers[] = {token_member(row, "issuer"), NULL};
        const char *text = token_member(row, "token"), *uid = token_member(row, "uid");
        enum token_result result;

        struct token_keys *keys = secret_keys(token_member(row, "secret"));

        by.keys = keys;
        by.audiences = audiences;
        by.issuers = issuers;
        trial = (struct token_trial){.tries = TOKEN_TRIES_MAX};
        result = token_verify(&by, text, strlen(text), 1795386700000, &trial, &user);
        is_str(token_result_code(result), token_member(row, "expect"), token_member(row, "name"));
        if (uid != NULL)
            is_str(user.uid, uid, "its user");
        token_keys_free(&keys);
        n++;
    }
    is_int(n, 8, "vectors");
    cJSON_Delete(root);
}

/* --- claims ------------------------------------------------------------------- */

static void test_times(void)
{
    static const struct {
        const char *payload;
        enum token_result want;
        int64_t tolerance_s, expires_ms;
    } cases[] = {
        {"{\"sub\":\"u\"}", TOKEN_OK, 0, 0},
        {"{\"sub\":\"u\",\"exp\":1000001}", TOKEN_OK, 0, NOW_MS + 1000},
        {"{\"sub\":\"u\",\"exp\":1000000}", TOKEN_EXPIRED, 0, 0},
        {"{\"sub\":\"u\",\"exp\":1000000}", TOKEN_OK, 1, NOW_MS + 1000},
        {"{\"sub\":\"u\",\"exp\":999990}", TOKEN_EXPIRED, 10, 0},
        {"{\"sub\":\"u\",\"exp\":999991}", TOKEN_OK, 10, NOW_MS + 1000},
        {"{\"sub\":\"u\",\"exp\":0}", TOKEN_EXPIRED, 0, 0},
        {"{\"sub\":\"u\",\"exp\":-1}", TOKEN_EXPIRED, 0, 0},
        {"{\"sub\":\"u\",\"exp\":9007199254740992}", TOKEN_OK, 0, (int64_t)1 << 53},
        {"{\"sub\":\"u\",\"exp\":9007199254740993}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":-9007199254740993}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":18446744073709551616}", TOKEN_MALFORMED, 0, 0},
        {"{\"sub\":\"u\",\"exp\":18446744073710551616}", TOKEN_MALFORMED, 0, 0},
        {"{\"sub\":\"u\",\"exp\":\"2000000\"}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":2000000.5}", TOKEN_OK, 0, 2000000500},
        {"{\"sub\":\"u\",\"exp\":2000000.0}", TOKEN_OK, 0, 2000000000},
        {"{\"sub\":\"u\",\"exp\":2e6}", TOKEN_OK, 0, 2000000000},
        {"{\"sub\":\"u\",\"exp\":1000000.0}", TOKEN_EXPIRED, 0, 0},
        {"{\"sub\":\"u\",\"exp\":1e6}", TOKEN_EXPIRED, 0, 0},
        {"{\"sub\":\"u\",\"exp\":1000000.0001}", TOKEN_OK, 0, NOW_MS + 1},
        {"{\"sub\":\"u\",\"exp\":999999.9999}", TOKEN_EXPIRED, 0, 0},
        {"{\"sub\":\"u\",\"exp\":999995.001}", TOKEN_OK, 5, NOW_MS + 1},
        {"{\"sub\":\"u\",\"exp\":999994.9999}", TOKEN_EXPIRED, 5, 0},
        {"{\"sub\":\"u\",\"exp\":253402300799}", TOKEN_OK, 0, 253402300799000},
        {"{\"sub\":\"u\",\"exp\":1795386700123}", TOKEN_OK, 0, 1795386700123},
        {"{\"sub\":\"u\",\"exp\":1795386700123}", TOKEN_OK, 1, 1795386701123},
        {"{\"sub\":\"u\",\"exp\":\"1.5e9\"}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":1e18}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":NaN}", TOKEN_MALFORMED, 0, 0},
        {"{\"sub\":\"u\",\"exp\":1e999}", TOKEN_MALFORMED, 0, 0},
        {"{\"sub\":\"u\",\"exp\":null}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":true}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":[2000000]}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":2000000,\"exp\":3000000}", TOKEN_MALFORMED, 0, 0},
        {"{\"sub\":\"u\",\"exp\":1,\"\\u0065xp\":3000000}", TOKEN_MALFORMED, 0, 0},
        {"{\"sub\":\"u\",\"Exp\":1,\"EXP\":\"x\"}", TOKEN_OK, 0, 0},
        {"{\"sub\":\"u\",\"a\":{\"exp\":1}}", TOKEN_OK, 0, 0},
        {"{\"sub\":\"u\",\"nbf\":1000000}", TOKEN_OK, 0, 0},
        {"{\"sub\":\"u\",\"nbf\":-1}", TOKEN_OK, 0, 0},
        {"{\"sub\":\"u\",\"nbf\":1000001}", TOKEN_NOT_YET, 0, 0},
        {"{\"sub\":\"u\",\"nbf\":1000010}", TOKEN_OK, 10, 0},
        {"{\"sub\":\"u\",\"nbf\":1000011}", TOKEN_NOT_YET, 10, 0},
        {"{\"sub\":\"u\",\"nbf\":18446744073709551616}", TOKEN_MALFORMED, 0, 0},
        {"{\"sub\":\"u\",\"nbf\":\"1\"}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"nbf\":0.5}", TOKEN_OK, 0, 0},
        {"{\"sub\":\"u\",\"nbf\":1e6}", TOKEN_OK, 0, 0},
        {"{\"sub\":\"u\",\"nbf\":1000000.0001}", TOKEN_NOT_YET, 0, 0},
        {"{\"sub\":\"u\",\"nbf\":1000005.0001}", TOKEN_NOT_YET, 5, 0},
        {"{\"sub\":\"u\",\"nbf\":1000004.9999}", TOKEN_OK, 5, 0},
        {"{\"sub\":\"u\",\"nbf\":1795386700123}", TOKEN_NOT_YET, 0, 0},
        {"{\"sub\":\"u\",\"nbf\":null}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"iat\":\"never\"}", TOKEN_OK, 0, 0},
        {"{\"sub\":\"u\",\"iat\":-9223372036854775808}", TOKEN_OK, 0, 0},
        {"{\"sub\":\"u\",\"iat\":9223372036854775808}", TOKEN_MALFORMED, 0, 0},
        {"{\"sub\":\"u\",\"iat\":1e999}", TOKEN_MALFORMED, 0, 0},
        {"{\"sub\":\"u\",\"a\":[{\"b\":1,\"b\":1}]}", TOKEN_MALFORMED, 0, 0},
    };
    struct token_policy by = policy;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        by.tolerance_s = cases[i].tolerance_s;
        make_hs256(HS256, cases[i].payload);
        is_result(&by, cases[i].want, cases[i].payload);
        if (cases[i].want == TOKEN_OK)
            is_int(user.expires_ms, cases[i].expires_ms, "when it expires");
    }
}

/* What is in milliseconds, to be said to whoever can mend it. */
static void test_exp_form(void)
{
    static const struct {
        const char *payload;
        enum numeric_date want;
    } cases[] = {{"{\"sub\":\"u\"}", NUMERIC_DATE_FINE},
                 {"{\"sub\":\"u\",\"exp\":1.5e9}", NUMERIC_DATE_FINE},
                 {"{\"sub\":\"u\",\"exp\":253402300799}", NUMERIC_DATE_FAR},
                 {"{\"sub\":\"u\",\"exp\":1795386700123}", NUMERIC_DATE_MS}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make_hs256(HS256, cases[i].payload);
        is_user(&policy, "u", cases[i].payload);
        is_int(user.exp_form, cases[i].want, "the form of its exp");
    }
}

static void test_parties(void)
{
    static const char *const names[] = {"one", "two", NULL}, *const nobody[] = {NULL};
    static const struct {
        const char *payload;
        enum token_result want;
    } cases[] = {
        {"{\"sub\":\"u\",\"aud\":\"one\",\"iss\":\"two\"}", TOKEN_OK},
        {"{\"sub\":\"u\",\"aud\":\"\\u006fne\",\"iss\":\"two\"}", TOKEN_OK},
        {"{\"sub\":\"u\",\"aud\":[\"x\",\"two\"],\"iss\":\"one\"}", TOKEN_OK},
        {"{\"sub\":\"u\",\"aud\":[\"one\",\"x\"],\"iss\":\"one\"}", TOKEN_OK},
        {"{\"sub\":\"u\",\"aud\":[\"x\",\"one\",\"y\"],\"iss\":\"one\"}", TOKEN_OK},
        {"{\"sub\":\"u\",\"aud\":[\"one\"],\"iss\":\"one\"}", TOKEN_OK},
        {"{\"sub\":\"u\",\"aud\":[\"two\"],\"iss\":\"one\"}", TOKEN_OK},
        {"{\"sub\":\"u\",\"aud\":[\"one\",\"two\"],\"iss\":\"one\"}", TOKEN_OK},
        {"{\"sub\":\"u\",\"aud\":[\"x\",\"y\",\"z\"],\"iss\":\"one\"}", TOKEN_BAD_AUDIENCE},
        {"{\"sub\":\"u\",\"aud\":[\"\"],\"iss\":\"one\"}", TOKEN_BAD_AUDIENCE},
        {"{\"sub\":\"u\",\"aud\":[1,\"one\"],\"iss\":\"one\"}", TOKEN_BAD_CLAIM},
        {"{\"sub\":\"u\",\"aud\":\"two\",\"iss\":\"one\"}", TOKEN_OK},
        {"{\"sub\":\"u\",\"aud\":[],\"iss\":\"one\"}", TOKEN_BAD_AUDIENCE},
        {"{\"sub\":\"u\",\"aud\":[\"x\"],\"iss\":\"one\"}", TOKEN_BAD_AUDIENCE},
        {"{\"sub\":\"u\",\"aud\":\"One\",\"iss\":\"one\"}", TOKEN_BAD_AUDIENCE},
        {"{\"sub\":\"u\",\"aud\":\"one \",\"iss\":\"one\"}", TOKEN_BAD_AUDIENCE},
        {"{\"sub\":\"u\",\"aud\":\"on\",\"iss\":\"one\"}", TOKEN_BAD_AUDIENCE},
        {"{\"sub\":\"u\",\"iss\":\"one\"}", TOKEN_BAD_AUDIENCE},
        {"{\"sub\":\"u\",\"Aud\":\"one\",\"iss\":\"one\"}", TOKEN_BAD_AUDIENCE},
        {"{\"sub\":\"u\",\"aud\":1,\"iss\":\"one\"}", TOKEN_BAD_CLAIM},
        {"{\"sub\":\"u\",\"aud\":null,\"iss\":\"one\"}", TOKEN_BAD_CLAIM},
        {"{\"sub\":\"u\",\"aud\":{\"one\":\"one\"},\"iss\":\"one\"}", TOKEN_BAD_CLAIM},
        {"{\"sub\":\"u\",\"aud\":[\"one\",1],\"iss\":\"one\"}", TOKEN_BAD_CLAIM},
        {"{\"sub\":\"u\",\"aud\":[[\"one\"]],\"iss\":\"one\"}", TOKEN_BAD_CLAIM},
        {"{\"sub\":\"u\",\"aud\":\"one\"}", TOKEN_BAD_ISSUER},
        {"{\"sub\":\"u\",\"aud\":\"one\",\"iss\":\"\"}", TOKEN_BAD_ISSUER},
        {"{\"sub\":\"u\",\"aud\":\"one\",\"iss\":\"onetwo\"}", TOKEN_BAD_ISSUER},
        {"{\"sub\":\"u\",\"aud\":\"one\",\"iss\":[\"one\"]}", TOKEN_BAD_CLAIM},
        {"{\"sub\":\"u\",\"aud\":\"one\",\"iss\":1}", TOKEN_BAD_CLAIM},
        {"{\"sub\":\"u\",\"aud\":\"x\",\"aud\":\"one\",\"iss\":\"one\"}", TOKEN_MALFORMED},
        {"{\"sub\":\"u\",\"aud\":\"one\\u0000\",\"iss\":\"one\"}", TOKEN_MALFORMED},
    };
    struct token_policy by = policy;

    by.audiences = by.issuers = names;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make_hs256(HS256, cases[i].payload);
        is_result(&by, cases[i].want, cases[i].payload);
    }
    make_hs256(HS256, "{\"sub\":\"u\",\"aud\":5,\"iss\":[]}");
    is_result(&policy, TOKEN_OK, "aud and iss unchecked");
    make_hs256(HS256, "{\"sub\":\"u\",\"aud\":\"\",\"iss\":\"\"}");
    by.issuers = NULL;
    by.audiences = nobody;
    is_result(&by, TOKEN_BAD_AUDIENCE, "an empty list of audiences lets nobody in");
}

static void test_users(void)
{
    static const struct {
        const char *payload, *uid;
    } good[] = {
        {"{\"sub\":\"s\"}", "s"},
        {"{\"sub\":\"s\",\"uid\":\"u\"}", "u"},
        {"{\"profile\":{\"uid\":\"p\"},\"sub\":\"s\",\"uid\":\"u\"}", "p"},
        {"{\"uid\":\"u\",\"profile\":\"{\\\"uid\\\":\\\"p\\\"}\"}", "p"},
        {" { \"profile\" : { \"a\" : [ 1 , { } ] , \"uid\" : \"p\" } , \"x\" : 1 } ", "p"},
        {"{\"profile\":{\"uid\":\"p\"},\"compression\":\"zlib\"}", "p"},
        {"{\"profile\":\"{\\\"uid\\\":\\\"p\\\"}\",\"compression\":\"none\"}", "p"},
        {"{\"profile\":\"{\\\"uid\\\":\\\"p\\\"}\",\"compression\":7}", "p"},
        {"{\"sub\":\"h\xc3\xa9\\u20ac\\ud83d\\ude00\"}", "h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"{\"sub\":\"a\\\\u0000b\"}", "a\\u0000b"},
        {"{\"sub\":\"a\\n\\\"b\\/\"}", "a\n\"b/"},
        {"{\"\\u0073ub\":\"s\"}", "s"},
        {"{\"sub\":\"s\",\"Sub\":5,\"SUB\":\"x\",\"Profile\":5}", "s"},
        {"{\"profile\":null,\"sub\":\"s\"}", "s"},
        {"{\"profile\":[\"uid\",\"p\"],\"sub\":\"s\"}", "s"},
        {"{\"profile\":7,\"sub\":\"s\"}", "s"},
        {"{\"profile\":\"\",\"sub\":\"s\"}", "s"},
        {"{\"profile\":\"p\",\"sub\":\"s\"}", "s"},
        {"{\"profile\":\"null\",\"sub\":\"s\"}", "s"},
        {"{\"profile\":\"\\\"uid\\\"\",\"sub\":\"s\"}", "s"},
        {"{\"profile\":\"https://example.org/alice\",\"sub\":\"s\"}", "s"},
        {"{\"profile\":\"https://example.org/alice\",\"uid\":\"u\",\"sub\":\"s\"}", "u"},
        {"{\"profile\":true,\"uid\":\"u\"}", "u"},
        {"{\"profile\":\"[{\\\"uid\\\":\\\"p\\\"}]\",\"uid\":\"u\"}", "u"},
        {"{\"profile\":\"{\",\"sub\":\"s\"}", "s"},
        {"{\"profile\":\"{alice}\",\"uid\":\"u\"}", "u"},
        {"{\"profile\":\"{\\\"uid\\\":\\\"p\\\"} x\",\"sub\":\"s\"}", "s"},
        {"{\"profile\":\"\",\"compression\":\"zlib\",\"uid\":\"u\"}", "u"},
        {"{\"profile\":null,\"compression\":\"zlib\",\"uid\":\"u\"}", "u"},
        {"{\"profile\":\" \\n{\\\"uid\\\":\\\"p\\\"}\",\"uid\":\"u\"}", "p"},
        {"{\"sub\":\"s\",\"x\":{\"profile\":{\"uid\":\"p\"}}}", "s"},
    };
    static const struct {
        const char *payload;
        enum token_result want;
    } bad[] = {
        {"{}", TOKEN_NO_USER},
        {"{\"sub\":\"\"}", TOKEN_NO_USER},
        {"{\"sub\":5}", TOKEN_NO_USER},
        {"{\"sub\":null}", TOKEN_NO_USER},
        {"{\"sub\":[\"s\"]}", TOKEN_NO_USER},
        {"{\"Sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"uid\":5,\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"uid\":\"\",\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":{},\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":null}", TOKEN_NO_USER},
        {"{\"profile\":\"https://example.org/alice\",\"uid\":5,\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":\"{}\",\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":{\"uid\":\"\"},\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":{\"uid\":null},\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":\"{\\\"uid\\\":5}\",\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":\"{\\\"uid\\\":\\\"a\\\\u0000\\\"}\"}", TOKEN_NO_USER},
        {"{\"profile\":\"{\\\"uid\\\":\\\"a\\\\ud800\\\"}\"}", TOKEN_NO_USER},
        {"{\"profile\":\"{\\\"uid\\\":\\\"a\\\",\\\"uid\\\":\\\"b\\\"}\"}", TOKEN_NO_USER},
        {"{\"profile\":{\"uid\":\"a\",\"uid\":\"b\"}}", TOKEN_MALFORMED},
        {"{\"sub\":\"a\",\"sub\":\"b\"}", TOKEN_MALFORMED},
        {"{\"sub\":\"admin\\u0000x\"}", TOKEN_MALFORMED},
        {"{\"sub\\u0000x\":\"admin\"}", TOKEN_MALFORMED},
        {"{\"sub\":\"s\",\"bio\":\"\\\\\\u0000\"}", TOKEN_MALFORMED},
        {"{\"sub\":\"s\",\"bio\":\"\\udc00\\ud800\"}", TOKEN_MALFORMED},
        {"{\"sub\":\"a\\ud800\"}", TOKEN_MALFORMED},
        {"{\"sub\":\"a\\ud800b\"}", TOKEN_MALFORMED},
        {"{\"sub\":\"a\xff\"}", TOKEN_MALFORMED},
        {"{\"sub\":\"a\xed\xa0\x80\"}", TOKEN_MALFORMED},
        {"{\"sub\":\"a\nb\"}", TOKEN_MALFORMED},
        {"{\"sub\":\"s\"}x", TOKEN_MALFORMED},
        {"{\"sub\":\"s\"}{}", TOKEN_MALFORMED},
        {"{\"sub\":\"s\",}", TOKEN_MALFORMED},
        {"[\"sub\",\"s\"]", TOKEN_MALFORMED},
        {"\"sub\"", TOKEN_MALFORMED},
        {"", TOKEN_MALFORMED},
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        make_hs256(HS256, good[i].payload);
        is_user(&policy, good[i].uid, good[i].payload);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        make_hs256(HS256, bad[i].payload);
        is_result(&policy, bad[i].want, bad[i].payload);
    }
    put_text(HS256, "{\"sub\":\"s\"}\0", 12);
    sign_hmac(EVP_sha256(), secret, sizeof(secret) - 1);
    is_result(&policy, TOKEN_MALFORMED, "NUL behind the payload");
    put_text(HS256, "{\"sub\":\"a\0b\"}", 13);
    sign_hmac(EVP_sha256(), secret, sizeof(secret) - 1);
    is_result(&policy, TOKEN_MALFORMED, "NUL in a string");
}

static void test_lengths(void)
{
    struct buf payload = {0};
    char *uid;

    for (int n = 255; n <= 256; n++) {
        buf_reset(&payload);
        buf_printf(&payload, "{\"sub\":\"%0*d\"}", n, 1);
        buf_putc(&payload, '\0');
        make_hs256(HS256, (char *)payload.data);
        is_result(&policy, n == 255 ? TOKEN_OK : TOKEN_NO_USER, "id of 255 or 256 bytes");
    }
    for (int depth = 400; depth <= 60000; depth += 59600) {
        struct token_policy by = policy;

        by.token_bytes = SIZE_MAX;
        buf_reset(&payload);
        buf_puts(&payload, "{\"sub\":\"s\",\"a\":");
        for (int i = 0; i < depth; i++)
            buf_putc(&payload, '[');
        if (depth == 400) {
            for (int i = 0; i < depth; i++)
                buf_putc(&payload, ']');
            buf_putc(&payload, '}');
        }
        payload.len = payload.len > 48000 ? 48000 : payload.len;
        buf_putc(&payload, '\0');
        make_hs256(HS256, (char *)payload.data);
        is_result(&by, depth == 400 ? TOKEN_OK : TOKEN_MALFORMED, "nested arrays");
    }
    for (size_t n = 16384; n <= 20 << 20; n += (20 << 20) - 16384) {
        struct token_policy by = policy;

        buf_reset(&payload);
        buf_puts(&payload, "{\"sub\":\"s\",\"a\":\"");
        uid = (char *)buf_reserve(&payload, n + 3);
        memset(uid, 'a', n);
        memcpy(uid + n, "\"}", 3);
        make_hs256(HS256, (char *)payload.data);
        is_result(&by, TOKEN_TOO_LARGE, "16 KB or 20 MB");
        by.token_bytes = SIZE_MAX;
        is_result(&by, n == 16384 ? TOKEN_OK : TOKEN_TOO_LARGE, "the same, no limit set");
    }
    buf_free(&payload);
}

/* --- compressed profiles ------------------------------------------------------ */

static uint8_t packed[65536 * 20];

/* window: MAX_WBITS for zlib's own format, + 16 for gzip's. */
static size_t pack(const void *bytes, size_t len, int window)
{
    z_stream stream = {0};
    size_t n;

    deflateInit2(&stream, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)len;
    stream.next_out = packed;
    stream.avail_out = sizeof(packed);
    deflate(&stream, Z_FINISH);
    n = sizeof(packed) - stream.avail_out;
    deflateEnd(&stream);
    return n;
}

static void make_compressed(size_t len, const char *compression)
{
    char base64[8192];
    struct buf payload = {0};

    if (BASE64_LEN(len) >= sizeof(base64))
        abort();
    base64[base64_encode(base64, packed, len)] = '\0';
    buf_printf(&payload, "{\"profile\":\"%s\",\"sub\":\"s\",\"compression\":\"%s\"}", base64,
               compression);
    buf_putc(&payload, '\0');
    make_hs256(HS256, (char *)payload.data);
    buf_free(&payload);
}

static void test_compressed(void)
{
    static const char profile[] = "{\"uid\":\"z\"}";
    static char large[4 << 20];
    size_t n = pack(profile, sizeof(profile) - 1, MAX_WBITS + 16);

    make_compressed(n, "zlib");
    is_user(&policy, "z", "gzip");
    make_compressed(n, "gzip");
    is_user(&policy, "s", "another compression: the profile is text like any other");
    make_compressed(n - 1, "zlib");
    is_result(&policy, TOKEN_NO_USER, "cut off");
    make_compressed(0, "zlib");
    is_user(&policy, "s", "nothing");
    make_hs256(HS256,
               "{\"profile\":\"https://example.org/\",\"compression\":\"zlib\",\"sub\":\"s\"}");
    is_result(&policy, TOKEN_NO_USER, "a URL");
    make_compressed(pack("[1]", 3, MAX_WBITS + 16), "zlib");
    is_result(&policy, TOKEN_NO_USER, "an array");
    (void)pack(profile, sizeof(profile) - 1, MAX_WBITS + 16);
    packed[n] = 0;
    make_compressed(n + 1, "zlib");
    is_result(&policy, TOKEN_NO_USER, "a byte behind it");
    memmove(packed + n, packed, n);
    make_compressed(2 * n, "zlib");
    is_result(&policy, TOKEN_NO_USER, "two members");
    packed[n - 6] ^= 1;
    make_compressed(n, "zlib");
    is_result(&policy, TOKEN_NO_USER, "wrong check sum");
    make_compressed(pack(profile, sizeof(profile) - 1, MAX_WBITS), "zlib");
    is_user(&policy, "z", "zlib's own format");
    make_compressed(pack(profile, sizeof(profile) - 1, -MAX_WBITS), "zlib");
    is_result(&policy, TOKEN_NO_USER, "bare deflate");
    make_hs256(HS256, "{\"profile\":\"!!!!\",\"compression\":\"zlib\"}");
    is_result(&policy, TOKEN_NO_USER, "no base64");
    memset(large, ' ', sizeof(large));
    memcpy(large, profile, sizeof(profile) - 1);
    make_compressed(pack(large, 65536, MAX_WBITS + 16), "zlib");
    is_user(&policy, "z", "64 KB");
    make_compressed(pack(large, 65537, MAX_WBITS + 16), "zlib");
    is_result(&policy, TOKEN_NO_USER, "a byte more than 64 KB");
    make_compressed(pack(large, sizeof(large), MAX_WBITS + 16), "zlib");
    is_result(&policy, TOKEN_NO_USER, "4 MB of blanks");
    memset(large, '[', sizeof(large));
    make_compressed(pack(large, 65536, MAX_WBITS + 16), "zlib");
    is_result(&policy, TOKEN_NO_USER, "nested too deep");
}

/* --- headers and form --------------------------------------------------------- */

static void test_headers(void)
{
    static const struct {
        const char *header;
        enum token_result want;
    } cases[] = {
        {"{\"alg\":\"HS256\"}", TOKEN_OK},
        {"{\"typ\":\"jwt\",\"alg\":\"HS256\",\"kid\":\"../x\",\"cty\":\"x\",\"jku\":\"http://x\"}",
         TOKEN_OK},
        {"{\"alg\":\"HS256\",\"typ\":5}", TOKEN_OK},
        {"{\"alg\":\"\\u0048S256\"}", TOKEN_OK},
        {"{\"\\u0061lg\":\"HS256\"}", TOKEN_OK},
        {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", TOKEN_OK},
        {"{\"alg\":\"HS256\",\"typ\":\"AT+JWT\"}", TOKEN_OK},
        {"{\"alg\":\"HS256\",\"typ\":\"application/at+jwt\"}", TOKEN_OK},
        {"{\"alg\":\"HS256\",\"typ\":\"Application/JWT\"}", TOKEN_OK},
        {"{\"alg\":\"HS256\",\"typ\":\"application/\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"typ\":\"application/application/jwt\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"typ\":\"text/jwt\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"typ\":\"dpop+jwt\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"typ\":\"*\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"typ\":\"\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"typ\":\"JWT\",\"typ\":\"x\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"typ\":\"\\u004aWT\"}", TOKEN_OK},
        {"{\"alg\":\"HS256\",\"kid\":\"\"}", TOKEN_OK},
        {"{\"alg\":\"HS256\",\"kid\":5}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":null}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":[\"a\"]}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":\"a\",\"kid\":\"b\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":\"\\ud800\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":\"a\\u0000\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"alg\":\"none\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\\u0000\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"none\"}", TOKEN_BAD_ALGORITHM},
        {"{\"alg\":\"NONE\"}", TOKEN_BAD_ALGORITHM},
        {"{\"alg\":\"nOnE\"}", TOKEN_BAD_ALGORITHM},
        {"{\"alg\":\"hs256\"}", TOKEN_BAD_ALGORITHM},
        {"{\"alg\":\"HS2567\"}", TOKEN_BAD_ALGORITHM},
        {"{\"alg\":\"HS\"}", TOKEN_BAD_ALGORITHM},
        {"{\"alg\":\"PS256\"}", TOKEN_BAD_ALGORITHM},
        {"{\"alg\":\"RS256\"}", TOKEN_BAD_ALGORITHM},
        {"{\"alg\":\"\"}", TOKEN_BAD_ALGORITHM},
        {"{\"alg\":256}", TOKEN_BAD_ALGORITHM},
        {"{\"alg\":[\"HS256\"]}", TOKEN_BAD_ALGORITHM},
        {"{\"alg\":null}", TOKEN_BAD_ALGORITHM},
        {"{\"Alg\":\"HS256\"}", TOKEN_BAD_ALGORITHM},
        {"{}", TOKEN_BAD_ALGORITHM},
        {"{\"alg\":\"HS384\"}", TOKEN_BAD_SIGNATURE},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", TOKEN_BAD_CLAIM},
        {"{\"alg\":\"HS256\",\"crit\":[]}", TOKEN_BAD_CLAIM},
        {"{\"alg\":\"HS256\",\"crit\":null}", TOKEN_BAD_CLAIM},
        {"[\"alg\",\"HS256\"]", TOKEN_MALFORMED},
        {"\"HS256\"", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\"", TOKEN_MALFORMED},
        {"{\"alg\":\"HS256\"}.", TOKEN_MALFORMED},
        {"", TOKEN_MALFORMED},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make_hs256(cases[i].header, "{\"sub\":\"s\"}");
        is_result(&policy, cases[i].want, cases[i].header);
    }
    put_text("{\"alg\":\"none\"}", "{\"sub\":\"s\"}", 11);
    buf_putc(&token, '.');
    is_result(&policy, TOKEN_BAD_ALGORITHM, "alg none, no signature");
    put_text(HS256, "{\"sub\":\"s\"}", 11);
    buf_putc(&token, '.');
    is_result(&policy, TOKEN_BAD_SIGNATURE, "HS256, no signature");
}

static void test_types(void)
{
    static const char *const whole[] = {"application/Session+JWT", NULL}, *const any[] = {"x", "*",
                                                                                          NULL};
    static const char *const nothing[] = {NULL};
    struct token_policy by = policy;

    by.types = whole;
    make_hs256("{\"alg\":\"HS256\",\"typ\":\"session+jwt\"}", "{\"sub\":\"s\"}");
    is_user(&by, "s", "without what the policy has");
    by.types = any;
    is_user(&by, "s", "any type");
    by.types = NULL;
    is_user(&by, "s", "types unchecked");
    by.types = nothing;
    is_result(&by, TOKEN_MALFORMED, "no type");
    is_result(&policy, TOKEN_MALFORMED, "a type that is not in the list");
    make_hs256("{\"alg\":\"HS256\"}", "{\"sub\":\"s\"}");
    is_user(&by, "s", "a token without one");
}

/* What is refused for a member says which, and what it has to be. */
static void test_wanted(void)
{
    static const char *const names[] = {"one", NULL};
    static const struct {
        const char *header, *payload, *wanted;
    } cases[] = {
        {HS256, "{\"sub\":\"s\",\"exp\":\"1\"}", "exp has to be a number of seconds since 1970"},
        {HS256, "{\"sub\":\"s\",\"nbf\":true}", "nbf has to be a number of seconds since 1970"},
        {HS256, "{\"sub\":\"s\",\"aud\":{}}", "aud has to be a string or an array of strings"},
        {HS256, "{\"sub\":\"s\",\"aud\":[1]}", "aud has to be a string or an array of strings"},
        {HS256, "{\"sub\":\"s\",\"aud\":\"one\",\"iss\":1}", "iss has to be a string"},
        {HS256, "{\"sub\":\"s\",\"aud\":\"two\"}", NULL},
        {HS256, "{\"sub\":\"s\",\"exp\":1}", NULL},
        {HS256, "{", NULL},
        {HS256, "{\"aud\":\"one\",\"iss\":\"one\"}",
         "profile.uid, uid or sub has to be a string of 1 to 255 bytes"},
        {HS256, "{\"aud\":\"one\",\"iss\":\"one\",\"sub\":5}",
         "sub has to be a string of 1 to 255 bytes"},
        {HS256, "{\"aud\":\"one\",\"iss\":\"one\",\"uid\":\"\",\"sub\":\"s\"}",
         "uid has to be a string of 1 to 255 bytes"},
        {HS256, "{\"aud\":\"one\",\"iss\":\"one\",\"profile\":{},\"sub\":\"s\"}",
         "profile.uid has to be a string of 1 to 255 bytes"},
        {HS256, "{\"aud\":\"one\",\"iss\":\"one\",\"profile\":\"{}\",\"sub\":\"s\"}",
         "profile.uid has to be a string of 1 to 255 bytes"},
        {HS256, "{\"aud\":\"one\",\"iss\":\"one\",\"profile\":\"x\",\"compression\":\"zlib\"}",
         "profile has to be a JSON object, gzipped and in base64, with a uid of 1 to 255 bytes"},
        {"{\"alg\":\"HS256\",\"crit\":[]}", "{\"sub\":\"s\"}", "crit has to be absent"},
        {"{\"alg\":\"HS256\",\"typ\":\"x\"}", "{\"sub\":\"s\"}",
         "typ has to be one of auth:options:types"},
        {"{\"alg\":\"HS256\",\"kid\":1}", "{\"sub\":\"s\"}", "kid has to be a string"},
        {"{\"alg\":\"none\"}", "{\"sub\":\"s\"}", NULL},
    };
    struct token_policy by = policy;

    by.audiences = by.issuers = names;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make_hs256(cases[i].header, cases[i].payload);
        ok(verify(&by) != TOKEN_OK, "refused: %s", cases[i].payload);
        is_str(trial.wanted, cases[i].wanted, "what is wanted");
    }
    make_hs256(HS256, "{\"aud\":\"one\",\"iss\":\"one\",\"sub\":\"s\"}");
    ok(verify(&by) == TOKEN_OK && trial.wanted == NULL, "nothing, of a good one");
}

/* --- rooms -------------------------------------------------------------------- */

/* "a b "; NULL: the user names none. */
static const char *rooms_text(void)
{
    static char text[64];
    struct token_rooms_walk walk = {0};
    struct slice name;
    size_t len = 0;

    if (user.rooms == NULL)
        return NULL;
    while (token_rooms_next(user.rooms, NULL, &walk, &name))
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s ", (int)name.len, name.ptr);
    token_rooms_free(&user.rooms);
    return text;
}

static char rooms_of[] = "rooms", of_profile[] = "profile.rooms", of_url[] = "https://a.example/r",
            of_user[] = "uid", of_name[] = "profile";

static void test_rooms(void)
{
    static const struct {
        char *claim;
        const char *payload, *rooms;
    } rows[] = {
        {rooms_of, "{\"sub\":\"s\",\"rooms\":\"a\"}", "a "},
        {rooms_of, "{\"sub\":\"s\",\"rooms\":[\"b\",\"a\"]}", "a b "},
        {rooms_of, "{\"sub\":\"s\",\"rooms\":[]}", NULL},
        {rooms_of, "{\"sub\":\"s\",\"Rooms\":[\"a\"]}", NULL},
        {rooms_of, "{\"sub\":\"s\"}", NULL},
        {rooms_of, "{\"profile\":{\"uid\":\"p\",\"rooms\":[\"a\"]}}", NULL},
        {NULL, "{\"sub\":\"s\",\"rooms\":7}", NULL},
        {of_url, "{\"sub\":\"s\",\"https://a.example/r\":[\"a\"]}", "a "},
        {of_user, "{\"uid\":\"u\"}", "u "},
        {of_name, "{\"sub\":\"s\",\"profile\":[\"a\"]}", "a "},
        {of_profile, "{\"profile\":{\"uid\":\"p\",\"rooms\":[\"a\",\"b\"]}}", "a b "},
        {of_profile, "{\"profile\":{\"uid\":\"p\"},\"rooms\":[\"a\"]}", NULL},
        {of_profile, "{\"profile\":\"{\\\"uid\\\":\\\"p\\\",\\\"rooms\\\":\\\"a\\\"}\"}", "a "},
        {of_profile, "{\"profile\":\"https://example.org/\",\"uid\":\"u\",\"rooms\":\"a\"}", NULL},
        {of_profile, "{\"profile.rooms\":\"a\",\"uid\":\"u\"}", NULL},
    };
    struct token_policy by = policy;

    by.rooms_per_client = 4;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        by.rooms_claim = rows[i].claim;
        make_hs256(HS256, rows[i].payload);
        is_result(&by, TOKEN_OK, rows[i].payload);
        is_str(rooms_text(), rows[i].rooms, "its rooms");
    }
    by.rooms_claim = of_profile;
    make_compressed(pack("{\"rooms\":\"a\",\"uid\":\"z\"}", 23, MAX_WBITS + 16), "zlib");
    is_result(&by, TOKEN_OK, "of a compressed profile");
    is_str(rooms_text(), "a ", "its rooms");
}

static void test_bad_rooms(void)
{
    static const struct {
        char *claim;
        const char *payload;
        enum token_result want;
    } rows[] = {
        {rooms_of, "{\"sub\":\"s\",\"rooms\":7}", TOKEN_BAD_CLAIM},
        {rooms_of, "{\"sub\":\"s\",\"rooms\":null}", TOKEN_BAD_CLAIM},
        {rooms_of, "{\"sub\":\"s\",\"rooms\":\"\"}", TOKEN_BAD_CLAIM},
        {rooms_of, "{\"sub\":\"s\",\"rooms\":[\"a\",7]}", TOKEN_BAD_CLAIM},
        {rooms_of, "{\"sub\":\"s\",\"rooms\":[\"a\",\"b\",\"c\"]}", TOKEN_BAD_CLAIM},
        {rooms_of, "{\"sub\":\"s\",\"rooms\":{\"a\":1}}", TOKEN_BAD_CLAIM},
        {of_profile, "{\"profile\":{\"uid\":\"p\",\"rooms\":7}}", TOKEN_BAD_CLAIM},
        {of_profile, "{\"profile\":\"{\\\"uid\\\":\\\"p\\\",\\\"rooms\\\":[],\\\"rooms\\\":[]}\"}",
         TOKEN_BAD_CLAIM},
        /* The rest is judged before them. */
        {rooms_of, "{\"sub\":\"s\",\"rooms\":7,\"exp\":1}", TOKEN_EXPIRED},
        {rooms_of, "{\"rooms\":7}", TOKEN_NO_USER},
        {of_profile, "{\"profile\":{\"rooms\":7}}", TOKEN_NO_USER},
        {of_profile, "{\"profile\":{\"rooms\":[\"a\"]},\"sub\":\"s\"}", TOKEN_NO_USER},
        {of_profile, "{\"profile\":\"{\\\"uid\\\":\\\"p\\\",\\\"rooms\\\":\\\"\\\\u0000\\\"}\"}",
         TOKEN_NO_USER},
        {rooms_of, "{\"sub\":\"s\",\"rooms\":\"a\\u0000b\"}", TOKEN_MALFORMED},
        {rooms_of, "{\"sub\":\"s\",\"rooms\":\"a\xff\"}", TOKEN_MALFORMED},
        {rooms_of, "{\"sub\":\"s\",\"rooms\":\"a\\ud800\"}", TOKEN_MALFORMED},
    };
    struct token_policy by = policy;

    by.rooms_per_client = 4;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        by.rooms_claim = rows[i].claim;
        make_hs256(HS256, rows[i].payload);
        is_result(&by, rows[i].want, rows[i].payload);
        is_str(trial.claim, rows[i].want == TOKEN_BAD_CLAIM ? rows[i].claim : NULL, "the claim");
        if (rows[i].want == TOKEN_BAD_CLAIM)
            is_str(trial.wanted,
                   " has to be a string or an array of strings, each of 1 to 1024 bytes, at most "
                   "limits:roomsPerClient of them",
                   "and what it has to be");
    }
}

static void test_exact(void)
{
    struct token_policy by = policy;

    make_hs256(HS256, "{\"sub\":\"s\"}");
    by.token_bytes = token.len;
    is_result(&by, TOKEN_OK, "a token of exactly as many bytes as it may have");
    by.token_bytes--;
    is_result(&by, TOKEN_TOO_LARGE, "and of one more");
}

/* Whatever it says, signed or not. */
static void test_peek(void)
{
    static const char *const silent[] = {"",           "x",          "..",        "e30.e30",
                                         "e30.e30.AA", "bm8.e30.AA", "e30.bm8.AA"};
    static const char said[] = "{\"iss\":\"i\",\"profile\":{\"uid\":\"p\"}}";
    struct token_hint hint;
    char *claims = malloc(2000);

    put_text("{\"alg\":\"none\",\"kid\":\"k\"}", said, strlen(said));
    buf_putc(&token, '.');
    token_peek((char *)token.data, token.len, &hint);
    ok(strcmp(hint.kid, "k") == 0 && strcmp(hint.iss, "i") == 0 && strcmp(hint.uid, "p") == 0,
       "kid, iss and uid: %s %s %s", hint.kid, hint.iss, hint.uid);
    for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
        memset(&hint, 'x', sizeof(hint));
        token_peek(silent[i], strlen(silent[i]), &hint);
        ok(hint.kid[0] == '\0' && hint.iss[0] == '\0' && hint.uid[0] == '\0', "nothing in %s",
           silent[i]);
    }
    snprintf(claims, 2000, "{\"iss\":\"%0*d\",\"sub\":\"%0*d\",\"exp\":\"x\"}", 900, 1, 255, 1);
    make_hs256("{\"alg\":\"HS256\",\"kid\":5}", claims);
    token_peek((char *)token.data, token.len, &hint);
    ok(hint.kid[0] == '\0' && strlen(hint.iss) == sizeof(hint.iss) - 1 && strlen(hint.uid) == 255,
       "what is long is cut off");
    free(claims);
}

/* What nobody has signed is not looked into: neither the claims, nor much of a header. */
static void test_order(void)
{
    static const char *const forged[] = {"no JSON", "{\"sub\":\"s\",\"sub\":\"s\"}",
                                         "{\"exp\":\"x\",\"sub\":5}", "{\"exp\":1}"};
    struct buf header = {0};

    for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
        put_text(HS256, forged[i], strlen(forged[i]));
        sign_hmac(EVP_sha256(), "another secret, as long as the first one", 40);
        is_result(&policy, TOKEN_BAD_SIGNATURE, forged[i]);
    }
    put_text("{\"alg\":\"none\"}", "no JSON", 7);
    buf_putc(&token, '.');
    is_result(&policy, TOKEN_BAD_ALGORITHM, "an algorithm that is not taken, and no JSON");
    for (int n = JWT_HEADER_MAX; n <= JWT_HEADER_MAX + 1; n++) {
        buf_reset(&header);
        buf_printf(&header, "{\"alg\":\"HS256\",\"x5c\":\"%0*d\"}", n - 24, 0);
        is_int(header.len, n, "a long header");
        buf_putc(&header, '\0');
        make_hs256((char *)header.data, "{\"sub\":\"s\"}");
        is_result(&policy, n == JWT_HEADER_MAX ? TOKEN_OK : TOKEN_TOO_LARGE, "and its end");
    }
    buf_free(&header);
}

static void is_text(const char *text, size_t len, enum token_result want, const char *name)
{
    buf_reset(&token);
    buf_put(&token, text, len);
    is_result(&policy, want, name);
}

static void test_form(void)
{
    char good[256], text[512];
    size_t len, refused = 0, head;
    int n;

    make_hs256(HS256, "{\"sub\":\"s\"}");
    is_user(&policy, "s", "well-formed");
    len = token.len;
    memcpy(good, token.data, len);
    good[len] = '\0';
    head = strlen(good) - strlen(strrchr(good, '.'));

    is_text("", 0, TOKEN_MISSING, "empty");
    is_text(".", 1, TOKEN_MALFORMED, "one dot");
    is_text("..", 2, TOKEN_MALFORMED, "two dots");
    is_text("...", 3, TOKEN_MALFORMED, "three dots");
    is_text(good, head, TOKEN_MALFORMED, "two segments");
    n = snprintf(text, sizeof(text), "%s.", good);
    is_text(text, (size_t)n, TOKEN_MALFORMED, "a dot behind it");
    n = snprintf(text, sizeof(text), ".%s", good);
    is_text(text, (size_t)n, TOKEN_MALFORMED, "a dot before it");
    n = snprintf(text, sizeof(text), "%s.AA.AA", good);
    is_text(text, (size_t)n, TOKEN_MALFORMED, "five segments");
    n = snprintf(text, sizeof(text), "%s=", good);
    is_text(text, (size_t)n, TOKEN_MALFORMED, "padding");
    n = snprintf(text, sizeof(text), "%s\n", good);
    is_text(text, (size_t)n, TOKEN_MALFORMED, "a newline behind it");
    n = snprintf(text, sizeof(text), " %s", good);
    is_text(text, (size_t)n, TOKEN_MALFORMED, "a blank before it");
    is_text(good, len + 1, TOKEN_MALFORMED, "NUL behind it");
    n = snprintf(text, sizeof(text), "%.*s", (int)len, good);
    text[5] = '\0';
    is_text(text, (size_t)n, TOKEN_MALFORMED, "NUL in the header");
    n = snprintf(text, sizeof(text), "%s", good);
    text[head + 3] = '+';
    is_text(text, (size_t)n, TOKEN_MALFORMED, "base64 that is not base64url");
    /* The last of 43 characters has two bits to spare. */
    n = snprintf(text, sizeof(text), "%s", good);
    text[len - 1]++;
    is_text(text, (size_t)n, TOKEN_MALFORMED, "spare bits set in the signature");

    for (size_t i = 0; i < len; i++) {
        memcpy(text, good, len);
        text[i] = text[i] == 'A' ? 'B' : 'A';
        buf_reset(&token);
        buf_put(&token, text, len);
        refused += verify(&policy) != TOKEN_OK;
    }
    is_int(refused, len, "refused with any one character changed");
    for (size_t i = refused = 0; i < len; i++) {
        buf_reset(&token);
        buf_put(&token, good, i);
        refused += verify(&policy) != TOKEN_OK;
    }
    is_int(refused, len, "every prefix is refused");
}

/* --- keys --------------------------------------------------------------------- */
/* Which of several is chosen, and what none of them lets in, is in test_keys.c. */

static void test_keys(void)
{
    struct token_policy by = policy;
    struct token_keys *other = secret_keys("another secret, as long as the first one");
    struct token_keys *shortest = secret_keys("k"), *none = token_keys_new();

    put_text(HS256, "{\"sub\":\"s\"}", 11);
    sign_hmac(EVP_sha256(), "", 0);
    is_result(&policy, TOKEN_BAD_SIGNATURE, "signed with an empty key");
    by.keys = none;
    is_result(&by, TOKEN_BAD_ALGORITHM, "the same where there is no key");
    by.keys = NULL;
    is_result(&by, TOKEN_BAD_ALGORITHM, "the same where there is not even a set");
    make_hs256(HS256, "{\"sub\":\"s\"}");
    by.keys = other;
    is_result(&by, TOKEN_BAD_SIGNATURE, "another secret");
    by.keys = shortest;
    put_text(HS256, "{\"sub\":\"s\"}", 11);
    sign_hmac(EVP_sha256(), "k", 1);
    is_user(&by, "s", "a short secret");
    by = policy;
    by.algs = TOKEN_HS384 | TOKEN_HS512;
    make_hs256(HS256, "{\"sub\":\"s\"}");
    is_result(&by, TOKEN_BAD_ALGORITHM, "HS256 where HS384 and HS512 are accepted");
    put_text("{\"alg\":\"HS512\"}", "{\"sub\":\"s\"}", 11);
    sign_hmac(EVP_sha512(), secret, sizeof(secret) - 1);
    is_user(&by, "s", "HS512");
    token_keys_free(&other);
    token_keys_free(&shortest);
    token_keys_free(&none);
}

static void test_public(void)
{
    struct token_keys *keys = token_keys_new();
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    struct token_policy by = policy;

    is_int(token_keys_add_public(keys, (struct slice){0}, rsa, 0), KEY_OK, "an RSA key");
    by.keys = keys;
    put_text("{\"alg\":\"RS256\"}", "{\"sub\":\"s\"}", 11);
    sign_key(EVP_sha256(), rsa, 0);
    is_user(&by, "s", "RS256");
    by.algs = TOKEN_RS512;
    is_result(&by, TOKEN_BAD_ALGORITHM, "RS256 where RS512 is accepted");
    token_keys_free(&keys);
    EVP_PKEY_free(rsa);
}

/* The kid reaches the choice of the key as the header means it. */
static void test_kid(void)
{
    static const char *const headers[] = {"{\"alg\":\"HS256\",\"kid\":\"a/\u00e9\"}",
                                          "{\"alg\":\"HS256\",\"kid\":\"\\u0061\\/\\u00e9\"}"};
    struct token_keys *keys = token_keys_new();
    struct token_policy by = policy;

    token_keys_add_secret(keys, SLICE("a/\xc3\xa9"), secret, sizeof(secret) - 1, 0);
    by.keys = keys;
    for (size_t i = 0; i < 2; i++) {
        make_hs256(headers[i], "{\"sub\":\"s\"}");
        is_user(&by, "s", headers[i]);
    }
    make_hs256("{\"alg\":\"HS256\",\"kid\":\"a\"}", "{\"sub\":\"s\"}");
    is_result(&by, TOKEN_BAD_SIGNATURE, "a kid that only begins like the key's");
    make_hs256("{\"alg\":\"HS256\",\"kid\":\"\"}", "{\"sub\":\"s\"}");
    is_result(&by, TOKEN_BAD_SIGNATURE, "an empty kid");
    token_keys_free(&keys);
}

int main(void)
{
    struct token_keys *keys = secret_keys(secret);

    policy.keys = keys;
    test_vectors();
    test_times();
    test_exp_form();
    test_parties();
    test_users();
    test_lengths();
    test_compressed();
    test_headers();
    test_types();
    test_wanted();
    test_rooms();
    test_bad_rooms();
    test_exact();
    test_peek();
    test_order();
    test_form();
    test_keys();
    test_public();
    test_kid();
    for (int i = 0; i <= TOKEN_NO_MEMORY; i++)
        ok(token_result_code(i) != NULL && token_result_message(i) != NULL, "result %s",
           token_result_code(i));
    token_keys_free(&keys);
    buf_free(&token);
    return tap_done();
}
