/* What is asked of the cluster, with a redis that says what the test wants. */
#include "master/asking.h"

#include "asking_world.h"

#include <signal.h>

static struct question *question;
static int over, nheard, nown, whole = 1;
static int frees; /* it is freed as soon as it is over */
static enum question_end how;
static char why[800];

static int on_heard(struct slice payload, int is_own, void *arg)
{
    ok(arg == &question, "with what was given");
    nheard++;
    nown += is_own;
    return memmem(payload.ptr, payload.len, "all", 3) != NULL;
}

static int is_whole(void *arg)
{
    (void)arg;
    return whole;
}

static void on_over(enum question_end end, const char *text, void *arg)
{
    (void)arg;
    over++;
    how = end;
    snprintf(why, sizeof(why), "%s", text);
    if (frees)
        question_free(&question);
}

static const struct question_ops ops = {on_heard, is_whole, on_over};

static void ask(unsigned ms)
{
    struct buf request = {0};

    over = nheard = nown = sent.n = 0;
    buf_reset(&heard);
    whole = 1;
    question = question_new(asking, ASKING_QUESTIONS, ms, &ops, &question);
    ok(question != NULL, "a question");
    buf_puts(&request, "REQUEST");
    question_ask(question, &request);
    ok(request.data == NULL, "it is taken");
}

static void answer(const char *what)
{
    char text[200];
    struct slice id = question_id(question);

    snprintf(text, sizeof(text), "{\"requestId\":\"%.*s\",\"what\":\"%s\"}", (int)id.len, id.ptr,
             what);
    say_message(text);
}

static void is_over(enum question_end want, const char *text)
{
    wait_for(&over, 1, "it is over");
    is_int(how, want, "in this way");
    ok(strstr(why, text) != NULL, "why: %s", why);
    question_free(&question);
    ok(question == NULL, "freed");
}

/* --- tests ------------------------------------------------------------------------- */

static void test_whole(void)
{
    char own[100];

    ask(10000);
    ok(question_uid(question).len == 16 && question_id(question).len == 16 &&
           !slice_eq(question_uid(question), question_id(question)),
       "it has names of its own");
    hears("*3\r\n" BULK(6, "PUBSUB") BULK(6, "NUMSUB") BULK(15, "k-request#/axr#") /* */
          "*2\r\n" BULK(9, "SUBSCRIBE") BULK(16, COMMON_CHANNEL) "*2\r\n",
          "how many there are, and the channel of all");
    snprintf(own, sizeof(own), COMMON_CHANNEL "%.*s#\r\n", 16, question_uid(question).ptr);
    hears(own, "and its own");
    is_int(sent.n, 0, "nothing is asked before that is so");
    say_subscribed(2);
    wait_for(&sent.n, 1, "then it is");
    is_str(sent.channel, "k-request#/axr#", "on the channel of requests");
    is_mem(sent.payload.data, sent.payload.len, "REQUEST", 7, "as it is");
    answer("all");
    say_message("{\"requestId\":\"another\"}");
    answer("a part");
    wait_for(&nheard, 2, "what has its id is heard");
    confirm(5);
    is_int(question_servers(question), 2, "so many servers");
    is_int(question_answered(question), 1, "one has answered");
    for (int i = 0; i < 20; i++)
        turn();
    is_int(over, 0, "the other is waited for");
    whole = 0;
    answer("all");
    wait_for(&nheard, 3, "it answers");
    for (int i = 0; i < 20; i++)
        turn();
    is_int(over, 0, "and who knows that more is to come waits");
    whole = 1;
    answer("a part");
    is_int(question_subscribers(question), 5, "so many have been given it");
    is_over(QUESTION_ANSWERED, "");
    is_int(connections, 1, "over one connection");
}

static void test_nobody(void)
{
    ask(10000);
    hears("SUBSCRIBE", "asked");
    say_subscribed(0);
    wait_for(&sent.n, 1, "published");
    confirm(0);
    is_int(question_servers(question), 0, "where nobody is");
    is_over(QUESTION_ANSWERED, "");
}

