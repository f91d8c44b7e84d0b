/* memory - how much of it there is for this process.  Private to conf/. */
#ifndef CONF_MEMORY_H
#define CONF_MEMORY_H

#include <stdint.h>

/* Bytes: the machine's, or where its cgroups give it less, that.  root: as of cgroup_least(). */
uint64_t memory_limit(const char *root);

#endif
