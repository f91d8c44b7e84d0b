/* Loaded before a program (LD_PRELOAD): lets one allocation in n fail, in the
 * processes and from the time that a file says, which AXR_FAIL_FILE names. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The file, of which the test writes the first two. */
struct orders {
    int64_t one_in;  /* 0: none fails */
    int64_t but_pid; /* where this is the process, none fails; negative: only there */
    int64_t failed;  /* how many have */
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *ptr, size_t size);

void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *ptr, size_t size);

static volatile struct orders *orders;
static int64_t self;
static uint32_t random_state = 2463534242;

static void know_self(void)
{
    self = getpid();
    random_state ^= (uint32_t)self;
}

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("AXR_FAIL_FILE");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    void *at = MAP_FAILED;
    if (fd >= 0) {
        at = mmap(NULL, sizeof(struct orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
    }
    if (at == MAP_FAILED)
        return;
    know_self();
    pthread_atfork(NULL, NULL, know_self);
    orders = at;
}

static int fails(void)
{
    if (!orders || orders->one_in <= 0)
        return 0;
    int64_t but = orders->but_pid;
    if (but == self || (but < 0 && -but != self))
        return 0;
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    if (random_state % (uint64_t)orders->one_in)
        return 0;
    __atomic_add_fetch(&orders->failed, 1, __ATOMIC_RELAXED);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

/* Memory only: a file is another matter. */
void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    if (flags & MAP_ANONYMOUS && fails())
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, len, prot, flags, fd, offset);
}

void *realloc(void *ptr, size_t size)
{
    return fails() ? NULL : __libc_realloc(ptr, size);
}
