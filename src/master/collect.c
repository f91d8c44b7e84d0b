#include "master/collect.h"

#include "base/rand.h"
#include "base/siphash.h"
#include "codec/json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 64
#define ROOMS_KEY ",\"rooms\":" /* what stands before them: ipc/msg.h, MSG_WHAT_SOCKETS */

enum msg_what collect_what(enum request_type type)
{
    switch (type) {
    case REQUEST_SOCKETS:
        return MSG_WHAT_IDS;
    case REQUEST_ALL_ROOMS:
        return MSG_WHAT_ROOMS;
    case REQUEST_FETCH:
    case REQUEST_CLIENT_ROOMS:
        return MSG_WHAT_SOCKETS;
    case REQUEST_JOIN:
    case REQUEST_LEAVE:
    case REQUEST_DISCONNECT:
    case REQUEST_SERVER_SIDE_EMIT:
    case REQUEST_CUSTOM:
    case REQUEST_BROADCAST:
    case REQUEST_TYPES:
        break;
    }
    assert(0);
    return MSG_WHATS;
}

void collect_begin(struct collect *collect, const struct request *request)
{
    collect_clear(collect);
    collect->type = request->type;
    (void)request_put_head(&collect->text, request);
    collect->has_full = request->type == REQUEST_FETCH;
    if (collect->has_full)
        (void)request_put_head(&collect->full, request);
}

void collect_clear(struct collect *collect)
{
    buf_free(&collect->text);
    buf_free(&collect->full);
    free(collect->slots);
    memset(collect, 0, sizeof(*collect));
}

size_t collect_bytes(const struct collect *collect)
{
    return collect->text.cap + collect->full.cap + collect->nslots * sizeof(*collect->slots);
}

static void put_comma(const struct collect *collect, struct buf *out)
{
    if (collect->n > 0)
        (void)buf_putc(out, ',');
}

/* --- names, each once ----------------------------------------------------------- */

/* Whether what begins at that place of the text is that of len bytes, and no more. */
static int is_there(const struct buf *text, size_t at, const uint8_t *name, size_t len)
{
    return at + len < text->len && text->data[at + len] == ',' &&
           memcmp(text->data + at, name, len) == 0;
}

static uint32_t *slot_of(const struct collect *collect, const uint8_t *name, size_t len)
{
    size_t mask = collect->nslots - 1;
    size_t i = (size_t)siphash(collect->key, name, len) & mask;

    while (collect->slots[i] != 0 && !is_there(&collect->text, collect->slots[i] - 1, name, len))
        i = (i + 1) & mask;
    return &collect->slots[i];
}

/* The name that begins at that place: a JSON string or number, with a comma behind. */
static size_t name_len(const struct buf *text, size_t at)
{
    long len = json_span((const char *)text->data + at, text->len - at);

    return len > 0 ? (size_t)len : 0;
}

static int grow(struct collect *collect)
{
    size_t nold = collect->nslots, n = nold > 0 ? nold * 2 : SLOTS_MIN;
    uint32_t *old = collect->slots, *slots = calloc(n, sizeof(*slots));

    if (slots == NULL)
        return -1;
    if (nold == 0)
        rand_bytes(collect->key, sizeof(collect->key));
    collect->slots = slots;
    collect->nslots = n;
    for (size_t i = 0; i < nold; i++) {
        size_t at = old[i] - 1;
        if (old[i] != 0)
            *slot_of(collect, collect->text.data + at, name_len(&collect->text, at)) = old[i];
    }
    free(old);
    return 0;
}

/* The text ends in a name that begins at that place: it stays if it is new.  Returns 0, or -1
 * without memory. */
static int keep_new(struct collect *collect, size_t comma, size_t at)
{
    size_t len = collect->text.len - at;
    uint32_t *slot;

    if (collect->nnames >= collect->nslots / 2 && grow(collect) < 0)
        return -1;
    slot = slot_of(collect, collect->text.data + at, len);
    if (*slot != 0) {
        collect->text.len = comma;
        return 0;
    }
    *slot = (uint32_t)at + 1;
    collect->nnames++;
    collect->n++;
    return 0;
}

