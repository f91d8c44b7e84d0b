/* nomem_nth - in the test that includes this, one allocation fails on demand, whichever
 * function it is asked of.  It is to be linked with --wrap for each of these (Makefile). */
#ifndef NOMEM_NTH_H
#define NOMEM_NTH_H

#include <errno.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__real_reallocarray(void *ptr, size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void *__wrap_reallocarray(void *ptr, size_t n, size_t size);

static int nomem_nth; /* which fails: 1 is the next; 0: none */

static int nomem_fails(void)
{
    if (nomem_nth == 0 || --nomem_nth > 0)
        return 0;
    errno = ENOMEM;
    return 1;
}

void *__wrap_malloc(size_t size)
{
    return nomem_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return nomem_fails() ? NULL : __real_calloc(n, size);
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
