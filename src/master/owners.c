#include "master/owners.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENS      0x0A        /* TCP_LISTEN, in /proc/net/tcp */
#define UNIX_LISTENS 0x00010000U /* __SO_ACCEPTCON, in /proc/net/unix */
#define SOCKETS_MAX  65536
#define COMMAND_MAX  16384 /* bytes of a command line that are looked at */

struct socket_seen {
    unsigned long inode;
    pid_t pid; /* 0: it is not to be seen */
    struct in6_addr addr;
    int port;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* empty: TCP */
};

struct owners {
    struct socket_seen *at;
    size_t n;
};

/* --- sockets ---------------------------------------------------------------------- */

static struct socket_seen *add(struct owners *owners)
{
    struct socket_seen *grown;

    if (owners->n % 64 == 0) {
        grown = owners->n < SOCKETS_MAX
                    ? realloc(owners->at, (owners->n + 64) * sizeof(*owners->at))
                    : NULL;
        if (grown == NULL)
            return NULL;
        owners->at = grown;
    }
    owners->at[owners->n] = (struct socket_seen){0};
    return &owners->at[owners->n++];
}

static void map_four(struct in6_addr *six, uint32_t four)
{
    memset(six, 0, sizeof(*six));
    six->s6_addr[10] = six->s6_addr[11] = 0xff;
    memcpy(&six->s6_addr[12], &four, sizeof(four));
}

/* Splits a line at its blanks: number `rest` is all that is left.  Returns how many there are. */
static size_t split(char *line, char *fields[], size_t rest)
{
    size_t n = 0;

    line[strcspn(line, "\n")] = '\0';
    for (line += strspn(line, " "); *line != '\0' && n <= rest; line += strspn(line, " ")) {
        size_t len = n < rest ? strcspn(line, " ") : strlen(line);
        int more = line[len] != '\0';

        fields[n++] = line;
        line[len] = '\0';
        line += len + (size_t)more;
    }
    return n;
}

static unsigned long hex_of(const char *text, size_t len)
{
    char digits[9];

    (void)snprintf(digits, sizeof(digits), "%.*s", (int)len, text);
    return strtoul(digits, NULL, 16);
}

/* The kernel prints each 32 bits as a number of this machine. */
static void read_address(const char *hex, struct in6_addr *addr)
{
    size_t digits = strcspn(hex, ":");

    if (digits == 8)
        map_four(addr, (uint32_t)hex_of(hex, 8));
    for (size_t i = 0; digits == 32 && i < 4; i++) {
        uint32_t word = (uint32_t)hex_of(hex + 8 * i, 8);

        memcpy(&addr->s6_addr[4 * i], &word, sizeof(word));
    }
}

enum { TCP_LOCAL = 1, TCP_STATE = 3, TCP_INODE = 9, TCP_REST };

static void read_tcp_line(struct owners *owners, char *line)
{
    char *fields[TCP_REST + 1];
    const char *colon;
    struct socket_seen *seen;

    if (split(line, fields, TCP_REST) <= TCP_INODE ||
        strtoul(fields[TCP_STATE], NULL, 16) != LISTENS ||
        (colon = strchr(fields[TCP_LOCAL], ':')) == NULL || (seen = add(owners)) == NULL)
        return;
    seen->inode = strtoul(fields[TCP_INODE], NULL, 10);
    read_address(fields[TCP_LOCAL], &seen->addr);
    seen->port = (int)strtoul(colon + 1, NULL, 16);
}

enum { UNIX_FLAGS = 3, UNIX_INODE = 6, UNIX_PATH };

static void read_unix_line(struct owners *owners, char *line)
{
    char *fields[UNIX_PATH + 1];
    struct socket_seen *seen;

    if (split(line, fields, UNIX_PATH) <= UNIX_PATH ||
        (strtoul(fields[UNIX_FLAGS], NULL, 16) & UNIX_LISTENS) == 0 ||
        strlen(fields[UNIX_PATH]) >= sizeof(seen->path) || (seen = add(owners)) == NULL)
        return;
    seen->inode = strtoul(fields[UNIX_INODE], NULL, 10);
    memcpy(seen->path, fields[UNIX_PATH], strlen(fields[UNIX_PATH]) + 1);
}

static void read_lines(struct owners *owners, const char *name,
                       void (*read_line)(struct owners *owners, char *line))
{
    FILE *file = fopen(name, "re");
    char line[512];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        read_line(owners, line);
    if (file != NULL)
        (void)fclose(file);
}

/* --- processes -------------------------------------------------------------------- */

