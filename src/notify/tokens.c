#include "notify/tokens.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "codec/json.h"
#include "codec/token_make.h"
#include "codec/token_rooms.h"
#include "codec/token_words.h"
#include "notify/input.h"
#include "notify/say.h"
#include "notify/verdict.h"

#include <stdio.h>
#include <string.h>

#define INPUT_MAX (1 << 20) /* no token is as long */

/* Prints and overwrites it. */
static void print(struct buf *out)
{
    (void)fwrite(out->data, 1, out->len, stdout);
    if (out->data != NULL)
        explicit_bzero(out->data, out->len);
    buf_free(out);
}

/* ---- --token ---- */

static int fail_made(const struct conf *conf, enum token_made made, enum token_result result)
{
    struct buf algs = {0};
    int status;

    if (made == TOKEN_MADE_NO_MEMORY)
        return say_fail("no memory");
    if (made == TOKEN_MADE_REFUSED)
        return say_fail("axr-notifyd would not take such a token: %s",
                        token_result_message(result));
    token_algs_put(&algs, conf->token.algs & token_keys_algs(conf->keys));
    if ((token_keys_algs(conf->keys) & TOKEN_HS) != 0)
        status = say_fail("no token can be made: there is a secret, but auth:options:algorithms "
                          "takes only %.*s",
                          (int)algs.len, (const char *)algs.data);
    else
        status = say_fail("no token can be made: there is no secret, only public keys, for %.*s; "
                          "tokens come from whoever has the private key",
                          (int)algs.len, (const char *)algs.data);
    buf_free(&algs);
    return status;
}

static void put_made(struct buf *out, const struct buf *token, const char *uid, int64_t expires_s)
{
    buf_puts(out, "{\"token\":");
    json_put_string(out, (const char *)token->data, token->len);
    buf_puts(out, ",\"user\":");
    json_put_string(out, uid, strlen(uid));
    if (expires_s != 0)
        buf_printf(out, ",\"expires\":%lld}\n", (long long)expires_s);
    else
        buf_puts(out, ",\"expires\":null}\n");
}

int tokens_make(const struct conf *conf, const char *uid, int64_t ttl_s, int as_json)
{
    int64_t now_ms = clock_wall_ms();
    struct buf token = {0}, out = {0};
    enum token_result result;
    enum token_made made;

    if (*uid == '\0' || strlen(uid) > TOKEN_UID_MAX || !utf8_valid(uid, strlen(uid)))
        return say_fail("the user after --token has to be 1 to %d bytes of UTF-8", TOKEN_UID_MAX);
    made = token_make(&token, &conf->token, slice_str(uid), now_ms, ttl_s, &result);
    if (made != TOKEN_MADE)
        return fail_made(conf, made, result);
    if (as_json) {
        put_made(&out, &token, uid, ttl_s != 0 ? now_ms / 1000 + ttl_s : 0);
        print(&out);
        explicit_bzero(token.data, token.len);
        buf_free(&token);
    } else {
        buf_putc(&token, '\n');
        print(&token);
    }
    return 0;
}

/* ---- --check ---- */

static void judge(struct verdict *verdict)
{
    verdict->trial.tries = TOKEN_TRIES_MAX;
    verdict->result = token_verify(&verdict->conf->token, verdict->text.ptr, verdict->text.len,
                                   verdict->now_ms, &verdict->trial, &verdict->user);
    token_facts_read(&verdict->facts, verdict->text.ptr, verdict->text.len);
}

int tokens_check(const struct conf *conf, const char *token, int as_json)
{
    struct verdict verdict = {.conf = conf, .now_ms = clock_wall_ms()};
    struct buf input = {.secret = 1}, out = {0};
    int status = 0;

    verdict.text = slice_str(token);
    if (strcmp(token, "-") == 0) {
        status = input_read(&input, INPUT_MAX, "a token");
        verdict.text = input_trim((struct slice){(const char *)input.data, input.len});
    }
    if (status == 0) {
        judge(&verdict);
        if (as_json)
            verdict_put_json(&verdict, &out);
        else
            verdict_put(&verdict, &out);
        if (out.failed)
            status = say_fail("no memory");
        else if (verdict.result != TOKEN_OK)
            status = EXIT_FAILED;
        print(&out);
        token_rooms_free(&verdict.user.rooms);
    }
    buf_free(&input);
    return status;
}
