/* The keys of the configuration: several at once, from every place that may name
 * them, and a JWKS file that is read again. */
#include "codec/keyset.h"
#include "conf.h"

#include "scratch.h"
#include "tap.h"

#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET  "0123456789abcdef0123456789abcdef"
#define SECRET2 "fedcba9876543210fedcba9876543210"
#define K32     "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY" /* SECRET */
#define P256                                                                                       \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","     \
    "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\",\"kid\":\"e\"}"

static struct buf errors, warnings, report;
static char large[262145];

/* --- loading ------------------------------------------------------------------ */

static const char *text(struct buf *buf)
{
    buf_putc(buf, '\0');
    buf->len--;
    return (const char *)buf->data;
}

static int has(struct buf *buf, const char *part)
{
    return strstr(text(buf), part) != NULL;
}

/* auth as the file has it (or NULL), a variable and an option (or NULL). */
static struct conf *load(const char *auth, const char *variable, const char *name,
                         const char *value)
{
    char *env[] = {variable != NULL ? strdup(variable) : NULL, NULL};
    char *options[] = {name != NULL ? strdup(name) : NULL, value != NULL ? strdup(value) : NULL};
    struct conf_args args = {.file = "t.conf",
                             .environ = env,
                             .dir = scratch,
                             .options = options,
                             .noptions = name != NULL ? 2 : 0};
    struct buf file = {0};
    struct conf *conf;

    buf_reset(&errors);
    buf_reset(&warnings);
    buf_reset(&report);
    buf_printf(&file, "{\"auth\":{%s}}", auth != NULL ? auth : "");
    conf = conf_load_text(&args, (char *)file.data, file.len, CONF_FOR_DAEMON, &errors, &warnings);
    if (conf != NULL)
        conf_print(conf, &report);
    ok(!has(&errors, SECRET) && !has(&warnings, SECRET) && !has(&report, SECRET) &&
           !has(&errors, SECRET2) && !has(&warnings, SECRET2) && !has(&report, SECRET2) &&
           !has(&errors, K32) && !has(&warnings, K32),
       "no secret is shown");
    buf_free(&file);
    free(env[0]);
    free(options[0]);
    free(options[1]);
    return conf;
}

static void refused(const char *auth, const char *why)
{
    struct conf *conf = load(auth, NULL, NULL, NULL);

    ok(conf == NULL && has(&errors, why), "refused: %s", why);
    if (conf != NULL || !has(&errors, why))
        printf("# %s", text(&errors));
    conf_free(&conf);
}

/* The keys of conf, "kid/secret" or "kid/ALG" each, as -t shows no secret. */
static const char *shown(const struct conf *conf)
{
    static struct buf out;

    buf_reset(&out);
    for (size_t i = 0; conf != NULL && i < conf->keys->n; i++) {
        const struct token_key *key = &conf->keys->at[i];

        buf_printf(&out, "%s%s/", i ? " " : "", key->kid != NULL ? key->kid : "");
        if (key->secret != NULL)
            buf_printf(&out, "%.*s", (int)key->secret_len, (const char *)key->secret);
        else
            buf_printf(&out, "%x", key->algs);
    }
    return text(&out);
}

static void is_keys(struct conf *conf, const char *want, const char *name)
{
    is_str(shown(conf), want, name);
    if (conf == NULL)
        printf("# %s", text(&errors));
    conf_free(&conf);
}

/* --- several ------------------------------------------------------------------ */

