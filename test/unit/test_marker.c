/* Against a real redis-server (skipped where there is none). */
#include "master/marker.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/emit.h"

#include "tap.h"

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 90000

static struct event_base *base;
static char dir[64], path[96];
static pid_t server;

static redisContext *server_start(void)
{
    redisContext *context = NULL;

    server = fork();
    if (server == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL)
            _exit(126);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path, "--save", "",
               "--dir", dir, (char *)NULL);
        _exit(127);
    }
    for (uint64_t end = clock_ms() + DEADLINE_MS; clock_ms() < end;) {
        context = redisConnectUnix(path);
        if (context == NULL || !context->err)
            return context;
        redisFree(context);
        usleep(10000);
    }
    return NULL;
}

/* The next message on the pattern, or NULL. */
static redisReply *next(redisContext *context)
{
    const struct timeval soon = {0, 10000}, tick = {0, 1000};
    void *reply = NULL;

    redisSetTimeout(context, soon);
    for (uint64_t end = clock_ms() + DEADLINE_MS; clock_ms() < end;) {
        event_base_loopexit(base, &tick);
        event_base_loop(base, EVLOOP_ONCE);
        if (redisGetReply(context, &reply) == REDIS_OK)
            return reply;
        context->err = 0; /* nothing came */
    }
    return NULL;
}

static void test_published(redisContext *context)
{
    static char key[] = "k", nsp[] = "/axr", host[] = "localhost";
    static const struct emit_limits limits = {4194304, 10};
    struct conf conf = {.key = key, .nsp = nsp, .message_bytes = 4194304};
    struct marker marker = {0};
    struct broadcast bc = {0};
    redisReply *reply;

    conf.redis.host = host;
    conf.redis.path = path;
    freeReplyObject(redisCommand(context, "PSUBSCRIBE k#/axr#*"));
    ok(!marker_is_set(&marker), "there is none");
    ok(!marker_is(&marker, SLICE("")), "and nothing is it");
    marker_publish(&marker, base, &conf);
    ok(marker_is_set(&marker), "then there is");
    reply = next(context);
    if (ok(reply && reply->elements == 4, "it comes to who hears the namespace")) {
        struct slice channel = {reply->element[2]->str, reply->element[2]->len};
        struct slice payload = {reply->element[3]->str, reply->element[3]->len};
        ok(marker_is(&marker, channel), "and is known by its channel");
        ok(!marker_is(&marker, SLICE("k#/axr#")), "as no other is");
        is_int(emit_decode(&bc, channel, payload, slice_str(key), slice_str(nsp), &limits),
               EMIT_OTHER_NAMESPACE, "it is well formed, and of another namespace");
        is_int(emit_decode(&bc, channel, payload, slice_str(key), SLICE("/"), &limits),
               EMIT_OTHER_NAMESPACE, "than any");
        marker_end(&marker);
        ok(marker_is(&marker, channel), "it may come later");
        marker_clear(&marker);
        ok(!marker_is(&marker, channel), "until it is forgotten");
    }
    freeReplyObject(reply);
    broadcast_clear(&bc);
    marker_clear(&marker);
}

int main(void)
{
    redisContext *context;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    if (system("command -v redis-server >/dev/null") != 0) {
        ok(1, "real redis # SKIP no redis-server");
        return tap_done();
    }
    strcpy(dir, "/tmp/test_marker.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(path, sizeof(path), "%s/redis.sock", dir);
    log_set_level(LOG_LEVEL_ERROR);
    base = event_base_new();
    context = server_start();
    if (ok(context != NULL, "redis runs"))
        test_published(context);
    if (context != NULL)
        redisFree(context);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    event_base_loop(base, EVLOOP_NONBLOCK);
    event_base_free(base);
    unlink(path);
    rmdir(dir);
    return tap_done();
}
