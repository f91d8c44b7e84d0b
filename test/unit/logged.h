/* logged - what the test's own process has logged, in a file that nobody else sees. */
#ifndef TEST_LOGGED_H
#define TEST_LOGGED_H

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char logged_path[] = "/tmp/axr-logged.XXXXXX";

/* From now on, at that level; logged_end() takes the file away. */
static inline void logged_begin(enum log_level level)
{
    int fd = mkstemp(logged_path);

    if (fd < 0)
        abort();
    close(fd);
    log_set_level(level);
    if (log_open(LOG_TO_FILE, logged_path, LOG_TEXT) < 0)
        abort();
}

static inline void logged_end(void)
{
    unlink(logged_path);
}

/* How many lines have that in them, since the last logged_forget(). */
static inline int logged(const char *text)
{
    FILE *in = fopen(logged_path, "r");
    char line[4200];
    int n = 0;

    while (in != NULL && fgets(line, sizeof(line), in) != NULL)
        n += strstr(line, text) != NULL;
    if (in != NULL)
        fclose(in);
    return n;
}

static inline void logged_forget(void)
{
    if (truncate(logged_path, 0) < 0)
        abort();
}

#endif
