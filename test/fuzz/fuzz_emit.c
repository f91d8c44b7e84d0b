#include "base/utf8.h"
#include "codec/emit.h"
#include "codec/json.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct emit_limits limits = {65536, 10};

static size_t occurrences(struct slice text, const char *word)
{
    size_t n = 0;

    for (const char *at = text.ptr, *end = text.ptr + text.len;
         (at = memmem(at, (size_t)(end - at), word, strlen(word))) != NULL; at++)
        n++;
    return n;
}

/* UTF-8, or the name of a number. */
static void check_rooms(const struct slices *rooms)
{
    for (size_t i = 0; i < rooms->n; i++) {
        struct slice name = rooms->at[i];

        if (name.len > 0 && name.ptr[0] == '\xff')
            assert(name.len > 1 && json_span(name.ptr + 1, name.len - 1) == (long)name.len - 1);
        else
            assert(utf8_valid(name.ptr, name.len));
    }
}

static void check(struct broadcast *bc)
{
    struct slice json;

    assert(bc->json.len < limits.message_bytes && bc->attachments.n <= limits.attachments);
    assert((bc->flags & ~(uint32_t)BROADCAST_VOLATILE) == 0);
    buf_putc(&bc->json, ']');
    json = (struct slice){(const char *)bc->json.data, bc->json.len};
    assert(utf8_valid(json.ptr, json.len));
    assert(json_span(json.ptr, json.len) == (long)json.len);
    assert(json.ptr[0] == '[' && json.ptr[1] != ']');
    /* An object of the sender's may look like a placeholder. */
    assert(occurrences(json, "\"_placeholder\":true,\"num\":") >= bc->attachments.n);
    check_rooms(&bc->rooms);
    check_rooms(&bc->except);
}

/* As it comes on two channels, to servers of two namespaces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slice channels[] = {{"socket.io#/axr#a#", 17}, {"socket.io#emitter", 17}};
    static const struct slice namespaces[] = {{"/axr", 4}, {"/", 1}};
    struct slice payload = {(const char *)data, size};
    struct broadcast bc = {0};

    for (size_t i = 0; i < 2; i++) {
        if (emit_decode(&bc, channels[i], payload, SLICE("socket.io"), namespaces[i], &limits) ==
            EMIT_OK)
            check(&bc);
    }
    broadcast_clear(&bc);
    return 0;
}
