/* A connection that is carried: the client's end and the other worker's are both here, over a
 * veil that hides nothing. */
#include "http/http.h"
#include "ipc/handoff.h"
#include "log_file.h"
#include "net/pair.h"
#include "peer.h"

#include <fcntl.h>
#include <signal.h>

#define REQUEST "GET /n/?sid=other HTTP/1.1\r\nHost: h\r\n\r\n"
#define HERE    "GET /n/here HTTP/1.1\r\nHost: h\r\n\r\n"

static struct http *http;
static struct conn *conn;
static int their_fd = -1, handoff_result, nhanded, nlost;
static struct handoff_conn handed;
static char handed_bytes[4096];
static enum close_reason lost_why;

/* --- a veil like that of TLS, which hides nothing but an end --- */

static void on_veiled(struct conn *of, uint8_t *bytes, size_t len)
{
    int ends = bytes[len - 1] == '\4'; /* as with close_notify, in one read with what is before */

    conn_input(of, bytes, len - (size_t)ends);
    if (ends && of->state != CONN_DEAD)
        conn_input_ended(of);
}

static void on_unveiled(struct conn *of)
{
    (void)of;
}

static const struct veil_ops veil = {.input = on_veiled, .free = on_unveiled};

/* --- whoever asks for a page below /n/ is another worker's --- */

static void on_request(struct conn *of, const struct http_request *req, size_t head_len)
{
    (void)head_len;
    if (slice_eq(req->path, SLICE("/n/here")))
        answer(of, 200, NULL, SLICE("here"));
    else
        exchange_hand_over(of, 5);
}

static void on_body(struct conn *of, int status)
{
    (void)of;
    (void)status;
}

static void on_ready(struct conn *of)
{
    (void)of;
}

static void on_lost(struct conn *of, enum close_reason why)
{
    (void)of;
    nlost++;
    lost_why = why;
}

static void on_error(struct conn *of, enum http_fault fault)
{
    (void)fault;
    answer(of, 400, NULL, SLICE("astray"));
}

static const struct http_app app = {
    .request = on_request,
    .body = on_body,
    .ready = on_ready,
    .lost = on_lost,
    .error = on_error,
};

static int on_handoff(uint32_t process, int fd, const struct handoff_conn *known, const void *bytes,
                      size_t len, void *arg)
{
    (void)arg;
    (void)process;
    if (handoff_result != 0)
        return handoff_result;
    nhanded++;
    handed = *known;
    their_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    snprintf(handed_bytes, sizeof(handed_bytes), "%.*s", (int)len, (const char *)bytes);
    return 0;
}

/* --- up and down --- */

/* socketpair(2), out of descriptors on demand; it is linked with --wrap. */
static int no_pair;
int __real_socketpair(int domain, int type, int protocol, int pair[2]);
int __wrap_socketpair(int domain, int type, int protocol, int pair[2]);

int __wrap_socketpair(int domain, int type, int protocol, int pair[2])
{
    errno = EMFILE;
    return no_pair ? -1 : __real_socketpair(domain, type, protocol, pair);
}

static int open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 300; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static int fds_before;

static void up(int sndbuf)
{
    static const struct http_options options = {.path = "/n/",
                                                .limits = {1024, 10},
                                                .idle_timeout_ms = 30000,
                                                .name = "axr",
                                                .version = "1",
                                                .handoff = on_handoff};

    if (base == NULL)
        base = event_base_new();
    fds_before = open_fds();
    net_up(NULL, NULL);
    http = http_new(net, &options);
    http_serves(http, &app, NULL);
    conn = conn_up(sndbuf);
    conn->secure = 1;
    conn_veil(conn, &veil, NULL, 5000);
    conn_opened(conn);
    handoff_result = nhanded = nlost = 0;
}

static void their_close(void)
{
    if (their_fd >= 0)
        close(their_fd);
    their_fd = -1;
}

static void down(void)
{
    peer_close();
    their_close();
    net_kill_all(net, CLOSE_SHUTDOWN);
    http_free(&http);
    net_free(&net);
    is_int(open_fds(), fds_before, "no descriptor is left");
}

/* A connection that is carried. */
static void carried_up(int sndbuf)
{
    up(sndbuf);
    say(REQUEST, strlen(REQUEST));
    if (their_fd < 0)
        abort();
}

