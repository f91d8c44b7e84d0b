/* verdict - what is said of a token that has been judged, for people and as JSON. */
#ifndef NOTIFY_VERDICT_H
#define NOTIFY_VERDICT_H

#include "base/slice.h"
#include "codec/token.h"
#include "codec/token_facts.h"
#include "conf.h"

struct verdict {
    const struct conf *conf;
    struct slice text; /* the token */
    int64_t now_ms;
    enum token_result result;
    struct token_trial trial;
    struct token_user user; /* where it is good */
    struct token_facts facts;
};

/* Lines. */
void verdict_put(const struct verdict *verdict, struct buf *out);

/* An object and a newline. */
void verdict_put_json(const struct verdict *verdict, struct buf *out);

#endif
