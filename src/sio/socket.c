#include "sio/socket.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/rand.h"
#include "codec/ws.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LENT_BYTES 16   /* for SESSION_LEN; memory comes in such */
#define REFUSED_MS 5000 /* a client that was refused has so long to leave by itself */

/* Of one client; what it asks after that is not looked at, for to judge a token is
 * what costs. */
#define REFUSALS_MAX 10

static struct buf *scratch_of(const struct socket *socket)
{
    return &socket->session.eio->scratch;
}

static int is_ours(const struct socket *socket, struct slice nsp)
{
    return slice_eq(nsp, slice_str(sio_of(socket)->options.nsp));
}

/* Its bit, 0 if there is none of that name. */
static uint8_t open_bit(const struct socket *socket, struct slice nsp)
{
    const char *const *names = sio_of(socket)->options.open_nsps;

    if (slice_eq(nsp, SLICE("/")))
        return 1;
    for (int i = 0; names != NULL && i < SIO_OPEN_NSPS && names[i] != NULL; i++)
        if (slice_eq(nsp, slice_str(names[i])))
            return (uint8_t)(2U << i);
    return 0;
}

/* As the client sees it. */
static enum nsp_state state_in(const struct socket *socket, struct slice nsp)
{
    uint8_t bit;

    if (is_ours(socket, nsp) && socket->nsp == NSP_REPLAYING)
        return socket->resumed ? NSP_JOINED : NSP_JOINING;
    if (is_ours(socket, nsp))
        return (enum nsp_state)socket->nsp;
    bit = open_bit(socket, nsp);
    if (socket->open_in & bit)
        return NSP_JOINED;
    return socket->open_left & bit ? NSP_LEFT : NSP_NONE;
}

/* left() has to be called when it goes. */
static int is_in(const struct socket *socket)
{
    return socket->nsp == NSP_JOINING || socket->nsp == NSP_JOINED || socket->nsp == NSP_REPLAYING;
}

static void go_out(struct socket *socket)
{
    socket->nsp = NSP_LEFT;
    socket->recovers = socket->resumed = 0;
    socket_leave_place(socket);
}

static void fault(struct socket *socket)
{
    session_close(&socket->session, WS_CLOSE_NONE, CLOSE_PROTOCOL);
}

/* --- joining --- */

/* "/" where it is not the configured namespace, and others that the application
 * may have: every client may be in them.  To be in "/" alone does not count as
 * having come, for old clients are in it unasked. */
static void join_open(struct socket *socket, uint8_t bit, const struct sio_packet *packet)
{
    const struct sio *sio = sio_of(socket);
    char sid[SIO_SID_LEN];
    uint8_t raw[15];

    socket->open_in |= bit;
    if (bit != 1) {
        socket->connect_due_ms = 0;
        socket_rearm(socket);
        session_known(&socket->session);
    }
    rand_bytes(raw, sizeof(raw));
    base64url_encode(sid, raw, sizeof(raw));
    socket_put_connected(socket, packet->nsp, (struct slice){sid, sizeof(sid)},
                         (struct slice){"", 0});
    if (sio->app->joined != NULL)
        sio->app->joined(socket, packet, sio->arg);
}

static void join_ours(struct socket *socket, const struct sio_packet *packet)
{
    socket->nsp = NSP_JOINING;
    sio_of(socket)->app->connect(socket, packet, sio_of(socket)->arg);
}

static void started(struct socket *socket)
{
    struct sio_packet connect = {.type = SIO_CONNECT, .nsp = SLICE("/")};

    if (socket->session.version == EIO4)
        return; /* the client asks */
    if (is_ours(socket, connect.nsp))
        join_ours(socket, &connect);
    else
        join_open(socket, 1, &connect);
}

