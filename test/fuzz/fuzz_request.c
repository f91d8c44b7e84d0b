#include "base/utf8.h"
#include "codec/json.h"
#include "codec/msgpack.h"
#include "codec/request.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct emit_limits limits = {65536, 10};

static int is_json(struct slice text)
{
    return json_span(text.ptr, text.len) == (long)text.len;
}

/* UTF-8, the name of a number, or of a room that nobody is in; each once. */
static void check_names(const struct slices *names)
{
    assert(names->n <= EMIT_ROOMS_MAX + 1);
    for (size_t i = 0; i < names->n; i++) {
        struct slice name = names->at[i];

        if (name.len > 1 && name.ptr[0] == '\xff')
            assert(is_json((struct slice){name.ptr + 1, name.len - 1}));
        else
            assert(slice_eq(name, SLICE("\xff")) || utf8_valid(name.ptr, name.len));
        for (size_t k = 0; k < i && i < 100; k++)
            assert(!slice_eq(name, names->at[k]));
    }
}

static void is_text(struct buf *out)
{
    assert(is_json((struct slice){(char *)out->data, out->len}));
    buf_reset(out);
}

/* Each answer is whole. */
static void check_answers(const struct request *request)
{
    struct msgpack_reader reader;
    struct buf out = {0};

    request_put_head(&out, request);
    request_put_tail(&out);
    is_text(&out);
    request_put_done(&out, request);
    is_text(&out);
    request_put_null(&out, request);
    is_text(&out);
    request_put_count(&out, request, 7);
    is_text(&out);
    request_put_ack(&out, request, SLICE("{\"a\":1}"), &request->names);
    reader = msgpack_read((struct slice){(char *)out.data, out.len}, &msgpack_modern);
    assert(msgpack_skip(&reader, 1) == 0 && reader.at == reader.end);
    buf_free(&out);
}

/* What a client may have acknowledged, with attachments or without. */
static void check_ack(struct slice json)
{
    static const struct request request = {.type = REQUEST_BROADCAST, .id = {"\"i\"", 3}};
    static struct slice bin = {"\1\2\3", 3};
    const struct slices bins = {&bin, 1, 1};
    struct msgpack_reader reader;
    struct buf out = {0};

    request_put_ack(&out, &request, json, &bins);
    reader = msgpack_read((struct slice){(char *)out.data, out.len}, &msgpack_modern);
    assert(msgpack_skip(&reader, 1) == 0 && reader.at == reader.end);
    buf_free(&out);
}

static void check(struct request *request, enum request_result result)
{
    assert(request->id.len <= REQUEST_ID_MAX && request->uid.len <= REQUEST_ID_MAX);
    assert(request->id.len == 0 || is_json(request->id));
    assert(request->uid.len == 0 || request->uid.ptr != NULL);
    check_names(&request->rooms);
    check_names(&request->except);
    check_names(&request->names);
    check_names(&request->bc.rooms);
    check_names(&request->bc.except);
    if (request->id.len > 0)
        check_answers(request);
    if (result != REQUEST_OK) {
        assert(!request->by_id || request->id.len == 0);
        return;
    }
    assert(request->type < REQUEST_TYPES);
    assert(!request->by_id || request->rooms.n == 1);
    assert(request->rooms.n <= EMIT_ROOMS_MAX && request->except.n <= EMIT_ROOMS_MAX &&
           request->names.n <= EMIT_ROOMS_MAX);
    if (request->type != REQUEST_BROADCAST)
        return;
    assert(request->bc.json.len > 1 && request->bc.attachments.n <= limits.attachments);
    buf_putc(&request->bc.json, ']');
    is_text(&request->bc.json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice payload = {(const char *)data, size};
    struct request request = {0};
    struct answer answer = {0};

    check(&request, request_decode(&request, payload, SLICE("/axr"), &limits));
    check_ack(payload);
    if (answer_decode(&answer, payload, SLICE("i"), &limits) == ANSWER_ACK && answer.json.len > 0)
        assert(is_json(answer.json));
    answer_clear(&answer);
    request_clear(&request);
    return 0;
}
