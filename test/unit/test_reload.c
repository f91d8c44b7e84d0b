#include "master/reload.h"

#include "tap.h"

static char one[] = "one", same[] = "one", two[] = "two";
static char *some[] = {one, two, NULL}, *fewer[] = {one, NULL};
static const char *const issuers[] = {one, NULL}, *const others[] = {two, NULL};
static struct conf_listen here = {one, 1, NULL}, there = {two, 1, NULL};

static struct token_keys *sets[3]; /* one, two, one */

static struct conf conf_make(void)
{
    return (struct conf){.workers = 2,
                         .nsp = one,
                         .redis = {.host = one, .password = one},
                         .listen = &here,
                         .nlisten = 1,
                         .cors_origins = some,
                         .token = {.keys = sets[0], .issuers = issuers},
                         .log_level = LOG_LEVEL_INFO};
}

static void check(const struct conf *wanted, int n, const char *keys, const char *name)
{
    struct conf now = conf_make();
    struct buf out = {0};
    is_int(reload_changes(&now, wanted, &out), n, name);
    buf_putc(&out, '\0');
    is_str((char *)out.data, keys, "its keys");
    ok(strstr((char *)out.data, two) == NULL, "and no value");
    buf_free(&out);
}

int main(void)
{
    struct conf conf;
    for (size_t i = 0; i < 3; i++) {
        sets[i] = token_keys_new();
        token_keys_add_secret(sets[i], (struct slice){0}, i == 1 ? two : one, 3, 0);
    }
    conf = conf_make();
    conf.nsp = same;
    conf.redis.password = same;
    conf.log_level = LOG_LEVEL_DEBUG;
    check(&conf, 0, "", "equal texts, and log:level, are no change");
    conf.workers = 3;
    conf.redis.password = two;
    check(&conf, 2, "workers, socket.io:redis:password", "a number and a text");
    conf = conf_make();
    conf.redis.password = NULL;
    conf.redis.username = one;
    check(&conf, 2, "socket.io:redis:username, socket.io:redis:password", "given and not given");
    conf = conf_make();
    conf.cors_origins = fewer;
    check(&conf, 1, "cors:origins", "a shorter list");
    conf = conf_make();
    conf.token.keys = sets[1];
    conf.token.issuers = others;
    check(&conf, 2, "auth (a key), auth:options", "a key and what tokens must say");
    conf = conf_make();
    conf.token.keys = sets[2];
    check(&conf, 0, "", "the same key, read again");
    token_keys_add_secret(sets[2], SLICE("kid"), one, 3, 0);
    check(&conf, 1, "auth (a key)", "a key that was not there");
    conf = conf_make();
    conf.client_text = one;
    conf.client_len = 3;
    check(&conf, 1, "socket.io:clientFile", "another client file");
    conf = conf_make();
    conf.listen = &there;
    check(&conf, 1, "port, host or listen", "another address");
    conf.nlisten = 0;
    check(&conf, 1, "port, host or listen", "another number of them");
    for (size_t i = 0; i < 3; i++)
        token_keys_free(&sets[i]);
    return tap_done();
}
