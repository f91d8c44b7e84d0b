#include "notify/verdict.h"

#include "base/log.h"
#include "base/slices.h"
#include "codec/json.h"
#include "codec/token_rooms.h"
#include "codec/token_words.h"
#include "notify/input.h"
#include "notify/signer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MINUTE_S INT64_C(60)
#define HOUR_S   INT64_C(3600)
#define DAY_S    INT64_C(86400)
#define TEXT_MAX (4 * 256 + 1) /* of a member of the facts, escaped */

/* ---- times ---- */

/* 59 s, 12 min, 3 h 4 min, 12 days */
static void put_span(struct buf *out, int64_t s)
{
    if (s < 2 * MINUTE_S)
        buf_printf(out, "%lld s", (long long)s);
    else if (s < 2 * HOUR_S)
        buf_printf(out, "%lld min", (long long)(s / MINUTE_S));
    else if (s < 2 * DAY_S)
        buf_printf(out, "%lld h %lld min", (long long)(s / HOUR_S),
                   (long long)(s % HOUR_S / MINUTE_S));
    else
        buf_printf(out, "%lld days", (long long)(s / DAY_S));
}

/* 2026-12-01 22:10:05 UTC, in 3 h 4 min */
static void put_time(struct buf *out, const struct verdict *verdict, int64_t ms)
{
    int64_t left = ms / 1000 - verdict->now_ms / 1000; /* a token has whole seconds */
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    char text[64] = "";

    if (gmtime_r(&s, &tm) != NULL)
        (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC, ", &tm);
    buf_puts(out, text);
    if (left == 0) {
        buf_puts(out, "now");
        return;
    }
    if (left > 0)
        buf_puts(out, "in ");
    put_span(out, left < 0 ? -left : left);
    if (left < 0)
        buf_puts(out, " ago");
}

static void put_time_line(struct buf *out, const struct verdict *verdict, const char *name,
                          const struct token_time *time)
{
    if (!time->there)
        return;
    buf_printf(out, "%s: ", name);
    put_time(out, verdict, time->ms);
    buf_putc(out, '\n');
}

/* ---- what it is made of ---- */

static void put_word(struct buf *out, const char *text)
{
    char word[TEXT_MAX];

    buf_printf(out, "\"%s\"", log_escape(word, sizeof(word), text, strlen(text)));
}

/* "a" or "b" */
static void put_choice(struct buf *out, const char *const *texts)
{
    for (size_t i = 0; texts[i] != NULL; i++) {
        if (i > 0)
            buf_puts(out, texts[i + 1] == NULL ? " or " : ", ");
        put_word(out, texts[i]);
    }
}

/* What conf_print() says of the key: its line, without the first word. */
static struct slice key_line(const struct buf *report, long number)
{
    static const char mark[] = "\nkey: ";
    const char *at = (const char *)report->data, *end = at + report->len;

    for (long i = 0; at != NULL && i <= number; i++) {
        at = memmem(at, (size_t)(end - at), mark, sizeof(mark) - 1);
        at = at != NULL ? at + sizeof(mark) - 1 : NULL;
    }
    if (at == NULL || number < 0)
        return SLICE("");
    return (struct slice){at, (size_t)((const char *)memchr(at, '\n', (size_t)(end - at)) - at)};
}

/* The rooms that its client is in: everybody's and its own first. */
static int next_room(const struct verdict *verdict, struct token_rooms_walk *walk,
                     struct slice *room)
{
    while (token_rooms_next(verdict->user.rooms, NULL, walk, room))
        if (!slice_eq(*room, SLICE("allusers")) && !slice_eq(*room, slice_str(verdict->user.uid)))
            return 1;
    return 0;
}

/* ---- why it is refused ---- */

/* A key that has a kid was tried only if the token names it. */
static int is_named(const struct verdict *verdict)
{
    const struct token_keys *keys = verdict->conf->keys;

    for (size_t i = 0; i < token_keys_count(keys); i++)
        if ((verdict->trial.tried >> i & 1) != 0 && token_keys_kid(keys, i).ptr != NULL)
            return 1;
    return 0;
}

static void put_signature(struct buf *out, const struct verdict *verdict)
{
    const char *kid = verdict->facts.hint.kid;
    unsigned alg = token_alg_parse(verdict->facts.alg);

    if (verdict->text.ptr[verdict->text.len - 1] == '.') {
        buf_puts(out, "it has no signature: nothing is behind its second dot");
        return;
    }
    buf_printf(out,
               "none of the keys for %s made its signature (%zu of them): it was signed with "
               "another %s, or changed since",
               verdict->facts.alg, signer_able(verdict->conf, alg),
               (alg & TOKEN_HS) != 0 ? "secret" : "key");
    if (*kid != '\0' && !is_named(verdict)) {
        buf_puts(out, "; it names the key ");
        put_word(out, kid);
        buf_puts(out, ", and no key is called so here");
    }
    buf_puts(out, "; ");
    signer_put_tried(verdict->conf, alg, verdict->trial.tried, out);
}

/* Where it might have been another: which key it was. */
static void put_signer(struct buf *out, const struct verdict *verdict)
{
    if (verdict->trial.key < 0 ||
        signer_able(verdict->conf, token_alg_parse(verdict->facts.alg)) < 2)
        return;
    buf_puts(out, "signed with: ");
    signer_put(verdict->conf, (size_t)verdict->trial.key, out);
    buf_putc(out, '\n');
}

static void put_algorithm(struct buf *out, const struct verdict *verdict)
{
    const struct conf *conf = verdict->conf;
    unsigned alg = token_alg_parse(verdict->facts.alg), able = token_keys_algs(conf->keys);

    if (*verdict->facts.alg != '\0') {
        buf_puts(out, "its alg is ");
        put_word(out, verdict->facts.alg);
    } else {
        buf_puts(out, "it has no alg, or one that is no string");
    }
    buf_puts(out, ", wanted one of ");
    token_algs_put(out, conf->token.algs & able);
    if ((alg & able) != 0)
        buf_puts(out, " (auth:options:algorithms)");
    else if (alg != 0)
        buf_puts(out, ", which are those of the keys here");
    else
        buf_puts(out, "; the daemon knows HS, RS and ES, each with 256, 384 and 512, and no other "
                      "for any key");
}

static void put_list(struct buf *out, const char *name, const char *found, int is_json,
                     const char *const *wanted, const char *path)
{
    if (*found == '\0')
        buf_printf(out, "it has no %s", name);
    else
        buf_printf(out, "its %s is ", name);
    if (*found != '\0' && is_json) {
        char word[TEXT_MAX];

        buf_puts(out, log_escape(word, sizeof(word), found, strlen(found)));
    } else if (*found != '\0') {
        put_word(out, found);
    }
    buf_puts(out, ", wanted ");
    if (wanted != NULL)
        put_choice(out, wanted);
    buf_printf(out, " (%s)", path);
}

static void put_tolerance(struct buf *out, const struct verdict *verdict)
{
    buf_printf(out, " (auth:options:clockTolerance: %lld s)",
               (long long)verdict->conf->token.tolerance_s);
}

static int begins(struct slice text, struct slice with)
{
    return text.len >= with.len && strncasecmp(text.ptr, with.ptr, with.len) == 0;
}

static void put_malformed(struct buf *out, const struct verdict *verdict)
{
    struct slice text = verdict->text;
    size_t dots = 0;

    if (verdict->trial.wanted != NULL && strncmp(verdict->trial.wanted, "typ ", 4) != 0)
        return;
    if (verdict->trial.wanted != NULL && *verdict->facts.typ != '\0') {
        buf_puts(out, "its typ is ");
        put_word(out, verdict->facts.typ);
        buf_puts(out, ", wanted ");
        if (verdict->conf->token.types != NULL)
            put_choice(out, verdict->conf->token.types);
        return;
    }
    for (size_t i = 0; i < text.len; i++)
        dots += text.ptr[i] == '.';
    if (input_trim(text).len < text.len)
        buf_puts(out, "white space is around it, as the end of a line that was read with it");
    else if (begins(text, SLICE("Bearer ")) || begins(text, SLICE("JWT ")))
        buf_puts(out, "a token has no word before it, as a header Authorization has");
    else if (text.ptr[0] == '"' || text.ptr[0] == '\'')
        buf_puts(out, "it is in quotes");
    else if (dots != 2)
        buf_printf(out, "a token has three parts with a dot between them, and this has %zu",
                   dots + 1);
    else
        buf_puts(out, "its parts have to be base64url without padding, and the first two JSON "
                      "objects, in which no member is twice, and no text has a NUL or half a "
                      "surrogate pair: is it whole?");
}

/* More words than a client gets; nothing where the message says it all. */
static void put_why(struct buf *out, const struct verdict *verdict)
{
    const struct token_facts *facts = &verdict->facts;
    const struct token_policy *policy = &verdict->conf->token;

    switch (verdict->result) {
    case TOKEN_TOO_LARGE:
        if (verdict->text.len > policy->token_bytes)
            buf_printf(out, "it has %zu bytes, wanted at most %zu (limits:tokenBytes)",
                       verdict->text.len, policy->token_bytes);
        else
            buf_printf(out, "its header has more than %d bytes, which are as many as may be",
                       JWT_HEADER_MAX);
        break;
    case TOKEN_MALFORMED:
        put_malformed(out, verdict);
        break;
    case TOKEN_BAD_ALGORITHM:
        put_algorithm(out, verdict);
        break;
    case TOKEN_BAD_SIGNATURE:
        put_signature(out, verdict);
        break;
    case TOKEN_EXPIRED:
        buf_puts(out, "it expired ");
        put_time(out, verdict, facts->expires.ms);
        put_tolerance(out, verdict);
        break;
    case TOKEN_NOT_YET:
        buf_puts(out, "it is good from ");
        put_time(out, verdict, facts->from.ms);
        put_tolerance(out, verdict);
        break;
    case TOKEN_BAD_AUDIENCE:
        put_list(out, "aud", facts->audience, 1, policy->audiences, "auth:options:audience");
        break;
    case TOKEN_BAD_ISSUER:
        put_list(out, "iss", facts->hint.iss, 0, policy->issuers, "auth:options:issuer");
        break;
    case TOKEN_BAD_CLAIM:
        if (verdict->trial.claim != NULL) /* that of rooms is the one that has a name */
            buf_printf(out,
                       "limits:roomsPerClient is %u, and two of them are everybody's and the "
                       "user's",
                       policy->rooms_per_client);
        break;
    case TOKEN_OK:
    case TOKEN_MISSING:
    case TOKEN_NO_USER:
    case TOKEN_NO_MEMORY:
    case TOKEN_RESULTS:
        break;
    }
}

/* ---- good ---- */

/* What the log of a daemon would say once. */
static const char *odd_exp(const struct verdict *verdict)
{
    switch (verdict->user.exp_form) {
    case NUMERIC_DATE_MS:
        return "its exp is after the year 3000, and taken for milliseconds; RFC 7519 wants seconds";
    case NUMERIC_DATE_FAR:
        return "its exp is after the year 3000; RFC 7519 wants seconds";
    case NUMERIC_DATE_BAD:
    case NUMERIC_DATE_FINE:
        break;
    }
    return "";
}

/* When the daemon disconnects its client. */
static struct token_time ends(const struct verdict *verdict)
{
    return (struct token_time){verdict->user.expires_ms != 0, verdict->user.expires_ms};
}

static void put_good(const struct verdict *verdict, struct buf *out)
{
    struct token_rooms_walk walk = {0};
    struct token_time end = ends(verdict);
    struct slice room, key = key_line(&verdict->conf->report, verdict->trial.key);
    const char *odd = odd_exp(verdict);
    char word[TOKEN_ROOM_MAX + 1];

    buf_puts(out, "good\nuser: ");
    put_word(out, verdict->user.uid);
    buf_puts(out, "\nrooms: \"allusers\", ");
    put_word(out, verdict->user.uid);
    while (next_room(verdict, &walk, &room)) {
        (void)snprintf(word, sizeof(word), "%.*s", (int)room.len, room.ptr);
        buf_puts(out, ", ");
        put_word(out, word);
    }
    buf_putc(out, '\n');
    put_time_line(out, verdict, "issued", &verdict->facts.issued);
    put_time_line(out, verdict, "expires", &end);
    if (!end.there)
        buf_puts(out, "expires: never: it has no exp\n");
    if (*odd != '\0')
        buf_printf(out, "warning: %s\n", odd);
    buf_printf(out, "algorithm: %s\nkey: %.*s\n", verdict->facts.alg, (int)key.len, key.ptr);
    put_signer(out, verdict);
}

/* Of what nobody has signed, or is refused nevertheless, what it says. */
static void put_refused(const struct verdict *verdict, struct buf *out)
{
    const struct token_facts *facts = &verdict->facts;
    char words[TOKEN_WORDS_MAX];
    size_t before;

    buf_printf(out, "refused: %s: %s\n", token_result_code(verdict->result),
               token_words(verdict->result, verdict->trial.wanted, verdict->trial.claim, words));
    before = out->len;
    put_why(out, verdict);
    if (out->len > before)
        buf_putc(out, '\n');
    if (!facts->read)
        return;
    buf_puts(out,
             verdict->trial.key >= 0 ? "its signature is good; it says" : "not verified, it says");
    buf_puts(out, ":\n");
    if (*facts->hint.uid != '\0') {
        buf_puts(out, "user: ");
        put_word(out, facts->hint.uid);
        buf_putc(out, '\n');
    }
    put_time_line(out, verdict, "issued", &facts->issued);
    put_time_line(out, verdict, "expires", &facts->expires);
    buf_puts(out, "algorithm: ");
    put_word(out, facts->alg);
    buf_putc(out, '\n');
    put_signer(out, verdict);
}

void verdict_put(const struct verdict *verdict, struct buf *out)
{
    if (verdict->result == TOKEN_OK)
        put_good(verdict, out);
    else
        put_refused(verdict, out);
}

/* ---- JSON ---- */

/* What is not verified may hold what is no UTF-8 as it was cut off. */
static void put_string(struct buf *out, const char *name, struct slice text)
{
    buf_printf(out, ",\"%s\":", name);
    if (text.len > 0)
        json_put_string_lossy(out, text.ptr, text.len);
    else
        buf_puts(out, "null");
}

/* Seconds since 1970, as tokens have them. */
static void put_seconds(struct buf *out, const char *name, const struct token_time *time)
{
    buf_printf(out, ",\"%s\":", name);
    if (time->there)
        json_put_double(out, (double)time->ms / 1000);
    else
        buf_puts(out, "null");
}

static void put_rooms(const struct verdict *verdict, struct buf *out)
{
    struct token_rooms_walk walk = {0};
    struct slice room;

    buf_puts(out, ",\"rooms\":[\"allusers\",");
    json_put_string_lossy(out, verdict->user.uid, verdict->user.uid_len);
    while (next_room(verdict, &walk, &room)) {
        buf_putc(out, ',');
        json_put_string_lossy(out, room.ptr, room.len);
    }
    buf_putc(out, ']');
}

/* Which key has signed it, and of one that none has, which were tried. */
static void put_keys(const struct verdict *verdict, struct buf *out)
{
    if (verdict->trial.key >= 0) {
        buf_puts(out, ",\"signedWith\":");
        signer_put_json(verdict->conf, (size_t)verdict->trial.key, out);
    } else {
        buf_puts(out, ",\"signedWith\":null,\"tried\":");
        signer_put_tried_json(verdict->conf, verdict->trial.tried, out);
    }
}

void verdict_put_json(const struct verdict *verdict, struct buf *out)
{
    const struct token_facts *facts = &verdict->facts;
    int good = verdict->result == TOKEN_OK;
    struct token_time end = good ? ends(verdict) : facts->expires;
    char words[TOKEN_WORDS_MAX];
    struct buf why = {0};

    buf_printf(out, "{\"good\":%s", good ? "true" : "false");
    if (good) {
        put_string(out, "user", slice_str(verdict->user.uid));
        put_rooms(verdict, out);
    } else {
        put_why(&why, verdict);
        put_string(out, "code", slice_str(token_result_code(verdict->result)));
        put_string(out, "message",
                   slice_str(token_words(verdict->result, verdict->trial.wanted,
                                         verdict->trial.claim, words)));
        put_string(out, "detail", (struct slice){(const char *)why.data, why.len});
        buf_printf(out, ",\"signed\":%s", verdict->trial.key >= 0 ? "true" : "false");
        put_string(out, "user", slice_str(facts->hint.uid));
        buf_free(&why);
    }
    put_seconds(out, "issued", &facts->issued);
    put_seconds(out, "expires", &end);
    put_string(out, "algorithm", slice_str(facts->alg));
    put_string(out, "kid", slice_str(facts->hint.kid));
    if (good)
        put_string(out, "key", key_line(&verdict->conf->report, verdict->trial.key));
    put_keys(verdict, out);
    buf_puts(out, "}\n");
}
