/* JWK Sets: which keys are taken, which are left out, and what makes a set bad. */
#include "codec/jwks.h"

#include "jwt_sign.h"
#include "tap.h"

#include <openssl/core_names.h>
#include <openssl/rsa.h>

#define K32 "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY" /* 0123456789abcdef twice */

static struct buf notes; /* "BAD 1: text" or "1: text", a line each */
static EVP_PKEY *rsa, *p256, *p384, *p521;

static void on_note(void *arg, int bad, unsigned line, const char *text)
{
    (void)arg;
    buf_printf(&notes, "%s%u: %s\n", bad ? "BAD " : "", line, text);
}

/* The keys of text, read against a guard page; NULL if the set is bad. */
static struct token_keys *parse(const char *text)
{
    size_t len = strlen(text);
    unsigned char *guarded = tap_guard(text, len);
    struct token_keys *keys = token_keys_new();
    int result;

    buf_reset(&notes);
    result = jwks_parse(keys, (char *)guarded, len, on_note, NULL);
    tap_guard_free(guarded, len);
    buf_putc(&notes, '\0');
    if (result != 0)
        token_keys_free(&keys);
    return keys;
}

static int noted(const char *part)
{
    return strstr((char *)notes.data, part) != NULL;
}

/* --- members of a key --------------------------------------------------------- */

static void put_number(struct buf *out, const char *name, EVP_PKEY *pair, const char *param,
                       size_t len)
{
    BIGNUM *number = NULL;
    uint8_t bytes[512], *to;

    EVP_PKEY_get_bn_param(pair, param, &number);
    if (len == 0)
        len = (size_t)BN_num_bytes(number);
    BN_bn2binpad(number, bytes, (int)len);
    buf_printf(out, ",\"%s\":\"", name);
    to = buf_reserve(out, BASE64URL_LEN(len) + 4);
    out->len += base64url_encode((char *)to, bytes, len);
    buf_putc(out, '"');
    BN_free(number);
}

/* pair's public key as a JWK with more members.  Valid for the next three calls. */
static const char *jwk(EVP_PKEY *pair, const char *more)
{
    static struct buf ring[4];
    static unsigned turn;
    struct buf *out = &ring[turn++ % 4];
    size_t len = pair == p256 ? 32 : pair == p384 ? 48 : 66;

    buf_reset(out);
    if (pair == rsa) {
        buf_puts(out, "{\"kty\":\"RSA\"");
        put_number(out, "n", pair, OSSL_PKEY_PARAM_RSA_N, 0);
        put_number(out, "e", pair, OSSL_PKEY_PARAM_RSA_E, 0);
    } else {
        buf_printf(out, "{\"kty\":\"EC\",\"crv\":\"P-%d\"", EVP_PKEY_get_bits(pair));
        put_number(out, "x", pair, OSSL_PKEY_PARAM_EC_PUB_X, len);
        put_number(out, "y", pair, OSSL_PKEY_PARAM_EC_PUB_Y, len);
    }
    buf_printf(out, "%s}", more);
    buf_putc(out, '\0');
    return (char *)out->data;
}

/* "a, b" of up to three keys as a set. */
static struct token_keys *parse_keys(const char *one, const char *two, const char *three)
{
    struct buf text = {0};
    struct token_keys *keys;

    buf_printf(&text, "{\"keys\":[%s%s%s%s%s]}", one, two != NULL ? "," : "",
               two != NULL ? two : "", three != NULL ? "," : "", three != NULL ? three : "");
    buf_putc(&text, '\0');
    keys = parse((char *)text.data);
    buf_free(&text);
    return keys;
}

/* --- taken -------------------------------------------------------------------- */

static int verify(const struct token_keys *keys, unsigned alg, struct slice kid)
{
    size_t at = (size_t)((uint8_t *)memrchr(token.data, '.', token.len) - token.data);
    uint8_t sig[1024];
    long len = base64_decode(sig, (char *)token.data + at + 1, token.len - at - 1);

    return token_keys_find(keys, alg, kid, (struct slice){(char *)token.data, at},
                           (struct slice){(char *)sig, (size_t)len}, &(unsigned){KEYS_MAX},
                           &(uint32_t){0}) >= 0;
}

