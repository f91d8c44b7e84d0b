/* history_put - messages for the history of a test: what one says follows from its number, so
 * that who reads it knows whether it is whole. */
#ifndef TEST_HISTORY_PUT_H
#define TEST_HISTORY_PUT_H

#include "base/buf.h"
#include "codec/broadcast.h"
#include "master/history.h"

#include <stdint.h>
#include <stdlib.h>

#define PUT_FN static __attribute__((unused))

/* Offsets as they are: nothing follows from one to the next.  Never 0. */
PUT_FN uint64_t offset_n(uint64_t n)
{
    n = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    n = (n ^ n >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
    return (n ^ n >> 29) | 1;
}

/* A message of len bytes. */
PUT_FN void message_make(struct buf *out, uint64_t seq, size_t len)
{
    uint8_t *at;

    buf_reset(out);
    at = buf_reserve(out, len + 1);
    if (at == NULL)
        abort();
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(offset_n(seq) >> i % 8 * 8) ^ (uint8_t)(i >> 3);
    out->len = len;
}

PUT_FN void put_to(struct history *history, uint64_t seq, size_t len, const char *room,
                   uint64_t now_ms)
{
    static struct buf message;
    struct broadcast bc = {0};

    message_make(&message, seq, len);
    if (room != NULL && slices_put(&bc.rooms, slice_str(room)) < 0)
        abort();
    history_put(history, seq, offset_n(seq), &bc, (struct slice){(char *)message.data, len},
                now_ms);
    broadcast_clear(&bc);
    buf_free(&message);
}

#endif
