#include "base/utf8.h"
#include "codec/json.h"
#include "codec/msgpack.h"
#include "codec/pack.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any bytes make a valid string, and one that is already valid keeps its length
 * but for escapes. */
static void check_string(const char *bytes, size_t len)
{
    struct buf lossy = {0}, plain = {0};

    assert(json_put_string_lossy(&lossy, bytes, len) == 0);
    assert(json_span((char *)lossy.data, lossy.len) == (long)lossy.len);
    if (utf8_valid(bytes, len)) {
        assert(json_put_string(&plain, bytes, len) == 0);
        assert(plain.len == lossy.len && memcmp(plain.data, lossy.data, plain.len) == 0);
    }
    buf_free(&lossy);
    buf_free(&plain);
}

/* A number is a number, and reads back as it was. */
static void check_number(const uint8_t *data)
{
    struct buf out = {0};
    double value;
    int64_t integer;

    memcpy(&value, data, sizeof(value));
    memcpy(&integer, data, sizeof(integer));
    json_put_double(&out, value);
    assert(json_span((char *)out.data, out.len) == (long)out.len);
    buf_putc(&out, '\0');
    assert(strcmp((char *)out.data, "null") == 0 || strtod((char *)out.data, NULL) == value);
    buf_reset(&out);
    json_put_int64(&out, integer);
    buf_putc(&out, '\0');
    assert(strtod((char *)out.data, NULL) == (double)integer);
    buf_reset(&out);
    json_put_date(&out, value);
    assert(json_span((char *)out.data, out.len) == (long)out.len);
    buf_free(&out);
}

/* What json_span() takes becomes one value of msgpack. */
static void check_text(const char *text, size_t len)
{
    size_t bad = len + 1;
    long span = json_span_at(text, len, &bad);
    struct msgpack_reader reader;
    struct buf packed = {0};

    if (span < 0) {
        assert(bad <= len);
        return;
    }
    assert((size_t)span <= len);
    assert(pack_json(&packed, text, (size_t)span) == 0);
    reader = msgpack_read((struct slice){(char *)packed.data, packed.len}, &msgpack_modern);
    assert(msgpack_skip(&reader, 1) == 0 && reader.at == reader.end);
    buf_free(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_text((const char *)data, size);
    check_string((const char *)data, size);
    if (size >= 8)
        check_number(data);
    return 0;
}
