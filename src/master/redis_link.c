#include "master/redis_link.h"

#include "base/clock.h"
#include "base/rand.h"
#include "conf/server.h"
#include "master/redis_connect.h"
#include "master/timer.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKOFF_MIN_MS 50
#define READ_BYTES     16384
#define READS_MAX      4    /* before the loop gets its turn */
#define STREAM_US      1000 /* messages that follow so soon are a stream */

/* --- failing ------------------------------------------------------------------ */

static void disconnect(struct redis_link *link)
{
    redis_connect_free(&link->connect);
    if (link->input != NULL)
        event_free(link->input);
    link->input = NULL;
    if (link->wire.tls != NULL)
        redis_tls_free(&link->wire.tls);
    else if (link->bev != NULL)
        bufferevent_free(link->bev);
    link->bev = NULL;
    link->paused = 0;
    event_del(link->timer);
}

static void backoff_next(struct redis_link *link)
{
    uint32_t half;

    /* One that breaks right after it came about is no success. */
    if (link->state == REDIS_LINK_UP && clock_ms() - link->up_ms > REDIS_LINK_MAX_MS)
        link->backoff_ms = BACKOFF_MIN_MS;
    half = link->backoff_ms / 2;
    timer_set(link->timer, half + rand_below(half + 1));
    link->backoff_ms *= 2;
    if (link->backoff_ms > REDIS_LINK_MAX_MS)
        link->backoff_ms = REDIS_LINK_MAX_MS;
}

void redis_link_fail(struct redis_link *link)
{
    int was_up = link->state == REDIS_LINK_UP;

    link->fault.is_found = 0;
    link->is_held = 0;
    disconnect(link);
    backoff_next(link);
    link->state = REDIS_LINK_WAITS;
    link->ops->lost(was_up, link->arg);
}

void redis_link_stop(struct redis_link *link)
{
    disconnect(link);
    link->is_held = 0;
    link->state = REDIS_LINK_WAITS;
}

/* --- reading ------------------------------------------------------------------ */

static int begin(struct redis_link *link)
{
    link->state = REDIS_LINK_ASKS;
    return link->ops->begin(link->bev, &link->wire, link->arg);
}

/* Takes all that TLS makes of what came.  Returns 0, or -1 where a fault was noted. */
static int read_tls(struct redis_link *link)
{
    char bytes[READ_BYTES];
    ssize_t n;

    while ((n = redis_tls_read(link->wire.tls, bytes, sizeof(bytes))) >= 0) {
        if (link->state == REDIS_LINK_SHAKES && redis_tls_is_ready(link->wire.tls) &&
            begin(link) < 0)
            return -1;
        if (n == 0)
            return 0;
        link->bytes += (size_t)n;
        if (link->ops->input(bytes, (size_t)n, link->arg) < 0)
            return -1;
    }
    return -1;
}

/* An alert of TLS, which is all that a server says to what is not TLS. */
static int is_alert(const char *bytes, size_t len)
{
    return len > 1 && bytes[0] == 0x15 && bytes[1] == 0x03;
}

static int take(struct redis_link *link, const char *bytes, size_t len)
{
    int is_first = !link->has_read;

    link->has_read = 1;
    if (link->wire.tls != NULL)
        return redis_tls_feed(link->wire.tls, bytes, len) < 0 ? -1 : read_tls(link);
    if (is_first && is_alert(bytes, len))
        return redis_fault_note(&link->fault, REDIS_FAULT_WANTS_TLS,
                                "it speaks TLS, which is not configured (socket.io:redis:tls)");
    link->bytes += len;
    return link->ops->input(bytes, len, link->arg);
}

/* The end of it, or error.  Where nothing came before, that may be why. */
static int closed(struct redis_link *link, int error)
{
    const char *how = error != 0 ? "connection broken: " : "it closed the connection";
    const char *why = error != 0 ? strerror(error) : "";

    if (link->state == REDIS_LINK_SHAKES)
        return redis_fault_note(&link->fault, REDIS_FAULT_TLS, "TLS: within the handshake: %s%s",
                                how, why);
    if (!link->has_read && link->server->path == NULL)
        return redis_fault_note(&link->fault, REDIS_FAULT_WANTS_TLS,
                                "%s%s, and it has said nothing: does it want TLS "
                                "(socket.io:redis:tls)?",
                                how, why);
    return redis_fault_note(&link->fault, REDIS_FAULT_CLOSED, "%s%s", how, why);
}

