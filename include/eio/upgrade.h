/* upgrade - from polling to WebSocket (Engine.IO protocol, "Upgrade"): the client
 * probes the new connection, stops polling, and says so; what waits until then
 * goes out first on the new one. */
#ifndef EIO_UPGRADE_H
#define EIO_UPGRADE_H

#include "eio/session.h"

/* A WebSocket has come for a polling session.  base64: no binary on it, whatever
 * held for polling. */
void upgrade_begin(struct conn *conn, struct session *session, int base64);
/* What it says before it has taken over. */
void upgrade_input(struct conn *conn, int binary, struct slice payload);

#endif
