/* A JWK Set.  What is good becomes bytes and the same set again, and is told
 * nothing bad of; what is bad is told why, in one line that holds no secret. */
#include "codec/jwks.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
    if (!cond)
        abort();
}

static void on_note(void *arg, int bad, unsigned line, const char *text)
{
    must(line > 0 && *text != '\0' && strchr(text, '\n') == NULL);
    *(int *)arg += bad;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token_keys *keys = token_keys_new(), *again;
    struct buf bytes = {0};
    int told = 0, result;

    must(keys != NULL);
    result = jwks_parse(keys, (const char *)data, size, on_note, &told);
    must((result != 0) == (told > 0));
    if (result == 0 && token_keys_count(keys) > 0) {
        must(token_keys_count(keys) <= KEYS_MAX && token_keys_algs(keys) != 0);
        must(token_keys_encode(keys, &bytes) == 0);
        again = token_keys_decode(bytes.data, bytes.len);
        must(again != NULL && token_keys_equal(keys, again));
        token_keys_free(&again);
    }
    buf_free(&bytes);
    token_keys_free(&keys);
    return 0;
}