/* Returns 1 if there may be more, 0 if not, -1 where a fault was noted. */
static int read_once(struct redis_link *link)
{
    char bytes[READ_BYTES];
    ssize_t n = recv(link->wire.fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    if (n <= 0)
        return closed(link, n < 0 ? errno : 0);
    if (take(link, bytes, (size_t)n) < 0)
        return -1;
    return n == sizeof(bytes) && !link->paused;
}

/* A bounded amount of what is there.  A fault is acted on. */
static void look(struct redis_link *link)
{
    int rc = link->bev != NULL && !link->paused;

    link->read_us = clock_us();
    for (int i = 0; rc > 0 && i < READS_MAX; i++)
        rc = read_once(link);
    if (rc < 0)
        redis_link_fail(link);
}

/* Not by way of the bufferevent: that asks the kernel how much there is before each
 * read, and copies what it gets once more. */
static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct redis_link *link = arg;

    (void)fd;
    (void)what;
    /* On a core of its own this is nothing.  Where the core is a worker's too, every
     * message would stop that worker in what it writes: it goes on, and what comes
     * meanwhile is read in one go.  A message that comes alone does not wait. */
    if (clock_us() - link->read_us < STREAM_US)
        (void)sched_yield();
    look(link);
}

/* Of writing.  Before redis closes on us it may have said why. */
static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct redis_link *link = arg;
    int error = errno;

    (void)bev;
    (void)what;
    link->read_us = clock_us();
    (void)read_once(link);
    (void)redis_fault_note(&link->fault, REDIS_FAULT_CLOSED, "connection broken: %s",
                           strerror(error));
    redis_link_fail(link);
}

/* The same of TLS. */
static void on_broken(void *arg)
{
    struct redis_link *link = arg;

    link->read_us = clock_us();
    (void)read_once(link);
    redis_tls_tell(link->wire.tls);
    redis_link_fail(link);
}

static void on_again(void *arg)
{
    struct redis_link *link = arg;

    link->read_us = clock_us();
    if (read_tls(link) < 0)
        redis_link_fail(link);
}

static const struct redis_tls_ops tls_ops = {on_broken, on_again};

/* --- connecting --------------------------------------------------------------- */

