#include "worker/downlink.h"
#include "base/clock.h"
#include "base/log.h"
#include "ipc/change.h"
#include "ipc/link.h"
#include "ipc/start.h"
#include "ipc/tickets.h"

#include <event2/event.h>
#include <stdlib.h>

#define UP_MAX_BYTES (16 << 20) /* to a master that does not read; about 250,000 messages */
#define TURN_BYTES   (1 << 20)  /* are read in one turn of the loop, at most */
#define TURN_MS      5          /* are given to broadcasts in one turn of the loop, about */

struct downlink {
    struct link *link;
    const struct downlink_ops *ops;
    void *arg;
    struct event *resume_timer;     /* reading goes on, after a turn for others */
    uint64_t turn_ms;               /* when this turn's first broadcast came; 0: none has */
    struct msg_broadcast broadcast; /* reused */
    struct msg_admitted admitted;   /* reused */
    struct act_request act;         /* reused */
    struct fetch_request fetch;     /* reused */
    int greeted;                    /* MSG_HELLO has come */
    int shut;
};

/* --- one message ---
 *
 * Each returns 0, -1 if it is no good, or 1 if it is to come again: for want of memory, or, where
 * it has stopped reading, when that goes on. */

static int on_hello(struct downlink *downlink, struct msg *msg)
{
    uint32_t version = msg_get_u32(msg);

    if (version != MSG_VERSION) {
        log_event(ERROR, "master_version",
                  "the master speaks [version {}, this is {}]<another version>",
                  LOG_UINT("version", version), LOG_UINT("own_version", MSG_VERSION));
        return -1;
    }
    msg_get_u32(msg); /* lane */
    msg_get_u32(msg); /* generation */
    msg_get_u64(msg); /* epoch */
    if (msg_close(msg) < 0)
        return -1;
    downlink->greeted = 1;
    return downlink->ops->hello(downlink->arg);
}

/* A burst of broadcasts, or of requests, to many clients may take long to queue.  Between
 * its parts the loop gets its turn: what is queued begins to leave, and heartbeats and new
 * clients are served; what goes on waiting, waits in the pipe. */
static void turn_begins(struct downlink *downlink)
{
    if (downlink->turn_ms == 0)
        downlink->turn_ms = clock_ms();
}

static void turn_may_end(struct downlink *downlink)
{
    static const struct timeval next_turn = {0, 0};

    if (clock_ms() - downlink->turn_ms < TURN_MS)
        return;
    link_read_enable(downlink->link, 0);
    evtimer_add(downlink->resume_timer, &next_turn);
}

static int deliver(struct downlink *downlink, struct msg *msg, const struct downlink_emit *emit)
{
    int result = msg_get_broadcast(msg, &downlink->broadcast);

    if (result != 0)
        return result;
    turn_begins(downlink);
    downlink->ops->broadcast(&downlink->broadcast, emit, downlink->arg);
    turn_may_end(downlink);
    return 0;
}

/* It is about clients that are in, or is for them and in no history: whoever is to be in before
 * it is let in first.  Returns 1 if it is to come again, when downlink_go_on() is called. */
static int waits(struct downlink *downlink)
{
    if (downlink->ops->settled(downlink->arg))
        return 0;
    link_read_enable(downlink->link, 0);
    return 1;
}

static void get_list(struct msg *msg, struct slices *list)
{
    list->n = 0;
    msg_get_list(msg, list);
}

static void get_who(struct msg *msg, struct who *who)
{
    who->select = msg_get_u8(msg);
    get_list(msg, &who->rooms);
    get_list(msg, &who->except);
}

/* As msg_close(), or 1 without memory. */
static int close_lists(const struct msg *msg)
{
    return msg->starved ? 1 : msg_close(msg);
}

static int on_act(struct downlink *downlink, struct msg *msg)
{
    struct act_request *act = &downlink->act;
    enum act_result done;
    int result;

    if (waits(downlink))
        return 1;
    act->type = (enum msg_type)msg->type;
    act->id = msg_get_u32(msg);
    get_who(msg, &act->who);
    act->names.n = 0;
    act->close = 0;
    if (act->type == MSG_DISCONNECT)
        act->close = msg_get_u8(msg);
    else
        get_list(msg, &act->names);
    if ((result = close_lists(msg)) != 0)
        return result;
    if (act->who.select > MSG_SELECT_IDS || act->close > 1)
        return -1;
    turn_begins(downlink);
    done = downlink->ops->act(act, downlink->arg);
    if (done == ACT_NO_MEMORY)
        return 1;
    if (done == ACT_BEGUN)
        link_read_enable(downlink->link, 0);
    else
        turn_may_end(downlink);
    return 0;
}

