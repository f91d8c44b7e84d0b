#include "master/pidfile.h"

#include "base/log.h"
#include "master/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 10 /* a file may be taken away by its old owner while we open it */

static int complain(const char *path, struct buf *error)
{
    (void)buf_printf(error, "pid file %s: %s", path, strerror(errno));
    return -1;
}

static int complain_live(const char *path, pid_t pid, struct buf *error)
{
    (void)buf_printf(error, "pid file %s: axr-notifyd is running already, pid %ld", path,
                     (long)pid);
    return -1;
}

int pidfile_check(const char *path, struct buf *error)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int rc;

    if (fd < 0)
        return errno == ENOENT ? 0 : complain(path, error);
    rc = fcntl(fd, F_GETLK, &lock);
    if (rc < 0)
        rc = complain(path, error);
    else if (lock.l_type != F_UNLCK)
        rc = complain_live(path, lock.l_pid, error);
    close(fd);
    return rc;
}

/* Whether path still names what fd is. */
static int is_same(int fd, const char *path)
{
    struct stat here, there;

    return fstat(fd, &here) == 0 && lstat(path, &there) == 0 && here.st_dev == there.st_dev &&
           here.st_ino == there.st_ino;
}

/* The directory may belong to the user that root becomes: a second name there of a file elsewhere
 * must not have us overwrite that.  Returns 0, or -1 with errno. */
static int only_name(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -1;
    errno = EMLINK;
    return st.st_nlink <= 1 ? 0 : -1;
}

/* O_NOFOLLOW: likewise. */
static int open_locked(const char *path, struct buf *error)
{
    for (int i = 0; i < TRIES; i++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
        if (fd < 0)
            return complain(path, error);
        if (fcntl(fd, F_SETLK, &lock) < 0) {
            int denied = errno == EAGAIN || errno == EACCES;
            if (denied && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
                (void)complain_live(path, lock.l_pid, error);
            else
                (void)complain(path, error);
            close(fd);
            return -1;
        }
        if (only_name(fd) < 0) {
            (void)complain(path, error);
            close(fd);
            return -1;
        }
        if (is_same(fd, path))
            return fd;
        close(fd);
    }
    errno = EBUSY;
    return complain(path, error);
}

int pidfile_write(struct pidfile *pidfile, const char *path, struct buf *error)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    int fd = open_locked(path, error);

    if (fd < 0)
        return -1;
    /* fchmod: the umask is ours, the file is for everybody to read. */
    if (fchmod(fd, 0644) < 0 || ftruncate(fd, 0) < 0 || write(fd, text, (size_t)len) != len) {
        (void)complain(path, error);
        close(fd);
        return -1;
    }
    pidfile->fd = fd;
    pidfile->path = daemon_path(path);
    return 0;
}

void pidfile_remove(struct pidfile *pidfile)
{
    if (pidfile->fd < 0)
        return;
    if (is_same(pidfile->fd, pidfile->path) && unlink(pidfile->path) < 0)
        log_event(WARN, "pid_file_kept", "cannot remove the pid file[ {}: {}]",
                  LOG_STR("file", pidfile->path), LOG_ERRNO());
    close(pidfile->fd);
    free(pidfile->path);
    *pidfile = (struct pidfile){.fd = -1};
}
