#include "codec/token.h"

#include "base/base64.h"
#include "base/buf.h"
#include "tap.h"

#include <cjson/cJSON.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <zlib.h>

#define NOW 1000000

static const char secret[] = "a secret that is long enough for HS256";

/* --- making tokens ------------------------------------------------------------ */

static struct buf token; /* the last one made */

static void put_segment(const void *bytes, size_t len)
{
    uint8_t *to = buf_reserve(&token, BASE64URL_LEN(len) + 1);

    token.len += base64url_encode((char *)to, bytes, len);
}

static void put_text(const char *header, const char *payload, size_t payload_len)
{
    buf_reset(&token);
    put_segment(header, strlen(header));
    buf_putc(&token, '.');
    put_segment(payload, payload_len);
}

static void sign_hmac(const EVP_MD *md, const void *key, size_t key_len)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    HMAC(md, key, (int)key_len, token.data, token.len, mac, &len);
    buf_putc(&token, '.');
    put_segment(mac, len);
}

/* raw_len: bytes of r and s together, 0 for the signature as OpenSSL gives it. */
static void sign_key(const EVP_MD *md, EVP_PKEY *key, int raw_len)
{
    uint8_t sig[1024], raw[256];
    size_t len = sizeof(sig);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    EVP_DigestSignInit(ctx, NULL, md, NULL, key);
    EVP_DigestSign(ctx, sig, &len, token.data, token.len);
    EVP_MD_CTX_free(ctx);
    buf_putc(&token, '.');
    if (raw_len > 0) {
        const unsigned char *at = sig;
        ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &at, (long)len);

        BN_bn2binpad(ECDSA_SIG_get0_r(parts), raw, raw_len / 2);
        BN_bn2binpad(ECDSA_SIG_get0_s(parts), raw + raw_len / 2, raw_len / 2);
        ECDSA_SIG_free(parts);
        put_segment(raw, (size_t)raw_len);
    } else {
        put_segment(sig, len);
    }
}

#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static void make_hs256(const char *header, const char *payload)
{
    put_text(header, payload, strlen(payload));
    sign_hmac(EVP_sha256(), secret, sizeof(secret) - 1);
}

/* --- judging them ------------------------------------------------------------- */

static struct token_policy policy = {
    .secret = secret, .secret_len = sizeof(secret) - 1, .algs = TOKEN_HS, .token_bytes = 8192};
static struct token_user user;

/* Verifies the last token against a guard page; user must stay untouched unless
 * it is good. */
static enum token_result verify(const struct token_policy *by)
{
    unsigned char *guarded = tap_guard(token.data, token.len);
    static struct token_user untouched;
    enum token_result result;

    memset(&user, 0x5a, sizeof(user));
    untouched = user;
    result = token_verify(by, (char *)guarded, token.len, NOW, &user);
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

static char *read_file(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "r");
    size_t len;

    if (file == NULL)
        return NULL;
    len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    fclose(file);
    return text;
}