static int on_emit(struct downlink *downlink, struct msg *msg)
{
    struct downlink_emit emit;

    if (waits(downlink))
        return 1;
    emit.id = msg_get_u32(msg);
    emit.timeout_ms = msg_get_u32(msg);
    return deliver(downlink, msg, &emit);
}

static int on_fetch(struct downlink *downlink, struct msg *msg)
{
    struct fetch_request *fetch = &downlink->fetch;
    int result;

    fetch->id = msg_get_u32(msg);
    fetch->what = msg_get_u8(msg);
    get_who(msg, &fetch->who);
    if ((result = close_lists(msg)) != 0)
        return result;
    if (fetch->what >= MSG_WHATS || fetch->who.select > MSG_SELECT_IDS)
        return -1;
    turn_begins(downlink);
    downlink->ops->fetch(fetch, downlink->arg);
    turn_may_end(downlink);
    return 0;
}

static int on_admitted(struct downlink *downlink, struct msg *msg)
{
    struct msg_admitted *admitted = &downlink->admitted;
    int result = msg_get_admitted(msg, admitted);

    if (result != 0)
        return result;
    return downlink->ops->admitted(admitted, downlink->arg);
}

static int on_offset(struct downlink *downlink, struct msg *msg)
{
    uint64_t seq = msg_get_u64(msg), offset = msg_get_u64(msg);

    if (msg_close(msg) < 0)
        return -1;
    downlink->ops->offset(seq, offset, downlink->arg);
    return 0;
}

static int on_kick(struct downlink *downlink, struct msg *msg)
{
    uint64_t client = msg_get_u64(msg);
    struct slice uid = msg_get_bytes(msg);
    unsigned reason = msg_get_u8(msg);

    if (msg_close(msg) < 0 || reason >= MSG_KICKS)
        return -1;
    downlink->ops->kick(client, uid, (enum msg_kick)reason, downlink->arg);
    return 0;
}

static int on_log_level(struct msg *msg)
{
    unsigned level = msg_get_u8(msg);

    if (msg_close(msg) < 0 || level > LOG_LEVEL_DEBUG)
        return -1;
    log_set_level((enum log_level)level);
    return 0;
}

static int on_log_reopen(struct msg *msg)
{
    if (msg_close(msg) < 0)
        return -1;
    if (log_reopen() < 0)
        log_event(WARN, "log_reopen_failed", "cannot open the log again[: {}]", LOG_ERRNO());
    return 0;
}

static int on_tickets(struct downlink *downlink, struct msg *msg)
{
    struct tickets tickets;
    int result = tickets_get(msg, &tickets);

    if (result == 0)
        downlink->ops->tickets(&tickets, downlink->arg);
    explicit_bzero(&tickets, sizeof(tickets));
    return result;
}

static int on_count(struct downlink *downlink, struct msg *msg)
{
    uint32_t id = msg_get_u32(msg);

    if (msg_close(msg) < 0 || id == 0)
        return -1;
    downlink->ops->count(id, downlink->arg);
    return 0;
}

static int on_noted(struct downlink *downlink, struct msg *msg)
{
    uint32_t id = msg_get_u32(msg);

    return msg_close(msg) < 0 ? -1 : downlink->ops->noted(id, downlink->arg);
}

static int on_drain(struct downlink *downlink, struct msg *msg)
{
    uint32_t within_ms = msg_get_u32(msg), first = msg_get_u32(msg), n = msg_get_u32(msg);

    if (msg_close(msg) < 0 || n > START_LANES || first > START_LANES - n)
        return -1;
    downlink->ops->drain(within_ms, first, n, downlink->arg);
    return 0;
}

/* Without memory for them, too, the worker leaves: a successor is forked with them. */
static int on_settings(struct downlink *downlink, struct msg *msg)
{
    struct conf *settings = change_get(msg);

    if (settings == NULL)
        return -1;
    downlink->ops->settings(settings, downlink->arg);
    return 0;
}

