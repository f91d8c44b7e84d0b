/* conf/file - a small file read whole: the configuration, a key, a password.
 * Private to conf/. */
#ifndef CONF_FILE_H
#define CONF_FILE_H

#include <stddef.h>

struct file {
    char *text; /* terminated; may hold NULs before that */
    size_t len;
    int regular; /* no device, no fifo */
    int shared;  /* a regular file that everybody may read */
};

/* What may be read. */
enum file_kind {
    FILE_REGULAR, /* and /dev/null; nothing else is opened, and nothing waited for */
    FILE_ANY,     /* what comes through a fifo (a shell's <(...)) is waited for, up to 3 s */
    FILE_AT_ONCE, /* any, but nothing is waited for: who reads has others to serve */
};

/* Reads at most max bytes of the file called name.  Returns 0, or -1 with errno
 * set: EFBIG where there is more, FILE_EKIND where it is not of that kind, ETIMEDOUT
 * where it brings nothing in time.  Free *file with file_clear(). */
int file_read(struct file *file, const char *name, size_t max, enum file_kind kind);

#define FILE_EKIND EMEDIUMTYPE /* no call of the system sets it for what we read */

/* strerror() that knows it. */
const char *file_strerror(int error);

/* Takes one newline from its end, LF or CRLF, as editors leave it behind a secret. */
void file_chomp(struct file *file);

/* Frees the text and overwrites it first. */
void file_clear(struct file *file);

/* name as it is where it begins with '/' or dir is NULL, else below dir.
 * Allocated; NULL without memory. */
char *file_name(const char *dir, const char *name);

/* 1 if both are there and one file, by whatever names. */
int file_is_same(const char *one, const char *two);

#endif
