/* Where the master is: three sentinels and three redis, which say what the test wants. */
#include "base/clock.h"
#include "master/finder.h"

#include "fake_redis.h"
#include "log_file.h"
#include "tap.h"

#define LOCAL "127.0.0.1"

static struct event_base *base;
static struct fake sentinels[3], redis[3];
static struct conf_sentinel places[3];
static struct conf_redis conf;
static struct finder *finder;
static char local[] = LOCAL, master[] = "m";

static int founds, others, unsures, demotions, missings, wanted;
static int at; /* the port that was found last */
static enum redis_fault_kind kind;
static char why[256];

static void on_found(const char *host, int port, int is_other, void *arg)
{
    (void)arg;
    if (strcmp(host, LOCAL) != 0)
        abort();
    founds++;
    others += is_other;
    at = port;
}

static void on_unsure(int is_demoted, const char *text, void *arg)
{
    (void)arg;
    unsures++;
    demotions += is_demoted;
    snprintf(why, sizeof(why), "%s", text);
}

static void on_missing(enum redis_fault_kind what, const char *text, void *arg)
{
    (void)arg;
    missings++;
    kind = what;
    snprintf(why, sizeof(why), "%s", text);
}

static const struct finder_ops ops = {on_found, on_unsure, on_missing};

static int is_found(void)
{
    return at == wanted;
}

static int is_unsure(void)
{
    return unsures > 0;
}

static int is_missing(void)
{
    return missings > 0 && (int)kind == wanted;
}

static size_t answering(void)
{
    return finder_stats(finder).answering;
}

static int all_answer(void)
{
    return answering() == 3;
}

static int one_answers(void)
{
    return answering() == 1;
}

static int is_tried(void)
{
    return redis[2].accepted > 1;
}

/* What sentinel i says. */
static void name(int i, const struct fake *of, int epoch)
{
    sentinels[i].host = of != NULL ? LOCAL : NULL;
    sentinels[i].master = of != NULL ? of->port : 0;
    sentinels[i].epoch = epoch;
}

static void clear(void)
{
    founds = others = unsures = demotions = missings = at = 0;
    why[0] = '\0';
}

/* All say that redis[0] is the master, which it is; redis[1] is its replica. */
static void prepare(void)
{
    memset(sentinels, 0, sizeof(sentinels));
    memset(redis, 0, sizeof(redis));
    for (int i = 0; i < 3; i++) {
        fake_start(&sentinels[i], base);
        fake_start(&redis[i], base);
        places[i] = (struct conf_sentinel){local, sentinels[i].port};
    }
    for (int i = 0; i < 3; i++)
        name(i, &redis[0], 0);
    redis[1].role = "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:9\r\n$9\r\nconnected\r\n:7\r\n";
    clear();
    log_begin();
}

static void begin(void)
{
    conf = (struct conf_redis){.sentinels = places, .nsentinels = 3, .name = master};
    finder = finder_new(base, &conf, NULL, &ops, NULL);
    if (finder == NULL)
        abort();
}

static void end(void)
{
    finder_free(&finder);
    for (int i = 0; i < 3; i++) {
        fake_stop(&sentinels[i]);
        fake_stop(&redis[i]);
    }
}

static void finds(const struct fake *it, const char *what)
{
    wanted = it->port;
    ok(fake_wait(base, is_found), "%s", what);
}

/* For as long as several answers take nothing else is found. */
static void stays_by(const struct fake *sentinel, const char *what)
{
    int was = founds, looks = sentinel->looks, tries = 0;

    while (sentinel->looks < looks + 4 && tries++ < 5000) {
        finder_doubt(finder);
        fake_turn(base);
    }
    ok(founds == was, "%s", what);
}

static void stays(const char *what)
{
    stays_by(&sentinels[0], what);
}

/* The replica has become the master, as sentinel i says. */
static void promote(int i, const char *role)
{
    redis[1].role = NULL;
    redis[0].role = role;
    name(i, &redis[1], 1);
}

static const char replica[] = "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:9\r\n$9\r\nconnected\r\n:7\r\n";