static void test_own(void)
{
    char text[200];

    ask(10000);
    hears("SUBSCRIBE", "asked");
    say_subscribed(2);
    wait_for(&sent.n, 1, "published");
    confirm(2);
    snprintf(text, sizeof(text), "{\"requestId\":\"%.16s\",\"what\":\"all\"}",
             question_id(question).ptr);
    asking_answers(asking, slice_str(text));
    asking_answers(asking, SLICE("{\"requestId\":\"another\"}"));
    answer("a part");
    wait_for(&nheard, 1, "another's is heard");
    is_int(nown, 0, "and is not this daemon's");
    answer("all");
    wait_for(&nheard, 2, "heard");
    is_int(nown, 1, "this daemon's own answer is known");
    answer("all");
    is_over(QUESTION_ANSWERED, "");
    is_int(nown, 1, "once");
}

/* Servers may be faster than redis is with its word to the publisher. */
static void test_early(void)
{
    ask(10000);
    hears("SUBSCRIBE", "asked");
    say_subscribed(1);
    wait_for(&sent.n, 1, "published");
    answer("all");
    wait_for(&nheard, 1, "answered");
    for (int i = 0; i < 20; i++)
        turn();
    is_int(over, 0, "it is not over before redis has confirmed it");
    confirm(3);
    is_int(question_subscribers(question), 3, "so many subscribers");
    is_over(QUESTION_ANSWERED, "");
}

/* Whoever asked has gone: it is published all the same. */
static void test_left(void)
{
    ask(10000);
    question_leave(question);
    hears("SUBSCRIBE", "asked");
    say_subscribed(2);
    wait_for(&sent.n, 1, "published");
    for (int i = 0; i < 20; i++)
        turn();
    is_int(over, 0, "redis is waited for");
    confirm(2);
    is_over(QUESTION_LATE, "");
    ask(10000);
    hears("SUBSCRIBE", "asked");
    say_subscribed(2);
    wait_for(&sent.n, 1, "published");
    confirm(2);
    question_leave(question);
    is_over(QUESTION_LATE, "");
}

static void test_late(void)
{
    ask(50);
    hears("SUBSCRIBE", "asked");
    say_subscribed(2);
    wait_for(&sent.n, 1, "published");
    confirm(2);
    answer("all");
    is_over(QUESTION_LATE, "");
    ask(50);
    hears("SUBSCRIBE", "asked");
    say_subscribed(2);
    wait_for(&sent.n, 1, "published");
    is_over(QUESTION_UNASKED, "in time");
    confirm(2); /* nobody is there any more */
}

static void test_unasked(void)
{
    ask(10000);
    hears("SUBSCRIBE", "asked");
    say("-NOPERM this user has no permissions to run the 'pubsub|numsub' command\r\n");
    is_over(QUESTION_UNASKED, "NOPERM");
    ask(10000);
    hears("SUBSCRIBE", "asked");
    say("*2\r\n" BULK(1, "x") ":1\r\n-NOPERM no channel\r\n");
    is_over(QUESTION_UNASKED, "NOPERM no channel");
    ask(10000);
    hears("SUBSCRIBE", "asked");
    say("*1\r\n:1\r\n");
    is_over(QUESTION_UNASKED, "makes no sense");
    ask(10000);
    hears("SUBSCRIBE", "asked");
    say("what?\r\n");
    is_over(QUESTION_UNASKED, "no connection to redis for answers");
    ask(10000);
    hears("SUBSCRIBE", "asked");
    say_subscribed(1);
    wait_for(&sent.n, 1, "published");
    confirm(-1);
    is_over(QUESTION_UNASKED, "redis has not taken it");
    sent.fails = 1;
    ask(10000);
    hears("SUBSCRIBE", "asked");
    say_subscribed(1);
    is_over(QUESTION_UNASKED, "cannot be told");
    sent.fails = 0;
}

