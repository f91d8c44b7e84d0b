#include "codec/peer.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_rooms(struct buf *rooms, struct slice from)
{
    struct peer_room room;

    while (peer_next_room(&from, &room))
        assert(peer_put_room(rooms, &room) == 0);
    assert(from.len == 0);
}

static void put_answer(struct buf *out, struct peer_answer *answer)
{
    struct buf rooms = {0};

    put_rooms(&rooms, answer->rooms);
    answer->rooms = (struct slice){(const char *)rooms.data, rooms.len};
    assert(peer_put_answer(out, answer) == 0);
    buf_free(&rooms);
}

/* What is read is, written again, the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out = {0};
    enum peer_kind kind;
    struct peer peer;

    if (peer_read(&peer, (struct slice){(const char *)data, size}) < 0)
        return 0;
    assert(size != 16);
    assert(peer_begin(&out, peer.from) == 0);
    while ((kind = peer_next(&peer)) != PEER_END) {
        if (kind == PEER_QUESTION)
            assert(peer_put_question(&out, &peer.question) == 0);
        else if (kind == PEER_ANSWER)
            put_answer(&out, &peer.answer);
        else
            assert(peer_put_presence(&out, &peer.presence) == 0);
    }
    assert(out.len == size && memcmp(out.data, data, size) == 0);
    buf_free(&out);
    return 0;
}