static int dispatch(struct downlink *downlink, struct msg *msg)
{
    if (downlink->greeted != (msg->type != MSG_HELLO))
        return -1; /* first, and once */
    /* Without a default, so that the compiler names a type that is left out. */
    switch ((enum msg_type)msg->type) {
    case MSG_HELLO:
        return on_hello(downlink, msg);
    case MSG_BROADCAST:
        return deliver(downlink, msg, NULL);
    case MSG_EMIT:
        return on_emit(downlink, msg);
    case MSG_ADMITTED:
        return on_admitted(downlink, msg);
    case MSG_LOG_LEVEL:
        return on_log_level(msg);
    case MSG_LOG_REOPEN:
        return on_log_reopen(msg);
    case MSG_DRAIN:
        return on_drain(downlink, msg);
    case MSG_SETTINGS:
        return on_settings(downlink, msg);
    case MSG_TICKETS:
        return on_tickets(downlink, msg);
    case MSG_COUNT:
        return on_count(downlink, msg);
    case MSG_KICK:
        return on_kick(downlink, msg);
    case MSG_JOIN:
    case MSG_LEAVE:
    case MSG_DISCONNECT:
        return on_act(downlink, msg);
    case MSG_FETCH:
        return on_fetch(downlink, msg);
    case MSG_NOTED:
        return on_noted(downlink, msg);
    case MSG_OFFSET:
        return on_offset(downlink, msg);
    case MSG_WORKER_HELLO: /* these are a worker's own */
    case MSG_READY:
    case MSG_ADMIT:
    case MSG_LEFT:
    case MSG_COUNTERS:
    case MSG_ROOMS:
    case MSG_ACTED:
    case MSG_FETCHED:
    case MSG_REACHED:
    case MSG_ACK:
    case MSG_SOURCES:
        break;
    }
    return -1;
}

/* --- the link --- */

static int on_message(struct link *link, struct msg *msg, void *arg)
{
    struct downlink *downlink = arg;
    unsigned type = msg->type;
    int result;

    (void)link;
    if (downlink->shut)
        return 0;
    if ((result = dispatch(downlink, msg)) >= 0)
        return result;
    log_event(ERROR, "master_message_bad", "bad message from the master[: type={} ({})]; leaving",
              LOG_UINT("number", type), LOG_STR("type", msg_name(type)));
    downlink->ops->bad(downlink->arg);
    return -1;
}

static void on_batch_end(struct link *link, void *arg)
{
    struct downlink *downlink = arg;

    (void)link;
    downlink->turn_ms = 0;
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    struct downlink *downlink = arg;

    (void)fd;
    (void)what;
    if (!downlink->shut)
        link_read_enable(downlink->link, 1);
}

void downlink_go_on(struct downlink *downlink)
{
    if (!downlink->shut)
        link_read_enable(downlink->link, 1);
}

static void on_closed(struct link *link, const char *why, void *arg)
{
    struct downlink *downlink = arg;

    (void)link;
    downlink->ops->closed(why, downlink->arg);
}

void downlink_shut(struct downlink *downlink)
{
    downlink->shut = 1;
    link_read_enable(downlink->link, 0);
}

struct link *downlink_link(const struct downlink *downlink)
{
    return downlink->link;
}

/* --- coming and going --- */

struct downlink *downlink_new(struct event_base *base, int down_fd, int up_fd,
                              const struct downlink_ops *ops, void *arg)
{
    static const struct link_ops link_ops = {
        .message = on_message, .batch_end = on_batch_end, .closed = on_closed};
    static const struct link_options options = {
        .message_max = START_MESSAGE_CAP, .queue_max = UP_MAX_BYTES, .turn_bytes = TURN_BYTES};
    struct downlink *downlink = calloc(1, sizeof(*downlink));

    if (downlink == NULL)
        return NULL;
    downlink->ops = ops;
    downlink->arg = arg;
    downlink->resume_timer = evtimer_new(base, on_resume, downlink);
    if (downlink->resume_timer != NULL)
        downlink->link = link_new(base, down_fd, up_fd, &options, &link_ops, downlink);
    if (downlink->link == NULL)
        downlink_free(&downlink);
    return downlink;
}

void downlink_free(struct downlink **downlink_ptr)
{
    struct downlink *downlink = *downlink_ptr;

    *downlink_ptr = NULL;
    if (downlink == NULL)
        return;
    if (downlink->link != NULL)
        link_free(&downlink->link);
    if (downlink->resume_timer != NULL)
        event_free(downlink->resume_timer);
    msg_broadcast_clear(&downlink->broadcast);
    msg_admitted_clear(&downlink->admitted);
    slices_clear(&downlink->act.who.rooms);
    slices_clear(&downlink->act.who.except);
    slices_clear(&downlink->act.names);
    slices_clear(&downlink->fetch.who.rooms);
    slices_clear(&downlink->fetch.who.except);
    free(downlink);
}
