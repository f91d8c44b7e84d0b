/* The dialogue with a redis that says what the test wants. */
#include "master/subscription.h"

#include "tap.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#define BULK(n, text) "$" #n "\r\n" text "\r\n"

#define CONFIRMED                                                                                  \
    "*3\r\n" BULK(10, "psubscribe")                                                                \
        BULK(8, "k#/axr#*") ":1\r\n"                                                               \
                            "*3\r\n" BULK(9, "subscribe")                                          \
                                BULK(9, "k#emitter") ":2\r\n"                                      \
                                                     "*3\r\n" BULK(9, "subscribe")                 \
                                                         BULK(6, "k#/axr") ":3\r\n"
#define MESSAGE "*3\r\n" BULK(7, "message") BULK(6, "k#/axr") BULK(1, "x")
#define INFO    "*2\r\n" BULK(6, "CLIENT") BULK(4, "INFO")
#define PONG    "*2\r\n" BULK(4, "pong") BULK(4, "sync")

static struct event_base *base;
static struct bufferevent *bev;
static int server; /* the other end */
static struct subscription subscription;
static struct redis_fault fault;
static struct conf_redis conf_redis;
static int messages, ready, synced, heard, odd;
static int pause_at; /* that message pauses */

static int peers; /* messages of daemons */

static void on_message(struct slice channel, struct slice payload, void *arg)
{
    (void)payload, (void)arg;
    peers += slice_eq(channel, SLICE("k-peer#/axr#"));
    if (++messages == pause_at)
        subscription_pause(&subscription, 1);
}

static char requests_text[64]; /* "c" and "p", as they came by channel and by pattern */
static int changes;

static void on_request(struct slice channel, struct slice payload, int is_counted, void *arg)
{
    (void)channel, (void)payload, (void)arg;
    strcat(requests_text, is_counted ? "c" : "p");
}

static void on_requests(void *arg)
{
    (void)arg;
    changes++;
}

static void on_ready(void *arg)
{
    (void)arg;
    ready++;
}

static void on_synced(void *arg)
{
    (void)arg;
    synced++;
}

static int echoed;

static void on_echoed(void *arg)
{
    (void)arg;
    echoed++;
}

static void on_heard(void *arg)
{
    (void)arg;
    heard++;
}

static void on_odd(void *arg)
{
    (void)arg;
    odd++;
}

static const struct subscription_ops ops = {on_message, on_request, on_requests, on_ready,
                                            on_synced,  on_echoed,  on_heard,    on_odd};

static void connection_begin(void)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
        abort();
    bev = bufferevent_socket_new(base, ends[0], BEV_OPT_CLOSE_ON_FREE);
    server = ends[1];
    if (bev == NULL || bufferevent_enable(bev, EV_WRITE) < 0 ||
        subscription_begin(&subscription, bev, &(struct redis_wire){ends[0], NULL}) < 0)
        abort();
}

static void connection_end(void)
{
    subscription_end(&subscription);
    bufferevent_free(bev);
    close(server);
}

static int recovery; /* whether clients recover */

static void prepare(void)
{
    static char key[] = "k", nsp[] = "/axr";
    const struct conf conf = {.key = key, .nsp = nsp, .recovery = recovery};

    memset(&fault, 0, sizeof(fault));
    peers = echoed = 0;
    messages = ready = synced = heard = odd = pause_at = changes = 0;
    requests_text[0] = '\0';
    if (subscription_init(&subscription, &conf, &conf_redis, &fault, &ops, NULL) < 0)
        abort();
}

static void begin(void)
{
    prepare();
    connection_begin();
}

static void end(void)
{
    connection_end();
    subscription_clear(&subscription);
}

/* redis says so. */
static int says(const char *text)
{
    return subscription_read(&subscription, text, strlen(text));
}

