/* accept - how connections come in: accepted from the listening sockets, at a pace that
 * the workers settle among them (ipc/balance.h), or handed over by another process. */
#include "engine/state.h"
#include "ipc/balance.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Beside NOTSENT_LOWAT_BYTES what is on its way to a client counts, which for one that
 * has vanished is all that was sent: the kernel doubles this, and by itself would go up
 * to net.ipv4.tcp_wmem's maximum, 4 MB. */
#define SNDBUF_BYTES 65536

#define ACCEPT_BATCH    16   /* connections accepted before the loop gets its turn */
#define BACKLOG_MAX     4096 /* at most so many of a socket that is left to others */
#define EMFILE_PAUSE_MS 100  /* no accepting after we ran out of descriptors */
#define REST_MS         20   /* no accepting: connections are left to other workers */
#define AWAKE_MIN       2    /* other workers, so that one may rest without need */

void engine_counted(const struct engine *engine)
{
    struct balance *balance = engine->options.balance;
    size_t clients = engine->nconns;

    if (balance == NULL)
        return;
    if (clients < engine->nsessions) /* those of polling live without a connection */
        clients = engine->nsessions;
    balance_set(balance, engine->options.place, (uint32_t)clients);
}

static void accept_stop(struct engine *engine)
{
    engine->accepting = 0;
    for (struct listener *l = engine->listeners; l != NULL; l = l->next)
        event_del(&l->ev);
}

static void accept_start(struct engine *engine)
{
    engine->accepting = 1;
    for (struct listener *l = engine->listeners; l != NULL; l = l->next)
        event_add(&l->ev, NULL);
    if (engine->options.balance == NULL)
        return;
    /* The line may be that of a worker that has died. */
    engine_counted(engine);
    balance_rests(engine->options.balance, engine->options.place, 0);
    balance_accepts(engine->options.balance, engine->options.place, 1);
}

/* For as long as it can take none: the others are not to wait for it. */
static void accept_pause(struct engine *engine)
{
    evtimer_del(&engine->rest_timer);
    if (engine->options.balance != NULL)
        balance_accepts(engine->options.balance, engine->options.place, 0);
    if (engine->accepting)
        accept_stop(engine);
}

static void accept_resume(struct engine *engine)
{
    if (engine->accepting || engine->stopped || evtimer_pending(&engine->resume_timer, NULL) ||
        evtimer_pending(&engine->rest_timer, NULL))
        return;
    accept_start(engine);
}

/* Returns 1 if there is no place for another connection, not even a stranger's: then
 * none is accepted until accept_again(). */
static int accept_full(struct engine *engine)
{
    if (!stranger_conns_full(engine))
        return 0;
    if (!engine->stopped && log_due(&engine->full_log, FULL_LOG_MS) > 0)
        log_warnx("limits:connections reached: connections=%zu", engine->nconns);
    accept_pause(engine);
    return 1;
}

void accept_again(struct engine *engine)
{
    if (!accept_full(engine))
        accept_resume(engine);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    accept_again(arg);
}

/* Out of descriptors or memory: a listening socket would be reported readable
 * again and again and spin the loop.  Let it rest. */
static void accept_failed(struct engine *engine, int error)
{
    struct timeval pause = {0, EMFILE_PAUSE_MS * 1000L};
    uint64_t times = log_due(&engine->emfile_log, 10000);

    engine->stats.accept_failures++;
    if (times > 0) {
        errno = error;
        log_warn("accept: connections=%zu times=%llu", engine->nconns, (unsigned long long)times);
    }
    accept_pause(engine);
    evtimer_add(&engine->resume_timer, &pause);
}

static int accept_error_is_peers(int error)
{
    return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM ||
           error == ENETDOWN || error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET ||
           error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENETUNREACH;
}

/* Returns 1 if a connection was taken, 0 if it failed for its own reasons, -1 if
 * no more can be taken now. */
static int accept_one(struct engine *engine, int listen_fd)
{
    int fd;

    if (accept_full(engine)) /* by those that others handed over */
        return -1;
    fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return -1;
        if (accept_error_is_peers(errno))
            return 0;
        if (errno == EINVAL) { /* the master has ended the listening */
            accept_pause(engine);
            engine->stopped = 1;
            return -1;
        }
        accept_failed(engine, errno);
        return -1;
    }
    if (conn_accept(engine, fd) == NULL) {
        close(fd);
        accept_failed(engine, ENOMEM);
        return -1;
    }
    engine->stats.accepted++;
    stranger_trim(engine); /* before there are more than there may be descriptors */
    return accept_full(engine) ? -1 : 1;
}

