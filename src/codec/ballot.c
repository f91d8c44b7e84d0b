#include "codec/ballot.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

int ballot_is_at(const struct candidate *candidate, const char *host, int port)
{
    return host != NULL && candidate->port == port && strcasecmp(candidate->host, host) == 0;
}

int ballot_is_newer(const struct candidate *candidate, int64_t epoch, uint64_t news)
{
    return candidate->epoch > epoch || (candidate->epoch == epoch && candidate->news > news);
}

int ballot_is_majority(const struct candidate *candidate, size_t n)
{
    return 2 * (size_t)candidate->votes > n;
}

static int is_better(const struct candidate *one, const struct candidate *other)
{
    if (ballot_is_newer(one, other->epoch, other->news))
        return 1;
    return !ballot_is_newer(other, one->epoch, one->news) && one->votes > other->votes;
}

static void add(struct candidate *at, size_t *n, const struct vote *vote)
{
    size_t i = 0;

    while (i < *n && !ballot_is_at(&at[i], vote->host, vote->port))
        i++;
    if (i == *n)
        at[(*n)++] = (struct candidate){vote->host, vote->port, 0, vote->epoch, vote->news};
    at[i].votes++;
    if (vote->epoch > at[i].epoch)
        at[i].epoch = vote->epoch;
    if (vote->news > at[i].news)
        at[i].news = vote->news;
}

size_t ballot_count(const struct vote *votes, size_t n, struct candidate dst[BALLOT_MAX])
{
    size_t found = 0;

    for (size_t i = 0; i < n && i < BALLOT_MAX; i++)
        if (votes[i].host != NULL)
            add(dst, &found, &votes[i]);
    for (size_t i = 1; i < found; i++) {
        struct candidate one = dst[i];
        size_t to = i;

        for (; to > 0 && is_better(&one, &dst[to - 1]); to--)
            dst[to] = dst[to - 1];
        dst[to] = one;
    }
    return found;
}

int ballot_port(const char *host, size_t len, const char *port)
{
    static const char bytes[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:%-_";
    long number = strtol(port, NULL, 10);

    if (len == 0 || len >= BALLOT_HOST_MAX || strlen(host) != len || strspn(host, bytes) != len)
        return -1;
    return number >= 1 && number <= 65535 ? (int)number : -1;
}