/* What redis has been told up to now. */
static const char *told(void)
{
    static char text[4096];
    ssize_t n;

    event_base_loop(base, EVLOOP_NONBLOCK);
    n = read(server, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void test_subscribes(void)
{
    begin();
    ok(strncmp(told(), INFO "*2\r\n" BULK(10, "PSUBSCRIBE"), sizeof(INFO) - 1 + 20) == 0,
       "it asks for its topics");
    ok(says("*3\r\n" BULK(10, "psubscribe") BULK(8, "k#/axr#*") ":1\r\n") == 0 && ready == 0,
       "one is confirmed");
    ok(says(CONFIRMED) == 0 && ready == 1, "ready with the last that is needed");
    says(CONFIRMED);
    is_int(ready, 1, "once");
    ok(says(MESSAGE MESSAGE) == 0 && messages == 2, "messages come");
    is_int(heard, 4, "whole replies are a sign of life, once for each time they come");
    ok(says("*3\r\n$7") == 0 && heard == 4, "mere bytes are none");
    is_int(odd, 0, "and none is odd");
    connection_end();
    connection_begin();
    ok(says("*3\r\n" BULK(9, "subscribe") BULK(6, "k#/axr") ":3\r\n") == 0 && ready == 1,
       "on another connection it begins anew");
    end();
}

/* What is to be confirmed before: AUTH and SELECT. */
static void test_oks(void)
{
    conf_redis = (struct conf_redis){.password = (char[]){"sesame"}, .database = 3};
    begin();
    ok(says("+OK\r\n" CONFIRMED) == 0 && ready == 0, "one +OK of two");
    ok(says("+OK\r\n") == 0 && ready == 0, "the other one");
    ok(says(CONFIRMED) == 0 && ready == 1, "then it is ready");
    is_int(odd, 0, "nothing is odd in that");
    ok(says("+OK\r\n") == 0 && odd == 1, "one more is");
    end();
    conf_redis = (struct conf_redis){0};
}

static void test_faults(void)
{
    begin();
    is_int(says("-NOAUTH no\r\n"), -1, "an error before it is ready is a fault");
    ok(fault.is_found && fault.kind == REDIS_FAULT_PASSWORD, "of its kind");
    is_str(fault.why, "it answered: NOAUTH no", "as redis says it");
    end();
    begin();
    says(CONFIRMED);
    ok(says("-NOPERM no\r\n") == 0 && odd == 0, "afterwards what is withheld is none");
    ok(says("-ERR no\r\n") == 0 && odd == 1, "and another one is odd");
    is_int(says("*3\r\n" BULK(11, "unsubscribe") BULK(6, "k#/axr") ":0\r\n"), -1,
           "the end of the subscription is a fault");
    ok(fault.kind == REDIS_FAULT_PROTOCOL, "of its kind");
    end();
    begin();
    ok(says(":1\r\n") == 0 && odd == 1, "a number is odd");
    is_int(says("*1\r\n*0\r\n"), -1, "what is not the protocol is a fault");
    end();
    begin();
    subscription_limit(&subscription, 100);
    is_int(says("$1000\r\n"), 0, "a long reply");
    for (int i = 0; i < 9; i++)
        (void)says("xxxxxxxxxx");
    ok(!fault.is_found && says("xxxx") == -1, "is one beyond its limit");
    ok(fault.kind == REDIS_FAULT_TOO_LARGE, "of its kind");
    end();
}

static void test_sync(void)
{
    begin();
    says(CONFIRMED);
    (void)told();
    ok(subscription_sync(&subscription) == 0 && subscription_sync(&subscription) == 0, "two");
    is_str(told(),
           "*2\r\n" BULK(4, "PING") BULK(4, "sync") "*2\r\n" BULK(4, "PING") BULK(4, "sync"),
           "are asked for");
    ok(says(PONG) == 0 && synced == 0, "the first is answered");
    ok(says("+PONG\r\n*2\r\n" BULK(4, "pong") BULK(0, "")) == 0 && synced == 0, "others are none");
    ok(says(PONG) == 0 && synced == 1, "the last is told");
    ok(says(PONG) == 0 && synced == 1, "and one that nobody asked for is not");
    (void)subscription_sync(&subscription);
    connection_end();
    connection_begin();
    ok(says(CONFIRMED PONG) == 0 && synced == 1, "nor one on another connection");
    end();
}

static void test_pause(void)
{
    begin();
    says(CONFIRMED);
    pause_at = 2;
    ok(says(MESSAGE MESSAGE MESSAGE MESSAGE) == 0 && messages == 2, "it pauses at once");
    subscription_pause(&subscription, 0);
    ok(subscription_take(&subscription) == 0 && messages == 4, "then all comes");
    end();
}

static void test_publishes(void)
{
    prepare();
    ok(!subscription_is_publish(&subscription), "it subscribes");
    is_int(subscription_publish(&subscription, SLICE("k#/axr"), SLICE("x")), 0, "no, it publishes");
    ok(subscription_is_publish(&subscription), "as it says");
    connection_begin();
    is_str(told(), "*3\r\n" BULK(7, "PUBLISH") BULK(6, "k#/axr") BULK(1, "x"), "and nothing else");
    ok(says(":0\r\n") == 0 && ready == 1, "ready when redis has taken it");
    ok(says(":0\r\n") == 0 && ready == 1 && odd == 1, "once");
    end();
}

/* --- requests ----------------------------------------------------------------- */

#define NAME        BULK(15, "k-request#/axr#")
#define SUBSCRIBE   "*2\r\n" BULK(9, "SUBSCRIBE") NAME
#define PSUBSCRIBE  "*2\r\n" BULK(10, "PSUBSCRIBE") NAME
#define UNSUBSCRIBE "*2\r\n" BULK(11, "UNSUBSCRIBE") NAME
#define PUNSUB      "*2\r\n" BULK(12, "PUNSUBSCRIBE") NAME
#define IN          "*3\r\n" BULK(9, "subscribe") NAME ":4\r\n"
#define PIN         "*3\r\n" BULK(10, "psubscribe") NAME ":4\r\n"
#define OUT         "*3\r\n" BULK(11, "unsubscribe") NAME ":4\r\n"
#define POUT        "*3\r\n" BULK(12, "punsubscribe") NAME ":4\r\n"
#define C           "*3\r\n" BULK(7, "message") NAME BULK(1, "x")
#define P           "*4\r\n" BULK(8, "pmessage") NAME NAME BULK(1, "x")
#define OLD         "*3\r\n" BULK(10, "psubscribe") BULK(13, "k#[^/]*/axr#*") ":4\r\n"
#define NOPERM      "-NOPERM no\r\n"

/* What came as requests since the last time. */
static void came(const char *want, const char *name)
{
    is_str(requests_text, want, name);
    requests_text[0] = '\0';
}

static void is_heard(enum requests_heard want, const char *name)
{
    is_int(subscription_requests_heard(&subscription), want, name);
}

static void begin_requests(void)
{
    begin();
    says("$29\r\nid=7 addr=127.0.0.1:4 laddr=x\r\n" CONFIRMED OLD);
    is_heard(REQUESTS_CHANGING, "the pattern is asked for");
    says(PIN);
    is_heard(REQUESTS_PATTERN, "and confirmed");
    (void)told();
    changes = 0;
}

static void test_counted(void)
{
    begin_requests();
    says(P MESSAGE);
    came("p", "a request comes by the pattern");
    is_int(messages, 1, "and a message as one");
    subscription_requests(&subscription, REQUESTS_COUNTED);
    is_str(told(), SUBSCRIBE, "the channel is asked for");
    says(P IN C P C P);
    came("pcc", "once it is confirmed it brings each, and the pattern none");
    is_heard(REQUESTS_CHANGING, "both are there");
    is_str(told(), PUNSUB, "the pattern is not needed then");
    says(POUT C);
    came("c", "the channel goes on");
    is_heard(REQUESTS_CHANNEL, "alone");
    ok(changes >= 2 && odd == 0 && !fault.is_found, "the changes are told");
    subscription_requests(&subscription, REQUESTS_BY_PATTERN);
    is_str(told(), PSUBSCRIBE UNSUBSCRIBE, "back: both at once");
    says(C PIN C P OUT P P);
    came("ccpp", "each once: by the channel until that ends");
    is_heard(REQUESTS_PATTERN, "then by the pattern");
    subscription_requests(&subscription, REQUESTS_LEFT);
    is_str(told(), PUNSUB, "the end");
    says(P POUT);
    came("p", "of all");
    is_heard(REQUESTS_UNHEARD, "nothing is heard");
    is_int(odd, 0, "nothing was odd in that");
    end();
}

/* Another mode before what it was asked for is confirmed. */
static void test_turns(void)
{
    begin_requests();
    subscription_requests(&subscription, REQUESTS_COUNTED);
    subscription_requests(&subscription, REQUESTS_BY_PATTERN);
    is_str(told(), SUBSCRIBE, "one thing at a time");
    says(P IN C P);
    is_str(told(), UNSUBSCRIBE, "taken back: the pattern is still there");
    says(C P OUT P);
    came("pccp", "each once");
    is_heard(REQUESTS_PATTERN, "by the pattern in the end");
    subscription_requests(&subscription, REQUESTS_COUNTED);
    says(IN);
    subscription_requests(&subscription, REQUESTS_LEFT);
    is_str(told(), SUBSCRIBE PUNSUB, "in the middle");
    says(POUT);
    is_str(told(), UNSUBSCRIBE, "it is to be left");
    says(OUT);
    is_heard(REQUESTS_UNHEARD, "and is");
    subscription_requests(&subscription, REQUESTS_COUNTED);
    connection_end();
    connection_begin();
    ok(strstr(told(), SUBSCRIBE) != NULL, "another connection asks for the channel at once");
    says("+OK\r\n:0\r\n" CONFIRMED OLD IN C);
    came("c", "which brings them");
    end();
}

static void test_denied(void)
{
    begin_requests();
    subscription_requests(&subscription, REQUESTS_COUNTED);
    says(P NOPERM P);
    is_heard(REQUESTS_PATTERN, "the channel is denied: the pattern stays");
    came("pp", "and brings them");
    is_str(told(), SUBSCRIBE, "it is not asked for again");
    subscription_requests(&subscription, REQUESTS_COUNTED);
    is_str(told(), SUBSCRIBE, "unless somebody wants that");
    says(IN);
    (void)told();
    says(NOPERM);
    ok(!fault.is_found && odd == 0, "the pattern cannot be ended: it does no harm");
    says(C P);
    came("c", "each once");
    subscription_requests(&subscription, REQUESTS_BY_PATTERN);
    is_str(told(), UNSUBSCRIBE, "the channel is left");
    is_int(says(NOPERM), -1, "but where that is denied");
    is_int(fault.kind, REDIS_FAULT_PERMISSION, "the connection has to go");
    end();
    begin();
    says("+OK\r\n" CONFIRMED OLD NOPERM);
    is_heard(REQUESTS_UNHEARD, "the pattern is denied");
    ok(!fault.is_found && ready == 1 && odd == 0, "all else goes on");
    subscription_requests(&subscription, REQUESTS_COUNTED);
    (void)told();
    says(IN C);
    came("c", "the channel is not");
    subscription_requests(&subscription, REQUESTS_BY_PATTERN);
    is_str(told(), PSUBSCRIBE UNSUBSCRIBE, "it is left all the same");
    says(NOPERM OUT);
    is_heard(REQUESTS_UNHEARD, "nothing is heard then");
    is_int(says("*3\r\n" BULK(11, "unsubscribe") NAME ":4\r\n"), -1, "nobody asked for that");
    end();
    begin();
    is_int(says("+OK\r\n" NOPERM), -1, "what must be had is denied");
    ok(fault.kind == REDIS_FAULT_PERMISSION && ready == 0, "a fault");
    end();
}

/* The connection that was lost is ended before the next is counted. */
static void test_former(void)
{
    static char host[] = "h";

    conf_redis = (struct conf_redis){.host = host};
    begin_requests();
    connection_end();
    is_str(subscription.former.id, "7", "which connection it was");
    connection_begin();
    ok(strncmp(told(),
               "*6\r\n" BULK(6, "CLIENT") BULK(4, "KILL") BULK(2, "ID") BULK(1, "7") BULK(4, "ADDR")
                   BULK(11, "127.0.0.1:4") INFO,
               80) == 0,
       "it is ended first");
    says(NOPERM NOPERM CONFIRMED);
    ok(ready == 2 && odd == 0 && !fault.is_found, "whether that is allowed or not");
    connection_end();
    is_str(subscription.former.id, "7", "of one whose number is not known nothing is known");
    subscription_clear(&subscription);
    conf_redis = (struct conf_redis){.path = (char[]){"/p"}};
    begin();
    ok(strstr(told(), "CLIENT") == NULL, "by a Unix path all have one address");
    end();
    conf_redis = (struct conf_redis){0};
    begin();
    says("+OK\r\n" CONFIRMED);
    is_int(odd, 0, "an old redis knows nothing of it");
    says("$1\r\nx\r\n");
    is_int(odd, 1, "a text that nobody asked for is odd");
    end();
}

/* --- what daemons tell each other --------------------------------------------- */

#define PEER_NAME    BULK(12, "k-peer#/axr#")
#define PEER_SUB     "*2\r\n" BULK(9, "SUBSCRIBE") PEER_NAME
#define PEER_IN      "*3\r\n" BULK(9, "subscribe") PEER_NAME ":6\r\n"
#define PEER         "*3\r\n" BULK(7, "message") PEER_NAME BULK(1, "x")
#define MYID         "*2\r\n" BULK(7, "CLUSTER") BULK(4, "MYID")
#define NO_CLUSTER   "-ERR This instance has cluster support disabled\r\n"
#define ECHO_COMMAND "*2\r\n" BULK(4, "PING") BULK(4, "echo")
#define ECHO_PONG    "*2\r\n" BULK(4, "pong") BULK(4, "echo")
#define DOWN         "$29\r\nid=7 addr=127.0.0.1:4 laddr=x\r\n"

#define KILLED ":0\r\n" /* the connection before it */

static int ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), n = strlen(end);

    return len >= n && strcmp(text + len - n, end) == 0;
}

