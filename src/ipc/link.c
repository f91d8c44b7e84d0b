#include "ipc/link.h"
#include "base/clock.h"
#include "base/log.h"

#include <event2/event.h>
#include <event2/util.h>

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIPE_BYTES       (1 << 20)           /* asked of the kernel, which may refuse */
#define READ_CHUNK_BYTES ((size_t)64 << 10)  /* at least so much is asked for at once */
#define KEEP_BYTES       ((size_t)256 << 10) /* a larger buffer is given back after use */
#define OUT_MIN_BYTES    4096                /* for what is to be said when memory is out */
#define STARVED_MS       100                 /* without reading, when memory is out */
#define STARVED_LOG_MS   10000

struct link {
    struct link_options options;
    struct link_ops ops;
    void *arg;
    int read_fd, write_fd;     /* -1: none */
    struct event *read_event;  /* NULL without a read_fd */
    struct event *write_event; /* added after EAGAIN only; NULL without a write_fd */
    struct event *soon;        /* runs soon_ready() after the events that are active now */
    struct event *fed;         /* pending while starved: reading goes on then */

    struct buf in;   /* what has been read */
    size_t in_start; /* its first byte that is not handed over yet */
    int reading;     /* link_read_enable() */
    int delivering;  /* a handler runs */
    int batch;       /* messages were handed over since batch_end() */
    int starved;     /* no memory for what comes: it waits in the pipe for a while */
    struct log_every starved_log;

    struct buf out;       /* what is to be written */
    size_t out_start;     /* its first byte that is not written yet */
    int blocked;          /* the pipe was full: write_event is pending */
    uint64_t progress_ms; /* when out last went from empty or lost bytes to the pipe */

    const char *why; /* the link has failed; NULL while it works */
    int peer_closed; /* why is that the other end has closed its pipes */
    int reported;    /* closed() has been called */
};

/* --- failing ---------------------------------------------------------------- */

/* closed() may free the link, so it is never called from here, where callers up
 * the stack still use it, but by report() at the end of an event. */
static void fail(struct link *link, const char *why)
{
    if (link->why != NULL)
        return;
    link->why = why;
    if (link->read_event != NULL)
        event_del(link->read_event);
    if (link->write_event != NULL)
        event_del(link->write_event);
    event_del(link->fed);
    event_active(link->soon, EV_TIMEOUT, 0);
}

static void fail_closed(struct link *link)
{
    if (link->why == NULL)
        link->peer_closed = 1;
    fail(link, "closed by peer");
}

int link_peer_closed(const struct link *link)
{
    return link->peer_closed;
}

/* The link may be gone when this returns. */
static void report(struct link *link)
{
    if (link->why == NULL || link->reported)
        return;
    link->reported = 1;
    link->ops.closed(link, link->why, link->arg);
}

/* --- reading ---------------------------------------------------------------- */

/* 1 if messages are read: the link works, its owner wants them, there is memory. */
static int is_reading(const struct link *link)
{
    return link->why == NULL && link->reading && !link->starved;
}

/* No memory for what comes.  Reading is tried again a little later; until then messages
 * wait in the pipe and in the other end's queue, which has a limit.  To give the link up
 * would end this process, or the worker at the other end, with all its clients. */
static void starve(struct link *link)
{
    static const struct timeval pause = {0, STARVED_MS * 1000L};
    uint64_t times = log_due(&link->starved_log, STARVED_LOG_MS);

    if (times > 0)
        log_event(ERROR, "link_no_memory",
                  "no memory for what comes over the link: tried again[ every {} ms times={}]",
                  LOG_MILLIS("every", STARVED_MS), LOG_TIMES(times));
    link->starved = 1;
    event_del(link->read_event);
    if (event_add(link->fed, &pause) < 0) /* at once rather than never */
        event_active(link->fed, EV_TIMEOUT, 0);
}

/* Hands over the whole messages that are in the buffer. */
static void deliver(struct link *link)
{
    while (is_reading(link)) {
        struct msg msg;
        int result;
        long n = msg_decode(&msg, link->in.data + link->in_start, link->in.len - link->in_start,
                            link->options.message_max);

        if (n == 0)
            return;
        if (n < 0) {
            fail(link, "malformed message");
            return;
        }
        link->in_start += (size_t)n;
        link->batch = 1;
        link->delivering = 1;
        result = link->ops.message(link, &msg, link->arg);
        link->delivering = 0;
        if (result == 0 && msg_is_secret(link->in.data + link->in_start - n, (size_t)n))
            explicit_bzero(link->in.data + link->in_start - n, (size_t)n);
        if (result < 0)
            fail(link, "malformed message");
        if (result > 0) {
            link->in_start -= (size_t)n;
            if (link->reading)
                starve(link);
        }
    }
}

/* Of what is left from the last read only the beginning of one message can be secret:
 * those that were whole have been handed over. */
static void mark_in(struct link *link)
{
    link->in.secret = msg_is_secret(link->in.data + link->in_start, link->in.len - link->in_start);
}

/* How much to ask the pipe for: the rest of the message that has begun, if that
 * is known and more than a chunk, so that a big one is read in few calls and
 * lies in memory that was reserved once. */
