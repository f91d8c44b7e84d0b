#include "base/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE 0640 /* of a file that is made */

/* O_NONBLOCK is for a file that is a FIFO. */
#define OPEN_FLAGS (O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

#define TARGET_MAX (2UL * PATH_MAX)
#define LINKS_MAX  8 /* one behind the other */

/* Puts into path where the link file leads, which is to; returns -1 if that is too long. */
static int link_target(char path[TARGET_MAX], const char *file, const char *to)
{
    const char *slash = to[0] == '/' ? NULL : strrchr(file, '/');
    int n, dir_len = slash == NULL ? 0 : (int)(slash - file) + 1;

    n = snprintf(path, TARGET_MAX, "%.*s%s", dir_len, file, to);
    return n >= 0 && (size_t)n < TARGET_MAX ? 0 : -1;
}

/* Where the link file leads, if root or we have made it.  What is looked at and what is read is one
 * link: whoever owns the directory may put another there at any moment.  Returns 0, or -1. */
static int link_follow(char path[TARGET_MAX], const char *file)
{
    int fd = open(file, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    char to[PATH_MAX];
    struct stat st;
    ssize_t n = -1;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISLNK(st.st_mode) && (st.st_uid == 0 || st.st_uid == geteuid()))
        n = readlinkat(fd, "", to, sizeof(to) - 1);
    close(fd);
    errno = ELOOP;
    if (n <= 0)
        return -1;
    to[n] = '\0';
    return link_target(path, file, to);
}

/* The directory may belong to the user that root becomes: a link of his own there
 * must not make root write where he could not. */
static int open_there(const char *file, int flags)
{
    char paths[2][TARGET_MAX];
    int fd = open(file, flags | O_NOFOLLOW, FILE_MODE);

    for (int i = 0; fd < 0 && errno == ELOOP && i < LINKS_MAX; i++) {
        if (link_follow(paths[i % 2], file) < 0)
            return -1;
        file = paths[i % 2];
        fd = open(file, flags | O_NOFOLLOW, FILE_MODE);
    }
    return fd;
}

/* A file that is made has the same mode at the start and after a rotation, when
 * the umask has become stricter. */
int logfile_open(const char *file, int *made)
{
    int fd = open(file, OPEN_FLAGS | O_EXCL, FILE_MODE);

    *made = fd >= 0;
    if (fd < 0)
        return errno == EEXIST ? open_there(file, OPEN_FLAGS) : -1;
    (void)fchmod(fd, FILE_MODE);
    return fd;
}

int logfile_try(const char *file)
{
    int made, fd = logfile_open(file, &made);

    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

/* Could this file, which is not there, be made?  It may be a link to where it would be. */
static int make_check(const char *file)
{
    const char *slash = strrchr(file, '/');
    int dir_len = slash == NULL ? 0 : (int)(slash - file) + 1;
    char path[TARGET_MAX], to[PATH_MAX];
    ssize_t n = readlink(file, to, sizeof(to) - 1);

    if (n > 0) {
        to[n] = '\0';
        return link_target(path, file, to) < 0 ? -1 : make_check(path); /* a circle would not have
                                                                         been ENOENT */
    }
    (void)snprintf(path, sizeof(path), "%.*s", dir_len, file);
    return faccessat(AT_FDCWD, dir_len > 0 ? path : ".", W_OK | X_OK, AT_EACCESS);
}

int logfile_check(const char *file)
{
    int fd = open_there(file, OPEN_FLAGS & ~O_CREAT);

    if (fd < 0)
        return errno == ENOENT ? make_check(file) : -1;
    close(fd);
    return 0;
}
