#include "master/admin.h"

#include "base/log.h"
#include "base/utf8.h"
#include "codec/http.h"
#include "master/metrics.h"
#include "master/stats.h"
#include "master/timer.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADERS_MAX   64
#define ACCEPT_BATCH  16
#define PAUSE_MS      100 /* without accepting, when out of descriptors */
#define ACCEPT_LOG_MS 10000
#define USERS         "/users/"

enum state {
    READING, /* the head of its request */
    ASKING,  /* waits for the answers of the workers */
    WRITING, /* the answer leaves */
    LEAVING, /* it has left: what comes is thrown away */
};

struct caller {
    struct admin *admin;
    struct caller *next, **prev;
    struct bufferevent *bev;
    struct event *deadline;
    enum state state;
    size_t scanned;
    int head_only;
    int eof;                                                   /* it says nothing more */
    void (*put)(const struct status *status, struct buf *out); /* ASKING: the answer's body */
    const char *type;                                          /* ASKING: the type of that body */
    struct stats_wait wait;
};

struct admin {
    struct event_base *base;
    struct listeners listeners;
    struct stats *stats;
    const struct admin_ops *ops;
    void *arg;
    struct event **accepts; /* one for each listener, as far as they are made */
    size_t naccepts;
    struct event *resume;
    struct caller *callers, **end; /* the oldest first */
    unsigned ncallers;
    struct log_every accept_log;
};

/* --- callers ------------------------------------------------------------------ */

static void caller_free(struct caller *caller)
{
    struct admin *admin = caller->admin;

    if (caller->state == ASKING)
        stats_cancel(admin->stats, &caller->wait);
    if (caller->next != NULL)
        caller->next->prev = caller->prev;
    else
        admin->end = caller->prev;
    *caller->prev = caller->next;
    admin->ncallers--;
    if (caller->bev != NULL)
        bufferevent_free(caller->bev);
    if (caller->deadline != NULL)
        event_free(caller->deadline);
    free(caller);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    caller_free(arg);
}

/* --- answers ------------------------------------------------------------------ */

#define JSON "application/json"
#define TEXT "text/plain; version=0.0.4; charset=utf-8"

/* The caller may be gone when this returns. */
static void answer(struct caller *caller, int status, const char *type, struct buf *body)
{
    struct evbuffer *out = bufferevent_get_output(caller->bev);
    int rc = -1;

    caller->state = WRITING;
    timer_set(caller->deadline, ADMIN_WRITE_MS);
    if (!body->failed)
        rc = evbuffer_add_printf(out,
                                 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                                 "%sCache-Control: no-store\r\nConnection: close\r\n\r\n",
                                 status, http_reason(status), type, body->len,
                                 status == 405 ? "Allow: GET, HEAD\r\n" : "");
    if (rc >= 0 && !caller->head_only)
        rc = evbuffer_add(out, body->data, body->len);
    buf_free(body);
    if (rc < 0)
        caller_free(caller);
}

static void answer_error(struct caller *caller, int status)
{
    struct buf body = {0};

    (void)buf_printf(&body, "{\"error\":\"%s\"}\n", http_reason(status));
    answer(caller, status, JSON, &body);
}

/* Valid until the next call. */
static const struct status *status_take(const struct admin *admin)
{
    static struct status status; /* 10 KB; one process, one thread, no reentry */

    memset(&status, 0, sizeof(status));
    status.stats = admin->stats;
    admin->ops->status(&status, admin->arg);
    return &status;
}

static void on_counted(void *arg)
{
    struct caller *caller = arg;
    struct buf body = {0};

    caller->put(status_take(caller->admin), &body);
    answer(caller, 200, caller->type, &body);
}

static void on_health(void *arg)
{
    struct caller *caller = arg;
    struct buf body = {0};
    int good = status_put_health(status_take(caller->admin), &body);

    answer(caller, good ? 200 : 503, JSON, &body);
}

/* done is called when the workers have answered, or have had their time. */
static void ask_workers(struct caller *caller, void (*done)(void *arg))
{
    caller->state = ASKING;
    caller->wait = (struct stats_wait){.done = done, .arg = caller};
    timer_set(caller->deadline, ADMIN_WRITE_MS);
    stats_ask(caller->admin->stats, &caller->wait);
}

