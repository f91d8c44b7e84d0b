/* access - who may change something on the admin address.
 *
 * Whoever has admin:token, as Authorization: Bearer or, where a proxy wants that header for
 * itself, as X-Admin-Token; never in a cookie or the path, so that no browser adds it by
 * itself.  And no page but those of the address itself: what Origin and Sec-Fetch-Site say of
 * another one is refused, token or not.  A body is JSON, which no form sends.
 *
 * Tokens are compared in a time that says nothing of them.  A bad one is logged, and where there
 * were ACCESS_FAILURES within a minute each further one is 429; a good one always counts, so that
 * nobody can keep its owner out. */
#ifndef MASTER_ACCESS_H
#define MASTER_ACCESS_H

#include "base/log.h"
#include "codec/http.h"

#include <stdint.h>

#define ACCESS_FAILURES 10

struct caller;

struct access {         /* zero is a valid start */
    uint64_t minute_ms; /* since when failures count */
    unsigned failures;
    struct log_every log;
};

/* May req, which would change something, do so?  token: what is in force; NULL: nobody may.
 * Returns 1; or 0, and caller has been refused. */
int access_admit(struct access *access, struct caller *caller, const struct http_request *req,
                 const char *token);

#endif
