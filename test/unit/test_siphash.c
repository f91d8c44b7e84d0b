#include "base/siphash.h"
#include "tap.h"

/* SipHash-2-4 with key 00 01 .. 0f of the input 00 01 .. (n - 1), from the
 * authors' reference implementation. */
static const struct {
    size_t n;
    uint64_t hash;
} vectors[] = {
    {0, 0x726fdb47dd0e0e31},  {1, 0x74f839c593dc67fd}, {2, 0x0d6c8009d9a94f5a},
    {3, 0x85676696d7fb7e2d},  {4, 0xcf2794e0277187b7}, {5, 0x18765564cd99a68d},
    {6, 0xcbc9466e58fee3ce},  {7, 0xab0200f58b01d137}, {8, 0x93f5f5799a932462},
    {15, 0xa129ca6149be45e5},
};

/* In three pieces, cut at every two places. */
static void test_pieces(const uint8_t key[16], const uint8_t *input, size_t n)
{
    uint64_t whole = siphash(key, input, n);
    int differ = 0;

    for (size_t i = 0; i <= n; i++)
        for (size_t j = i; j <= n; j++) {
            struct siphash hash;

            siphash_begin(&hash, key);
            siphash_put(&hash, input, i);
            siphash_put(&hash, input + i, j - i);
            siphash_put(&hash, input + j, n - j);
            differ += siphash_end(&hash) != whole;
        }
    is_int(differ, 0, "the same in pieces");
}

int main(void)
{
    uint8_t key[16], input[64];

    for (size_t i = 0; i < sizeof(input); i++)
        input[i] = (uint8_t)i;
    memcpy(key, input, sizeof(key));
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        unsigned char *bytes = tap_guard(input, vectors[i].n);
        uint64_t got = siphash(key, bytes, vectors[i].n);

        ok(got == vectors[i].hash, "%zu bytes: %016llx", vectors[i].n, (unsigned long long)got);
        tap_guard_free(bytes, vectors[i].n);
    }
    for (size_t n = 0; n <= 33; n++)
        test_pieces(key, input, n);
    key[0] ^= 1;
    ok(siphash(key, input, 8) != vectors[8].hash, "another key, another hash");
    return tap_done();
}
