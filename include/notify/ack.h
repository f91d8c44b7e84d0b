/* ack - axr-notify --ack: a message that is to be acknowledged, and what came of it.
 *
 * It asks as a server of the cluster does (codec/request.h), but is none: it subscribes to the
 * channels of answers only, so that nobody counts it.  What others are answered comes there,
 * too, and is passed over. */
#ifndef NOTIFY_ACK_H
#define NOTIFY_ACK_H

#include "codec/request.h"
#include "conf.h"

#include <stdint.h>

#define ACK_MS_MAX      3600000
#define EXIT_UNANSWERED 3

/* Publishes the message, to whose rooms, except, flags, timeout_ms and json the rest is added here,
 * and prints what came of it by the time that is over: a line for all, or with as_json one for
 * each acknowledgement and one for all.  Returns 0; EXIT_FAILED if it was not published;
 * EXIT_UNANSWERED if not everybody has acknowledged it, or it is not known who should. */
int ack_send(const struct conf *conf, struct request_broadcast message, int as_json);

#endif