static void test_peers_order(void)
{
    const char *text;

    begin();
    text = told();
    ok(strstr(text, "CLUSTER") == NULL && strstr(text, "peer") == NULL,
       "nothing of daemons is asked for, unless clients recover");
    end();
    recovery = 1;
    begin();
    text = told();
    ok(strstr(text, MYID) != NULL && strstr(text, MYID) < strstr(text, "SUBSCRIBE"),
       "which node it is comes before all topics");
    ok(ends_with(text, PSUBSCRIBE PEER_SUB), "the channel of daemons is the last of them");
    says(DOWN NO_CLUSTER CONFIRMED OLD PEER PIN PEER);
    ok(ready == 0 && peers == 0, "what comes on it before it is confirmed is not told");
    says(PEER_IN);
    is_int(ready, 1, "it is ready then");
    says(PEER MESSAGE PEER);
    ok(peers == 2 && messages == 3, "and what comes is");
    ok(odd == 0 && !fault.is_found, "nothing of that is odd");
    subscription_requests(&subscription, REQUESTS_COUNTED);
    says(PEER IN PEER POUT PEER);
    ok(peers == 5 && ready == 1, "whatever becomes of requests");
    connection_end();
    connection_begin();
    says(KILLED DOWN NO_CLUSTER PEER CONFIRMED PEER);
    ok(peers == 5 && ready == 1, "another connection begins anew");
    end();
    recovery = 0;
}

