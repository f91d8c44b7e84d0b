/* What OpenSSL frees while this is on is overwritten, and stays as it is else. */
#include "base/wiping.h"

#include "tap.h"

#include <dlfcn.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

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

#define SIZE    500
#define CHILD_S 20 /* one that hangs is ended, and has not got to either */

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

/* --- without memory --------------------------------------------------------------- */

static CRYPTO_malloc_fn takes;
static int left = -1; /* so many allocations, and none after them; negative: all */

static void *take(size_t n, const char *file, int line)
{
    if (left == 0)
        return NULL;
    if (left > 0)
        left--;
    return takes(n, file, line);
}

/* In place of the library's. */
int CRYPTO_set_mem_functions(CRYPTO_malloc_fn new_takes, CRYPTO_realloc_fn grows,
                             CRYPTO_free_fn gives)
{
    int (*set)(CRYPTO_malloc_fn, CRYPTO_realloc_fn, CRYPTO_free_fn);

    *(void **)&set = dlsym(RTLD_NEXT, "CRYPTO_set_mem_functions");
    takes = new_takes;
    return set(take, grows, gives);
}

/* Returns '-' where wiping_install() refuses, with memory for so many pieces of OpenSSL's, '+'
 * where OpenSSL can be called after it, or 0 if neither was got to. */
static char with_pieces(int pieces)
{
    int fds[2], status;
    char how = 0;
    pid_t pid;

    if (pipe(fds) < 0)
        return 0;
    pid = fork();
    if (pid == 0) {
        alarm(CHILD_S);
        left = pieces;
        how = wiping_install() < 0 ? '-' : '+';
        if (how == '+')
            EVP_MD_free(EVP_MD_fetch(NULL, "SHA256", NULL));
        if (write(fds[1], &how, 1) == 1)
            raise(SIGKILL); /* nobody looks for what OpenSSL has lost */
        _exit(1);
    }
    close(fds[1]);
    if (read(fds[0], &how, 1) < 1)
        how = 0;
    close(fds[0]);
    (void)waitpid(pid, &status, 0);
    return how;
}

static void test_no_memory(void)
{
    int refused = 0, taken = 0;

    /* With fewer than ten OpenSSL 3.5 waits for a lock of its own for ever. */
    for (int i = 12; i < 102; i += 3) {
        char how = with_pieces(i);

        refused += how == '-';
        taken += how == '+';
    }
    ok(refused > 0 && taken > 0, "some memory has to be there: %d, %d", refused, taken);
    is_int(refused + taken, 30, "with which OpenSSL may be called");
}

int main(void)
{
    test_no_memory();
    is_int(wiping_install(), 0, "installed");
    test_free();
    test_grow();
    return tap_done();
}
