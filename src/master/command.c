#include "master/command.h"

#include <stdlib.h>

struct message *message_new(struct slice channel, struct buf *payload)
{
    struct message *message = calloc(1, sizeof(*message));

    if (message == NULL)
        return NULL;
    message->refs = 1;
    if (buf_put(&message->channel, channel.ptr, channel.len) < 0) {
        message_drop(message);
        return NULL;
    }
    message->payload = *payload;
    *payload = (struct buf){0};
    return message;
}

void message_drop(struct message *message)
{
    if (message == NULL || --message->refs > 0)
        return;
    buf_free(&message->channel);
    buf_free(&message->payload);
    free(message);
}

size_t message_size(const struct message *message)
{
    return sizeof(*message) + sizeof(struct command) + message->channel.len + message->payload.len;
}

struct command *command_new(enum command_kind kind)
{
    struct command *command = calloc(1, sizeof(*command));

    if (command != NULL)
        command->kind = kind;
    return command;
}

void command_queue_init(struct command_queue *queue)
{
    *queue = (struct command_queue){.end = &queue->first};
}

void command_put(struct command_queue *queue, struct command *command)
{
    command->next = NULL;
    *queue->end = command;
    queue->end = &command->next;
}

struct command *command_take(struct command_queue *queue)
{
    struct command *command = queue->first;

    if (command == NULL)
        return NULL;
    queue->first = command->next;
    if (queue->first == NULL)
        queue->end = &queue->first;
    return command;
}