static void test_peers_denied(void)
{
    recovery = 1;
    begin();
    says(DOWN NOPERM CONFIRMED OLD PIN);
    is_int(ready, 0, "all but one have an answer");
    says(NOPERM);
    ok(ready == 1 && !fault.is_found && odd == 0, "that it is denied is one, too");
    ok(topics_withheld(subscription_topics(&subscription)) & 1U << TOPIC_PEER, "it is known");
    says(PEER MESSAGE);
    ok(peers == 0 && messages == 1, "nothing is told of what comes nevertheless");
    end();
    begin();
    says(DOWN NO_CLUSTER CONFIRMED NOPERM NOPERM PEER_IN PEER);
    ok(ready == 1 && peers == 1, "others may be denied before it");
    end();
    begin();
    says(DOWN NO_CLUSTER CONFIRMED OLD PIN "-ERR no\r\n");
    ok(ready == 1 && odd == 1, "or it is refused otherwise");
    end();
    recovery = 0;
}

static void test_node(void)
{
    char long_id[128];

    recovery = 1;
    begin();
    says(DOWN "$3\r\nabc\r\n");
    is_str(subscription.node, "abc", "the node of a Cluster has an id");
    is_str(subscription.own.id, "7", "and the connection its own");
    connection_end();
    is_str(subscription.node, "", "which is of this connection");
    connection_begin();
    says(KILLED DOWN NO_CLUSTER);
    is_str(subscription.node, "", "elsewhere there is none");
    says(CONFIRMED PIN PEER_IN);
    ok(ready == 1 && odd == 0 && !fault.is_found, "and no harm in that");
    connection_end();
    connection_begin();
    snprintf(long_id, sizeof(long_id), KILLED DOWN "$65\r\n%065d\r\n", 0);
    says(long_id);
    is_str(subscription.node, "", "one that is too long is none");
    connection_end();
    connection_begin();
    is_int(says(KILLED DOWN "-LOADING no\r\n"), -1, "a server that is not there yet is a fault");
    end();
    recovery = 0;
}

