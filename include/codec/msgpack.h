/* msgpack - a reader for the msgpack format (msgpack/msgpack, spec.md) that
 * allocates nothing: each call gives one item, and what it points to is in the
 * input.
 *
 * Emitters have written three dialects of it.  They differ in what some head
 * bytes and extension types mean, so a dialect is a table of just that, and the
 * reader is one. */
#ifndef CODEC_MSGPACK_H
#define CODEC_MSGPACK_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

enum msgpack_type {
    MSGPACK_INVALID, /* of a table entry: no such head byte */
    MSGPACK_NIL,
    MSGPACK_UNDEFINED,
    MSGPACK_BOOL,  /* u: 0 or 1 */
    MSGPACK_UINT,  /* u */
    MSGPACK_INT,   /* i; also where it is not negative */
    MSGPACK_FLOAT, /* f; also of 32 bits */
    MSGPACK_DATE,  /* f: milliseconds since 1970, may be out of range */
    MSGPACK_STR,   /* bytes, len: not checked to be UTF-8 */
    MSGPACK_BIN,   /* bytes, len */
    MSGPACK_ARRAY, /* len elements follow */
    MSGPACK_MAP,   /* len pairs of key and value follow */
    MSGPACK_EXT,   /* bytes, len, ext: a type that the dialect does not know */
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
     * leaves it if that is unknown.  fixed: its length was in the head byte. */
    void (*ext)(struct msgpack_item *item, int fixed);
};

/* What the specification says, with the extension types of notepack.io 1 to 3:
 *   -1, of 4, 8 or 12 bytes     date (the timestamp of the specification)
 *    0, in the head byte d4     undefined
 *    0, in the head byte d7     date, signed milliseconds
 *    0, in c7, c8, c9           binary, even of 1 or 8 bytes
 * Written by socket.io-emitter 3, @socket.io/redis-emitter 4 and 5, socket.io-redis
 * 5 and 6, @socket.io/redis-adapter 7 and 8, and most emitters in other languages. */
extern const struct msgpack_dialect msgpack_modern;

struct msgpack_reader {
    const uint8_t *at, *end; /* what has not been read */
    const struct msgpack_dialect *dialect;
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

#endif