static void test_several(void)
{
    is_keys(load("\"secret\":[\"" SECRET "\",\"" SECRET2 "\"]", NULL, NULL, NULL),
            "/" SECRET " /" SECRET2, "two secrets");
    ok(has(&report, "auth:secret = ********  (file t.conf:1)") &&
           has(&report,
               "\nkey: [\"HS256\",\"HS384\",\"HS512\"]  (file t.conf:1, auth:secret, 1 of 2)\n"
               "key: [\"HS256\",\"HS384\",\"HS512\"]  (file t.conf:1, auth:secret, 2 of "
               "2)\n"),
       "are shown as two keys");
    is_keys(load("\"secretFile\":[\"one\",\"two\"]", NULL, NULL, NULL), "/" SECRET " /" SECRET2,
            "two files of secrets");
    ok(has(&report, "(file t.conf:1, auth:secretFile \"one\", 1 of 2)\nkey: ") &&
           has(&report, "(file t.conf:1, auth:secretFile \"two\", 2 of 2)\n"),
       "each key is shown with its file");
    ok(has(&report, "auth:secretFile = [\"one\",\"two\"]"), "are shown");
    is_keys(load("\"secret\":\"" SECRET "\",\"secretFile\":\"two\"", NULL, NULL, NULL),
            "/" SECRET2 " /" SECRET, "a file and a secret of one source");
    is_keys(load("\"publicKeyFile\":[\"ec.pem\",\"ec.pem\"]", NULL, NULL, NULL), "/40 /40",
            "two public keys");
    is_keys(load("\"secret\":\"" SECRET "\",\"publicKeyFile\":\"ec.pem\",\"keys\":[{\"kid\":\"k\","
                 "\"secretFile\":\"two\"}],\"jwksFile\":\"jwks\"",
                 NULL, NULL, NULL),
            "/" SECRET " /40 k/" SECRET2 " e/40", "keys from everywhere");
    ok(has(&report, "auth:options:algorithms = [\"HS256\",\"HS384\",\"HS512\",\"ES256\"]"),
       "with their algorithms");
    is_keys(load("\"secret\":[\"" SECRET "\",\"x\"]", NULL, NULL, NULL), "/" SECRET " /x",
            "a short one among them");
    ok(has(&warnings, "auth:secret: the secret has 1 bytes"), "is warned of");
    refused("\"secret\":[\"" SECRET "\",\n\"\"]", "t.conf:2: auth:secret: found an empty string");
    refused("\"secret\":[\"" SECRET "\",\n5]", "t.conf:2: auth:secret: found a number, wanted");
    refused("\"secret\":[]", "auth:secret: found an empty array");
    refused("\"secretFile\":[\"one\",\"nowhere\"]", "nowhere: No such file");
    refused("\"secretFile\":[\"one\",\"\"]", "auth:secretFile: found \"\"");
    refused("\"publicKeyFile\":[\"ec.pem\",\n\"one\"]", "t.conf:2: auth:publicKeyFile: one: found");
    is_keys(load("\"secretFile\":[\"empty\",\"one\"]", NULL, NULL, NULL), "/" SECRET,
            "an empty file among them");
    ok(has(&warnings, "empty is empty, so there is no secret"), "is warned of");
}

static void test_sources(void)
{
    is_keys(load(NULL, "AXR_NOTIFYD__AUTH__SECRET=[\"" SECRET "\",\"" SECRET2 "\"]", NULL, NULL),
            "/" SECRET " /" SECRET2, "an array in the environment");
    is_keys(load(NULL, "auth__secretFile=[\"one\", \"two\"]", NULL, NULL), "/" SECRET " /" SECRET2,
            "of files");
    is_keys(load(NULL, NULL, "--auth:secret", "[" SECRET "]"), "/[" SECRET "]",
            "a secret may begin as an array does");
    is_keys(load(NULL, NULL, "--auth:secret", SECRET ",x"), "/" SECRET ",x", "or hold a comma");
    is_keys(load(NULL, NULL, "--auth:secret:0", "[\"" SECRET), "/[\"" SECRET,
            "an element is taken as it is");
    is_keys(load(NULL, NULL, "--auth:secretFile:0", "two"), "/" SECRET2, "of files too");
    is_keys(load(NULL, "auth__keys=[{\"kid\":\"a\",\"secret\":\"" SECRET "\"}]", NULL, NULL),
            "a/" SECRET, "auth:keys in the environment");
    ok(!has(&warnings, "may be seen"), "which others cannot see");
    is_keys(load(NULL, NULL, "--auth:keys", "[{\"kid\":\"a\",\"secret\":\"" SECRET "\"}]"),
            "a/" SECRET, "on the command line");
    ok(has(&warnings, "command line: auth:keys: a secret there may be seen"), "where they can");
    is_keys(load(NULL, NULL, "--auth:keys", "[{\"secretFile\":\"one\"}]"), "/" SECRET, "a file");
    ok(!has(&warnings, "may be seen"), "is no secret");
    is_keys(load(NULL, NULL, "--auth:keys:0", "{\"kid\":\"a\",\"secretFile\":\"one\"}"),
            "a/" SECRET, "one of them");
    is_keys(load("\"secret\":\"" SECRET "\"", "auth__secretFile=two", NULL, NULL), "/" SECRET2,
            "a file of a source that counts more");
    is_keys(load("\"secretFile\":\"two\"", "auth__secret=" SECRET, NULL, NULL), "/" SECRET,
            "a secret of a source that counts more");
    is_keys(load("\"secret\":\"" SECRET "\"", "auth__secretFile=[\"empty\",\"empty\"]", NULL, NULL),
            "/" SECRET, "files that are all empty");
    ok(load(NULL, "auth__secret=[\"" SECRET "\"", NULL, NULL) == NULL &&
           has(&errors, "auth:secret: column 36: found the end of the text"),
       "half an array is none");
    ok(load(NULL, NULL, "--auth:keys", "x") == NULL &&
           has(&errors, "auth:keys: found a string, wanted an array of objects"),
       "auth:keys is JSON");
}

