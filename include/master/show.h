/* show - what was published, and which workers it is handed to: a line of the log at debug, and
 * what reaches nobody at info.
 *
 * To put one together costs more than to hand it on: whoever calls asks for the level first, or
 * how long ago the last one was. */
#ifndef MASTER_SHOW_H
#define MASTER_SHOW_H

#include "base/slice.h"

#include <stdint.h>

struct broadcast;
struct request;
struct route_targets;

void show_notification(const struct broadcast *bc, const struct route_targets *targets);

/* targets: NULL where none are known. */
void show_request(const struct request *request, const struct route_targets *targets);

/* --- what reaches nobody: at info, for it is mostly a mistake where somebody begins --- */

/* No client here is in one of its rooms; times: since the line before. */
void show_unheard(const struct broadcast *bc, uint64_t times);

/* 1 if one of its rooms is a number: nobody is in such a room, unless a server has called it so. */
int show_has_number(const struct broadcast *bc);
void show_number(const struct broadcast *bc, uint64_t times);

/* Its rooms are neither text nor numbers. */
void show_no_room(struct slice channel, uint64_t times);

#endif
