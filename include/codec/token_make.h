/* token_make - a token for a user, signed with a secret, such as a policy takes. */
#ifndef CODEC_TOKEN_MAKE_H
#define CODEC_TOKEN_MAKE_H

#include "base/buf.h"
#include "codec/token.h"

enum token_made {
    TOKEN_MADE,
    TOKEN_MADE_UNSIGNED, /* there is no secret that an accepted algorithm may be used with */
    TOKEN_MADE_REFUSED,  /* the policy does not take it: *result, as for a user's id too long */
    TOKEN_MADE_NO_MEMORY,
};

/* Appends it to out, whose bytes are to be overwritten after use: with the first secret that may
 * be used, that one's kid, the first of what the policy wants in typ, iss and aud, the user as
 * profile.uid (UTF-8), iat, and with ttl_s other than 0 an exp so many seconds later. */
enum token_made token_make(struct buf *out, const struct token_policy *policy, struct slice uid,
                           int64_t now_ms, int64_t ttl_s, enum token_result *result);

#endif