/* --- records -------------------------------------------------------------------- */

static int take_id(struct collect *collect, struct msg *records)
{
    struct slice id = msg_get_bytes(records);

    if (records->bad)
        return -1;
    put_comma(collect, &collect->text);
    (void)json_put_string_lossy(&collect->text, id.ptr, id.len);
    collect->n++;
    return 0;
}

/* The ids of clients are told apart from names for this: they need not be looked for. */
static int take_room(struct collect *collect, struct msg *records)
{
    int is_id = msg_get_u8(records);
    struct slice name = msg_get_bytes(records);
    size_t comma = collect->text.len, at;

    if (records->bad)
        return -1;
    put_comma(collect, &collect->text);
    at = collect->text.len;
    (void)request_put_room(&collect->text, name);
    if (is_id)
        collect->n++;
    else if (!collect->text.failed && keep_new(collect, comma, at) < 0)
        collect->text.failed = 1;
    return 0;
}

static void put_socket(struct collect *collect, struct buf *out, struct slice head,
                       struct slice handshake, struct slice tail)
{
    put_comma(collect, out);
    (void)buf_put(out, head.ptr, head.len);
    (void)buf_put(out, handshake.ptr, handshake.len);
    (void)buf_put(out, tail.ptr, tail.len);
}

/* The array that tail begins with, without its brackets, is the list. */
static int take_rooms_of(struct collect *collect, struct slice tail)
{
    struct slice key = SLICE(ROOMS_KEY);
    long len;

    if (tail.len <= key.len || memcmp(tail.ptr, key.ptr, key.len) != 0)
        return -1;
    len = json_span(tail.ptr + key.len, tail.len - key.len);
    if (len < 2 || tail.ptr[key.len] != '[')
        return -1;
    if (len > 2)
        put_comma(collect, &collect->text);
    (void)buf_put(&collect->text, tail.ptr + key.len + 1, (size_t)len - 2);
    return 0;
}

static int take_socket(struct collect *collect, struct msg *records)
{
    struct slice head = msg_get_bytes(records);
    struct slice handshake = msg_get_bytes(records);
    struct slice tail = msg_get_bytes(records);

    if (records->bad)
        return -1;
    if (collect->type == REQUEST_CLIENT_ROOMS) {
        if (take_rooms_of(collect, tail) < 0)
            return -1;
    } else {
        put_socket(collect, &collect->text, head, SLICE(COLLECT_NO_HANDSHAKE), tail);
        if (collect->has_full)
            put_socket(collect, &collect->full, head, handshake, tail);
    }
    collect->n++;
    return 0;
}

static int take(struct collect *collect, struct msg *records)
{
    switch (collect_what(collect->type)) {
    case MSG_WHAT_IDS:
        return take_id(collect, records);
    case MSG_WHAT_ROOMS:
        return take_room(collect, records);
    case MSG_WHAT_SOCKETS:
        return take_socket(collect, records);
    case MSG_WHATS:
        break;
    }
    return -1;
}

static void bound(struct collect *collect)
{
    if (collect->has_full && (collect->full.failed || collect->full.len > COLLECT_FULL_MAX)) {
        collect->has_full = 0;
        buf_free(&collect->full);
    }
    if (collect->text.len <= COLLECT_MAX)
        return;
    collect->is_too_large = 1;
    buf_free(&collect->text);
}

int collect_part(struct collect *collect, uint32_t n, struct slice records)
{
    struct msg fields = {.at = (const uint8_t *)records.ptr,
                         .end = (const uint8_t *)records.ptr + records.len};

    for (; n > 0 && !collect->is_too_large; n--)
        if (take(collect, &fields) < 0)
            return -1;
    if (!collect->is_too_large && msg_close(&fields) < 0)
        return -1;
    bound(collect);
    return 0;
}

void collect_end(struct collect *collect, struct buf *payload)
{
    struct buf *text = collect->has_full ? &collect->full : &collect->text;

    (void)request_put_tail(text);
    *payload = *text;
    memset(text, 0, sizeof(*text));
}
