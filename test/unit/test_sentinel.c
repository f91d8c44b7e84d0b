/* What one sentinel says of the master. */
#include "master/sentinel.h"

#include "fake_redis.h"
#include "log_file.h"
#include "tap.h"

static struct event_base *base;
static struct fake fake;
static struct sentinel sentinel;
static struct conf_redis conf;
static struct conf_sentinel place;
static uint64_t news;
static char local[] = "127.0.0.1", master[] = "m";
static int saids, switches, losts;

static void on_said(struct sentinel *one, int has_switched, void *arg)
{
    (void)one, (void)arg;
    saids += !has_switched;
    switches += has_switched;
}

static void on_lost(struct sentinel *one, void *arg)
{
    (void)one, (void)arg;
    losts++;
}

static const struct sentinel_ops ops = {on_said, on_lost};

static int has_said(void)
{
    return saids > 0;
}

static int is_lost(void)
{
    return losts > 0;
}

static int has_switched(void)
{
    return switches > 0;
}

static int is_heard(void)
{
    return fake.hears[0];
}

static void begin(void)
{
    saids = switches = losts = 0;
    news = 0;
    fake = (struct fake){.host = "10.0.0.1", .master = 6379, .epoch = 4};
    fake_start(&fake, base);
    place = (struct conf_sentinel){local, fake.port};
    conf.sentinels = &place;
    conf.nsentinels = 1;
    conf.name = master;
    if (sentinel_init(&sentinel, base, &conf, NULL, 0, &news, &ops, NULL) < 0)
        abort();
    log_begin();
}

static void end(void)
{
    sentinel_clear(&sentinel);
    fake_stop(&fake);
}

static void says(const char *host, int port, long epoch, unsigned change, const char *name)
{
    struct vote vote = sentinel_vote(&sentinel);

    is_str(vote.host, host, name);
    ok(vote.port == port && vote.epoch == epoch && vote.news == change,
       "%d of epoch %ld, and change %u", port, epoch, change);
}

static void test_dialogue(void)
{
    conf.sentinel_username = (char[]){"u"};
    conf.sentinel_password = (char[]){"pw"};
    begin();
    ok(sentinel_vote(&sentinel).host == NULL, "at first it says nothing");
    ok(fake_wait(base, has_said), "it answers");
    is_str(fake.credentials, "u pw", "with its own user and password");
    says("10.0.0.1", 6379, 4, 0, "where the master is");
    ok(!sentinel_is_busy(&sentinel) && is_heard(), "and is heard");
    fake.master = 7;
    fake.epoch = 5;
    saids = 0;
    fake_switch(&fake, "m 10.0.0.1 6379 10.0.0.1 7");
    ok(fake_wait(base, has_switched), "a switch is told of");
    ok(fake_wait(base, has_said), "and asked about at once");
    says("10.0.0.1", 7, 5, 1, "the new master");
    ok(fake_wait(base, is_heard), "it is heard on");
    switches = saids = 0;
    fake_switch(&fake, "other 10.0.0.1 6379 10.0.0.1 8");
    fake_switch(&fake, "mm 10.0.0.1 6379 10.0.0.1 8");
    fake_switch(&fake, "m");
    fake_switch(&fake, "");
    sentinel_look(&sentinel);
    sentinel_look(&sentinel);
    fake.epoch = 6;
    ok(fake_wait(base, has_said) && switches == 0, "what is of others is none");
    says("10.0.0.1", 7, 6, 1, "the same place is no news");
    fake_drop(&fake);
    ok(fake_wait(base, is_lost) && sentinel_vote(&sentinel).host == NULL, "one that is gone");
    saids = 0;
    ok(fake_wait(base, has_said), "is connected to again");
    says("10.0.0.1", 7, 6, 1, "what it said before is no news either");
    end();
    conf.sentinel_username = conf.sentinel_password = NULL;
}

static void test_each_second(void)
{
    int looks;

    begin();
    ok(fake_wait(base, has_said), "it answers");
    saids = 0;
    looks = fake.looks;
    ok(fake_wait(base, has_said) && fake.looks == looks + 1, "and is asked again");
    fake.is_mute = 1;
    sentinel_look(&sentinel);
    ok(sentinel_is_busy(&sentinel), "it may answer soon");
    ok(fake_wait(base, is_lost), "one that does not answer is left");
    is_int(logged("redis not reachable at the sentinel 127.0.0.1:"), 1, "that is logged");
    is_int(logged("no answer for 1000 ms"), 1, "with why");
    end();
}

/* It cannot make us ask without a pause. */
static void test_flood(void)
{
    uint64_t began;
    int looks;

    begin();
    ok(fake_wait(base, has_said), "it answers");
    looks = fake.looks;
    began = clock_ms();
    while (switches < 1000 && clock_ms() < began + FAKE_DEADLINE_MS) {
        for (int i = 0; i < 20; i++)
            fake_switch(&fake, "m 10.0.0.1 6379 10.0.0.1 7");
        fake_turn(base);
    }
    ok(switches >= 1000, "a thousand events");
    ok((uint64_t)(fake.looks - looks) <= (clock_ms() - began) / 10 + 2, "and few questions: %d",
       fake.looks - looks);
    end();
}

