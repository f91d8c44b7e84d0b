/* jwt_make - HS256 tokens for tests that need a client let in. */
#ifndef TEST_JWT_MAKE_H
#define TEST_JWT_MAKE_H

#include "base/base64.h"
#include "codec/keys.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define JWT_SECRET     "0123456789abcdef0123456789abcdef"
#define JWT_SECRET_LEN 32

/* The set that holds the secret and nothing else. */
static inline struct token_keys *jwt_keys(void)
{
    struct token_keys *keys = token_keys_new();

    token_keys_add_secret(keys, (struct slice){0}, JWT_SECRET, JWT_SECRET_LEN, 0);
    return keys;
}

/* A token for uid that expires at exp (seconds since 1970; 0: never).  Valid for
 * the next seven calls. */
static const char *jwt_make(const char *uid, long long exp)
{
    static char ring[8][512];
    static unsigned turn;
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    unsigned char mac[EVP_MAX_MD_SIZE];
    char *out = ring[turn++ % 8], claims[256];
    unsigned mac_len = 0;
    size_t n;

    if (exp != 0)
        snprintf(claims, sizeof(claims), "{\"uid\":\"%s\",\"exp\":%lld}", uid, exp);
    else
        snprintf(claims, sizeof(claims), "{\"uid\":\"%s\"}", uid);
    n = base64url_encode(out, header, sizeof(header) - 1);
    out[n++] = '.';
    n += base64url_encode(out + n, claims, strlen(claims));
    HMAC(EVP_sha256(), JWT_SECRET, JWT_SECRET_LEN, (const unsigned char *)out, n, mac, &mac_len);
    out[n++] = '.';
    n += base64url_encode(out + n, mac, mac_len);
    out[n] = '\0';
    return out;
}

#endif
