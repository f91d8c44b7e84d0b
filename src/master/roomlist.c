#include "master/roomlist.h"

#include "codec/once.h"

#include <stdlib.h>
#include <string.h>

struct list {
    struct slices *rooms;
    struct once once; /* for further */
    struct slices further;
    unsigned in;  /* default rooms that one connection is in */
    size_t looks; /* that are left */
};

/* Returns 0, 1 if there may be more than there is place for, -1 without memory. */
static int take_client(struct list *list, const struct mirrored *mirrored)
{
    const struct listing *room;
    size_t at = 0;

    while ((room = mirrored_next(mirrored, &at, NULL)) != NULL) {
        if (list->looks == 0 || list->further.n == ROOMLIST_MAX)
            return 1;
        list->looks--;
        if (once_put(&list->once, &list->further, listing_name(room)) < 0)
            return -1;
    }
    return 0;
}

static int take_user(struct list *list, const struct mirror *mirror, const struct user *user)
{
    size_t at = 0;
    uint64_t client;
    unsigned lane;
    int rc = 0;

    while (rc == 0 && (lane = user_next(user, &at, &client)) != USER_END) {
        const struct mirrored *mirrored = mirror_find(mirror, lane, client);

        list->in |= ~(mirrored != NULL ? mirrored_left(mirrored) : 0);
        if (list->looks == 0)
            rc = 1;
        else if (mirrored != NULL)
            rc = take_client(list, mirrored);
        else
            list->looks--;
    }
    return rc;
}

static int compare(const void *a, const void *b)
{
    const struct slice *one = a, *other = b;
    size_t len = one->len < other->len ? one->len : other->len;
    int rc = len > 0 ? memcmp(one->ptr, other->ptr, len) : 0;

    return rc != 0 ? rc : (one->len > other->len) - (one->len < other->len);
}

/* All of list, in order. */
static int put(struct list *list, struct slice uid, struct slice everybody)
{
    struct slices *rooms = list->rooms, *further = &list->further;

    if (further->n > 0)
        qsort(further->at, further->n, sizeof(further->at[0]), compare);
    if ((list->in & MIRROR_OWN && slices_put(rooms, uid) < 0) ||
        (list->in & MIRROR_EVERYBODY && slices_put(rooms, everybody) < 0))
        return -1;
    for (size_t i = 0; i < further->n; i++)
        if (!(list->in & MIRROR_OWN && slice_eq(further->at[i], uid)) &&
            slices_put(rooms, further->at[i]) < 0)
            return -1;
    return 0;
}

int roomlist_take(struct slices *rooms, const struct directory *directory,
                  const struct mirror *mirror, struct slice uid, struct slice everybody)
{
    struct listing *listing = directory_find(directory, uid);
    const struct user *user = listing != NULL ? listing_user(listing) : NULL;
    struct list list = {.rooms = rooms, .looks = ROOMLIST_LOOKS_MAX};
    int rc;

    if (user == NULL)
        return 0;
    once_begin(&list.once, &list.further);
    rc = take_user(&list, mirror, user);
    if (rc >= 0 && put(&list, uid, everybody) < 0)
        rc = -1;
    once_clear(&list.once);
    slices_clear(&list.further);
    return rc;
}