/* Returns how many were taken. */
static size_t accept_some(struct engine *engine, int listen_fd, unsigned max)
{
    size_t before = engine->nconns, taken;

    for (unsigned i = 0; i < max; i++)
        if (accept_one(engine, listen_fd) < 0)
            break;
    taken = engine->nconns - before;
    if (engine->options.balance != NULL && taken > 0)
        balance_accepted(engine->options.balance, engine->options.place, (uint32_t)taken);
    return taken;
}

static void accept_rest(struct engine *engine)
{
    static const struct timeval rest = {0, REST_MS * 1000L};
    struct balance *balance = engine->options.balance;

    accept_stop(engine);
    balance_rests(balance, engine->options.place, 1);
    engine->others = balance_others(balance, engine->options.place);
    evtimer_add(&engine->rest_timer, &rest);
}

/* If somebody waits and the others have taken nobody since, they are too busy or
 * stopped: then it is this worker's after all. */
static void on_rest(evutil_socket_t fd, short what, void *arg)
{
    struct engine *engine = arg;
    uint32_t others = balance_others(engine->options.balance, engine->options.place);
    struct listener *listener = engine->listeners;

    (void)fd;
    (void)what;
    accept_resume(engine);
    for (; listener != NULL && engine->accepting && others == engine->others;
         listener = listener->next)
        accept_some(engine, event_get_fd(&listener->ev), ACCEPT_BATCH);
}

/* With siblings: a connection is left to those that have fewer.  Every connection
 * wakes all that listen, so who comes too late for one sleeps over the next few,
 * as long as enough others are awake. */
static void accept_in_turn(struct engine *engine, int listen_fd)
{
    const struct balance *balance = engine->options.balance;
    unsigned room = balance_room(balance, engine->options.place, ACCEPT_BATCH);

    if (room > 0 && (accept_some(engine, listen_fd, room) > 0 || !engine->accepting ||
                     balance_awake(balance, engine->options.place) < AWAKE_MIN))
        return;
    accept_rest(engine);
}

static void on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
    struct engine *engine = arg;

    (void)what;
    if (engine->options.balance != NULL)
        accept_in_turn(engine, listen_fd);
    else
        accept_some(engine, listen_fd, ACCEPT_BATCH);
}

void accept_backlog(struct engine *engine)
{
    evtimer_del(&engine->rest_timer);
    accept_again(engine);
    for (struct listener *l = engine->listeners; l != NULL && engine->accepting; l = l->next)
        accept_some(engine, event_get_fd(&l->ev), BACKLOG_MAX);
}

int engine_adopt(struct engine *engine, int fd, const void *bytes, size_t len, int stray)
{
    struct conn *conn = conn_accept(engine, fd);

    if (conn == NULL)
        return -1;
    engine->stats.handoffs_received++;
    if (len == 0) {
        conn_await(conn);
        return 0;
    }
    if ((conn->http = calloc(1, sizeof(*conn->http))) == NULL ||
        buf_put(&conn->http->in, bytes, len) < 0) {
        conn_kill(conn, CLOSE_NO_MEMORY, 0);
        return 0;
    }
    conn->http->stray = stray != 0;
    conn->http->counted = 1;
    httpin_pump(conn);
    return 0;
}

int engine_listen(struct engine *engine, int fd)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    int one = 1, lowat = NOTSENT_LOWAT_BYTES, sndbuf = SNDBUF_BYTES;

    if (listener == NULL)
        return -1;
    /* Accepted sockets inherit all of it, which saves calls at every connection; a
     * Unix socket has none, and net.core.wmem_default bounds it. */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
    event_assign(&listener->ev, engine->base, fd, EV_READ | EV_PERSIST, on_accept, engine);
    listener->next = engine->listeners;
    engine->listeners = listener;
    accept_start(engine);
    return event_pending(&listener->ev, EV_READ, NULL) ? 0 : -1;
}

void engine_stop_listening(struct engine *engine)
{
    struct listener *listener;

    accept_pause(engine);
    engine->stopped = 1;
    while ((listener = engine->listeners) != NULL) {
        engine->listeners = listener->next;
        free(listener);
    }
}

void accept_init(struct engine *engine)
{
    evtimer_assign(&engine->resume_timer, engine->base, on_resume, engine);
    evtimer_assign(&engine->rest_timer, engine->base, on_rest, engine);
}

void accept_clear(struct engine *engine)
{
    engine_stop_listening(engine);
    event_del(&engine->resume_timer);
}
