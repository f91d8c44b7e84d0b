/* What a client shows when it comes back: an offset as text, and bytes that may be a pid.  There
 * is one text for each offset, and a pid that was changed anywhere proves nothing. */
#include "codec/offset.h"
#include "codec/pid.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
    if (!cond)
        abort();
}

static void try_offset(struct slice text)
{
    char again[OFFSET_LEN];
    uint64_t offset;

    if (offset_read(text, &offset) < 0)
        return;
    must(offset != 0);
    offset_write(again, offset);
    must(slice_eq(text, (struct slice){again, OFFSET_LEN}));
}

static int is_zero(const uint8_t *data, size_t len)
{
    while (len > 0 && data[len - 1] == 0)
        len--;
    return len == 0;
}

/* data: the bits to be changed; behind them the user who shows it. */
static void try_pid(const uint8_t *data, size_t size)
{
    static struct pid_key key;
    static const struct pid_keys keys = {&key, 1};
    static uint8_t good[PID_LEN];
    struct slice uid = {(const char *)data + PID_LEN, size - PID_LEN};
    struct pid pid = {.daemon = 1, .session = "session", .offset = 2, .start_ms = 3};
    uint8_t raw[PID_LEN];

    if (good[0] == 0) {
        must(pid_key_derive(&key, SLICE("secret")) == 0);
        must(pid_make(good, &pid, &key, SLICE("key"), SLICE("/nsp"), SLICE("uid")) == 0);
    }
    for (size_t i = 0; i < PID_LEN; i++)
        raw[i] = good[i] ^ data[i];
    must(pid_proven(&pid, raw, &keys, SLICE("key"), SLICE("/nsp"), uid) ==
         (is_zero(data, PID_LEN) && slice_eq(uid, SLICE("uid"))));
    must(pid_read(&pid, raw) == (raw[0] == 1 ? 0 : -1));
    must(pid.start_ms < UINT64_C(1) << 48);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_offset((struct slice){(const char *)data, size});
    if (size >= PID_LEN)
        try_pid(data, size);
    return 0;
}
