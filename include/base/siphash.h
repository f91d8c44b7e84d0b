/* siphash - SipHash-2-4 (Aumasson and Bernstein, 2012), the keyed hash of every
 * table whose keys come from outside, so that nobody can choose collisions. */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const uint8_t key[16], const void *bytes, size_t len);

#endif
