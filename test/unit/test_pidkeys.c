#include "master/pidkeys.h"

#include "tap.h"

static struct conf conf = {.key = (char *)(uintptr_t) "socket.io",
                           .nsp = (char *)(uintptr_t) "/axr"};
static const struct pid pid = {.daemon = 1, .session = {2}, .offset = 3, .start_ms = 4};

static void make(const struct pidkeys *keys, uint8_t raw[PID_LEN])
{
    if (pidkeys_make(keys, &conf, raw, &pid, SLICE("ann")) < 0)
        abort();
}

static int proves(const struct pidkeys *keys, const uint8_t raw[PID_LEN])
{
    struct pid out;

    return pidkeys_prove(keys, &conf, raw, SLICE("ann"), &out) && out.offset == 3;
}

static void add(const char *secret)
{
    if (token_keys_add_secret(conf.keys, (struct slice){0}, secret, strlen(secret), 0) != KEY_OK)
        abort();
}

static void test_chance(void)
{
    struct pidkeys a, b;
    uint8_t raw[PID_LEN];

    pidkeys_init(&a);
    pidkeys_init(&b);
    is_int(pidkeys_derive(&a, &conf), 0, "without any secret");
    ok(!a.is_shared && a.keys.n == 1, "there is the key of chance");
    make(&a, raw);
    ok(proves(&a, raw), "it proves what it makes");
    ok(!proves(&b, raw), "nobody else does");
    is_int(pidkeys_derive(&a, &conf), 0, "again");
    ok(proves(&a, raw), "it stays");
    pidkeys_wipe(&a);
    ok(!proves(&a, raw), "until it is wiped");
}

static void test_secrets(void)
{
    struct pidkeys a, b;
    uint8_t old[PID_LEN], first[PID_LEN], chance[PID_LEN];

    pidkeys_init(&a);
    pidkeys_init(&b);
    make(&a, chance);
    conf.keys = token_keys_new();
    add("an older secret");
    pidkeys_derive(&b, &conf);
    make(&b, old);
    token_keys_free(&conf.keys);
    conf.keys = token_keys_new();
    add("the first secret");
    add("an older secret");
    pidkeys_derive(&a, &conf);
    ok(a.is_shared && a.keys.n == 3, "two secrets, and chance");
    make(&a, first);
    ok(proves(&a, first) && proves(&a, old), "each proves");
    ok(!proves(&b, first), "the first makes");
    ok(proves(&a, chance), "what chance has made is proven still");
    conf.recovery_secret = (char *)(uintptr_t) "of a file";
    conf.recovery_secret_len = 9;
    pidkeys_derive(&a, &conf);
    ok(a.is_shared && a.keys.n == 2 && !proves(&a, old), "where there is a file it alone counts");
    pidkeys_derive(&b, &conf);
    make(&b, first);
    ok(proves(&a, first), "for whoever has it");
    conf.recovery_secret = NULL;
    token_keys_free(&conf.keys);
}

int main(void)
{
    test_chance();
    test_secrets();
    return tap_done();
}
