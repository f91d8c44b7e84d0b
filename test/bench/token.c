#include "token.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define GOOD_S 7200

/* base64url without padding. */
static size_t encode(char *dst, const void *bytes, size_t len)
{
    size_t n = (size_t)EVP_EncodeBlock((unsigned char *)dst, bytes, (int)len);

    while (n > 0 && dst[n - 1] == '=')
        n--;
    dst[n] = '\0';
    for (char *at = dst; *at != '\0'; at++)
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
    return n;
}

size_t token_make(char dst[TOKEN_CAP], const char *secret, const char *uid)
{
    static const char head[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    long now = (long)time(NULL);
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_len;
    char claims[200];
    size_t n;

    snprintf(claims, sizeof(claims), "{\"profile\":{\"uid\":\"%s\"},\"iat\":%ld,\"exp\":%ld}", uid,
             now, now + GOOD_S);
    n = encode(dst, head, sizeof(head) - 1);
    dst[n++] = '.';
    n += encode(dst + n, claims, strlen(claims));
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)dst, n, mac, &mac_len);
    dst[n++] = '.';
    return n + encode(dst + n, mac, mac_len);
}