/* One that answers, and breaks at once. */
static void test_flapping(void)
{
    begin();
    for (int i = 0; i < 3; i++) {
        saids = losts = 0;
        ok(fake_wait(base, has_said), "it answers");
        fake_drop(&fake);
        ok(fake_wait(base, is_lost), "and breaks");
    }
    is_int(logged("redis not reachable at the sentinel"), 1, "which is logged once");
    saids = losts = 0;
    ok(fake_wait(base, has_said), "it answers again");
    saids = 0;
    ok(fake_wait(base, has_said), "and a second later");
    fake_drop(&fake);
    ok(fake_wait(base, is_lost), "so that it breaks");
    is_int(logged("redis not reachable at the sentinel"), 2, "is news");
    end();
}

static void test_unknown(void)
{
    begin();
    fake.host = NULL;
    ok(fake_wait(base, has_said) && sentinel_vote(&sentinel).host == NULL,
       "a name that it does not know");
    is_int(logged("knows no master of the name \"m\""), 1, "is logged");
    saids = 0;
    sentinel_look(&sentinel);
    ok(fake_wait(base, has_said), "it is asked again");
    is_int(logged("knows no master"), 1, "which is not");
    fake.host = "h";
    fake.master = 1;
    saids = 0;
    sentinel_look(&sentinel);
    ok(fake_wait(base, has_said), "it knows it now");
    says("h", 1, 4, 0, "which is the first that it says");
    end();
}

/* Less is allowed. */
static void test_rights(void)
{
    begin();
    fake.all = "-NOPERM no sentinel|master\r\n";
    fake.hearing = "-NOPERM no subscribe\r\n";
    ok(fake_wait(base, has_said), "it answers");
    says("10.0.0.1", 6379, BALLOT_UNKNOWN, 0, "of an epoch that it does not tell");
    is_int(logged("does not allow SUBSCRIBE"), 1, "nor its events");
    saids = 0;
    ok(fake_wait(base, has_said) && logged("does not allow SUBSCRIBE") == 1 && losts == 0,
       "and goes on so");
    end();
}

static const struct {
    const char *auth, *place, *why;
} faults[] = {
    {"-WRONGPASS hunter2\r\n", NULL, "an error that shows the password"},
    {":1\r\n", NULL, "an answer to AUTH that makes no sense"},
    {NULL, "-NOAUTH Authentication required.\r\n", "NOAUTH"},
    {NULL, "-ERR unknown command 'SENTINEL', with args beginning with: x\r\n", "unknown command"},
    {NULL, "*1\r\n$1\r\nh\r\n", "makes no sense"},
    {NULL, "*2\r\n$1\r\nh\r\n$1\r\n0\r\n", "makes no sense"},
    {NULL, "*2\r\n$1\r\nh\r\n$5\r\n65536\r\n", "makes no sense"},
    {NULL, "*2\r\n$1\r\nh\r\n:1\r\n", "makes no sense"},
    {NULL, "*2\r\n$3\r\nh\ni\r\n$1\r\n1\r\n", "makes no sense"},
    {NULL, "*2\r\n$2\r\nh/\r\n$1\r\n1\r\n", "makes no sense"},
    {NULL, "*2\r\n$0\r\n\r\n$1\r\n1\r\n", "makes no sense"},
    {NULL, "+OK\r\n", "makes no sense"},
    {NULL, "SSH-2.0\r\n", "not the redis protocol"},
};

static void test_faults(void)
{
    conf.sentinel_password = (char[]){"hunter2"};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        begin();
        fake.auth = faults[i].auth;
        fake.place = faults[i].place;
        ok(fake_wait(base, is_lost) && saids == 0, "%s", faults[i].why);
        is_int(logged(faults[i].why), 1, "is logged");
        is_int(logged("hunter2"), 0, "without the password");
        end();
    }
    conf.sentinel_password = NULL;
    begin();
    ok(fake_wait(base, has_said), "it answers");
    fake_say(&fake, "+OK\r\n", 1);
    ok(fake_wait(base, is_lost) && logged("nothing that was asked") == 1, "what nobody asked for");
    end();
}

static void test_epoch(void)
{
    static const char *const alls[] = {"*-1\r\n",
                                       "*0\r\n",
                                       "*1\r\n$12\r\nconfig-epoch\r\n",
                                       "*2\r\n$12\r\nconfig-epoch\r\n:9\r\n",
                                       "*2\r\n$12\r\nconfig-epoch\r\n$2\r\n-1\r\n",
                                       "*2\r\n$12\r\nconfig-epoch\r\n$2\r\n1x\r\n",
                                       "*2\r\n$12\r\nconfig-epoch\r\n$0\r\n\r\n",
                                       "*3\r\n$1\r\na\r\n$12\r\nconfig-epoch\r\n$1\r\n9\r\n",
                                       "+OK\r\n"};

    for (size_t i = 0; i < sizeof(alls) / sizeof(alls[0]); i++) {
        begin();
        fake.all = alls[i];
        ok(fake_wait(base, has_said), "an epoch that is none: %zu", i);
        says("10.0.0.1", 6379, BALLOT_UNKNOWN, 0, "is not known");
        end();
    }
}

int main(void)
{
    base = event_base_new();
    log_begin_at(LOG_LEVEL_DEBUG);
    test_dialogue();
    test_each_second();
    test_flood();
    test_flapping();
    test_unknown();
    test_rights();
    test_faults();
    test_epoch();
    event_base_free(base);
    log_end();
    return tap_done();
}
