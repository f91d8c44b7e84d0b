/* collect - what workers have to say to one query, made into the text of its answer while it
 * comes.
 *
 * Of fetchSockets() there are two texts at first, with the handshakes and with empty ones:
 * past COLLECT_FULL_MAX only the second goes on.  Past COLLECT_MAX there is none: redis cuts
 * off who is 32 MB behind, unless it is told otherwise.  (100,000 clients with uids of 36
 * bytes are 21 MB.) */
#ifndef MASTER_COLLECT_H
#define MASTER_COLLECT_H

#include "base/buf.h"
#include "base/slice.h"
#include "codec/request.h"
#include "ipc/msg.h"

#include <stddef.h>
#include <stdint.h>

#define COLLECT_FULL_MAX (2UL * 1024 * 1024)
#define COLLECT_MAX      (24UL * 1024 * 1024)

#define COLLECT_NO_HANDSHAKE "{\"headers\":{},\"query\":{},\"auth\":{}}"

struct collect { /* zero is one that has nothing */
    enum request_type type;
    struct buf text; /* with empty handshakes, where there are any */
    struct buf full; /* FETCH: with them */
    int has_full, is_too_large;
    size_t n;        /* records that are in it */
    uint32_t *slots; /* ALL_ROOMS: where names begin in text, plus 1, by their hash */
    size_t nslots, nnames;
    uint8_t key[16];
};

/* What workers are asked for: SOCKETS, ALL_ROOMS, FETCH and CLIENT_ROOMS are questions. */
enum msg_what collect_what(enum request_type type);

/* Begins the answer to that request. */
void collect_begin(struct collect *collect, const struct request *request);

/* n records of a MSG_FETCHED.  Returns 0, or -1 if they are malformed. */
int collect_part(struct collect *collect, uint32_t n, struct slice records);

/* What it holds; it has none any more. */
void collect_clear(struct collect *collect);
size_t collect_bytes(const struct collect *collect);

/* Ends it: payload, which is empty, gets the text; failed without memory. */
void collect_end(struct collect *collect, struct buf *payload);

#endif