static size_t bytes_wanted(const struct link *link)
{
    size_t held = link->in.len - link->in_start, whole;
    uint32_t length;

    if (held < sizeof(length))
        return READ_CHUNK_BYTES;
    memcpy(&length, link->in.data + link->in_start, sizeof(length));
    whole = sizeof(length) + (size_t)le32toh(length);
    return whole > held + READ_CHUNK_BYTES ? whole - held : READ_CHUNK_BYTES;
}

/* Reads once.  Returns the bytes read if there may be more, else 0. */
static size_t read_once(struct link *link)
{
    size_t wanted = bytes_wanted(link);
    uint8_t *to;
    ssize_t n;

    /* What is left is less than a chunk, for more is only asked for where it
     * belongs to one message: moving it costs little. */
    mark_in(link);
    buf_consume(&link->in, link->in_start);
    link->in_start = 0;
    to = buf_reserve(&link->in, wanted);
    if (to == NULL) {
        link->in.failed = 0;
        starve(link);
        return 0;
    }
    do {
        n = read(link->read_fd, to, wanted);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            fail(link, strerror(errno));
        return 0;
    }
    if (n == 0) {
        if (link->in.len > 0)
            fail(link, "closed within a message");
        else
            fail_closed(link);
        return 0;
    }
    link->in.len += (size_t)n;
    deliver(link);
    return (size_t)n == wanted ? (size_t)n : 0;
}

/* To KEEP_BYTES, in which its content fits. */
static void shrink(struct buf *buf)
{
    uint8_t *data = realloc(buf->data, KEEP_BYTES);

    if (data == NULL)
        return;
    buf->data = data;
    buf->cap = KEEP_BYTES;
}

/* Gives memory back after a big message. */
static void shrink_in(struct link *link)
{
    size_t held = link->in.len - link->in_start;

    if (link->in.cap <= KEEP_BYTES || bytes_wanted(link) > READ_CHUNK_BYTES ||
        held > KEEP_BYTES - READ_CHUNK_BYTES)
        return;
    mark_in(link);
    if (link->in.secret) /* realloc() may leave it */
        return;
    buf_consume(&link->in, link->in_start);
    link->in_start = 0;
    shrink(&link->in);
}

/* The link may be gone when this returns. */
static void end_batch(struct link *link)
{
    shrink_in(link);
    if (link->batch) {
        link->batch = 0;
        link->delivering = 1;
        if (link->ops.batch_end != NULL)
            link->ops.batch_end(link, link->arg);
        link->delivering = 0;
    }
    report(link);
}

static void read_ready(evutil_socket_t fd, short what, void *arg)
{
    struct link *link = arg;
    size_t total = 0, n;

    (void)fd;
    (void)what;
    deliver(link); /* what a pause has left in the buffer comes first */
    while (is_reading(link) && (n = read_once(link)) > 0) {
        total += n;
        if (total >= link->options.turn_bytes)
            break;
    }
    end_batch(link);
}

static void fed_ready(evutil_socket_t fd, short what, void *arg)
{
    struct link *link = arg;

    (void)fd;
    (void)what;
    link->starved = 0;
    link_read_enable(link, link->reading);
}

void link_read_enable(struct link *link, int on)
{
    link->reading = on;
    if (link->read_event == NULL || link->why != NULL || link->starved)
        return;
    if (!on) {
        event_del(link->read_event);
        return;
    }
    if (event_add(link->read_event, NULL) < 0) {
        starve(link);
        return;
    }
    /* The pipe says nothing of messages that have been read already. */
    if (link->in.len > link->in_start)
        event_active(link->soon, EV_TIMEOUT, 0);
}

/* --- writing ---------------------------------------------------------------- */

void link_queue_max(struct link *link, size_t bytes)
{
    link->options.queue_max = bytes;
}

size_t link_queued(const struct link *link)
{
    return link->out.len - link->out_start;
}

uint64_t link_stalled_since(const struct link *link)
{
    return link_queued(link) > 0 ? link->progress_ms : 0;
}

static void emptied(struct link *link)
{
    buf_reset(&link->out);
    link->out.secret = 0;
    if (link->out.cap > KEEP_BYTES)
        shrink(&link->out);
    link->out_start = 0;
    if (link->blocked) {
        link->blocked = 0;
        event_del(link->write_event);
    }
}

int link_flush(struct link *link)
{
    size_t queued = link_queued(link);
    ssize_t n;

    if (link->why != NULL)
        return -1;
    if (queued == 0)
        return 0;
    do {
        n = write(link->write_fd, link->out.data + link->out_start, queued);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
        if (errno == EPIPE)
            fail_closed(link);
        else
            fail(link, strerror(errno));
        return -1;
    }
    if (n > 0) {
        link->out_start += (size_t)n;
        link->progress_ms = clock_ms();
    }
    if (n == (ssize_t)queued) {
        emptied(link);
        return 0;
    }
    if (!link->blocked) {
        link->blocked = 1;
        event_add(link->write_event, NULL);
    }
    return 1;
}

