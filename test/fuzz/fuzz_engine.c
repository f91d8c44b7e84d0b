/* The engine as a state machine.  The input is a program: two bytes of configuration,
 * then operations of clients (connections, requests whole, cut and pipelined, frames,
 * slow reading, resets), of the application, of time and of memory, on one engine with
 * several connections and sessions.  After each turn of the loop its structs are
 * consistent (engine_check.h); at the end no session that was not ended has missed
 * anything, and nothing is left over.  test/fuzz/engine_seeds.py has the operations by
 * their names. */
#include "base/log.h"
#include "engine_app.h"
#include "engine_check.h"
#include "engine_words.h"
#include "engine_world.h"
#include "ipc/balance.h"

#include <event2/event.h>
#include <sys/un.h>

#define MAX_BYTES 2048
#define MAX_OPS   400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct event_base *base;
static struct engine_options options;
static const struct networks proxies = {.unix_too = 1}; /* who comes says who it is */
static int hands_off;                                   /* there are other processes */
static struct balance *balance;                         /* with two others */
static int drained, sndbuf;
static uint64_t late_us; /* a fan-out was received so long ago */
static struct sockaddr_un address;
static socklen_t address_len;

/* --- the loop --- */

static void admit_next(void)
{
    for (unsigned i = 0; i < nplayers && admission == ADMIT_NEXT; i++)
        if (players[i].asks)
            accept_player(&players[i]);
}

/* One turn of the loop, or as many as there is something to do at once. */
static void loop(int flags)
{
    for (int i = 0; i < PEERS; i++)
        peer_send(&peers[i]);
    event_base_loop(base, EVLOOP_NONBLOCK | flags);
    admit_next();
    check_engine();
}

static void turn(void)
{
    loop(0);
}

static void pass_ms(uint64_t ms)
{
    fake_ns += ms * 1000000;
    turn();
}

/* --- connections --- */

static void open_accepted(struct peer *peer)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        abort();
    if (connect(fd, (struct sockaddr *)&address, address_len) < 0) {
        close(fd); /* more of them than the kernel keeps, or it does not listen any more */
        return;
    }
    peer_begin(peer, fd);
}

static void open_adopted(struct peer *peer, int bytes)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    if (bytes > 0)
        setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    if (engine_adopt(engine, pair[0], NULL, NULL, 0, 0) < 0) {
        close(pair[0]);
        close(pair[1]);
        return;
    }
    peer_begin(peer, pair[1]);
}

static void op_open(struct peer *peer, unsigned how)
{
    peer_close(peer);
    if (how % 3 == 0)
        open_accepted(peer);
    else
        open_adopted(peer, how % 3 == 1 ? 0 : sndbuf);
}

/* One that was handed on comes back, for a session that is not here perhaps. */
static void op_return(struct peer *peer, unsigned which)
{
    (void)peer;
    which %= OTHERS;
    if (others[which].fd < 0)
        return;
    if (engine_adopt(engine, others[which].fd, NULL, others[which].bytes, others[which].len,
                     (int)u8() % 2) < 0)
        close(others[which].fd);
    others[which].fd = -1;
}

/* --- what the application does --- */

static void fan(unsigned who, unsigned n, unsigned how, uint32_t to)
{
    static const struct slice bins[] = {{"\1\2\3", 3}, {"", 0}};
    static char json[20000];
    size_t pad = how & 8 ? 15000 : how & 4 ? 2000 : 1;
    struct fanout one;
    uint32_t queued = 0;
    int len = sprintf(json, "[\"n\",\"%s%02u%04u", MARK, who, n);

    memset(json + len, '.', pad);
    memcpy(json + len + pad, "\"", 1);
    fanout_begin(&engine->sio, &one, (struct slice){json, (size_t)len + pad + 1}, bins, how & 3,
                 (how & 16) != 0);
    fanout_received(&one, clock_us() - late_us);
    fanout_offset(&one, n);
    if (how & 32)
        fanout_ack(&one, n);
    if (who != SHARED && players[who].session != NULL && socket_of(players[who].session)->resumed)
        fanout_replay(&one);
    if (how & 2 && to & 1 && nplayers > 0 && who == SHARED && players[0].session != NULL)
        fanout_except(&one, socket_of(players[0].session));
    for (unsigned i = 0; i < nplayers; i++) {
        struct socket *socket = players[i].session != NULL ? socket_of(players[i].session) : NULL;
        if (!(to & 1U << i) || socket == NULL || !fanout_send(&one, socket))
            continue;
        queued |= 1U << i;
        must(!fanout_send(&one, socket)); /* once is once */
    }
    fanout_end(&one);
    if (who == SHARED)
        shared[n].to = queued;
    else if (queued != 0)
        players[who].sent = n;
}

