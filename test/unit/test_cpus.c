/* The quota of CPU time, in directories that look like a machine's. */
#include "conf/cpus.h"

#include "scratch.h"
#include "tap.h"

#define V1                                                                                         \
    "33 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup "                \
    "rw,cpu,cpuacct\n"
#define V2 "42 32 0:27 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
#define OTHERS                                                                                     \
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"                                   \
    "34 32 0:31 / /sys/fs/cgroup/cpuset rw shared:10 - cgroup cgroup rw,cpuset\n"

static void write_file(const char *name, const char *text)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s", scratch_path(name));
    for (char *at = path + strlen(scratch) + 1; (at = strchr(at, '/')) != NULL; *at++ = '/') {
        *at = '\0';
        (void)mkdir(path, 0700);
    }
    scratch_text(name, text);
}

static void clean(void)
{
    char command[128];

    (void)snprintf(command, sizeof(command), "rm -rf %s/*", scratch);
    if (system(command) != 0)
        abort();
}

static const struct {
    const char *name, *mounts, *own;
    int want;
    struct {
        const char *name, *text;
    } files[4];
} cases[] = {
    {"no cgroup", "22 1 8:1 / / rw - ext4 /dev/root rw\n", "", 0, {{0}}},
    {"version 2: none",
     V2,
     "0::/system.slice/a.service\n",
     0,
     {{"sys/fs/cgroup/system.slice/a.service/cpu.max", "max 100000\n"}}},
    {"version 2: half a CPU is one",
     V2,
     "0::/system.slice/a.service\n",
     1,
     {{"sys/fs/cgroup/system.slice/a.service/cpu.max", "50000 100000\n"}}},
    {"one and a half are two",
     V2,
     "0::/system.slice/a.service\n",
     2,
     {{"sys/fs/cgroup/system.slice/a.service/cpu.max", "150000 100000\n"}}},
    {"three are three", V2, "0::/a\n", 3, {{"sys/fs/cgroup/a/cpu.max", "60000 20000\n"}}},
    {"the least of those above counts",
     V2,
     "0::/a/b/c\n",
     2,
     {{"sys/fs/cgroup/a/cpu.max", "200000 100000\n"},
      {"sys/fs/cgroup/a/b/cpu.max", "max 100000\n"},
      {"sys/fs/cgroup/a/b/c/cpu.max", "400000 100000\n"}}},
    {"a container: its own is the root",
     V2,
     "0::/\n",
     2,
     {{"sys/fs/cgroup/cpu.max", "200000 100000\n"}}},
    {"... or has a name that is not there",
     V2,
     "0::/docker/0123\n",
     2,
     {{"sys/fs/cgroup/cpu.max", "200000 100000\n"}}},
    {"... or is above what there is",
     V2,
     "0::/../other\n",
     2,
     {{"sys/fs/cgroup/cpu.max", "200000 100000\n"}, {"sys/fs/other/cpu.max", "1 1\n"}}},
    {"version 1",
     OTHERS V1,
     "5:cpuset:/x\n4:cpu,cpuacct:/a/b\n0::/c\n",
     2,
     {{"sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "101000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n"}}},
    {"version 1: none",
     V1,
     "4:cpu,cpuacct:/a\n",
     0,
     {{"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n"},
      {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"}}},
    {"version 1: above",
     V1,
     "4:cpu,cpuacct:/a/b\n",
     1,
     {{"sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n"},
      {"sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "10000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"}}},
    {"version 1: what is mounted is a part",
     "33 32 0:30 /docker/01 /cg/cpu rw - cgroup cgroup rw,cpu\n",
     "4:cpu:/docker/01/a\n",
     2,
     {{"cg/cpu/a/cpu.cfs_quota_us", "200000\n"}, {"cg/cpu/a/cpu.cfs_period_us", "100000\n"}}},
    {"... and no other that begins so",
     "33 32 0:30 /docker/01 /cg/cpu rw - cgroup cgroup rw,cpu\n",
     "4:cpu:/docker/012/a\n",
     0,
     {{"cg/cpu/2/a/cpu.cfs_quota_us", "200000\n"}, {"cg/cpu/2/a/cpu.cfs_period_us", "100000\n"}}},
    {"both: the least counts",
     V1 "43 32 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
     "4:cpu,cpuacct:/a\n0::/b\n",
     3,
     {{"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "500000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"},
      {"sys/fs/cgroup/unified/b/cpu.max", "300000 100000\n"}}},
    {"a mount point with a blank",
     "42 32 0:27 / /my\\040cg rw - cgroup2 cgroup2 rw\n",
     "0::/a\n",
     4,
     {{"my cg/a/cpu.max", "400000 100000\n"}}},
    {"no numbers", V2, "0::/a\n", 0, {{"sys/fs/cgroup/a/cpu.max", "many\n"}}},
    {"no period", V2, "0::/a\n", 0, {{"sys/fs/cgroup/a/cpu.max", "100000 0\n"}}},
    {"nothing", V2, "0::/a\n", 0, {{"sys/fs/cgroup/a/cpu.max", ""}}},
    {"more than there can be",
     V2,
     "0::/a\n",
     0,
     {{"sys/fs/cgroup/a/cpu.max", "18446744073709551615 1\n"}}},
    {"lines that are none",
     "x\n- -\n1 2 - cgroup2\n\n1 2 3 4 - cgroup2 a b\n" V2,
     "a\nb:c\n0::/a\n",
     1,
     {{"sys/fs/cgroup/a/cpu.max", "1000 100000\n"}}},
};

int main(void)
{
    scratch_make("test_cpus");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        clean();
        write_file("proc/self/mountinfo", cases[i].mounts);
        write_file("proc/self/cgroup", cases[i].own);
        for (size_t k = 0; k < 4 && cases[i].files[k].name != NULL; k++)
            write_file(cases[i].files[k].name, cases[i].files[k].text);
        is_int(cpus_quota(scratch), cases[i].want, cases[i].name);
    }
    clean();
    is_int(cpus_quota(scratch), 0, "no /proc");
    ok(cpus_usable() >= 1, "of this machine: %d", cpus_usable());
    (void)rmdir(scratch);
    return tap_done();
}
