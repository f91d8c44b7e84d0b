#include "codec/jsonc.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const struct jsonc *node)
{
    size_t n = 0;

    assert(!node->text || strlen(node->text) == node->len);
    assert(node->line > 0);
    for (const struct jsonc *child = node->first; child; child = child->next) {
        assert((child->key != NULL) == (node->type == JSONC_OBJECT));
        walk(child);
        n++;
    }
    assert(n == node->count);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jsonc_error error;
    struct jsonc *node = jsonc_parse((const char *)data, size, &error);

    if (node)
        walk(node);
    else
        assert(error.line > 0 && error.column > 0 && error.text[0]);
    jsonc_free(&node);
    return 0;
}