static void test_named(void)
{
    is_keys(load("\"keys\":[{\"kid\":\"a\",\"secret\":\"" SECRET "\",\"algorithm\":\"HS512\"},"
                 "{\"publicKeyFile\":\"ec.pem\",\"algorithms\":[\"ES256\"]}]",
                 NULL, NULL, NULL),
            "a/" SECRET " /40", "a secret and a public key");
    ok(has(&report, "algorithms = [\"HS512\",\"ES256\"]") &&
           has(&report, "key: kid \"a\", [\"HS512\"]  (file t.conf:1, auth:keys:0)\n"
                        "key: [\"ES256\"]  (file t.conf:1, auth:keys:1 \"ec.pem\")\n"),
       "only for their algorithms");
    is_keys(load("\"jwksFile\":\"jwks\",\n\"publicKeyFile\":\"ec.pem\"", "auth__secretFile=two",
                 "--auth:keys", "[{\"kid\":\"k\",\"secret\":\"" SECRET "\"}]"),
            "/" SECRET2 " /40 k/" SECRET " e/40", "keys of each source");
    ok(has(&report, "key: [\"HS256\",\"HS384\",\"HS512\"]  (environment auth__secretFile, "
                    "auth:secretFile \"two\")\n"
                    "key: [\"ES256\"]  (file t.conf:2, auth:publicKeyFile \"ec.pem\")\n"
                    "key: kid \"k\", [\"HS256\",\"HS384\",\"HS512\"]  (command line, auth:keys:0)\n"
                    "key: kid \"e\", [\"ES256\"]  (file t.conf:1, auth:jwksFile \"jwks\")\n"),
       "are shown with it");
    refused("\"keys\":[]", "auth:keys: found an empty array, wanted an array of objects");
    refused("\"keys\":{}", "auth:keys: found an object");
    refused("\"keys\":[\n\"" SECRET "\"]", "t.conf:2: auth:keys:0: wanted an object");
    refused("\"keys\":[{\"secretFile\":\"one\"},\n{}]", "t.conf:2: auth:keys:1: wanted one of");
    refused("\"keys\":[{\"secret\":\"x\",\"secretFile\":\"one\"}]", "wanted one of secret,");
    refused("\"keys\":[{\"secret\":\"\"}]", "auth:keys:0: secret: wanted a string");
    refused("\"keys\":[{\"secret\":5}]", "auth:keys:0: secret: wanted a string");
    refused("\"keys\":[{\"secretFile\":\"empty\"}]", "auth:keys:0: found an empty secret");
    refused("\"keys\":[{\"secretFile\":\"nowhere\"}]", "nowhere: No such file");
    refused("\"keys\":[{\"secretFile\":\"ec.pem\"}]", "auth:keys:0: found a PEM or a public key");
    refused("\"keys\":[{\"publicKeyFile\":\"one\"}]", "auth:keys:0: one: found no public key");
    refused("\"keys\":[{\"" SECRET "\":\"one\"}]", "auth:keys:0: found an unknown member");
    refused("\"keys\":[{\"kid\":\"\",\"secretFile\":\"one\"}]", "kid: wanted a string that is");
    refused("\"keys\":[{\"kid\":7,\"secretFile\":\"one\"}]", "kid: wanted a string that is");
    refused("\"keys\":[{\"secretFile\":\"one\",\"algorithm\":\"RS256\"}]",
            "an algorithm that the key beside it cannot do");
    refused("\"keys\":[{\"publicKeyFile\":\"ec.pem\",\"algorithm\":\"ES384\"}]",
            "an algorithm that the key beside it cannot do");
    refused("\"keys\":[{\"publicKeyFile\":\"ec.pem\",\"algorithm\":\"HS256\"}]",
            "an algorithm that the key beside it cannot do");
    refused("\"keys\":[{\"secretFile\":\"one\",\"algorithm\":\"none\"}]", "found \"none\", wanted");
    refused("\"keys\":[{\"secretFile\":\"one\",\"algorithms\":[]}]", "found an empty array");
    refused("\"keys\":[{\"secretFile\":\"one\",\"algorithms\":[5]}]", "found 5, wanted HS256");
    refused("\"keys\":[{\"secretFile\":\"one\",\"algorithm\":\"HS256\",\"algorithms\":\"HS384\"}]",
            "found algorithm and algorithms");
    refused("\"keys\":[{\"secretFile\":\"one\",\"algorithm\":\"HS256\"}],\"options\":"
            "{\"algorithms\":[\"HS256\",\"HS384\"]}",
            "found \"HS384\", which none of the secrets may be used for");
}

