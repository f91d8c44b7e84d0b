#include "worker/refusal.h"
#include "worker/notice.h"

#include <stdio.h>
#include <string.h>

#define FIELDS_MAX 3200 /* all of struct token_hint, escaped, and what was wanted */
#define CLAIM_MAX  64   /* characters of the name of a claim */

/* The name of a claim as the configuration has it; what JSON, or a log, escapes is "?". */
static const char *claim_text(const char *claim, char dst[CLAIM_MAX])
{
    size_t n = 0;

    for (; claim != NULL && claim[n] != '\0' && n < CLAIM_MAX - 1; n++) {
        int plain = claim[n] > ' ' && claim[n] < 0x7f && claim[n] != '"' && claim[n] != '\\';

        dst[n] = plain ? claim[n] : '?';
    }
    dst[n] = '\0';
    return dst;
}

const char *refusal_message(enum token_result result, const struct auth_verdict *verdict,
                            char dst[REFUSAL_MESSAGE_MAX])
{
    const char *message = token_result_message(result);
    char claim[CLAIM_MAX];

    if (verdict == NULL || verdict->wanted == NULL)
        (void)snprintf(dst, REFUSAL_MESSAGE_MAX, "%s", message);
    else
        (void)snprintf(dst, REFUSAL_MESSAGE_MAX, "%s: %s%s", message,
                       claim_text(verdict->claim, claim), verdict->wanted);
    return dst;
}

/* What nobody has signed is as long, and as odd, as it likes. */
static size_t put_word(char *dst, size_t cap, const char *key, const char *text)
{
    char word[4 * (TOKEN_UID_MAX + 1) + 1];
    int len = 0;

    if (*text != '\0')
        len = snprintf(dst, cap, " %s=%s", key, log_word(word, sizeof(word), text, strlen(text)));
    return len > 0 && (size_t)len < cap ? (size_t)len : 0;
}

static const char *fields_text(const struct auth_verdict *verdict, char dst[FIELDS_MAX])
{
    char claim[CLAIM_MAX];
    size_t len = 0;

    dst[0] = '\0';
    if (verdict == NULL)
        return dst;
    if (verdict->wanted != NULL)
        len = (size_t)snprintf(dst, FIELDS_MAX, " wanted=\"%s%s\"",
                               claim_text(verdict->claim, claim), verdict->wanted);
    if (verdict->hint == NULL)
        return dst;
    len += put_word(dst + len, FIELDS_MAX - len, "kid", verdict->hint->kid);
    len += put_word(dst + len, FIELDS_MAX - len, "iss", verdict->hint->iss);
    (void)put_word(dst + len, FIELDS_MAX - len, "unverified_uid", verdict->hint->uid);
    return dst;
}

void refusal_log(const struct client *client, struct log_every *every, const char *what,
                 const char *code, const struct auth_verdict *verdict)
{
    char text[128], fields[FIELDS_MAX];
    uint64_t times;

    if (!notice_due(every, &times))
        return;
    (void)snprintf(text, sizeof(text), "%s: reason=%s", what, code);
    notice_log(client, times, text, fields_text(verdict, fields));
}
