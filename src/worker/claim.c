#include "worker/claim.h"
#include "base/slices.h"
#include "codec/token_rooms.h"
#include "worker/client.h"

#include <stdlib.h>
#include <string.h>

/* client->uid is one piece of memory: the user's id and, where there are rooms, a pointer to
 * them behind it, wherever that comes to lie. */

struct tail {
    struct token_rooms *rooms;
};

static struct token_rooms *rooms_of(const struct client *client)
{
    struct tail tail = {NULL};

    if (client->has_rooms)
        memcpy(&tail, client->uid + client->uid_len, sizeof(tail));
    return tail.rooms;
}

const struct token_rooms *claim_rooms(const struct client *client)
{
    return rooms_of(client);
}

void claim_forget(struct client *client)
{
    struct token_rooms *rooms = rooms_of(client);

    token_rooms_free(&rooms);
    free(client->uid);
    client->uid = NULL;
    client->uid_len = client->has_rooms = 0;
}

/* *before: the rooms that it had. */
static int replace(struct client *client, struct token_user *user, struct token_rooms **before)
{
    int has_rooms = user->rooms != NULL;
    struct tail tail = {user->rooms};
    char *uid = malloc(user->uid_len + (has_rooms ? sizeof(tail) : 0));

    if (uid == NULL)
        return -1;
    memcpy(uid, user->uid, user->uid_len);
    if (has_rooms)
        memcpy(uid + user->uid_len, &tail, sizeof(tail));
    *before = rooms_of(client);
    user->rooms = NULL;
    free(client->uid);
    client->uid = uid;
    client->uid_len = (uint8_t)user->uid_len;
    client->has_rooms = (uint8_t)has_rooms;
    return 0;
}

int claim_take(struct client *client, struct token_user *user)
{
    struct token_rooms *before;

    if (replace(client, user, &before) < 0)
        return -1;
    token_rooms_free(&before);
    return 0;
}

static int is_default(const struct client *client, struct slice name)
{
    return slice_eq(name, ROOM_EVERYBODY) || slice_eq(name, client_uid(client));
}

/* As token_rooms_next(), without those that every client has. */
static int next(const struct client *client, const struct token_rooms *rooms,
                const struct token_rooms *except, struct token_rooms_walk *walk, struct slice *name)
{
    while (token_rooms_next(rooms, except, walk, name))
        if (!is_default(client, *name))
            return 1;
    return 0;
}

/* Those of rooms that are none of except. */
static int put_all(const struct client *client, const struct token_rooms *rooms,
                   const struct token_rooms *except, struct slices *list)
{
    struct token_rooms_walk walk = {0};
    struct slice name;

    while (next(client, rooms, except, &walk, &name))
        if (slices_put(list, name) < 0)
            return -1;
    return 0;
}

int claim_list(const struct client *client, struct slices *list)
{
    return put_all(client, claim_rooms(client), NULL, list);
}

int claim_renew(struct client *client, struct token_user *user, struct token_rooms **before,
                struct slices *gone, struct slices *come)
{
    const struct token_rooms *was = claim_rooms(client), *is = user->rooms;

    if (put_all(client, was, is, gone) < 0 || put_all(client, is, was, come) < 0)
        return -1;
    return replace(client, user, before);
}

int claim_join(struct rooms *rooms, struct client *client)
{
    struct token_rooms_walk walk = {0};
    struct slice name;

    while (next(client, claim_rooms(client), NULL, &walk, &name))
        if (room_join(rooms, &client->member, name) < 0)
            return -1;
    return 0;
}