static void test_taken(void)
{
    struct token_keys *keys;
    char name[16];

    keys = parse("{\"keys\":[{\"kty\":\"oct\",\"k\":\"" K32 "\",\"kid\":\"h\"}],\"more\":1}");
    ok(keys != NULL && token_keys_algs(keys) == TOKEN_HS && notes.len == 1, "a secret");
    put_text("{}", "{}", 2);
    sign_hmac(EVP_sha384(), "0123456789abcdef0123456789abcdef", 32);
    ok(keys != NULL && verify(keys, TOKEN_HS384, SLICE("h")), "is what k decodes to");
    token_keys_free(&keys);

    keys = parse_keys(jwk(rsa, ",\"alg\":\"RS512\",\"use\":\"sig\""),
                      jwk(rsa, ",\"key_ops\":[\"sign\",\"verify\"]"), NULL);
    ok(keys != NULL && token_keys_count(keys) == 2 && token_keys_algs(keys) == TOKEN_RS,
       "RSA, twice");
    put_text("{}", "{}", 2);
    sign_key(EVP_sha256(), rsa, 0);
    ok(keys != NULL && verify(keys, TOKEN_RS256, (struct slice){0}), "verifies");
    token_keys_free(&keys);
    keys = parse_keys(jwk(rsa, ",\"alg\":\"RS512\""), NULL, NULL);
    is_int(token_keys_algs(keys), TOKEN_RS512, "an alg is the only one that it is for");
    ok(keys != NULL && !verify(keys, TOKEN_RS256, (struct slice){0}), "and it verifies no other");
    token_keys_free(&keys);

    for (int i = 0; i < 3; i++) {
        EVP_PKEY *pair = i == 0 ? p256 : i == 1 ? p384 : p521;

        snprintf(name, sizeof(name), "%d bits", EVP_PKEY_get_bits(pair));
        keys = parse_keys(jwk(pair, ",\"kid\":\"e\",\"x5c\":[\"junk\"],\"ext\":true"), NULL, NULL);
        is_int(token_keys_algs(keys), TOKEN_ES256 << i, name);
        put_text("{}", "{}", 2);
        sign_key(i == 0   ? EVP_sha256()
                 : i == 1 ? EVP_sha384()
                          : EVP_sha512(),
                 pair,
                 i == 0   ? 64
                 : i == 1 ? 96
                          : 132);
        ok(keys != NULL && verify(keys, TOKEN_ES256 << i, SLICE("e")), "verifies");
        token_keys_free(&keys);
    }
    keys = parse("{\"keys\":[]}");
    ok(keys != NULL && token_keys_count(keys) == 0, "a set without keys is sound");
    token_keys_free(&keys);
    keys = parse("{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}]}");
    ok(keys != NULL && noted("1: key 1: the secret has 5 bytes; fewer than 32"), "a short secret");
    token_keys_free(&keys);
}

/* The example of RFC 7517, A.1, whose first key is for encryption. */
static void test_example(void)
{
    struct token_keys *keys = parse(
        "{\"keys\":\n"
        "  [\n"
        "    {\"kty\":\"EC\",\n"
        "     \"crv\":\"P-256\",\n"
        "     \"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\",\n"
        "     \"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\",\n"
        "     \"use\":\"enc\",\n"
        "     \"kid\":\"1\"},\n"
        "    {\"kty\":\"RSA\",\n"
        "     \"n\": \"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPF"
        "FxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ"
        "5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrd"
        "kt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        "kEgU8awapJzKnqDKgw\""
        ",\n"
        "     \"e\":\"AQAB\",\n"
        "     \"alg\":\"RS256\",\n"
        "     \"kid\":\"2011-04-29\"}\n"
        "  ]\n"
        "}\n");

    ok(keys != NULL && token_keys_count(keys) == 1 && token_keys_algs(keys) == TOKEN_RS256,
       "the example of RFC 7517");
    is_str((char *)notes.data, "3: key 1 (kid \"1\"): its \"use\" is not \"sig\"; it is left out\n",
           "what was left out of it");
    token_keys_free(&keys);
}

