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
    is_int(redis_commands_subscribe(bev, &topics), 0, "a namespace");
    is_put("*2\r\n" BULK(10, "PSUBSCRIBE") BULK(8, "k#/axr#*")                  /* */
           "*3\r\n" BULK(9, "SUBSCRIBE") BULK(9, "k#emitter") BULK(6, "k#/axr") /* */
           "*2\r\n" BULK(10, "PSUBSCRIBE") BULK(13, "k#[^/]*/axr#*"),
           "what is needed, and at the end what an ACL may withhold");
    topics_clear(&topics);
    topics_init(&topics, "k", "/");
    is_int(redis_commands_subscribe(bev, &topics), 0, "the default namespace");
    is_put("*2\r\n" BULK(10, "PSUBSCRIBE") BULK(5, "k#/#*")                  /* */
           "*3\r\n" BULK(9, "SUBSCRIBE") BULK(9, "k#emitter") BULK(3, "k#/") /* */
           "*2\r\n" BULK(10, "PSUBSCRIBE") BULK(8, "k#[^/]*#")               /* */
           "*2\r\n" BULK(9, "SUBSCRIBE") BULK(2, "k#"),
           "has one channel more");
    topics_clear(&topics);
}

static void test_sync(void)
{
    is_int(redis_commands_sync(bev), 0, "a sync");
    is_put("*2\r\n" BULK(4, "PING") BULK(4, "sync"), "is a PING that comes back");
}

static void test_publish(void)
{
    struct buf out = {0};

    is_int(redis_commands_publish(&out, SLICE("k#\0x"), SLICE("a\r\nb")), 0, "a message");
    is_mem(out.data, out.len, "*3\r\n" BULK(7, "PUBLISH") "$4\r\nk#\0x\r\n" BULK(4, "a\r\nb"), 37,
           "as it is, whatever is in it");
    buf_free(&out);
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
    *oks = redis_commands_auth(&conf, ends[0], &fault);
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
    is_str(auth("me", "sesame", &oks), "*3\r\n" BULK(4, "AUTH") BULK(2, "me") BULK(6, "sesame"),
           "and a user");
    is_int(oks, 1, "likewise");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0)
        abort();
    close(ends[1]);
    is_int(redis_commands_auth(&conf, ends[0], &fault), 1, "who hangs up may have said why");
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
    test_sync();
    test_publish();
    test_auth();
    close(server);
    bufferevent_free(bev);
    event_base_free(base);
    return tap_done();
}