static void op_fan(struct peer *peer, unsigned how)
{
    unsigned who = u8();

    (void)peer;
    if (how % 4 == 3)
        how &= ~3U;
    if (nplayers == 0 || without_sio)
        return;
    if (who == 255 && nshared < FANS_MAX) {
        nshared++;
        shared[nshared].got = 0;
        fan(SHARED, nshared, how, UINT32_MAX);
        return;
    }
    who %= nplayers;
    for (unsigned i = 0; i <= how / 32 && players[who].sent < FANS_MAX; i++)
        fan(who, players[who].sent + 1, how, 1U << who);
}

static const size_t send_buffers[] = {65536, 4096, 1 << 20, 200};
static const size_t maxima[] = {1000, 4, 1, 2};
static const size_t strangers[] = {0, 5, 0, 1}; /* beside these */

static void op_configure(struct peer *peer, unsigned what)
{
    (void)peer;
    options.send_buffer = send_buffers[what % 4];
    options.connections_max = maxima[what / 4 % 4];
    options.strangers_max = strangers[what / 4 % 4];
    options.http.head_bytes = what & 16 ? 1024 : 4096;
    options.send_timeout_ms = what & 32 ? 300 : 3000;
    options.idle_timeout_ms = what & 32 ? 700 : 6000;
    options.connect_timeout_ms = what & 64 ? 500 : 9000;
    options.credentials = what >> 7;
    engine_configure(engine, &options);
}

/* --- the program --- */

static void op_time(struct peer *peer, unsigned how)
{
    static const uint16_t steps_ms[] = {1, 10, 100, 500, 1000, 3000, 5000, 11000};

    (void)peer;
    pass_ms(steps_ms[how % 8]);
    turn();
}

static void op_read(struct peer *peer, unsigned how)
{
    if (how < 255)
        peer_read(peer, how * 64 + 1);
    else
        while (peer_read(peer, sizeof(sink)))
            turn();
}

static void op_end(struct peer *peer, unsigned how)
{
    if (how % 3 == 0)
        peer_abort(peer);
    else if (how % 3 == 1)
        peer_close(peer);
    else
        peer_half_close(peer);
}

/* 8: what clients wait for is copied out of thin blocks, however few there are. */
static void op_turns(struct peer *peer, unsigned n)
{
    (void)peer;
    if (n & 8) {
        engine->net->chunks.thin_max = 0;
        compact_slice(&engine->net->compact);
    }
    for (unsigned i = 0; i <= n % 8; i++)
        loop(EVLOOP_ONCE);
}

static void op_nomem(struct peer *peer, unsigned how)
{
    (void)peer;
    nomem_skip = how % 16;
    nomem_count = how / 16 % 4;
}

static void op_continue(struct peer *peer, unsigned how)
{
    (void)how;
    peer_continue(peer);
}

static void op_send(struct peer *peer, unsigned how)
{
    (void)how;
    peer_send(peer);
}

/* What others say: those that connections are handed to, and the kernel. */
static void op_others(struct peer *peer, unsigned how)
{
    (void)peer;
    handoff_result = (int)(how % 4 % 3) - 1;
    kernel = how >> 2 & 3;
    late_us = how & 16 ? 100000 : 0;
    if (how & 32)
        balance_accepted(balance, 1, 1);
    for (unsigned other = 1; other <= 2; other++)
        balance_set(balance, other, how >> 6 == other ? 0 : 3);
}

static void step(void)
{
    static const struct {
        const char *name;
        void (*run)(struct peer *peer, unsigned how);
    } all[16] = {
        {"turns", op_turns}, {"open", op_open},     {"request", op_request},
        {"frame", op_frame}, {"raw", op_raw},       {"continue", op_continue},
        {"read", op_read},   {"end", op_end},       {"fan", op_fan},
        {"app", op_app},     {"time", op_time},     {"configure", op_configure},
        {"nomem", op_nomem}, {"others", op_others}, {"return", op_return},
        {"send", op_send},
    };
    unsigned op = u8(), how = u8();

    trace("%s %u: %u%s\n", all[op & 15].name, op >> 4 & 7, how, op & 128 ? ", and a turn" : "");
    all[op & 15].run(&peers[op >> 4 & 7], how);
    if (op & 128)
        loop(how & 128 ? EVLOOP_ONCE : 0);
}

