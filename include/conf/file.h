/* conf/file - a small file read whole: the configuration, a key, a password.
 * Private to conf/. */
#ifndef CONF_FILE_H
#define CONF_FILE_H

#include <stddef.h>

struct file {
    char *text; /* terminated; may hold NULs before that */
    size_t len;
    int regular; /* no device, no fifo */
    int shared;  /* ... and everybody may read it */
};

/* Reads at most max bytes of the file called name.  Returns 0, or -1 with errno
 * set (EFBIG where there is more, ETIMEDOUT where a fifo brings nothing for 3 s).  Free *file with
 * file_clear(). */
int file_read(struct file *file, const char *name, size_t max);

/* Takes one newline from its end, LF or CRLF, as editors leave it behind a secret. */
void file_chomp(struct file *file);

/* Frees the text and overwrites it first. */
void file_clear(struct file *file);

/* name as it is where it begins with '/' or dir is NULL, else below dir.
 * Allocated; NULL without memory. */
char *file_name(const char *dir, const char *name);

#endif
