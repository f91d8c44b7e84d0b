/* clock - monotonic milliseconds, for every deadline.  The wall clock is asked
 * only where a token's exp and nbf are judged and a log line is dated. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since some point before the process started; never goes back. */
uint64_t clock_ms(void);

/* The same in microseconds, of the same clock and the same in every process. */
uint64_t clock_us(void);

/* Milliseconds since 1970 by the wall clock, which may jump. */
int64_t clock_wall_ms(void);

#endif
