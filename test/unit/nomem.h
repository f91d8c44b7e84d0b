/* nomem - in the test that includes this, growing memory fails on demand.  It is to be
 * linked with --wrap for both (Makefile). */
#ifndef NOMEM_H
#define NOMEM_H

#include <errno.h>
#include <stdlib.h>

void *__real_realloc(void *ptr, size_t size);
void *__real_reallocarray(void *ptr, size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void *__wrap_reallocarray(void *ptr, size_t n, size_t size);

static int nomem; /* so many more fail */

static int nomem_fails(void)
{
    if (nomem <= 0)
        return 0;
    nomem--;
    errno = ENOMEM;
    return 1;
}

void *__wrap_realloc(void *ptr, size_t size)
{
    return nomem_fails() ? NULL : __real_realloc(ptr, size);
}

void *__wrap_reallocarray(void *ptr, size_t n, size_t size)
{
    return nomem_fails() ? NULL : __real_reallocarray(ptr, n, size);
}

#endif
