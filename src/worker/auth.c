#include "worker/auth.h"
#include "base/slice.h"
#include "codec/json.h"
#include "codec/origin.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const QUERY_NAMES[] = {"jwt_token", "auth_token", "token"};
#define QUERY_NAMES_N  (sizeof(QUERY_NAMES) / sizeof(QUERY_NAMES[0]))
#define CANDIDATES_MAX (QUERY_NAMES_N + 2) /* and a header and a cookie */

/* A token as the request has it. */
struct candidate {
    struct slice text;
    int plus; /* '+' means a space */
};

struct candidates {
    struct candidate at[CANDIDATES_MAX];
    size_t n;
};

struct auth_tokens {
    size_t bytes_len;
    size_t n;
    int cookie; /* the last one came in a cookie */
    struct {
        enum token_result fault; /* TOKEN_OK: the token is there and to be judged */
        size_t off, len;         /* in bytes */
    } at[CANDIDATES_MAX];
    char bytes[];
};

/* --- where tokens are --- */

static void add(struct candidates *list, struct slice text, int plus)
{
    if (text.len > 0)
        list->at[list->n++] = (struct candidate){text, plus};
}

static void add_query(struct candidates *list, struct slice query)
{
    struct slice value;

    for (size_t i = 0; i < QUERY_NAMES_N; i++)
        if (http_query(query, QUERY_NAMES[i], &value))
            add(list, value, 1);
}

static void add_authorization(struct candidates *list, const struct http_request *req)
{
    const struct http_header *header = http_header(req, "authorization");
    struct slice rest;
    size_t len;

    if (header == NULL)
        return;
    rest = header->value;
    if (!slice_skip_nocase(&rest, SLICE("bearer")) && !slice_skip_nocase(&rest, SLICE("jwt")))
        return;
    len = rest.len;
    while (rest.len > 0 && (*rest.ptr == ' ' || *rest.ptr == '\t')) {
        rest.ptr++;
        rest.len--;
    }
    if (rest.len < len) /* else the scheme only begins like ours */
        add(list, rest, 0);
}

/* --- what is kept of them --- */

/* Length of text once its escapes are decoded, if they are sound. */
static size_t decoded_len(struct slice text)
{
    size_t escapes = 0;

    for (size_t i = 0; i < text.len; i++)
        escapes += text.ptr[i] == '%';
    return escapes * 2 < text.len ? text.len - escapes * 2 : 0;
}

/* Returns 0, or -1 without memory; *tokens is NULL for an empty list. */
static int tokens_make(struct auth_tokens **tokens, const struct candidates *list, size_t max)
{
    struct auth_tokens *made;
    size_t total = 0;

    *tokens = NULL;
    if (list->n == 0)
        return 0;
    /* http_unescape may write up to the escaped length before it fails. */
    for (size_t i = 0; i < list->n; i++)
        if (decoded_len(list->at[i].text) <= max)
            total += list->at[i].text.len;
    made = malloc(sizeof(*made) + total);
    if (made == NULL)
        return -1;
    made->n = list->n;
    made->cookie = 0;
    made->bytes_len = total;
    total = 0;
    for (size_t i = 0; i < list->n; i++) {
        const struct candidate *from = &list->at[i];
        long len = 0;

        made->at[i].fault = TOKEN_OK;
        if (decoded_len(from->text) > max)
            made->at[i].fault = TOKEN_TOO_LARGE;
        else if ((len = http_unescape(made->bytes + total, from->text, from->plus)) < 0)
            made->at[i].fault = TOKEN_MALFORMED;
        made->at[i].off = total;
        made->at[i].len = len > 0 ? (size_t)len : 0;
        total += made->at[i].fault == TOKEN_TOO_LARGE ? 0 : from->text.len;
    }
    *tokens = made;
    return 0;
}

int auth_cookie_counts(const struct http_request *req, char *const *origins)
{
    struct slice callback;
    int jsonp = http_query(req->query, "j", &callback) && callback.len > 0;

    return !jsonp && origin_trusted(req, origins);
}

int auth_collect(struct auth_tokens **tokens, const struct http_request *req,
                 const struct token_policy *policy, char *const *origins)
{
    struct candidates list = {.n = 0};
    struct slice cookie;
    size_t others;

    add_query(&list, req->query);
    add_authorization(&list, req);
    others = list.n;
    if (auth_cookie_counts(req, origins) && http_cookie(req, "jwt", &cookie))
        add(&list, cookie, 0);
    if (tokens_make(tokens, &list, policy->token_bytes) < 0)
        return -1;
    if (*tokens != NULL)
        (*tokens)->cookie = list.n > others;
    return 0;
}

int auth_tokens_cookie(const struct auth_tokens *tokens)
{
    return tokens != NULL && tokens->cookie;
}

