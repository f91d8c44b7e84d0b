#include "sio/socket.h"

#include "base/base64.h"
#include "base/siphash.h"
#include "codec/sid.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LENT_MIN 16 /* places of the smallest table */

static const uint8_t *lent_id(const struct socket *socket)
{
    return (const uint8_t *)(socket + 1);
}

/* --- the socket's own --- */

/* Of an EIO4 client, let in for that time: made of a keyed hash of the session id and the
 * count of joins, it is not kept, made again when asked for, and gives nothing of the session
 * id away. */
static size_t own_sid(const struct socket *socket, uint16_t joins, char dst[SIO_SID_LEN])
{
    const struct session *session = &socket->session;
    const struct eio_options *options = &session->eio->options;
    struct sid_home home = {options->process, options->generation, session->index};
    uint8_t from[SID_RANDOM + 2];

    memcpy(from, session->random, SID_RANDOM);
    from[SID_RANDOM] = (uint8_t)(joins >> 8);
    from[SID_RANDOM + 1] = (uint8_t)joins;
    return sio_sid_encode(dst, siphash(sio_of(socket)->sid_key, from, sizeof(from)), &home);
}

size_t socket_sid(const struct socket *socket, char dst[SIO_SID_MAX])
{
    const struct session *session = &socket->session;
    const struct sio *sio = sio_of(socket);
    char sid[EIO_SID_LEN + 1];
    size_t n = 0, nsp_len = strlen(sio->options.nsp);

    if (socket->lent)
        return base64url_encode(dst, lent_id(socket), SESSION_LEN);
    if (session->version == EIO4)
        return own_sid(socket, socket->joins, dst);
    session_sid(session, sid);
    if (nsp_len > 1) { /* the client of "/" goes by the engine's id alone */
        memcpy(dst, sio->options.nsp, nsp_len);
        dst[nsp_len] = '#';
        n = nsp_len + 1;
    }
    memcpy(dst + n, sid, EIO_SID_LEN);
    return n + EIO_SID_LEN;
}

int socket_session(const struct socket *socket, uint8_t session[SESSION_LEN])
{
    char sid[SIO_SID_LEN];

    if (socket->session.version != EIO4 || socket->joins == UINT16_MAX)
        return -1;
    own_sid(socket, (uint16_t)(socket->joins + 1), sid);
    return base64url_decode(session, sid, sizeof(sid)) == SESSION_LEN ? 0 : -1;
}

/* --- another's --- */

/* Keyed: clients can choose which of their sessions they come back to. */
static uint32_t place_of(const struct sio *sio, const uint8_t id[SESSION_LEN])
{
    return (uint32_t)siphash(sio->sid_key, id, SESSION_LEN) & (sio->lent.room - 1);
}

static uint32_t next_place(const struct sio *sio, uint32_t place)
{
    return (place + 1) & (sio->lent.room - 1);
}

/* at is taken. */
static struct socket *borrower(const struct sio *sio, uint32_t place)
{
    return socket_of(sio->eio->slots[sio->lent.at[place] - 1].session);
}

static void put(struct sio *sio, uint32_t slot, const uint8_t id[SESSION_LEN])
{
    uint32_t place = place_of(sio, id);

    while (sio->lent.at[place] != 0)
        place = next_place(sio, place);
    sio->lent.at[place] = slot + 1;
}

/* All of them, in a table of that room.  Returns 0, or -1 without memory (nothing changed). */
static int resize(struct sio *sio, uint32_t room)
{
    struct sio_lent before = sio->lent;
    uint32_t *at = calloc(room, sizeof(*at));

    if (at == NULL)
        return -1;
    sio->lent.at = at;
    sio->lent.room = room;
    for (uint32_t i = 0; i < before.room; i++)
        if (before.at[i] != 0)
            put(sio, before.at[i] - 1,
                lent_id(socket_of(sio->eio->slots[before.at[i] - 1].session)));
    free(before.at);
    return 0;
}

/* At most three quarters of the table are taken, of one that is not the smallest more than an
 * eighth. */
int socket_take_place(struct socket *socket)
{
    struct sio *sio = sio_of(socket);
    struct sio_lent *lent = &sio->lent;

    assert(sio->options.recovery && !socket->placed);
    if ((lent->n + 1) > lent->room / 4 * 3 &&
        resize(sio, lent->room > 0 ? lent->room * 2 : LENT_MIN) < 0)
        return -1;
    lent->n++;
    socket->placed = 1;
    return 0;
}