static void test_many(void)
{
    struct buf auth = {0};
    struct conf *conf;

    buf_puts(&auth, "\"secret\":[");
    for (int i = 0; i < KEYS_MAX; i++)
        buf_printf(&auth, "%s\"" SECRET "\"", i ? "," : "");
    buf_puts(&auth, "]");
    conf = load(text(&auth), NULL, NULL, NULL);
    ok(conf != NULL && conf->keys->n == KEYS_MAX, "32 keys");
    conf_free(&conf);
    buf_puts(&auth, ",\"publicKeyFile\":\"ec.pem\"");
    refused(text(&auth), "auth:publicKeyFile: found more than 32 keys");
    conf = load("\"publicKeyFile\":[\"ec.pem\",\"ec.pem\",\"ec.pem\",\"ec.pem\",\"ec.pem\"]", NULL,
                NULL, NULL);
    ok(conf != NULL &&
           has(&warnings, "auth: 5 public keys have no kid; a token is tried with 4 of them"),
       "more than a token is tried with are warned of");
    conf_free(&conf);
    buf_reset(&auth);
    for (int i = 0; i < 5; i++)
        buf_printf(&auth, "%s{\"kid\":\"%d\",\"publicKeyFile\":\"ec.pem\"}",
                   i ? "," : "\"keys\":[{\"secretFile\":\"one\"},", i);
    buf_puts(&auth, "]");
    conf = load(text(&auth), NULL, NULL, NULL);
    ok(conf != NULL &&
           has(&warnings, "auth: 5 public keys are for one algorithm; a token without a kid is "
                          "tried with the first 4 of them only"),
       "named ones too");
    conf_free(&conf);
    buf_free(&auth);
}

/* --- the JWKS file ------------------------------------------------------------ */

static void test_jwks(void)
{
    is_keys(load("\"jwksFile\":\"jwks\"", NULL, NULL, NULL), "e/40", "a JWKS file alone");
    refused("\"jwksFile\":\"nowhere\"", "auth:jwksFile: cannot read");
    refused("\"jwksFile\":\"one\"", "/one:1: ");
    refused("\"jwksFile\":\"private\"", "/private:1: key 1: it is a private key");
    refused("\"jwksFile\":\"none\"", "auth: found no key to check tokens with");
    refused("\"jwksFile\":\"large\"", "it has more than 262144 bytes");
    refused("\"jwksFile\":[\"jwks\"]", "auth:jwksFile: found an array, wanted a string");
    is_keys(load("\"jwksFile\":\"none\",\"secret\":\"" SECRET "\"", NULL, NULL, NULL), "/" SECRET,
            "one without keys, beside a secret");
    is_keys(load("\"jwksFile\":\"oct\"", NULL, NULL, NULL), "h/" SECRET, "a secret in it");
    chmod(scratch_path("oct"), 0644);
    is_keys(load("\"jwksFile\":\"oct\"", NULL, NULL, NULL), "h/" SECRET, "for all to read");
    ok(has(&warnings, "/oct holds a secret and may be read by everyone"), "is warned of");
    is_keys(load("\"jwksFile\":\"jwks\",\"options\":{\"algorithms\":[\"ES256\",\"RS256\"]}", NULL,
                 NULL, NULL),
            "e/40", "an algorithm for which it may have a key later");
    ok(has(&warnings, "found \"RS256\", which none of the public keys can verify; auth:jwksFile"),
       "is warned of");
    refused("\"jwksFile\":\"jwks\",\"options\":{\"algorithms\":[\"HS256\"]}",
            "auth:options:algorithms: found no key that may be used for any of them");
}

