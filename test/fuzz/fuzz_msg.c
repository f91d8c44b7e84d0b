/* A stream of messages as it comes out of a pipe.  What is well-formed has one
 * encoding only: put again it must be the same bytes. */
#include "ipc/msg.h"
#include "msg_fields.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BYTES (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Their names can be read. */
static void check_rooms(const struct slices *rooms)
{
    for (size_t i = 0; i < rooms->n; i++) {
        uint64_t since;
        struct slice name = msg_room(rooms->at[i], &since);

        for (size_t at = 0; at < name.len; at++)
            since += (uint8_t)name.ptr[at];
        if (since == UINT64_MAX && name.len > UINT32_MAX)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct msg_broadcast broadcast;
    static struct msg_admit admit;
    static struct msg_admitted admitted;
    static struct buf out;
    struct msg msg;
    long n;

    for (; (n = msg_decode(&msg, data, size, MAX_BYTES)) > 0; data += n, size -= (size_t)n) {
        struct msg again = msg;

        buf_reset(&out);
        if (msg_copy(&msg, &out) == 0 &&
            (out.len != (size_t)n || memcmp(out.data, data, out.len) != 0))
            abort();
        if (again.type == MSG_BROADCAST)
            msg_get_broadcast(&again, &broadcast);
        if (again.type == MSG_ADMIT)
            msg_get_admit(&again, &admit);
        if (again.type == MSG_ADMITTED && msg_get_admitted(&again, &admitted) == 0)
            check_rooms(&admitted.rooms);
    }
    return 0;
}
