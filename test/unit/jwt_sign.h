/* jwt_sign - tokens of every algorithm, good and forged, into one buffer. */
#ifndef TEST_JWT_SIGN_H
#define TEST_JWT_SIGN_H

#include "base/base64.h"
#include "base/buf.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

static struct buf token; /* the last one made */

static inline void put_segment(const void *bytes, size_t len)
{
    uint8_t *to = buf_reserve(&token, BASE64URL_LEN(len) + 1);

    token.len += base64url_encode((char *)to, bytes, len);
}

/* Header and payload: what is signed. */
static inline void put_text(const char *header, const char *payload, size_t payload_len)
{
    buf_reset(&token);
    put_segment(header, strlen(header));
    buf_putc(&token, '.');
    put_segment(payload, payload_len);
}

static inline void sign_hmac(const EVP_MD *md, const void *key, size_t key_len)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    HMAC(md, key, (int)key_len, token.data, token.len, mac, &len);
    buf_putc(&token, '.');
    put_segment(mac, len);
}

/* raw_len: bytes of r and s together, 0 for the signature as OpenSSL gives it. */
static inline void sign_key(const EVP_MD *md, EVP_PKEY *key, int raw_len)
{
    uint8_t sig[1024], raw[256] = {0}; /* zero: parts that do not fit are none */
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

/* The public key as PEM into dst, terminated.  Returns its length. */
static inline size_t write_public(char *dst, size_t cap, EVP_PKEY *pair)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int len;

    PEM_write_bio_PUBKEY(bio, pair);
    len = BIO_read(bio, dst, (int)cap - 1);
    BIO_free(bio);
    dst[len] = '\0';
    return (size_t)len;
}

#endif
