/* Certificates and keys: the good ones are taken, and each fault is named. */
#include "codec/certificate.h"

#include "certificate_make.h"
#include "tap.h"

#include <time.h>

static struct buf error;
static enum certificate_part part;

static struct certificate *read_two(const char *chain, const char *key)
{
    buf_reset(&error);
    return certificate_new(slice_str(chain), slice_str(key), &error, &part);
}

static const char *said(const struct buf *out)
{
    static char text[1024];

    (void)snprintf(text, sizeof(text), "%.*s", (int)out->len, (const char *)out->data);
    return text;
}

/* It is refused, the words are among what is said, and it is about that part. */
static void refused(const char *chain, const char *key, const char *words,
                    enum certificate_part which, const char *name)
{
    struct certificate *c = read_two(chain, key);

    ok(c == NULL && strstr(said(&error), words) != NULL && part == which, "%s: %s", name,
       said(&error));
    certificate_free(&c);
}

static const char *names_of(const struct certificate *c)
{
    static char text[512];

    text[0] = '\0';
    for (size_t i = 0; i < certificate_names(c); i++) {
        (void)strncat(text, i > 0 ? "," : "", 2);
        (void)strncat(text, certificate_name(c, i), 200);
    }
    return text;
}

static const char *joined(const char *one, const char *two, const char *three)
{
    static char text[4][16384];
    static unsigned turn;
    char *at = text[turn++ % 4];

    (void)snprintf(at, sizeof(text[0]), "%s%s%s", one, two, three);
    return at;
}

static void test_good(void)
{
    struct made one = make((struct make){
        .name = "a", .names = "DNS:Example.ORG,DNS:*.example.org,IP:192.0.2.1,IP:2001:db8::1"});
    struct certificate *c = read_two(one.cert, one.pem_key);
    struct buf lines = {0};
    int64_t now = time(NULL);

    ok(c != NULL, "P-256: %s", said(&error));
    is_str(names_of(c), "example.org,*.example.org,192.0.2.1,2001:db8::1", "its names");
    is_str(certificate_kind(c), "ECDSA P-256", "its kind");
    ok(llabs(certificate_not_after(c) - now - 30 * 86400) < 100, "its end");
    ok(llabs(certificate_not_before(c) - now + 86400) < 100, "its beginning");
    ok(X509_cmp(certificate_own(c), one.x509) == 0, "it is that one");
    ok(EVP_PKEY_eq(certificate_key(c), one.key) == 1, "and that key");
    is_int((long)certificate_issuers(c), 0, "no others");
    ok(certificate_open_end(c) == NULL, "signed by itself, the chain is complete");
    certificate_remark(c, &lines);
    is_int((long)lines.len, 0, "nothing to remark");
    certificate_free(&c);
    c = read_two(joined("a text\n", one.pem_key, one.cert), joined(one.pem_key, one.cert, ""));
    ok(c != NULL, "both in one file, in any order: %s", said(&error));
    certificate_free(&c);
    ok(c == NULL, "freed");
    certificate_free(&c);
    buf_free(&lines);
    made_free(&one);
}

static void test_kinds(void)
{
    static const struct {
        int rsa;
        const char *curve, *kind, *remark;
    } kinds[] = {{2048, NULL, "RSA 2048", ""},
                 {0, "P-384", "ECDSA P-384", ""},
                 {0, "P-521", "ECDSA P-521", "not all browsers"},
                 {0, "ED25519", "Ed25519", "not all browsers"}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct made one = make((struct make){
            .name = "a", .names = "DNS:a", .rsa = kinds[i].rsa, .curve = kinds[i].curve});
        struct certificate *c = read_two(one.cert, one.pem_key);
        struct buf lines = {0};

        ok(c != NULL && strcmp(certificate_kind(c), kinds[i].kind) == 0, "%s: %s", kinds[i].kind,
           said(&error));
        certificate_remark(c, &lines);
        ok(strstr(said(&lines), kinds[i].remark) != NULL && !lines.len == !kinds[i].remark[0],
           "remark: %s", said(&lines));
        certificate_free(&c);
        buf_free(&lines);
        made_free(&one);
    }
}

