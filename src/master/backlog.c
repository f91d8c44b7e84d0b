#include "master/backlog.h"

#include <stdlib.h>
#include <string.h>

void backlog_init(struct backlog *backlog)
{
    *backlog = (struct backlog){.end = &backlog->first};
}

static size_t size_of(struct slice channel, struct slice payload)
{
    return sizeof(struct backlog_message) + channel.len + payload.len;
}

static struct slice copy(char *to, struct slice from)
{
    if (from.len > 0)
        memcpy(to, from.ptr, from.len);
    return (struct slice){to, from.len};
}

int backlog_put(struct backlog *backlog, struct slice channel, struct slice payload,
                uint64_t received_us)
{
    size_t size = size_of(channel, payload);
    struct backlog_message *message;
    char *bytes;

    if (backlog->bytes > BACKLOG_MAX_BYTES || size > BACKLOG_MAX_BYTES - backlog->bytes)
        return -1;
    message = malloc(size);
    if (message == NULL)
        return -1;
    bytes = (char *)(message + 1);
    *message = (struct backlog_message){NULL, received_us, copy(bytes, channel),
                                        copy(bytes + channel.len, payload)};
    *backlog->end = message;
    backlog->end = &message->next;
    backlog->bytes += size;
    return 0;
}

static struct backlog_message *take(struct backlog *backlog)
{
    struct backlog_message *message = backlog->first;

    backlog->first = message->next;
    if (backlog->first == NULL)
        backlog->end = &backlog->first;
    backlog->bytes -= size_of(message->channel, message->payload);
    return message;
}

void backlog_drop(struct backlog *backlog)
{
    free(take(backlog));
}

void backlog_move(struct backlog *from, struct backlog *to)
{
    struct backlog_message *message = take(from);

    message->next = NULL;
    *to->end = message;
    to->end = &message->next;
    to->bytes += size_of(message->channel, message->payload);
}

void backlog_clear(struct backlog *backlog)
{
    while (backlog->first != NULL)
        backlog_drop(backlog);
}
