#include "notify/signer.h"

#include "codec/token.h"
#include "scratch.h"
#include "tap.h"

#include <string.h>
#include <unistd.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define PEM                                                                                        \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpopwSk+NplptpGpWF45cL3y7IBCw\n"                           \
    "qYLTkjqv0XsWMb2NUpaVRUb29x0HZsjl0Bay/XF4zUdSBHYlEAA8hMixkA==\n"                               \
    "-----END PUBLIC KEY-----\n"
#define OCT(kid)                                                                                   \
    "{\"kty\":\"oct\",\"kid\":\"" kid                                                              \
    "\",\"alg\":\"HS256\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}"

static struct buf errors, warnings, out;

static const char *text(void)
{
    buf_putc(&out, '\0');
    out.len--;
    return (const char *)out.data;
}

static struct conf *load(const char *auth)
{
    struct conf_args args = {.file = "t.conf", .dir = scratch};
    struct buf file = {0};
    struct conf *conf;

    buf_reset(&errors);
    buf_printf(&file, "{\"auth\":{%s}}", auth);
    conf = conf_load_text(&args, (char *)file.data, file.len, CONF_FOR_TOKENS, &errors, &warnings);
    if (!ok(conf != NULL, "%s", auth))
        printf("# %.*s\n", (int)errors.len, (char *)errors.data);
    buf_free(&file);
    return conf;
}

static void is_key(const struct conf *conf, size_t i, const char *words, const char *json)
{
    buf_reset(&out);
    signer_put(conf, i, &out);
    is_str(text(), words, "in words");
    buf_reset(&out);
    signer_put_json(conf, i, &out);
    is_str(text(), json, "as JSON");
}

static void test_one(void)
{
    struct conf *conf =
        load("\"secretFile\":[\"new\",\"old\"],\"secret\":\"x" SECRET
             "\",\"publicKeyFile\":\"ec.pem\",\"keys\":[{\"secret\":\"a" SECRET
             "\"},{\"kid\":\"b\\\"\",\"secretFile\":\"old\"}],\"jwksFile\":\"jwks\"");

    if (conf == NULL)
        return;
    is_int(conf->nkey_origins, 8, "each key has an origin");
    is_key(conf, 0, "the first of 2 secrets (auth:secretFile \"new\")",
           "{\"setting\":\"auth:secretFile\",\"file\":\"new\",\"number\":1,\"of\":2,\"kid\":null}");
    is_key(conf, 1, "the second of 2 secrets (auth:secretFile \"old\")",
           "{\"setting\":\"auth:secretFile\",\"file\":\"old\",\"number\":2,\"of\":2,\"kid\":null}");
    is_key(conf, 2, "the secret (auth:secret)",
           "{\"setting\":\"auth:secret\",\"file\":null,\"number\":1,\"of\":1,\"kid\":null}");
    is_key(conf, 3, "the public key (auth:publicKeyFile \"ec.pem\")",
           "{\"setting\":\"auth:publicKeyFile\",\"file\":\"ec.pem\",\"number\":1,\"of\":1,\"kid\":"
           "null}");
    is_key(conf, 4, "the key (auth:keys:0)",
           "{\"setting\":\"auth:keys:0\",\"file\":null,\"number\":1,\"of\":1,\"kid\":null}");
    is_key(
        conf, 5, "the key (auth:keys:1 \"old\", kid \"b\"\")",
        "{\"setting\":\"auth:keys:1\",\"file\":\"old\",\"number\":1,\"of\":1,\"kid\":\"b\\\"\"}");
    is_key(
        conf, 7, "the second of 2 keys (auth:jwksFile \"jwks\", kid \"k2\")",
        "{\"setting\":\"auth:jwksFile\",\"file\":\"jwks\",\"number\":2,\"of\":2,\"kid\":\"k2\"}");
    is_int(signer_able(conf, TOKEN_HS256), 7, "able to HS256");
    is_int(signer_able(conf, TOKEN_HS384), 5, "to HS384");
    is_int(signer_able(conf, TOKEN_ES256), 1, "to ES256");
    is_int(signer_able(conf, TOKEN_RS256), 0, "to RS256");
    conf_free(&conf);
}

