/* A set of keys as bytes: what is good is the only form of that set, and lets no
 * empty signature through. */
#include "codec/keys.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
    if (!cond)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char zeros[132];
    struct token_keys *keys = token_keys_decode(data, size);
    struct buf bytes = {0};

    if (keys == NULL)
        return 0;
    must(token_keys_encode(keys, &bytes) == 0);
    must(bytes.len == size && memcmp(bytes.data, data, size) == 0);
    must(token_keys_algs(keys) != 0 && (token_keys_algs(keys) & ~(unsigned)TOKEN_ALGS) == 0);
    for (unsigned alg = TOKEN_HS256; alg <= TOKEN_ES512; alg <<= 1) {
        unsigned tries = KEYS_MAX;
        uint32_t tried;

        must(token_keys_find(keys, alg, SLICE("a"), SLICE("text"), (struct slice){zeros, 0}, &tries,
                             &tried) < 0);
        must(token_keys_find(keys, alg, (struct slice){0}, SLICE("text"),
                             (struct slice){zeros, sizeof(zeros)}, &tries, &tried) < 0);
    }
    buf_free(&bytes);
    token_keys_free(&keys);
    return 0;
}
