#include "worker/worker.h"
#include "base/caps.h"
#include "base/clock.h"
#include "base/log.h"
#include "conf.h"
#include "engine/engine.h"
#include "ipc/change.h"
#include "ipc/history.h"
#include "ipc/start.h"
#include "ipc/tickets.h"
#include "worker/acks.h"
#include "worker/act.h"
#include "worker/certify.h"
#include "worker/client.h"
#include "worker/deliver.h"
#include "worker/downlink.h"
#include "worker/fetch.h"
#include "worker/membership.h"
#include "worker/options.h"
#include "worker/peers.h"
#include "worker/renew.h"
#include "worker/replay.h"
#include "worker/report.h"
#include "worker/room.h"
#include "worker/sandbox.h"
#include "worker/stats.h"
#include "worker/uplink.h"

#include <event2/event.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The leak checker makes system calls that the sandbox does not allow. */
#ifdef __SANITIZE_ADDRESS__
#define LEAKS_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS_CHECKED 1
#endif
#endif
#ifndef LEAKS_CHECKED
#define LEAKS_CHECKED 0
#endif

#define QUICK_LEAVE_MS 500 /* without a master: everybody told, and gone within 1 s */
/* Leaving takes a few turns of the loop, and whoever is closed hears of it. */
#define LEAVE_MIN_MS 50

#define DELIVER_LOG_MS 60000

struct worker {
    struct conf conf;      /* what is in force; borrows from what we were forked with, and from */
    struct conf *settings; /* the last MSG_SETTINGS; NULL before the first, which ends the keys
                              that we were forked with */
    const struct worker_start *start;
    struct event_base *base;
    struct engine *engine;
    struct certified certified;
    struct downlink *downlink; /* what the master says */
    struct uplink *uplink;     /* what is said to it */
    struct rooms rooms;
    struct clients *clients;
    struct history_view *history; /* NULL: nobody has a session back, and so it is with replays */
    struct replays *replays;
    struct membership *membership;
    struct acts *acts;
    struct fetches *fetches;
    struct renewals *renewals;
    struct peers *peers;
    struct acks *acks;
    struct report *report;
    struct worker_stats stats;

    struct event *leave_timer; /* when it is over, drained or not */
    uint64_t leave_at_ms;      /* 0: not leaving */
    int greeted;               /* MSG_HELLO has come */
    int listening;             /* start->listen_fds are open */
    int status;                /* to exit with */
    struct log_every not_delivered;
};

/* --- from the engine --- */

static void *on_opened(struct socket *socket, const struct http_request *req,
                       const struct address *peer, void *arg)
{
    struct worker *worker = arg;

    return client_opened(worker->clients, socket, req, peer);
}

static int on_guarded(const struct http_request *req, void *arg)
{
    const struct worker *worker = arg;

    return client_guarded(worker->clients, req);
}

static void on_connect(struct socket *socket, const struct sio_packet *packet, void *arg)
{
    struct worker *worker = arg;

    client_connect(worker->clients, socket_data(socket), packet);
}

static void on_unserved(struct socket *socket, struct slice nsp, void *arg)
{
    struct worker *worker = arg;

    client_unserved(worker->clients, socket_data(socket), nsp);
}

static void on_joined(struct socket *socket, const struct sio_packet *packet, void *arg)
{
    struct worker *worker = arg;

    client_aside(worker->clients, socket_data(socket), packet);
}

static void on_left(struct socket *socket, enum close_reason why, void *arg)
{
    struct worker *worker = arg;

    client_left(worker->clients, socket_data(socket), why);
}

static void on_packet(struct socket *socket, const struct sio_packet *packet,
                      const struct slice *attachments, void *arg)
{
    struct worker *worker = arg;

    acks_packet(worker->acks, socket, packet, attachments);
    renew_packet(worker->renewals, socket_data(socket), packet);
}

static int on_wants(struct socket *socket, const struct sio_packet *packet, void *arg)
{
    const struct worker *worker = arg;

    return acks_wants(worker->acks, socket, packet);
}

