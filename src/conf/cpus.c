#include "conf/cpus.h"

#include "conf/cgroup.h"

#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

static int cpus_affine(void)
{
    long configured = sysconf(_SC_NPROCESSORS_CONF);
    int n = configured > CPU_SETSIZE ? (int)configured : CPU_SETSIZE, count = 0;
    size_t size = CPU_ALLOC_SIZE((size_t)n);
    cpu_set_t *cpus = CPU_ALLOC((size_t)n);

    if (cpus != NULL && sched_getaffinity(0, size, cpus) == 0)
        count = CPU_COUNT_S(size, cpus);
    CPU_FREE(cpus);
    if (count < 1)
        count = (int)sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? count : 1;
}

/* 0: no limit. */
static uint64_t quota_of(const char *directory, int version)
{
    char line[CGROUP_LINE], other[CGROUP_LINE];
    uint64_t quota, period, n;
    const char *at;

    if (cgroup_line(directory, version == 2 ? "cpu.max" : "cpu.cfs_quota_us", line) < 0 ||
        (at = cgroup_number(line, &quota)) == NULL) /* "max 100000", "-1" */
        return 0;
    if (version == 1 && cgroup_line(directory, "cpu.cfs_period_us", other) < 0)
        return 0;
    if (cgroup_number(version == 2 ? at : other, &period) == NULL || period == 0)
        return 0;
    n = quota / period + (quota % period > 0);
    return n < INT_MAX ? n : 0;
}

int cpus_quota(const char *root)
{
    return (int)cgroup_least(root, "cpu", quota_of);
}

int cpus_usable(void)
{
    int affine = cpus_affine(), quota = cpus_quota("");

    return quota > 0 && quota < affine ? quota : affine;
}
