#include "master/caller.h"

#include "codec/body.h"
#include "codec/json.h"
#include "master/admin_counts.h"
#include "master/timer.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADERS_MAX 64
#define READ_BYTES  (64 << 10) /* of a body at once */

/* Against pages that would read, frame or guess at what is not theirs. */
#define SAFE_HEADERS                                                                               \
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"                               \
    "Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n"                \
    "Connection: close\r\n\r\n"

enum state {
    READING,   /* the head of its request */
    TAKING,    /* its body */
    WAITING,   /* for its answer, which somebody owes */
    STREAMING, /* the answer has no end */
    BROKEN,    /* a stream that ends in the loop's next turn */
    WRITING,   /* the answer leaves */
    LEAVING,   /* it has left: what comes is thrown away */
};

/* The oldest first. */
struct list {
    struct caller *first, **end;
    unsigned n;
};

struct caller {
    struct callers *callers;
    struct list *list;
    struct caller *next, **prev;
    struct bufferevent *bev;
    struct event *deadline;
    enum state state;
    size_t scanned;
    int is_head;
    int eof;       /* it says nothing more */
    int fault;     /* TAKING: the status to refuse it with */
    int is_behind; /* STREAMING: the deadline is set */
    int is_heeded; /* its end of file is its end */
    struct address address;
    struct body body; /* TAKING */
    struct buf bytes;
    void (*taken)(struct caller *caller, struct slice body, void *arg);
    void (*gone)(void *arg); /* its owner, or NULL */
    void *arg;
};

struct callers {
    struct event_base *base;
    const struct callers_ops *ops;
    void *arg;
    unsigned max, nstreams;
    struct list open, kept; /* those that make place for others, and the rest */
};

/* --- coming and going --------------------------------------------------------- */

static void list_put(struct list *list, struct caller *caller)
{
    caller->list = list;
    caller->next = NULL;
    caller->prev = list->end;
    *list->end = caller;
    list->end = &caller->next;
    list->n++;
}

static void list_take(struct caller *caller)
{
    if (caller->next != NULL)
        caller->next->prev = caller->prev;
    else
        caller->list->end = caller->prev;
    *caller->prev = caller->next;
    caller->list->n--;
}

static int is_stream(const struct caller *caller)
{
    return caller->state == STREAMING || caller->state == BROKEN;
}

/* Its owner, if it has one, has nothing to do with it any more. */
static void disown(struct caller *caller)
{
    caller->gone = NULL;
    if (is_stream(caller))
        caller->callers->nstreams--;
}

/* Takes all out of in, and overwrites it: there may be a token in what has not been looked at. */
static void throw_away(struct evbuffer *in)
{
    struct evbuffer_iovec piece;

    while (evbuffer_peek(in, -1, NULL, &piece, 1) > 0 && piece.iov_len > 0) {
        explicit_bzero(piece.iov_base, piece.iov_len);
        if (evbuffer_drain(in, piece.iov_len) < 0)
            break;
    }
}

static void caller_free(struct caller *caller)
{
    void (*gone)(void *arg) = caller->gone;
    void *arg = caller->arg;

    disown(caller);
    list_take(caller);
    if (caller->bev != NULL) {
        throw_away(bufferevent_get_input(caller->bev));
        bufferevent_free(caller->bev);
    }
    if (caller->deadline != NULL)
        event_free(caller->deadline);
    buf_free(&caller->bytes);
    free(caller);
    if (gone != NULL)
        gone(arg);
}

/* In the loop's next turn. */
static void end_soon(struct caller *caller)
{
    caller->state = is_stream(caller) ? BROKEN : LEAVING;
    (void)timer_set(caller->deadline, 0);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    caller_free(arg);
}

void caller_keep(struct caller *caller)
{
    list_take(caller);
    list_put(&caller->callers->kept, caller);
}

unsigned callers_kept(const struct callers *callers)
{
    return callers->kept.n - callers->nstreams;
}

void caller_heed(struct caller *caller)
{
    caller->is_heeded = 1;
    if (caller->eof)
        end_soon(caller);
}

const struct address *caller_address(const struct caller *caller)
{
    return &caller->address;
}

/* --- answers ------------------------------------------------------------------ */

void caller_answer(struct caller *caller, int status, const char *type, const char *headers,
                   struct buf *body)
{
    struct evbuffer *out = bufferevent_get_output(caller->bev);
    int rc = -1;

    admin_count_answer(status);
    disown(caller);
    caller->state = WRITING;
    buf_free(&caller->bytes);
    (void)timer_set(caller->deadline, CALLER_WRITE_MS);
    if (!body->failed)
        rc = evbuffer_add_printf(out,
                                 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                                 "%s" SAFE_HEADERS,
                                 status, http_reason(status), type, body->len,
                                 headers != NULL ? headers : "");
    if (rc >= 0 && !caller->is_head)
        rc = evbuffer_add(out, body->data, body->len);
    buf_free(body);
    if (rc < 0)
        end_soon(caller);
}

