#include "conf/memory.h"

#include "conf/cgroup.h"

#include <unistd.h>

/* "max", or of version 1 what nobody has, is no limit. */
static uint64_t limit_of(const char *directory, int version)
{
    char line[CGROUP_LINE];
    uint64_t bytes;

    if (cgroup_line(directory, version == 2 ? "memory.max" : "memory.limit_in_bytes", line) < 0 ||
        cgroup_number(line, &bytes) == NULL)
        return 0;
    return bytes;
}

uint64_t memory_limit(const char *root)
{
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t least = cgroup_least(root, "memory", limit_of);

    return least > 0 && least < all ? least : all;
}