static void on_closed(struct socket *socket, enum close_reason why, void *arg)
{
    struct worker *worker = arg;

    client_closed(worker->clients, socket_data(socket), why);
}

static int on_handoff(uint32_t process, int fd, const struct handoff_conn *conn, const void *bytes,
                      size_t len, void *arg)
{
    struct worker *worker = arg;

    return peers_handoff(worker->peers, process, fd, conn, bytes, len);
}

static const struct sio_app from_engine = {
    .opened = on_opened,
    .guarded = on_guarded,
    .connect = on_connect,
    .unserved = on_unserved,
    .joined = on_joined,
    .left = on_left,
    .packet = on_packet,
    .wants = on_wants,
    .closed = on_closed,
};

/* --- leaving --- */

/* The master hears what was counted last; it reads on until our end is closed. */
static void stop(struct worker *worker)
{
    if (worker->greeted && !uplink_is_shut(worker->uplink)) {
        report_send(worker->report, 0);
        uplink_flush(worker->uplink);
        if (uplink_is_shut(worker->uplink)) /* there is no next turn to hear of it */
            worker->status = 1;
    }
    event_base_loopbreak(worker->base);
}

static void on_drained(void *arg)
{
    stop(arg);
}

static void on_leave_timer(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;

    (void)fd;
    (void)what;
    log_event(DEBUG, "worker_leaving", "leaving[: connections={}]",
              LOG_UINT("connections", engine_connections(worker->engine)));
    if (peers_have_successors(worker->peers))
        engine_migrate_now(worker->engine);
    stop(worker);
}

static void close_listeners(struct worker *worker)
{
    if (!worker->listening)
        return;
    worker->listening = 0;
    engine_stop_listening(worker->engine);
    for (size_t i = 0; i < worker->start->nlisten; i++)
        close(worker->start->listen_fds[i]);
}

/* Takes no more clients, or passes them to the successors if there are any, and is gone
 * after within_ms at the latest.  Called again it can only become sooner. */
static void leave(struct worker *worker, int status, uint32_t within_ms)
{
    void (*drain)(struct engine *, uint32_t, void (*)(void *), void *) =
        peers_have_successors(worker->peers) ? engine_migrate : engine_drain;
    uint64_t at_ms = clock_ms() + within_ms;
    struct timeval wait;

    if (status != 0)
        worker->status = status;
    if (worker->leave_at_ms != 0 && worker->leave_at_ms <= at_ms)
        return;
    worker->leave_at_ms = at_ms;
    drain(worker->engine, within_ms, on_drained, worker);
    close_listeners(worker);
    if (within_ms < LEAVE_MIN_MS)
        within_ms = LEAVE_MIN_MS;
    wait = (struct timeval){within_ms / 1000, (suseconds_t)(within_ms % 1000) * 1000};
    evtimer_add(worker->leave_timer, &wait);
}

/* The link is of no use any more.  It is freed at the end: this may be its own callback.
 * Nothing is handed to successors any more: if the master has died they leave as well. */
static void give_link_up(struct worker *worker, int status)
{
    uplink_shut(worker->uplink);
    peers_set_successors(worker->peers, 0, 0);
    downlink_shut(worker->downlink);
    leave(worker, status, QUICK_LEAVE_MS);
}

static void on_uplink_failed(void *arg)
{
    give_link_up(arg, 1);
}

/* --- from the master --- */

static int on_hello(void *arg)
{
    struct worker *worker = arg;

    for (size_t i = 0; i < worker->start->nlisten; i++) {
        if (engine_listen(worker->engine, worker->start->listen_fds[i],
                          worker->start->listen_speaks[i]) < 0) {
            log_event(ERROR, "worker_no_memory", "no memory to [{}]<go on>",
                      LOG_STR("what", "listen"));
            return -1;
        }
    }
    worker->greeted = 1;
    uplink_ready(worker->uplink);
    if (report_start(worker->report) < 0) {
        log_event(ERROR, "worker_no_memory", "no memory to [{}]<go on>", LOG_STR("what", "count"));
        return -1;
    }
    return 0;
}

