/* rand - random bytes from the kernel (through OpenSSL's generator, reseeded
 * after fork).  Ends the process if there are none: ids must not be guessable.
 * Some are drawn in advance: what is given is cleared there, and after a fork the
 * child drops what is left and draws its own.  For one thread. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

void rand_bytes(void *dst, size_t len);

/* Uniform in [0, bound); bound > 0.  For jitter, not for secrets. */
uint32_t rand_below(uint32_t bound);

#endif
