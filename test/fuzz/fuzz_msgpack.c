#include "codec/msgpack.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What an item points to lies in what has been read of the input. */
static void check_item(const struct msgpack_item *item, const uint8_t *start, const uint8_t *at)
{
    const uint8_t *bytes = (const uint8_t *)item->bytes;

    if (item->type == MSGPACK_STR || item->type == MSGPACK_BIN || item->type == MSGPACK_EXT ||
        item->type == MSGPACK_VECTOR || item->type == MSGPACK_ERROR)
        assert(bytes >= start && bytes <= at && item->len <= (size_t)(at - bytes));
    for (uint32_t i = 0; item->type == MSGPACK_VECTOR && i < item->len; i++) {
        struct msgpack_item number = msgpack_vector_at(item, i);

        assert(number.type == MSGPACK_UINT || number.type == MSGPACK_INT ||
               number.type == MSGPACK_FLOAT);
    }
    assert(item->type != MSGPACK_INVALID);
}

/* Values read one item at a time take as many bytes as values read over. */
static void check_value(struct slice input, const struct msgpack_dialect *dialect)
{
    struct msgpack_reader items = msgpack_read(input, dialect), values = items;
    const uint8_t *start = items.at;
    struct msgpack_item item;
    uint64_t open = 1;
    int result = 0;

    while (open > 0 && result == 0) {
        result = msgpack_next(&items, &item);
        assert(items.at >= start && items.at <= items.end);
        if (result != 0)
            break;
        check_item(&item, start, items.at);
        open--;
        if (item.type == MSGPACK_ARRAY || item.type == MSGPACK_MAP)
            open += item.type == MSGPACK_MAP ? (uint64_t)item.len * 2 : item.len;
    }
    /* Reading over may give up earlier: it knows that not enough is left. */
    if (msgpack_skip(&values, 1) == 0)
        assert(result == 0 && values.at == items.at);
    else
        assert(result != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};

    check_value(input, &msgpack_modern);
    check_value(input, &msgpack_js);
    return 0;
}