/* An answer in which there is what workers have counted. */
static void answer_counted(struct caller *caller, const char *type,
                           void (*put)(const struct status *status, struct buf *out))
{
    caller->put = put;
    caller->type = type;
    ask_workers(caller, on_counted);
}

static void answer_live(struct caller *caller)
{
    struct buf body = {0};

    (void)buf_puts(&body, "{\"status\":\"ok\"}\n");
    answer(caller, 200, JSON, &body);
}

/* name is what follows USERS in the path. */
static void answer_user(struct caller *caller, struct slice name)
{
    const struct admin *admin = caller->admin;
    char uid[ADMIN_HEAD_BYTES];
    struct buf body = {0};
    struct status_user user = {0};
    struct slice wanted;
    long len = name.len <= sizeof(uid) ? http_unescape(uid, name, 0) : -1;

    if (len <= 0 || len > TOKEN_UID_MAX || !utf8_valid(uid, (size_t)len) ||
        memchr(uid, '\0', (size_t)len) != NULL) {
        answer_error(caller, 400);
        return;
    }
    wanted = (struct slice){uid, (size_t)len};
    admin->ops->user(wanted, &user, admin->arg);
    status_put_user(wanted, &user, &body);
    slices_clear(&user.rooms);
    answer(caller, 200, JSON, &body);
}

static void serve(struct caller *caller, const struct http_request *req)
{
    struct slice path = req->path, users = SLICE(USERS);

    caller->head_only = slice_eq(req->method, SLICE("HEAD"));
    if (!caller->head_only && !slice_eq(req->method, SLICE("GET")))
        answer_error(caller, 405);
    else if (slice_eq(path, SLICE("/status")))
        answer_counted(caller, JSON, status_put);
    else if (slice_eq(path, SLICE("/metrics")))
        answer_counted(caller, TEXT, metrics_put);
    else if (slice_eq(path, SLICE("/health")))
        ask_workers(caller, on_health);
    else if (slice_eq(path, SLICE("/health/live")))
        answer_live(caller);
    else if (path.len >= users.len && memcmp(path.ptr, users.ptr, users.len) == 0)
        answer_user(caller, (struct slice){path.ptr + users.len, path.len - users.len});
    else
        answer_error(caller, 404);
}

/* --- a connection's events ---------------------------------------------------- */

static void on_read(struct bufferevent *bev, void *arg)
{
    static const struct http_limits limits = {ADMIN_HEAD_BYTES, HEADERS_MAX};
    static struct http_request req; /* 8 KB; likewise */
    struct caller *caller = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    size_t len = evbuffer_get_length(in);
    const char *bytes;
    long used;

    if (caller->state != READING) {
        evbuffer_drain(in, len); /* so that closing does not reset what we sent */
        return;
    }
    bytes = (const char *)evbuffer_pullup(in, -1);
    if (bytes == NULL) {
        caller_free(caller);
        return;
    }
    used = http_parse(&req, bytes, len, &limits, &caller->scanned);
    if (used < 0)
        answer_error(caller, (int)-used);
    else if (used > 0)
        serve(caller, &req);
}

/* All has been written: say so, and give the caller time to read it. */
static void on_written(struct bufferevent *bev, void *arg)
{
    struct caller *caller = arg;

    if (caller->state != WRITING)
        return;
    if (caller->eof) {
        caller_free(caller);
        return;
    }
    caller->state = LEAVING;
    shutdown(bufferevent_getfd(bev), SHUT_WR);
    timer_set(caller->deadline, ADMIN_LINGER_MS);
}

/* A caller that has said all it will may still read. */
static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct caller *caller = arg;
    int waits = caller->state == ASKING || caller->state == WRITING;

    (void)bev;
    if (!(what & BEV_EVENT_EOF) || !waits)
        caller_free(caller);
    else
        caller->eof = 1;
}

/* --- accepting ---------------------------------------------------------------- */

