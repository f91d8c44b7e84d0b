/* place - where the master is, by what sentinels say. */
#ifndef ASK_PLACE_H
#define ASK_PLACE_H

#include "codec/ballot.h"
#include "conf.h"

#include <stddef.h>
#include <stdint.h>

#define PLACE_WHY_MAX 512

/* What a sentinel says. */
struct place {
    char host[BALLOT_HOST_MAX]; /* empty: no place */
    int port;
    int64_t epoch; /* or BALLOT_UNKNOWN */
    int answered;
    char why[PLACE_WHY_MAX]; /* where there is no place */
};

/* Asks sentinel number i; each of its answers may take a second. */
void place_ask(struct place *place, const struct conf_redis *redis, size_t i);

/* Where redis has sentinels: asks them in turn, until most of them have answered, and the places
 * that they name whether they are the master, the newest first.  Sets host and port, and takes the
 * sentinels away.  Returns 0, or -1 and why. */
int place_find(struct conf_redis *redis, char *why, size_t cap);

#endif
