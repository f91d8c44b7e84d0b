#include "sio/socket.h"

#include "base/base64.h"
#include "base/clock.h"

#include <assert.h>

static struct buf *scratch_of(const struct socket *socket)
{
    return &socket->session.eio->scratch;
}

void socket_rearm(struct socket *socket)
{
    uint64_t connect_ms = socket->connect_due_ms, expire_ms = socket->expire_due_ms;

    socket->session.app_due_ms =
        connect_ms != 0 && (expire_ms == 0 || connect_ms < expire_ms) ? connect_ms : expire_ms;
    session_rearm(&socket->session);
}

void socket_put_connected(struct socket *socket, struct slice nsp, struct slice sid,
                          struct slice pid)
{
    struct buf *scratch = scratch_of(socket);

    buf_reset(scratch);
    sio_put_connect(scratch, session_version(&socket->session), nsp, sid, pid);
    session_put_scratch(&socket->session);
}

/* What was before does not count. */
static void let_in(struct socket *socket, enum nsp_state state)
{
    socket->nsp = (uint8_t)state;
    socket->in_since = sio_of(socket)->fanout_serial;
    socket->refusals = socket->sidless = 0;
    socket->connect_due_ms = socket->expire_due_ms = 0;
    socket_rearm(socket);
    session_known(&socket->session);
}

static void welcome(struct socket *socket, const struct sio_session *session)
{
    struct sio *sio = sio_of(socket);
    char sid[SIO_SID_MAX], pid[PID_TEXT_LEN];
    size_t pid_len = 0;

    socket->joins += socket->joins < UINT16_MAX;
    sio->stats.connects++;
    socket->recovers = session != NULL && session->pid.len > 0;
    if (socket->recovers) {
        assert(sio->options.recovery && socket->session.version == EIO4);
        assert(session->pid.len == PID_LEN);
        pid_len = base64url_encode(pid, session->pid.ptr, PID_LEN);
    }
    socket_put_connected(socket, slice_str(sio->options.nsp),
                         (struct slice){sid, socket_sid(socket, sid)},
                         (struct slice){pid, pid_len});
}

/* An event that nobody listens for: clients keep its last argument, as that of any other, and
 * say it when they come back. */
static void put_offset(struct socket *socket, uint64_t offset)
{
    const struct buf *head = &sio_of(socket)->event_head;
    struct buf *scratch = scratch_of(socket);
    char text[OFFSET_LEN];

    if (!socket->recovers || offset == 0)
        return;
    offset_write(text, offset);
    buf_reset(scratch);
    buf_put(scratch, head->data, head->len);
    buf_puts(scratch, "[\"$offset\",\"");
    buf_put(scratch, text, sizeof(text));
    buf_puts(scratch, "\"]");
    session_put_scratch(&socket->session);
}

/* It is in.  An offset that it came with may be newer than what the next ping could tell, so it
 * is as good as one that it was sent. */
static void tell_offset(struct socket *socket, uint64_t offset)
{
    put_offset(socket, offset);
    socket->has_offset = 1;
}

void socket_accept(struct socket *socket, const struct sio_session *session)
{
    assert(session == NULL || session->sid.len == 0);
    socket_leave_place(socket);
    let_in(socket, NSP_JOINED);
    welcome(socket, session);
    tell_offset(socket, session != NULL ? session->offset : 0);
}

int socket_replay(struct socket *socket)
{
    assert(socket->nsp == NSP_JOINING);
    if (socket_take_place(socket) < 0)
        return -1;
    let_in(socket, NSP_REPLAYING);
    return 0;
}

void socket_resume(struct socket *socket, const struct sio_session *session)
{
    assert(socket->nsp == NSP_REPLAYING && !socket->resumed);
    assert(session->sid.len == 0 || session->sid.len == SESSION_LEN);
    socket->resumed = 1;
    if (session->sid.len > 0)
        socket_go_by(socket, (const uint8_t *)session->sid.ptr);
    else
        socket_leave_place(socket);
    welcome(socket, session);
}

void socket_caught_up(struct socket *socket, uint64_t offset)
{
    assert(socket->nsp == NSP_REPLAYING && socket->resumed);
    socket->nsp = NSP_JOINED;
    socket->in_since = sio_of(socket)->fanout_serial;
    socket->resumed = 0;
    tell_offset(socket, offset);
}

void socket_pinged(struct socket *socket)
{
    const struct sio *sio = sio_of(socket);
    uint32_t interval_ms = sio->eio->options.ping_interval_ms;

    if (!socket->recovers || socket->nsp != NSP_JOINED)
        return;
    /* The ping before was an interval ago at least. */
    if (!socket->has_offset && sio->offset_ms + interval_ms > clock_ms())
        put_offset(socket, sio->offset);
    socket->has_offset = 0;
}

void sio_offset(struct sio *sio, uint64_t offset)
{
    sio->offset = offset;
    sio->offset_ms = clock_ms();
}