static void on_broadcast(const struct msg_broadcast *bc, const struct downlink_emit *emit,
                         void *arg)
{
    struct worker *worker = arg;
    int result;

    worker->stats.broadcasts++;
    if (worker->replays != NULL)
        replays_taken(worker->replays, bc->seq);
    if (emit == NULL)
        result = deliver_broadcast(worker->engine, &worker->rooms, bc);
    else
        result = deliver_emit(worker->engine, &worker->rooms, bc, worker->acks, emit->id,
                              emit->timeout_ms);
    if (result < 0 && log_due(&worker->not_delivered, DELIVER_LOG_MS) > 0)
        log_event(ERROR, "notification_no_memory",
                  "no memory to frame a notification: its receivers here do not get it");
}

static int on_admitted(const struct msg_admitted *admitted, void *arg)
{
    struct worker *worker = arg;

    if (worker->replays != NULL)
        replays_taken(worker->replays, admitted->seq);
    return client_admitted(worker->clients, admitted);
}

static void on_offset(uint64_t seq, uint64_t offset, void *arg)
{
    struct worker *worker = arg;

    if (worker->replays == NULL)
        return;
    replays_taken(worker->replays, seq);
    replays_offset(worker->replays, seq, offset);
    sio_offset(&worker->engine->sio, offset);
}

static void on_kick(uint64_t client, struct slice uid, enum msg_kick why, void *arg)
{
    struct worker *worker = arg;

    client_kick(worker->clients, client, uid, why);
}

static int on_settled(void *arg)
{
    const struct worker *worker = arg;

    return worker->replays == NULL || replays_settle(worker->replays);
}

static enum act_result on_act(const struct act_request *request, void *arg)
{
    struct worker *worker = arg;

    return act_begin(worker->acts, request);
}

/* A request is carried out, or all are in that it waits for. */
static void on_acted(void *arg)
{
    struct worker *worker = arg;

    downlink_go_on(worker->downlink);
}

static void on_fetch(const struct fetch_request *request, void *arg)
{
    struct worker *worker = arg;

    fetch_begin(worker->fetches, request);
}

static void on_count(uint32_t id, void *arg)
{
    struct worker *worker = arg;

    report_send(worker->report, id);
}

static int on_noted(uint32_t id, void *arg)
{
    struct worker *worker = arg;

    return renew_noted(worker->renewals, id);
}

static void on_drain(uint32_t within_ms, uint32_t first, uint32_t n, void *arg)
{
    struct worker *worker = arg;

    log_event(DEBUG, "worker_draining", "draining[: within_ms={} connections={}]",
              LOG_MILLIS("within", within_ms),
              LOG_UINT("connections", engine_connections(worker->engine)));
    peers_set_successors(worker->peers, first, n);
    leave(worker, 0, within_ms);
}

/* Where it cannot be written to, the old log goes on. */
static void log_configure(const struct conf *conf)
{
    log_set_level(conf->log_level);
    if (!log_is(conf->log_target, conf->log_file, conf->log_format) &&
        log_open(conf->log_target, conf->log_file, conf->log_format) < 0)
        log_event(WARN, "log_open_failed", "cannot open [{}: ]the log[ stays where it is: {}]",
                  LOG_STR("file", conf->log_file), LOG_ERRNO());
}

static void on_settings(struct conf *settings, void *arg)
{
    struct worker *worker = arg;
    struct conf *old = worker->settings;
    struct conf_tls before = worker->conf.tls;
    struct engine_options options;

    change_apply(&worker->conf, settings);
    if (old == NULL) {
        token_keys_clear(worker->conf.keys);
        conf_tls_wipe(&before);
    }
    worker->settings = settings;
    options = options_of(&worker->conf, worker->start);
    engine_configure(worker->engine, &options);
    (void)certify(&worker->certified, worker->engine, &worker->conf.tls);
    log_configure(&worker->conf);
    conf_free(&old); /* nothing borrows from it any more */
    log_event(DEBUG, "settings_taken", "settings taken");
}

static void on_tickets(const struct tickets *tickets, void *arg)
{
    struct worker *worker = arg;

    if (engine_tickets(worker->engine, tickets) < 0)
        log_event(ERROR, "tickets_no_memory", "no memory for the keys of TLS tickets");
}

