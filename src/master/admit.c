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
    size_t bytes = admit->uid.len + admit->session.len + admit->pid.len + list_bytes(&admit->rooms);

    return admit->comeback != NULL ? bytes + list_bytes(&admit->comeback->rooms) : bytes;
}

static struct slice put(char **at, struct slice name)
{
    struct slice copied = {*at, name.len};

    if (name.len > 0)
        memcpy(*at, name.ptr, name.len);
    *at += name.len;
    return copied;
}

/* The slices of list, which are put from at on. */
static struct slices put_list(struct slice *names, char **at, const struct slices *list)
{
    for (size_t i = 0; i < list->n; i++)
        names[i] = put(at, list->at[i]);
    return (struct slices){.at = names, .n = list->n};
}

struct admit *admit_copy(const struct admit *admit)
{
    const struct comeback *comeback = admit->comeback;
    size_t names = admit->rooms.n + (comeback != NULL ? comeback->rooms.n : 0);
    struct {
        struct admit admit; /* first: to be freed by it */
        struct comeback comeback;
        struct slice names[];
    } *copy = malloc(sizeof(*copy) + names * sizeof(struct slice) + admit_names(admit));
    char *at;

    if (copy == NULL)
        return NULL;
    at = (char *)(copy->names + names);
    copy->admit = *admit;
    copy->admit.uid = put(&at, admit->uid);
    copy->admit.session = put(&at, admit->session);
    copy->admit.pid = put(&at, admit->pid);
    copy->admit.rooms = put_list(copy->names, &at, &admit->rooms);
    if (comeback != NULL) {
        copy->comeback = *comeback;
        copy->comeback.rooms = put_list(copy->names + admit->rooms.n, &at, &comeback->rooms);
        copy->admit.comeback = &copy->comeback;
    }
    return &copy->admit;
}
