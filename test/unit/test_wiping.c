/* What OpenSSL frees while this is on is overwritten, and stays as it is else. */
#include "base/wiping.h"

#include "tap.h"

#include <openssl/crypto.h>

static void *wiped; /* what was overwritten last */
static size_t wiped_len;

/* In place of the library's, with the name that it has in a build that checks sizes. */
void explicit_bzero(void *bytes, size_t n)
{
    wiped = bytes;
    wiped_len = n;
    memset(bytes, 0, n);
}

void __explicit_bzero_chk(void *bytes, size_t n, size_t cap);
void __explicit_bzero_chk(void *bytes, size_t n, size_t cap)
{
    (void)cap;
    explicit_bzero(bytes, n);
}

/* Was it that?  (Nobody looks into it: it has been freed.) */
static int was_wiped(uintptr_t block, size_t n)
{
    int yes = (uintptr_t)wiped == block && wiped_len >= n;

    wiped = NULL;
    return yes;
}

#define SIZE 500

static void test_free(void)
{
    char *bytes = OPENSSL_malloc(SIZE);

    OPENSSL_free(bytes);
    ok(wiped == NULL, "off: what is freed is left as it was");
    wiping_begin();
    bytes = OPENSSL_malloc(SIZE);
    uintptr_t block = (uintptr_t)bytes;
    OPENSSL_free(bytes);
    ok(was_wiped(block, SIZE), "on: it is overwritten");
    OPENSSL_free(NULL);
    ok(wiped == NULL, "nothing is not");
    wiping_end();
}

static void test_grow(void)
{
    char *bytes;
    uintptr_t block;

    wiping_begin();
    bytes = OPENSSL_malloc(SIZE);
    block = (uintptr_t)bytes;
    memset(bytes, 'x', SIZE);
    bytes = OPENSSL_realloc(bytes, 100000);
    ok(bytes != NULL && bytes[0] == 'x' && bytes[SIZE - 1] == 'x', "what grows goes along");
    ok(was_wiped(block, SIZE), "and is not left where it was");
    block = (uintptr_t)bytes;
    bytes = OPENSSL_realloc(bytes, 10);
    ok(bytes != NULL && memcmp(bytes, "xxxxxxxxxx", 10) == 0 && was_wiped(block, 100000),
       "so is what shrinks");
    block = (uintptr_t)bytes;
    ok(OPENSSL_realloc(bytes, 0) == NULL && was_wiped(block, 10), "to nothing");
    bytes = OPENSSL_realloc(NULL, 10);
    ok(bytes != NULL, "from nothing");
    OPENSSL_free(bytes);
    wiping_end();
    wiped = NULL;
    bytes = OPENSSL_realloc(OPENSSL_malloc(10), 20);
    ok(bytes != NULL && wiped == NULL, "off, as ever");
    OPENSSL_free(bytes);
    ok(OPENSSL_malloc(0) == NULL, "nothing is nothing");
}

int main(void)
{
    wiping_install();
    test_free();
    test_grow();
    return tap_done();
}