/* Beside what was there before. */
static void test_echo(void)
{
    begin();
    says(CONFIRMED);
    (void)told();
    ok(subscription_echo(&subscription) == 0 && subscription_sync(&subscription) == 0 &&
           subscription_echo(&subscription) == 0,
       "two, and the other one between them");
    is_str(told(), ECHO_COMMAND "*2\r\n" BULK(4, "PING") BULK(4, "sync") ECHO_COMMAND,
           "are asked for");
    ok(says(ECHO_PONG) == 0 && echoed == 0 && synced == 0, "the first is answered");
    ok(says(PONG) == 0 && echoed == 0 && synced == 1, "the other one is told");
    ok(says(ECHO_PONG) == 0 && echoed == 1, "the last is told");
    ok(says(ECHO_PONG) == 0 && echoed == 1, "and one that nobody asked for is not");
    (void)subscription_echo(&subscription);
    connection_end();
    connection_begin();
    ok(says(CONFIRMED ECHO_PONG) == 0 && echoed == 1, "nor one on another connection");
    is_int(odd, 0, "nothing was odd in that");
    end();
}

static void test_errors_in_order(void)
{
    begin_requests();
    is_int(subscription_ping(&subscription), 0, "a sign of life is asked for");
    subscription_requests(&subscription, REQUESTS_COUNTED);
    says("-ERR no\r\n");
    is_int(odd, 1, "an error is the answer to what was asked first");
    says("*2\r\n" BULK(4, "pong") BULK(0, "") NOPERM);
    is_heard(REQUESTS_PATTERN, "and another to what came behind");
    for (int i = 0; i < 100; i++)
        (void)subscription_ping(&subscription);
    says("*2\r\n" BULK(4, "pong") BULK(0, ""));
    ok(!fault.is_found, "a hundred without an answer do no harm");
    end();
}