static void test_switch(void)
{
    prepare();
    begin();
    finds(&redis[0], "the master");
    ok(fake_wait(base, all_answer), "all sentinels answer");
    promote(0, NULL);
    fake_switch(&sentinels[0], "m x 1 y 2");
    finds(&redis[1], "another one, by an event");
    ok(unsures == 0 && others == 2 && finder_master_ms(finder) > 0,
       "while the old one says that it is a master, too");
    is_int(finder_stats(finder).switches, 1, "which is counted");
    is_int(logged("in place of 127.0.0.1:"), 1, "and logged");
    stays("two that are behind change nothing");
    end();
}

static void test_polled(void)
{
    prepare();
    for (int i = 0; i < 3; i++)
        sentinels[i].hearing = "-NOPERM\r\n";
    begin();
    finds(&redis[0], "the master");
    promote(2, NULL);
    finds(&redis[1], "another one, by an answer");
    end();
}

static void test_no_epoch(void)
{
    prepare();
    for (int i = 0; i < 3; i++)
        sentinels[i].all = "-NOPERM\r\n";
    begin();
    finds(&redis[0], "the master, by sentinels that do not tell their epoch");
    ok(fake_wait(base, all_answer), "all of them");
    promote(1, NULL);
    fake_switch(&sentinels[1], "m x 1 y 2");
    finds(&redis[1], "another one, by the one that has changed");
    stays("the others have not yet");
    end();
}

static void test_lost(void)
{
    prepare();
    begin();
    finds(&redis[0], "the master");
    fake_stop(&redis[0]);
    ok(fake_wait(base, is_unsure) && demotions == 0, "it is gone");
    wanted = REDIS_FAULT_CONNECT;
    ok(fake_wait(base, is_missing), "and is looked for");
    promote(1, NULL);
    fake_switch(&sentinels[1], "m x 1 y 2");
    finds(&redis[1], "another one, though two sentinels have not heard of it");
    clear();
    fake_stop(&redis[1]);
    ok(fake_wait(base, is_unsure), "that is gone as well");
    clear();
    fake_start(&redis[1], base);
    finds(&redis[1], "and comes back");
    is_int(others, 0, "as the same");
    end();
}

static void test_demoted(void)
{
    prepare();
    begin();
    finds(&redis[0], "the master");
    promote(0, replica); /* the sentinels' event is lost */
    sentinels[0].hearing = "";
    ok(fake_wait(base, is_unsure), "a replica");
    is_int(demotions, 1, "that says so is left");
    ok(strstr(why, "it is a replica of h:9") != NULL, "for that reason");
    finds(&redis[1], "the new master");
    end();
}

static void test_downs(void)
{
    prepare();
    fake_stop(&sentinels[0]);
    sentinels[1].is_mute = 1;
    begin();
    finds(&redis[0], "the master, by the one sentinel that answers");
    is_int(answering(), 1, "the others do not");
    ok(missings == 0, "nothing was missing");
    end();
}

/* The one that is behind answers first. */
static void test_behind(void)
{
    prepare();
    promote(1, NULL);
    fake_stop(&sentinels[2]);
    begin();
    finds(&redis[1], "the newer master, with one sentinel down and one behind");
    is_int(founds, 1, "at once");
    stays("for good");
    end();
}

/* The newer one is named a little later. */
static void test_late(void)
{
    uint64_t at_ms;

    prepare();
    promote(1, NULL);
    sentinels[1].is_held = sentinels[2].is_held = 1;
    begin();
    ok(fake_wait(base, one_answers), "the one that is behind is the first to answer");
    at_ms = clock_ms();
    for (int i = 0; i < 3; i++)
        fake_turn(base);
    fake_release(&sentinels[1]);
    finds(&redis[1], "the newer master");
    ok(founds == 1 || clock_ms() > at_ms + 90, "at once, unless that took long");
    end();
}

/* Only the one that is behind is there when the newer master is lost. */
static void test_stale(void)
{
    prepare();
    promote(0, NULL);
    fake_stop(&sentinels[2]);
    begin();
    finds(&redis[1], "the newer master");
    fake_stop(&sentinels[0]);
    fake_stop(&redis[1]);
    ok(fake_wait(base, is_unsure), "it is lost");
    stays_by(&sentinels[1], "what it has replaced is not followed");
    clear();
    fake_start(&sentinels[0], base);
    fake_start(&redis[1], base);
    finds(&redis[1], "the newer one is there again");
    is_int(founds, 1, "and was all that was found");
    end();
}

