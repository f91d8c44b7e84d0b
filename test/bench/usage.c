#include "usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* What pid's first thread has forked: none of the servers forks from another. */
static void add_children(struct tree *tree, pid_t pid)
{
    char name[64];
    FILE *file;
    int child;

    snprintf(name, sizeof(name), "/proc/%d/task/%d/children", pid, pid);
    file = fopen(name, "re");
    if (file == NULL)
        return;
    while (tree->n < USAGE_TREE_MAX && fscanf(file, "%d", &child) == 1)
        tree->pids[tree->n++] = child;
    fclose(file);
}

void usage_tree(struct tree *tree, const pid_t *roots, int n)
{
    tree->n = tree->roots = n;
    for (int i = 0; i < n; i++)
        tree->pids[i] = roots[i];
    for (int i = 0; i < tree->n; i++)
        add_children(tree, tree->pids[i]);
}

uint64_t usage_cpu_ns(const struct tree *tree)
{
    uint64_t sum = 0;

    for (int i = 0; i < tree->n; i++) {
        struct timespec used;
        clockid_t clock;

        if (clock_getcpuclockid(tree->pids[i], &clock) == 0 && clock_gettime(clock, &used) == 0)
            sum += (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
    }
    return sum;
}

uint64_t usage_pss_kb(const struct tree *tree, int first)
{
    uint64_t sum = 0;

    for (int i = first; i < tree->n; i++) {
        char name[64], line[256];
        unsigned long long kb;
        FILE *file;

        snprintf(name, sizeof(name), "/proc/%d/smaps_rollup", tree->pids[i]);
        file = fopen(name, "re");
        if (file == NULL)
            continue;
        while (fgets(line, sizeof(line), file) != NULL)
            if (sscanf(line, "Pss: %llu", &kb) == 1)
                sum += kb;
        fclose(file);
    }
    return sum;
}
