#include "master/splice.h"

#include "base/rand.h"
#include "base/siphash.h"

void splice_begin(struct splice *splice)
{
    splice->n = splice->at = 0;
    rand_bytes(splice->key, sizeof splice->key);
}

static uint64_t digest(const struct splice *splice, struct slice channel, struct slice payload)
{
    uint64_t parts[2] = {siphash(splice->key, channel.ptr, channel.len),
                         siphash(splice->key, payload.ptr, payload.len)};
    return siphash(splice->key, parts, sizeof parts);
}

void splice_put(struct splice *splice, struct slice channel, struct slice payload)
{
    splice->seen[splice->n++ % SPLICE_MAX] = digest(splice, channel, payload);
}

/* The second stream begins somewhere in the first and has all that follows, in the same
 * order.  The last place counts: of messages that are all the same it is better that one
 * comes twice than that one is lost. */
static uint64_t find_last(const struct splice *splice, uint64_t what)
{
    uint64_t first = splice->n > SPLICE_MAX ? splice->n - SPLICE_MAX : 0;
    for (uint64_t i = splice->n; i-- > first;)
        if (splice->seen[i % SPLICE_MAX] == what)
            return i + 1;
    return 0;
}

int splice_again(struct splice *splice, struct slice channel, struct slice payload)
{
    if (splice->n == 0)
        return 0;
    uint64_t what = digest(splice, channel, payload);
    if (splice->at == 0)
        splice->at = find_last(splice, what);
    else if (splice->seen[splice->at % SPLICE_MAX] == what)
        splice->at++;
    else
        splice->at = 0;
    int again = splice->at > 0;
    if (!again || splice->at == splice->n)
        splice->n = splice->at = 0;
    return again;
}
