#include "ipc/tickets.h"

#include <string.h>

#define KEY_BYTES (TICKET_BYTES + 2 * TICKET_KEY)

_Static_assert(sizeof(struct ticket_key) == KEY_BYTES, "a key is its three parts, in a row");

int tickets_put(struct buf *out, const struct tickets *tickets)
{
    size_t mark;

    out->secret = 1;
    mark = msg_begin(out, MSG_TICKETS);
    msg_put_bytes(out, tickets->at, tickets->n * sizeof(tickets->at[0]));
    return msg_end(out, mark);
}

int tickets_get(struct msg *msg, struct tickets *tickets)
{
    struct slice bytes = msg_get_bytes(msg);

    if (msg_close(msg) < 0 || bytes.len == 0 || bytes.len % KEY_BYTES != 0 ||
        bytes.len > sizeof(tickets->at))
        return -1;
    memset(tickets, 0, sizeof(*tickets));
    tickets->n = (uint32_t)(bytes.len / KEY_BYTES);
    memcpy(tickets->at, bytes.ptr, bytes.len);
    return 0;
}
