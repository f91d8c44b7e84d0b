/* usage - CPU and memory of processes and all their descendants, from /proc. */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <stdint.h>
#include <sys/types.h>

#define USAGE_TREE_MAX 1024

struct tree { /* the roots are the first */
    int n, roots;
    pid_t pids[USAGE_TREE_MAX];
};

/* The tree as it is at the moment, of those roots. */
void usage_tree(struct tree *tree, const pid_t *roots, int n);

/* CPU time that its processes have used, of the user's and the kernel's. */
uint64_t usage_cpu_ns(const struct tree *tree);

/* Memory (PSS) in KB of its processes from index first on: 0 for all, tree->roots
 * for all but these. */
uint64_t usage_pss_kb(const struct tree *tree, int first);

#endif
