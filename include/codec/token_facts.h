/* token_facts - what a token says of itself, for people: nothing of it is verified. */
#ifndef CODEC_TOKEN_FACTS_H
#define CODEC_TOKEN_FACTS_H

#include "codec/token.h"

struct token_time {
    int there; /* and a number that a time can be */
    int64_t ms;
};

/* Texts are cut off where they are long, and empty where there is none. */
struct token_facts {
    int read; /* it is a token as far as that goes: header and claims could be read */
    char alg[64], typ[64];
    char audience[256];                      /* JSON: a string or an array */
    struct token_time issued, from, expires; /* iat, nbf, exp */
    struct token_hint hint;
};

void token_facts_read(struct token_facts *facts, const char *token, size_t len);

#endif
