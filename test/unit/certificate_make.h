/* certificate_make - certificates for tests, good ones and others, made in the process. */
#ifndef TEST_CERTIFICATE_MAKE_H
#define TEST_CERTIFICATE_MAKE_H

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define MAKE_FN static __attribute__((unused))

struct made {
    X509 *x509;
    EVP_PKEY *key;
    char cert[4096], pem_key[4096]; /* in PEM */
};

/* What is not set: P-256, SHA-256, valid from a day ago for 30 days, signed by itself, no
 * names but the common one. */
struct make {
    const char *name;  /* the common name */
    const char *names; /* "DNS:example.org,IP:192.0.2.1" */
    int rsa;           /* bits, in place of a curve */
    const char *curve;
    const char *digest;
    long from_s, to_s; /* from now on */
    int is_authority;
    const char *use; /* extendedKeyUsage: "clientAuth" */
    const struct made *issuer;
    EVP_PKEY *key; /* that there is, or NULL */
};

MAKE_FN EVP_PKEY *make_key(const struct make *how)
{
    EVP_PKEY *key;

    if (how->key != NULL) {
        EVP_PKEY_up_ref(how->key);
        return how->key;
    }
    if (how->rsa > 0)
        return EVP_RSA_gen((unsigned)how->rsa);
    if (how->curve != NULL && strncmp(how->curve, "ED", 2) == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, how->curve);
    key = EVP_EC_gen(how->curve != NULL ? how->curve : "P-256");
    if (key == NULL)
        abort();
    return key;
}

MAKE_FN void make_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&ctx, issuer, x509, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (extension == NULL || X509_add_ext(x509, extension, -1) != 1)
        abort();
    X509_EXTENSION_free(extension);
}

MAKE_FN void make_pem(struct made *made)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n;

    PEM_write_bio_X509(bio, made->x509);
    n = BIO_read(bio, made->cert, (int)sizeof(made->cert) - 1);
    made->cert[n] = '\0';
    PEM_write_bio_PrivateKey(bio, made->key, NULL, NULL, 0, NULL, NULL);
    n = BIO_read(bio, made->pem_key, (int)sizeof(made->pem_key) - 1);
    made->pem_key[n] = '\0';
    BIO_free(bio);
}

MAKE_FN struct made make(struct make how)
{
    struct made made = {.x509 = X509_new(), .key = make_key(&how)};
    X509 *issuer = how.issuer != NULL ? how.issuer->x509 : made.x509;
    EVP_PKEY *signer = how.issuer != NULL ? how.issuer->key : made.key;
    const EVP_MD *digest = EVP_get_digestbyname(how.digest != NULL ? how.digest : "SHA256");
    X509_NAME *name = X509_get_subject_name(made.x509);
    static long serial;

    X509_set_version(made.x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.x509), ++serial);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)how.name, -1, -1,
                               0);
    X509_set_issuer_name(made.x509, X509_get_subject_name(issuer));
    X509_gmtime_adj(X509_getm_notBefore(made.x509), how.from_s != 0 ? how.from_s : -86400);
    X509_gmtime_adj(X509_getm_notAfter(made.x509), how.to_s != 0 ? how.to_s : 30 * 86400);
    X509_set_pubkey(made.x509, made.key);
    if (how.is_authority)
        make_extension(made.x509, issuer, NID_basic_constraints, "critical,CA:TRUE");
    make_extension(made.x509, issuer, NID_subject_key_identifier, "hash");
    make_extension(made.x509, issuer, NID_authority_key_identifier, "keyid:always");
    if (how.names != NULL)
        make_extension(made.x509, issuer, NID_subject_alt_name, how.names);
    if (how.use != NULL)
        make_extension(made.x509, issuer, NID_ext_key_usage, how.use);
    if (how.curve != NULL && strncmp(how.curve, "ED", 2) == 0 && how.issuer == NULL)
        digest = NULL;
    if (X509_sign(made.x509, signer, digest) == 0)
        abort();
    make_pem(&made);
    return made;
}

MAKE_FN void made_free(struct made *made)
{
    X509_free(made->x509);
    EVP_PKEY_free(made->key);
}

#endif
