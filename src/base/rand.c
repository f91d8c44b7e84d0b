#include "base/rand.h"
#include "base/log.h"

#include <openssl/rand.h>

#include <assert.h>

#define CHUNK_MAX_BYTES (1 << 20) /* RAND_bytes counts in int */

void rand_bytes(void *dst, size_t len)
{
    unsigned char *at = dst;

    while (len > 0) {
        size_t n = len < CHUNK_MAX_BYTES ? len : CHUNK_MAX_BYTES;

        if (RAND_bytes(at, (int)n) != 1)
            fatalx("no random bytes to be had");
        at += n;
        len -= n;
    }
}

/* The high half of a 32 x 32 bit product is uniform once the few low halves
 * that would favour some results are rejected. */
uint32_t rand_below(uint32_t bound)
{
    uint32_t reject;
    uint64_t product;

    assert(bound > 0);
    reject = -bound % bound;
    do {
        uint32_t value;

        rand_bytes(&value, sizeof(value));
        product = (uint64_t)value * bound;
    } while ((uint32_t)product < reject);
    return (uint32_t)(product >> 32);
}
