/* splice - one stream of messages from two connections, of which the second takes over
 * from the first: where both lead to the same redis, what came over the first after the
 * second was subscribed comes again. */
#ifndef MASTER_SPLICE_H
#define MASTER_SPLICE_H

#include "base/slice.h"

#include <stdint.h>

#define SPLICE_MAX 1024 /* messages that are remembered */

struct splice { /* zero is one that remembers nothing */
    uint64_t seen[SPLICE_MAX];
    uint64_t n;  /* how many there have been */
    uint64_t at; /* the next one that may come again; 0: none has yet */
    uint8_t key[16];
};

/* Forgets everything. */
void splice_begin(struct splice *splice);

/* A message has come over the first connection. */
void splice_put(struct splice *splice, struct slice channel, struct slice payload);

/* One has come over the second.  Returns 1 if it is the same as one over the first, and
 * so has been relayed; after the first that is not, and after the last, always 0. */
int splice_again(struct splice *splice, struct slice channel, struct slice payload);

#endif
