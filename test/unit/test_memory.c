/* What memory there is, in directories that look like a machine's.  How cgroups are found is
 * test_cpus'. */
#include "conf/memory.h"

#include "scratch.h"
#include "tap.h"

#include <unistd.h>

#define ONE                                                                                        \
    "33 32 0:30 / /cg/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"                     \
    "34 32 0:31 / /cg/cpu rw,relatime - cgroup cgroup rw,cpu\n"
#define TWO "42 32 0:27 / /cg rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"

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
    const char *name, *mounts, *own, *file, *text;
    uint64_t want; /* 0: what the machine has */
} cases[] = {
    {"no cgroup", "22 1 8:1 / / rw - ext4 /dev/root rw\n", "", "x", "", 0},
    {"version 2", TWO, "0::/a\n", "cg/a/memory.max", "1000000\n", 1000000},
    {"above", TWO, "0::/a/b\n", "cg/a/memory.max", "2000000\n", 2000000},
    {"none", TWO, "0::/a\n", "cg/a/memory.max", "max\n", 0},
    {"version 1", ONE, "4:memory:/a\n", "cg/memory/a/memory.limit_in_bytes", "3000000\n", 3000000},
    {"version 1: none", ONE, "4:memory:/a\n", "cg/memory/a/memory.limit_in_bytes",
     "9223372036854771712\n", 0},
    {"that of the CPU is another", ONE, "4:cpu:/a\n", "cg/cpu/a/memory.limit_in_bytes", "4000000\n",
     0},
};

int main(void)
{
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

    scratch_make("test_memory");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        clean();
        write_file("proc/self/mountinfo", cases[i].mounts);
        write_file("proc/self/cgroup", cases[i].own);
        write_file(cases[i].file, cases[i].text);
        is_int((long long)memory_limit(scratch),
               (long long)(cases[i].want != 0 ? cases[i].want : all), cases[i].name);
    }
    clean();
    is_int((long long)memory_limit(scratch), (long long)all, "no /proc");
    (void)rmdir(scratch);
    return tap_done();
}
