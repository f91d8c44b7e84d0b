/* admin_counts - what became of requests on the admin address: counted for the whole process, for
 * a reload makes another admin address, and counters do not go back. */
#ifndef MASTER_ADMIN_COUNTS_H
#define MASTER_ADMIN_COUNTS_H

#include <stddef.h>
#include <stdint.h>

enum admin_action { ADMIN_EMIT, ADMIN_DISCONNECT, ADMIN_ACTIONS };

/* A request was answered with that status. */
void admin_count_answer(int status);

/* redis has confirmed something that was asked for. */
void admin_count_action(enum admin_action action);

/* The next of the statuses that are told one by one, in *status, 0 for all others together; n is 0
 * at first.  Returns 1, or 0 behind the last. */
int admin_counts_next(size_t n, int *status, uint64_t *count);

/* "emit", "disconnect"; never NULL. */
const char *admin_action_name(enum admin_action action);
uint64_t admin_counts_action(enum admin_action action);

#endif
