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

static void accept_player(struct player *player)
{
    player->asks = 0;
    player->joined = 1;
    trace("  player %td is let in\n", player - players);
    session_expire(player->session, 0);
    session_accept(player->session);
}

static void refuse_player(struct player *player)
{
    player->asks = 0;
    session_refuse(player->session, "no", "token_missing");
}

static void *on_opened(struct session *session, const struct http_request *req,
                       const struct sockaddr *peer, void *arg)
{
    struct player *player = &players[nplayers];

    (void)req;
    (void)peer;
    (void)arg;
    if (nplayers == PLAYERS || takes_nobody)
        return NULL;
    nplayers++;
    *player = (struct player){.session = session, .eio = session_version(session)};
    session_sid(session, player->sid);
    trace("  player %u begins, EIO%d, %s\n", nplayers - 1, player->eio, session_transport(session));
    return player;
}

static struct player *player_of(struct session *session)
{
    struct player *player = session_data(session);

    must(player != NULL && player->session == session);
    return player;
}

static void on_connect(struct session *session, const struct sio_packet *packet, void *arg)
{
    struct player *player = player_of(session);

    (void)packet;
    (void)arg;
    must(!player->asks && !player->joined);
    player->asks = 1;
    if (admission == ADMIT_NOW)
        accept_player(player);
    else if (admission == ADMIT_NOBODY)
        refuse_player(player);
}

static void on_left(struct session *session, enum engine_close why, void *arg)
{
    struct player *player = player_of(session);

    (void)why;
    (void)arg;
    must(player->asks || player->joined);
    must(!player->joined || why != CLOSE_EVICTED);
    player->asks = player->joined = 0;
}

static void on_joined(struct session *session, const struct sio_packet *packet, void *arg)
{
    player_of(session);
    (void)packet;
    (void)arg;
}

static void on_packet(struct session *session, const struct sio_packet *packet,
                      const struct slice *attachments, void *arg)
{
    size_t bytes = 0;

    player_of(session);
    (void)arg;
    for (unsigned i = 0; i < packet->attachments; i++)
        for (size_t k = 0; k < attachments[i].len; k++)
            bytes += (unsigned char)attachments[i].ptr[k];
    if (packet->has_id)
        session_ack(session, packet->id, SLICE("[1]"));
    if (packet->data.len > 5 && memcmp(packet->data.ptr, "[\"bye", 5) == 0)
        session_disconnect(session, bytes % 2 ? CLOSE_EXPIRED : CLOSE_REPLACED);
}

static void on_message(struct session *session, int binary, struct slice data, void *arg)
{
    player_of(session);
    (void)arg;
    if (binary)
        session_send_binary(session, data);
    else
        session_send(session, data);
}

static void on_closed(struct session *session, enum engine_close why, void *arg)
{
    struct player *player = player_of(session);

    (void)arg;
    must(why < ENGINE_CLOSES && !player->asks && !player->joined);
    trace("  player %td is over: %s\n", player - players, engine_close_name(why));
    player->session = NULL;
}

static int on_handoff(uint32_t slot, int fd, const void *bytes, size_t len, void *arg)
{
    (void)slot;
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

static const struct engine_app apps[] = {
    {.opened = on_opened,
     .connect = on_connect,
     .left = on_left,
     .joined = on_joined,
     .packet = on_packet,
     .closed = on_closed,
     .handoff = on_handoff},
    {.opened = on_opened,
     .connect = on_connect,
     .left = on_left,
     .packet = on_packet,
     .text_only = 1,
     .closed = on_closed},
    {.opened = on_opened, .message = on_message, .closed = on_closed},
};

/* --- what it does by itself --- */

static void check_names(struct session *session)
{
    char sid[SIO_SID_MAX];
    struct slice id = {sid, session_sio_sid(session, sid)};
    struct player *player = session_data(session);
    uint32_t slot = 0;

    must(session_by_sio_sid(engine, id) == (player->joined ? session : NULL));
    must(session_find(engine, session_handle(session)) == session);
    must(session_id_home(id, &slot) < 0 || slot == 1);
}

static void op_app(struct peer *peer, unsigned what)
{
    struct player *player = nplayers > 0 ? &players[u8() % nplayers] : NULL;

    (void)peer;
    if (player == NULL || player->session == NULL)
        return;
    if (engine->app->message != NULL) {
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
        session_disconnect(player->session, CLOSE_REPLACED);
        break;
    case 3:
        session_expire(player->session, clock_ms() + u8() * 20);
        break;
    case 4:
        session_send(player->session, SLICE("2/axr,[\"own\"]"));
        break;
    case 5:
        must(session_joined(player->session) == player->joined);
        if (player->joined)
            session_ack(player->session, 3, SLICE("[]"));
        break;
    case 6:
        check_names(player->session);
        break;
    case 7:
        engine_flush(engine);
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
    default:
        break;
    }
}

#endif
