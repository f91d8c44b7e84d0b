/* jwt_make - HS256 tokens for tests that need a client let in, made by libjwt. */
#ifndef TEST_JWT_MAKE_H
#define TEST_JWT_MAKE_H

#include "codec/keys.h"

#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
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

/* A token with these claims (JSON), for free(). */
static inline char *jwt_encoded(jwt_alg_t alg, const void *key, size_t len, const char *claims)
{
    jwt_t *jwt = NULL;
    char *token;

    if (jwt_new(&jwt) != 0 || jwt_add_grants_json(jwt, claims) != 0 ||
        jwt_set_alg(jwt, alg, key, (int)len) != 0 || (token = jwt_encode_str(jwt)) == NULL)
        abort();
    jwt_free(jwt);
    return token;
}

/* An HS256 token with these claims.  Valid for the next seven calls. */
static inline const char *jwt_with(const char *claims)
{
    static char ring[8][512];
    static unsigned turn;
    char *out = ring[turn++ % 8], *token;

    token = jwt_encoded(JWT_ALG_HS256, JWT_SECRET, JWT_SECRET_LEN, claims);
    snprintf(out, sizeof(ring[0]), "%s", token);
    free(token);
    return out;
}

/* The same for uid, that expires at exp (seconds since 1970; 0: never). */
static inline const char *jwt_make(const char *uid, long long exp)
{
    char claims[256];

    if (exp != 0)
        snprintf(claims, sizeof(claims), "{\"uid\":\"%s\",\"exp\":%lld}", uid, exp);
    else
        snprintf(claims, sizeof(claims), "{\"uid\":\"%s\"}", uid);
    return jwt_with(claims);
}

#endif