static void test_forms(void)
{
    struct made one = make((struct make){.name = "a", .names = "DNS:a"});
    struct made rsa = make((struct make){.name = "a", .names = "DNS:a", .rsa = 2048});
    BIO *bio = BIO_new(BIO_s_mem());
    char old[4096] = "", locked[4096] = "", older[4096] = "";
    struct certificate *c;

    PEM_write_bio_PrivateKey_traditional(bio, one.key, NULL, NULL, 0, NULL, NULL);
    (void)BIO_read(bio, old, sizeof(old) - 1);
    PEM_write_bio_PKCS8PrivateKey(bio, one.key, EVP_aes_128_cbc(), "word", 4, NULL, NULL);
    (void)BIO_read(bio, locked, sizeof(locked) - 1);
    PEM_write_bio_PrivateKey_traditional(bio, rsa.key, EVP_aes_128_cbc(),
                                         (const unsigned char *)"word", 4, NULL, NULL);
    (void)BIO_read(bio, older, sizeof(older) - 1);
    c = read_two(one.cert, joined("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
                                  "-----END EC PARAMETERS-----\n",
                                  old, ""));
    ok(c != NULL, "EC PRIVATE KEY behind its parameters: %s", said(&error));
    certificate_free(&c);
    refused(one.cert, locked, "passphrase", CERTIFICATE_KEY, "encrypted, as PKCS #8 has it");
    refused(rsa.cert, older, "passphrase", CERTIFICATE_KEY, "and as keys were once");
    BIO_free(bio);
    made_free(&one);
    made_free(&rsa);
}

static void test_no_pem(void)
{
    struct made one = make((struct make){.name = "a", .names = "DNS:a"});
    char cut[4096];
    size_t len = strlen(one.cert);

    refused("", one.pem_key, "found no certificate in PEM", CERTIFICATE_CHAIN, "an empty file");
    refused("{}", one.pem_key, "found no certificate in PEM", CERTIFICATE_CHAIN, "another text");
    refused("0\x82\x01\x02", one.pem_key, "found DER", CERTIFICATE_CHAIN, "DER");
    refused(one.pem_key, one.pem_key, "found no certificate in PEM", CERTIFICATE_CHAIN, "the key");
    refused(one.cert, "", "found no private key", CERTIFICATE_KEY, "no key");
    refused(one.cert, one.cert, "found no private key", CERTIFICATE_KEY, "the certificate");
    refused(one.cert, "0\x82\x01\x02", "found DER", CERTIFICATE_KEY, "a key in DER");
    for (size_t n = 28; n < len - 1; n += 1 + n % 13) {
        (void)snprintf(cut, sizeof(cut), "%.*s", (int)n, one.cert);
        if (read_two(cut, one.pem_key) != NULL || strstr(said(&error), "cut off") == NULL)
            ok(0, "cut after %zu of %zu: %s", n, len, said(&error));
    }
    ok(1, "half a certificate");
    (void)snprintf(cut, sizeof(cut), "%.*s", 100, one.pem_key);
    refused(one.cert, cut, "cut off within its PRIVATE KEY", CERTIFICATE_KEY, "half a key");
    refused(joined(one.cert, "-----BEGIN CERTIFICATE-----\nMII", ""), one.pem_key, "cut off",
            CERTIFICATE_CHAIN, "half a chain");
    (void)snprintf(cut, sizeof(cut), "%s", one.cert);
    memcpy(strchr(cut, '\n') + 5, "AAAA", 4);
    refused(cut, one.pem_key, "certificate 1 cannot be read", CERTIFICATE_CHAIN, "damaged");
    refused(joined(one.cert, "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", ""),
            one.pem_key, "certificate 2 cannot be read", CERTIFICATE_CHAIN, "an empty one");
    refused(one.cert, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "the private key cannot be read", CERTIFICATE_KEY, "a damaged key");
    refused(one.cert,
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
            "a key of ssh", CERTIFICATE_KEY, "a key of ssh");
    made_free(&one);
}