/* --- the other worker's end --- */

static char came_text[1 << 20];
static size_t ncame;

/* What has come there; NULL: nothing but the end. */
static const char *came(void)
{
    ssize_t n;

    ncame = 0;
    for (int quiet = 0; quiet < 3; quiet++) {
        turns(2);
        while ((n = recv(their_fd, came_text + ncame, sizeof(came_text) - 1 - ncame,
                         MSG_DONTWAIT)) > 0) {
            ncame += (size_t)n;
            quiet = 0;
        }
        if (n == 0 && ncame == 0)
            return NULL;
    }
    came_text[ncame] = '\0';
    return came_text;
}

static void they_say(const char *text)
{
    if (send(their_fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)strlen(text))
        perror("# their send");
    turns(2);
}

/* As much of letter as is taken, at most so many. */
static size_t fill(int fd, char letter, size_t max)
{
    size_t sent = 0;

    for (int quiet = 0; quiet < 3 && sent < max; quiet++) {
        size_t part = max - sent < 10000 ? max - sent : 10000;
        ssize_t n = send(fd, letters(letter, part), part, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            sent += (size_t)n;
            quiet = -1;
        }
        turns(2);
    }
    return sent;
}

/* --- tests --- */

static void test_handed(void)
{
    const struct address somewhere = {.ip = {[10] = 0xff, 0xff, 192, 0, 2, 7}, .port = 99};

    up(0);
    conn_set_peer(conn, &somewhere);
    say(REQUEST "more", strlen(REQUEST "more"));
    is_int(nhanded, 1, "another worker's request");
    is_str(handed_bytes, REQUEST "more", "goes there with all that was read");
    ok(handed.carried && handed.secure && handed.known, "as one that is carried");
    ok(!handed.last, "and may bring more");
    is_mem(&handed.peer, sizeof(somewhere), &somewhere, sizeof(somewhere), "from where it is");
    is_int((long)net->nconns, 1, "the connection stays");
    is_int((long)net->ncarried, 1, "with a descriptor more");
    is_int((long)http->stats.carried, 1, "counted");
    is_int((long)http->stats.handoffs_sent, 1, "as a handoff, too");
    they_say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    is_str(hear(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "the answer");
    say(HERE, strlen(HERE));
    is_str(came(), HERE, "what comes next goes there, whatever it is");
    is_int((long)http->stats.carried_bytes[HTTP_CARRIED_IN], (long)strlen(HERE), "counted in");
    is_int((long)http->stats.carried_bytes[HTTP_CARRIED_OUT], 40, "... and out");
    down();
    is_int(nlost, 1, "the application hears of the end");
}

/* Both agree on what it is. */
static void test_places(void)
{
    uint64_t *places;

    carried_up(0);
    places = &net->stats.strangers[STRANGER_SOCKET];
    is_int((long)*places, 2, "a stranger's takes two places");
    is_int((long)net->sources.strangers[STRANGER_SOCKET], 1, "and may go for others");
    pair_say(their_fd, PAIR_USER);
    turns(2);
    is_int((long)*places, 0, "a user's takes none");
    is_int((long)net->sources.strangers[STRANGER_SOCKET], 0, "and does not go");
    is_str(hear(), "", "the client hears nothing of that");
    pair_say(their_fd, 0);
    turns(2);
    is_int((long)*places, 2, "another's request");
    they_say("a");
    pair_say(their_fd, PAIR_USER | PAIR_STREAMS);
    they_say("b");
    is_str(hear(), "ab", "among bytes");
    ok(conn->streams && *places == 0, "it is a user's WebSocket");
    pair_say(their_fd, PAIR_STREAMS);
    turns(2);
    is_int((long)*places, 2, "it is a stranger's");
    net->options.strangers_max = 1;
    say("x", 1);
    net_evict(net);
    is_int((long)net->nconns, 0, "one too many for strangers: it goes");
    is_int((long)net->ncarried, 0, "with its descriptor");
    is_str(came(), "x", "the other worker has what came");
    ok(came() == NULL, "and sees the end");
    net->options.strangers_max = 0;
    down();
}

/* Connections and what they carry are what limits:connections is about. */
static void test_limit(void)
{
    carried_up(0);
    pair_say(their_fd, PAIR_USER);
    turns(2);
    net->options.connections_max = 3;
    is_int(net_conns_full(net), 0, "room for one");
    net->options.connections_max = 2;
    is_int(net_conns_full(net), 1, "none");
    their_close();
    turns(3);
    net->options.connections_max = 100;
    down();
}

static void test_client_slow(void)
{
    size_t sent, all = 0;

    carried_up(4608);
    sent = fill(their_fd, 'a', 1 << 19);
    ok(sent < 200000, "a client that does not read: %zu bytes are taken", sent);
    ok(conn->out.bytes >= 16384 && conn->out.bytes < 32768, "here %u wait", conn->out.bytes);
    ok(conn->blocked && !conn_may_stall(conn), "for as long as the other worker bears it");
    is_int(fcntl(their_fd, F_GETFD), FD_CLOEXEC, "it is open");
    for (ssize_t n; all < sent && (n = hear_some(5000)) >= 0; all += (size_t)n) {
        nheard = 0;
        turns(1);
    }
    is_int((long)all, (long)sent, "all of it comes when it reads");
    is_int(net->nconns, 1, "and it goes on");
    is_int((long)net->stats.queued_bytes, 0, "nothing waits");
    down();
}

/* The other worker has lost its patience, and what it had sent waits here. */
static void test_client_stalls(void)
{
    carried_up(4608);
    net->options.send_timeout_ms = 20;
    fill(their_fd, 'a', 1 << 19);
    for (uint64_t end = clock_ms() + 60; clock_ms() < end;)
        turns(1);
    is_int((long)net->nconns, 1, "it is not ours to end it");
    their_close();
    for (uint64_t end = clock_ms() + PEER_WAIT_MS; net->nconns > 0 && clock_ms() < end;)
        turns(1);
    is_int((long)net->nconns, 0, "it has ended it, and so do we");
    is_int(lost_why, CLOSE_SEND_TIMEOUT, "for that");
    down();
    peer_options.send_timeout_ms = 60000;
}

static void test_other_slow(void)
{
    size_t sent, all = 0;

    carried_up(0);
    sent = fill(peer_fd, 'b', 1 << 20);
    ok(sent < 700000, "a worker that does not read: %zu bytes are taken", sent);
    is_int(conn->deaf, 1, "the client is not read from");
    they_say("c");
    is_str(hear(), "c", "it hears what there is for it");
    is_int(conn->deaf, 1, "and is still not read from");
    for (int i = 0; i < 20; i++) {
        they_say("c");
        hear();
        sent += fill(peer_fd, 'b', 100000);
    }
    ok(sent < 700000, "however often: %zu bytes are taken", sent);
    while (all < sent && came() != NULL && ncame > 0)
        all += ncame;
    is_int((long)all, (long)sent, "all of it comes");
    is_int(conn->deaf, 0, "it is read from");
    say("d", 1);
    is_str(came(), "d", "and it goes on");
    down();
}

static void test_client_ends(void)
{
    carried_up(0);
    fill(peer_fd, 'b', 100000);
    say("last", 4);
    shutdown(peer_fd, SHUT_WR);
    for (int at_end = 0; !at_end;) {
        const char *text = came();
        at_end = text == NULL || ncame == 0;
        if (!at_end && ncame >= 4)
            is_str(text + ncame - 4, "last", "all that the client had sent");
    }
    ok(came() == NULL, "then its end");
    ok(poll(&(struct pollfd){.fd = their_fd, .events = POLLRDHUP}, 1, 0) > 0,
       "which can be seen without reading");
    is_int((long)net->nconns, 1, "which is not the connection's");
    they_say("answer");
    is_str(hear(), "answer", "an answer still comes");
    they_say("another");
    is_str(hear(), "another", "or two");
    their_close();
    ok(is_closed(), "the other worker ends it");
    down();
    is_int(nlost, 1, "the application has heard of it");
}

static void test_ends_behind(void)
{
    static char bytes[32768]; /* as much as one read brings here */

    carried_up(0);
    memset(bytes, 'b', sizeof(bytes));
    bytes[sizeof(bytes) - 1] = '\4';
    say(bytes, sizeof(bytes));
    came();
    is_int((long)ncame, (long)sizeof(bytes) - 1, "what comes with the end, more than a pair takes");
    ok(came() == NULL, "comes before it");
    down();
}

static void test_other_ends(void)
{
    static char byte;

    carried_up(4608);
    fill(their_fd, 'a', 50000);
    they_say("last");
    shutdown(their_fd, SHUT_WR);
    turns(2);
    say("still", 5);
    hear();
    is_str(heard + nheard - 4, "last", "all that the other worker had sent");
    ok(is_closed(), "then the end");
    is_int(net->conns->state, CONN_LINGER, "the client has a moment to close");
    is_int((long)net->ncarried, 0, "the other end is closed already");
    ok(recv(their_fd, &byte, 1, MSG_DONTWAIT) >= 0 || errno == ECONNRESET, "as it sees");
    peer_close();
    turns(3);
    is_int((long)net->nconns, 0, "it is over");
    down();
}

/* Without looking at what came for it. */
static void test_other_dies(void)
{
    carried_up(0);
    say("unheard", 7);
    they_say("last word");
    their_close();
    is_str(hear(), "last word", "what a worker said before it died");
    ok(is_closed(), "then the end");
    down();
    carried_up(0);
    fill(peer_fd, 'b', 1 << 20);
    is_int(conn->deaf, 1, "one that died while much was on its way to it");
    their_close();
    ok(is_closed() || (hear(), is_closed()), "the client sees it");
    down();
}

static void test_client_dies(void)
{
    carried_up(4608);
    fill(their_fd, 'a', 50000);
    fill(peer_fd, 'b', 100000);
    peer_close();
    while (came() != NULL && ncame > 0)
        ;
    ok(came() == NULL, "a client that has gone, with much on its way both ways");
    is_int((long)net->nconns, 0, "it is over");
    down();
    is_int(nlost, 1, "the application has heard of it");
}

static void test_refused(void)
{
    up(0);
    handoff_result = -1;
    say(REQUEST, strlen(REQUEST));
    ok(strncmp(hear(), "HTTP/1.1 400 ", 13) == 0, "there is no such worker");
    down();
    up(0);
    handoff_result = 1;
    say(REQUEST, strlen(REQUEST));
    is_int((long)net->nconns, 1, "no room: it waits");
    handoff_result = 0;
    for (uint64_t end = clock_ms() + PEER_WAIT_MS; nhanded == 0 && clock_ms() < end;)
        turns(1);
    is_int(nhanded, 1, "and is tried again");
    they_say("answer");
    is_str(hear(), "answer", "and carried");
    down();
}

/* Without a descriptor for a pair. */
static void test_no_pair(void)
{
    up(0);
    no_pair = 1;
    say(REQUEST, strlen(REQUEST));
    no_pair = 0;
    ok(strncmp(hear(), "HTTP/1.1 503 ", 13) == 0, "no pair: the client is refused");
    ok(is_closed(), "and goes");
    is_int((long)http->stats.carry_failures, 1, "counted");
    is_int((long)http->stats.handoffs_failed, 1, "as a handoff, too");
    is_int(logged("no socket pair for a connection over TLS"), 1, "and told");
    down();
}

static void test_leave(void)
{
    up(0);
    http_pass_on(http, 0);
    is_int(conn->state, CONN_OPEN, "one that has asked for nothing yet has time");
    say(HERE, strlen(HERE));
    hear();
    say("GET /n/here", 11);
    http_pass_on(http, 0);
    is_int(conn->state, CONN_OPEN, "so has one that is about to ask");
    say(&HERE[11], strlen(HERE) - 11);
    hear();
    http_pass_on(http, 0);
    ok(is_closed() && nhanded == 0, "one between requests ends");
    down();
    up(0);
    http_pass_on(http, 1);
    ok(is_closed(), "at last all end");
    down();
    carried_up(0);
    http_pass_on(http, 0);
    is_int(conn->state, CONN_OPEN, "one that waits for its answer stays");
    they_say("answer");
    hear();
    say("ask", 3);
    http_pass_on(http, 0);
    is_int(conn->state, CONN_OPEN, "as does one that asks again");
    they_say("answer");
    hear();
    http_pass_on(http, 0);
    ok(is_closed(), "it has been answered, and ends");
    came();
    ok(came() == NULL, "as the other worker sees");
    down();
    carried_up(0);
    pair_say(their_fd, PAIR_STREAMS);
    they_say("answer");
    hear();
    http_pass_on(http, 0);
    is_int(conn->state, CONN_OPEN, "a WebSocket ends with its session");
    they_say("word");
    http_pass_on(http, 1);
    is_str(hear(), "word", "or at last, after what was on its way");
    ok(is_closed(), "it ends");
    down();
}

static void test_draining(void)
{
    up(0);
    say(HERE, strlen(HERE));
    ok(strstr(hear(), "Connection: close\r\n") == NULL, "a connection over TLS is kept");
    net->draining = 1;
    say(HERE, strlen(HERE));
    ok(strstr(hear(), "Connection: close\r\n") == NULL, "also where nobody takes its place");
    http->migrates = 1;
    say(HERE, strlen(HERE));
    ok(strstr(hear(), "Connection: close\r\n") != NULL, "who leaves keeps no connection over TLS");
    ok(is_closed(), "but ends it");
    down();
}

/* --- the other worker --- */

static int told(int fd)
{
    uint8_t bytes[65536];
    size_t len;
    int says = -1;

    for (int quiet = 0; quiet < 3 && says < 0; quiet++) {
        turns(2);
        while (says < 0 && pair_receive(fd, bytes, sizeof(bytes), &len, &says) == 1)
            quiet = -1;
    }
    return says;
}

/* Who carries it leaves, and so says at the handoff. */
static void test_last(void)
{
    up(0);
    http->migrates = 1;
    say(REQUEST, strlen(REQUEST));
    ok(handed.last, "carried by who is about to go");
    http->migrates = 0;
    is_int(http_adopt(http, dup(their_fd), &handed, HERE, strlen(HERE), 0), 0, "taken by another");
    ok(strstr(hear(), "Connection: close\r\n") != NULL, "it ends with its answer");
    their_close();
    ok(is_closed(), "for the client, too");
    down();
}

static void test_told(void)
{
    const struct handoff_conn known = {.secure = 1, .carried = 1};
    struct conn *theirs;
    int fds[2];

    up(0);
    if (pair_make(fds) < 0)
        abort();
    is_int(http_adopt(http, fds[1], &known, HERE, strlen(HERE), 0), 0, "one that is carried");
    theirs = net->conns;
    ok(theirs->carried && theirs->secure, "is taken as that");
    is_int(told(fds[0]), -1, "who carries it is not told of a stranger");
    theirs->stranger = 0;
    stranger_conn(theirs);
    is_int(told(fds[0]), PAIR_USER, "but of a user");
    stranger_conn(theirs);
    is_int(told(fds[0]), -1, "once");
    theirs->stranger = 1;
    stranger_conn(theirs);
    is_int(told(fds[0]), 0, "and of a stranger after one");
    theirs->stranger = 0;
    stranger_conn(theirs);
    is_int(told(fds[0]), PAIR_USER, "and of another user");
    theirs->streams = 1;
    stranger_conn(theirs);
    is_int(told(fds[0]), PAIR_USER | PAIR_STREAMS, "a WebSocket");
    conn_put(theirs, letters('a', 90000), 90000);
    turns(2);
    is_int(theirs->blocked, 1, "who carries it does not read");
    theirs->stranger = 1;
    stranger_conn(theirs);
    is_int(told(fds[0]), 0, "it hears of that when it does");
    for (int i = 0; i < 20; i++) {
        theirs->stranger = !theirs->stranger;
        stranger_conn(theirs);
    }
    is_int(theirs->tells, 8, "not for ever");
    close(fds[0]);
    turns(2);
    is_int((long)net->nconns, 1, "its end is that of the client");
    down();
}

/* One that comes back to the worker that carries it, and goes on from there. */
static void test_self(void)
{
    up(0);
    say(REQUEST, strlen(REQUEST));
    say(HERE, strlen(HERE));
    is_int(http_adopt(http, dup(their_fd), &handed, NULL, 0, 0), 0, "handed back");
    their_close();
    ok(strstr(hear(), "\r\n\r\nhere") != NULL, "it is served over both ends of the pair");
    is_int((long)(net->nconns + net->ncarried), 3, "with three descriptors");
    say(REQUEST, strlen(REQUEST));
    is_int(nhanded, 2, "another worker's request");
    ok(handed.carried && handed.secure && handed.known, "goes on as it came");
    is_int((long)(net->nconns + net->ncarried), 2, "and takes its end of the pair along");
    they_say("answer");
    is_str(hear(), "answer", "its answer comes");
    down();
}

/* --- everything in any order --- */

struct stream {
    size_t sent, got;
};

static uint8_t letter_at(size_t at)
{
    return (uint8_t)(at % 251);
}

static void send_some(int fd, struct stream *stream)
{
    uint8_t bytes[9000];
    size_t len = 1 + (size_t)rand() % (rand() % 4 == 0 ? sizeof(bytes) : 50);
    ssize_t n;

    for (size_t i = 0; i < len; i++)
        bytes[i] = letter_at(stream->sent + i);
    n = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        stream->sent += (size_t)n;
}

/* Returns 1 if what came is what was sent. */
static int get_some(int fd, struct stream *stream)
{
    uint8_t bytes[20000];
    ssize_t n = recv(fd, bytes, 1 + (size_t)rand() % sizeof(bytes), MSG_DONTWAIT);

    for (ssize_t i = 0; i < n; i++)
        if (bytes[i] != letter_at(stream->got++))
            return 0;
    return stream->got <= stream->sent;
}

static int bounded(void)
{
    return net->conns == NULL || net->conns->out.bytes < 32768;
}

/* One life; returns what went wrong, NULL: nothing. */
static const char *live(int steps)
{
    struct stream in = {0, 0}, out = {0, 0};

    for (int i = 0; i < steps; i++) {
        switch (rand() % 8) {
        case 0:
        case 1:
            send_some(peer_fd, &in);
            break;
        case 2:
        case 3:
            send_some(their_fd, &out);
            break;
        case 4:
            if (!get_some(their_fd, &in))
                return "what comes to the worker";
            break;
        case 5:
            if (!get_some(peer_fd, &out))
                return "what comes to the client";
            break;
        case 6:
            pair_say(their_fd, (unsigned)rand() % 4);
            break;
        default:
            turns(1);
        }
        if (!bounded())
            return "too much waits";
    }
    switch (rand() % 3) { /* half closed first, by either */
    case 0:
        shutdown(peer_fd, SHUT_WR);
        break;
    case 1:
        shutdown(their_fd, SHUT_WR);
        break;
    }
    for (int i = 0; i < rand() % 30; i++) {
        turns(rand() % 2);
        if (!get_some(their_fd, &in) || !get_some(peer_fd, &out))
            return "what comes at the end";
        if (rand() % 3 == 0)
            http_pass_on(http, rand() % 2);
    }
    return NULL;
}

static void test_any_order(void)
{
    const char *wrong = NULL;

    for (int i = 0; i < 150 && wrong == NULL; i++) {
        int before = open_fds();

        srand((unsigned)i);
        if (peer_fd >= 0)
            abort();
        conn = conn_up(rand() % 2 ? 4608 : 0);
        conn_veil(conn, &veil, NULL, 5000);
        conn_opened(conn);
        say(REQUEST, strlen(REQUEST));
        wrong = live(rand() % 300);
        if (rand() % 2)
            peer_close();
        turns(rand() % 3);
        their_close();
        turns(rand() % 3);
        if (rand() % 2 && net->conns != NULL)
            conn_kill(net->conns, CLOSE_EVICTED, rand() % 2);
        peer_close();
        for (uint64_t end = clock_ms() + PEER_WAIT_MS; net->nconns > 0 && clock_ms() < end;)
            turns(1);
        if (wrong == NULL && (net->nconns > 0 || net->ncarried > 0 || open_fds() != before))
            wrong = "something is left";
        if (wrong == NULL && net->stats.strangers[STRANGER_SOCKET] != 0)
            wrong = "somebody's place is";
        if (wrong == NULL && net->stats.queued_bytes != 0)
            wrong = "bytes are";
        if (wrong != NULL)
            printf("# life %d: %s\n", i, wrong);
    }
    ok(wrong == NULL, "lives in any order");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_begin_at(LOG_LEVEL_WARN);
    test_handed();
    test_places();
    test_limit();
    test_client_slow();
    test_client_stalls();
    test_other_slow();
    test_client_ends();
    test_ends_behind();
    test_other_ends();
    test_other_dies();
    test_client_dies();
    test_refused();
    test_no_pair();
    test_leave();
    test_draining();
    test_last();
    test_told();
    test_self();
    up(0);
    peer_close();
    turns(3);
    test_any_order();
    down();
    event_base_free(base);
    log_end();
    return tap_done();
}
