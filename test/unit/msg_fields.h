/* msg_fields - what include/ipc/msg.h says each type of message consists of, for
 * the tests that go through all of them. */
#ifndef TEST_MSG_FIELDS_H
#define TEST_MSG_FIELDS_H

#include "ipc/msg.h"

/* 1, 4, 8: an integer of so many bytes; b: bytes; l: list. */
struct msg_fields {
    unsigned type;
    const char *name, *fields;
};

/* A row each. */
/* clang-format off */
static const struct msg_fields msg_fields[] = {
    {MSG_HELLO, "hello", "4448"},
    {MSG_BROADCAST, "broadcast", "88884llbl"},
    {MSG_ADMITTED, "admitted", "8188b818b1l"},
    {MSG_LOG_LEVEL, "log_level", "1"},
    {MSG_LOG_REOPEN, "log_reopen", ""},
    {MSG_DRAIN, "drain", "444"},
    {MSG_SETTINGS, "settings", "81b1l4"}, /* one of each kind; test_change has them all */
    {MSG_COUNT, "count", "4"},
    {MSG_KICK, "kick", "8b1"},
    {MSG_JOIN, "join", "41lll"},
    {MSG_LEAVE, "leave", "41lll"},
    {MSG_DISCONNECT, "disconnect", "41ll1"},
    {MSG_FETCH, "fetch", "411ll"},
    {MSG_EMIT, "emit", "4488884llbl"},
    {MSG_NOTED, "noted", "4"},
    {MSG_OFFSET, "offset", "88"},
    {MSG_TICKETS, "tickets", "b"},
    {MSG_WORKER_HELLO, "worker_hello", "4"},
    {MSG_READY, "ready", ""},
    {MSG_ADMIT, "admit", "8blbb188"},
    {MSG_LEFT, "left", "8b1"},
    {MSG_COUNTERS, "counters", "4b"},
    {MSG_ROOMS, "rooms", "481ll"},
    {MSG_ACTED, "acted", "44"},
    {MSG_FETCHED, "fetched", "414b"},
    {MSG_REACHED, "reached", "44"},
    {MSG_ACK, "ack", "4bl"},
    {MSG_SOURCES, "sources", "44b"},
};
/* clang-format on */

/* Reads every field of msg and puts it to out: what was read and is well-formed
 * must come out as the same bytes.  Returns what msg_close says, or -1 for a
 * type that is not known. */
static int msg_copy(struct msg *msg, struct buf *out)
{
    static struct slices list;
    const char *field = NULL;
    struct slice bytes;
    size_t mark;

    for (size_t i = 0; i < sizeof(msg_fields) / sizeof(msg_fields[0]); i++)
        if (msg_fields[i].type == msg->type)
            field = msg_fields[i].fields;
    if (field == NULL)
        return -1;
    mark = msg_begin(out, (enum msg_type)msg->type);
    for (; *field != '\0'; field++) {
        switch (*field) {
        case '1':
            msg_put_u8(out, msg_get_u8(msg));
            break;
        case '4':
            msg_put_u32(out, msg_get_u32(msg));
            break;
        case '8':
            msg_put_u64(out, msg_get_u64(msg));
            break;
        case 'b':
            bytes = msg_get_bytes(msg);
            msg_put_bytes(out, bytes.ptr, bytes.len);
            break;
        default:
            list.n = 0;
            msg_get_list(msg, &list);
            msg_put_list(out, &list);
            break;
        }
    }
    return msg_end(out, mark) < 0 ? -1 : msg_close(msg);
}

#endif
