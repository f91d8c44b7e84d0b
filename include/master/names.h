/* names - the host names of a configuration -> addresses, for a reload: looked up
 * without blocking (resolve.h), all at the same time. */
#ifndef MASTER_NAMES_H
#define MASTER_NAMES_H

struct event_base;
struct names;

#define NAMES_WAIT_S 10 /* then a name that nobody answers for has failed */

struct names_ops {
    /* The end of it, once and never from within names_add: all are known, or why says
     * which is not and for what reason (borrowed for the call).  names_free is allowed
     * here. */
    void (*done)(const char *why, void *arg);
};

/* ops is borrowed.  NULL without memory. */
struct names *names_new(struct event_base *base, const struct names_ops *ops, void *arg);

/* Begins to look host up (copied), unless it is an address or was added before.
 * Returns 0, or -1 with errno. */
int names_add(struct names *names, const char *host);

/* The same with what is known: numeric addresses, one a line (copied). */
int names_put(struct names *names, const char *host, const char *addresses);

/* How many are being looked up; ops->done comes if it is not 0. */
unsigned names_waiting(const struct names *names);

/* The addresses of host, one a line: host itself if it is one, NULL if it was not
 * added or is not known. */
const char *names_find(const struct names *names, const char *host);

/* What is being looked up is given up. */
void names_free(struct names **names);

#endif
