/* siphash - SipHash-2-4 (Aumasson and Bernstein, 2012), the keyed hash of every
 * table whose keys come from outside, so that nobody can choose collisions. */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const uint8_t key[16], const void *bytes, size_t len);

/* The same of bytes that lie in several places, one after the other. */
struct siphash {
    uint64_t v[4];
    uint64_t tail; /* what has not filled a word, its first byte lowest */
    uint64_t len;  /* all that came */
};

void siphash_begin(struct siphash *hash, const uint8_t key[16]);
void siphash_put(struct siphash *hash, const void *bytes, size_t len);
uint64_t siphash_end(const struct siphash *hash);

#endif
