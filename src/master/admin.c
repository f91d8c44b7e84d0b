#include "master/admin.h"

#include "base/address.h"
#include "base/log.h"
#include "codec/http.h"
#include "master/access.h"
#include "master/admin_routes.h"
#include "master/caller.h"
#include "master/timer.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ACCEPT_BATCH  16
#define PAUSE_MS      100 /* without accepting, when out of descriptors */
#define ACCEPT_LOG_MS 10000
#define CLIENT_LOG_MS 60000
#define BODY_MORE     (64 << 10) /* than limits:messageBytes */

struct admin {
    struct event_base *base;
    struct listeners listeners;
    struct callers *callers;
    struct admin_desk desk;
    struct access access;
    struct event **accepts; /* one for each listener, as far as they are made */
    size_t naccepts;
    struct event *resume;
    struct log_every accept_log, client_log;
};

/* --- what is where ------------------------------------------------------------ */

struct route {
    struct slice method; /* GET: HEAD too */
    struct slice path;   /* a "*" in it stands for any name */
    void (*serve)(const struct admin_call *call);
};

static const struct route routes[] = {
    {{"GET", 3}, {"/", 1}, admin_page},
    {{"GET", 3}, {"/status", 7}, admin_status},
    {{"GET", 3}, {"/health", 7}, admin_health},
    {{"GET", 3}, {"/health/live", 12}, admin_live},
    {{"GET", 3}, {"/metrics", 8}, admin_metrics},
    {{"GET", 3}, {"/events", 7}, admin_events},
    {{"GET", 3}, {"/users/*", 8}, admin_user},
    {{"POST", 4}, {"/emit", 5}, admin_emit},
    {{"POST", 4}, {"/users/*/disconnect", 19}, admin_disconnect},
};

#define ROUTES (sizeof(routes) / sizeof(*routes))

/* 1 if path is one of route's; *name is then what stands for the "*". */
static int is_at(const struct route *route, struct slice path, struct slice *name)
{
    struct slice want = route->path;
    const char *star = memchr(want.ptr, '*', want.len);
    size_t before, behind;

    *name = (struct slice){0};
    if (star == NULL)
        return slice_eq(path, want);
    before = (size_t)(star - want.ptr);
    behind = want.len - before - 1;
    if (path.len < before + behind || memcmp(path.ptr, want.ptr, before) != 0 ||
        memcmp(path.ptr + path.len - behind, star + 1, behind) != 0)
        return 0;
    *name = (struct slice){path.ptr + before, path.len - before - behind};
    return 1;
}

static int is_taken(const struct route *route, struct slice method)
{
    return slice_eq(method, route->method) ||
           (slice_eq(method, SLICE("HEAD")) && slice_eq(route->method, SLICE("GET")));
}

/* Whoever begins takes this port for that of the clients, which only says that it failed. */
static void log_client(struct admin *admin, const struct caller *caller,
                       const struct http_request *req)
{
    uint64_t times = log_due(&admin->client_log, CLIENT_LOG_MS);
    char from[ADDRESS_TEXT_MAX];

    if (times > 0)
        log_event(INFO, "admin_not_for_clients",
                  "a client at the admin address, which is not for clients[: path={} address={}]"
                  "[ times={}]",
                  LOG_WORD("path", req->path.ptr, req->path.len, 128),
                  LOG_STR("address", address_text(caller_address(caller), from)), LOG_TIMES(times));
}

/* No route takes it: there is none at its path, or not for its method. */
static void refuse(struct admin *admin, struct caller *caller, const struct http_request *req)
{
    static const char *const allow[] = {NULL, "Allow: GET, HEAD\r\n", "Allow: POST\r\n",
                                        "Allow: GET, HEAD, POST\r\n"};
    struct slice name, transport;
    unsigned methods = req->path.ptr[0] != '/'; /* of "*" nobody knows better */

    for (size_t i = 0; i < ROUTES; i++)
        if (is_at(&routes[i], req->path, &name))
            methods |= slice_eq(routes[i].method, SLICE("GET")) ? 1 : 2;
    if (methods == 0 && http_query(req->query, "transport", &transport)) {
        log_client(admin, caller, req);
        caller_refuse(caller, 404, NULL, "this is the admin address, and clients have another");
        return;
    }
    caller_refuse(caller, methods != 0 ? 405 : 404, allow[methods], NULL);
}