static void test_many(void)
{
    struct buf list = {0};
    struct conf *conf;

    buf_puts(&list, "\"secret\":[\"0" SECRET "\"");
    for (int i = 1; i < 32; i++)
        buf_printf(&list, ",\"%d" SECRET "\"", i);
    buf_puts(&list, "]");
    buf_putc(&list, '\0');
    conf = load((const char *)list.data);
    buf_free(&list);
    if (conf == NULL)
        return;
    for (unsigned i = 9; i < 32; i += 11) {
        static const char *const want[] = {"the tenth of 32 secrets (auth:secret)",
                                           "number 21 of the 32 secrets (auth:secret)",
                                           "number 32 of the 32 secrets (auth:secret)"};
        buf_reset(&out);
        signer_put(conf, i, &out);
        is_str(text(), want[(i - 9) / 11], "one of many");
    }
    buf_reset(&out);
    signer_put_tried(conf, TOKEN_HS256, UINT32_MAX, &out);
    is_str(text(), "tried: all 32 of auth:secret", "the last bit, too");
    conf_free(&conf);
}

static void is_tried(const struct conf *conf, unsigned alg, uint32_t tried, const char *want)
{
    buf_reset(&out);
    signer_put_tried(conf, alg, tried, &out);
    is_str(text(), want, "tried");
}

static void test_tried(void)
{
    struct conf *conf =
        load("\"secret\":[\"0" SECRET "\",\"1" SECRET "\"],\"keys\":[{\"kid\":"
             "\"a\",\"secret\":\"a" SECRET "\"},{\"kid\":\"b\",\"secret\":\"b" SECRET
             "\",\"algorithm\":\"HS512\"}]");

    if (conf == NULL)
        return;
    is_tried(conf, TOKEN_HS256, 7, "tried: all 2 of auth:secret, auth:keys:0");
    is_tried(conf, TOKEN_HS512, 7,
             "tried: all 2 of auth:secret, auth:keys:0; not tried, for the token names another "
             "key: auth:keys:1");
    is_tried(conf, TOKEN_HS256, 1,
             "tried: 1 of the 2 of auth:secret; not tried, for the token names another key: 1 of "
             "the 2 of auth:secret, auth:keys:0");
    is_tried(conf, TOKEN_HS256, 0,
             "tried: none; not tried, for the token names another key: all 2 of auth:secret, "
             "auth:keys:0");
    buf_reset(&out);
    signer_put_tried_json(conf, 5, &out);
    is_str(text(),
           "[{\"setting\":\"auth:secret\",\"file\":null,\"number\":1,\"of\":2,\"kid\":null},"
           "{\"setting\":\"auth:keys:0\",\"file\":null,\"number\":1,\"of\":1,\"kid\":\"a\"}]",
           "an object for each");
    buf_reset(&out);
    signer_put_tried_json(conf, 0, &out);
    is_str(text(), "[]", "or none");
    conf_free(&conf);
    conf = load("\"secret\":\"" SECRET "\",\"publicKeyFile\":[\"ec.pem\",\"ec.pem\",\"ec.pem\","
                "\"ec.pem\",\"ec.pem\",\"ec.pem\"]");
    if (conf == NULL)
        return;
    is_tried(conf, TOKEN_ES256, 0x1e,
             "tried: 4 of the 6 of auth:publicKeyFile; not tried, for 4 public keys are at most: "
             "2 of the 6 of auth:publicKeyFile");
    conf_free(&conf);
}

int main(void)
{
    static const char *const names[] = {"new", "old", "ec.pem", "jwks"};

    scratch_make("test_signer");
    scratch_text("new", "n" SECRET "\n");
    scratch_text("old", "o" SECRET "\n");
    scratch_text("ec.pem", PEM);
    scratch_text("jwks", "{\"keys\":[" OCT("k1") "," OCT("k2") "]}");
    test_one();
    test_many();
    test_tried();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unlink(scratch_path(names[i]));
    (void)rmdir(scratch);
    buf_free(&errors);
    buf_free(&warnings);
    buf_free(&out);
    return tap_done();
}