static void test_replica_named(void)
{
    prepare();
    for (int i = 0; i < 3; i++)
        name(i, &redis[1], 0);
    begin();
    wanted = REDIS_FAULT_MASTER;
    ok(fake_wait(base, is_missing) && founds == 0, "all name a replica");
    ok(strstr(why, "it is a replica of h:9") != NULL, "which says so");
    redis[1].role = NULL;
    finds(&redis[1], "it has become the master");
    end();
}

/* A place that never answers holds up nobody. */
static void test_hole(void)
{
    prepare();
    redis[2].is_mute = 1;
    name(0, &redis[2], 7);
    begin();
    wanted = REDIS_FAULT_DEADLINE;
    finds(&redis[0], "the master, though a sentinel names one that says nothing as the newest");
    ok(fake_wait(base, is_tried), "which is tried again");
    ok(unsures == 0, "while the other is there");
    redis[2].is_mute = 0;
    finds(&redis[2], "until it answers");
    end();
}

/* Whoever has set up the sentinels anew begins with the epoch 0. */
static void test_told_anew(void)
{
    prepare();
    for (int i = 0; i < 3; i++)
        name(i, &redis[0], 9);
    begin();
    finds(&redis[0], "the master");
    ok(fake_wait(base, all_answer), "all answer");
    name(0, &redis[2], 0);
    stays("one names another, of an older configuration");
    name(1, &redis[2], 0);
    stays("two do, and one knows it still");
    name(2, &redis[2], 0);
    finds(&redis[2], "all do");
    end();
}

static void test_none(void)
{
    prepare();
    for (int i = 0; i < 3; i++)
        name(i, NULL, 0);
    begin();
    wanted = REDIS_FAULT_NAME;
    ok(fake_wait(base, is_missing), "none knows the name");
    end();
    prepare();
    for (int i = 0; i < 3; i++)
        fake_stop(&sentinels[i]);
    begin();
    wanted = REDIS_FAULT_SENTINELS;
    ok(fake_wait(base, is_missing), "none answers");
    is_str(why, "no sentinel answers, of 3", "it says so");
    fake_start(&sentinels[1], base);
    finds(&redis[0], "one does at last");
    fake_stop(&sentinels[1]);
    stays("and is gone again: the master stays");
    finder_stop(finder);
    is_int(answering(), 0, "it is stopped");
    finder_doubt(finder);
    fake_drop(&redis[0]);
    for (int i = 0; i < 10; i++)
        fake_turn(base);
    ok(unsures == 0, "and tells nothing more");
    end();
}

/* One sentinel names two that both say that they are it, each time as of a newer
 * configuration. */
static void test_flaps(void)
{
    uint64_t begun;
    int n = 0, followed = 0;

    prepare();
    redis[1].role = NULL;
    begin();
    finds(&redis[0], "the master");
    ok(fake_wait(base, all_answer), "all sentinels answer");
    begun = clock_ms();
    while (others < 3 && clock_ms() < begun + 30000) {
        if (n == 0 || others > followed) { /* the other, as soon as it has followed */
            n++;
            followed = others;
            name(0, &redis[n % 2], n);
        }
        finder_doubt(finder);
        fake_turn(base);
    }
    ok(others == 3 && clock_ms() >= begun + 500, "it does not run to and fro: %d times in %d ms",
       others - 1, (int)(clock_ms() - begun));
    end();
}

int main(void)
{
    base = event_base_new();
    log_begin_at(LOG_LEVEL_DEBUG);
    test_switch();
    test_polled();
    test_no_epoch();
    test_lost();
    test_demoted();
    test_downs();
    test_behind();
    test_late();
    test_stale();
    test_replica_named();
    test_hole();
    test_told_anew();
    test_none();
    test_flaps();
    event_base_free(base);
    log_end();
    return tap_done();
}
