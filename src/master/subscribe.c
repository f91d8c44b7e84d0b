#include "master/redis_state.h"

#include <event2/bufferevent.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* --- topics ------------------------------------------------------------------- */

/* What the pattern would take for a wild card is escaped, and no more than that: the
 * patterns of an ACL have to be spelled the same. */
static void glob_escape(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("*?[\\", *text) != NULL)
            (void)buf_putc(out, '\\');
        (void)buf_putc(out, (uint8_t)*text);
    }
}

/* redis sends a message once for each subscription that matches its channel: no
 * channel may match two of these. */
int subscribe_init(struct redis *redis, const char *key, const char *nsp)
{
    struct buf *pattern = &redis->topics[TOPIC_PATTERN], *old = &redis->topics[TOPIC_OLD];
    int failed = 0;

    glob_escape(pattern, key);
    (void)buf_putc(pattern, '#');
    glob_escape(pattern, nsp);
    (void)buf_puts(pattern, "#*");
    (void)buf_printf(&redis->topics[TOPIC_EMITTER], "%s#emitter", key);
    (void)buf_printf(&redis->topics[TOPIC_NSP], "%s#%s", key, nsp);
    glob_escape(old, key);
    (void)buf_puts(old, "#[^/]*");
    if (strcmp(nsp, "/") == 0) {
        (void)buf_putc(old, '#');
        (void)buf_printf(&redis->topics[TOPIC_BARE], "%s#", key);
    } else {
        glob_escape(old, nsp);
        (void)buf_puts(old, "#*");
    }
    for (int i = 0; i < TOPICS; i++)
        failed |= redis->topics[i].failed;
    return failed ? -1 : 0;
}

void subscribe_clear(struct redis *redis)
{
    for (int i = 0; i < TOPICS; i++)
        buf_free(&redis->topics[i]);
    buf_free(&redis->say);
}

struct slice subscribe_topic(const struct redis *redis, int i)
{
    return (struct slice){(const char *)redis->topics[i].data, redis->topics[i].len};
}

/* --- commands ----------------------------------------------------------------- */

/* Straight to the socket, which is new and takes it whole: in a buffer of the
 * bufferevent the password would lie about in memory, in that of children too. */
int subscribe_auth(struct redis *redis, int fd)
{
    const struct conf_redis *conf = &redis->server;
    const char *argv[] = {"AUTH", conf->password, NULL};
    int argc = 2;
    char *command;
    int len;
    ssize_t n;

    if (conf->password == NULL)
        return 0;
    if (conf->username != NULL) {
        argv[1] = conf->username;
        argv[2] = conf->password;
        argc = 3;
    }

    len = redisFormatCommandArgv(&command, argc, argv, NULL);
    if (len < 0)
        return redis_found(redis, FAIL_MEMORY, "out of memory");
    n = send(fd, command, (size_t)len, MSG_NOSIGNAL);
    explicit_bzero(command, (size_t)len);
    redisFreeCommand(command);
    redis->oks++;
    /* Where it fails redis may have said why already: reading will tell. */
    return n == len || n < 0 ? 0 : redis_found(redis, FAIL_CLOSED, "AUTH sent in part");
}

static int command_put(struct redis *redis, int argc, const char **argv, const size_t *lens)
{
    char *command;
    int len = redisFormatCommandArgv(&command, argc, argv, lens);
    int rc;

    if (len < 0)
        return -1;
    rc = bufferevent_write(redis->bev, command, (size_t)len);
    redisFreeCommand(command);
    return rc;
}

static int select_put(struct redis *redis)
{
    char number[16];
    const char *argv[] = {"SELECT", number};

    if (redis->server.database == 0)
        return 0;
    snprintf(number, sizeof(number), "%d", redis->server.database);
    redis->oks++;
    return command_put(redis, 2, argv, NULL);
}

/* Subscribes to n topics, which are neighbours and either all patterns or none. */
static int topics_put(struct redis *redis, const char *command, int first, int n)
{
    const char *argv[1 + TOPICS] = {command};
    size_t lens[1 + TOPICS] = {strlen(command)};

    for (int i = 0; i < n; i++) {
        argv[1 + i] = (const char *)redis->topics[first + i].data;
        lens[1 + i] = redis->topics[first + i].len;
    }
    return command_put(redis, 1 + n, argv, lens);
}

int subscribe_say(struct redis *redis, struct slice channel, struct slice payload)
{
    const char *argv[] = {"PUBLISH", channel.ptr, payload.ptr};
    const size_t lens[] = {strlen(argv[0]), channel.len, payload.len};
    char *command;
    int len = redisFormatCommandArgv(&command, 3, argv, lens);
    int rc;

    if (len < 0)
        return -1;
    rc = buf_put(&redis->say, command, (size_t)len);
    redisFreeCommand(command);
    return rc;
}

int subscribe_put(struct redis *redis)
{
    if (redis->say.len > 0)
        return bufferevent_write(redis->bev, redis->say.data, redis->say.len);
    if (select_put(redis) < 0 || topics_put(redis, "PSUBSCRIBE", TOPIC_PATTERN, 1) < 0 ||
        topics_put(redis, "SUBSCRIBE", TOPIC_EMITTER, 2) < 0 ||
        topics_put(redis, "PSUBSCRIBE", TOPIC_OLD, 1) < 0)
        return -1;
    return redis->topics[TOPIC_BARE].len > 0 ? topics_put(redis, "SUBSCRIBE", TOPIC_BARE, 1) : 0;
}

int subscribe_sync(struct redis *redis)
{
    const char *argv[] = {"PING", SYNC};

    if (command_put(redis, 2, argv, NULL) < 0)
        return -1;
    redis->syncs++;
    return 0;
}
