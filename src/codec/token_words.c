#include "codec/token_words.h"

#include <stdio.h>

const char *token_words_claim(const char *claim, char dst[TOKEN_CLAIM_MAX])
{
    size_t n = 0;

    for (; claim != NULL && claim[n] != '\0' && n < TOKEN_CLAIM_MAX - 1; n++) {
        int plain = claim[n] > ' ' && claim[n] < 0x7f && claim[n] != '"' && claim[n] != '\\';

        dst[n] = plain ? claim[n] : '?';
    }
    dst[n] = '\0';
    return dst;
}

const char *token_words(enum token_result result, const char *wanted, const char *claim,
                        char dst[TOKEN_WORDS_MAX])
{
    const char *message = token_result_message(result);
    char name[TOKEN_CLAIM_MAX];

    if (wanted == NULL)
        (void)snprintf(dst, TOKEN_WORDS_MAX, "%s", message);
    else
        (void)snprintf(dst, TOKEN_WORDS_MAX, "%s: %s%s", message, token_words_claim(claim, name),
                       wanted);
    return dst;
}
