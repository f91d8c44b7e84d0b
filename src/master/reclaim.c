#include "master/reclaim.h"

#include "ipc/msg.h"
#include "master/gone.h"
#include "master/route.h"
#include "master/sessions.h"

static enum reclaim_state look_gone(const struct reclaim *reclaim,
                                    const uint8_t session[SESSION_LEN], uint64_t *holder)
{
    struct gone_session gone;

    if (gone_find(reclaim->gone, session, &gone) < 0)
        return RECLAIM_UNKNOWN;
    switch (gone.state) {
    case GONE_AWAY:
        return RECLAIM_HERE;
    case GONE_ENDED:
        return RECLAIM_ENDED;
    case GONE_BROKEN:
        return RECLAIM_BROKEN;
    case GONE_MOVED:
        break;
    }
    *holder = gone.daemon;
    return RECLAIM_MOVED;
}

enum reclaim_state reclaim_look(const struct reclaim *reclaim, const uint8_t session[SESSION_LEN],
                                uint64_t *holder)
{
    struct sessions_entry entry;
    uint64_t client;
    unsigned lane;

    if (sessions_find(reclaim->sessions, session, &lane, &client) < 0)
        return look_gone(reclaim, session, holder);
    if (sessions_get(reclaim->sessions, lane, client, &entry) == 0 && entry.is_broken)
        return RECLAIM_BROKEN;
    return RECLAIM_HERE;
}

static int put_kick(struct reclaim *reclaim, uint64_t client, struct slice uid)
{
    size_t mark;

    buf_reset(&reclaim->kick);
    mark = msg_begin(&reclaim->kick, MSG_KICK);
    msg_put_u64(&reclaim->kick, client);
    msg_put_bytes(&reclaim->kick, uid.ptr, uid.len);
    msg_put_u8(&reclaim->kick, MSG_KICK_TAKEN);
    return msg_end(&reclaim->kick, mark);
}

/* What can fail comes before what it changes. */
static int take_over(struct reclaim *reclaim, unsigned lane, uint64_t client, struct slice uid,
                     uint64_t now_ms)
{
    if (put_kick(reclaim, client, uid) < 0 ||
        route_oust_client(reclaim->route, uid, lane, client) < 0)
        return -1;
    gone_client_taken(reclaim->gone, lane, client, uid, now_ms);
    reclaim->takeovers++;
    reclaim->send(lane, reclaim->kick.data, reclaim->kick.len, reclaim->arg);
    return 0;
}

int reclaim_take(struct reclaim *reclaim, const uint8_t session[SESSION_LEN], struct slice uid,
                 uint64_t now_ms)
{
    struct gone_session gone;
    uint64_t client;
    unsigned lane;

    if (sessions_find(reclaim->sessions, session, &lane, &client) == 0 &&
        take_over(reclaim, lane, client, uid, now_ms) < 0)
        return -1;
    if (gone_find(reclaim->gone, session, &gone) < 0 || gone.state != GONE_AWAY)
        return -1;
    return slice_eq(gone.uid, uid) ? 0 : -1;
}

void reclaim_clear(struct reclaim *reclaim)
{
    buf_free(&reclaim->kick);
}