/* --- left out ----------------------------------------------------------------- */

static void is_left_out(const char *key, const char *why)
{
    struct token_keys *keys = parse_keys(key, "{\"kty\":\"oct\",\"k\":\"" K32 "\"}", NULL);

    ok(keys != NULL && token_keys_count(keys) == 1 && token_keys_algs(keys) == TOKEN_HS &&
           noted(why) && noted("left out"),
       "left out: %s", why);
    token_keys_free(&keys);
}

static void test_left_out(void)
{
    EVP_PKEY *keep = rsa;

    is_left_out("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\",\"kid\":\"o\\nk\"}",
                "1: key 1 (kid \"o\\x0ak\"): its \"kty\" is none of oct, RSA and EC");
    is_left_out("{\"kty\":\"rsa\"}", "its \"kty\"");
    is_left_out("{\"kty\":\"\"}", "its \"kty\"");
    is_left_out(jwk(rsa, ",\"use\":\"enc\""), "its \"use\" is not \"sig\"");
    is_left_out(jwk(rsa, ",\"key_ops\":[\"encrypt\"]"), "its \"key_ops\" has no \"verify\"");
    is_left_out(jwk(rsa, ",\"key_ops\":[]"), "its \"key_ops\" has no \"verify\"");
    is_left_out(jwk(rsa, ",\"alg\":\"PS256\""), "its \"alg\" is not supported");
    is_left_out(jwk(rsa, ",\"alg\":\"none\""), "its \"alg\" is not supported");
    is_left_out("{\"kty\":\"oct\",\"k\":\"" K32 "\",\"alg\":\"A128KW\"}", "its \"alg\" is not");
    is_left_out("{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}", "its curve is");
    rsa = EVP_RSA_gen(1024);
    is_left_out(jwk(rsa, ""), "RSA of 1024 bits");
    EVP_PKEY_free(rsa);
    rsa = keep;
}

/* --- bad ---------------------------------------------------------------------- */

static void is_bad(const char *text, const char *why)
{
    struct token_keys *keys = parse(text);

    ok(keys == NULL && noted("BAD ") && noted(why) && !noted(K32), "bad: %s", why);
    if (keys != NULL || !noted(why))
        printf("# %s", (char *)notes.data);
    token_keys_free(&keys);
}

static void is_bad_key(const char *key, const char *why)
{
    struct buf text = {0};

    buf_printf(&text, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"" K32 "\"},\n%s]}", key);
    buf_putc(&text, '\0');
    is_bad((char *)text.data, why);
    buf_free(&text);
}

static void test_bad_sets(void)
{
    struct buf text = {0};

    is_bad("", "BAD 1: ");
    is_bad("{\"keys\":[", "BAD 1: found the end");
    is_bad("{\"keys\":[]}x", "BAD 1: ");
    is_bad("[]", "1: found no array \"keys\"");
    is_bad("{}", "found no array \"keys\"");
    is_bad("{\"Keys\":[]}", "found no array \"keys\"");
    is_bad("{\"keys\":{}}", "found no array \"keys\"");
    is_bad("{\"keys\":[],\"keys\":[]}", "BAD 1: ");
    is_bad("-----BEGIN PUBLIC KEY-----", "BAD 1: ");
    is_bad_key("5", "BAD 2: key 2: it is no object");
    is_bad_key("5,\n6,{\"kty\":\"x\"}", "BAD 2: key 2: it is no object");
    ok(!noted("key 3") && !noted("key 4"), "what comes after it is not looked at");
    buf_puts(&text, "{\"keys\":[");
    for (int i = 0; i <= KEYS_MAX; i++)
        buf_printf(&text, "%s{\"kty\":\"oct\",\"k\":\"" K32 "\"}", i > 0 ? "," : "");
    buf_puts(&text, "]}");
    buf_putc(&text, '\0');
    is_bad((char *)text.data, "key 33: there are more than 32 keys");
    buf_free(&text);
}

