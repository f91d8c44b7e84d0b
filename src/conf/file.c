#include "conf/file.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define WAIT_MS 3000

/* Returns 0 if there may be more, -1 with errno if not by then. */
static int wait_for(int fd, uint64_t end_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    uint64_t now_ms = clock_ms();

    errno = ETIMEDOUT;
    if (now_ms >= end_ms)
        return -1;
    return poll(&poll_fd, 1, (int)(end_ms - now_ms)) < 0 && errno != EINTR ? -1 : 0;
}

/* Fills what was allocated for it: max + 1 bytes. */
static int read_all(int fd, struct file *file, size_t max, uint64_t wait_ms)
{
    uint64_t end_ms = clock_ms() + wait_ms;

    while (file->len <= max) {
        ssize_t n = read(fd, file->text + file->len, max + 1 - file->len);

        if (n < 0 && errno == EAGAIN && wait_for(fd, end_ms) == 0)
            continue; /* and if nothing came, that is seen there the next time */
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0) {
            file->text[file->len] = '\0';
            return 0;
        }
        file->len += (size_t)n;
    }
    errno = EFBIG;
    return -1;
}

static int is_null(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

static int is_kind(const struct stat *st, enum file_kind kind)
{
    if (kind != FILE_REGULAR || S_ISREG(st->st_mode) || is_null(st))
        return 1;
    errno = S_ISDIR(st->st_mode) ? EISDIR : FILE_EKIND;
    return 0;
}

/* To open a device may do something: it is looked at before, and after it was opened,
 * for it may be another by then. */
static int open_kind(const char *name, enum file_kind kind, struct stat *st)
{
    int fd;

    if (stat(name, st) < 0 || !is_kind(st, kind))
        return -1;
    fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -1;
    if (fstat(fd, st) == 0 && is_kind(st, kind))
        return fd;
    close(fd);
    return -1;
}

int file_read(struct file *file, const char *name, size_t max, enum file_kind kind)
{
    struct stat st;
    int fd, saved, result = -1;

    memset(file, 0, sizeof(*file));
    fd = open_kind(name, kind, &st);
    if (fd < 0)
        return -1;
    file->text = malloc(max + 1);
    if (file->text == NULL)
        goto out;
    file->regular = S_ISREG(st.st_mode);
    file->shared = file->regular && (st.st_mode & S_IROTH);
    result = read_all(fd, file, max, kind == FILE_ANY && !file->regular ? WAIT_MS : 0);
    /* Nothing to wait for, and yet not at its end: /proc/kmsg, which is a regular file
     * by its mode only. */
    if (result < 0 && file->regular && errno == ETIMEDOUT)
        errno = FILE_EKIND;
out:
    saved = errno;
    close(fd);
    if (result < 0)
        file_clear(file);
    errno = saved;
    return result;
}

const char *file_strerror(int error)
{
    return error == FILE_EKIND ? "it is no regular file" : strerror(error);
}

void file_chomp(struct file *file)
{
    if (file->len == 0 || file->text[file->len - 1] != '\n')
        return;
    file->len--;
    if (file->len > 0 && file->text[file->len - 1] == '\r')
        file->len--;
    file->text[file->len] = '\0';
}

void file_clear(struct file *file)
{
    if (file->text != NULL)
        explicit_bzero(file->text, file->len);
    free(file->text);
    memset(file, 0, sizeof(*file));
}

char *file_name(const char *dir, const char *name)
{
    char *full;

    if (dir == NULL || name[0] == '/')
        return strdup(name);
    if (asprintf(&full, "%s/%s", dir, name) < 0)
        return NULL;
    return full;
}

int file_is_same(const char *one, const char *two)
{
    struct stat a, b;

    return stat(one, &a) == 0 && stat(two, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}