static unsigned seed = 20240229;

static unsigned draw(unsigned bound)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % bound;
}

/* Whatever redis says, in whatever order. */
static void test_anything(void)
{
    static const char *const answers[] = {
        IN,       PIN,         OUT,       POUT,          C,
        P,        NOPERM,      "+OK\r\n", ":1\r\n",      MESSAGE,
        PONG,     CONFIRMED,   OLD,       "$1\r\nx\r\n", "-ERR no\r\n",
        "*0\r\n", "+PONG\r\n", PEER,      PEER_IN,       ECHO_PONG,
    };
    int faults = 0, requests = 0;

    for (int round = 0; round < 400; round++) {
        recovery = round % 2;
        begin();
        for (int i = 0; i < 60; i++) {
            if (draw(8) == 0)
                subscription_requests(&subscription, (enum requests_mode)draw(3));
            if (draw(8) == 0)
                (void)subscription_ping(&subscription);
            if (draw(8) == 0)
                (void)subscription_echo(&subscription);
            if (says(answers[draw(sizeof(answers) / sizeof(*answers))]) < 0) {
                faults++;
                break;
            }
            requests += (int)strlen(requests_text);
            requests_text[0] = '\0';
        }
        end();
    }
    recovery = 0;
    ok(faults > 10 && requests > 10, "%d faults, %d requests of anything", faults, requests);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    base = event_base_new();
    test_subscribes();
    test_oks();
    test_faults();
    test_sync();
    test_pause();
    test_publishes();
    test_counted();
    test_turns();
    test_denied();
    test_former();
    test_peers_order();
    test_peers_denied();
    test_node();
    test_echo();
    test_errors_in_order();
    test_anything();
    event_base_free(base);
    return tap_done();
}