static void test_bad_keys(void)
{
    static const char *const secrets[] = {"d", "p", "q", "dp", "dq", "qi", "oth"};
    struct buf text = {0};
    char pem[4096];
    size_t len = write_public(pem, sizeof(pem), p256);

    is_bad_key("{\"k\":\"" K32 "\"}", "BAD 2: key 2: its \"kty\" is missing");
    is_bad_key("{\"kty\":5}", "its \"kty\" is no string");
    is_bad_key("{\"kty\":\"oct\"}", "its \"k\" is missing");
    is_bad_key("{\"kty\":\"oct\",\"K\":\"" K32 "\"}", "its \"k\" is missing");
    is_bad_key("{\"kty\":\"oct\",\"k\":\"\"}", "its \"k\" is no string, or an empty one");
    is_bad_key("{\"kty\":\"oct\",\"k\":7}", "its \"k\" is no string");
    is_bad_key("{\"kty\":\"oct\",\"k\":\"a\"}", "its \"k\" is not base64url");
    is_bad_key("{\"kty\":\"oct\",\"k\":\"YQ==\"}", "its \"k\" is not base64url");
    is_bad_key("{\"kty\":\"oct\",\"k\":\"+/+/\"}", "its \"k\" is not base64url");
    is_bad_key("{\"kty\":\"oct\",\"k\":\"a b\"}", "its \"k\" is not base64url");
    is_bad_key("{\"kty\":\"oct\",\"k\":\"" K32 "\",\"k\":\"" K32 "\"}", "BAD 2: ");
    is_bad_key("{\"kty\":\"oct\",\"k\":\"" K32 "\",\"alg\":\"RS256\"}", "its \"alg\" is none that");
    is_bad_key("{\"kty\":\"oct\",\"k\":\"" K32 "\",\"alg\":256}", "its \"alg\" is no string");
    is_bad_key("{\"kty\":\"oct\",\"k\":\"" K32 "\",\"use\":[]}", "its \"use\" is no string");
    is_bad_key("{\"kty\":\"oct\",\"k\":\"" K32 "\",\"key_ops\":\"verify\"}", "\"key_ops\" is no");
    is_bad_key("{\"kty\":\"oct\",\"k\":\"" K32 "\",\"key_ops\":[1]}", "\"key_ops\" has what");
    is_bad_key("{\"kty\":\"oct\",\"k\":\"" K32 "\",\"kid\":1}", "its \"kid\" is no string");
    is_bad_key("{\"kty\":\"oct\",\"k\":\"" K32 "\",\"kid\":\"\"}", "its kid is empty");
    is_bad_key("{\"kty\":\"oct\",\"k\":\"" K32 "\",\"kid\":\"a\\u0000\"}", "BAD 2: ");
    buf_puts(&text, "{\"kty\":\"oct\",\"k\":\"");
    text.len += base64url_encode((char *)buf_reserve(&text, BASE64URL_LEN(len)), pem, len);
    buf_puts(&text, "\"}");
    buf_putc(&text, '\0');
    is_bad_key((char *)text.data, "its secret is a public key or holds a PEM");
    buf_free(&text);

    is_bad_key(jwk(rsa, ",\"alg\":\"ES256\""), "its \"alg\" is none that");
    is_bad_key(jwk(rsa, ",\"alg\":\"HS256\""), "its \"alg\" is none that");
    is_bad_key(jwk(p384, ",\"alg\":\"ES256\""), "its \"alg\" is none that");
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        char member[32], said[64];

        snprintf(member, sizeof(member), ",\"%s\":[]", secrets[i]);
        snprintf(said, sizeof(said), "it is a private key (it has \"%s\")", secrets[i]);
        is_bad_key(jwk(rsa, member), said);
    }
    is_bad_key(jwk(rsa, ",\"qi\":\"AA\",\"use\":\"enc\""), "it is a private key (it has \"qi\")");
    is_bad_key(jwk(p256, ",\"d\":null"), "it is a private key");
    is_bad_key("{\"kty\":\"RSA\",\"n\":\"AQAB\"}", "its \"e\" is missing");
    is_bad_key("{\"kty\":\"EC\",\"x\":\"AA\",\"y\":\"AA\"}", "its \"crv\" is missing");
    is_bad_key("{\"kty\":\"EC\",\"crv\":\"P-256\","
               "\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","
               "\"y\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\"}",
               "its numbers are not those of a public key");
    /* An even modulus of 2048 bits. */
    buf_puts(&text, "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"");
    for (int i = 0; i < 341; i++)
        buf_putc(&text, '_');
    buf_puts(&text, "A\"}");
    buf_putc(&text, '\0');
    is_bad_key((char *)text.data, "its ");
    buf_free(&text);
}

