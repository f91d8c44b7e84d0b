#include "worker/membership.h"
#include "base/log.h"
#include "conf.h"
#include "engine/engine.h"
#include "worker/client.h"
#include "worker/room.h"
#include "worker/stats.h"

#include <stdlib.h>
#include <string.h>

#define FIELDS "[: user={} rooms={} limit={} times={}]"
#define LOG_MS 60000

struct membership {
    const struct conf *conf;
    const struct sio *sio;
    struct rooms *rooms;
    struct worker_stats *stats;
    struct log_every refused[ROOM_REFUSALS];
};

struct membership *membership_new(const struct conf *conf, const struct sio *sio,
                                  struct rooms *rooms, struct worker_stats *stats)
{
    struct membership *membership = calloc(1, sizeof(*membership));

    if (membership == NULL)
        return NULL;
    membership->conf = conf;
    membership->sio = sio;
    membership->rooms = rooms;
    membership->stats = stats;
    return membership;
}

void membership_free(struct membership **membership)
{
    free(*membership);
    *membership = NULL;
}

/* --- joining --- */

static void refuse(struct membership *membership, const struct client *client,
                   enum room_refusal why, size_t names)
{
    static const struct log_entry entries[] = {
        [ROOM_LIMIT] = {"rooms_limit",
                        "client has as many rooms as it may have and joins no more" FIELDS},
        [ROOM_NAME] = {"room_name_too_long",
                       "client does not join a room, for the name is too long" FIELDS},
        [ROOM_NO_MEMORY] = {"rooms_no_memory", "no memory: client stays where it is" FIELDS},
    };
    uint64_t times;

    membership->stats->rooms_refused[why] += names;
    if ((times = log_due(&membership->refused[why], LOG_MS)) > 0)
        log_entry_at(LOG_LEVEL_WARN, entries[why],
                     LOG_WORD("user", client->uid, client->uid_len, 0),
                     LOG_UINT("room_count", client->member.n),
                     LOG_UINT("limit", membership->conf->rooms_per_client), LOG_TIMES(times));
}

static void join(struct membership *membership, struct client *client, struct slice name,
                 struct slices *joined)
{
    int result;

    if (name.len > ROOM_NAME_MAX) {
        refuse(membership, client, ROOM_NAME, 1);
        return;
    }
    if (socket_by_sid(membership->sio, name) == client->socket) {
        client->socket->sidless = 0;
        return;
    }
    /* What has been done is told in any case. */
    if (slices_put(joined, name) < 0) {
        refuse(membership, client, ROOM_NO_MEMORY, 1);
        return;
    }
    result = room_join(membership->rooms, &client->member, name);
    membership->stats->rooms_joined += result == 1;
    if (result != 1)
        joined->n--;
    if (result < 0)
        refuse(membership, client, ROOM_NO_MEMORY, 1);
}

void membership_join(struct membership *membership, struct client *client,
                     const struct slices *names, struct slices *joined)
{
    for (size_t i = 0; i < names->n; i++) {
        if (client->member.n >= membership->conf->rooms_per_client) {
            refuse(membership, client, ROOM_LIMIT, names->n - i);
            return;
        }
        join(membership, client, names->at[i], joined);
    }
}

/* --- leaving --- */

static int order(const void *a, const void *b)
{
    const struct slice *x = (const struct slice *)a, *y = (const struct slice *)b;

    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return x->len == 0 ? 0 : memcmp(x->ptr, y->ptr, x->len);
}

void membership_sort(struct slices *names)
{
    if (names->n > 1)
        qsort(names->at, names->n, sizeof(*names->at), order);
}

static const struct slice *find(const struct slices *names, struct slice name)
{
    return names->n == 0 ? NULL : bsearch(&name, names->at, names->n, sizeof(*names->at), order);
}

static void leave(struct membership *membership, struct client *client, struct slice name,
                  struct slices *left)
{
    /* What could not be told is not done. */
    if (slices_put(left, name) < 0) {
        refuse(membership, client, ROOM_NO_MEMORY, 1);
        return;
    }
    if (room_leave(membership->rooms, &client->member, name))
        membership->stats->rooms_left++;
    else
        left->n--;
}

void membership_leave(struct membership *membership, struct client *client,
                      const struct slices *names, struct slices *left)
{
    const struct room_member *member = &client->member;
    char sid[SIO_SID_MAX];
    size_t len = socket_sid(client->socket, sid);

    if (find(names, (struct slice){sid, len}) != NULL)
        client->socket->sidless = 1;
    if (names->n <= member->n) {
        for (size_t i = 0; i < names->n; i++)
            leave(membership, client, names->at[i], left);
        return;
    }
    /* From the last seat on, which is the one that moves. */
    for (uint32_t i = member->n; i-- > 0;) {
        const struct slice *name = find(names, room_name(room_at(member, i)));
        if (name != NULL)
            leave(membership, client, *name, left);
    }
}
