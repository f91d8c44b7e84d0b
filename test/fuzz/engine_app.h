/* engine_app - the application in fuzz_engine.c, which admits, refuses and answers as the
 * worker does; and the other processes that connections are handed to. */
#ifndef FUZZ_ENGINE_APP_H
#define FUZZ_ENGINE_APP_H

#include "base/clock.h"
#include "engine_world.h"

#define OTHERS 4 /* connections that have been handed on and can come back */

static enum { ADMIT_NOW, ADMIT_LATER, ADMIT_NOBODY, ADMIT_NEXT } admission;
static int handoff_result, takes_nobody;
static struct {
    int fd; /* -1: none */
    size_t len;
    uint8_t bytes[200000];
} others[OTHERS];

static struct sio_session session_of(struct player *player, uint8_t id[SESSION_LEN])
{
    static uint8_t pid[PID_LEN];
    int recovers = engine->sio.options.recovery && player->eio == EIO4;

    memset(id, 1, SESSION_LEN); /* of process 1 */
    id[SESSION_LEN - 1] = (uint8_t)(player - players);
    return (struct sio_session){.pid = {(char *)pid, recovers ? PID_LEN : 0},
                                .offset = recovers ? 1 + player->sent : 0};
}

static void accept_player(struct player *player)
{
    struct socket *socket = socket_of(player->session);
    uint8_t id[SESSION_LEN];
    struct sio_session session = session_of(player, id);

    if (socket->resumed) /* it has been answered */
        return;
    player->asks = 0;
    player->joined = 1;
    trace("  player %td is let in\n", player - players);
    socket_expire(socket, 0);
    socket_accept(socket, &session);
}

/* It comes back, is answered, and has caught up: the next of these. */
static void recover_player(struct player *player, unsigned lends)
{
    struct socket *socket = socket_of(player->session);
    uint8_t id[SESSION_LEN], own[SESSION_LEN];
    struct sio_session session = session_of(player, id);

    must((socket_session(socket, own) == 0) == (player->eio == EIO4));
    if (!player->asks || session.pid.len == 0)
        return;
    if (socket->nsp == NSP_JOINING) {
        trace("  player %td is back\n", player - players);
        must(socket_replay(socket) == 0 || socket->nsp == NSP_JOINING);
    } else if (!socket->resumed) {
        session.sid = (struct slice){(char *)id, lends % 2 ? SESSION_LEN : 0};
        socket_resume(socket, &session);
    } else {
        player->asks = 0;
        player->joined = 1;
        socket_caught_up(socket, session.offset);
    }
}

static void refuse_player(struct player *player)
{
    if (socket_of(player->session)->resumed)
        return;
    player->asks = 0;
    socket_refuse(socket_of(player->session), "no", "token_missing");
}

static struct player *player_new(struct session *session)
{
    struct player *player = &players[nplayers];

    if (nplayers == PLAYERS || takes_nobody)
        return NULL;
    nplayers++;
    *player = (struct player){.session = session, .eio = session_version(session)};
    session_sid(session, player->sid);
    trace("  player %u begins, EIO%d, %s\n", nplayers - 1, player->eio, session_transport(session));
    return player;
}

static void *on_opened(struct socket *socket, const struct http_request *req,
                       const struct address *peer, void *arg)
{
    (void)req;
    (void)peer;
    (void)arg;
    return player_new(&socket->session);
}

static struct player *player_of(struct socket *socket)
{
    struct player *player = socket_data(socket);

    must(player != NULL && player->session == &socket->session);
    return player;
}

static void on_connect(struct socket *socket, const struct sio_packet *packet, void *arg)
{
    struct player *player = player_of(socket);

    (void)packet;
    (void)arg;
    must(!player->asks && !player->joined);
    player->asks = 1;
    if (admission == ADMIT_NOW)
        accept_player(player);
    else if (admission == ADMIT_NOBODY)
        refuse_player(player);
}

static void on_left(struct socket *socket, enum close_reason why, void *arg)
{
    struct player *player = player_of(socket);

    (void)why;
    (void)arg;
    must(player->asks || player->joined);
    must(!player->joined || why != CLOSE_EVICTED);
    player->asks = player->joined = 0;
}

static void on_joined(struct socket *socket, const struct sio_packet *packet, void *arg)
{
    player_of(socket);
    (void)packet;
    (void)arg;
}

static void on_packet(struct socket *socket, const struct sio_packet *packet,
                      const struct slice *attachments, void *arg)
{
    size_t bytes = 0;

    player_of(socket);
    (void)arg;
    for (unsigned i = 0; i < packet->attachments; i++)
        for (size_t k = 0; k < attachments[i].len; k++)
            bytes += (unsigned char)attachments[i].ptr[k];
    if (packet->has_id)
        socket_ack(socket, packet->id, SLICE("[1]"));
    if (packet->data.len > 5 && memcmp(packet->data.ptr, "[\"bye", 5) == 0)
        socket_disconnect(socket, bytes % 2 ? CLOSE_EXPIRED : CLOSE_REPLACED);
}

