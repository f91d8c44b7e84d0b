#include "master/redis_commands.h"

#include <event2/bufferevent.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Straight to the socket, which is new and takes it whole: in a buffer of the
 * bufferevent the password would lie about in memory, in that of children too. */
int redis_commands_auth(const struct conf_redis *conf, int fd, struct redis_fault *fault)
{
    const char *argv[] = {"AUTH", conf->password, NULL};
    int argc = 2, len;
    char *command;
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
        return redis_fault_note(fault, REDIS_FAULT_MEMORY, "out of memory");
    n = send(fd, command, (size_t)len, MSG_NOSIGNAL);
    explicit_bzero(command, (size_t)len);
    redisFreeCommand(command);
    /* Where it fails redis may have said why already: reading will tell. */
    return n == len || n < 0 ? 1 : redis_fault_note(fault, REDIS_FAULT_CLOSED, "AUTH sent in part");
}

static int command_put(struct bufferevent *bev, int argc, const char **argv, const size_t *lens)
{
    char *command;
    int len = redisFormatCommandArgv(&command, argc, argv, lens);
    int rc;

    if (len < 0)
        return -1;
    rc = bufferevent_write(bev, command, (size_t)len);
    redisFreeCommand(command);
    return rc;
}

int redis_commands_select(struct bufferevent *bev, int database)
{
    char number[16];
    const char *argv[] = {"SELECT", number};

    if (database == 0)
        return 0;
    (void)snprintf(number, sizeof(number), "%d", database);
    return command_put(bev, 2, argv, NULL) < 0 ? -1 : 1;
}

/* Subscribes to n topics, which are neighbours and either all patterns or none. */
static int topics_put(struct bufferevent *bev, const struct topics *topics, enum topic first, int n)
{
    const char *argv[1 + TOPICS] = {topics_is_pattern(first) ? "PSUBSCRIBE" : "SUBSCRIBE"};
    size_t lens[1 + TOPICS] = {strlen(argv[0])};

    for (int i = 0; i < n; i++) {
        struct slice topic = topics_at(topics, (enum topic)(first + i));
        argv[1 + i] = topic.ptr;
        lens[1 + i] = topic.len;
    }
    return command_put(bev, 1 + n, argv, lens);
}

int redis_commands_subscribe(struct bufferevent *bev, const struct topics *topics)
{
    if (topics_put(bev, topics, TOPIC_PATTERN, 1) < 0 ||
        topics_put(bev, topics, TOPIC_EMITTER, 2) < 0 || topics_put(bev, topics, TOPIC_OLD, 1) < 0)
        return -1;
    return topics_at(topics, TOPIC_BARE).len > 0 ? topics_put(bev, topics, TOPIC_BARE, 1) : 0;
}

int redis_commands_sync(struct bufferevent *bev)
{
    const char *argv[] = {"PING", REDIS_SYNC};

    return command_put(bev, 2, argv, NULL);
}

int redis_commands_publish(struct buf *out, struct slice channel, struct slice payload)
{
    const char *argv[] = {"PUBLISH", channel.ptr, payload.ptr};
    const size_t lens[] = {strlen(argv[0]), channel.len, payload.len};
    char *command;
    int len = redisFormatCommandArgv(&command, 3, argv, lens);
    int rc;

    if (len < 0)
        return -1;
    rc = buf_put(out, command, (size_t)len);
    redisFreeCommand(command);
    return rc;
}
