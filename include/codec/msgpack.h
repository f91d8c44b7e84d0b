/* msgpack - a reader for the msgpack format (msgpack/msgpack, spec.md) that
 * allocates nothing: each call gives one item, and what it points to is in the
 * input.
 *
 * Emitters have written three dialects of it.  They differ in what some head
 * bytes and extension types mean, so a dialect is a table of just that, and the
 * reader is one.  Two tables do for the three: the extension types of
 * msgpack-lite have other numbers than those of notepack.io, and the head bytes
 * are the same. */
#ifndef CODEC_MSGPACK_H
#define CODEC_MSGPACK_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

enum msgpack_type {
    MSGPACK_INVALID, /* of a table entry: no such head byte */
    MSGPACK_NIL,
    MSGPACK_UNDEFINED,
    MSGPACK_BOOL,   /* u: 0 or 1 */
    MSGPACK_UINT,   /* u */
    MSGPACK_INT,    /* i; also where it is not negative */
    MSGPACK_FLOAT,  /* f; also of 32 bits */
    MSGPACK_DATE,   /* f: milliseconds since 1970, may be out of range */
    MSGPACK_STR,    /* bytes, len: not checked to be UTF-8 */
    MSGPACK_BIN,    /* bytes, len */
    MSGPACK_ARRAY,  /* len elements follow */
    MSGPACK_MAP,    /* len pairs of key and value follow */
    MSGPACK_EXT,    /* bytes, len, ext: a type that the dialect does not know */
    MSGPACK_VECTOR, /* bytes, len, ext: a typed array of len numbers, see
                       msgpack_vector_at() */
    MSGPACK_ERROR,  /* bytes, len: what should be a map of an Error's properties, to be
                       read in its turn */
};

struct msgpack_item {
    enum msgpack_type type;
    uint32_t len;
    int8_t ext;
    union {
        uint64_t u;
        int64_t i;
        double f;
        const char *bytes;
    };
};

/* Those of an item that has bytes. */
static inline struct slice msgpack_slice(const struct msgpack_item *item)
{
    return (struct slice){item->bytes, item->len};
}

/* What a head byte from 0xc0 to 0xdf announces. */
struct msgpack_form {
    uint8_t type;  /* enum msgpack_type */
    uint8_t field; /* bytes of the number, or of the length, that follows */
    uint8_t fixed; /* where field is 0: the length, or the boolean */
};

struct msgpack_dialect {
    const char *name;
    struct msgpack_form forms[32]; /* of 0xc0 to 0xdf; the others never differ */
    /* Turns an item of type MSGPACK_EXT into what its extension type means;
     * leaves it if that is unknown.  fixed: its length was in the head byte.
     * Returns 0, or -1 if no encoder of this dialect writes such an item.  NULL:
     * all are unknown. */
    int (*ext)(struct msgpack_item *item, int fixed);
};

/* What the specification says, with the extension types of notepack.io 1 to 3:
 *   -1, of 4, 8 or 12 bytes     date (the timestamp of the specification)
 *    0, in the head byte d4     undefined
 *    0, in the head byte d7     date, signed milliseconds
 *    0, in c7, c8, c9           binary, even of 1 or 8 bytes
 *    0, in the head byte d8     none: a buffer of msgpack-js, of up to 255 bytes
 * Written by socket.io-emitter 3, @socket.io/redis-emitter 4 and 5, socket.io-redis
 * 5 and 6, @socket.io/redis-adapter 7 and 8, and most emitters in other languages.
 *
 * And with those of msgpack-lite 0.1 (socket.io-emitter 2, socket.io-redis 3 and 4):
 *   01 to 06, 0e                an Error; what is in it is msgpack
 *   0b, 0c, 0f                  a boolean, string or number; likewise
 *   0d                          date, milliseconds; likewise
 *   0a, 1d                      RegExp and DataView: a map without pairs, which is
 *                               all that JSON.stringify sees of them
 *   11 to 19                    a typed array, its numbers in little endian
 *   1a, 1b                      binary
 * One of these that does not hold what it should stays of unknown type. */
extern const struct msgpack_dialect msgpack_modern;

/* msgpack-js 0.3, which took over bytes that the format had not used yet:
 *   c4                          undefined
 *   d8, d9                      binary, with two or four bytes of length
 * and no extensions, no bin, no str 8.  Written by socket.io-emitter 0 and 1,
 * socket.io-redis 1 and 2, and by emitters in PHP for binary. */
extern const struct msgpack_dialect msgpack_js;

/* Head bytes that were met.  A bin 8 beside a str 16 of fewer than 256 bytes, for
 * which str 8 would do: no modern encoder is known to write both. */
enum msgpack_seen {
    MSGPACK_SEEN_BIN8 = 1 << 0,
    MSGPACK_SEEN_SHORT_STR16 = 1 << 1,
    MSGPACK_SEEN_BOTH = 3
};

struct msgpack_reader {
    const uint8_t *at, *end; /* what has not been read */
    const struct msgpack_dialect *dialect;
    unsigned seen; /* enum msgpack_seen */
};

/* Reads from input, which must outlive the items. */
struct msgpack_reader msgpack_read(struct slice input, const struct msgpack_dialect *dialect);

/* Reads one item; of an array or map only its head.  A length, or a number of
 * elements, is never more than the bytes that are left.  Returns 0, or -1 if
 * the input is malformed or ends within the item. */
int msgpack_next(struct msgpack_reader *reader, struct msgpack_item *item);

/* Reads over n whole values, however deep they nest.  Returns 0 or -1 likewise. */
int msgpack_skip(struct msgpack_reader *reader, size_t n);

/* Reads over the elements of item, which msgpack_next() has just returned; if
 * it is not an array or map, there are none. */
int msgpack_leave(struct msgpack_reader *reader, const struct msgpack_item *item);

/* Number i, less than len, of a MSGPACK_VECTOR: a MSGPACK_UINT, MSGPACK_INT or
 * MSGPACK_FLOAT. */
struct msgpack_item msgpack_vector_at(const struct msgpack_item *vector, uint32_t i);

#endif
