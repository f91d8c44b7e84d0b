#include "worker/notice.h"
#include "base/address.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "worker/client.h"

#define NOTICE_LOG_MS 60000

int notice_due(struct log_every *every, uint64_t *times)
{
    *times = log_due(every, NOTICE_LOG_MS); /* 0: only debug wants it */
    return *times > 0 || log_get_level() >= LOG_LEVEL_DEBUG;
}

void notice_log(const struct client *client, uint64_t times, const char *what, const char *more)
{
    char address[ADDRESS_TEXT_MAX];

    address_text(&client->address, address);
    if (times > 0)
        log_info("%s address=%s transport=%s%s times=%llu", what, address,
                 socket_transport(client->socket), more, (unsigned long long)times);
    else
        log_debug("%s address=%s transport=%s%s", what, address, socket_transport(client->socket),
                  more);
}

void notice_connected(const struct client *client)
{
    char user[4 * TOKEN_UID_MAX + 1], address[ADDRESS_TEXT_MAX];

    if (log_get_level() < LOG_LEVEL_INFO)
        return;
    log_info("client connected: user=%s address=%s transport=%s protocol=%d",
             log_word(user, sizeof(user), client->uid, client->uid_len),
             address_text(&client->address, address), socket_transport(client->socket),
             socket_version(client->socket));
}

void notice_disconnected(const struct client *client, enum close_reason why)
{
    uint32_t lasted_ds = (uint32_t)(clock_ms() / 100) - client->since_ds;
    char user[4 * TOKEN_UID_MAX + 1], address[ADDRESS_TEXT_MAX];

    if (log_get_level() < LOG_LEVEL_INFO)
        return;
    log_info("client disconnected: user=%s address=%s transport=%s reason=\"%s\" duration=%u.%us",
             log_word(user, sizeof(user), client->uid, client->uid_len),
             address_text(&client->address, address), socket_transport(client->socket),
             close_reason_name(why), lasted_ds / 10, lasted_ds % 10);
}
