/* notice - a line in the log about a client, of which strangers may cause as many as they
 * like: one a minute for each cause, at debug each. */
#ifndef WORKER_NOTICE_H
#define WORKER_NOTICE_H

#include "base/log.h"
#include "net/close.h"

#include <stdint.h>

struct client;

/* every: of the cause.  Returns 1 if there is a line to be written, *times being what
 * notice_log() wants to know; else 0. */
int notice_due(struct log_every *every, uint64_t *times);

/* Writes "what address=... transport=...more times=N", without times at debug. */
void notice_log(const struct client *client, uint64_t times, const char *what, const char *more);

/* At the level info: one that is in; one that was. */
void notice_connected(const struct client *client);
void notice_disconnected(const struct client *client, enum close_reason why);

#endif
