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
#include <unistd.h>

#define WAIT_MS 3000

/* What comes through a fifo (a shell's <(...)) is waited for, but not for ever: a
 * daemon that reads its configuration again serves nobody meanwhile. */
static int wait_for(int fd, uint64_t end_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    uint64_t now_ms = clock_ms();
    int n = poll(&poll_fd, 1, now_ms < end_ms ? (int)(end_ms - now_ms) : 0);

    if (n == 0)
        errno = ETIMEDOUT;
    return n > 0 || (n < 0 && errno == EINTR) ? 0 : -1;
}

/* Fills what was allocated for it: max + 1 bytes. */
static int read_all(int fd, struct file *file, size_t max)
{
    uint64_t end_ms = clock_ms() + WAIT_MS;

    while (file->len <= max) {
        ssize_t n = read(fd, file->text + file->len, max + 1 - file->len);

        if (n < 0 && errno == EAGAIN && wait_for(fd, end_ms) == 0)
            continue;
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

int file_read(struct file *file, const char *name, size_t max)
{
    struct stat st;
    int fd, saved, result = -1;

    memset(file, 0, sizeof(*file));
    fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -1;
    file->text = malloc(max + 1);
    if (!file->text || fstat(fd, &st) < 0)
        goto out;
    file->regular = S_ISREG(st.st_mode);
    file->shared = file->regular && (st.st_mode & S_IROTH);
    result = read_all(fd, file, max);
out:
    saved = errno;
    close(fd);
    if (result < 0)
        file_clear(file);
    errno = saved;
    return result;
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
    if (file->text)
        explicit_bzero(file->text, file->len);
    free(file->text);
    memset(file, 0, sizeof(*file));
}

char *file_name(const char *dir, const char *name)
{
    char *full;

    if (!dir || name[0] == '/')
        return strdup(name);
    if (asprintf(&full, "%s/%s", dir, name) < 0)
        return NULL;
    return full;
}
