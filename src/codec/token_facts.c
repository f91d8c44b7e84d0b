#include "codec/token_facts.h"

#include <stdio.h>
#include <string.h>

static void keep(char *dst, size_t cap, const char *text)
{
    (void)snprintf(dst, cap, "%s", text != NULL ? text : "");
}

static struct token_time read_time(const struct jwt_parts *parts, const char *name)
{
    const char *json = jwt_parts_claim_json(parts, name);
    struct token_time time = {0, 0};

    time.there = json != NULL && numeric_date_parse(json, &time.ms) != NUMERIC_DATE_BAD;
    return time;
}

void token_facts_read(struct token_facts *facts, const char *token, size_t len)
{
    struct jwt_parts parts = {0};

    memset(facts, 0, sizeof(*facts));
    if (jwt_parts_split(&parts, token, len) == 0 && parts.header.len <= JWT_HEADER_MAX &&
        jwt_parts_read_header(&parts) == 0) {
        keep(facts->alg, sizeof(facts->alg), jwt_parts_header(&parts, "alg", NULL));
        keep(facts->typ, sizeof(facts->typ), jwt_parts_header(&parts, "typ", NULL));
        if (jwt_parts_read_claims(&parts) == 0) {
            facts->read = 1;
            facts->issued = read_time(&parts, "iat");
            facts->from = read_time(&parts, "nbf");
            facts->expires = read_time(&parts, "exp");
            keep(facts->audience, sizeof(facts->audience), jwt_parts_claim_json(&parts, "aud"));
        }
    }
    jwt_parts_clear(&parts);
    token_peek(token, len, &facts->hint);
}