static void test_long(void)
{
    struct made one = make((struct make){.name = "a", .names = "DNS:a"});
    struct buf all = {0};

    for (int i = 0; i <= CERTIFICATE_CHAIN_MAX; i++)
        buf_puts(&all, one.cert);
    buf_putc(&all, '\0');
    refused((char *)all.data, one.pem_key, "more than 16 certificates", CERTIFICATE_CHAIN,
            "a long chain");
    buf_free(&all);
    made_free(&one);
}

static void test_weak(void)
{
    struct made root = make((struct make){.name = "root", .rsa = 2048, .is_authority = 1});
    struct made small = make((struct make){.name = "a", .names = "DNS:a", .rsa = 1024});
    struct made curve = make((struct make){.name = "a", .names = "DNS:a", .curve = "secp256k1"});
    struct made sha1 =
        make((struct make){.name = "a", .names = "DNS:a", .digest = "SHA1", .issuer = &root});
    struct made md5 =
        make((struct make){.name = "a", .names = "DNS:a", .digest = "MD5", .issuer = &root});
    struct made own = make((struct make){.name = "a", .names = "DNS:a", .digest = "SHA1"});
    struct made good = make((struct make){.name = "a", .names = "DNS:a", .issuer = &small});
    struct certificate *c;

    refused(small.cert, small.pem_key, "1024 bits", CERTIFICATE_CHAIN, "RSA of 1024 bits");
    refused(curve.cert, curve.pem_key, "secp256k1", CERTIFICATE_CHAIN, "a curve nobody has");
    refused(sha1.cert, sha1.pem_key, "signed with sha1", CERTIFICATE_CHAIN, "SHA-1");
    refused(md5.cert, md5.pem_key, "signed with md5", CERTIFICATE_CHAIN, "MD5");
    refused(joined(good.cert, small.cert, ""), good.pem_key, "certificate 2 has a key of 1024 bits",
            CERTIFICATE_CHAIN, "an issuer that is weak");
    c = read_two(own.cert, own.pem_key);
    ok(c != NULL, "nobody minds how one is signed that has signed itself: %s", said(&error));
    certificate_free(&c);
    made_free(&root);
    made_free(&small);
    made_free(&curve);
    made_free(&sha1);
    made_free(&md5);
    made_free(&own);
    made_free(&good);
}

static void test_chain(void)
{
    struct made root = make((struct make){.name = "root", .is_authority = 1});
    struct made middle = make(
        (struct make){.name = "middle", .is_authority = 1, .issuer = &root, .to_s = 3 * 86400});
    struct made own = make((struct make){.name = "a", .names = "DNS:a", .issuer = &middle});
    struct made other = make((struct make){.name = "b", .names = "DNS:b", .issuer = &middle});
    struct buf lines = {0}, end = {0};
    X509_STORE *store = X509_STORE_new();
    struct certificate *c = read_two(joined(own.cert, middle.cert, ""), own.pem_key);

    ok(c != NULL && certificate_issuers(c) == 1, "a chain: %s", said(&error));
    ok(X509_cmp(certificate_issuer(c, 0), middle.x509) == 0, "the issuer is there");
    certificate_name_put(certificate_open_end(c), &end);
    is_str(said(&end), "CN = root", "it goes on with the root");
    ok(llabs(certificate_not_after(c) - time(NULL) - 3 * 86400) < 100,
       "it ends with the first of them");
    is_int(certificate_is_issued_by(c, store), 0, "which is not in the store");
    X509_STORE_add_cert(store, root.x509);
    is_int(certificate_is_issued_by(c, store), 1, "and then is");
    certificate_remark(c, &lines);
    is_int((long)lines.len, 0, "nothing to remark");
    certificate_free(&c);
    c = read_two(own.cert, own.pem_key);
    is_int(certificate_is_issued_by(c, store), 0, "without the one between it does not hold");
    certificate_free(&c);
    c = read_two(joined(own.cert, middle.cert, root.cert), own.pem_key);
    ok(certificate_open_end(c) == NULL, "with the root it is complete");
    certificate_free(&c);
    c = read_two(joined(own.cert, root.cert, middle.cert), own.pem_key);
    ok(certificate_open_end(c) == NULL, "in another order, too");
    certificate_remark(c, &lines);
    ok(strstr(said(&lines), "has not issued the one before it") != NULL, "but: %s", said(&lines));
    certificate_free(&c);
    refused(joined(middle.cert, own.cert, ""), own.pem_key, "certificate 2 of the chain",
            CERTIFICATE_KEY, "the server's own is not the first");
    refused(joined(own.cert, middle.cert, ""), other.pem_key, "does not belong", CERTIFICATE_KEY,
            "the key of another");
    X509_STORE_free(store);
    buf_free(&lines);
    buf_free(&end);
    made_free(&root);
    made_free(&middle);
    made_free(&own);
    made_free(&other);
}