static void on_connect(struct socket *socket, const struct sio_packet *packet)
{
    struct buf *scratch = scratch_of(socket);
    uint8_t bit = open_bit(socket, packet->nsp);

    if (is_ours(socket, packet->nsp)) {
        if (is_in(socket))
            fault(socket);
        else if (socket->refusals < REFUSALS_MAX)
            join_ours(socket, packet);
    } else if (bit != 0) {
        if (socket->open_in & bit)
            fault(socket);
        else
            join_open(socket, bit, packet);
    } else {
        buf_reset(scratch);
        sio_put_connect_error(scratch, socket_version(socket), packet->nsp, "Invalid namespace",
                              NULL);
        session_put_scratch(&socket->session);
        if (sio_of(socket)->app->unserved != NULL)
            sio_of(socket)->app->unserved(socket, packet->nsp, sio_of(socket)->arg);
    }
}

int socket_ack(struct socket *socket, uint64_t id, struct slice json)
{
    struct buf *scratch = scratch_of(socket);

    buf_reset(scratch);
    sio_put_ack(scratch, slice_str(sio_of(socket)->options.nsp), id, json);
    return session_put_scratch(&socket->session);
}

/* --- leaving --- */

static void put_disconnect(struct socket *socket, struct slice nsp)
{
    struct buf *scratch = scratch_of(socket);

    buf_reset(scratch);
    sio_put_disconnect(scratch, nsp);
    session_put_scratch(&socket->session);
}

static void put_disconnect_ours(struct socket *socket)
{
    put_disconnect(socket, slice_str(sio_of(socket)->options.nsp));
}

/* It is in no open namespace any more. */
static void leave_open(struct socket *socket)
{
    const char *const *names = sio_of(socket)->options.open_nsps;

    if (socket->open_in & 1)
        put_disconnect(socket, SLICE("/"));
    for (int i = 0; names != NULL && i < SIO_OPEN_NSPS && names[i] != NULL; i++)
        if (socket->open_in & 2U << i)
            put_disconnect(socket, slice_str(names[i]));
    socket->open_left |= socket->open_in;
    socket->open_in = 0;
}

/* Clients 1.x to 3.x that are closed at once are back at once: those that follow a
 * DISCONNECT by connect(), hundreds of times a second, and after a bare close all of
 * them.  So each has time to leave by itself.  It counts from the first refusal, and
 * where it has run out (the verdict came later) the next one is the last. */
void socket_refuse(struct socket *socket, const char *message, const char *code)
{
    struct buf *scratch = scratch_of(socket);

    go_out(socket); /* so that left() is not called */
    session_unknown(&socket->session);
    buf_reset(scratch);
    sio_put_connect_error(scratch, socket_version(socket), slice_str(sio_of(socket)->options.nsp),
                          message, code);
    session_put_scratch(&socket->session);
    if (socket->refusals++ == 0)
        socket->expire_due_ms = clock_ms() + REFUSED_MS;
    if (socket->expire_due_ms == 0) {
        socket_disconnect(socket, CLOSE_REFUSED);
        return;
    }
    if (socket->connect_due_ms != 0 && socket->connect_due_ms < socket->expire_due_ms)
        socket->connect_due_ms = socket->expire_due_ms;
    socket_rearm(socket);
}

/* Returns -1 if it has been closed for it. */
static int expired(struct socket *socket)
{
    if (socket->refusals > 0 && socket->nsp == NSP_JOINING) {
        socket->expire_due_ms = 0; /* the verdict that is on its way decides */
        socket_rearm(socket);
        return 0;
    }
    socket_disconnect(socket, socket->refusals > 0 ? CLOSE_REFUSED : CLOSE_EXPIRED);
    return -1;
}

void socket_expire(struct socket *socket, uint64_t at_ms)
{
    socket->expire_due_ms = at_ms;
    socket_rearm(socket);
}

void socket_disconnect(struct socket *socket, enum close_reason why)
{
    put_disconnect_ours(socket);
    session_close(&socket->session, WS_CLOSE_NONE, why);
}

void socket_disconnect_all(struct socket *socket, enum close_reason why)
{
    leave_open(socket);
    socket_disconnect(socket, why);
}

static void leave_ours(struct socket *socket, enum close_reason why)
{
    go_out(socket);
    sio_of(socket)->app->left(socket, why, sio_of(socket)->arg);
}

void socket_leave(struct socket *socket, enum close_reason why)
{
    put_disconnect_ours(socket);
    socket_expire(socket, 0);
    leave_ours(socket, why);
}

