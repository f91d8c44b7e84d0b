/* Commands as the bytes that redis would read. */
#include "master/redis_commands.h"

#include "tap.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#define BULK(n, text) "$" #n "\r\n" text "\r\n"

static struct event_base *base;
static struct bufferevent *bev;
static struct redis_fault fault;
static int server; /* the other end */

/* What has been put, which is gone then. */
static void is_put(const char *want, const char *name)
{
    static char text[4096];
    ssize_t n;

    event_base_loop(base, EVLOOP_NONBLOCK);
    n = read(server, text, sizeof(text));
    is_mem(text, n > 0 ? (size_t)n : 0, want, strlen(want), name);
}

static void test_select(void)
{
    is_int(redis_commands_select(bev, 0), 0, "the first database is there");
    is_put("", "nothing is said");
    is_int(redis_commands_select(bev, 3), 1, "another one is asked for");
    is_put("*2\r\n" BULK(6, "SELECT") BULK(1, "3"), "by its number");
}

static void test_subscribe(void)
{
    struct topics topics = {.confirmed = 0};

    topics_init(&topics, "k", "/axr");
    is_int(redis_commands_subscribe(bev, &topics, TOPIC_PATTERN, 1), 0, "a pattern");
    is_put("*2\r\n" BULK(10, "PSUBSCRIBE") BULK(8, "k#/axr#*"), "is one");
    is_int(redis_commands_subscribe(bev, &topics, TOPIC_EMITTER, 2), 0, "two channels");
    is_put("*3\r\n" BULK(9, "SUBSCRIBE") BULK(9, "k#emitter") BULK(6, "k#/axr"), "at a time");
    is_int(redis_commands_unsubscribe(bev, &topics, TOPIC_REQUEST), 0, "the end of a channel");
    is_put("*2\r\n" BULK(11, "UNSUBSCRIBE") BULK(15, "k-request#/axr#"), "by its name");
    is_int(redis_commands_unsubscribe(bev, &topics, TOPIC_REQUEST_PATTERN), 0, "and of a pattern");
    is_put("*2\r\n" BULK(12, "PUNSUBSCRIBE") BULK(15, "k-request#/axr#"), "likewise");
    topics_clear(&topics);
}

/* Which connection this is, and the end of one. */
static void test_clients(void)
{
    static const struct {
        const char *info, *id, *addr;
    } cases[] = {
        {"id=17 addr=127.0.0.1:57382 laddr=127.0.0.1:6379 fd=8 name= age=0\n", "17",
         "127.0.0.1:57382"},
        {"laddr=10.0.0.1:6379 id=9223372036854775807 addr=[fd00::1]:4711", "9223372036854775807",
         "[fd00::1]:4711"},
        {"id=17 laddr=127.0.0.1:6379", "", ""},
        {"id=x7 addr=127.0.0.1:1", "", "127.0.0.1:1"},
        {"addr=127.0.0.1:1", "", "127.0.0.1:1"},
        {"id= addr= name=", "", ""},
        {"id=1234567890123456789012345 addr=h:1", "", "h:1"},
        {"", "", ""},
    };
    struct redis_client client;

    is_int(redis_commands_info(bev), 0, "which connection is this?");
    is_put("*2\r\n" BULK(6, "CLIENT") BULK(4, "INFO"), "asked");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        redis_commands_client(&client, slice_str(cases[i].info));
        is_str(client.id, cases[i].id, cases[i].info);
        is_str(client.addr, cases[i].addr, "and where from");
    }
    client = (struct redis_client){"17", "127.0.0.1:57382"};
    is_int(redis_commands_kill(bev, &client), 0, "the end of one");
    is_put("*6\r\n" BULK(6, "CLIENT") BULK(4, "KILL") BULK(2, "ID") BULK(2, "17") /* */
           BULK(4, "ADDR") BULK(15, "127.0.0.1:57382"),
           "by both");
}

static void test_sync(void)
{
    is_int(redis_commands_sync(bev), 0, "a sync");
    is_put("*2\r\n" BULK(4, "PING") BULK(4, "sync"), "is a PING that comes back");
    is_int(redis_commands_echo(bev), 0, "an echo");
    is_put("*2\r\n" BULK(4, "PING") BULK(4, "echo"), "is another such");
    is_int(redis_commands_ping(bev), 0, "another PING");
    is_put("*1\r\n" BULK(4, "PING"), "is none");
}

static void test_node(void)
{
    is_int(redis_commands_node(bev), 0, "which node it is");
    is_put("*2\r\n" BULK(7, "CLUSTER") BULK(4, "MYID"), "is asked like that");
}

static void test_publish(void)
{
    struct buf out = {0};

    is_int(redis_commands_publish(&out, SLICE("k#\0x"), SLICE("a\r\nb")), 0, "a message");
    is_mem(out.data, out.len, "*3\r\n" BULK(7, "PUBLISH") "$4\r\nk#\0x\r\n" BULK(4, "a\r\nb"), 37,
           "as it is, whatever is in it");
    buf_free(&out);
    is_int(redis_commands_publish_head(bev, SLICE("k#/x"), 4), 0, "all but the payload");
    is_int(bufferevent_write(bev, "abcd\r\n", 6), 0, "and that");
    is_put("*3\r\n" BULK(7, "PUBLISH") BULK(4, "k#/x") BULK(4, "abcd"), "make a whole");
}

/* AUTH goes to the socket itself. */
static const char *auth(const char *user, const char *password, int *oks)
{
    static char text[256];
    struct conf_redis conf = {.username = (char *)(uintptr_t)user,
                              .password = (char *)(uintptr_t)password};
    ssize_t n;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
        abort();
    *oks = redis_commands_auth(&conf, &(struct redis_wire){ends[0], NULL}, &fault);
    n = read(ends[1], text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    close(ends[1]);
    return text;
}

static void test_auth(void)
{
    struct conf_redis conf = {.password = (char[]){"sesame"}};
    int oks, ends[2];

    is_str(auth(NULL, NULL, &oks), "", "without a password nothing is said");
    is_int(oks, 0, "and nothing is waited for");
    is_str(auth(NULL, "sesame", &oks), "*2\r\n" BULK(4, "AUTH") BULK(6, "sesame"), "a password");
    is_int(oks, 1, "which is to be confirmed");
    is_str(auth("me", NULL, &oks), "*3\r\n" BULK(4, "AUTH") BULK(2, "me") BULK(0, ""),
           "a user without one");
    is_int(oks, 1, "which is to be confirmed, too");
    is_str(auth("me", "sesame", &oks), "*3\r\n" BULK(4, "AUTH") BULK(2, "me") BULK(6, "sesame"),
           "and a user");
    is_int(oks, 1, "likewise");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
        abort();
    close(ends[1]);
    is_int(redis_commands_auth(&conf, &(struct redis_wire){ends[0], NULL}, &fault), 1,
           "who hangs up may have said why");
    ok(!fault.is_found, "that is for whoever reads");
    close(ends[0]);
}

int main(void)
{
    int ends[2];

    signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
        return 1;
    bev = bufferevent_socket_new(base, ends[0], BEV_OPT_CLOSE_ON_FREE);
    server = ends[1];
    if (bev == NULL || bufferevent_enable(bev, EV_WRITE) < 0)
        return 1;
    test_select();
    test_subscribe();
    test_clients();
    test_sync();
    test_node();
    test_publish();
    test_auth();
    close(server);
    bufferevent_free(bev);
    event_base_free(base);
    return tap_done();
}