void caller_refuse(struct caller *caller, int status, const char *headers, const char *message)
{
    struct buf body = {0};

    (void)buf_printf(&body, "{\"error\":\"%s\"", http_reason(status));
    if (message != NULL) {
        (void)buf_puts(&body, ",\"message\":");
        (void)json_put_string_lossy(&body, message, strlen(message));
    }
    (void)buf_puts(&body, "}\n");
    caller_answer(caller, status, CALLER_JSON, headers, &body);
}

void caller_wait(struct caller *caller, unsigned ms, void (*gone)(void *arg), void *arg)
{
    caller->state = WAITING;
    caller->gone = gone;
    caller->arg = arg;
    (void)timer_set(caller->deadline, ms);
}

/* --- streams ------------------------------------------------------------------ */

int caller_stream(struct caller *caller, const char *type, const struct caller_stream_ops *ops,
                  void *arg)
{
    struct callers *callers = caller->callers;
    const int ms = 2 * CALLER_BEHIND_MS; /* without a word of the peer's system */
    struct buf none = {0};

    if (caller->is_head) {
        caller_answer(caller, 200, type, NULL, &none);
        return -1;
    }
    if (callers->nstreams == CALLER_STREAMS) {
        caller_refuse(caller, 503, "Retry-After: 10\r\n", "too many watch this already");
        return -1;
    }
    if (evbuffer_add_printf(bufferevent_get_output(caller->bev),
                            "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"
                            "X-Accel-Buffering: no\r\n" SAFE_HEADERS,
                            type) < 0) {
        end_soon(caller);
        return -1;
    }
    (void)setsockopt(bufferevent_getfd(caller->bev), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms,
                     sizeof(ms));
    bufferevent_setwatermark(caller->bev, EV_WRITE, CALLER_BEHIND_BYTES, 0);
    event_del(caller->deadline);
    admin_count_answer(200);
    caller_keep(caller);
    callers->nstreams++;
    caller->state = STREAMING;
    caller->gone = ops->gone;
    caller->arg = arg;
    return 0;
}

void caller_stream_put(struct caller *caller, const void *bytes, size_t len)
{
    struct evbuffer *out = bufferevent_get_output(caller->bev);

    if (caller->state != STREAMING)
        return;
    if (evbuffer_get_length(out) + len > CALLER_STREAM_MAX || evbuffer_add(out, bytes, len) < 0) {
        end_soon(caller);
    } else if (!caller->is_behind && evbuffer_get_length(out) > CALLER_BEHIND_BYTES) {
        caller->is_behind = 1;
        (void)timer_set(caller->deadline, CALLER_BEHIND_MS);
    }
}

void caller_stream_end(struct caller *caller)
{
    int is_broken = caller->state == BROKEN;
    size_t waiting = evbuffer_get_length(bufferevent_get_output(caller->bev));

    disown(caller);
    caller->state = WRITING;
    bufferevent_setwatermark(caller->bev, EV_WRITE, 0, 0);
    (void)timer_set(caller->deadline, is_broken || waiting == 0 ? 0 : CALLER_WRITE_MS);
}

/* What waits is little again. */
static void caught_up(struct caller *caller)
{
    if (caller->is_behind)
        event_del(caller->deadline);
    caller->is_behind = 0;
}

/* --- bodies ------------------------------------------------------------------- */

void caller_body(struct caller *caller, const struct http_request *req, size_t max,
                 void (*taken)(struct caller *caller, struct slice body, void *arg),
                 void (*gone)(void *arg), void *arg)
{
    int status = body_begin(&caller->body, req, max);
    int waits = body_wants_continue(req);

    if (status == -411) { /* neither of the two headers: there is none */
        caller->body.done = 1;
        status = 0;
    }
    if (status == 0 && waits < 0)
        status = waits;
    caller->fault = -status; /* told when this has returned */
    caller->state = TAKING;
    caller->taken = taken;
    caller->gone = gone;
    caller->arg = arg;
    (void)timer_set(caller->deadline, CALLER_BODY_MS);
    (void)bufferevent_set_max_single_read(caller->bev, READ_BYTES);
    if (status == 0 && waits && !caller->body.done)
        (void)evbuffer_add_printf(bufferevent_get_output(caller->bev),
                                  "HTTP/1.1 100 Continue\r\n\r\n");
}

static void body_refuse(struct caller *caller, int status)
{
    void (*gone)(void *arg) = caller->gone;
    void *arg = caller->arg;

    caller_refuse(caller, status, NULL,
                  status == 413 ? "the body is too large" : "the body cannot be taken");
    if (gone != NULL)
        gone(arg);
}

static void body_done(struct caller *caller)
{
    struct buf bytes = caller->bytes;

    caller->bytes = (struct buf){0};
    caller->gone = NULL; /* taken() is told it by who it is of */
    caller->state = WAITING;
    caller->taken(caller, (struct slice){(const char *)bytes.data, bytes.len}, caller->arg);
    buf_free(&bytes);
}

