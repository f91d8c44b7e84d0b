/* refusal - a token that was refused: what the client is told, and a line in the log. */
#ifndef WORKER_REFUSAL_H
#define WORKER_REFUSAL_H

#include "base/log.h"
#include "codec/token.h"
#include "codec/token_words.h"
#include "worker/auth.h"

struct client;

#define REFUSAL_MESSAGE_MAX TOKEN_WORDS_MAX

/* What a client is told of a token that was refused, without anything that JSON escapes.
 * verdict: on it, or NULL. */
const char *refusal_message(enum token_result result, const struct auth_verdict *verdict,
                            char dst[REFUSAL_MESSAGE_MAX]);

enum refusal_of { REFUSAL_OF_CLIENT, REFUSAL_OF_RENEWAL };

/* Says so in the log; every: of this code.  verdict: on its token, or NULL. */
void refusal_log(const struct client *client, struct log_every *every, enum refusal_of what,
                 const char *code, const struct auth_verdict *verdict);

/* Where to put what a refused token says of itself: only debug wants to know. */
static inline struct token_hint *refusal_hint(struct token_hint *hint)
{
    return log_get_level() >= LOG_LEVEL_DEBUG ? hint : NULL;
}

#endif