/* --- begin and end --- */

/* The layers below Socket.IO, for the application without. */
static struct engine *plain_engine(void)
{
    struct engine *plain = calloc(1, sizeof(*plain));
    struct net_options net = {.balance = options.balance,
                              .connections_max = options.connections_max,
                              .strangers_max = options.strangers_max,
                              .send_buffer = options.send_buffer,
                              .send_timeout_ms = options.send_timeout_ms};
    struct http_options http = {.path = options.path,
                                .limits = options.http,
                                .idle_timeout_ms = options.idle_timeout_ms,
                                .origins = options.origins,
                                .client_file = options.client_file,
                                .name = options.name,
                                .version = options.version};
    struct eio_options eio = {.polling = 1,
                              .websocket = 1,
                              .allow_eio3 = options.allow_eio3,
                              .ping_interval_ms = options.ping_interval_ms,
                              .ping_timeout_ms = options.ping_timeout_ms,
                              .upgrade_timeout_ms = options.upgrade_timeout_ms,
                              .max_payload = options.max_payload,
                              .process = options.process,
                              .generation = options.generation};

    plain->net = net_new(base, &net, NULL, NULL);
    plain->http = http_new(plain->net, &http);
    plain->eio = eio_new(plain->http, &eio, &plain_app, NULL);
    drain_init(&plain->drain, plain->eio);
    return plain;
}

static void begin(unsigned first, unsigned second)
{
    static const char *const nsps[] = {"/more", NULL};
    static const char file[20000] = "script";
    static char *origins[] = {(char *)(uintptr_t) "https://app.example", NULL};

    fake_ns = EPOCH_NS;
    nomem_skip = nomem_count = 0;
    nplayers = nshared = 0;
    drained = 0;
    handoff_result = -1;
    takes_nobody = 0;
    kernel = KERNEL_SILENT;
    kernel_acked = 0;
    late_us = 0;
    admission = first / 4 % 4;
    sndbuf = second & 128 ? 16384 : 4608;
    for (int i = 0; i < PEERS; i++)
        peers[i].fd = -1;
    for (int i = 0; i < OTHERS; i++)
        others[i].fd = -1;
    options = (struct engine_options){
        .path = "/n/",
        .nsp = first & 32 ? "/" : "/axr",
        .open_nsps = nsps,
        .ping_interval_ms = 5000,
        .ping_timeout_ms = 4000,
        .connect_timeout_ms = 9000,
        .upgrade_timeout_ms = 2000,
        .polling = 1,
        .websocket = 1,
        .allow_eio3 = !(first & 16),
        .max_payload = 65536,
        .balance = first % 4 == 3 ? balance : NULL,
        .http = {4096, 30},
        .send_buffer = send_buffers[second % 4],
        .connections_max = maxima[second / 4 % 4],
        .strangers_max = strangers[second / 4 % 4],
        .send_timeout_ms = 3000,
        .idle_timeout_ms = 6000,
        .process = 1,
        .generation = 2,
        .origins = first & 64 ? origins : NULL,
        .recovery = first % 4 == 1,
        .proxies = first & 64 ? &proxies : NULL,
    };
    if (first & 128) {
        options.client_file = (struct slice){file, sizeof(file)};
        options.name = "axr";
        options.version = "1";
    }
    for (unsigned i = 0; i < 3; i++) {
        balance_accepts(balance, i, 1);
        balance_rests(balance, i, 0);
        balance_set(balance, i, 0);
    }
    without_sio = first % 4 == 2;
    hands_off = first % 4 % 3 == 0;
    options.handoff = hands_off ? on_handoff : NULL;
    engine = without_sio ? plain_engine() : engine_new(base, &options, &apps[first % 4 % 3], NULL);
    must(engine != NULL && engine_listen(engine, listener, 0) == 0);
}

/* Everybody reads until nothing comes any more. */
static void settle(void)
{
    int quiet = 0;

    for (int rounds = 0; rounds < 2000 && quiet < 4; rounds++) {
        quiet++;
        turn();
        for (int i = 0; i < PEERS; i++)
            if (peer_send(&peers[i]) + peer_read(&peers[i], sizeof(sink)) > 0)
                quiet = 0;
    }
    must(quiet == 4);
}