static void body_read(struct caller *caller, struct evbuffer *in)
{
    size_t len = evbuffer_get_length(in);
    const uint8_t *bytes = evbuffer_pullup(in, -1);
    long used = 0;

    if (caller->fault == 0 && !caller->body.done && len > 0)
        used = bytes != NULL ? body_feed(&caller->body, bytes, len, &caller->bytes) : -500;
    (void)evbuffer_drain(in, len);
    if (caller->fault != 0 || used < 0)
        body_refuse(caller, caller->fault != 0 ? caller->fault : (int)-used);
    else if (caller->body.done)
        body_done(caller);
}

/* --- a connection's events ---------------------------------------------------- */

static void head_read(struct caller *caller, struct evbuffer *in)
{
    static const struct http_limits limits = {CALLER_HEAD_BYTES, HEADERS_MAX};
    static struct http_request req; /* 8 KB; one process, one thread, no reentry */
    const struct callers *callers = caller->callers;
    char *bytes = (char *)evbuffer_pullup(in, -1);
    long used;

    if (bytes == NULL) {
        end_soon(caller);
        return;
    }
    used = http_parse(&req, bytes, evbuffer_get_length(in), &limits, &caller->scanned);
    if (used < 0)
        caller_refuse(caller, (int)-used, NULL, NULL);
    if (used <= 0)
        return;
    caller->is_head = slice_eq(req.method, SLICE("HEAD"));
    callers->ops->request(caller, &req, callers->arg);
    explicit_bzero(bytes, (size_t)used); /* Authorization */
    (void)evbuffer_drain(in, (size_t)used);
    if (caller->state == TAKING)
        body_read(caller, in);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct caller *caller = arg;
    struct evbuffer *in = bufferevent_get_input(bev);

    if (caller->state == READING)
        head_read(caller, in);
    else if (caller->state == TAKING)
        body_read(caller, in);
    if (caller->state != READING && caller->state != TAKING)
        throw_away(in); /* so that closing does not reset what we sent */
}

/* All has been written: say so, and give the caller time to read it. */
static void on_written(struct bufferevent *bev, void *arg)
{
    struct caller *caller = arg;

    if (caller->state == STREAMING)
        caught_up(caller);
    if (caller->state != WRITING)
        return;
    if (caller->eof) {
        caller_free(caller);
        return;
    }
    caller->state = LEAVING;
    shutdown(bufferevent_getfd(bev), SHUT_WR);
    (void)timer_set(caller->deadline, CALLER_LINGER_MS);
}

/* A caller that has said all it will may still read. */
static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct caller *caller = arg;
    int waits = (caller->state == WAITING && !caller->is_heeded) || caller->state == WRITING;

    (void)bev;
    if (!(what & BEV_EVENT_EOF) || !waits)
        caller_free(caller);
    else
        caller->eof = 1;
}

/* --- all of them -------------------------------------------------------------- */

void callers_add(struct callers *callers, int fd)
{
    struct caller *caller = calloc(1, sizeof(*caller));

    if (caller == NULL) {
        close(fd);
        return;
    }
    if (callers->open.n == callers->max)
        caller_free(callers->open.first);
    caller->callers = callers;
    list_put(&callers->open, caller);
    (void)address_of_peer(&caller->address, fd);
    caller->deadline = event_new(callers->base, -1, 0, on_deadline, caller);
    caller->bev = bufferevent_socket_new(callers->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (caller->bev == NULL)
        close(fd);
    if (caller->bev == NULL || caller->deadline == NULL ||
        timer_set(caller->deadline, CALLER_HEAD_MS) < 0) {
        caller_free(caller);
        return;
    }
    /* Not a high watermark for what is read: libevent 2.1.12 needs memory for that, and ends the
     * process without.  Whatever has been read is taken out, or answered with an error. */
    (void)bufferevent_set_max_single_read(caller->bev, CALLER_HEAD_BYTES + 1);
    /* A head that comes in pieces is in one place all the same, and leaves no copies. */
    (void)evbuffer_expand(bufferevent_get_input(caller->bev), CALLER_HEAD_BYTES + 1);
    bufferevent_setcb(caller->bev, on_read, on_written, on_event, caller);
    if (bufferevent_enable(caller->bev, EV_READ | EV_WRITE) < 0)
        caller_free(caller);
}

struct callers *callers_new(struct event_base *base, unsigned max, const struct callers_ops *ops,
                            void *arg)
{
    struct callers *callers = calloc(1, sizeof(*callers));

    if (callers == NULL)
        return NULL;
    callers->base = base;
    callers->ops = ops;
    callers->arg = arg;
    callers->max = max;
    callers->open.end = &callers->open.first;
    callers->kept.end = &callers->kept.first;
    return callers;
}

static void list_free(const struct list *list)
{
    for (struct caller *caller = list->first, *next; caller != NULL; caller = next) {
        next = caller->next;
        caller_free(caller);
    }
}

void callers_free(struct callers **callersp)
{
    struct callers *callers = *callersp;

    if (callers == NULL)
        return;
    *callersp = NULL;
    list_free(&callers->open);
    list_free(&callers->kept);
    free(callers);
}
