/* notice - a line in the log about a client, of which strangers may cause as many as they
 * like: one a minute for each cause, at debug each. */
#ifndef WORKER_NOTICE_H
#define WORKER_NOTICE_H

#include "base/address.h"
#include "base/log.h"
#include "engine/engine.h"
#include "net/close.h"

#include <stdint.h>

struct client;

/* every: of the cause.  Returns 1 if there is a line to be written, *times being for
 * notice_level() and LOG_TIMES(); else 0. */
int notice_due(struct log_every *every, uint64_t *times);

static inline enum log_level notice_level(uint64_t times)
{
    return log_due_level(LOG_LEVEL_INFO, times);
}

/* The fields of a line that say which client it is; shown: char [ADDRESS_TEXT_MAX]. */
#define NOTICE_USER(client) LOG_WORD("user", (client)->uid, (client)->uid_len, 0)
#define NOTICE_FROM(client, shown)                                                                 \
    LOG_STR("address", address_text(&(client)->address, shown)),                                   \
        LOG_STR("transport", socket_transport((client)->socket))

/* At the level info: one that is in; one that was. */
void notice_connected(const struct client *client);
void notice_disconnected(const struct client *client, enum close_reason why);

#endif