static int reread(struct conf *conf)
{
    buf_reset(&errors);
    buf_reset(&warnings);
    return conf_reread_keys(conf, &errors, &warnings);
}

static void test_reread(void)
{
    struct conf *conf;

    scratch_text("turns", "{\"keys\":[" P256 "]}");
    conf = load("\"jwksFile\":\"turns\",\"keys\":[{\"kid\":\"k\",\"secret\":\"" SECRET2 "\"}]",
                NULL, NULL, NULL);
    is_int(reread(conf), 0, "nothing has changed");
    scratch_text("turns", "{ \"keys\" : [ " P256 " ] }");
    is_int(reread(conf), 0, "nothing but white space");
    scratch_text("turns",
                 "{\"keys\":[" P256 ",{\"kty\":\"oct\",\"kid\":\"h\",\"k\":\"" K32 "\"}]}");
    is_int(reread(conf), 1, "one more key");
    is_str(shown(conf), "k/" SECRET2 " e/40 h/" SECRET, "is in force, with those of the file");
    ok(conf->token.keys == conf->keys, "for tokens");
    scratch_text("turns", "{\"keys\":[" P256);
    is_int(reread(conf), -1, "half a file");
    ok(has(&errors, "/turns:1: found the end"), "is said");
    is_str(shown(conf), "k/" SECRET2 " e/40 h/" SECRET, "and changes nothing");
    scratch_text("turns", "");
    is_int(reread(conf), -1, "an empty one");
    unlink(scratch_path("turns"));
    is_int(reread(conf), CONF_KEYS_UNREAD, "none");
    ok(has(&errors, "/turns: No such file"), "is said");
    is_str(shown(conf), "k/" SECRET2 " e/40 h/" SECRET, "and changes nothing");
    scratch_write("turns", large, sizeof(large), 0600);
    is_int(reread(conf), -1, "one that is too large");
    scratch_text("turns", "{\"keys\":[]}");
    is_int(reread(conf), 1, "no keys in it, but one beside it");
    is_str(shown(conf), "k/" SECRET2, "leaves that one");
    conf_free(&conf);

    scratch_text("turns", "{\"keys\":[" P256 "]}");
    conf = load("\"jwksFile\":\"turns\",\"options\":{\"algorithms\":\"ES256\"}", NULL, NULL, NULL);
    scratch_text("turns", "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"h\",\"k\":\"" K32 "\"}]}");
    is_int(reread(conf), -1, "a key that is for no accepted algorithm");
    ok(has(&errors, "found no key to check tokens with"), "is none");
    is_str(shown(conf), "e/40", "and the old one stays");
    conf_free(&conf);
    unlink(scratch_path("turns"));
}

int main(void)
{
    static const char *const names[] = {"one",  "two",     "empty", "ec.pem", "jwks",
                                        "none", "private", "oct",   "large"};
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    char pem[1024];

    scratch_make("test_conf_keys");
    memset(large, ' ', sizeof(large));
    PEM_write_bio_PUBKEY(bio, pair);
    scratch_write("ec.pem", pem, (size_t)BIO_read(bio, pem, sizeof(pem)), 0600);
    scratch_text("one", SECRET "\n");
    scratch_text("two", SECRET2);
    scratch_text("empty", "");
    scratch_text("jwks", "{\"keys\":[" P256 "]}");
    scratch_text("none", "{\"keys\":[]}");
    scratch_text("private",
                 "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AA\",\"e\":\"AQAB\",\"d\":\"AA\"}]}");
    scratch_text("oct", "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"h\",\"k\":\"" K32 "\"}]}");
    scratch_write("large", large, sizeof(large), 0600);
    test_several();
    test_sources();
    test_named();
    test_many();
    test_jwks();
    test_reread();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(scratch_path(names[i]));
    rmdir(scratch);
    EVP_PKEY_free(pair);
    BIO_free(bio);
    buf_free(&errors);
    buf_free(&warnings);
    buf_free(&report);
    return tap_done();
}