/* The channel of one requester may be forbidden. */
static void test_common(void)
{
    ask(10000);
    hears("SUBSCRIBE", "asked");
    say("*2\r\n" BULK(1, "x") ":1\r\n"
                              "*3\r\n" BULK(9, "subscribe")
                                  BULK(16, COMMON_CHANNEL) ":1\r\n"
                                                           "-NOPERM this user has no permissions "
                                                           "to access one of the channels\r\n");
    wait_for(&sent.n, 1, "published all the same");
    confirm(1);
    answer("all");
    is_over(QUESTION_ANSWERED, "");
}

static void test_lost(void)
{
    ask(10000);
    hears("SUBSCRIBE", "asked");
    say_subscribed(2);
    wait_for(&sent.n, 1, "published");
    confirm(2);
    answer("all");
    wait_for(&nheard, 1, "one has answered");
    bufferevent_free(peer);
    peer = NULL;
    is_over(QUESTION_LOST, "closed the connection");
    ask(10000);
    hears("SUBSCRIBE", "asked");
    bufferevent_free(peer);
    peer = NULL;
    is_over(QUESTION_UNASKED, "closed the connection");
}

static void test_password(void)
{
    static char user[] = "me", password[] = "sesame";

    conf.redis.username = user;
    conf.redis.password = password;
    ask(10000);
    hears("*3\r\n" BULK(4, "AUTH") BULK(2, "me") BULK(6, "sesame") "*3\r\n" BULK(6, "PUBSUB"),
          "with a password");
    asking_wipe(asking);
    say("-WRONGPASS invalid sesame\r\n");
    is_over(QUESTION_UNASKED, "an error that shows the password");
    ask(10000);
    hears("SUBSCRIBE", "asked");
    say("+OK\r\n");
    say_subscribed(0);
    wait_for(&sent.n, 1, "published");
    confirm(0);
    is_over(QUESTION_ANSWERED, "");
    conf.redis.username = conf.redis.password = NULL;
}

static void test_many(void)
{
    struct question *all[ASKING_QUESTIONS];

    for (int i = 0; i < ASKING_QUESTIONS; i++)
        all[i] = question_new(asking, ASKING_QUESTIONS, 1000, &ops, NULL);
    ok(all[ASKING_QUESTIONS - 1] != NULL, "so many at once");
    ok(question_new(asking, 100, 1000, &ops, NULL) == NULL, "and no more");
    for (int i = 3; i < ASKING_QUESTIONS; i++)
        question_free(&all[i]);
    ok(question_new(asking, 3, 1000, &ops, NULL) == NULL, "nor than whoever asks may");
    question_free(&all[1]);
    all[1] = question_new(asking, 3, 1000, &ops, NULL);
    ok(all[1] != NULL, "one has gone");
    for (int i = 0; i < 3; i++)
        question_free(&all[i]);
    is_int(asking_publish(asking, SLICE("c"), &(struct buf){0}, NULL, NULL), 0,
           "what is no question");
    is_str(sent.channel, "c", "is published");
}

/* It is given up at each point of its life. */
static void test_free(void)
{
    ask(10000);
    question_free(&question);
    ask(10000);
    hears("SUBSCRIBE", "asked");
    question_free(&question);
    ask(10000);
    hears("SUBSCRIBE", "asked");
    say_subscribed(1);
    wait_for(&sent.n, 1, "published");
    question_free(&question);
    confirm(1);
    ask(10000);
    frees = 1;
    asking_free(&asking);
    is_int(over, 1, "at the end it is over");
    is_int(how, QUESTION_UNASKED, "and was not asked");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    world_begin();
    test_whole();
    test_nobody();
    test_own();
    test_early();
    test_left();
    test_late();
    test_unasked();
    test_common();
    test_lost();
    test_password();
    test_many();
    test_free();
    world_end();
    return tap_done();
}
