#include "worker/notice.h"
#include "base/clock.h"
#include "worker/client.h"

#define NOTICE_LOG_MS 60000

int notice_due(struct log_every *every, uint64_t *times)
{
    *times = log_due(every, NOTICE_LOG_MS); /* 0: only debug wants it */
    return *times > 0 || log_get_level() >= LOG_LEVEL_DEBUG;
}

void notice_connected(const struct client *client)
{
    char shown[ADDRESS_TEXT_MAX];

    log_event(INFO, "client_connected",
              "client connected[: user={} address={} transport={} protocol={}]",
              NOTICE_USER(client), NOTICE_FROM(client, shown),
              LOG_INT("protocol", socket_version(client->socket)));
}

void notice_disconnected(const struct client *client, enum close_reason why)
{
    uint32_t lasted_ds = (uint32_t)(clock_ms() / 100) - client->since_ds;
    char shown[ADDRESS_TEXT_MAX];

    log_event(INFO, "client_disconnected",
              "client disconnected[: user={} address={} transport={} reason=\"{}\" duration={}s]",
              NOTICE_USER(client), NOTICE_FROM(client, shown),
              LOG_STR("reason", close_reason_name(why)), LOG_TENTHS("duration", lasted_ds));
}