static void test_names(void)
{
    struct made old = make((struct make){.name = "Old.example"});
    struct made none = make((struct make){.name = "A Server"});
    struct made mail = make((struct make){.name = "a", .names = "email:a@example.org"});
    struct made client = make((struct make){.name = "a", .names = "DNS:a", .use = "clientAuth"});
    struct buf lines = {0};
    struct certificate *c = read_two(old.cert, old.pem_key);

    is_str(names_of(c), "old.example", "without a subjectAltName the common name counts");
    certificate_remark(c, &lines);
    ok(strstr(said(&lines), "no subjectAltName") != NULL, "but: %s", said(&lines));
    certificate_free(&c);
    refused(none.cert, none.pem_key, "names no host", CERTIFICATE_CHAIN, "no name of a host");
    refused(mail.cert, mail.pem_key, "names no host", CERTIFICATE_CHAIN, "but of somebody");
    c = read_two(client.cert, client.pem_key);
    buf_reset(&lines);
    certificate_remark(c, &lines);
    ok(strstr(said(&lines), "not for servers") != NULL, "for clients: %s", said(&lines));
    certificate_free(&c);
    buf_free(&lines);
    made_free(&old);
    made_free(&none);
    made_free(&mail);
    made_free(&client);
}

static void test_excerpt(void)
{
    struct made one = make((struct make){.name = "a", .names = "DNS:a"});
    struct made two = make((struct make){.name = "b", .names = "DNS:b"});
    struct buf out = {.secret = 1};
    const char *all = joined(joined("Certificate:\n", one.cert, "words\n"),
                             joined(one.pem_key, two.cert, ""), two.pem_key);

    is_int(certificate_excerpt(slice_str(all), CERTIFICATE_CHAIN, &out), 0, "the chain");
    is_mem(out.data, out.len, joined(one.cert, two.cert, ""), strlen(one.cert) + strlen(two.cert),
           "is all certificates, without the key");
    buf_reset(&out);
    is_int(certificate_excerpt(slice_str(all), CERTIFICATE_KEY, &out), 0, "the key");
    is_mem(out.data, out.len, one.pem_key, strlen(one.pem_key), "is the first");
    buf_free(&out);
    made_free(&one);
    made_free(&two);
}

static void test_words(void)
{
    struct buf out = {0};

    certificate_time_put(1803902400, &out);
    is_str(said(&out), "2027-03-01T12:00:00Z", "a time");
    buf_free(&out);
}

int main(void)
{
    test_good();
    test_kinds();
    test_forms();
    test_no_pem();
    test_long();
    test_weak();
    test_chain();
    test_names();
    test_excerpt();
    test_words();
    buf_free(&error);
    return tap_done();
}