static void write_ready(evutil_socket_t fd, short what, void *arg)
{
    struct link *link = arg;

    (void)fd;
    (void)what;
    link_flush(link);
    report(link);
}

/* Makes what was written before reusable, but not before it is as much as what
 * would have to be moved: so each byte is moved once at most on average. */
static void compact_out(struct link *link, size_t more)
{
    if (link->out.cap - link->out.len >= more || link->out_start < link_queued(link))
        return;
    buf_consume(&link->out, link->out_start);
    link->out_start = 0;
}

/* Without memory the pipe may take what waits, which leaves some. */
static int queue_put(struct link *link, const void *messages, size_t len)
{
    if (buf_put(&link->out, messages, len) == 0)
        return 0;
    link->out.failed = 0;
    link_flush(link);
    if (link->why != NULL)
        return -1;
    buf_consume(&link->out, link->out_start);
    link->out_start = 0;
    if (buf_put(&link->out, messages, len) == 0)
        return 0;
    link->out.failed = 0;
    return -1;
}

int link_send(struct link *link, const void *messages, size_t len)
{
    if (link->write_fd < 0 || link->why != NULL)
        return -1;
    if (len > link->options.queue_max)
        return -1;
    /* Many messages in one turn may fill a queue that the pipe would take. */
    if (link_queued(link) + len > link->options.queue_max) {
        link_flush(link);
        if (link->why != NULL || link_queued(link) + len > link->options.queue_max)
            return -1;
    }
    if (msg_is_secret(messages, len))
        link->out.secret = 1;
    compact_out(link, len);
    if (queue_put(link, messages, len) < 0)
        return -1;
    if (link_queued(link) == len)
        link->progress_ms = clock_ms();
    if (!link->blocked)
        event_active(link->soon, EV_TIMEOUT, 0);
    return 0;
}

void link_wipe(struct link *link)
{
    if (link->out.secret && link->out.data != NULL)
        explicit_bzero(link->out.data, link->out.cap);
}

/* --- coming and going ------------------------------------------------------- */

/* Runs behind the events that are active now: flushes what they have sent in
 * one write, hands over what link_read_enable() has found, reports failures. */
static void soon_ready(evutil_socket_t fd, short what, void *arg)
{
    struct link *link = arg;

    (void)fd;
    (void)what;
    if (!link->blocked)
        link_flush(link);
    deliver(link);
    end_batch(link);
}

static void events_free(struct link *link)
{
    if (link->read_event != NULL)
        event_free(link->read_event);
    if (link->write_event != NULL)
        event_free(link->write_event);
    if (link->soon != NULL)
        event_free(link->soon);
    if (link->fed != NULL)
        event_free(link->fed);
}

static int events_new(struct link *link, struct event_base *base)
{
    link->soon = event_new(base, -1, 0, soon_ready, link);
    link->fed = event_new(base, -1, 0, fed_ready, link);
    if (link->soon == NULL || link->fed == NULL)
        return -1;
    if (link->write_fd >= 0) {
        if (buf_reserve(&link->out, OUT_MIN_BYTES) == NULL)
            return -1;
        link->write_event =
            event_new(base, link->write_fd, EV_WRITE | EV_PERSIST, write_ready, link);
        if (link->write_event == NULL)
            return -1;
    }
    if (link->read_fd >= 0) {
        link->read_event = event_new(base, link->read_fd, EV_READ | EV_PERSIST, read_ready, link);
        if (link->read_event == NULL || event_add(link->read_event, NULL) < 0)
            return -1;
    }
    return 0;
}

static int descriptor_prepare(int fd)
{
    return fd < 0 || (evutil_make_socket_nonblocking(fd) == 0 &&
                      evutil_make_socket_closeonexec(fd) == 0)
               ? 0
               : -1;
}

struct link *link_new(struct event_base *base, int read_fd, int write_fd,
                      const struct link_options *options, const struct link_ops *ops, void *arg)
{
    struct link *link = calloc(1, sizeof(*link));

    if (link == NULL)
        return NULL;
    link->options = *options;
    link->ops = *ops;
    link->arg = arg;
    link->read_fd = read_fd;
    link->write_fd = write_fd;
    link->reading = 1;
    if (descriptor_prepare(read_fd) < 0 || descriptor_prepare(write_fd) < 0 ||
        events_new(link, base) < 0) {
        events_free(link);
        buf_free(&link->out);
        free(link);
        return NULL;
    }
    /* A larger pipe takes more of a burst before the queue has to; there is a
     * limit to it for each user, and without it all works as well. */
    if (write_fd >= 0)
        (void)fcntl(write_fd, F_SETPIPE_SZ, PIPE_BYTES);
    return link;
}

void link_free(struct link **link_ptr)
{
    struct link *link = *link_ptr;

    *link_ptr = NULL;
    if (link == NULL)
        return;
    assert(!link->delivering);
    events_free(link);
    mark_in(link);
    if (link->read_fd >= 0)
        close(link->read_fd);
    if (link->write_fd >= 0 && link->write_fd != link->read_fd)
        close(link->write_fd);
    buf_free(&link->in);
    buf_free(&link->out);
    free(link);
}