/* The first number from this one on that is odd and has none of the factors from 3 to last. */
static void sieve(BIGNUM *number, BN_ULONG last)
{
    BN_set_bit(number, 0);
    for (BN_ULONG factor = 3; factor <= last; factor += 2) {
        if (BN_mod_word(number, factor) == 0) {
            BN_add_word(number, 2);
            factor = 1;
        }
    }
}

/* An RSA key of so many bits that is a multiple of factor, and of none from 3 to 1,000 else. */
static const char *jwk_of(int bits, BN_ULONG factor, const char *e)
{
    static struct buf out;
    uint8_t bytes[1024];
    BIGNUM *n = BN_new();
    int len;

    BN_set_word(n, 1);
    BN_lshift(n, n, bits - 1);
    BN_div_word(n, factor);
    BN_add_word(n, 1);
    sieve(n, 1000);
    BN_mul_word(n, factor);
    len = BN_bn2bin(n, bytes);
    buf_reset(&out);
    buf_puts(&out, "{\"kty\":\"RSA\",\"n\":\"");
    out.len += base64url_encode((char *)buf_reserve(&out, BASE64URL_LEN(sizeof(bytes))), bytes,
                                (size_t)len);
    buf_printf(&out, "\",\"e\":\"%s\"}", e);
    buf_putc(&out, '\0');
    is_int(BN_num_bits(n), bits, "a modulus of so many bits");
    BN_free(n);
    return (char *)out.data;
}

static void is_good(const char *key, const char *name)
{
    struct token_keys *keys = parse_keys(key, NULL, NULL);

    ok(keys != NULL && token_keys_count(keys) == 1 && notes.len == 1, "%s", name);
    token_keys_free(&keys);
}

/* The last size of each number that is taken, and the first that is not. */
static void test_sizes(void)
{
    struct token_keys *keys;

    is_good(jwk_of(2048, 1, "AQAB"), "RSA of 2048 bits");
    is_good(jwk_of(4096, 1, "AQAB"), "RSA of 4096 bits");
    is_left_out(jwk_of(2047, 1, "AQAB"), "RSA of 2047 bits, wanted 2048 to 4096");
    is_left_out(jwk_of(4097, 1, "AQAB"), "RSA of 4097 bits, wanted 2048 to 4096");
    is_good(jwk_of(2048, 1, "gAAAAAAAAAE"), "an exponent of 64 bits");
    is_left_out(jwk_of(2048, 1, "AQAAAAAAAAAB"), "an exponent of 64 at most");
    is_good(jwk_of(2048, 1, "Aw"), "an exponent of 3");
    is_bad_key(jwk_of(2048, 1, "AQ"), "its numbers are not those of a public key");
    is_bad_key(jwk_of(2048, 1, "AQAA"), "its numbers are not those of a public key");
    is_bad_key(jwk_of(2048, 3, "AQAB"), "its numbers are not those of a public key");
    is_bad_key(jwk_of(2048, 751, "AQAB"), "its numbers are not those of a public key");
    is_good(jwk_of(2048, 757, "AQAB"), "a factor above those that are tried");
    is_good("{\"kty\":\"oct\",\"k\":\"" K32 "\"}", "a secret of 32 bytes, without a warning");
    keys = parse_keys("{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZQ\"}",
                      NULL, NULL);
    ok(noted("the secret has 31 bytes; fewer than 32"), "and of 31, with one");
    token_keys_free(&keys);
}

