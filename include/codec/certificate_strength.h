/* certificate_strength - what kind of key a certificate has, and whether clients still take
 * such keys and signatures. */
#ifndef CODEC_CERTIFICATE_STRENGTH_H
#define CODEC_CERTIFICATE_STRENGTH_H

#include "base/buf.h"

#include <openssl/types.h>
#include <stddef.h>

#define CERTIFICATE_KIND_MAX 64
#define CERTIFICATE_RSA_MIN  2048 /* bits */
#define CERTIFICATE_RSA_MAX  8192

/* "RSA 2048", "ECDSA P-256", "Ed25519" */
void certificate_kind_of(const EVP_PKEY *key, char dst[CERTIFICATE_KIND_MAX]);

/* 1 if it is its own issuer: clients have it, or do not trust it. */
int certificate_is_root(X509 *x509);

/* 0, or -1 with what is weak in error, where the certificate is called number n. */
int certificate_weakness(X509 *x509, size_t n, struct buf *error);

#endif
