/* mem - allocation for the start only: each call succeeds or ends the process
 * with a line in the log.  After the start use malloc and lose one client or
 * one message instead. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *str);
char *xstrndup(const char *str, size_t len);

#endif
