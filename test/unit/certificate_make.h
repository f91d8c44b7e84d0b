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
    int rsa;           /* 2048 or 1024 bits, in place of a curve; always the same key */
    const char *curve;
    const char *digest;
    long from_s, to_s; /* from now on */
    int is_authority;
    const char *use; /* extendedKeyUsage: "clientAuth" */
    const struct made *issuer;
    EVP_PKEY *key; /* that there is, or NULL */
};

/* To make one takes long, under valgrind minutes. */
static const char make_rsa_2048[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCiLJmEuzRBjMn4\n"
    "y3h1s+7T+jolvSIizKwBck7MnNIKAdJVhF2JH4371Ho+N4jSihR1A0KMracwlPAj\n"
    "87n+cEZ4cttNwQPWw/v93OF3ijd75u40CQLH9s9v9+SJs4/CfQbgjFaByiNw7stN\n"
    "0KBGS7eF1c9q6fPpS0Spo7//4O6eaR2DFpo7N+VQ9qFsG2GhcOavP2bWi77EF9Fi\n"
    "1Fee7NitkpBnkWc8kUVmteaK6amyyd0ifO1oINEa6y1IKEvxclLFHEkxnN9frqTs\n"
    "u1ZpT1JsSrQFf4cBZBz2983ByNn3a8xATRAyJKMjiDeKgVd78JcluAIUWpL5t/9/\n"
    "mGcT6NR5AgMBAAECggEACQPHqNwrJHWqCH1u/cP5w6jGMLDZw+tyqEXtYWxaNJoz\n"
    "UfOgq22om9YM0YaOwX1Rc8uxmFZS092Dl8wFi8I7+JgR3rma+AY+7LaphdaWDPoi\n"
    "RZw2nlz23Pd/qbPkiuAeUL8cU+yjmbR8cp/lOOMemX7wH7ZPi6lWcMOceaHMQdvp\n"
    "TaWg3jdWDdPZNVH6pNWepXcljtTz6WT7GD/19nz1PHwTMcYHyVIY0A2L1ENgT0J7\n"
    "yjSKK4czmeMr82wkx7n2KtSJeVye/qCAFKcU2vIJp+AQZgDR8c0sRNYPbXYQY7Rr\n"
    "+0/oi+Y2iv50Q4v35FYKlgvYQ5xXIF8yy+OEPRvIvQKBgQDVfiXji5gzBrs9qQRw\n"
    "jXIWk1/TbGzhBRlrbWQzNYVLAiE+ZJHyWSJ4ybtNUss8kSO2CamMjpZW/Swoj972\n"
    "ckTo4sJZCgW4cJQiWB/NeXXsIRTixKcLBuHRsW8H9KosYxCh4Gs4SARRWDip825L\n"
    "wYQF+JXBYHAAQ51y/aB4f1sxFwKBgQDCdrcN+XcPdXS6myl++EouRF1KVVrBePC7\n"
    "LqKnFe1exHAB+5qByzJ/Kcc89z5cFLvK/hlpswGCHvTtoQUV+vGwqZevgwHerV1b\n"
    "65e0XOsi1sokT05nal+TKLMgxDsmCqMBWsKVGYGdZFzi+GJsDKWQHbbJEXnOLnTW\n"
    "E3qy4CoA7wKBgQDKSWH7LdzDlIA713cWcl+ElpV4jcbIm31PdfI4N2EaBmWbac2D\n"
    "9QMdsf+gL2/U7q0IojUdskkvGWoK8O9RUkqK47lEhqOO9FTYCenwVkLuvxW8HJsu\n"
    "bpHvj5Dl1+SadC9hQnQ1er9kmBPwrHB4pV7EDZtQBGF7TpXUTA8NvZaZdwKBgEmM\n"
    "gvGbH6fOIccONmSaXdwf6TTbEYdJSatSGRye03dbTo3Bbo+WndOwpnVtgb1r7hb5\n"
    "gf0TQgfH05UoqHbGwbCyg/dS0ls5MK06btc9qYU0vaF8CUhd2CYdZ5qF/WUG8t3p\n"
    "SN0Bl59CvUru7LK3GctnIaHspSgRNAlftrF+zQQrAoGAbi76qpK4PDQCwwJ0oKyr\n"
    "Xb+XOuiYTVpbfh2AUELRmvcZwZP9vsJ5Y+hRbDLcdqRbOjXMXtnLkvcC49UpcDRv\n"
    "3ZxP5PbuJQPN8XspxxfQjwAp4OTA3IOfHYBVn0qrD3qn0kwPOw8+AJaqeZxRfrNv\n"
    "ImNcD8ILpuXxI47u7BJV+sE=\n"
    "-----END PRIVATE KEY-----\n";
static const char make_rsa_1024[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIICdQIBADANBgkqhkiG9w0BAQEFAASCAl8wggJbAgEAAoGBALOdKxLC4L6ZJffF\n"
    "o8cQ2fF7gSR9Thj50tC/U52Uig3LV6l1InR//ZAMjFgmRWfrN/vNxz8PVw7vrcMF\n"
    "88lgUNIlm4wIuqwcwq2//MwHlx/dx4tnkyjIWkOJv9CDJah1YqUk/HGU3urOZbSb\n"
    "UPx8KIq9uw/dAtNiIf5AyycueBh1AgMBAAECgYAE2dfR9+VuAGDgIjxcIf5g4T8J\n"
    "p0C2t/iTnrc5aEuaN8W0U++MSfClNVGNB+uT9OxcJqCc+WMWii6dN8nvxGQqXTbf\n"
    "ByaY7rxCKrYC7XTn/qocX9GN/vODhQyPkClsb/YlYJO0ufoev6eoshzkSovWIRBS\n"
    "dEX32/7v9ZstHbGLgQJBAN2SdTC/EuSZJBcanJLZoskkjtMWUCHqFoQqOQESZiJD\n"
    "gl2BU/Hu/E7rxe9Q7D1w3nRyJcghmaQ3Ns2vISy3XbECQQDPhbpGiVOaVxx3ZLJH\n"
    "7ZYFAEToGH97sqOKDmqRQ3rSBlrKy6Hgbag9LO/cqBF7u+oPE8Jdtq8wWd0Q4lrs\n"
    "1IQFAkApVaMrHtolbzQ+YyaGdrdZkspaMrVsPkFJEp9jxczr43A0hWXlolHLX0yj\n"
    "opMPuzikvI6z0SDac7pzkJI9x09hAkBQY0IcTtgW4oXBbj1thYhmmYsXyV2g4jtd\n"
    "oGYBrX0nXJTRF/61/GR+hijIdkaHguyROJtDSCAm/7iV8Mk+EritAkBrbp/gdfKU\n"
    "xkr5Pf47/nfYY1aFjhxyRdJh4kGtpuBZi1TH9p3mw1LRLNkYlaFHPUBwnvdijL2V\n"
    "Gt28E3vrSJlL\n"
    "-----END PRIVATE KEY-----\n";

MAKE_FN EVP_PKEY *make_rsa(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

    BIO_free(bio);
    if (key == NULL)
        abort();
    return key;
}

MAKE_FN EVP_PKEY *make_key(const struct make *how)
{
    EVP_PKEY *key;

    if (how->key != NULL) {
        EVP_PKEY_up_ref(how->key);
        return how->key;
    }
    if (how->rsa > 0)
        return make_rsa(how->rsa == 1024 ? make_rsa_1024 : make_rsa_2048);
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
