#include "worker/refusal.h"
#include "worker/client.h"
#include "worker/notice.h"

#include <stdio.h>
#include <string.h>

const char *refusal_message(enum token_result result, const struct auth_verdict *verdict,
                            char dst[REFUSAL_MESSAGE_MAX])
{
    return token_words(result, verdict != NULL ? verdict->wanted : NULL,
                       verdict != NULL ? verdict->claim : NULL, dst);
}

static void wanted_text(const struct auth_verdict *verdict, char dst[REFUSAL_MESSAGE_MAX])
{
    char claim[TOKEN_CLAIM_MAX];

    (void)snprintf(dst, REFUSAL_MESSAGE_MAX, "%s%s", token_words_claim(verdict->claim, claim),
                   verdict->wanted);
}

/* What nobody has signed is as long, and as odd, as it likes. */
#define HINT(name, text)                                                                           \
    LOG_IF(hint != NULL && *(text) != '\0', LOG_WORD(name, text, strlen(text), 0))

#define FIELDS                                                                                     \
    "[: reason={} address={} transport={}][ wanted=\"{}\"][ kid={}][ iss={}][ unverified_uid={}]"  \
    "[ times={}]"

void refusal_log(const struct client *client, struct log_every *every, enum refusal_of what,
                 const char *code, const struct auth_verdict *verdict)
{
    static const struct log_entry entries[] = {
        [REFUSAL_OF_CLIENT] = {"client_refused", "client refused" FIELDS},
        [REFUSAL_OF_RENEWAL] = {"token_not_renewed", "token not renewed" FIELDS},
    };
    const struct token_hint *hint = verdict != NULL ? verdict->hint : NULL;
    char shown[ADDRESS_TEXT_MAX], wanted[REFUSAL_MESSAGE_MAX] = "";
    uint64_t times;

    if (!notice_due(every, &times))
        return;
    if (verdict != NULL && verdict->wanted != NULL)
        wanted_text(verdict, wanted);
    log_entry_at(notice_level(times), entries[what], LOG_STR("reason", code),
                 NOTICE_FROM(client, shown), LOG_IF(*wanted != '\0', LOG_STR("wanted", wanted)),
                 HINT("kid", hint->kid), HINT("iss", hint->iss), HINT("unverified_uid", hint->uid),
                 LOG_TIMES(times));
}