static void caller_new(struct admin *admin, int fd)
{
    struct caller *caller = calloc(1, sizeof(*caller));

    if (caller == NULL) {
        close(fd);
        return;
    }
    if (admin->ncallers == ADMIN_CALLERS)
        caller_free(admin->callers);
    caller->admin = admin;
    caller->prev = admin->end;
    *admin->end = caller;
    admin->end = &caller->next;
    admin->ncallers++;
    caller->deadline = event_new(admin->base, -1, 0, on_deadline, caller);
    caller->bev = bufferevent_socket_new(admin->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (caller->bev == NULL)
        close(fd);
    if (caller->bev == NULL || caller->deadline == NULL) {
        caller_free(caller);
        return;
    }
    timer_set(caller->deadline, ADMIN_HEAD_MS);
    bufferevent_setwatermark(caller->bev, EV_READ, 0, ADMIN_HEAD_BYTES + 1);
    bufferevent_setcb(caller->bev, on_read, on_written, on_event, caller);
    if (bufferevent_enable(caller->bev, EV_READ | EV_WRITE) < 0)
        caller_free(caller);
}

static void accept_enable(struct admin *admin, int on)
{
    for (size_t i = 0; i < admin->naccepts; i++) {
        if (on)
            (void)event_add(admin->accepts[i], NULL);
        else
            event_del(admin->accepts[i]);
    }
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    accept_enable(arg, 1);
}

/* The socket would be reported readable again and again: let it rest. */
static void accept_failed(struct admin *admin)
{
    if (log_due(&admin->accept_log, ACCEPT_LOG_MS) > 0)
        log_warn("admin: accept");
    accept_enable(admin, 0);
    timer_set(admin->resume, PAUSE_MS);
}

static void on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
    struct admin *admin = arg;

    (void)what;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            caller_new(admin, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            accept_failed(admin);
        return; /* nobody more, or one that has gone again */
    }
}

/* --- coming and going --------------------------------------------------------- */

int admin_open(struct listeners *listeners, const char *host, int port, const struct names *names,
               struct buf *error)
{
    char *copy = strdup(host);
    struct conf_listen address = {.host = copy, .port = port};
    const struct conf conf = {.listen = &address, .nlisten = 1};
    struct buf why = {0};
    int rc = copy != NULL ? listen_open(listeners, &conf, names, &why) : -1;

    if (copy == NULL)
        (void)buf_puts(&why, "out of memory");
    if (rc < 0)
        (void)buf_printf(error, "admin: %.*s", (int)why.len, (const char *)why.data);
    buf_free(&why);
    free(copy);
    return rc;
}

static int events_new(struct admin *admin)
{
    admin->resume = event_new(admin->base, -1, 0, on_resume, admin);
    admin->accepts = calloc(admin->listeners.n, sizeof(struct event *));
    if (admin->resume == NULL || admin->accepts == NULL)
        return -1;
    for (size_t i = 0; i < admin->listeners.n; i++) {
        struct event *event =
            event_new(admin->base, admin->listeners.fds[i], EV_READ | EV_PERSIST, on_accept, admin);
        if (event == NULL)
            return -1;
        admin->accepts[admin->naccepts++] = event;
        if (event_add(event, NULL) < 0)
            return -1;
    }
    return 0;
}

struct admin *admin_new(struct event_base *base, struct listeners *listeners, struct stats *stats,
                        const struct admin_ops *ops, void *arg)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    struct buf names = {0};

    if (admin == NULL)
        return NULL;
    admin->base = base;
    admin->listeners = *listeners;
    admin->stats = stats;
    admin->ops = ops;
    admin->arg = arg;
    admin->end = &admin->callers;
    if (events_new(admin) < 0) {
        admin->listeners = (struct listeners){0}; /* they stay the caller's */
        admin_free(&admin);
        return NULL;
    }
    *listeners = (struct listeners){0};
    listen_names(&admin->listeners, &names);
    log_info("admin listening on %.*s", (int)names.len, (const char *)names.data);
    buf_free(&names);
    return admin;
}

void admin_addresses(const struct admin *admin, struct buf *out)
{
    listen_addresses(&admin->listeners, out);
}

void admin_free(struct admin **adminp)
{
    struct admin *admin = *adminp;

    if (admin == NULL)
        return;
    *adminp = NULL;
    for (struct caller *caller = admin->callers, *next; caller != NULL; caller = next) {
        next = caller->next;
        caller_free(caller);
    }
    for (size_t i = 0; i < admin->naccepts; i++)
        event_free(admin->accepts[i]);
    free(admin->accepts);
    if (admin->resume != NULL)
        event_free(admin->resume);
    listen_close(&admin->listeners, 0);
    free(admin);
}
