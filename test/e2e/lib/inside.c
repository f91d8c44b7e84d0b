/* inside - faults within one program: LD_PRELOAD it.  The directory INSIDE_DIR says what
 * happens at that moment:
 *
 *     NAME.test  what getaddrinfo() finds for this name: an address, or nothing.  Until
 *                the file is there, it waits, like for a name server that says nothing.
 *     unready    the children of the first process (the workers) come no further than
 *                their event_base_new(): as long as it holds "wait"; else for ever. */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TURN_US 5000

struct event_base;

static pid_t first;
static const char *dir;

static void __attribute__((constructor)) begin(void)
{
    first = getpid();
    dir = getenv("INSIDE_DIR");
    if (dir == NULL || (dir = strdup(dir)) == NULL)
        abort();
}

/* The file's text without its last newline into dst, or -1. */
static int read_file(const char *name, char *dst, size_t cap)
{
    char path[PATH_MAX];
    int fd;
    ssize_t n;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    n = read(fd, dst, cap - 1);
    close(fd);
    dst[n < 0 ? 0 : n] = '\0';
    dst[strcspn(dst, "\n")] = '\0';
    return 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    const char *end = node == NULL ? NULL : strrchr(node, '.');
    char address[256];

    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (end == NULL || strcmp(end, ".test") != 0 ||
        (hints != NULL && hints->ai_flags & AI_NUMERICHOST))
        return real(node, service, hints, found);
    while (read_file(node, address, sizeof(address)) < 0)
        usleep(TURN_US);
    return address[0] == '\0' ? EAI_NONAME : real(address, service, hints, found);
}

struct event_base *event_base_new(void)
{
    struct event_base *(*real)(void);
    char how[16];

    *(void **)&real = dlsym(RTLD_NEXT, "event_base_new");
    while (getpid() != first && read_file("unready", how, sizeof(how)) == 0)
        if (strcmp(how, "wait") == 0)
            usleep(TURN_US);
        else
            pause();
    return real();
}
