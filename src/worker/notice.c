#include "worker/notice.h"
#include "base/address.h"
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
