/* scratch - a directory for the files that a test makes. */
#ifndef TEST_SCRATCH_H
#define TEST_SCRATCH_H

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[64];

/* Makes it, below /tmp and with name in its own; the test empties and removes it. */
static inline void scratch_make(const char *name)
{
    (void)snprintf(scratch, sizeof(scratch), "/tmp/%s.XXXXXX", name);
    if (mkdtemp(scratch) == NULL)
        abort();
}

/* The path of a file in it, until the fourth call after this one. */
static inline const char *scratch_path(const char *name)
{
    static char paths[4][128];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", scratch, name);
    return path;
}

/* Makes the file anew, or overwrites it. */
static inline void scratch_write(const char *name, const void *bytes, size_t len, mode_t mode)
{
    int fd = open(scratch_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || fchmod(fd, mode) < 0)
        abort();
    close(fd);
}

static inline void scratch_text(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text), 0600);
}

#endif
