#include "token.h"

#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GOOD_S 7200

size_t token_make(char dst[TOKEN_CAP], const char *secret, const char *uid)
{
    long now = (long)time(NULL);
    char claims[200], *token;
    jwt_t *jwt = NULL;
    int len;

    snprintf(claims, sizeof(claims), "{\"profile\":{\"uid\":\"%s\"},\"iat\":%ld,\"exp\":%ld}", uid,
             now, now + GOOD_S);
    if (jwt_new(&jwt) != 0 || jwt_add_grants_json(jwt, claims) != 0 ||
        jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)secret, (int)strlen(secret)) != 0 ||
        (token = jwt_encode_str(jwt)) == NULL)
        abort();
    jwt_free(jwt);
    len = snprintf(dst, TOKEN_CAP, "%s", token);
    free(token);
    return (size_t)len;
}
