/* A redis as it is configured, copied and compared. */
#include "conf/server.h"

#include "tap.h"

#include <stdlib.h>

static char text[] = "text", other[] = "other";
static struct conf_sentinel two[] = {{text, 1}, {other, 2}};

static struct conf_redis full(void)
{
    return (struct conf_redis){.host = text,
                               .port = 1,
                               .path = text,
                               .username = text,
                               .password = text,
                               .database = 2,
                               .tls = {1, 1, text, text, text, text, text, text, text},
                               .sentinels = two,
                               .nsentinels = 2,
                               .name = text,
                               .sentinel_username = text,
                               .sentinel_password = text};
}

static void test_copy(void)
{
    struct conf_redis from = full(), to, empty = {0};

    is_int(server_copy(&to, &from), 0, "a copy");
    ok(server_eq(&from, &to), "has all of it");
    ok(to.host != from.host && to.sentinels != from.sentinels &&
           to.sentinels[1].host != from.sentinels[1].host,
       "of its own");
    server_wipe(&to);
    ok(to.tls.key[0] == '\0' && to.tls.key[3] == '\0', "no key is left");
    ok(to.password[0] == '\0' && to.password[3] == '\0' && to.sentinel_password[3] == '\0',
       "no secret is left");
    is_str(to.host, "text", "and all else is");
    server_clear(&to);
    ok(server_eq(&to, &empty), "it is gone");
    is_int(server_copy(&to, &empty), 0, "a copy of nothing");
    ok(server_eq(&to, &empty), "is nothing");
    server_clear(&to);
}

/* Each member makes a difference. */
static void test_eq(void)
{
    static struct conf_sentinel host[] = {{text, 1}, {text, 2}}, port[] = {{text, 1}, {other, 3}};
    const struct conf_redis one = full();
    struct conf_redis others[13];

    for (int i = 0; i < 13; i++)
        others[i] = full();
    others[0].host = other;
    others[1].port = 3;
    others[2].path = NULL;
    others[3].username = other;
    others[4].password = other;
    others[5].database = 1;
    others[6].sentinels = host;
    others[7].sentinels = port;
    others[8].nsentinels = 1;
    others[9].name = other;
    others[10].sentinel_username = NULL;
    others[11].sentinel_password = other;
    ok(server_eq(&one, &others[12]), "the same");
    for (int i = 0; i < 12; i++)
        ok(!server_eq(&one, &others[i]) && !server_eq(&others[i], &one), "another: %d", i);
    ok(server_eq_sentinels(&one, &others[9]) && !server_eq_sentinels(&one, &others[7]),
       "the sentinels alone");
}

/* Likewise, but for the names of files: what is in them counts. */
static void test_eq_tls(void)
{
    const struct conf_redis one = full();
    struct conf_redis others[7];

    for (int i = 0; i < 7; i++)
        others[i] = full();
    others[0].tls.on = 0;
    others[1].tls.verify = 0;
    others[2].tls.servername = NULL;
    others[3].tls.ca = other;
    others[4].tls.cert = NULL;
    others[5].tls.key = other;
    others[6].tls.ca_file = others[6].tls.cert_file = others[6].tls.key_file = other;
    for (int i = 0; i < 6; i++)
        ok(!server_eq(&one, &others[i]) && !server_eq(&others[i], &one), "another TLS: %d", i);
    ok(server_eq(&one, &others[6]), "the same in other files");
    others[3].tls.on = 0;
    ok(server_eq(&others[0], &others[3]), "what is off makes no difference");
}

int main(void)
{
    test_copy();
    test_eq();
    test_eq_tls();
    return tap_done();
}
