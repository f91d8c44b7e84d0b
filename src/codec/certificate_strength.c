#include "codec/certificate_strength.h"

#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static int weak(struct buf *error, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)buf_puts(error, text);
    return -1;
}

static const char *curve_name(const EVP_PKEY *key, char *dst, size_t cap)
{
    if (EVP_PKEY_get_group_name(key, dst, cap, NULL) != 1)
        return "an unnamed curve";
    switch (OBJ_txt2nid(dst)) {
    case NID_X9_62_prime256v1:
        return "P-256";
    case NID_secp384r1:
        return "P-384";
    case NID_secp521r1:
        return "P-521";
    default:
        return dst;
    }
}

static int curve_is_known(const char *name)
{
    return strncmp(name, "P-", 2) == 0;
}

void certificate_kind_of(const EVP_PKEY *key, char dst[CERTIFICATE_KIND_MAX])
{
    const size_t cap = CERTIFICATE_KIND_MAX;
    char curve[CERTIFICATE_KIND_MAX / 2];

    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        (void)snprintf(dst, cap, "RSA %d", EVP_PKEY_get_bits(key));
        break;
    case EVP_PKEY_RSA_PSS:
        (void)snprintf(dst, cap, "RSA-PSS %d", EVP_PKEY_get_bits(key));
        break;
    case EVP_PKEY_EC:
        (void)snprintf(dst, cap, "ECDSA %s", curve_name(key, curve, sizeof(curve)));
        break;
    case EVP_PKEY_ED25519:
        (void)snprintf(dst, cap, "Ed25519");
        break;
    case EVP_PKEY_ED448:
        (void)snprintf(dst, cap, "Ed448");
        break;
    default:
        (void)snprintf(dst, cap, "another kind");
    }
}

static int weakness_key(const EVP_PKEY *key, size_t n, struct buf *error)
{
    char kind[CERTIFICATE_KIND_MAX];
    int bits = EVP_PKEY_get_bits(key);

    certificate_kind_of(key, kind);
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        if (bits >= CERTIFICATE_RSA_MIN && bits <= CERTIFICATE_RSA_MAX)
            return 0;
        return weak(error, "certificate %zu has a key of %d bits (%s), wanted %d to %d", n, bits,
                    kind, CERTIFICATE_RSA_MIN, CERTIFICATE_RSA_MAX);
    case EVP_PKEY_EC:
        if (curve_is_known(kind + strlen("ECDSA ")))
            return 0;
        return weak(error,
                    "certificate %zu has a key on a curve that clients do not know (%s), wanted "
                    "P-256 or P-384",
                    n, kind);
    case EVP_PKEY_ED25519:
    case EVP_PKEY_ED448:
        return 0;
    default:
        return weak(error, "certificate %zu has a key of %s, wanted RSA or ECDSA", n, kind);
    }
}

int certificate_is_root(X509 *x509)
{
    return (X509_get_extension_flags(x509) & EXFLAG_SS) != 0;
}

/* Nobody checks how a root is signed, for it is known. */
static int weakness_signature(X509 *x509, size_t n, struct buf *error)
{
    int digest = NID_undef;

    if (certificate_is_root(x509) || X509_get_signature_info(x509, &digest, NULL, NULL, NULL) != 1)
        return 0;
    switch (digest) {
    case NID_md2:
    case NID_md4:
    case NID_md5:
    case NID_md5_sha1:
    case NID_mdc2:
    case NID_ripemd160:
    case NID_sha1:
        return weak(error,
                    "certificate %zu is signed with %s, which clients refuse, wanted SHA-256 "
                    "or more",
                    n, OBJ_nid2ln(digest));
    default:
        return 0;
    }
}

int certificate_weakness(X509 *x509, size_t n, struct buf *error)
{
    return weakness_key(X509_get0_pubkey(x509), n, error) < 0 ||
                   weakness_signature(x509, n, error) < 0
               ? -1
               : 0;
}
