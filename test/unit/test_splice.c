#include "master/splice.h"

#include "tap.h"

static struct splice splice;

static void first(const char *texts)
{
    splice_begin(&splice);
    for (; *texts; texts++)
        splice_put(&splice, SLICE("c"), (struct slice){texts, 1});
}

/* What of the second stream is new. */
static const char *second(const char *texts)
{
    static char out[64];
    size_t n = 0;
    for (; *texts; texts++)
        if (!splice_again(&splice, SLICE("c"), (struct slice){texts, 1}))
            out[n++] = *texts;
    out[n] = '\0';
    return out;
}

int main(void)
{
    is_str(second("ab"), "ab", "without a first stream all is new");
    first("abcd");
    is_str(second("cdef"), "ef", "what came over both comes once");
    is_str(second("cdef"), "cdef", "and is forgotten then");
    first("abcd");
    is_str(second("efgc"), "efgc", "another stream");
    first("abcd");
    is_str(second("dabc"), "abc", "what is behind the end is new");
    first("abcd");
    is_str(second("bx"), "x", "and what is in another order");
    first("aaaa");
    is_str(second("aaa"), "aa", "all the same: one at most is taken for another");
    first("ab");
    ok(!splice_again(&splice, SLICE("d"), SLICE("b")), "the same on another channel is new");
    splice_begin(&splice);
    for (uint32_t i = 0; i < 3 * SPLICE_MAX; i++)
        splice_put(&splice, SLICE("c"), (struct slice){(char *)&i, sizeof i});
    int wrong = 0;
    for (uint32_t i = 2 * SPLICE_MAX; i < 4 * SPLICE_MAX; i++)
        wrong += splice_again(&splice, SLICE("c"), (struct slice){(char *)&i, sizeof i}) !=
                 (i < 3 * SPLICE_MAX);
    is_int(wrong, 0, "as many as are remembered");
    return tap_done();
}
