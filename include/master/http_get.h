/* http_get - what a server of HTTP/1.1 answers to one GET: of --health, which asks the daemon
 * itself. */
#ifndef MASTER_HTTP_GET_H
#define MASTER_HTTP_GET_H

#include "base/buf.h"

/* Asks host, a name or an address, and port for path; the answer ends with its connection.
 * Returns the status and the body, or -1 with a message in error where there is none that is whole
 * within ms. */
int http_get(const char *host, int port, const char *path, unsigned ms, struct buf *body,
             struct buf *error);

#endif
