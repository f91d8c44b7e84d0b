/* show - what was published, and which workers it is handed to: a line of the log at debug.
 *
 * To put one together costs more than to hand it on: whoever calls asks for the level first. */
#ifndef MASTER_SHOW_H
#define MASTER_SHOW_H

struct broadcast;
struct request;
struct route_targets;

void show_notification(const struct broadcast *bc, const struct route_targets *targets);

/* targets: NULL where none are known. */
void show_request(const struct request *request, const struct route_targets *targets);

#endif
