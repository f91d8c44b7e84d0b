#include "conf/cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whose limit is looked for. */
struct wanted {
    const char *root, *controller;
    uint64_t (*limit)(const char *directory, int version);
};

/* --- files --- */

int cgroup_line(const char *directory, const char *name, char line[CGROUP_LINE])
{
    char path[2 * PATH_MAX];
    FILE *file;
    int result;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    if ((file = fopen(path, "re")) == NULL)
        return -1;
    result = fgets(line, CGROUP_LINE, file) != NULL ? 0 : -1;
    (void)fclose(file);
    return result;
}

const char *cgroup_number(const char *text, uint64_t *value)
{
    char *end;

    text += strspn(text, " ");
    if (*text < '0' || *text > '9')
        return NULL;
    *value = strtoull(text, &end, 10);
    return end;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return b > 0 && (a == 0 || b < a) ? b : a;
}

/* Of the cgroup at path below directory, and of all above it that are there. */
static uint64_t least_up(const struct wanted *wanted, const char *directory, char *path,
                         int version)
{
    char full[PATH_MAX];
    uint64_t least = 0;

    for (;;) {
        char *slash = strrchr(path, '/');

        (void)snprintf(full, sizeof(full), "%s%s", directory, path);
        least = lesser(least, wanted->limit(full, version));
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

/* The path of our cgroup in the hierarchy of that version that has the controller; "" if
 * there is none.  Lines are "0::/path" or "4:cpu,cpuacct:/path". */
static void own_path(const struct wanted *wanted, int version, char path[PATH_MAX])
{
    char name[PATH_MAX], *line = NULL;
    size_t room = 0;
    FILE *file;

    path[0] = '\0';
    (void)snprintf(name, sizeof(name), "%s/proc/self/cgroup", wanted->root);
    if ((file = fopen(name, "re")) == NULL)
        return;
    while (getline(&line, &room, file) > 0) {
        char *controllers = strchr(line, ':'), *at;

        line[strcspn(line, "\n")] = '\0';
        if (controllers == NULL || (at = strchr(++controllers, ':')) == NULL)
            continue;
        *at++ = '\0';
        if (version == 2 ? *controllers == '\0' : lists(controllers, wanted->controller))
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
static uint64_t least_mounted(const struct wanted *wanted, char *line)
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
    if (version == 1 &&
        (strncmp(type, "cgroup ", 7) != 0 || !lists(options + 1, wanted->controller)))
        return 0;
    unescape(words[3]);
    unescape(words[4]);
    own_path(wanted, version, path);
    (void)snprintf(directory, sizeof(directory), "%s%s", wanted->root, words[4]);
    return least_up(wanted, directory, below(path, words[3]), version);
}

uint64_t cgroup_least(const char *root, const char *controller,
                      uint64_t (*limit)(const char *directory, int version))
{
    const struct wanted wanted = {root, controller, limit};
    char name[PATH_MAX], *line = NULL;
    uint64_t least = 0;
    size_t room = 0;
    FILE *file;

    (void)snprintf(name, sizeof(name), "%s/proc/self/mountinfo", root);
    if ((file = fopen(name, "re")) == NULL)
        return 0;
    while (getline(&line, &room, file) > 0)
        least = lesser(least, least_mounted(&wanted, line));
    free(line);
    (void)fclose(file);
    return least;
}