static void on_bad(void *arg)
{
    give_link_up(arg, 1);
}

/* The master has died: it drains its workers before it leaves. */
static void on_closed_link(const char *why, void *arg)
{
    struct worker *worker = arg;

    if (!uplink_is_shut(worker->uplink))
        log_event(ERROR, "master_gone", "the link to the master is gone[: {}]; leaving",
                  LOG_STR("reason", why));
    give_link_up(worker, 0);
}

static const struct downlink_ops from_master = {
    .hello = on_hello,
    .broadcast = on_broadcast,
    .admitted = on_admitted,
    .offset = on_offset,
    .kick = on_kick,
    .settled = on_settled,
    .act = on_act,
    .fetch = on_fetch,
    .drain = on_drain,
    .settings = on_settings,
    .tickets = on_tickets,
    .count = on_count,
    .noted = on_noted,
    .bad = on_bad,
    .closed = on_closed_link,
};

/* --- life --- */

/* Last, when everything is open.  That sandbox is false has been warned of by the
 * master. */
static void enclose(const struct conf *conf)
{
    if (!conf->sandbox || LEAKS_CHECKED)
        return;
    if (sandbox_enter() < 0)
        log_event(WARN, "sandbox_none", "no sandbox: this kernel cannot filter system calls[: {}]",
                  LOG_ERRNO());
}

/* What changes the clients' rooms: requests of the master, and new tokens.  Returns 0, or -1
 * without memory. */
static int open_requests(struct worker *worker)
{
    struct act_parts act = {worker->base, worker->engine, &worker->rooms, NULL, worker->uplink};
    struct fetch_parts fetch = {.base = worker->base,
                                .conf = &worker->conf,
                                .engine = worker->engine,
                                .rooms = &worker->rooms,
                                .uplink = worker->uplink,
                                .stats = &worker->stats};
    struct renewal_parts renewals = {.conf = &worker->conf,
                                     .sio = &worker->engine->sio,
                                     .clients = worker->clients,
                                     .uplink = worker->uplink,
                                     .replays = worker->replays,
                                     .stats = &worker->stats};

    worker->membership =
        membership_new(&worker->conf, &worker->engine->sio, &worker->rooms, &worker->stats);
    if ((act.membership = worker->membership) == NULL)
        return -1;
    worker->acts = acts_new(&act, on_acted, worker);
    worker->fetches = fetches_new(&fetch);
    renewals.membership = worker->membership;
    worker->renewals = renewals_new(&renewals);
    return worker->acts != NULL && worker->fetches != NULL && worker->renewals != NULL ? 0 : -1;
}

/* Clients may have their sessions back.  Returns 0, or -1 without memory. */
static int open_replays(struct worker *worker)
{
    const struct replay_parts parts = {.base = worker->base,
                                       .conf = &worker->conf,
                                       .engine = worker->engine,
                                       .rooms = &worker->rooms,
                                       .history = worker->history,
                                       .stats = &worker->stats};

    if (worker->history == NULL)
        return 0;
    worker->replays = replays_new(&parts, &client_replay_ops, worker->clients, on_acted, worker);
    clients_set_replays(worker->clients, worker->replays);
    return worker->replays != NULL ? 0 : -1;
}

/* What the clients are served with, once there are an engine and the link.  Returns 0, or
 * -1 without memory. */
static int open_parts(struct worker *worker)
{
    const struct conf *conf = &worker->conf;
    const struct report_sources sources = {conf, worker->engine, &worker->rooms, &worker->stats};

    worker->uplink =
        uplink_new(worker->base, downlink_link(worker->downlink), on_uplink_failed, worker);
    worker->peers = peers_new(worker->base, worker->start, worker->engine, &worker->stats);
    if (worker->uplink == NULL || worker->peers == NULL)
        return -1;
    worker->clients =
        clients_new(conf, worker->engine, &worker->rooms, worker->uplink, &worker->stats);
    worker->report = report_new(worker->base, &sources, worker->uplink);
    if (worker->clients == NULL || worker->report == NULL || open_replays(worker) < 0)
        return -1;
    worker->acks = acks_new(worker->base, conf->nsp, worker->uplink, &worker->stats.acks);
    return worker->acks != NULL ? open_requests(worker) : -1;
}

