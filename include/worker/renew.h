/* renew - a client that is in renews its token: the event "authenticate" with the
 * new one, and an acknowledgement if it asks for one.  One that is still catching up
 * gets the rest of what it has missed before.
 *
 * The rooms that the new token names take the place of those of the one before: the client
 * leaves those that only the former named, and joins those that only the latter names.  If
 * that changes anything the acknowledgement waits until the master knows: whoever publishes
 * to these rooms after it is heard, or not. */
#ifndef WORKER_RENEW_H
#define WORKER_RENEW_H

#include <stdint.h>

struct client;
struct clients;
struct conf;
struct membership;
struct renewals;
struct replays;
struct sio;
struct sio_packet;
struct uplink;
struct worker_stats;

#define RENEWALS_WAITING_MAX 10000 /* further ones that want an answer are refused */

struct renewal_parts { /* all is borrowed; conf is read each time */
    const struct conf *conf;
    const struct sio *sio;
    struct clients *clients;
    struct membership *membership;
    struct uplink *uplink;
    struct replays *replays; /* or NULL */
    struct worker_stats *stats;
};

/* NULL without memory. */
struct renewals *renewals_new(const struct renewal_parts *parts);
void renewals_free(struct renewals **renewals);

/* sio_app.packet: any packet of the client; one that is no such event is ignored. */
void renew_packet(struct renewals *renewals, struct client *client,
                  const struct sio_packet *packet);

/* The master knows the rooms that it was told of under that id.  Returns 0, or -1 if that was
 * not asked. */
int renew_noted(struct renewals *renewals, uint32_t id);

#endif