/* A session that polls comes for what there is. */
static void fetch(const struct player *player)
{
    static struct peer peer;
    char text[512], query[128];
    size_t n;

    for (int rounds = 0; rounds < 400; rounds++) {
        if (player->session == NULL || player->session->polling == NULL ||
            player->session->polling->get != NULL || player->session->polling->out.bytes == 0)
            return;
        open_adopted(&peer, 0);
        put_query(query, ASK_GET, player);
        n = put_head(text, "GET", "/n/", query, FLAG_CLOSE, "");
        peer_put(&peer, text, n, n);
        for (int i = 0; i < 200 && player->session != NULL; i++) {
            peer_send(&peer);
            turn();
            if (!peer_read(&peer, sizeof(sink)) && i > 4)
                break;
        }
        peer_close(&peer);
        turn();
    }
    abort();
}

static void check_delivered(void)
{
    for (unsigned i = 0; i < nplayers; i++)
        for (unsigned n = 1; players[i].session != NULL && n <= players[i].sent; n++)
            must(players[i].got[n] == 1);
    for (unsigned n = 1; n <= nshared; n++) {
        unsigned owed = 0;
        for (unsigned i = 0; i < nplayers; i++)
            owed += players[i].session != NULL && shared[n].to & 1U << i;
        must(shared[n].got >= owed && shared[n].got <= __builtin_popcount(shared[n].to));
    }
}

static void on_drained(void *arg)
{
    (void)arg;
    drained = 1;
}

/* Nobody reads and nobody else takes anybody, or they do. */
static void wind_down(unsigned how)
{
    int reads = how & 64;

    if (how % 64 / 16 == 0)
        return;
    handoff_result = reads && hands_off ? 0 : -1;
    if (how % 64 / 16 == 1 || !hands_off)
        engine_drain(engine, 3000, on_drained, NULL);
    else
        engine_migrate(engine, 3000, on_drained, NULL);
    if (how % 64 / 16 == 3 && hands_off) {
        pass_ms(500);
        engine_migrate_now(engine);
        turn();
        return;
    }
    for (int i = 0; i < 400 && !drained; i++) {
        for (int k = 0; k < PEERS && reads; k++)
            peer_read(&peers[k], sizeof(sink));
        for (int k = 0; k < OTHERS; k++) {
            if (others[k].fd >= 0)
                close(others[k].fd);
            others[k].fd = -1;
        }
        pass_ms(50);
    }
    must(drained || !reads);
    must(!drained || engine_connections(engine) == 0);
}

/* Nothing of the engine is left: no descriptor, no event, nobody who was not told. */
static void finish(void)
{
    engine_free(&engine);
    close(listener); /* with whoever has not been accepted */
    must(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED) == 0);
    for (unsigned i = 0; i < nplayers; i++)
        must(players[i].session == NULL);
    for (int i = 0; i < OTHERS; i++)
        if (others[i].fd >= 0)
            close(others[i].fd);
    for (int i = 0; i < PEERS; i++) {
        ssize_t n = 1;
        if (peers[i].fd < 0)
            continue;
        while (n > 0)
            n = recv(peers[i].fd, sink, sizeof(sink), MSG_DONTWAIT);
        must(n == 0 || errno != EAGAIN);
        close(peers[i].fd);
    }
    fake_ns = 0;
}

static void listen_anew(void)
{
    struct sockaddr_un any = {.sun_family = AF_UNIX};

    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address_len = sizeof(address);
    if (listener < 0 || bind(listener, (struct sockaddr *)&any, sizeof(any.sun_family)) < 0 ||
        listen(listener, 64) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &address_len) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned first, second;

    if (size > MAX_BYTES)
        return 0;
    if (base == NULL) {
        log_set_level(LOG_LEVEL_ERROR);
        traces = getenv("FUZZ_TRACE") != NULL;
        fake_ns = EPOCH_NS;
        base = event_base_new();
        balance = balance_new(3);
    }
    at = data;
    end = data + size;
    first = u8();
    second = u8();
    listen_anew();
    begin(first, second);
    for (int ops = 0; at < end && ops < MAX_OPS; ops++)
        step();
    nomem_count = 0;
    for (int i = 0; i < 3; i++)
        pass_ms(20); /* what ends on the next turn has ended */
    settle();
    for (unsigned i = 0; i < nplayers; i++)
        fetch(&players[i]);
    settle();
    check_delivered();
    wind_down(second);
    finish();
    return 0;
}
