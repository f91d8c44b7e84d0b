#include "base/clock.h"
#include "tap.h"

#include <time.h>

int main(void)
{
    uint64_t first = clock_ms(), last = first, now;
    int back = 0;

    ok(first > 0, "the clock runs");
    for (int i = 0; i < 10000; i++) {
        now = clock_ms();
        back += now < last;
        last = now;
    }
    is_int(back, 0, "it never goes back");
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    now = clock_ms() - last;
    ok(now >= 19, "20 ms are at least 19 (got %d)", (int)now);
    first = clock_ms();
    now = clock_us();
    last = clock_ms();
    ok(first * 1000 <= now && now < (last + 1) * 1000, "microseconds are of the same clock");
    ok(clock_wall_ms() / 1000 - (int64_t)time(NULL) <= 1, "the wall clock is in milliseconds");
    return tap_done();
}
