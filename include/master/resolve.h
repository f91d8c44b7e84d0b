/* resolve - a host name -> addresses, as libc finds them, without blocking: a
 * child asks.  Whoever waits for the children of this process reaps it. */
#ifndef MASTER_RESOLVE_H
#define MASTER_RESOLVE_H

struct event_base;
struct resolve;

#define RESOLVE_TEXT_MAX 2048 /* of an answer */

struct resolve_ops {
    /* Numeric addresses, one a line; or NULL, and why says what is wrong in a few
     * words.  Both are borrowed for the call.  resolve_free is allowed here. */
    void (*done)(const char *addresses, const char *why, void *arg);
};

/* 1 if host is an address, for which nobody need be asked. */
int resolve_is_numeric(const char *host);

/* A question that nobody answers within so many seconds has failed.  ops is borrowed,
 * host is not kept.  Returns NULL, with errno set, if it cannot be asked. */
struct resolve *resolve_new(struct event_base *base, const char *host, unsigned seconds,
                            const struct resolve_ops *ops, void *arg);

/* The child, where it still runs, ends at once, as it does when the master dies. */
void resolve_free(struct resolve **resolve);

#endif
