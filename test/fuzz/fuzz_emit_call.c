#include "codec/emit.h"
#include "codec/emit_call.h"
#include "codec/json.h"
#include "codec/request.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct emit_limits limits = {SIZE_MAX, BROADCAST_ATTACHMENTS_MAX};

static struct slice slice_of(const struct buf *buf)
{
    return (struct slice){(const char *)buf->data, buf->len};
}

/* What is published is taken as it is meant, or for what cannot be told of the text alone. */
static void publish(const struct emit_call *call)
{
    struct buf channel = {0}, payload = {0};
    struct broadcast bc = {0};
    enum emit_result result;

    assert(json_span((const char *)call->json.data, call->json.len) == (long)call->json.len);
    assert(call->ack_ms <= EMIT_CALL_ACK_MAX);
    assert(call->rooms.n <= EMIT_ROOMS_MAX && call->except.n <= EMIT_ROOMS_MAX);
    assert(emit_encode(&channel, &payload, SLICE("k"), SLICE("/axr"), &call->rooms, &call->except,
                       call->flags, slice_of(&call->json)) == 0);
    result = emit_decode(&bc, slice_of(&channel), slice_of(&payload), SLICE("k"), SLICE("/axr"),
                         &limits);
    assert(result == EMIT_OK || result == EMIT_TOO_DEEP || result == EMIT_NOBODY);
    if (result == EMIT_OK) {
        assert(bc.flags == call->flags);
        assert((bc.rooms.n == 0) == (call->rooms.n == 0));
        assert(bc.rooms.n <= call->rooms.n && bc.except.n <= call->except.n);
    }
    broadcast_clear(&bc);
    buf_free(&channel);
    buf_free(&payload);
}

static void on_client(const struct answer_client *client, void *arg)
{
    *(long *)arg += 1;
    assert(client->id.len >= 2 && client->id.ptr[0] == '"');
    assert(client->rooms.len == 0 || client->rooms.ptr[0] == '[');
}

/* The body of POST /emit; or what servers have answered about a user. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    struct emit_call call = {0};
    struct buf error = {0};
    int rc = emit_call_decode(&call, text, &error);
    long seen = 0, n = answer_clients(text, SLICE("id"), on_client, &seen);

    assert((rc == 0 && error.len == 0) || (rc == -1 && error.len > 0));
    for (size_t i = 0; i < error.len; i++)
        assert(error.data[i] >= ' ' && error.data[i] < 0x7f);
    assert(n == -1 ? seen == 0 : n == seen);
    if (rc == 0)
        publish(&call);
    emit_call_clear(&call);
    buf_free(&error);
    return 0;
}