static int on_wants(struct socket *socket, const struct sio_packet *packet, void *arg)
{
    player_of(socket);
    (void)arg;
    must(packet->attachments > 0);
    return packet->type == SIO_BINARY_ACK && packet->id % 2 == 1;
}

static void over(struct player *player, enum close_reason why)
{
    must(why < CLOSE_REASONS && !player->asks && !player->joined);
    trace("  player %td is over: %s\n", player - players, close_reason_name(why));
    player->session = NULL;
}

static void on_closed(struct socket *socket, enum close_reason why, void *arg)
{
    (void)arg;
    over(player_of(socket), why);
}

static int on_handoff(uint32_t process, int fd, const struct handoff_conn *known, const void *bytes,
                      size_t len, void *arg)
{
    (void)known;
    (void)process;
    (void)arg;
    if (handoff_result != 0)
        return handoff_result;
    for (int i = 0; i < OTHERS; i++) {
        if (others[i].fd >= 0)
            continue;
        if ((others[i].fd = dup(fd)) < 0)
            abort();
        others[i].len = len < sizeof(others[i].bytes) ? len : sizeof(others[i].bytes);
        if (len > 0)
            memcpy(others[i].bytes, bytes, others[i].len);
        return 0;
    }
    return 1;
}

static const struct sio_app apps[] = {
    {.opened = on_opened,
     .connect = on_connect,
     .left = on_left,
     .joined = on_joined,
     .packet = on_packet,
     .closed = on_closed},
    {.opened = on_opened,
     .connect = on_connect,
     .left = on_left,
     .packet = on_packet,
     .wants = on_wants,
     .closed = on_closed},
};

/* --- an application without Socket.IO --- */

static int without_sio; /* this one is used */

struct plain {
    struct session session;
    struct player *player;
};

static struct session *on_plain_make(void *arg)
{
    struct plain *plain = calloc(1, sizeof(*plain));

    (void)arg;
    return plain != NULL ? &plain->session : NULL;
}

static void on_plain_release(struct session *session, void *arg)
{
    (void)arg;
    free(session);
}

static struct player *plain_player(struct session *session)
{
    struct player *player = ((struct plain *)(void *)session)->player;

    must(player != NULL && player->session == session);
    return player;
}

static int on_plain_opened(struct session *session, const struct http_request *req,
                           const struct address *peer, void *arg)
{
    (void)req;
    (void)peer;
    (void)arg;
    session_known(session);
    return (((struct plain *)(void *)session)->player = player_new(session)) != NULL ? 0 : -1;
}

static void on_plain_message(struct session *session, int binary, struct slice data, void *arg)
{
    plain_player(session);
    (void)arg;
    if (binary)
        session_send_binary(session, data);
    else
        session_send(session, data);
}

static void on_plain_closed(struct session *session, enum close_reason why, void *arg)
{
    (void)arg;
    over(plain_player(session), why);
}

static const struct eio_app plain_app = {
    .make = on_plain_make,
    .release = on_plain_release,
    .opened = on_plain_opened,
    .message = on_plain_message,
    .closed = on_plain_closed,
    .mixes = 1,
};

/* --- what it does by itself --- */

static void check_names(struct socket *socket)
{
    char sid[SIO_SID_MAX];
    struct slice id = {sid, socket_sid(socket, sid)};
    struct player *player = socket_data(socket);
    uint32_t process = 0;

    must(socket_by_sid(&engine->sio, id) == (player->joined ? socket : NULL));
    must(socket_find(&engine->sio, socket_handle(socket)) == socket);
    must(sid_process(id, &process) < 0 || process == 1);
}

static void op_app(struct peer *peer, unsigned what)
{
    struct player *player = nplayers > 0 ? &players[u8() % nplayers] : NULL;

    (void)peer;
    if (player == NULL || player->session == NULL)
        return;
    if (without_sio) {
        session_send(player->session, SLICE("more"));
        return;
    }
    switch (what % 16) {
    case 0:
        if (player->asks)
            accept_player(player);
        break;
    case 1:
        if (player->asks)
            refuse_player(player);
        break;
    case 2:
        socket_disconnect(socket_of(player->session), CLOSE_REPLACED);
        break;
    case 3:
        socket_expire(socket_of(player->session), clock_ms() + u8() * 20);
        break;
    case 4:
        session_send(player->session, SLICE("2/axr,[\"own\"]"));
        break;
    case 5:
        must((socket_of(player->session)->nsp == NSP_JOINED) == player->joined);
        if (player->joined)
            socket_ack(socket_of(player->session), 3, SLICE("[]"));
        break;
    case 6:
        check_names(socket_of(player->session));
        break;
    case 7:
        net_flush(engine->net);
        break;
    case 8:
        session_known(player->session);
        break;
    case 9: /* no memory for another one */
        takes_nobody = !takes_nobody;
        break;
    case 10:
        engine_stop_listening(engine);
        break;
    case 11:
        session_guard(player->session, 1);
        break;
    case 12:
        recover_player(player, u8());
        break;
    case 13:
        sio_offset(&engine->sio, u8());
        break;
    default:
        break;
    }
}

#endif
