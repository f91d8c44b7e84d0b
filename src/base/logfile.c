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

/* The directory may belong to the user that root becomes: a link of his own there
 * must not make root write where he could not. */
static int open_there(const char *file, int flags)
{
    struct stat st;
    int fd = open(file, flags | O_NOFOLLOW, FILE_MODE);

    if (fd >= 0 || errno != ELOOP)
        return fd;
    if (lstat(file, &st) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()))
        return open(file, flags, FILE_MODE);
    errno = ELOOP;
    return -1;
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
    char path[2 * PATH_MAX], to[PATH_MAX];
    ssize_t n = readlink(file, to, sizeof(to) - 1);

    if (n > 0) {
        to[n] = '\0';
        (void)snprintf(path, sizeof(path), "%.*s%s", to[0] == '/' ? 0 : dir_len, file, to);
        return make_check(path); /* a circle would not have been ENOENT */
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