void auth_tokens_free(struct auth_tokens **tokens)
{
    if (*tokens == NULL)
        return;
    explicit_bzero((*tokens)->bytes, (*tokens)->bytes_len);
    free(*tokens);
    *tokens = NULL;
}

/* --- judging --- */

struct trial {
    const struct token_policy *policy;
    int64_t now_ms;
    struct auth_verdict *verdict;
    enum token_result result; /* TOKEN_MISSING until there was a token */
    struct token_trial token;
};

/* Takes the fate of one more token into account.  Returns 1 if it is good. */
static int trial_add(struct trial *trial, enum token_result result)
{
    if (result == TOKEN_OK || trial->result == TOKEN_MISSING)
        trial->result = result;
    return result == TOKEN_OK;
}

static int try_token(struct trial *trial, const char *text, size_t len)
{
    struct auth_verdict *verdict = trial->verdict;
    int first = trial->result == TOKEN_MISSING;
    enum token_result result =
        token_verify(trial->policy, text, len, trial->now_ms, &trial->token, &verdict->user);

    if (first) {
        verdict->wanted = trial->token.wanted;
        verdict->claim = trial->token.claim;
    }
    if (first && result != TOKEN_OK && verdict->hint != NULL)
        token_peek(text, len, verdict->hint);
    return trial_add(trial, result);
}

/* Returns how many it took to find a good one; 0: none is. */
static size_t try_tokens(struct trial *trial, const struct auth_tokens *tokens)
{
    for (size_t i = 0; tokens != NULL && i < tokens->n; i++) {
        if (tokens->at[i].fault != TOKEN_OK)
            (void)trial_add(trial, tokens->at[i].fault);
        else if (try_token(trial, tokens->bytes + tokens->at[i].off, tokens->at[i].len))
            return i + 1;
    }
    return 0;
}

/* A string, or "token" of an object.  The codec has seen that it is one JSON value and no
 * more. */
static int try_json(struct trial *trial, struct slice json)
{
    const cJSON *token;
    cJSON *value;
    size_t len;
    int good = 0;

    if (json.len == 0)
        return 0;
    if (json.len > trial->policy->token_bytes + AUTH_OBJECT_BYTES)
        return trial_add(trial, TOKEN_TOO_LARGE);
    value = json_tree(json); /* "good\u0000junk" is refused: no token has one */
    if (value == NULL)
        return trial_add(trial, errno == ENOMEM ? TOKEN_NO_MEMORY : TOKEN_MALFORMED);
    if (cJSON_IsString(value))
        token = value;
    else if (json_tree_member(value, "token", &token) != 0)
        (void)trial_add(trial, TOKEN_MALFORMED);
    if (cJSON_IsString(token) && (len = strlen(token->valuestring)) > 0) {
        good = try_token(trial, token->valuestring, len);
        explicit_bzero(token->valuestring, len);
    } else if (token != NULL && !cJSON_IsString(token) && !cJSON_IsNull(token)) {
        (void)trial_add(trial, TOKEN_MALFORMED);
    }
    cJSON_Delete(value);
    return good;
}

static int try_namespace_query(struct trial *trial, struct slice query)
{
    struct candidates list = {.n = 0};
    struct auth_tokens *tokens;
    int good;

    add_query(&list, query);
    if (tokens_make(&tokens, &list, trial->policy->token_bytes) < 0)
        return trial_add(trial, TOKEN_NO_MEMORY);
    good = try_tokens(trial, tokens) > 0;
    auth_tokens_free(&tokens);
    return good;
}

static struct trial trial_begin(const struct token_policy *policy, int64_t now_ms,
                                struct auth_verdict *verdict)
{
    verdict->wanted = verdict->claim = NULL;
    if (verdict->hint != NULL)
        memset(verdict->hint, 0, sizeof(*verdict->hint));
    return (struct trial){policy, now_ms, verdict, TOKEN_MISSING, {.tries = TOKEN_TRIES_MAX}};
}

enum token_result auth_judge(const struct token_policy *policy, const struct sio_packet *packet,
                             const struct auth_tokens *tokens, int64_t now_ms,
                             struct auth_verdict *verdict)
{
    struct trial trial = trial_begin(policy, now_ms, verdict);
    size_t nth;

    if (try_json(&trial, packet->data) || try_namespace_query(&trial, packet->query))
        verdict->source = AUTH_FROM_PACKET;
    else if ((nth = try_tokens(&trial, tokens)) > 0)
        verdict->source =
            tokens->cookie && nth == tokens->n ? AUTH_FROM_COOKIE : AUTH_FROM_HANDSHAKE;
    return trial.result;
}

enum token_result auth_judge_json(const struct token_policy *policy, struct slice json,
                                  int64_t now_ms, struct auth_verdict *verdict)
{
    struct trial trial = trial_begin(policy, now_ms, verdict);

    (void)try_json(&trial, json);
    return trial.result;
}
