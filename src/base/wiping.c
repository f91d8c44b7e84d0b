#include "base/wiping.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

static int is_on;

static void *take(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return n > 0 ? malloc(n) : NULL;
}

static void give(void *bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    if (is_on && bytes != NULL)
        explicit_bzero(bytes, malloc_usable_size(bytes));
    free(bytes);
}

static void *grow(void *bytes, size_t n, const char *file, int line)
{
    size_t old = bytes != NULL && is_on ? malloc_usable_size(bytes) : 0;
    void *grown;

    if (n == 0) {
        give(bytes, file, line);
        return NULL;
    }
    if (old == 0)
        return realloc(bytes, n);
    grown = malloc(n); /* realloc() would leave the bytes where they were */
    if (grown != NULL) {
        memcpy(grown, bytes, old < n ? old : n);
        give(bytes, file, line);
    }
    return grown;
}

int wiping_install(void)
{
    (void)CRYPTO_set_mem_functions(take, grow, give);
    /* Without it OpenSSL ends the process where it is made use of. */
    return OSSL_LIB_CTX_get0_global_default() != NULL ? 0 : -1;
}

void wiping_begin(void)
{
    is_on = 1;
}

void wiping_end(void)
{
    is_on = 0;
}
