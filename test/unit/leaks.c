/* leaks - LD_PRELOAD it (scripts/unit): a test program that ends with memory that it or the
 * library has allocated, or with a descriptor that it did not begin with, has failed.
 *
 * Only what the program's own code asks for is counted: malloc() and the like know by the
 * address to which they return.  What other libraries keep is theirs, and what libc allocates
 * for the program (asprintf(), getline()) is left to the sanitizer.
 *
 * What a variable of the program leads to is not lost: the log's file, a message that a test
 * keeps for its caller.  Its children are not looked at, nor what they execute. */
#include <dirent.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS    (1U << 20)
#define FDS_MAX  1024
#define SHOWN    10
#define DATA_MAX 4
#define STATUS   97 /* to exit with */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void __libc_free(void *ptr);

struct block {
    uintptr_t ptr; /* 0: free; 1: was one */
    uintptr_t caller;
    int held; /* a variable of the program leads to it: 1, and 2 when it has been looked into */
};

static struct block blocks[SLOTS];
static size_t nblocks;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uintptr_t base, text, text_end; /* of the program */
static struct {
    uintptr_t from;
    size_t len;
} data[DATA_MAX]; /* ... of its variables */
static size_t ndata;
static pid_t self; /* 0: not counting */
static char fds[FDS_MAX];

/* --- memory --- */

static struct block *find(uintptr_t ptr)
{
    for (size_t i = (ptr >> 4) % SLOTS;; i = (i + 1) % SLOTS) {
        if (blocks[i].ptr == ptr)
            return &blocks[i];
        if (blocks[i].ptr == 0)
            return NULL;
    }
}

static void put(void *block, const void *caller)
{
    uintptr_t ptr = (uintptr_t)block, at = (uintptr_t)caller;

    if (self == 0 || block == NULL || at < text || at >= text_end)
        return;
    pthread_mutex_lock(&lock);
    for (size_t i = (ptr >> 4) % SLOTS; nblocks < SLOTS / 2; i = (i + 1) % SLOTS) {
        if (blocks[i].ptr > 1)
            continue;
        blocks[i] = (struct block){ptr, at, 0};
        nblocks++;
        break;
    }
    pthread_mutex_unlock(&lock);
}

static void take(const void *block)
{
    struct block *found;

    if (self == 0 || block == NULL)
        return;
    pthread_mutex_lock(&lock);
    found = find((uintptr_t)block);
    if (found != NULL) {
        found->ptr = 1;
        nblocks--;
    }
    pthread_mutex_unlock(&lock);
}

void *malloc(size_t size)
{
    void *block = __libc_malloc(size);

    put(block, __builtin_return_address(0));
    return block;
}

void *calloc(size_t n, size_t size)
{
    void *block = __libc_calloc(n, size);

    put(block, __builtin_return_address(0));
    return block;
}

void *realloc(void *old, size_t size)
{
    void *block = __libc_realloc(old, size);

    if (block != NULL || size == 0)
        take(old);
    put(block, __builtin_return_address(0));
    return block;
}

void *reallocarray(void *old, size_t n, size_t size)
{
    void *block;
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    block = __libc_realloc(old, bytes);
    if (block != NULL || bytes == 0)
        take(old);
    put(block, __builtin_return_address(0));
    return block;
}

void free(void *block)
{
    take(block);
    __libc_free(block);
}

char *strndup(const char *from, size_t n)
{
    size_t len = strnlen(from, n);
    char *copy = __libc_malloc(len + 1);

    if (copy == NULL)
        return NULL;
    put(copy, __builtin_return_address(0));
    copy[len] = '\0';
    return memcpy(copy, from, len);
}

char *strdup(const char *from)
{
    size_t len = strlen(from);
    char *copy = __libc_malloc(len + 1);

    if (copy == NULL)
        return NULL;
    put(copy, __builtin_return_address(0));
    return memcpy(copy, from, len + 1);
}

/* --- descriptors --- */

/* Calls look() for each that is open but the one that this needs. */
static void each_fd(void (*look)(int fd))
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *item;

    while (dir != NULL && (item = readdir(dir)) != NULL) {
        int fd = atoi(item->d_name);

        if (item->d_name[0] != '.' && fd != dirfd(dir) && fd < FDS_MAX)
            look(fd);
    }
    if (dir != NULL)
        closedir(dir);
}

static int nfds;

static void fd_there(int fd)
{
    fds[fd] = 1;
}

static void fd_left(int fd)
{
    char name[64], what[256];
    ssize_t n;

    if (fds[fd] || nfds++ >= SHOWN)
        return;
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    n = readlink(name, what, sizeof(what) - 1);
    what[n < 0 ? 0 : n] = '\0';
    printf("# still open: %d, %s\n", fd, what);
}

/* --- from the start to the end --- */

static int program_text(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size, (void)arg;
    base = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];

        if (part->p_type == PT_LOAD && part->p_flags & PF_W && ndata < DATA_MAX) {
            data[ndata].from = base + part->p_vaddr;
            data[ndata++].len = part->p_memsz;
        }
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X))
            continue;
        text = info->dlpi_addr + part->p_vaddr;
        text_end = text + part->p_memsz;
    }
    return 1; /* the first is the program */
}

static void __attribute__((constructor)) begin(void)
{
    unsetenv("LD_PRELOAD");
    dl_iterate_phdr(program_text, NULL);
    each_fd(fd_there);
    self = getpid();
}

/* What these bytes point to is held. */
static void hold(uintptr_t from, size_t len)
{
    for (size_t at = 0; at + sizeof(uintptr_t) <= len; at += sizeof(uintptr_t)) {
        uintptr_t word = *(const uintptr_t *)(from + at);
        struct block *block = word > 1 ? find(word) : NULL;

        if (block != NULL && block->held == 0)
            block->held = 1;
    }
}

/* Returns how many are not held by a variable of the program, or by what one holds. */
static size_t blocks_lost(void)
{
    size_t lost = nblocks;
    int again = 1;

    for (size_t i = 0; i < ndata; i++)
        hold(data[i].from, data[i].len);
    while (again) {
        again = 0;
        for (size_t i = 0; i < SLOTS; i++) {
            if (blocks[i].ptr <= 1 || blocks[i].held != 1)
                continue;
            blocks[i].held = 2;
            lost--;
            again = 1;
            hold(blocks[i].ptr, malloc_usable_size((void *)blocks[i].ptr));
        }
    }
    return lost;
}

static void blocks_show(size_t lost)
{
    size_t shown = 0;

    printf("# not freed: %zu blocks\n", lost);
    for (size_t i = 0; i < SLOTS && shown < SHOWN; i++)
        if (blocks[i].ptr > 1 && blocks[i].held == 0 && shown++ < SHOWN)
            printf("#   allocated at %#lx (addr2line -ife PROGRAM)\n",
                   (unsigned long)(blocks[i].caller - base - 1));
}

static void __attribute__((destructor)) end(void)
{
    size_t lost;

    if (self != getpid())
        return;
    self = 0;
    each_fd(fd_left);
    lost = blocks_lost();
    if (lost > 0)
        blocks_show(lost);
    fflush(NULL);
    if (lost > 0 || nfds > 0)
        _exit(STATUS);
}
