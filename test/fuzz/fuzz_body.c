/* A request with its body: the same verdict and bytes whole, byte by byte and in
 * two parts.  The first byte is the largest body. */
#include "codec/body.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BYTES 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {2048, 20};
static struct http_request req;

struct outcome {
    long used; /* or minus the status */
    int done;
    struct buf out;
};

static void must(int cond)
{
    if (!cond)
        abort();
}

/* The first part has first bytes, each after it next. */
static struct outcome feed(const uint8_t *bytes, size_t len, size_t max, size_t first, size_t next)
{
    struct outcome got = {0};
    struct body body;
    size_t at = 0;

    must(body_begin(&body, &req, max) == 0);
    for (size_t part = first; at < len && !body.done; part = next) {
        size_t n = len - at < part ? len - at : part;

        got.used = body_feed(&body, bytes + at, n, &got.out);
        if (got.used < 0) {
            must(got.used == -400 || got.used == -413);
            return got;
        }
        must((size_t)got.used == n || body.done);
        at += (size_t)got.used;
    }
    got.used = (long)at;
    got.done = body.done;
    must(got.out.len <= max);
    return got;
}

static void check_same(const struct outcome *a, struct outcome *b)
{
    must(a->used == b->used && a->done == b->done && a->out.len == b->out.len);
    must(a->out.len == 0 || memcmp(a->out.data, b->out.data, a->out.len) == 0);
    buf_free(&b->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t scanned = 0, max, len;
    struct outcome whole, parts;
    struct body body;
    long head;
    int status;

    if (size == 0 || size > MAX_BYTES)
        return 0;
    max = data[0];
    head = http_parse(&req, (const char *)data + 1, size - 1, &limits, &scanned);
    if (head <= 0)
        return 0;
    status = body_wants_continue(&req);
    must(status == 0 || status == 1 || status == -417);
    if ((status = body_begin(&body, &req, max)) != 0) {
        must(status == -400 || status == -411 || status == -413 || status == -501);
        return 0;
    }
    data += 1 + head;
    len = size - 1 - (size_t)head;
    whole = feed(data, len, max, len, len);
    parts = feed(data, len, max, 1, 1);
    check_same(&whole, &parts);
    parts = feed(data, len, max, len / 2 + 1, len);
    check_same(&whole, &parts);
    buf_free(&whole.out);
    return 0;
}
