/* quantity - durations and sizes as people write them: "10s", "1.5h", "64k", "1MiB". */
#ifndef BASE_QUANTITY_H
#define BASE_QUANTITY_H

#include <stddef.h>
#include <stdint.h>

/* What a number is of that has no unit, and what comes out. */
enum quantity {
    QUANTITY_COUNT, /* of things: there is no unit */
    QUANTITY_MS,    /* ms, s, m, h, d */
    QUANTITY_S,     /* likewise */
    QUANTITY_BYTES, /* B, k, M, G, of 1024 each, the last three with B or iB if wanted; K is k */
};

enum quantity_result {
    QUANTITY_OK,
    QUANTITY_BARE,  /* it has no unit; *value is the number */
    QUANTITY_BAD,   /* no number, or nothing that is a unit behind it */
    QUANTITY_OTHER, /* a unit, and none of this kind */
    QUANTITY_PART,  /* no whole number of that */
    QUANTITY_LARGE, /* more than an int64_t holds */
};

/* Reads all of text: digits, if wanted a point and digits, and a unit.  *value is set exactly,
 * and only for the first two results. */
enum quantity_result quantity_parse(const char *text, size_t len, enum quantity kind,
                                    int64_t *value);

/* What more there is to say of a text that was found, and is none of that kind, than that it is
 * not wanted: ", which has a unit of sizes", or nothing. */
const char *quantity_fault(enum quantity_result result, enum quantity kind);

/* The units of that kind as a person is told of them: "ms, s, m, h or d". */
const char *quantity_units(enum quantity kind);

#endif