/* Takes fd.  Returns 0, or -1 without memory. */
static int make_plain(struct redis_link *link, int fd)
{
    link->bev = bufferevent_socket_new(link->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (link->bev == NULL)
        close(fd);
    if (link->bev == NULL || bufferevent_enable(link->bev, EV_WRITE) < 0)
        return -1;
    bufferevent_setcb(link->bev, NULL, NULL, on_event, link);
    return 0;
}

static int make_tls(struct redis_link *link, int fd)
{
    link->wire.tls = redis_tls_new(link->base, fd, link->client, server_tls_name(link->server),
                                   &link->fault, &tls_ops, link);
    if (link->wire.tls == NULL)
        return -1;
    link->bev = redis_tls_bev(link->wire.tls);
    return 0;
}

static int connected(struct redis_link *link, int fd)
{
    int rc;

    link->has_read = 0;
    link->wire.fd = fd;
    rc = link->client != NULL ? make_tls(link, fd) : make_plain(link, fd);
    if (rc == 0)
        link->input = event_new(link->base, fd, EV_READ | EV_PERSIST, on_input, link);
    if (link->input == NULL || event_add(link->input, NULL) < 0)
        return redis_fault_note(&link->fault, REDIS_FAULT_MEMORY, "out of memory");
    if (link->client == NULL)
        return begin(link);
    link->state = REDIS_LINK_SHAKES;
    return read_tls(link); /* which writes first */
}

static void on_connected(int fd, const char *why, void *arg)
{
    struct redis_link *link = arg;
    int rc = fd < 0 ? redis_fault_note(&link->fault, REDIS_FAULT_CONNECT, "%s", why)
                    : connected(link, fd);

    redis_connect_free(&link->connect);
    if (rc < 0)
        redis_link_fail(link);
}

static const struct redis_connect_ops connect_ops = {.done = on_connected};

/* For the log. */
static void where_put(struct redis_link *link)
{
    const struct conf_redis *server = link->server;

    if (server->path != NULL)
        snprintf(link->where, sizeof(link->where), "unix:%s", server->path);
    else if (server->host == NULL)
        snprintf(link->where, sizeof(link->where), "the master %s", server->name);
    else
        snprintf(link->where, sizeof(link->where),
                 strchr(server->host, ':') != NULL ? "[%s]:%d" : "%s:%d", server->host,
                 server->port);
}

static void attempt(struct redis_link *link)
{
    const struct conf_redis *conf = link->server;

    where_put(link);
    link->is_held = conf->path == NULL && conf->host == NULL;
    if (link->is_held)
        return;
    ++*link->attempts;
    link->state = REDIS_LINK_CONNECTS;
    timer_set(link->timer, link->ops->attempt_ms);
    link->connect =
        redis_connect_new(link->base, conf->path, conf->host, conf->port, &connect_ops, link);
    if (link->connect == NULL) {
        (void)redis_fault_note(&link->fault, REDIS_FAULT_MEMORY, "cannot start: %s",
                               strerror(errno));
        redis_link_fail(link);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct redis_link *link = arg;
    unsigned ms = link->ops->attempt_ms;

    (void)fd;
    (void)what;
    if (link->state == REDIS_LINK_WAITS) {
        attempt(link);
        return;
    }
    if (link->state == REDIS_LINK_CONNECTS)
        (void)redis_fault_note(&link->fault, REDIS_FAULT_DEADLINE, "not connected within %u ms: %s",
                               ms, redis_connect_why(link->connect));
    else if (link->state == REDIS_LINK_SHAKES)
        (void)redis_fault_note(&link->fault, REDIS_FAULT_TLS,
                               "TLS: %s to the handshake within %u ms%s",
                               link->has_read ? "no end" : "no answer", ms,
                               link->has_read ? "" : "; does it speak TLS there?");
    else
        (void)redis_fault_note(&link->fault, REDIS_FAULT_DEADLINE, "not %s within %u ms",
                               link->ops->goal, ms);
    redis_link_fail(link);
}

/* --- for its owner ------------------------------------------------------------ */

int redis_link_init(struct redis_link *link, struct event_base *base,
                    const struct conf_redis *server, const struct tls_client *client,
                    uint64_t *attempts, const struct redis_link_ops *ops, void *arg)
{
    *link = (struct redis_link){.base = base,
                                .server = server,
                                .client = client,
                                .attempts = attempts,
                                .ops = ops,
                                .arg = arg,
                                .backoff_ms = BACKOFF_MIN_MS};
    where_put(link);
    link->timer = event_new(base, -1, 0, on_timer, link);
    return link->timer != NULL ? 0 : -1;
}

void redis_link_clear(struct redis_link *link)
{
    if (link->timer == NULL)
        return;
    disconnect(link);
    event_free(link->timer);
    link->timer = NULL;
}

void redis_link_start(struct redis_link *link, unsigned ms)
{
    if (link->state == REDIS_LINK_WAITS)
        timer_set(link->timer, ms); /* the first attempt */
}

void redis_link_up(struct redis_link *link)
{
    link->state = REDIS_LINK_UP;
    link->up_ms = clock_ms();
    event_del(link->timer);
}

int redis_link_is_up(const struct redis_link *link)
{
    return link->state == REDIS_LINK_UP;
}

void redis_link_pause(struct redis_link *link)
{
    link->paused = 1;
    if (link->input != NULL)
        (void)event_del(link->input);
}

void redis_link_resume(struct redis_link *link)
{
    link->paused = 0;
    /* Fails for want of memory only: then it is silent, and soon found to be. */
    if (link->input != NULL)
        (void)event_add(link->input, NULL);
}

/* One that has been stopped stays so. */
void redis_link_place(struct redis_link *link, const struct redis_place *place)
{
    int is_moved = place->change == REDIS_PLACE_MOVED;

    if (is_moved ? link->state != REDIS_LINK_WAITS
                 : link->is_held && place->change == REDIS_PLACE_SOUGHT) {
        (void)redis_fault_note(&link->fault, place->kind, "%s", place->why);
        redis_link_fail(link);
    }
    if (place->change == REDIS_PLACE_SOUGHT ||
        !(link->is_held || (is_moved && event_pending(link->timer, EV_TIMEOUT, NULL))))
        return;
    link->backoff_ms = BACKOFF_MIN_MS;
    timer_set(link->timer, 0);
}

void redis_link_wipe(struct redis_link *link)
{
    if (link->wire.tls != NULL)
        redis_tls_wipe(link->wire.tls);
}

size_t redis_link_waiting(const struct redis_link *link)
{
    int queued = 0;

    if (link->bev == NULL)
        return 0;
    if (ioctl(link->wire.fd, SIOCOUTQ, &queued) < 0)
        queued = 0;
    return evbuffer_get_length(bufferevent_get_output(link->bev)) + (size_t)queued;
}