/* Without it nobody is told that he may come back, and all else is as it was. */
static void open_history(struct worker *worker)
{
    int fd = worker->start->history_fd;

    if (fd < 0)
        return;
    worker->history = history_view_open(fd);
    if (worker->history == NULL)
        log_event(WARN, "history_unmapped",
                  "cannot map the history: clients of this worker do not recover[: {}]",
                  LOG_ERRNO());
    close(fd);
}

/* One copy of the keys is enough: those that the fork brought would never change.  Returns 0,
 * or -1 without memory. */
static int take_tickets(struct worker *worker, struct tickets *tickets)
{
    int rc = tickets != NULL ? engine_tickets(worker->engine, tickets) : 0;

    if (tickets != NULL)
        explicit_bzero(tickets, sizeof(*tickets));
    return rc;
}

/* Returns 0, or -1 (logged); worker_close() undoes either. */
static int worker_open(struct worker *worker)
{
    const struct worker_start *start = worker->start;
    struct engine_options own = options_of(&worker->conf, worker->start);

    open_history(worker);
    own.handoff = on_handoff;
    own.recovery = worker->history != NULL;
    worker->base = event_base_new();
    if (worker->base == NULL)
        goto fail;
    worker->leave_timer = evtimer_new(worker->base, on_leave_timer, worker);
    worker->engine = engine_new(worker->base, &own, &from_engine, worker);
    if (worker->leave_timer == NULL || worker->engine == NULL)
        goto fail;
    if (take_tickets(worker, start->tickets) < 0)
        goto fail;
    if (certify(&worker->certified, worker->engine, &worker->conf.tls) < 0)
        return -1;
    worker->downlink =
        downlink_new(worker->base, start->down_fd, start->up_fd, &from_master, worker);
    if (worker->downlink == NULL || open_parts(worker) < 0)
        goto fail;
    uplink_hello(worker->uplink);
    return 0;
fail:
    log_event(ERROR, "worker_no_memory", "no memory to [{}]<go on>", LOG_STR("what", "start"));
    return -1;
}

static void worker_close(struct worker *worker)
{
    if (worker->uplink != NULL)
        uplink_shut(worker->uplink); /* the clients' last words reach nobody */
    if (worker->engine != NULL) {
        close_listeners(worker);
        engine_free(&worker->engine);
    }
    fetches_free(&worker->fetches);
    acts_free(&worker->acts);
    membership_free(&worker->membership);
    acks_free(&worker->acks);
    renewals_free(&worker->renewals);
    replays_free(&worker->replays);
    report_free(&worker->report);
    clients_free(&worker->clients);
    rooms_clear(&worker->rooms);
    peers_free(&worker->peers);
    uplink_free(&worker->uplink);
    history_view_close(&worker->history);
    downlink_free(&worker->downlink);
    if (worker->leave_timer != NULL)
        event_free(worker->leave_timer);
    if (worker->base != NULL)
        event_base_free(worker->base);
    conf_free(&worker->settings);
}

int worker_run(const struct conf *conf, const struct worker_start *start)
{
    struct worker worker = {.conf = *conf, .start = start, .listening = 1};

    log_name("worker", start_number(start->lane));
    if (caps_limit(0) < 0)
        log_event(WARN, "capabilities_kept", "cannot give all capabilities up[: {}]", LOG_ERRNO());
    rooms_init(&worker.rooms);
    if (worker_open(&worker) == 0) {
        enclose(conf);
        if (event_base_dispatch(worker.base) != 0)
            worker.status = 1;
    } else {
        worker.status = 1;
    }
    worker_close(&worker);
    /* It stops us and waits for that; SIGCONT, which comes to those whose master has
     * died, would undo it. */
    if (LEAKS_CHECKED)
        prctl(PR_SET_PDEATHSIG, 0);
    return worker.status;
}