void socket_go_by(struct socket *socket, const uint8_t id[SESSION_LEN])
{
    assert(socket->placed && !socket->lent);
    memcpy(socket + 1, id, SESSION_LEN);
    socket->lent = 1;
    put(sio_of(socket), socket->session.index, id);
}

/* Those behind it are looked for from where they would be best to the first place that is
 * empty: whoever would not be found any more moves here. */
static void close_gap(struct sio *sio, uint32_t gap)
{
    struct sio_lent *lent = &sio->lent;

    for (uint32_t i = next_place(sio, gap); lent->at[i] != 0; i = next_place(sio, i)) {
        uint32_t best = place_of(sio, lent_id(borrower(sio, i)));

        if (((i - best) & (lent->room - 1)) < ((i - gap) & (lent->room - 1)))
            continue;
        lent->at[gap] = lent->at[i];
        gap = i;
    }
    lent->at[gap] = 0;
}

static void take_out(struct socket *socket)
{
    struct sio *sio = sio_of(socket);
    uint32_t place = place_of(sio, lent_id(socket));

    while (sio->lent.at[place] != socket->session.index + 1)
        place = next_place(sio, place);
    close_gap(sio, place);
    socket->lent = 0;
}

void socket_leave_place(struct socket *socket)
{
    struct sio *sio = sio_of(socket);
    struct sio_lent *lent = &sio->lent;

    if (!socket->placed)
        return;
    if (socket->lent)
        take_out(socket);
    socket->placed = 0;
    if (--lent->n == 0) {
        free(lent->at);
        *lent = (struct sio_lent){.at = NULL};
    } else if (lent->room > LENT_MIN && lent->n <= lent->room / 8) {
        (void)resize(sio, lent->room / 2);
    }
}

static struct socket *find_lent(const struct sio *sio, struct slice sid)
{
    uint8_t id[SESSION_LEN];

    if (sio->lent.n == 0 || sid.len != SIO_SID_LEN ||
        base64url_decode(id, sid.ptr, sid.len) != SESSION_LEN)
        return NULL;
    for (uint32_t i = place_of(sio, id); sio->lent.at[i] != 0; i = next_place(sio, i)) {
        struct socket *socket = borrower(sio, i);

        if (socket->nsp == NSP_JOINED && memcmp(lent_id(socket), id, SESSION_LEN) == 0)
            return socket;
    }
    return NULL;
}

/* --- found by either --- */

static struct socket *find_own(const struct sio *sio, struct slice sid)
{
    const struct eio *eio = sio->eio;
    size_t before = sid.len > EIO_SID_LEN ? sid.len - EIO_SID_LEN : 0; /* "<nsp>#" */
    struct slice end = {sid.ptr + before, sid.len - before};
    struct session *session;
    struct sid_home home;
    char own[SIO_SID_MAX];
    size_t len;

    if (sio_sid_decode(sid, &home) < 0 && sid_decode(end, &home) < 0)
        return NULL;
    if (home.index >= eio->nslots || (session = eio->slots[home.index].session) == NULL ||
        socket_of(session)->nsp != NSP_JOINED)
        return NULL;
    len = socket_sid(socket_of(session), own);
    return slice_eq((struct slice){own, len}, sid) ? socket_of(session) : NULL;
}

struct socket *socket_by_sid(const struct sio *sio, struct slice sid)
{
    struct socket *socket = find_lent(sio, sid);

    return socket != NULL ? socket : find_own(sio, sid);
}

struct socket *socket_in_sid(const struct sio *sio, struct slice sid)
{
    struct socket *socket = socket_by_sid(sio, sid);

    return socket == NULL || socket->sidless ? NULL : socket;
}

uint64_t socket_handle(const struct socket *socket)
{
    return session_handle(&socket->session);
}

struct socket *socket_find(const struct sio *sio, uint64_t handle)
{
    struct session *session = session_find(sio->eio, handle);

    return session != NULL ? socket_of(session) : NULL;
}

int socket_was_in(const struct socket *socket, uint64_t serial)
{
    return socket->nsp == NSP_JOINED && socket->in_since < serial;
}

struct socket *socket_next(const struct sio *sio, uint32_t *place)
{
    const struct eio *eio = sio->eio;

    while (*place < eio->nslots) {
        struct session *session;

        if (*place % SLOT_BLOCK == 0 && eio->blocks[*place / SLOT_BLOCK] == 0) {
            *place += SLOT_BLOCK;
            continue;
        }
        session = eio->slots[(*place)++].session;
        if (session != NULL && socket_of(session)->nsp == NSP_JOINED)
            return socket_of(session);
    }
    return NULL;
}

uint64_t socket_new_mark(struct sio *sio)
{
    return ++sio->fanout_serial;
}
