/* What a proxy puts in front of a connection: the same verdict whole and one byte at a time,
 * and what is taken is a header of version 1 or 2 that is no longer than it may be. */
#include "codec/proxyline.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
    if (!cond)
        abort();
}

static long decode_bytewise(struct proxyline *line, const uint8_t *data, size_t size)
{
    long result = 0;

    for (size_t n = 1; n <= size && result == 0; n++) {
        uint8_t *copy = malloc(n); /* so that a byte too many is seen */

        must(copy != NULL);
        memcpy(copy, data, n);
        result = proxyline_decode(line, copy, n);
        free(copy);
    }
    return result;
}

static int same(const struct proxyline *a, const struct proxyline *b)
{
    return a->version == b->version && a->local == b->local && a->secure == b->secure &&
           a->from.port == b->from.port && memcmp(a->from.ip, b->from.ip, 16) == 0;
}

static void check(const struct proxyline *line, const uint8_t *data, size_t used)
{
    must(line->version == (data[0] == 'P' ? 1 : 2));
    must(used <= (line->version == 1 ? PROXYLINE_V1_MAX : PROXYLINE_MAX));
    must(line->local <= 1 && line->secure <= 1);
    must(!line->local || (address_is_none(&line->from) && line->from.port == 0));
    must(line->version == 2 || (!line->secure && memcmp(data + used - 2, "\r\n", 2) == 0));
    must(line->version == 2 || line->local || !address_is_none(&line->from));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxyline whole, part;
    long used = proxyline_decode(&whole, data, size);

    if (size > 2 * PROXYLINE_MAX)
        return 0;
    must(used == decode_bytewise(&part, data, size) && used <= (long)size);
    must(used >= -PROXYLINE_TOO_LONG);
    must(used != 0 || size < PROXYLINE_MAX);
    if (used > 0) {
        must(same(&whole, &part));
        check(&whole, data, (size_t)used);
    }
    return 0;
}
