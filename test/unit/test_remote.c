/* A client as text, with sockets that are made up. */
#include "codec/json.h"
#include "conf.h"
#include "engine/engine.h"
#include "nomem.h"
#include "tap.h"
#include "worker/client.h"
#include "worker/remote.h"
#include "worker/room.h"

#include <arpa/inet.h>

static struct socket one, old;
static struct conf conf = {.path = (char[]){"/notifications/"}};
static struct rooms rooms;

size_t socket_sid(const struct socket *socket, char dst[SIO_SID_MAX])
{
    const char *sid = socket == &old ? "/a\"xr#abc" : "qPvMSxHJU4aFnAAAAAAB";

    memcpy(dst, sid, strlen(sid));
    return strlen(sid);
}

enum eio_version socket_version(const struct socket *socket)
{
    return socket == &old ? EIO3 : EIO4;
}

static char *text_of(struct buf *out)
{
    buf_putc(out, '\0');
    return (char *)out->data;
}

static void join(struct client *client, struct slice name)
{
    if (room_join(&rooms, &client->member, name) != 1)
        abort();
}

static void of(struct client *client, const char *ip, const char *uid)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = 1};

    inet_pton(AF_INET, ip, &peer.sin_addr);
    address_set(&client->address, (struct sockaddr *)&peer);
    client->uid = (char *)(uintptr_t)uid;
    client->uid_len = (uint8_t)strlen(uid);
}

static void test_parts(void)
{
    struct remote_now now = {.ms = 5000700, .wall_ms = 1795387400471};
    struct client client = {.socket = &one, .since_ds = 50000};
    struct client other = {.socket = &old, .polled = 1, .since_ds = UINT32_MAX - 5};
    struct buf out = {0};

    of(&client, "127.0.0.1", "7f3a");
    join(&client, SLICE("allusers"));
    join(&client, SLICE("7f3a"));
    join(&client, SLICE("\xff"
                        "42"));
    join(&client, SLICE("42"));
    remote_head(&out, &client);
    is_str(text_of(&out), "{\"id\":\"qPvMSxHJU4aFnAAAAAAB\",\"handshake\":", "the head");
    buf_reset(&out);
    remote_handshake(&out, &client, &conf, &now);
    is_str(text_of(&out),
           "{\"headers\":{},\"time\":\"Sun Nov 22 2026 22:43:19 GMT+0000 (Coordinated Universal "
           "Time)\",\"address\":\"127.0.0.1\",\"xdomain\":false,\"secure\":false,"
           "\"issued\":1795387399771,\"url\":\"/notifications/?EIO=4&transport=websocket\","
           "\"query\":{\"EIO\":\"4\",\"transport\":\"websocket\"},\"auth\":{}}",
           "the handshake, 0.7 s ago");
    buf_reset(&out);
    remote_tail(&out, &client);
    is_str(text_of(&out),
           ",\"rooms\":[\"qPvMSxHJU4aFnAAAAAAB\",\"allusers\",\"7f3a\",42,\"42\"],"
           "\"data\":{\"uid\":\"7f3a\"}}",
           "its rooms, of which one is a number");

    one.sidless = 1;
    buf_reset(&out);
    remote_tail(&out, &client);
    is_str(text_of(&out),
           ",\"rooms\":[\"allusers\",\"7f3a\",42,\"42\"],\"data\":{\"uid\":\"7f3a\"}}",
           "but for that of its id");
    one.sidless = 0;

    of(&other, "192.0.2.7", "a\"b\n");
    buf_reset(&out);
    now.ms = 400; /* since 1 s, though the count has begun anew */
    now.wall_ms = 86400000;
    remote_head(&out, &other);
    remote_handshake(&out, &other, &conf, &now);
    remote_tail(&out, &other);
    is_str(text_of(&out),
           "{\"id\":\"/a\\\"xr#abc\",\"handshake\":{\"headers\":{},\"time\":\"Thu Jan 01 1970 "
           "23:59:59 GMT+0000 (Coordinated Universal Time)\",\"address\":\"192.0.2.7\","
           "\"xdomain\":false,\"secure\":false,\"issued\":86399000,"
           "\"url\":\"/notifications/?EIO=3&transport=polling\","
           "\"query\":{\"EIO\":\"3\",\"transport\":\"polling\"},\"auth\":{}},"
           "\"rooms\":[\"/a\\\"xr#abc\"],\"data\":{\"uid\":\"a\\\"b\\n\"}}",
           "an old one, over polling, that is in no room");
    room_leave_all(&rooms, &client.member);
    buf_free(&out);
}

static void test_large(void)
{
    struct client client = {.socket = &one};
    char name[ROOM_NAME_MAX];
    struct buf out = {0};

    of(&client, "127.0.0.1", "u");
    memset(name, '\1', sizeof(name)); /* which takes six bytes */
    for (int i = 0; i < 400; i++) {
        snprintf(name, sizeof(name), "%d", i);
        join(&client, (struct slice){name, sizeof(name)});
    }
    buf_puts(&out, "{\"x\":0");
    remote_tail(&out, &client);
    ok(out.len > REMOTE_ROOMS_BYTES && out.len < REMOTE_ROOMS_BYTES + 8192,
       "%zu bytes of rooms are enough", out.len);
    is_int(json_span((char *)out.data, out.len), (long)out.len, "it is whole");
    buf_free(&out);
    for (int i = 0; i < 3; i++) {
        nomem = 1;
        if (i == 0)
            remote_head(&out, &client);
        else if (i == 1)
            remote_handshake(&out, &client, &conf, &(struct remote_now){0, 0});
        else
            remote_tail(&out, &client);
        nomem = 0;
        is_int(out.failed, 1, "no memory is said");
        buf_free(&out);
    }
    room_leave_all(&rooms, &client.member);
}

int main(void)
{
    rooms_init(&rooms);
    test_parts();
    test_large();
    rooms_clear(&rooms);
    return tap_done();
}
