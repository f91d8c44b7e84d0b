#include "conf/cpus.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* --- one cgroup --- */

/* The first line of a file into line.  Returns 0, or -1. */
static int first_line(const char *directory, const char *name, char line[128])
{
    char path[2 * PATH_MAX];
    FILE *file;
    int result;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    if ((file = fopen(path, "re")) == NULL)
        return -1;
    result = fgets(line, 128, file) != NULL ? 0 : -1;
    (void)fclose(file);
    return result;
}

/* Reads digits and the blanks before them.  Returns what follows, or NULL. */
static const char *number(const char *text, unsigned long long *value)
{
    char *end;

    text += strspn(text, " ");
    if (*text < '0' || *text > '9')
        return NULL;
    *value = strtoull(text, &end, 10);
    return end;
}

/* 0: no limit. */
static int quota_of(const char *directory, int version)
{
    unsigned long long quota, period, n;
    char line[128], other[128];
    const char *at;

    if (first_line(directory, version == 2 ? "cpu.max" : "cpu.cfs_quota_us", line) < 0 ||
        (at = number(line, &quota)) == NULL) /* "max 100000", "-1" */
        return 0;
    if (version == 1 && first_line(directory, "cpu.cfs_period_us", other) < 0)
        return 0;
    if (number(version == 2 ? at : other, &period) == NULL || period == 0)
        return 0;
    n = quota / period + (quota % period > 0);
    return n < INT_MAX ? (int)n : 0;
}

static int lesser(int a, int b)
{
    return b > 0 && (a == 0 || b < a) ? b : a;
}

/* Of the cgroup at path below directory, and of all above it that are there. */
static int quota_up(const char *directory, char *path, int version)
{
    char full[PATH_MAX];
    int least = 0;

    for (;;) {
        char *slash = strrchr(path, '/');

        (void)snprintf(full, sizeof(full), "%s%s", directory, path);
        least = lesser(least, quota_of(full, version));
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

/* --- where they are --- */

/* 1 if one of the words between commas is word. */
static int lists(const char *words, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = words; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return 1;
    }
    return 0;
}

/* The path of our cgroup in the hierarchy of that version that has the CPU; "" if there
 * is none.  Lines are "0::/path" or "4:cpu,cpuacct:/path". */
static void own_path(const char *root, int version, char path[PATH_MAX])
{
    char name[PATH_MAX], *line = NULL;
    size_t room = 0;
    FILE *file;

    path[0] = '\0';
    (void)snprintf(name, sizeof(name), "%s/proc/self/cgroup", root);
    if ((file = fopen(name, "re")) == NULL)
        return;
    while (getline(&line, &room, file) > 0) {
        char *controllers = strchr(line, ':'), *at;

        line[strcspn(line, "\n")] = '\0';
        if (controllers == NULL || (at = strchr(++controllers, ':')) == NULL)
            continue;
        *at++ = '\0';
        if (version == 2 ? *controllers == '\0' : lists(controllers, "cpu"))
            (void)snprintf(path, PATH_MAX, "%s", at);
    }
    free(line);
    (void)fclose(file);
}

static int is_octal(const char *text)
{
    return strspn(text, "01234567") >= 3;
}

/* As it is without \040 and the like. */
static void unescape(char *text)
{
    char *to = text;

    while (*text) {
        if (text[0] == '\\' && is_octal(text + 1)) {
            *to++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
            text += 4;
        } else {
            *to++ = *text++;
        }
    }
    *to = '\0';
}

/* What path is below top, the cgroup that is mounted; one that is not below it, as in
 * some containers, is taken for top itself. */
static char *below(char *path, const char *top)
{
    size_t len = strcmp(top, "/") == 0 ? 0 : strlen(top);

    if (strncmp(path, top, len) != 0 || (path[len] != '/' && path[len] != '\0') ||
        strstr(path, "/..") != NULL)
        path[len = 0] = '\0';
    if (strcmp(path + len, "/") == 0)
        path[len] = '\0';
    return path + len;
}

/* One line of mountinfo: "36 35 98:0 TOP POINT options ... - TYPE source OPTIONS". */
static int quota_mounted(const char *root, char *line)
{
    char directory[PATH_MAX], path[PATH_MAX];
    char *words[5], *save = NULL, *type, *options;
    int version;

    line[strcspn(line, "\n")] = '\0';
    if ((type = strstr(line, " - ")) == NULL)
        return 0;
    *type = '\0';
    type += 3;
    for (int i = 0; i < 5; i++)
        if ((words[i] = strtok_r(i == 0 ? line : NULL, " ", &save)) == NULL)
            return 0;
    if ((options = strrchr(type, ' ')) == NULL)
        return 0;
    version = strncmp(type, "cgroup2 ", 8) == 0 ? 2 : 1;
    if (version == 1 && (strncmp(type, "cgroup ", 7) != 0 || !lists(options + 1, "cpu")))
        return 0;
    unescape(words[3]);
    unescape(words[4]);
    own_path(root, version, path);
    (void)snprintf(directory, sizeof(directory), "%s%s", root, words[4]);
    return quota_up(directory, below(path, words[3]), version);
}

int cpus_quota(const char *root)
{
    char name[PATH_MAX], *line = NULL;
    size_t room = 0;
    FILE *file;
    int least = 0;

    (void)snprintf(name, sizeof(name), "%s/proc/self/mountinfo", root);
    if ((file = fopen(name, "re")) == NULL)
        return 0;
    while (getline(&line, &room, file) > 0)
        least = lesser(least, quota_mounted(root, line));
    free(line);
    (void)fclose(file);
    return least;
}

int cpus_usable(void)
{
    return lesser(cpus_affine(), cpus_quota(""));
}
