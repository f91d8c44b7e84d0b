#include "notify/signer.h"

#include "base/log.h"
#include "codec/json.h"
#include "codec/token.h"

#include <string.h>

#define NAME_MAX_BYTES (4 * 4096 + 1) /* of a file or a kid, escaped */

size_t signer_able(const struct conf *conf, unsigned algs)
{
    size_t n = 0;

    for (size_t i = 0; i < conf->nkey_origins; i++)
        n += (token_keys_algs_at(conf->keys, i) & algs) != 0;
    return n;
}

/* ---- one ---- */

static void put_place(struct buf *out, unsigned number, unsigned of)
{
    static const char *const words[] = {"first", "second",  "third",  "fourth", "fifth",
                                        "sixth", "seventh", "eighth", "ninth",  "tenth"};

    if (number <= sizeof(words) / sizeof(words[0]))
        buf_printf(out, "the %s of %u ", words[number - 1], of);
    else
        buf_printf(out, "number %u of the %u ", number, of);
}

static void put_setting(struct buf *out, const struct conf_key_origin *origin)
{
    buf_puts(out, origin->setting);
    if (origin->element >= 0)
        buf_printf(out, ":%ld", origin->element);
}

static void put_name(struct buf *out, const char *text, size_t len)
{
    char name[NAME_MAX_BYTES];

    buf_printf(out, "\"%s\"", log_escape(name, sizeof(name), text, len));
}

static const char *kind_of(const struct conf_key_origin *origin)
{
    if (strncmp(origin->setting, "auth:secret", 11) == 0)
        return "secret";
    return strcmp(origin->setting, "auth:publicKeyFile") == 0 ? "public key" : "key";
}

void signer_put(const struct conf *conf, size_t i, struct buf *out)
{
    const struct conf_key_origin *origin = &conf->key_origins[i];
    struct slice kid = token_keys_kid(conf->keys, i);

    if (origin->of > 1)
        put_place(out, origin->number, origin->of);
    else
        buf_puts(out, "the ");
    buf_printf(out, "%s%s (", kind_of(origin), origin->of > 1 ? "s" : "");
    put_setting(out, origin);
    if (origin->file != NULL) {
        buf_putc(out, ' ');
        put_name(out, origin->file, strlen(origin->file));
    }
    if (kid.ptr != NULL) {
        buf_puts(out, ", kid ");
        put_name(out, kid.ptr, kid.len);
    }
    buf_putc(out, ')');
}

static void put_text(struct buf *out, const char *name, struct slice text)
{
    buf_printf(out, ",\"%s\":", name);
    if (text.ptr != NULL)
        json_put_string_lossy(out, text.ptr, text.len);
    else
        buf_puts(out, "null");
}

void signer_put_json(const struct conf *conf, size_t i, struct buf *out)
{
    const struct conf_key_origin *origin = &conf->key_origins[i];
    struct slice file = {origin->file, origin->file != NULL ? strlen(origin->file) : 0};

    buf_puts(out, "{\"setting\":\"");
    put_setting(out, origin);
    buf_putc(out, '"');
    put_text(out, "file", file);
    buf_printf(out, ",\"number\":%u,\"of\":%u", origin->number, origin->of);
    put_text(out, "kid", token_keys_kid(conf->keys, i));
    buf_putc(out, '}');
}

/* ---- those that were tried ---- */

static int is_same(const struct conf_key_origin *a, const struct conf_key_origin *b)
{
    return strcmp(a->setting, b->setting) == 0 && a->element == b->element;
}

/* The keys of the set, by their settings: "all 2 of auth:secret, auth:keys:1". */
static void put_set(const struct conf *conf, uint32_t set, struct buf *out)
{
    const char *between = "";

    for (size_t i = 0; i < conf->nkey_origins; i++) {
        const struct conf_key_origin *origin = &conf->key_origins[i];
        unsigned n = 0;

        if ((set >> i & 1) == 0)
            continue;
        for (size_t k = i; k < conf->nkey_origins; k++)
            if ((set >> k & 1) != 0 && is_same(origin, &conf->key_origins[k])) {
                set &= ~(UINT32_C(1) << k);
                n++;
            }
        buf_puts(out, between);
        if (n == origin->of && n > 1)
            buf_printf(out, "all %u of ", n);
        else if (n < origin->of)
            buf_printf(out, "%u of the %u of ", n, origin->of);
        put_setting(out, origin);
        between = ", ";
    }
}

static int is_public(const struct conf *conf, size_t i)
{
    return token_keys_secret(conf->keys, i).len == 0;
}

void signer_put_tried(const struct conf *conf, unsigned alg, uint32_t tried, struct buf *out)
{
    uint32_t others = 0, late = 0;
    unsigned left = TOKEN_TRIES_MAX;

    for (size_t i = 0; i < conf->nkey_origins; i++)
        if ((tried >> i & 1) != 0)
            left -= (unsigned)is_public(conf, i);
    for (size_t i = 0; i < conf->nkey_origins; i++) {
        uint32_t bit = UINT32_C(1) << i;

        if ((tried & bit) != 0 || (token_keys_algs_at(conf->keys, i) & alg) == 0)
            continue;
        if (left == 0 && is_public(conf, i))
            late |= bit;
        else
            others |= bit;
    }
    buf_puts(out, "tried: ");
    if (tried != 0)
        put_set(conf, tried, out);
    else
        buf_puts(out, "none");
    if (others != 0) {
        buf_puts(out, "; not tried, for the token names another key: ");
        put_set(conf, others, out);
    }
    if (late != 0) {
        buf_printf(out, "; not tried, for %d public keys are at most: ", TOKEN_TRIES_MAX);
        put_set(conf, late, out);
    }
}

void signer_put_tried_json(const struct conf *conf, uint32_t tried, struct buf *out)
{
    const char *between = "";

    buf_putc(out, '[');
    for (size_t i = 0; i < conf->nkey_origins; i++) {
        if ((tried >> i & 1) == 0)
            continue;
        buf_puts(out, between);
        signer_put_json(conf, i, out);
        between = ",";
    }
    buf_putc(out, ']');
}
