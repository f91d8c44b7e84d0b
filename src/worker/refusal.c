#include "worker/refusal.h"
#include "base/address.h"
#include "engine/engine.h"
#include "worker/client.h"

#include <stdio.h>
#include <string.h>

#define REFUSAL_LOG_MS 60000
#define FIELDS_MAX     3000 /* all of struct token_hint, escaped, and wanted */

const char *refusal_message(enum token_result result, const char *wanted,
                            char dst[REFUSAL_MESSAGE_MAX])
{
    (void)snprintf(dst, REFUSAL_MESSAGE_MAX, "%s%s%s", token_result_message(result),
                   wanted != NULL ? ": " : "", wanted != NULL ? wanted : "");
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
    size_t len = 0;

    dst[0] = '\0';
    if (verdict == NULL)
        return dst;
    if (verdict->wanted != NULL)
        len = (size_t)snprintf(dst, FIELDS_MAX, " wanted=\"%s\"", verdict->wanted);
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
    uint64_t times = log_due(every, REFUSAL_LOG_MS);
    char address[ADDRESS_TEXT_MAX], fields[FIELDS_MAX];

    if (times == 0 && log_get_level() < LOG_LEVEL_DEBUG)
        return;
    address_text(&client->address, address);
    fields_text(verdict, fields);
    if (times > 0)
        log_info("%s: reason=%s address=%s transport=%s%s times=%llu", what, code, address,
                 socket_transport(client->socket), fields, (unsigned long long)times);
    else
        log_debug("%s: reason=%s address=%s transport=%s%s", what, code, address,
                  socket_transport(client->socket), fields);
}
