/* shift - a wall clock that jumps, for one program: LD_PRELOAD it, and every
 * reading of the wall clock is off by the seconds (int64_t, native) that are in the
 * file SHIFT_FILE at that moment.  The monotonic clock goes on, as in a real jump.
 * The file is mapped once, at the start: no system call is made later. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *seconds;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

static void __attribute__((constructor)) begin(void)
{
    const char *file = getenv("SHIFT_FILE");
    int fd = file == NULL ? -1 : open(file, O_RDONLY | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*seconds), PROT_READ, MAP_SHARED, fd, 0);

    if (map == MAP_FAILED)
        abort();
    close(fd);
    seconds = map;
    *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = real_clock_gettime(clock, now);

    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += *seconds;
    return result;
}

time_t time(time_t *dst)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (dst != NULL)
        *dst = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *dst, void *zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    dst->tv_sec = now.tv_sec;
    dst->tv_usec = now.tv_nsec / 1000;
    return 0;
}