static void on_disconnect(struct socket *socket, const struct sio_packet *packet)
{
    uint8_t bit = open_bit(socket, packet->nsp);

    if (is_ours(socket, packet->nsp)) {
        if (socket->refusals == 0)
            socket_expire(socket, 0);
        if (is_in(socket))
            leave_ours(socket, CLOSE_LEFT);
    } else {
        socket->open_in &= (uint8_t)~bit;
        socket->open_left |= bit;
    }
}

/* --- everything else --- */

/* One more part of a packet that is collected.  Returns 0, or -1 when the socket
 * has been closed. */
static int collect(struct socket *socket, struct slice part)
{
    struct inbound *inbound = socket->inbound;

    if (part.len > sio_of(socket)->options.max_payload - inbound_bytes(inbound)) {
        session_close(&socket->session, WS_CLOSE_TOO_BIG, CLOSE_TOO_BIG);
        return -1;
    }
    if (inbound_put(inbound, part) < 0) {
        session_close(&socket->session, WS_CLOSE_NONE, CLOSE_NO_MEMORY);
        return -1;
    }
    return 0;
}

static void begin(struct socket *socket, struct slice text)
{
    if (inbound_begin(&sio_of(socket)->inbounds, &socket->inbound) < 0)
        session_close(&socket->session, WS_CLOSE_NONE, CLOSE_NO_MEMORY);
    else
        (void)collect(socket, text);
}

/* All is there.  It may have been put out of the namespace meanwhile.  The application may
 * end the socket. */
static void deliver(struct socket *socket)
{
    const struct sio *sio = sio_of(socket);
    struct inbound *inbound = inbound_take(&socket->inbound);
    struct slice parts[INBOUND_PARTS];
    struct sio_packet packet;

    inbound_parts(inbound, parts);
    /* Once more, for its slices now lie here. */
    if (sio_decode(&packet, socket_version(socket), parts[0]) == 0 &&
        state_in(socket, packet.nsp) == NSP_JOINED)
        sio->app->packet(socket, &packet, parts + 1, sio->arg);
    inbound_free(&inbound);
}

/* Events and acknowledgements.  What comes late, for a namespace that was left,
 * or early, is tolerated, for old clients do that; for one never asked for it
 * is a fault. */
static void on_other(struct socket *socket, const struct sio_packet *packet, struct slice text)
{
    const struct sio *sio = sio_of(socket);
    enum nsp_state state = state_in(socket, packet->nsp);

    if (state == NSP_NONE) {
        fault(socket);
        return;
    }
    socket->attachments = (uint8_t)packet->attachments;
    if (state != NSP_JOINED || sio->app->packet == NULL)
        return;
    if (packet->attachments == 0)
        sio->app->packet(socket, packet, NULL, sio->arg);
    else if (sio->app->wants == NULL || sio->app->wants(socket, packet, sio->arg))
        begin(socket, text);
}

static void take_text(struct socket *socket, struct slice text)
{
    struct sio_packet packet;

    if (socket->attachments > 0 || sio_decode(&packet, socket_version(socket), text) < 0) {
        fault(socket);
        return;
    }
    switch (packet.type) {
    case SIO_CONNECT:
        on_connect(socket, &packet);
        break;
    case SIO_DISCONNECT:
        on_disconnect(socket, &packet);
        break;
    case SIO_CONNECT_ERROR:
        fault(socket);
        break;
    case SIO_EVENT:
    case SIO_ACK:
    case SIO_BINARY_EVENT:
    case SIO_BINARY_ACK:
        on_other(socket, &packet, text);
        break;
    }
}

static void take_binary(struct socket *socket, struct slice bytes)
{
    if (socket->attachments == 0) {
        fault(socket);
        return;
    }
    socket->attachments--;
    if (socket->inbound != NULL && collect(socket, bytes) == 0 && socket->attachments == 0)
        deliver(socket);
}

/* --- what the session is asked --- */

void *socket_data(const struct socket *socket)
{
    return socket->data;
}

enum eio_version socket_version(const struct socket *socket)
{
    return session_version(&socket->session);
}

