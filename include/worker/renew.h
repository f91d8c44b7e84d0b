/* renew - a client that is in renews its token: the event "authenticate" with the
 * new one, and an acknowledgement if it asks for one. */
#ifndef WORKER_RENEW_H
#define WORKER_RENEW_H

struct client;
struct clients;
struct conf;
struct renewals;
struct sio_packet;
struct worker_stats;

/* All is borrowed; conf is read each time.  NULL without memory. */
struct renewals *renewals_new(const struct conf *conf, struct clients *clients,
                              struct worker_stats *stats);
void renewals_free(struct renewals **renewals);

/* sio_app.packet: any packet of the client; one that is no such event is ignored. */
void renew_packet(struct renewals *renewals, struct client *client,
                  const struct sio_packet *packet);

#endif
