/* A polling payload, in and out.  The first byte says how the rest is read:
 * version 3 (bit 0), octets (bit 1), out of a JSONP form (bit 2). */
#include "codec/json.h"
#include "codec/payload.h"

#include "base/utf8.h"
#include "payload_put.h"

#include <stdlib.h>

#define MAX_BYTES 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
    if (!cond)
        abort();
}

/* Appends the packet in the form, as the daemon queues it. */
static void put_packet(struct buf *out, enum payload_form form, const struct eio_packet *packet)
{
    struct slice text = {packet->data.ptr - 1, packet->data.len + 1};
    struct buf ascii = {0};

    if (packet->binary) {
        payload_put(out, form, 1, packet->data);
        return;
    }
    must(utf8_valid(text.ptr, text.len));
    must(json_put_ascii(&ascii, text) == 0);
    for (size_t i = 0; i < ascii.len; i++)
        must(ascii.data[i] < 0x80);
    if (form == PAYLOAD3_TEXT)
        text = (struct slice){(char *)ascii.data, ascii.len};
    payload_put(out, form, 0, text);
    buf_free(&ascii);
}

/* Reads body and writes its packets in the form; returns how many there were, or
 * -1 if it is malformed. */
static int recode(struct payload *it, enum payload_form form, struct buf *out)
{
    struct buf scratch = {0};
    struct eio_packet packet;
    int count = 0, result;

    while ((result = payload_next(it, &packet, &scratch)) == 1) {
        must(packet.type >= EIO_OPEN && packet.type <= EIO_NOOP);
        must(packet.type == EIO_MESSAGE || !packet.binary);
        put_packet(out, form, &packet);
        count++;
    }
    must(payload_next(it, &packet, &scratch) == result);
    buf_free(&scratch);
    return result == 0 ? count : -1;
}

/* What has been written is read back, and written again it is the same.  Only a
 * 0x1e in a packet of version 3 makes two of it in version 4. */
static void check_form(enum eio_version version, int octets, struct slice body,
                       enum payload_form form)
{
    struct buf once = {0}, twice = {0};
    struct payload it;
    int count = 0;

    if (payload_begin(&it, version, octets, body) != 0)
        return;
    count = recode(&it, form, &once);
    if (once.len > 0 && (form != PAYLOAD4 || version == EIO4)) {
        size_t skip = form == PAYLOAD4;
        struct slice again = {(char *)once.data + skip, once.len - skip};

        must(payload_begin(&it, form == PAYLOAD4 ? EIO4 : EIO3, form == PAYLOAD3_BINARY, again) ==
             0);
        must(recode(&it, form, &twice) == count || count < 0);
        must(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    }
    buf_free(&once);
    buf_free(&twice);
}

static void check_jsonp(struct slice text)
{
    struct buf out = {0};

    must(payload_put_jsonp(&out, text, text) == 0);
    must(out.len >= 13 && memcmp(out.data, "___eio[", 7) == 0);
    must(memcmp(out.data + out.len - 3, "\");", 3) == 0);
    for (size_t i = 0; i < out.len; i++)
        must(out.data[i] >= 0x20);
    must(!utf8_valid(text.ptr, text.len) || utf8_valid(out.data, out.len));
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body;
    struct buf form = {0};
    enum eio_version version;

    if (size == 0 || size > MAX_BYTES)
        return 0;
    version = data[0] & 1 ? EIO3 : EIO4;
    body = (struct slice){(const char *)data + 1, size - 1};
    check_jsonp(body);
    if (data[0] & 4) {
        if (payload_unwrap_jsonp(&form, body) != 0)
            form.len = 0;
        must(form.len <= body.len);
        body = (struct slice){(char *)form.data, form.len};
    }
    check_form(version, data[0] & 2, body, PAYLOAD4);
    check_form(version, data[0] & 2, body, PAYLOAD3_TEXT);
    check_form(version, data[0] & 2, body, PAYLOAD3_BINARY);
    buf_free(&form);
    return 0;
}
