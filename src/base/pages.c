#include "base/pages.h"

#include <malloc.h>

#if PAGES_WATCHED

#include <stdlib.h>

void *pages_alloc(size_t size)
{
    return calloc(1, size);
}

void pages_free(void *at, size_t size)
{
    (void)size;
    free(at);
}

#else

#include <sys/mman.h>

void *pages_alloc(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return at != MAP_FAILED ? at : NULL;
}

void pages_free(void *at, size_t size)
{
    /* Where a hole would be one mapping too many, the address is lost, not the memory. */
    if (munmap(at, size) < 0)
        (void)madvise(at, size, MADV_DONTNEED);
}

#endif

void pages_trim(void)
{
    (void)malloc_trim(0);
}