/* --- what changes something --------------------------------------------------- */

/* One whose body is on its way. */
struct post {
    const struct admin_desk *desk;
    const struct route *route;
    size_t name_len;
    char name[];
};

static void on_body(struct caller *caller, struct slice body, void *arg)
{
    struct post *post = arg;
    struct admin_call call = {
        .caller = caller, .desk = post->desk, .name = {post->name, post->name_len}, .body = body};

    post->route->serve(&call);
    free(post);
}

static int may_change(const struct admin_desk *desk)
{
    return desk->asking != NULL && desk->ops->conf != NULL;
}

static void take_post(struct admin *admin, const struct route *route, struct caller *caller,
                      const struct http_request *req, struct slice name)
{
    const struct admin_desk *desk = &admin->desk;
    const struct conf *conf = may_change(desk) ? desk->ops->conf(desk->arg) : NULL;
    struct post *post;

    if (!access_admit(&admin->access, caller, req, conf != NULL ? conf->admin_token : NULL) ||
        conf == NULL)
        return;
    if (callers_kept(admin->callers) >= ADMIN_POSTS) {
        caller_refuse(caller, 503, "Retry-After: 1\r\n", "too many requests are under way");
        return;
    }
    post = malloc(sizeof(*post) + name.len);
    if (post == NULL) {
        caller_refuse(caller, 503, NULL, "out of memory");
        return;
    }
    *post = (struct post){.desk = desk, .route = route, .name_len = name.len};
    if (name.len > 0)
        memcpy(post->name, name.ptr, name.len);
    caller_keep(caller); /* what others call shall not cut it off */
    caller_body(caller, req, conf->message_bytes + BODY_MORE, on_body, free, post);
}

static void on_request(struct caller *caller, const struct http_request *req, void *arg)
{
    struct admin *admin = arg;
    struct admin_call call = {.caller = caller, .desk = &admin->desk, .query = req->query};

    for (size_t i = 0; i < ROUTES; i++) {
        if (!is_at(&routes[i], req->path, &call.name) || !is_taken(&routes[i], req->method))
            continue;
        if (slice_eq(routes[i].method, SLICE("POST")))
            take_post(admin, &routes[i], caller, req, call.name);
        else
            routes[i].serve(&call);
        return;
    }
    refuse(admin, caller, req);
}

static const struct callers_ops callers_ops = {on_request};

/* --- accepting ---------------------------------------------------------------- */

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
        log_event(WARN, "admin_accept_failed", "admin: accept[: {}]< failed>", LOG_ERRNO());
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
            callers_add(admin->callers, fd);
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
                        struct asking *asking, const struct admin_ops *ops, void *arg)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    struct buf names = {0};

    if (admin == NULL)
        return NULL;
    admin->base = base;
    admin->listeners = *listeners;
    admin->desk = (struct admin_desk){stats, asking, ops, arg};
    admin->callers = callers_new(base, ADMIN_CALLERS, &callers_ops, admin);
    if (admin->callers == NULL || events_new(admin) < 0) {
        admin->listeners = (struct listeners){0}; /* they stay the caller's */
        admin_free(&admin);
        return NULL;
    }
    *listeners = (struct listeners){0};
    listen_names(&admin->listeners, &names);
    log_event(INFO, "admin_listening", "admin listening[ on {}]",
              LOG_NAMES("addresses", (const char *)names.data, names.len, ' '));
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
    callers_free(&admin->callers);
    for (size_t i = 0; i < admin->naccepts; i++)
        event_free(admin->accepts[i]);
    free(admin->accepts);
    if (admin->resume != NULL)
        event_free(admin->resume);
    listen_close(&admin->listeners, 0);
    free(admin);
}
