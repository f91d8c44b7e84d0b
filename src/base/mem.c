#include "base/mem.h"
#include "base/log.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *check(void *ptr, size_t size)
{
    if (ptr == NULL)
        log_fatal("memory_none", "out of memory[: bytes={}]", LOG_UINT("bytes", size));
    return ptr;
}

/* malloc(0) may return NULL without being out of memory: one byte never does. */
void *xmalloc(size_t size)
{
    return check(malloc(size ? size : 1), size);
}

void *xcalloc(size_t n, size_t size)
{
    if (n == 0 || size == 0)
        n = size = 1;
    return check(calloc(n, size), n > SIZE_MAX / size ? SIZE_MAX : n * size);
}

void *xrealloc(void *ptr, size_t size)
{
    return check(realloc(ptr, size ? size : 1), size);
}

char *xstrdup(const char *str)
{
    return check(strdup(str), strlen(str) + 1);
}

char *xstrndup(const char *str, size_t len)
{
    return check(strndup(str, len), len + 1);
}
