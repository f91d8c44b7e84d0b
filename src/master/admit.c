#include "master/admit.h"

#include <stdlib.h>
#include <string.h>

static size_t list_bytes(const struct slices *list)
{
    size_t bytes = 0;

    for (size_t i = 0; i < list->n; i++)
        bytes += list->at[i].len;
    return bytes;
}

size_t admit_names(const struct admit *admit)
{
    return admit->uid.len + admit->session.len + admit->pid.len + list_bytes(&admit->rooms);
}

static struct slice put(char **at, struct slice name)
{
    struct slice copied = {*at, name.len};

    if (name.len > 0)
        memcpy(*at, name.ptr, name.len);
    *at += name.len;
    return copied;
}

struct admit *admit_copy(const struct admit *admit)
{
    struct {
        struct admit admit; /* first: to be freed by it */
        struct slice rooms[];
    } *copy = malloc(sizeof(*copy) + admit->rooms.n * sizeof(struct slice) + admit_names(admit));
    char *at;

    if (copy == NULL)
        return NULL;
    at = (char *)(copy->rooms + admit->rooms.n);
    copy->admit = *admit;
    copy->admit.uid = put(&at, admit->uid);
    copy->admit.session = put(&at, admit->session);
    copy->admit.pid = put(&at, admit->pid);
    for (size_t i = 0; i < admit->rooms.n; i++)
        copy->rooms[i] = put(&at, admit->rooms.at[i]);
    copy->admit.rooms = (struct slices){.at = copy->rooms, .n = admit->rooms.n};
    return &copy->admit;
}