int socket_has_ended(const struct socket *socket)
{
    return session_has_ended(&socket->session);
}

uint64_t socket_opened_ms(const struct socket *socket)
{
    uint64_t timeout_ms = sio_of(socket)->options.connect_timeout_ms;

    return socket->connect_due_ms > timeout_ms ? socket->connect_due_ms - timeout_ms : 0;
}

const char *socket_transport(const struct socket *socket)
{
    return session_transport(&socket->session);
}

void socket_guard(struct socket *socket, int on)
{
    session_guard(&socket->session, on);
}

void socket_known(struct socket *socket)
{
    session_known(&socket->session);
}

void socket_token_refused(const struct socket *socket)
{
    tally_refused(socket->session.eio->net, &socket->session.age);
}

/* --- what the session asks --- */

static struct session *on_make(void *arg)
{
    const struct sio *sio = arg;
    struct socket *socket = calloc(1, sizeof(*socket) + (sio->options.recovery ? LENT_BYTES : 0));

    /* cppcheck-suppress memleak; on_release() frees it */
    return socket != NULL ? &socket->session : NULL;
}

static void on_release(struct session *session, void *arg)
{
    struct socket *socket = socket_of(session);

    (void)arg;
    inbound_free(&socket->inbound);
    free(socket);
}

static int on_opened(struct session *session, const struct http_request *req,
                     const struct address *peer, void *arg)
{
    const struct sio *sio = arg;
    struct socket *socket = socket_of(session);

    socket->connect_due_ms = clock_ms() + sio->options.connect_timeout_ms;
    socket_rearm(socket);
    if ((socket->data = sio->app->opened(socket, req, peer, sio->arg)) == NULL)
        return -1;
    started(socket);
    return 0;
}

static int on_guarded(const struct http_request *req, void *arg)
{
    const struct sio *sio = arg;

    return sio->app->guarded == NULL || sio->app->guarded(req, sio->arg);
}

static void on_message(struct session *session, int binary, struct slice data, void *arg)
{
    (void)arg;
    if (binary)
        take_binary(socket_of(session), data);
    else
        take_text(socket_of(session), data);
}

static int on_due(struct session *session, uint64_t now_ms, void *arg)
{
    struct socket *socket = socket_of(session);

    (void)arg;
    if (socket->expire_due_ms != 0 && socket->expire_due_ms <= now_ms && expired(socket) < 0)
        return -1;
    if (socket->connect_due_ms == 0 || socket->connect_due_ms > now_ms)
        return 0;
    session_close(session, WS_CLOSE_NONE, CLOSE_CONNECT_TIMEOUT);
    return -1;
}

static void on_closed(struct session *session, enum close_reason why, void *arg)
{
    const struct sio *sio = arg;
    struct socket *socket = socket_of(session);
    int was_in = is_in(socket);

    go_out(socket);
    if (was_in)
        sio->app->left(socket, why, sio->arg);
    sio->app->closed(socket, why, sio->arg);
    socket->data = NULL;
    socket->connect_due_ms = socket->expire_due_ms = 0;
}

static void on_pinged(struct session *session, void *arg)
{
    (void)arg;
    socket_pinged(socket_of(session));
}

const struct eio_app sio_eio_app = {
    .make = on_make,
    .release = on_release,
    .opened = on_opened,
    .guarded = on_guarded,
    .message = on_message,
    .due = on_due,
    .pinged = on_pinged,
    .closed = on_closed,
};

/* --- life --- */

int sio_init(struct sio *sio, struct eio *eio, const struct sio_options *options,
             const struct sio_app *app, void *arg)
{
    *sio = (struct sio){.eio = eio, .options = *options, .app = app, .arg = arg};
    inbounds_init(&sio->inbounds, &sio->stats.inbound_given_up);
    rand_bytes(sio->sid_key, sizeof(sio->sid_key));
    return sio_put_event_head(&sio->event_head, slice_str(options->nsp), 0, NULL);
}

void sio_clear(struct sio *sio)
{
    buf_free(&sio->event_head);
    free(sio->lent.at);
    sio->lent = (struct sio_lent){.at = NULL};
}
