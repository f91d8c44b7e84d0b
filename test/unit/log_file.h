/* log_file - the log of what is tested, in a file, and how often it says something. */
#ifndef TEST_LOG_FILE_H
#define TEST_LOG_FILE_H

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char log_file[128]; /* set by the test, or by log_begin_at() */

/* Begins it anew. */
static inline void log_begin(void)
{
    unlink(log_file);
    if (log_open(LOG_TO_FILE, log_file, LOG_TEXT) < 0)
        exit(1);
}

/* The same in a file of its own, at that level. */
static inline void log_begin_at(enum log_level level)
{
    (void)snprintf(log_file, sizeof(log_file), "/tmp/axr-test-%ld.log", (long)getpid());
    log_set_level(level);
    log_begin();
}

/* Takes it away. */
static inline void log_end(void)
{
    log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    unlink(log_file);
}

/* How often the log says text. */
static inline int logged(const char *text)
{
    static char all[65536];
    FILE *file = fopen(log_file, "r");
    size_t len;
    int n = 0;

    if (file == NULL)
        return -1;
    len = fread(all, 1, sizeof(all) - 1, file);
    fclose(file);
    all[len] = '\0';
    for (const char *at = all; (at = strstr(at, text)) != NULL; at++)
        n++;
    return n;
}

#endif
