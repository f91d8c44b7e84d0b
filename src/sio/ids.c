#include "sio/socket.h"

#include "base/siphash.h"
#include "codec/sid.h"

#include <string.h>

/* Of an EIO4 client it is made of a keyed hash of the session id and the count of joins:
 * not kept, made again when asked for, and it gives nothing of the session id away. */
size_t socket_sid(const struct socket *socket, char dst[SIO_SID_MAX])
{
    const struct session *session = &socket->session;
    const struct eio_options *options = &session->eio->options;
    const struct sio *sio = sio_of(socket);
    struct sid_home home = {options->process, options->generation, session->index};
    char sid[EIO_SID_LEN + 1];
    uint8_t from[SID_RANDOM + 2];
    size_t n = 0, nsp_len = strlen(sio->options.nsp);

    if (session->version == EIO4) {
        memcpy(from, session->random, SID_RANDOM);
        from[SID_RANDOM] = (uint8_t)(socket->joins >> 8);
        from[SID_RANDOM + 1] = (uint8_t)socket->joins;
        return sio_sid_encode(dst, siphash(sio->sid_key, from, sizeof(from)), &home);
    }
    session_sid(session, sid);
    if (nsp_len > 1) { /* the client of "/" goes by the engine's id alone */
        memcpy(dst, sio->options.nsp, nsp_len);
        dst[nsp_len] = '#';
        n = nsp_len + 1;
    }
    memcpy(dst + n, sid, EIO_SID_LEN);
    return n + EIO_SID_LEN;
}

struct socket *socket_by_sid(const struct sio *sio, struct slice sid)
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
