/* ballot - what several sentinels say of one master: which of the places they name is the best.
 *
 * The one of the newest configuration is: the config epoch grows with each failover.  Of the same
 * epoch (or where it is not known) the one that a sentinel has changed to last; and else the one
 * that more of them name.  Nothing is remembered here. */
#ifndef CODEC_BALLOT_H
#define CODEC_BALLOT_H

#include <stddef.h>
#include <stdint.h>

#define BALLOT_MAX     16 /* sentinels */
#define BALLOT_UNKNOWN (-1)

#define BALLOT_HOST_MAX 256 /* with its \0 */

/* The port of a place that a sentinel names, where host is a name or an address as they look; else
 * -1: it goes into logs, to terminals and to getaddrinfo(). */
int ballot_port(const char *host, size_t len, const char *port);

struct vote {
    const char *host; /* NULL: it names none, or does not answer */
    int port;
    int64_t epoch; /* or BALLOT_UNKNOWN */
    uint64_t news; /* the higher the later it has changed to this place; 0: it has not */
};

struct candidate {
    const char *host; /* of one of the votes */
    int port;
    unsigned votes;
    int64_t epoch; /* the highest of them, and their latest news */
    uint64_t news;
};

/* The places that are named, each once and the best first.  Returns how many. */
size_t ballot_count(const struct vote *votes, size_t n, struct candidate dst[BALLOT_MAX]);

/* 1 if the candidate counts more than a place of that epoch and news. */
int ballot_is_newer(const struct candidate *candidate, int64_t epoch, uint64_t news);

/* 1 if more than half of n sentinels, whether they answer or not, name it. */
int ballot_is_majority(const struct candidate *candidate, size_t n);

/* 1 if it is that place; host may be NULL. */
int ballot_is_at(const struct candidate *candidate, const char *host, int port);

#endif