/* Reads at most cap - 1 bytes of a file of a process, and terminates them. */
static size_t read_proc(pid_t pid, const char *name, char *dst, size_t cap)
{
    char path[64];
    ssize_t n = -1;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        n = read(fd, dst, cap - 1);
    if (fd >= 0)
        close(fd);
    dst[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static void read_name(pid_t pid, char *dst, size_t cap)
{
    (void)read_proc(pid, "comm", dst, cap);
    dst[strcspn(dst, "\n")] = '\0';
}

static pid_t parent_of(pid_t pid)
{
    char text[512];
    const char *end;

    (void)read_proc(pid, "stat", text, sizeof(text));
    end = strrchr(text, ')'); /* of the name, which may be anything; ") S 1234 ..." */
    return end != NULL && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : 0;
}

/* Of those that share it, one that has made the others. */
static void found(struct owners *owners, unsigned long inode, pid_t pid)
{
    for (size_t i = 0; i < owners->n; i++)
        if (owners->at[i].inode == inode &&
            (owners->at[i].pid == 0 || parent_of(owners->at[i].pid) == pid))
            owners->at[i].pid = pid;
}

static void read_fds(struct owners *owners, pid_t pid)
{
    char path[64], link[64];
    const struct dirent *entry;
    DIR *dir;

    (void)snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
    dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

        link[n > 0 ? n : 0] = '\0';
        if (strncmp(link, "socket:[", 8) == 0)
            found(owners, strtoul(link + 8, NULL, 10), pid);
    }
    if (dir != NULL)
        (void)closedir(dir);
}

static pid_t next_process(DIR *dir)
{
    const struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0]))
            return (pid_t)strtol(entry->d_name, NULL, 10);
    return 0;
}

struct owners *owners_read(void)
{
    struct owners *owners = calloc(1, sizeof(*owners));
    DIR *dir = owners != NULL ? opendir("/proc") : NULL;
    pid_t pid;

    if (owners == NULL)
        return NULL;
    read_lines(owners, "/proc/net/tcp", read_tcp_line);
    read_lines(owners, "/proc/net/tcp6", read_tcp_line);
    read_lines(owners, "/proc/net/unix", read_unix_line);
    while ((pid = next_process(dir)) != 0)
        read_fds(owners, pid);
    if (dir != NULL)
        (void)closedir(dir);
    return owners;
}

void owners_free(struct owners **owners)
{
    if (*owners != NULL)
        free((*owners)->at);
    free(*owners);
    *owners = NULL;
}

pid_t owners_named(const char *name)
{
    DIR *dir = opendir("/proc");
    char text[64];
    pid_t pid, parent, named = 0;

    while ((pid = next_process(dir)) != 0) {
        read_name(pid, text, sizeof(text));
        if (strcmp(text, name) != 0 || pid == getpid() || (parent = parent_of(pid)) == getpid())
            continue;
        read_name(parent, text, sizeof(text));
        if (named == 0 || strcmp(text, name) != 0)
            named = pid;
    }
    if (dir != NULL)
        (void)closedir(dir);
    return named;
}

/* --- whose ------------------------------------------------------------------------ */

/* What stands after -c. */
static void read_config(pid_t pid, char *dst, size_t cap)
{
    char words[COMMAND_MAX];
    size_t len = read_proc(pid, "cmdline", words, sizeof(words));
    const char *value = NULL;

    for (size_t at = 0; at < len; at += strlen(words + at) + 1) {
        const char *word = words + at;
        size_t next = at + strlen(word) + 1;

        if (strcmp(word, "-c") == 0 && next < len)
            value = words + next;
        else if (strncmp(word, "-c", 2) == 0 && word[2] != '\0')
            value = word + 2;
    }
    (void)snprintf(dst, cap, "%s", value != NULL ? value : "");
}

static void describe(const struct socket_seen *seen, struct owner *owner)
{
    *owner = (struct owner){.pid = seen->pid};
    if (seen->pid == 0)
        return;
    read_name(seen->pid, owner->name, sizeof(owner->name));
    read_config(owner->pid, owner->file, sizeof(owner->file));
}

static int is_any(const struct in6_addr *addr)
{
    struct in6_addr four;

    map_four(&four, 0);
    return IN6_IS_ADDR_UNSPECIFIED(addr) || memcmp(addr, &four, sizeof(four)) == 0;
}

int owners_find(const struct owners *owners, const struct sockaddr *addr, struct owner *owner)
{
    struct in6_addr wanted;
    int port;

    if (addr->sa_family == AF_INET6) {
        wanted = ((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr;
        port = ntohs(((const struct sockaddr_in6 *)(const void *)addr)->sin6_port);
    } else {
        map_four(&wanted, ((const struct sockaddr_in *)(const void *)addr)->sin_addr.s_addr);
        port = ntohs(((const struct sockaddr_in *)(const void *)addr)->sin_port);
    }
    for (size_t i = 0; owners != NULL && i < owners->n; i++) {
        const struct socket_seen *seen = &owners->at[i];

        if (seen->path[0] == '\0' && seen->port == port &&
            (is_any(&seen->addr) || is_any(&wanted) ||
             memcmp(&seen->addr, &wanted, sizeof(wanted)) == 0)) {
            describe(seen, owner);
            return 1;
        }
    }
    return 0;
}

int owners_find_path(const struct owners *owners, const char *path, struct owner *owner)
{
    for (size_t i = 0; owners != NULL && i < owners->n; i++)
        if (owners->at[i].path[0] != '\0' && strcmp(owners->at[i].path, path) == 0) {
            describe(&owners->at[i], owner);
            return 1;
        }
    return 0;
}
