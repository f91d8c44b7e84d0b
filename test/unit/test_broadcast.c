#include "codec/broadcast.h"

#include "tap.h"

int main(void)
{
    struct broadcast bc = {0};
    struct slice *kept;

    for (int i = 0; i < 100; i++)
        slices_put(&bc.rooms, (struct slice){"room", (size_t)i % 5});
    slices_put(&bc.except, SLICE("x"));
    slices_put(&bc.attachments, (struct slice){NULL, 0});
    buf_puts(&bc.json, "[\"x\"");
    bc.flags = BROADCAST_VOLATILE;
    is_int(bc.rooms.n, 100, "a list grows");
    ok(slice_eq(bc.rooms.at[99], SLICE("room")) && slice_eq(bc.rooms.at[96], SLICE("r")),
       "and keeps what is in it");
    kept = bc.rooms.at;
    broadcast_reset(&bc);
    ok(bc.rooms.n == 0 && bc.except.n == 0 && bc.attachments.n == 0, "reset empties the lists");
    ok(bc.json.len == 0 && bc.flags == 0, "and the rest");
    slices_put(&bc.rooms, SLICE("again"));
    ok(bc.rooms.at == kept && slice_eq(bc.rooms.at[0], SLICE("again")), "their memory stays");
    broadcast_clear(&bc);
    ok(bc.rooms.at == NULL && bc.json.data == NULL, "clear frees it");
    ok(slices_put(&bc.rooms, SLICE("x")) == 0, "it is valid afterwards");
    broadcast_clear(&bc);
    broadcast_clear(&bc);
    return tap_done();
}
