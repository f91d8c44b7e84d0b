/* Is it the master, and is it still? */
#include "master/probe.h"

#include "fake_redis.h"
#include "log_file.h"
#include "tap.h"

static struct event_base *base;
static struct fake fake;
static struct probe probe;
static struct conf_redis conf;
static int masters, losts;

static void on_master(struct probe *one, void *arg)
{
    (void)one, (void)arg;
    masters++;
}

static void on_lost(struct probe *one, void *arg)
{
    (void)one, (void)arg;
    losts++;
}

static const struct probe_ops ops = {on_master, on_lost};

static int is_master(void)
{
    return masters > 0;
}

static int is_lost(void)
{
    return losts > 0;
}

static int is_asked_again(void)
{
    return fake.roles > 1;
}

static int is_pinged(void)
{
    return fake.pings > 1;
}

static void begin(void)
{
    masters = losts = 0;
    fake = (struct fake){0};
    fake_start(&fake, base);
    if (probe_init(&probe, base, &conf, NULL, &ops, NULL) < 0)
        abort();
    probe_start(&probe, "127.0.0.1", fake.port);
}

static void end(void)
{
    probe_clear(&probe);
    fake_stop(&fake);
}

static void lost_for(enum redis_fault_kind kind, const char *why, const char *name)
{
    ok(fake_wait(base, is_lost) && masters == 0, "%s: is no master", name);
    is_int(probe.link.fault.kind, kind, "the kind");
    if (!ok(strstr(probe.link.fault.why, why) != NULL, "says: %s", why))
        printf("#   %s\n", probe.link.fault.why);
    is_int(losts, 1, "is told once");
}

static void test_master(void)
{
    conf = (struct conf_redis){.username = (char[]){"u"}, .password = (char[]){"pw"}};
    begin();
    ok(fake_wait(base, is_master), "a master");
    is_str(fake.credentials, "u pw", "its user and password");
    ok(fake_wait(base, is_asked_again) && losts == 0 && masters == 1, "is asked again");
    fake.role = "*5\r\n$5\r\nslave\r\n$3\r\nh\ni\r\n:99\r\n$9\r\nconnected\r\n:7\r\n";
    probe_ask(&probe);
    ok(fake_wait(base, is_lost), "and is none any more");
    is_int(probe.link.fault.kind, REDIS_FAULT_MASTER, "which is a kind of its own");
    is_str(probe.link.fault.why, "it is a replica of h\\x0ai:99", "it says whose");
    fake.role = NULL;
    losts = masters = 0;
    probe_start(&probe, "127.0.0.1", fake.port);
    ok(fake_wait(base, is_master), "it is one again");
    fake.is_mute = 1;
    probe_ask(&probe);
    probe_ask(&probe);
    ok(fake_wait(base, is_lost), "it says nothing");
    is_int(probe.link.fault.kind, REDIS_FAULT_SILENT, "is silent");
    end();
    conf = (struct conf_redis){0};
}

static void test_blind(void)
{
    begin();
    fake.role = "-NOPERM this user has no permissions to run the 'role' command\r\n";
    ok(fake_wait(base, is_master), "one that may not say is taken for a master");
    ok(fake_wait(base, is_pinged) && losts == 0, "and only asked whether it is there");
    is_int(fake.roles, 1, "not for its role again");
    fake_drop(&fake);
    ok(fake_wait(base, is_lost), "until it is gone");
    end();
}

static const struct {
    const char *role, *why;
    enum redis_fault_kind kind;
} answers[] = {
    {"*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:9\r\n$4\r\nsync\r\n:-1\r\n", "a replica of h:9",
     REDIS_FAULT_MASTER},
    {"*2\r\n$8\r\nsentinel\r\n*1\r\n$1\r\nm\r\n", "no master", REDIS_FAULT_MASTER},
    {"*0\r\n", "no master", REDIS_FAULT_MASTER},
    {"*1\r\n:1\r\n", "no master", REDIS_FAULT_MASTER},
    {"*2\r\n$5\r\nslave\r\n:1\r\n", "no master", REDIS_FAULT_MASTER},
    {"+PONG\r\n", "nothing that was asked", REDIS_FAULT_PROTOCOL},
    {"+OK\r\n", "nothing that was asked", REDIS_FAULT_PROTOCOL},
    {":1\r\n", "nothing that was asked", REDIS_FAULT_PROTOCOL},
    {"HTTP/1.1 400\r\n", "not the redis protocol", REDIS_FAULT_PROTOCOL},
    {"*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "an array within an array", REDIS_FAULT_PROTOCOL},
    {"*300\r\n", "too many elements", REDIS_FAULT_PROTOCOL},
    {"-LOADING Redis is loading\r\n", "LOADING", REDIS_FAULT_LOADING},
    {"-NOAUTH Authentication required.\r\n", "NOAUTH", REDIS_FAULT_PASSWORD},
    {"-ERR unknown command 'ROLE', with args beginning with: \r\n", "unknown command",
     REDIS_FAULT_ERROR},
};

static void test_answers(void)
{
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        begin();
        fake.role = answers[i].role;
        lost_for(answers[i].kind, answers[i].why, answers[i].why);
        end();
    }
    conf.password = (char[]){"hunter2"};
    begin();
    fake.auth = "-WRONGPASS invalid username-password pair: hunter2\r\n";
    lost_for(REDIS_FAULT_PASSWORD, "an error that shows the password", "a wrong password");
    end();
    begin();
    fake.auth = "-NOPERM no\r\n";
    lost_for(REDIS_FAULT_PERMISSION, "NOPERM", "AUTH is not ROLE");
    end();
    conf.password = NULL;
    begin();
    fake_stop(&fake);
    lost_for(REDIS_FAULT_CONNECT, "refused", "nobody there");
    end();
}

static void test_stop(void)
{
    begin();
    probe_stop(&probe);
    for (int i = 0; i < 5; i++)
        fake_turn(base);
    is_int(fake.accepted, 0, "one that is stopped goes nowhere");
    probe_start(&probe, "127.0.0.1", fake.port);
    ok(fake_wait(base, is_master), "it is started again");
    probe_start(&probe, "127.0.0.1", fake.port);
    masters = 0;
    ok(fake_wait(base, is_master) && losts == 0, "and once more");
    end();
}

int main(void)
{
    log_begin_at(LOG_LEVEL_DEBUG);
    base = event_base_new();
    test_master();
    test_blind();
    test_answers();
    test_stop();
    event_base_free(base);
    log_end();
    return tap_done();
}
