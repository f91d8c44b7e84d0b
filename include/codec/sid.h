/* sid - ids of sessions as bytes, which say where a session lives: a process, and which
 * one of those that had its number.  128 or 64 of their bits are not to be guessed. */
#ifndef CODEC_SID_H
#define CODEC_SID_H

#include "base/slice.h"

#include <stdint.h>

#define SID_LEN      32 /* characters of an Engine.IO session id */
#define SID_RANDOM   16 /* bytes */
#define SIO_SID_LEN  20 /* characters of the Socket.IO id of an EIO4 client */
#define SIO_SID_HASH 8  /* bytes */

#define SIO_SID_BYTES 15 /* of a Socket.IO id, as bytes */

struct sid_home {
    uint32_t process;    /* 9 bits */
    uint32_t generation; /* 23 bits; of a Socket.IO id 15 */
    uint32_t index;      /* of the session, in its process */
};

/* 128 random bits, then where it lives; 0-terminated.  Returns SID_LEN. */
size_t sid_encode(char dst[SID_LEN + 1], const uint8_t random[SID_RANDOM],
                  const struct sid_home *home);
/* Where a well-formed one lives.  Returns 0, or -1 if it is none by its length and
 * characters; whether there is such a session, only its process knows. */
int sid_decode(struct slice sid, struct sid_home *home);

/* Where it lives, then 64 bits that give nothing of the session id away.  Not terminated;
 * returns SIO_SID_LEN. */
size_t sio_sid_encode(char dst[SIO_SID_LEN], uint64_t hash, const struct sid_home *home);
int sio_sid_decode(struct slice sid, struct sid_home *home);

/* The same from its bytes, of which any are well-formed. */
void sio_sid_home(const uint8_t raw[SIO_SID_BYTES], struct sid_home *home);

/* Either, by its length: a Socket.IO id of an EIO4 client, or an Engine.IO one. */
int sid_process(struct slice id, uint32_t *process);

#endif
