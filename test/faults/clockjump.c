/* Loaded before a program (LD_PRELOAD): puts its wall clock off by the seconds that
 * a file says, which AXR_CLOCK_FILE names.  The monotonic clock goes on as it does. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *offset_s;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("AXR_CLOCK_FILE");
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    void *at = MAP_FAILED;
    if (fd >= 0) {
        at = mmap(NULL, sizeof *offset_s, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
    }
    if (at != MAP_FAILED)
        offset_s = at;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    /* The first call may come before the constructor. */
    if (!real_clock_gettime)
        real_clock_gettime =
            (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real_clock_gettime(clock, now);
    if (rc == 0 && offset_s && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += *offset_s;
    return rc;
}

time_t time(time_t *at)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    struct timespec now = {0, 0};
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) < 0)
        return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