/* An EC key of a curve whose coordinates have len bytes, with so many: one more has a zero in
 * front, one less has its first byte cut off. */
static const char *jwk_sized(EVP_PKEY *pair, size_t len, size_t x_len, size_t y_len)
{
    static struct buf out;
    const char *const params[] = {OSSL_PKEY_PARAM_EC_PUB_X, OSSL_PKEY_PARAM_EC_PUB_Y};
    const size_t lens[] = {x_len, y_len};

    buf_reset(&out);
    buf_printf(&out, "{\"kty\":\"EC\",\"crv\":\"P-%d\"", EVP_PKEY_get_bits(pair));
    for (int i = 0; i < 2; i++) {
        BIGNUM *number = NULL;
        uint8_t bytes[128] = {0};

        EVP_PKEY_get_bn_param(pair, params[i], &number);
        BN_bn2binpad(number, bytes + 1, (int)len);
        buf_printf(&out, ",\"%s\":\"", i == 0 ? "x" : "y");
        out.len += base64url_encode((char *)buf_reserve(&out, BASE64URL_LEN(128)),
                                    bytes + 1 + len - lens[i], lens[i]);
        buf_putc(&out, '"');
        BN_free(number);
    }
    buf_puts(&out, "}");
    buf_putc(&out, '\0');
    return (char *)out.data;
}

/* Each coordinate is as long as its curve has it (RFC 7518, 6.2.1), whatever the other is. */
static void test_coordinates(void)
{
    static const size_t sizes[] = {32, 48, 66};
    EVP_PKEY *pairs[] = {p256, p384, p521};

    for (int i = 0; i < 3; i++) {
        size_t len = sizes[i];
        char why[64];

        (void)snprintf(why, sizeof(why), "its \"x\" and \"y\" have not %zu bytes", len);
        is_good(jwk_sized(pairs[i], len, len, len), "both of the right length");
        is_bad_key(jwk_sized(pairs[i], len, len - 1, len), why);
        is_bad_key(jwk_sized(pairs[i], len, len + 1, len), why);
        is_bad_key(jwk_sized(pairs[i], len, len, len - 1), why);
        is_bad_key(jwk_sized(pairs[i], len, len, len + 1), why);
        is_bad_key(jwk_sized(pairs[i], len, len - 1, len + 1), why);
        is_bad_key(jwk_sized(pairs[i], len, len + 1, len - 1), why);
    }
}

/* Each prefix of a good set is bad, but for what ends in white space. */
static void test_prefixes(void)
{
    struct buf text = {0};
    size_t good = 0;

    buf_printf(&text, "{\"keys\":[%s,%s]}", jwk(rsa, ",\"kid\":\"r\""), jwk(p256, ""));
    for (size_t i = 0; i < text.len; i++) {
        unsigned char *guarded = tap_guard(text.data, i);
        struct token_keys *keys = token_keys_new();

        good += jwks_parse(keys, (char *)guarded, i, on_note, NULL) == 0;
        token_keys_free(&keys);
        tap_guard_free(guarded, i);
    }
    is_int(good, 0, "a file that is cut off anywhere is bad");
    buf_free(&text);
}

int main(void)
{
    rsa = EVP_RSA_gen(2048);
    p256 = EVP_EC_gen("P-256");
    p384 = EVP_EC_gen("P-384");
    p521 = EVP_EC_gen("P-521");
    test_taken();
    test_example();
    test_left_out();
    test_bad_sets();
    test_bad_keys();
    test_sizes();
    test_coordinates();
    test_prefixes();
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(p521);
    buf_free(&notes);
    buf_free(&token);
    return tap_done();
}
