/* token_words - what is said of a token that is refused, to its client and to people. */
#ifndef CODEC_TOKEN_WORDS_H
#define CODEC_TOKEN_WORDS_H

#include "codec/token.h"

#define TOKEN_WORDS_MAX 256
#define TOKEN_CLAIM_MAX 64 /* characters of the name of a claim */

/* What a client is told, without anything that JSON escapes: the result's message, and what the
 * token lacked, where that is known.  wanted, claim: of struct token_trial, or NULL. */
const char *token_words(enum token_result result, const char *wanted, const char *claim,
                        char dst[TOKEN_WORDS_MAX]);

/* The name of a claim as the configuration has it, NULL: none; what JSON, or a log, escapes is
 * "?". */
const char *token_words_claim(const char *claim, char dst[TOKEN_CLAIM_MAX]);

#endif
