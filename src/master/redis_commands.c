#include "master/redis_commands.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

/* At once, for the socket is new and takes it whole: in a buffer of the bufferevent the
 * password would lie about in memory, in that of children too. */
int redis_commands_auth(const struct conf_redis *conf, const struct redis_wire *wire,
                        struct redis_fault *fault)
{
    const char *password = conf->password != NULL ? conf->password : ""; /* of a user: nopass */
    const char *argv[] = {"AUTH", password, NULL};
    int argc = 2, len;
    char *command;
    ssize_t n;

    if (conf->password == NULL && conf->username == NULL)
        return 0;
    if (conf->username != NULL) {
        argv[1] = conf->username;
        argv[2] = password;
        argc = 3;
    }
    len = redisFormatCommandArgv(&command, argc, argv, NULL);
    if (len < 0)
        return redis_fault_note(fault, REDIS_FAULT_MEMORY, "out of memory");
    n = redis_wire_send(wire, command, (size_t)len);
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

int redis_commands_subscribe(struct bufferevent *bev, const struct topics *topics, enum topic first,
                             int n)
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

int redis_commands_unsubscribe(struct bufferevent *bev, const struct topics *topics,
                               enum topic topic)
{
    struct slice name = topics_at(topics, topic);
    const char *argv[] = {topics_is_pattern(topic) ? "PUNSUBSCRIBE" : "UNSUBSCRIBE", name.ptr};
    const size_t lens[] = {strlen(argv[0]), name.len};

    return command_put(bev, 2, argv, lens);
}

int redis_commands_info(struct bufferevent *bev)
{
    const char *argv[] = {"CLIENT", "INFO"};

    return command_put(bev, 2, argv, NULL);
}

int redis_commands_kill(struct bufferevent *bev, const struct redis_client *client)
{
    const char *argv[] = {"CLIENT", "KILL", "ID", client->id, "ADDR", client->addr};

    return command_put(bev, 6, argv, NULL);
}

/* Takes the value of name=value out of words. */
static void value_of(struct slice words, struct slice name, char *dst, size_t cap)
{
    const char *at = words.ptr, *end = words.ptr + words.len;

    dst[0] = '\0';
    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        size_t len = (size_t)((space != NULL ? space : end) - at);
        if (len > name.len && memcmp(at, name.ptr, name.len) == 0 && len - name.len < cap) {
            memcpy(dst, at + name.len, len - name.len);
            dst[len - name.len] = '\0';
            return;
        }
        at += len + 1;
    }
}

void redis_commands_client(struct redis_client *client, struct slice info)
{
    value_of(info, SLICE("id="), client->id, sizeof(client->id));
    value_of(info, SLICE("addr="), client->addr, sizeof(client->addr));
    if (client->addr[0] == '\0' || client->id[strspn(client->id, "0123456789")] != '\0')
        client->id[0] = '\0';
}

int redis_commands_ping(struct bufferevent *bev)
{
    const char *argv[] = {"PING"};

    return command_put(bev, 1, argv, NULL);
}

int redis_commands_sync(struct bufferevent *bev)
{
    const char *argv[] = {"PING", REDIS_SYNC};

    return command_put(bev, 2, argv, NULL);
}

int redis_commands_echo(struct bufferevent *bev)
{
    const char *argv[] = {"PING", REDIS_ECHO};

    return command_put(bev, 2, argv, NULL);
}

int redis_commands_node(struct bufferevent *bev)
{
    const char *argv[] = {"CLUSTER", "MYID"};

    return command_put(bev, 2, argv, NULL);
}

int redis_commands_role(struct bufferevent *bev)
{
    const char *argv[] = {"ROLE"};

    return command_put(bev, 1, argv, NULL);
}

int redis_commands_master(struct bufferevent *bev, const char *name)
{
    const char *place[] = {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", name};
    const char *all[] = {"SENTINEL", "MASTER", name};

    return command_put(bev, 3, place, NULL) < 0 ? -1 : command_put(bev, 3, all, NULL);
}

int redis_commands_hear(struct bufferevent *bev, const char *channel, int on)
{
    const char *argv[] = {on ? "SUBSCRIBE" : "UNSUBSCRIBE", channel};

    return command_put(bev, 2, argv, NULL);
}

int redis_commands_numsub(struct bufferevent *bev, const char *channel)
{
    const char *argv[] = {"PUBSUB", "NUMSUB", channel};

    return command_put(bev, 3, argv, NULL);
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

int redis_commands_publish_head(struct bufferevent *bev, struct slice channel, size_t len)
{
    struct evbuffer *out = bufferevent_get_output(bev);

    if (evbuffer_add_printf(out, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n", channel.len) < 0 ||
        evbuffer_add(out, channel.ptr, channel.len) < 0 ||
        evbuffer_add_printf(out, "\r\n$%zu\r\n", len) < 0)
        return -1;
    return 0;
}
