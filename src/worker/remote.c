#include "worker/remote.h"
#include "codec/json.h"
#include "codec/request.h"
#include "conf.h"
#include "engine/engine.h"
#include "worker/client.h"
#include "worker/room.h"

#include <string.h>
#include <time.h>

static void put_id(struct buf *out, const struct client *client)
{
    char sid[SIO_SID_MAX];

    json_put_string_lossy(out, sid, socket_sid(client->socket, sid));
}

void remote_head(struct buf *out, const struct client *client)
{
    buf_puts(out, "{\"id\":");
    put_id(out, client);
    buf_puts(out, ",\"handshake\":");
}

/* A Date's toString(), as where the zone is UTC. */
static void put_time(struct buf *out, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    char text[128] = "";
    struct tm tm;

    if (gmtime_r(&seconds, &tm) != NULL)
        (void)strftime(text, sizeof(text),
                       "%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)", &tm);
    json_put_string(out, text, strlen(text));
}

/* since_ds wraps. */
static int64_t since_ms(const struct client *client, const struct remote_now *now)
{
    uint32_t ago_ds = (uint32_t)(now->ms / 100) - client->since_ds;

    return now->wall_ms - (int64_t)ago_ds * 100;
}

static void put_url(struct buf *out, const struct conf *conf, int version, const char *transport)
{
    struct buf url = {0};

    buf_printf(&url, "%s?EIO=%d&transport=%s", conf->path, version, transport);
    json_put_string_lossy(out, (char *)url.data, url.len);
    out->failed |= url.failed;
    buf_free(&url);
}

void remote_handshake(struct buf *out, const struct client *client, const struct conf *conf,
                      const struct remote_now *now)
{
    const char *transport = client->polled ? "polling" : "websocket";
    int version = (int)socket_version(client->socket);
    int64_t at_ms = since_ms(client, now);
    char address[ADDRESS_TEXT_MAX];

    buf_puts(out, "{\"headers\":{},\"time\":");
    put_time(out, at_ms);
    buf_printf(out, ",\"address\":\"%s\",\"xdomain\":false,\"secure\":%s,\"issued\":%lld",
               address_ip_text(&client->address, address),
               client->socket->session.secure ? "true" : "false", (long long)at_ms);
    buf_puts(out, ",\"url\":");
    put_url(out, conf, version, transport);
    buf_printf(out, ",\"query\":{\"EIO\":\"%d\",\"transport\":\"%s\"},\"auth\":{}}", version,
               transport);
}

void remote_tail(struct buf *out, const struct client *client)
{
    size_t end = out->len + REMOTE_ROOMS_BYTES;

    buf_puts(out, ",\"rooms\":[");
    if (!client->socket->sidless)
        put_id(out, client);
    for (uint32_t i = 0; i < client->member.n && out->len < end; i++) {
        if (i > 0 || !client->socket->sidless)
            buf_putc(out, ',');
        request_put_room(out, room_name(room_at(&client->member, i)));
    }
    buf_puts(out, "],\"data\":{\"uid\":");
    json_put_string_lossy(out, client->uid, client->uid_len);
    buf_puts(out, "}}");
}
