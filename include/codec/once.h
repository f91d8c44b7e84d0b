/* once - a list of names, each of which is put into it once.
 *
 * Names come from outside, a million in one message: what a name costs must not grow with
 * their number, whoever chose them, so they are found by a keyed hash (siphash), with
 * random bytes of its own for a key.  A few are compared one by one. */
#ifndef CODEC_ONCE_H
#define CODEC_ONCE_H

#include "base/slices.h"

#include <stddef.h>
#include <stdint.h>

/* Which names are in a list of them; zero is one that knows of none. */
struct once {
    uint32_t *slots; /* indices in the list, plus 1 */
    size_t nslots, cap;
    uint8_t key[16];
};

/* Empties list, keeping its memory: from now on, once is about this one. */
void once_begin(struct once *once, struct slices *list);

/* Appends name (borrowed) to the list of once_begin() where it is not in it yet; nothing
 * else has been put there since.  Returns 1, 0 if it was there, -1 without memory. */
int once_put(struct once *once, struct slices *list, struct slice name);

/* Frees its memory; zero is one that has none, and valid. */
void once_clear(struct once *once);

#endif
