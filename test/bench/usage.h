/* usage - CPU and memory of a process and all its descendants, from /proc. */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <stdint.h>
#include <sys/types.h>

#define USAGE_TREE_MAX 1024

struct tree { /* pids[0] is the root */
    int n;
    pid_t pids[USAGE_TREE_MAX];
};

/* The tree as it is now; root 0: an empty one. */
void usage_tree(struct tree *tree, pid_t root);

/* CPU time that its processes have used, of the user's and the kernel's. */
uint64_t usage_cpu_ns(const struct tree *tree);

/* Memory (PSS) in KB of its processes from index first on: 0 for all, 1 for all
 * but the root. */
uint64_t usage_pss_kb(const struct tree *tree, int first);

#endif
