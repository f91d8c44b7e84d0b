/* utf8 - RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* 1 if the len bytes are valid UTF-8, else 0. */
int utf8_valid(const void *bytes, size_t len);

/* Length in bytes (1 to 4) of the valid sequence that bytes starts with, or 0
 * if it does not start with one; len > 0.  *point gets the code point where
 * point is not NULL. */
size_t utf8_next(const void *bytes, size_t len, uint32_t *point);

/* Writes point (a scalar value) to dst, at most 4 bytes; returns how many. */
size_t utf8_put(uint8_t dst[4], uint32_t point);

#endif
