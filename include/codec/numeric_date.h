/* numeric_date - the times of a token (RFC 7519, 2, NumericDate): seconds since 1970, a
 * JSON number, which may have a fraction and an exponent. */
#ifndef CODEC_NUMERIC_DATE_H
#define CODEC_NUMERIC_DATE_H

#include <stdint.h>

#define NUMERIC_DATE_MAX_S ((int64_t)1 << 53)

enum numeric_date {
    NUMERIC_DATE_BAD = -1, /* no number, or more than NUMERIC_DATE_MAX_S away from 1970 */
    NUMERIC_DATE_FINE,
    NUMERIC_DATE_FAR, /* after the year 3000, and no time of this century in milliseconds */
    NUMERIC_DATE_MS,  /* after the year 3000 in seconds: taken for milliseconds */
};

/* Reads json, which is terminated and a JSON value without white space.  *ms is the first
 * whole millisecond since 1970 that is not before the time: a clock of milliseconds is
 * before the one exactly where it is before the other. */
enum numeric_date numeric_date_parse(const char *json, int64_t *ms);

#endif
