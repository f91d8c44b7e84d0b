/* Which certificate a client gets, and what is wrong with a configuration. */
#include "net/tls_context.h"

#include "certificate_make.h"
#include "conf.h"
#include "tap.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static struct made made[5];
static struct conf_certificate at[5];
static struct tls_contexts *contexts;

static void certificate(size_t i, const char *names, int rsa)
{
    made_free(&made[i]);
    made[i] = make((struct make){.name = "a", .names = names, .rsa = rsa});
    at[i] = (struct conf_certificate){.cert_file = (char *)(uintptr_t) "the certificate",
                                      .key_file = (char *)(uintptr_t) "the key",
                                      .cert = made[i].cert,
                                      .key = made[i].pem_key,
                                      .cert_len = strlen(made[i].cert),
                                      .key_len = strlen(made[i].pem_key)};
}

static const char *certify(struct conf_tls tls)
{
    static char text[300];
    struct buf error = {0};

    tls.at = at;
    if (tls.min_version == 0)
        tls.min_version = CONF_TLS_1_2;
    text[0] = '\0';
    if (tls_contexts_certify(contexts, &tls, &error) < 0)
        (void)snprintf(text, sizeof(text), "%.*s", (int)error.len, (const char *)error.data);
    buf_free(&error);
    return text;
}

/* A handshake with one who asks for that name; which certificate it gets, or -1. */
static int asks(const char *name, int version, const char *ciphers, const char *signatures)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *client = SSL_new(context), *server = tls_contexts_accept(contexts);
    BIO *one, *other;
    int found = -1;

    BIO_new_bio_pair(&one, 0, &other, 0);
    SSL_set_bio(client, one, one);
    SSL_set_bio(server, other, other);
    SSL_set_connect_state(client);
    if (name != NULL)
        SSL_set_tlsext_host_name(client, name);
    SSL_set_max_proto_version(client, version);
    if (ciphers != NULL)
        SSL_set_cipher_list(client, ciphers);
    if (signatures != NULL)
        SSL_set1_sigalgs_list(client, signatures);
    for (int i = 0; i < 10; i++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    if (SSL_is_init_finished(client) && SSL_is_init_finished(server)) {
        X509 *got = SSL_get1_peer_certificate(client);
        for (int i = 0; i < 5; i++)
            if (made[i].x509 != NULL && X509_cmp(made[i].x509, got) == 0)
                found = i;
        X509_free(got);
    }
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(context);
    ERR_clear_error();
    return found;
}

static int asks_13(const char *name)
{
    return asks(name, TLS1_3_VERSION, NULL, NULL);
}

static void test_names(void)
{
    certificate(0, "DNS:first.example", 0);
    certificate(1, "DNS:*.example.org,DNS:other.example", 0);
    certificate(2, "DNS:www.example.org", 0);
    is_str(certify((struct conf_tls){.n = 3}), "", "three certificates");
    is_int(asks_13("first.example"), 0, "its own name");
    is_int(asks_13("other.example"), 1, "one of two");
    is_int(asks_13("OTHER.Example"), 1, "in any case");
    is_int(asks_13("a.example.org"), 1, "by wildcard");
    is_int(asks_13("www.example.org"), 2, "exactly, though a wildcard comes first");
    is_int(asks_13("a.b.example.org"), 0, "a wildcard is one label: the first");
    is_int(asks_13("example.org"), 0, "and not none");
    is_int(asks_13("unknown.example"), 0, "nobody's name: the first");
    is_int(asks_13(NULL), 0, "no name: the first");
    is_int(asks("www.example.org", TLS1_2_VERSION, NULL, NULL), 2, "the same in TLS 1.2");
}

static void test_kinds(void)
{
    static const char old[] = "ECDHE-RSA-AES128-GCM-SHA256";

    certificate(0, "DNS:a.example,DNS:b.example", 2048);
    certificate(1, "DNS:*.example", 0);
    is_str(certify((struct conf_tls){.n = 2}), "", "RSA, and ECDSA for the same names");
    is_int(asks_13("a.example"), 1, "who knows both gets ECDSA");
    is_int(asks("a.example", TLS1_3_VERSION, NULL, "RSA-PSS+SHA256"), 0, "who knows RSA gets that");
    is_int(asks("a.example", TLS1_2_VERSION, old, NULL), 0, "in TLS 1.2, too");
    is_int(asks("c.example", TLS1_3_VERSION, NULL, "RSA-PSS+SHA256"), -1,
           "but no certificate for other names");
    is_int(asks_13("c.example"), 1, "where the other is right");
}

static void test_again(void)
{
    SSL *before;

    certificate(0, "DNS:a.example", 0);
    certificate(1, "DNS:a.example", 0);
    is_str(certify((struct conf_tls){.n = 1}), "", "a certificate");
    before = tls_contexts_accept(contexts);
    at[0] = at[1];
    is_str(certify((struct conf_tls){.n = 1}), "", "another");
    is_int(asks_13("a.example"), 1, "is that of new connections");
    ok(X509_cmp(SSL_CTX_get0_certificate(SSL_get_SSL_CTX(before)), made[0].x509) == 0,
       "one that was there has the first");
    SSL_free(before);
    at[0].key_len = 100;
    ok(strncmp(certify((struct conf_tls){.n = 1}), "the key: ", 9) == 0, "half a key is refused");
    at[0].key_len = strlen(at[0].key);
    is_str(certify((struct conf_tls){.n = 1, .ciphers = (char *)(uintptr_t) "nonsense"}),
           "tls:ciphers: no cipher match", "so are ciphers that are none");
    is_str(certify((struct conf_tls){.n = 1, .cipher_suites = (char *)(uintptr_t) "nonsense"}),
           "tls:cipherSuites: no cipher match", "and suites");
    is_int(asks_13("a.example"), 1, "the old is still there");
}

static void test_versions(void)
{
    is_str(certify((struct conf_tls){.n = 1, .min_version = CONF_TLS_1_3}), "", "TLS 1.3 only");
    is_int(asks("a.example", TLS1_2_VERSION, NULL, NULL), -1, "1.2 is refused");
    is_int(asks_13("a.example"), 1, "1.3 is not");
    is_str(certify((struct conf_tls){
               .n = 1, .ciphers = (char *)(uintptr_t) "ECDHE-ECDSA-AES256-GCM-SHA384"}),
           "", "one cipher only");
    is_int(asks("a.example", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", NULL), -1,
           "another is refused");
    is_int(asks("a.example", TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", NULL), 1,
           "it is not");
}

int main(void)
{
    contexts = tls_contexts_new();
    ok(tls_contexts_accept(contexts) == NULL, "nobody is served without a certificate");
    test_names();
    test_kinds();
    test_again();
    test_versions();
    tls_contexts_free(&contexts);
    ok(contexts == NULL, "freed");
    tls_contexts_free(&contexts);
    for (int i = 0; i < 5; i++)
        made_free(&made[i]);
    return tap_done();
}
