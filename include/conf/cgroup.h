/* cgroup - what the cgroups of this process allow it.  Private to conf/. */
#ifndef CONF_CGROUP_H
#define CONF_CGROUP_H

#include <stdint.h>

#define CGROUP_LINE 128

/* The first line of a file of a cgroup into line.  Returns 0, or -1. */
int cgroup_line(const char *directory, const char *name, char line[CGROUP_LINE]);

/* Reads digits and the blanks before them.  Returns what follows, or NULL. */
const char *cgroup_number(const char *text, uint64_t *value);

/* The least of what limit says of the cgroups of this process in which that controller
 * ("cpu") is, and of all above them that are there; 0: there is no limit.  version: 1 or 2.  root
 * is what stands before /proc/self and the mount points: "" but in tests. */
uint64_t cgroup_least(const char *root, const char *controller,
                      uint64_t (*limit)(const char *directory, int version));

#endif
