/* What follows the head of a MSG_SETTINGS: what is good is the only form of those
 * settings, and a worker that takes them has them all. */
#include "ipc/change.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES 5 /* u32 length, u8 type */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
    if (!cond)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct msg msg = {.type = MSG_SETTINGS, .at = data, .end = data + size};
    struct conf *conf = change_get(&msg), worker = {0};
    struct buf out = {0}, keys = {0};

    if (conf == NULL)
        return 0;
    must(change_put(&out, conf) == 0);
    must(out.len == HEAD_BYTES + size && memcmp(out.data + HEAD_BYTES, data, size) == 0);
    change_apply(&worker, conf);
    must(change_diff(conf, &worker, CHANGE_LIVE, &keys) == 0);
    conf_free(&conf);
    buf_free(&keys);
    buf_free(&out);
    return 0;
}