static const char *member(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static void test_vectors(void)
{
    cJSON *root = cJSON_Parse(read_file("test/vectors/tokens.json")), *row;
    struct token_policy by = policy;
    int n = 0;

    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(root, "tokens"))
    {
        const char *audiences[] = {member(row, "audience"), NULL};
        const char *issuers[] = {member(row, "issuer"), NULL};
        const char *text = member(row, "token"), *uid = member(row, "uid");
        enum token_result result;

        by.secret = member(row, "secret");
        by.secret_len = strlen(by.secret);
        by.audiences = audiences;
        by.issuers = issuers;
        result = token_verify(&by, text, strlen(text), 1795386700, &user);
        is_str(token_result_code(result), member(row, "expect"), member(row, "name"));
        if (uid != NULL)
            is_str(user.uid, uid, "its user");
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
        int64_t tolerance_s, expires;
    } cases[] = {
        {"{\"sub\":\"u\"}", TOKEN_OK, 0, 0},
        {"{\"sub\":\"u\",\"exp\":1000001}", TOKEN_OK, 0, NOW + 1},
        {"{\"sub\":\"u\",\"exp\":1000000}", TOKEN_EXPIRED, 0, 0},
        {"{\"sub\":\"u\",\"exp\":1000000}", TOKEN_OK, 1, NOW + 1},
        {"{\"sub\":\"u\",\"exp\":999990}", TOKEN_EXPIRED, 10, 0},
        {"{\"sub\":\"u\",\"exp\":999991}", TOKEN_OK, 10, NOW + 1},
        {"{\"sub\":\"u\",\"exp\":0}", TOKEN_EXPIRED, 0, 0},
        {"{\"sub\":\"u\",\"exp\":-1}", TOKEN_EXPIRED, 0, 0},
        {"{\"sub\":\"u\",\"exp\":9007199254740992}", TOKEN_OK, 0, (int64_t)1 << 53},
        {"{\"sub\":\"u\",\"exp\":9007199254740993}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":-9007199254740993}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":18446744073709551616}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":18446744073710551616}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":\"2000000\"}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":2000000.5}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":2000000.0}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":2e6}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"exp\":1e999}", TOKEN_BAD_CLAIM, 0, 0},
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
        {"{\"sub\":\"u\",\"nbf\":18446744073709551616}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"nbf\":\"1\"}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"nbf\":0.5}", TOKEN_BAD_CLAIM, 0, 0},
        {"{\"sub\":\"u\",\"iat\":\"never\"}", TOKEN_OK, 0, 0},
        {"{\"sub\":\"u\",\"iat\":1e999}", TOKEN_MALFORMED, 0, 0},
    };
    struct token_policy by = policy;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        by.tolerance_s = cases[i].tolerance_s;
        make_hs256(HS256, cases[i].payload);
        is_result(&by, cases[i].want, cases[i].payload);
        if (cases[i].want == TOKEN_OK)
            is_int(user.expires, cases[i].expires, "when it expires");
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
        {"{\"profile\":null,\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":[\"uid\",\"p\"],\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":7,\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":\"\",\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":\"p\",\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":\"null\",\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":\"\\\"uid\\\"\",\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":\"{\\\"uid\\\":\\\"p\\\"} x\",\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":\"{\\\"uid\\\":5}\",\"sub\":\"s\"}", TOKEN_NO_USER},
        {"{\"profile\":\"{\\\"uid\\\":\\\"a\\\\u0000\\\"}\"}", TOKEN_NO_USER},
        {"{\"profile\":\"{\\\"uid\\\":\\\"a\\\\ud800\\\"}\"}", TOKEN_NO_USER},
        {"{\"profile\":\"{\\\"uid\\\":\\\"a\\\",\\\"uid\\\":\\\"b\\\"}\"}", TOKEN_NO_USER},
        {"{\"profile\":{\"uid\":\"a\",\"uid\":\"b\"}}", TOKEN_NO_USER},
        {"{\"sub\":\"a\",\"sub\":\"b\"}", TOKEN_MALFORMED},
        {"{\"sub\":\"admin\\u0000x\"}", TOKEN_MALFORMED},
        {"{\"sub\\u0000x\":\"admin\"}", TOKEN_MALFORMED},
        {"{\"sub\":\"s\",\"bio\":\"\\\\\\u0000\"}", TOKEN_MALFORMED},
        {"{\"sub\":\"a\\ud800\"}", TOKEN_MALFORMED},
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
    is_result(&policy, TOKEN_NO_USER, "another compression");
    make_compressed(n - 1, "zlib");
    is_result(&policy, TOKEN_NO_USER, "cut off");
    make_compressed(0, "zlib");
    is_result(&policy, TOKEN_NO_USER, "nothing");
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
        {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", TOKEN_MALFORMED},
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

struct key {
    EVP_PKEY *pair;
    char pem[2048]; /* of the public key */
    struct token_policy policy;
};

static size_t put_pem(struct key *key, EVP_PKEY *pair)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int len;

    PEM_write_bio_PUBKEY(bio, pair);
    len = BIO_read(bio, key->pem, sizeof(key->pem) - 1);
    BIO_free(bio);
    key->pem[len] = '\0';
    return (size_t)len;
}

static void key_init(struct key *key, EVP_PKEY *pair)
{
    *key = (struct key){.pair = pair};
    key->policy.public_key_len = put_pem(key, pair);
    key->policy.public_key = key->pem;
    key->policy.public_algs = token_pem_algs(key->pem, key->policy.public_key_len);
    key->policy.algs = key->policy.public_algs;
    key->policy.token_bytes = 8192;
}

static void make_signed(const char *alg, const EVP_MD *md, const struct key *key, int raw_len)
{
    char header[64];

    snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", alg);
    put_text(header, "{\"sub\":\"s\"}", 11);
    sign_key(md, key->pair, raw_len);
}

static void test_rsa(void)
{
    struct key rsa;
    struct token_policy by;

    key_init(&rsa, EVP_RSA_gen(2048));
    is_int(rsa.policy.public_algs, TOKEN_RS, "RSA of 2048 bits does RS");
    make_signed("RS256", EVP_sha256(), &rsa, 0);
    is_user(&rsa.policy, "s", "RS256");
    make_signed("RS384", EVP_sha384(), &rsa, 0);
    is_user(&rsa.policy, "s", "RS384");
    make_signed("RS512", EVP_sha512(), &rsa, 0);
    is_user(&rsa.policy, "s", "RS512");
    by = rsa.policy;
    by.algs = TOKEN_RS256;
    is_result(&by, TOKEN_BAD_ALGORITHM, "RS512 where RS256 is accepted");
    make_signed("RS256", EVP_sha512(), &rsa, 0);
    is_result(&by, TOKEN_BAD_SIGNATURE, "RS256 over the wrong hash");
    make_signed("ES256", EVP_sha256(), &rsa, 0);
    by.algs = ~0u;
    is_result(&by, TOKEN_BAD_ALGORITHM, "ES256 under an RSA key");

    put_text(HS256, "{\"sub\":\"s\"}", 11);
    sign_hmac(EVP_sha256(), rsa.pem, by.public_key_len);
    is_result(&rsa.policy, TOKEN_BAD_ALGORITHM, "HS256 signed with the public PEM");
    is_result(&by, TOKEN_BAD_ALGORITHM, "the same, every algorithm accepted, no secret");
    by.secret = secret;
    by.secret_len = sizeof(secret) - 1;
    is_result(&by, TOKEN_BAD_SIGNATURE, "the same, with a secret too");
    make_hs256(HS256, "{\"sub\":\"s\"}");
    is_user(&by, "s", "a secret beside a public key");
    put_text("{\"alg\":\"RS256\"}", "{\"sub\":\"s\"}", 11);
    sign_hmac(EVP_sha256(), secret, sizeof(secret) - 1);
    is_result(&by, TOKEN_BAD_SIGNATURE, "RS256 that is an HMAC");
    EVP_PKEY_free(rsa.pair);
}

static void test_ec(void)
{
    struct key p256, p384, p521, other;
    struct token_policy by;

    key_init(&p256, EVP_EC_gen("P-256"));
    key_init(&p384, EVP_EC_gen("P-384"));
    key_init(&p521, EVP_EC_gen("P-521"));
    key_init(&other, EVP_EC_gen("P-256"));
    is_int(p256.policy.public_algs, TOKEN_ES256, "P-256 does ES256");
    is_int(p384.policy.public_algs, TOKEN_ES384, "P-384 does ES384");
    is_int(p521.policy.public_algs, TOKEN_ES512, "P-521 does ES512");
    make_signed("ES384", EVP_sha384(), &p384, 96);
    is_user(&p384.policy, "s", "ES384");
    make_signed("ES512", EVP_sha512(), &p521, 132);
    is_user(&p521.policy, "s", "ES512");
    make_signed("ES256", EVP_sha256(), &p384, 96);
    by = p384.policy;
    by.algs = TOKEN_ES;
    is_result(&by, TOKEN_BAD_ALGORITHM, "ES256 with a P-384 key");
    make_signed("ES256", EVP_sha256(), &p256, 0);
    is_result(&p256.policy, TOKEN_BAD_SIGNATURE, "ES256 as DER");
    make_signed("ES256", EVP_sha256(), &p256, 64);
    is_user(&p256.policy, "s", "ES256");
    is_result(&other.policy, TOKEN_BAD_SIGNATURE, "ES256 of another key");
    token.len = (size_t)((char *)memrchr(token.data, '.', token.len) - (char *)token.data) + 1;
    put_segment("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                64);
    is_result(&p256.policy, TOKEN_BAD_SIGNATURE, "ES256 with r and s of 0");
    EVP_PKEY_free(p256.pair);
    EVP_PKEY_free(p384.pair);
    EVP_PKEY_free(p521.pair);
    EVP_PKEY_free(other.pair);
}

static void test_secrets(void)
{
    struct token_policy by = policy;

    put_text(HS256, "{\"sub\":\"s\"}", 11);
    sign_hmac(EVP_sha256(), "", 0);
    is_result(&policy, TOKEN_BAD_SIGNATURE, "signed with an empty key");
    by.secret = "";
    by.secret_len = 0;
    is_result(&by, TOKEN_BAD_ALGORITHM, "the same under an empty secret");
    by.secret = NULL;
    is_result(&by, TOKEN_BAD_ALGORITHM, "no key at all");
    make_hs256(HS256, "{\"sub\":\"s\"}");
    by.secret = "another secret, as long as the first one";
    by.secret_len = strlen(by.secret);
    is_result(&by, TOKEN_BAD_SIGNATURE, "another secret");
    by.secret = "k";
    by.secret_len = 1;
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
}

static void is_pem(EVP_PKEY *pair, unsigned want, const char *name)
{
    struct key key;

    key_init(&key, pair);
    is_int(key.policy.public_algs, want, name);
    EVP_PKEY_free(pair);
}

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

static void test_pem(void)
{
    static char text[8192];
    struct key key;
    unsigned any = 0;
    size_t n;

    key_init(&key, EVP_EC_gen("P-256"));
    n = key.policy.public_key_len;
    is_int(token_pem_algs(key.pem, 0), 0, "an empty PEM");
    is_int(token_pem_algs("garbage", 7), 0, "no PEM");
    for (size_t i = 0; i + 2 < n; i++) { /* the last dash's newline may go */
        unsigned char *guarded = tap_guard(key.pem, i);

        any |= token_pem_algs((char *)guarded, i);
        tap_guard_free(guarded, i);
    }
    is_int(any, 0, "a PEM cut off anywhere");
    memcpy(text, key.pem, n);
    memcpy(text + n, key.pem, n);
    is_int(token_pem_algs(text, 2 * n), 0, "two public keys");
    is_int(token_pem_algs(text, write_certificate(text, sizeof(text), key.pair)), 0,
           "a certificate");
    n = write_private(text, sizeof(text), key.pair);
    is_int(token_pem_algs(text, n), 0, "a private key");
    memcpy(text + n, key.pem, key.policy.public_key_len);
    is_int(token_pem_algs(text, n + key.policy.public_key_len), 0, "a private key before it");
    EVP_PKEY_free(key.pair);
    is_pem(EVP_RSA_gen(1024), 0, "RSA of 1024 bits");
    is_pem(EVP_EC_gen("secp256k1"), 0, "a curve that is not used");
    is_pem(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), 0, "Ed25519");
}

int main(void)
{
    test_vectors();
    test_times();
    test_parties();
    test_users();
    test_lengths();
    test_compressed();
    test_headers();
    test_form();
    test_secrets();
    test_rsa();
    test_ec();
    test_pem();
    is_int(token_alg_parse("ES512"), TOKEN_ES512, "ES512 is known");
    is_int(token_alg_parse("none"), 0, "none is not");
    for (int i = 0; i <= TOKEN_NO_MEMORY; i++)
        ok(token_result_code(i) != NULL && token_result_message(i) != NULL, "result %s",
           token_result_code(i));
    buf_free(&token);
    return tap_done();
}
