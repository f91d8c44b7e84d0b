#include "engine/engine.h"
#include "log_file.h"
#include "tap.h"
#include "worker/client.h"
#include "worker/refusal.h"

#include <arpa/inet.h>

enum eio_version socket_version(const struct socket *socket)
{
    (void)socket;
    return EIO4;
}

const char *socket_transport(const struct socket *socket)
{
    (void)socket;
    return "websocket";
}

static struct client client;
static struct token_hint hint;
static struct auth_verdict verdict;
static struct log_every every;

static void refused(const struct auth_verdict *of)
{
    refusal_log(&client, &every, REFUSAL_OF_CLIENT, "token_x", of);
}

static void test_message(void)
{
    char dst[REFUSAL_MESSAGE_MAX], want[REFUSAL_MESSAGE_MAX], longest[400];

    is_str(refusal_message(TOKEN_EXPIRED, NULL, dst), token_result_message(TOKEN_EXPIRED),
           "what the result says");
    snprintf(want, sizeof(want), "%s: exp", token_result_message(TOKEN_BAD_CLAIM));
    verdict.wanted = "exp";
    is_str(refusal_message(TOKEN_BAD_CLAIM, &verdict, dst), want, "and what was wanted");
    snprintf(want, sizeof(want), "%s: https://a/r has to", token_result_message(TOKEN_BAD_CLAIM));
    verdict = (struct auth_verdict){.wanted = " has to", .claim = "https://a/r"};
    is_str(refusal_message(TOKEN_BAD_CLAIM, &verdict, dst), want, "of which claim");
    snprintf(want, sizeof(want), "%s: a?b?c?d???e? has to", token_result_message(TOKEN_BAD_CLAIM));
    verdict.claim = "a\"b\\c d\xc3\xa9\x7f"
                    "e\n";
    is_str(refusal_message(TOKEN_BAD_CLAIM, &verdict, dst), want, "without what JSON escapes");
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    verdict.claim = longest;
    snprintf(want, sizeof(want), "%s: %.63s has to", token_result_message(TOKEN_BAD_CLAIM),
             longest);
    is_str(refusal_message(TOKEN_BAD_CLAIM, &verdict, dst), want, "a long name is cut");
    verdict = (struct auth_verdict){.wanted = longest};
    is_int((long)strlen(refusal_message(TOKEN_BAD_CLAIM, &verdict, dst)), REFUSAL_MESSAGE_MAX - 1,
           "what is too long is cut");
}

static void test_line(void)
{
    log_set_level(LOG_LEVEL_INFO);
    refused(NULL);
    is_int(logged(" info "), logged("\n"), "at info");
    is_int(logged(": client refused: reason=token_x address=192.0.2.7:80 transport=websocket "
                  "times=1\n"),
           1, "no token to speak of");
    refused(NULL);
    is_int(logged("\n"), 1, "one line a minute");
    memset(&every, 0, sizeof(every));
    log_begin();
    verdict = (struct auth_verdict){.wanted = "exp has to be a number"};
    refused(&verdict);
    is_int(logged("transport=websocket wanted=\"exp has to be a number\" times=1\n"), 1,
           "what was wanted");
    log_begin();
    memset(&every, 0, sizeof(every));
    verdict = (struct auth_verdict){.wanted = " has to be none", .claim = "a\"b"};
    refused(&verdict);
    is_int(logged("transport=websocket wanted=\"a?b has to be none\" times=1\n"), 1,
           "of which claim");
    log_begin();
    log_set_level(LOG_LEVEL_DEBUG);
    verdict = (struct auth_verdict){.wanted = "exp has to be a number"};
    refused(&verdict);
    is_int(logged("transport=websocket wanted=\"exp has to be a number\"\n"), 1,
           "at debug each has one");
    log_begin();
}

/* What nobody has signed. */
static void test_hint(void)
{
    log_set_level(LOG_LEVEL_INFO);
    ok(refusal_hint(&hint) == NULL, "nobody wants to know what a bad token says");
    log_set_level(LOG_LEVEL_DEBUG);
    ok(refusal_hint(&hint) == &hint, "but at debug");
    verdict = (struct auth_verdict){.hint = &hint};
    refused(&verdict);
    is_int(logged("transport=websocket\n"), 1, "a token that says nothing");
    strcpy(hint.kid, "k 1");
    strcpy(hint.uid, "u\n2");
    refused(&verdict);
    is_int(logged("websocket kid=k\\x201 unverified_uid=u\\x0a2\n"), 1, "what it says, escaped");
    strcpy(hint.iss, "me");
    refused(&verdict);
    is_int(logged("websocket kid=k\\x201 iss=me unverified_uid=u\\x0a2\n"), 1, "all three");
    log_begin();

    memset(hint.kid, '\n', sizeof(hint.kid) - 1);
    memset(hint.iss, '\n', sizeof(hint.iss) - 1);
    memset(hint.uid, '\n', sizeof(hint.uid) - 1);
    verdict.wanted = "w";
    refused(&verdict);
    is_int(logged(" wanted=\"w\" kid=\\x0a"), 1, "the longest has its place");
    is_int(logged("\\x0a iss=\\x0a"), 1, "in a line");
    is_int(logged("\\x0a unverified_uid=\\x0a"), 1, "to its end");
    is_int(logged("\n"), 1, "and one line it is");
}

int main(void)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(80)};

    inet_pton(AF_INET, "192.0.2.7", &peer.sin_addr);
    address_set(&client.address, (struct sockaddr *)&peer);
    log_begin_at(LOG_LEVEL_INFO);
    test_message();
    test_line();
    test_hint();
    log_end();
    return tap_done();
}
