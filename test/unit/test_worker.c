/* The worker as a process: this test plays its master at the other ends of the
 * pipes, and its clients over TCP. */
#include "base/clock.h"
#include "conf.h"
#include "ipc/change.h"
#include "ipc/counters.h"
#include "ipc/handoff.h"
#include "ipc/msg.h"
#include "ipc/start.h"
#include "ipc/worst.h"
#include "jwt_make.h"
#include "loopback.h"
#include "master/history.h"
#include "net/close.h"
#include "tap.h"
#include "worker/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 10000 /* for what must come */
#define HUSH_MS 50    /* for what must not */

static char *no_origins[] = {NULL};
static struct conf conf = {
    .path = (char[]){"/notifications/"},
    .nsp = (char[]){"/axr"},
    .ping_interval_ms = 600000, /* under valgrind a test takes longer than a minute */
    .ping_timeout_ms = 60000,
    .connect_timeout_ms = 60000,
    .max_http_buffer = 100000,
    .websocket = 1,
    .allow_eio3 = 1,
    .token = {.algs = TOKEN_HS, .token_bytes = 4096}, /* its keys are set in main() */
    .cors_origins = no_origins,
    .connections_max = 100,
    .rooms_per_client = 5,
    .head_bytes = 16384,
    .head_headers = 100,
    .message_bytes = 100000,
    .attachments = 10,
    .send_buffer = 1 << 20,
    .send_timeout_ms = 10000,
};

/* --- the master --- */

static char log_file[] = "/tmp/test_worker.XXXXXX";
static pid_t worker;
static int listen_fd, listen_port, down, up;
static int history_file = -1; /* that the next worker gets */
static struct buf up_buf;

static void fork_worker(void)
{
    int to[2], from[2];

    listen_fd = loopback_listen(SOCK_NONBLOCK | SOCK_CLOEXEC, &listen_port);
    if (pipe(to) < 0 || pipe(from) < 0 || (worker = fork()) < 0)
        abort();
    if (worker == 0) {
        struct worker_start start = {.lane = 0,
                                     .generation = 1,
                                     .down_fd = to[0],
                                     .up_fd = from[1],
                                     .listen_fds = &listen_fd,
                                     .listen_speaks = &(const uint8_t){0},
                                     .nlisten = 1,
                                     .history_fd = history_file};
        close(to[1]);
        close(from[0]);
        buf_free(&up_buf);
        log_set_level(LOG_LEVEL_DEBUG);
        log_open(LOG_TO_FILE, log_file, LOG_TEXT);
        exit(worker_run(&conf, &start));
    }
    close(to[0]);
    close(from[1]);
    close(listen_fd);
    down = to[1];
    up = from[0];
    buf_reset(&up_buf);
}

/* Puts the fields of a message, as msg.h names them: 1, 4, 8: integers; b: bytes
 * (a string); l: a list (a string of names separated by commas). */
static void put_fields(struct buf *out, const char *fields, va_list args)
{
    struct slices list = {0};

    for (; *fields != '\0'; fields++) {
        if (*fields == '1') {
            msg_put_u8(out, (uint8_t)va_arg(args, unsigned));
        } else if (*fields == '4') {
            msg_put_u32(out, va_arg(args, uint32_t));
        } else if (*fields == '8') {
            msg_put_u64(out, va_arg(args, uint64_t));
        } else {
            const char *text = va_arg(args, const char *);
            if (*fields == 'b') {
                msg_put_bytes(out, text, strlen(text));
                continue;
            }
            list.n = 0;
            while (*text != '\0') {
                size_t n = strcspn(text, ",");
                slices_put(&list, (struct slice){text, n});
                text += n + (text[n] == ',');
            }
            msg_put_list(out, &list);
        }
    }
    free(list.at);
}

static void send_down(unsigned type, const char *fields, ...)
{
    struct buf out = {0};
    size_t mark = msg_begin(&out, (enum msg_type)type);
    ssize_t n = 0;
    va_list args;

    va_start(args, fields);
    put_fields(&out, fields, args);
    va_end(args);
    if (msg_end(&out, mark) < 0)
        abort();
    /* One that is stopped amid it has written a part. */
    for (size_t done = 0; done < out.len && n >= 0; done += n > 0 ? (size_t)n : 0)
        n = write(down, out.data + done, out.len - done);
    if (n < 0)
        perror("# write to the worker");
    buf_free(&out);
}

static void broadcast(uint32_t flags, const char *rooms, const char *except, const char *json)
{
    static uint64_t seq;

    send_down(MSG_BROADCAST, "88884llbl", (uint64_t)1, ++seq, clock_us(), (uint64_t)0, flags, rooms,
              except, json, "");
}

struct heard { /* from the worker */
    unsigned type;
    uint64_t client;
    char uid[256]; /* or what was acknowledged: the JSON, and the attachments */
};

static struct { /* what the last MSG_ADMIT or MSG_LEFT had of a session */
    size_t session_len, pid_len;
    uint8_t has_offset, ended;
    uint64_t offset;
} heard_session;

static int readable(int fd, int within_ms)
{
    struct pollfd poll_fd = {fd, POLLIN, 0};

    return poll(&poll_fd, 1, within_ms) > 0;
}

static struct counters counted; /* the last the worker has told */
static struct worst worst[WORST_MAX];
static size_t nworst; /* likewise */

/* A list, each name behind that sign. */
static void hear_names(struct msg *msg, const char *sign, struct heard *heard)
{
    struct slices names = {0};
    size_t n = strlen(heard->uid);

    msg_get_list(msg, &names);
    for (size_t i = 0; i < names.n; i++)
        n += (size_t)snprintf(heard->uid + n, sizeof(heard->uid) - n, "%s%.*s", sign,
                              (int)names.at[i].len, names.at[i].ptr);
    slices_clear(&names);
}

/* What was acknowledged: the JSON, and the attachments. */
static void hear_ack(struct msg *msg, struct heard *heard)
{
    struct slice json;

    heard->client = msg_get_u32(msg);
    json = msg_get_bytes(msg);
    snprintf(heard->uid, sizeof(heard->uid), "%.*s", (int)json.len, json.ptr);
    hear_names(msg, " ", heard);
}

static uint32_t n_fetched; /* records of MSG_FETCHED */
static char fetched[4096]; /* their fields, one behind the other */

static void hear_fields(struct slice records)
{
    struct msg msg = {.at = (const uint8_t *)records.ptr,
                      .end = (const uint8_t *)records.ptr + records.len};
    size_t n = 0;

    while (msg.at < msg.end && !msg.bad) {
        struct slice field = msg_get_bytes(&msg);
        n += (size_t)snprintf(fetched + n, sizeof(fetched) - n, "%.*s", (int)field.len, field.ptr);
    }
}

/* One message, whatever it is. */
static struct heard hear_any(int within_ms)
{
    struct heard heard = {0};
    struct slice uid;
    struct msg msg;
    uint32_t id;
    long used;

    while ((used = msg_decode(&msg, up_buf.data, up_buf.len, 65536)) == 0) {
        ssize_t n = -1;
        if (readable(up, within_ms) && buf_reserve(&up_buf, 4096) != NULL)
            n = read(up, up_buf.data + up_buf.len, 4096);
        if (n <= 0)
            return heard;
        up_buf.len += (size_t)n;
    }
    if (used < 0)
        return heard;
    heard.type = msg.type;
    if (msg.type == MSG_WORKER_HELLO) {
        is_int(msg_get_u32(&msg), MSG_VERSION, "the worker says its version");
    } else if (msg.type == MSG_ADMIT || msg.type == MSG_LEFT) {
        heard.client = msg_get_u64(&msg);
        uid = msg_get_bytes(&msg);
        snprintf(heard.uid, sizeof(heard.uid), "%.*s", (int)uid.len, uid.ptr);
        if (msg.type == MSG_ADMIT) {
            is_int(msg_get_u32(&msg), 0, "no rooms");
            heard_session.session_len = msg_get_bytes(&msg).len;
            heard_session.pid_len = msg_get_bytes(&msg).len;
            heard_session.has_offset = msg_get_u8(&msg);
            heard_session.offset = msg_get_u64(&msg);
            (void)msg_get_u64(&msg); /* opened_ms */
        } else {
            heard_session.ended = msg_get_u8(&msg);
        }
    } else if (msg.type == MSG_ROOMS) {
        is_int(msg_get_u32(&msg), 0, "unasked for an answer");
        heard.client = msg_get_u64(&msg);
        is_int(msg_get_u8(&msg), 0, "by request");
        hear_names(&msg, "+", &heard);
        hear_names(&msg, "-", &heard);
    } else if (msg.type == MSG_FETCHED) {
        heard.client = msg_get_u32(&msg);
        is_int(msg_get_u8(&msg), 1, "all at once");
        n_fetched = msg_get_u32(&msg);
        fetched[0] = '\0';
        hear_fields(msg_get_bytes(&msg));
    } else if (msg.type == MSG_ACTED) {
        id = msg_get_u32(&msg);
        snprintf(heard.uid, sizeof(heard.uid), "%u:%u", id, msg_get_u32(&msg));
    } else if (msg.type == MSG_REACHED) {
        id = msg_get_u32(&msg);
        heard.client = id;
        snprintf(heard.uid, sizeof(heard.uid), "%u", msg_get_u32(&msg));
    } else if (msg.type == MSG_ACK) {
        hear_ack(&msg, &heard);
    } else if (msg.type == MSG_COUNTERS) {
        is_int(counters_get(&msg, &id, &counted), 0, "counters");
        heard.client = id;
    } else if (msg.type == MSG_SOURCES) {
        is_int(worst_get(&msg, &id, worst, &nworst), 0, "addresses");
    }
    if (msg_close(&msg) < 0)
        heard.type = 0;
    buf_consume(&up_buf, (size_t)used);
    return heard;
}

/* The next message from the worker but unasked counters; type 0 if none comes, or EOF. */
static struct heard hear(int within_ms)
{
    struct heard heard;

    do
        heard = hear_any(within_ms);
    while ((heard.type == MSG_COUNTERS && heard.client == 0) || heard.type == MSG_SOURCES);
    return heard;
}

/* The next message is of that type and about uid; returns its client. */
static uint64_t expect(enum msg_type type, const char *uid)
{
    struct heard heard = hear(WAIT_MS);

    ok(heard.type == type && strcmp(heard.uid, uid) == 0, "the worker says %s %s", msg_name(type),
       uid);
    if (heard.type == 0) { /* nothing that follows could pass */
        printf("Bail out! the worker is silent or gone\n");
        kill(worker, SIGKILL);
        exit(1);
    }
    if (heard.type != type || strcmp(heard.uid, uid) != 0)
        printf("#   got %s %s\n", msg_name(heard.type), heard.uid);
    return heard.client;
}

/* The next two are about these, in any order. */
static void expect_both(enum msg_type type, const char *one, const char *other)
{
    struct heard first = hear(WAIT_MS), second = hear(WAIT_MS);
    int swapped = strcmp(first.uid, other) == 0;

    ok(first.type == type && second.type == type && strcmp(first.uid, swapped ? other : one) == 0 &&
           strcmp(second.uid, swapped ? one : other) == 0,
       "the worker says %s %s and %s", msg_name(type), one, other);
}

static void expect_nothing(void)
{
    struct heard heard = hear(HUSH_MS);

    is_str(heard.type == 0 ? "nothing" : msg_name(heard.type), "nothing", "the worker is silent");
}

static void verdict(uint64_t client, enum msg_verdict verdict)
{
    send_down(MSG_ADMITTED, "8188b818b1l", client, (unsigned)verdict, (uint64_t)1, (uint64_t)0, "",
              (uint64_t)0, 0U, (uint64_t)0, "", 0U, "");
}

static void start_worker(void)
{
    fork_worker();
    expect(MSG_WORKER_HELLO, "");
    send_down(MSG_HELLO, "4448", (uint32_t)MSG_VERSION, (uint32_t)0, (uint32_t)1, (uint64_t)1);
    expect(MSG_READY, "");
}

/* The worker ends by itself within that time; returns its exit status. */
static int ended(uint64_t within_ms)
{
    uint64_t end = clock_ms() + within_ms;
    int status = -1;
    pid_t pid;

    while ((pid = waitpid(worker, &status, WNOHANG)) == 0 && clock_ms() < end)
        poll(NULL, 0, 5);
    if (pid == 0) {
        kill(worker, SIGKILL);
        waitpid(worker, &status, 0);
        return -1;
    }
    if (up >= 0)
        close(up);
    if (down >= 0)
        close(down);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* --- a client --- */

struct peer {
    int fd;
    struct buf in;
};

static void peer_put(struct peer *peer, uint8_t opcode, const char *text)
{
    uint8_t frame[8 + 8192] = {0x80 | opcode}; /* masked with zeros */
    size_t len = strlen(text), head = 2;

    if (len < 126) {
        frame[1] = (uint8_t)(0x80 | len);
    } else {
        frame[1] = 0x80 | 126;
        frame[2] = (uint8_t)(len >> 8);
        frame[3] = (uint8_t)len;
        head = 4;
    }
    head += 4;
    memcpy(frame + head, text, len);
    if (write(peer->fd, frame, head + len) != (ssize_t)(head + len))
        perror("# write to the worker's socket");
}

static void peer_send(struct peer *peer, const char *text)
{
    peer_put(peer, 1, text);
}

/* More input.  Returns 0 at the end or when none comes. */
static int peer_read(struct peer *peer)
{
    ssize_t n;

    if (!readable(peer->fd, WAIT_MS) || buf_reserve(&peer->in, 65536) == NULL)
        return 0;
    n = read(peer->fd, peer->in.data + peer->in.len, 65536);
    if (n <= 0)
        return 0;
    peer->in.len += (size_t)n;
    return 1;
}

/* The next message; "<close CODE>" for a close frame, "<end>" for EOF. */
static const char *next(struct peer *peer)
{
    static char text[65536];
    const uint8_t *at;
    size_t head = 2, len;

    for (;;) {
        at = peer->in.data;
        if (peer->in.len >= 4) {
            len = at[1];
            if (len == 126) {
                len = (size_t)at[2] << 8 | at[3];
                head = 4;
            }
            if (peer->in.len >= head + len)
                break;
        } else if (peer->in.len >= 2 && (size_t)at[1] + 2 <= peer->in.len) {
            len = at[1];
            break;
        }
        if (!peer_read(peer))
            return "<end>";
    }
    if ((at[0] & 15) == 8)
        snprintf(text, sizeof(text), "<close %d>", len >= 2 ? at[2] << 8 | at[3] : 0);
    else
        snprintf(text, sizeof(text), "%.*s", (int)len, (const char *)at + head);
    buf_consume(&peer->in, head + len);
    return text;
}

/* The next message begins like that. */
static void next_is(struct peer *peer, const char *want)
{
    const char *got = next(peer);

    if (!ok(strncmp(got, want, strlen(want)) == 0, "the client gets %s", want))
        printf("#   got %s\n", got);
}

static struct peer dial(int version, const char *query)
{
    struct peer peer = {loopback_dial(listen_port), {0}};
    char request[2048];
    uint8_t *end;
    int n = snprintf(request, sizeof(request),
                     "GET /notifications/?EIO=%d&transport=websocket%s HTTP/1.1\r\n"
                     "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                     version, query);

    if (write(peer.fd, request, (size_t)n) != n)
        perror("# write");
    while (peer.in.len == 0 || (end = memmem(peer.in.data, peer.in.len, "\r\n\r\n", 4)) == NULL)
        if (!peer_read(&peer))
            break;
    if (ok(peer.in.len > 12 && memcmp(peer.in.data, "HTTP/1.1 101", 12) == 0, "upgraded"))
        buf_consume(&peer.in, (size_t)(end + 4 - peer.in.data));
    next_is(&peer, "0{");
    if (version == 3)
        next_is(&peer, "40");
    return peer;
}

static void hang_up(struct peer *peer)
{
    close(peer->fd);
    buf_free(&peer->in);
}

static const char *packet(const char *before, const char *token, const char *after)
{
    static char text[4096];

    snprintf(text, sizeof(text), "%s%s%s", before, token, after);
    return text;
}

static void ask(struct peer *peer, const char *uid)
{
    peer_send(peer, packet("40/axr,{\"token\":\"", jwt_make(uid, 0), "\"}"));
}

/* All that the peer has sent so far has been dealt with. */
static void settle(struct peer *peer)
{
    peer_send(peer, "40/elsewhere,");
    next_is(peer, "44/elsewhere,");
}

/* A client of EIO4 that is in; returns its handle, and its Socket.IO id in sid. */
static struct peer let_in(const char *uid, uint64_t *handle, char sid[21])
{
    struct peer peer = dial(4, "");
    const char *got;

    ask(&peer, uid);
    *handle = expect(MSG_ADMIT, uid);
    verdict(*handle, MSG_ADMIT_OK);
    got = next(&peer);
    ok(sscanf(got, "40/axr,{\"sid\":\"%20[^\"]\"}", sid) == 1 && strlen(sid) == 20, "%s is in",
       uid);
    return peer;
}

/* --- tests --- */

static void test_admission(void)
{
    struct peer peer = dial(4, "");
    uint64_t first, second;

    ask(&peer, "ann");
    first = expect(MSG_ADMIT, "ann");
    broadcast(0, "", "", "[\"early\"");
    verdict(first, MSG_ADMIT_OK);
    broadcast(0, "", "", "[\"late\"");
    next_is(&peer, "40/axr,{\"sid\":\"");
    next_is(&peer, "42/axr,[\"late\"]"); /* joining, it has heard nothing */
    peer_send(&peer, "41/axr,");
    is_int(expect(MSG_LEFT, "ann"), first, "it was that client");
    settle(&peer);
    broadcast(0, "ann", "", "[\"gone\"");
    ask(&peer, "ann");
    second = expect(MSG_ADMIT, "ann");
    verdict(second, MSG_ADMIT_OK);
    next_is(&peer, "40/axr,{\"sid\":\"");
    hang_up(&peer);
    expect(MSG_LEFT, "ann");

    peer = dial(4, "");
    ask(&peer, "bob");
    verdict(expect(MSG_ADMIT, "bob"), MSG_ADMIT_USER_LIMIT);
    next_is(&peer, "44/axr,{\"message\":\"too many connections of this user\",\"data\":{\"code\":"
                   "\"user_limit\"}}");
    expect_nothing();
    ask(&peer, "bob"); /* it is still there, and may ask again */
    verdict(expect(MSG_ADMIT, "bob"), MSG_ADMIT_OK);
    next_is(&peer, "40/axr,{\"sid\":\"");
    hang_up(&peer);
    expect(MSG_LEFT, "bob");
}

/* Clients that go or change their mind before the master has answered. */
static void test_joining(void)
{
    struct peer peer = dial(4, ""), other;
    uint64_t client;
    char sid[21];

    ask(&peer, "ann");
    client = expect(MSG_ADMIT, "ann");
    peer_send(&peer, "41/axr,");
    settle(&peer);
    expect_nothing();
    verdict(client, MSG_ADMIT_OK);
    is_int(expect(MSG_LEFT, "ann"), client, "left while joining: taken back");
    expect_nothing();

    ask(&peer, "ann");
    client = expect(MSG_ADMIT, "ann");
    peer_send(&peer, "41/axr,");
    ask(&peer, "ann");
    settle(&peer);
    expect_nothing(); /* it waits for the answer that is out */
    verdict(client, MSG_ADMIT_OK);
    next_is(&peer, "40/axr,{\"sid\":\"");
    peer_send(&peer, "41/axr,");
    expect(MSG_LEFT, "ann");

    ask(&peer, "ann");
    client = expect(MSG_ADMIT, "ann");
    peer_send(&peer, "41/axr,");
    ask(&peer, "bob");
    settle(&peer);
    verdict(client, MSG_ADMIT_OK);
    expect(MSG_LEFT, "ann");
    client = expect(MSG_ADMIT, "bob");
    verdict(client, MSG_ADMIT_OK);
    next_is(&peer, "40/axr,{\"sid\":\"");
    broadcast(0, "ann", "", "[\"ann\"");
    broadcast(0, "bob", "", "[\"bob\"");
    next_is(&peer, "42/axr,[\"bob\"]");
    hang_up(&peer);
    expect(MSG_LEFT, "bob");

    peer = dial(4, "");
    ask(&peer, "ann");
    client = expect(MSG_ADMIT, "ann");
    hang_up(&peer);
    other = let_in("zed", &(uint64_t){0}, sid);
    settle(&other);
    verdict(client, MSG_ADMIT_OK);
    is_int(expect(MSG_LEFT, "ann"), client, "vanished while joining: taken back");

    peer = dial(4, "");
    ask(&peer, "ann");
    client = expect(MSG_ADMIT, "ann");
    hang_up(&peer);
    settle(&other);
    settle(&other);
    verdict(client, MSG_ADMIT_USER_LIMIT);
    expect_nothing(); /* nothing to take back */
    hang_up(&other);
    expect(MSG_LEFT, "zed");
}

static void test_tokens(void)
{
    struct peer peer = dial(4, "");
    char query[1024];
    uint64_t client;

    peer_send(&peer, "40/axr,");
    next_is(&peer, "44/axr,{\"message\":");
    peer_send(&peer, packet("40/axr,{\"token\":\"", jwt_make("ann", 1000), "\"}"));
    ok(strstr(next(&peer), "\"code\":\"token_expired\"") != NULL, "the reason is told");
    broadcast(0, "", "", "[\"m\"");
    broadcast(0, "ann", "", "[\"m\"");
    ask(&peer, "ann"); /* with a good one */
    verdict(expect(MSG_ADMIT, "ann"), MSG_ADMIT_OK);
    next_is(&peer, "40/axr,{\"sid\":\""); /* it has heard nothing before */
    hang_up(&peer);
    expect(MSG_LEFT, "ann");

    /* The handshake's is judged again, like Node's middleware does. */
    snprintf(query, sizeof(query), "&token=%s", jwt_make("ann", 1000));
    peer = dial(4, query);
    for (int i = 0; i < 2; i++) {
        peer_send(&peer, "40/axr,");
        ok(strstr(next(&peer), "\"code\":\"token_expired\"") != NULL, "the same reason");
    }
    hang_up(&peer);

    /* What the handshake proved counts for a second CONNECT. */
    snprintf(query, sizeof(query), "&token=%s", jwt_make("ann", 0));
    peer = dial(4, query);
    for (int i = 0; i < 3; i++) {
        peer_send(&peer, i < 2 ? "40/axr," : "40/axr,{\"token\":\"bad\"}");
        client = expect(MSG_ADMIT, "ann");
        verdict(client, MSG_ADMIT_OK);
        next_is(&peer, "40/axr,{\"sid\":\"");
        peer_send(&peer, "41/axr,");
        expect(MSG_LEFT, "ann");
    }
    hang_up(&peer);

    /* A token in a CONNECT counts for that one only. */
    peer = dial(4, "");
    ask(&peer, "ann");
    verdict(expect(MSG_ADMIT, "ann"), MSG_ADMIT_OK);
    next_is(&peer, "40/axr,{\"sid\":\"");
    peer_send(&peer, "41/axr,");
    expect(MSG_LEFT, "ann");
    peer_send(&peer, "40/axr,");
    ok(strstr(next(&peer), "token_missing") != NULL, "a CONNECT's token is not kept");
    hang_up(&peer);

    peer = dial(3, "");
    peer_send(&peer, packet("40/axr?token=", jwt_make("old", 0), ""));
    verdict(expect(MSG_ADMIT, "old"), MSG_ADMIT_OK);
    next_is(&peer, "40/axr");
    hang_up(&peer);
    expect(MSG_LEFT, "old");
    expect_nothing();
}

/* How many lines of the worker's log have that in them. */
static int logged(const char *text)
{
    char line[4200];
    int n = 0;
    FILE *in = fopen(log_file, "r");

    while (in != NULL && fgets(line, sizeof(line), in) != NULL)
        n += strstr(line, text) != NULL;
    if (in != NULL)
        fclose(in);
    return n;
}

static void test_logged(void)
{
    struct peer peer = dial(3, "");
    struct sockaddr_in own = {.sin_family = AF_INET};
    socklen_t len = sizeof(own);
    char line[256];
    uint64_t handle;

    getsockname(peer.fd, (struct sockaddr *)&own, &len);
    peer_send(&peer, packet("40/axr?token=", jwt_make("log \\u000a\\\" user=x", 0), ""));
    handle = expect(MSG_ADMIT, "log \n\" user=x");
    snprintf(line, sizeof(line),
             ": client connected: user=log\\x20\\x0a\\x22\\x20user=x address=127.0.0.1:%d "
             "transport=websocket protocol=3\n",
             ntohs(own.sin_port));
    is_int(logged(line), 0, "nothing is logged before it is in");
    verdict(handle, MSG_ADMIT_OK);
    next_is(&peer, "40/axr");
    is_int(logged(line), 1, "who has connected is logged");
    peer_send(&peer, "41/axr,");
    expect(MSG_LEFT, "log \n\" user=x");
    snprintf(line, sizeof(line),
             ": client disconnected: user=log\\x20\\x0a\\x22\\x20user=x address=127.0.0.1:%d "
             "transport=websocket reason=\"client left\" duration=",
             ntohs(own.sin_port));
    is_int(logged(line), 1, "and who has left");
    hang_up(&peer);
}

static void test_kick(void)
{
    struct peer one, two, peer;
    uint64_t first, second;
    char sid[21];

    one = let_in("ann", &first, sid);
    two = let_in("ann", &second, sid);
    send_down(MSG_KICK, "8b1", first, "ann", MSG_KICK_REPLACED);
    broadcast(0, "ann", "", "[\"m\"");
    next_is(&one, "41/axr,");
    next_is(&one, "<close");
    is_int(expect(MSG_LEFT, "ann"), first, "the one that is named is disconnected");
    is_int(logged("user=ann address=127.0.0.1") >= 3 &&
               logged("reason=\"replaced by a newer connection\""),
           1, "with its reason in the log");
    next_is(&two, "42/axr,[\"m\"]");
    send_down(MSG_KICK, "8b1", first, "ann", MSG_KICK_REPLACED);
    send_down(MSG_KICK, "8b1", second, "bob", MSG_KICK_REPLACED);
    send_down(MSG_KICK, "8b1", second + 1, "ann", MSG_KICK_REPLACED);
    settle(&two);
    expect_nothing(); /* one that has gone; another user; nobody */
    hang_up(&one);

    peer_send(&two, "41/axr,");
    is_int(expect(MSG_LEFT, "ann"), second, "it leaves by itself");
    send_down(MSG_KICK, "8b1", second, "ann", MSG_KICK_REPLACED);
    settle(&two);
    ask(&two, "ann");
    is_int(expect(MSG_ADMIT, "ann"), second, "and asks again");
    send_down(MSG_KICK, "8b1", second, "ann", MSG_KICK_REPLACED);
    settle(&two);
    verdict(second, MSG_ADMIT_OK);
    next_is(&two, "40/axr,"); /* the kicks were for the admission before */
    send_down(MSG_KICK, "8b1", second, "ann", MSG_KICK_REPLACED);
    next_is(&two, "41/axr,");
    is_int(expect(MSG_LEFT, "ann"), second, "that one is kicked too");
    hang_up(&two);

    peer = dial(4, "");
    ask(&peer, "ann");
    first = expect(MSG_ADMIT, "ann");
    hang_up(&peer);
    two = let_in("bob", &second, sid);
    settle(&two);
    verdict(first, MSG_ADMIT_OK);
    send_down(MSG_KICK, "8b1", first, "ann", MSG_KICK_REPLACED);
    is_int(expect(MSG_LEFT, "ann"), first, "let in and kicked after it vanished: one leave");
    expect_nothing();
    hang_up(&two);
    expect(MSG_LEFT, "bob");
}

/* What a backend asks: who is in which room counts for what comes behind it. */
static void test_requests(void)
{
    struct peer ann, bob, old;
    uint64_t first, second, third;
    char ann_id[21], bob_id[21], want[512];
    const char *got;

    ann = let_in("ann", &first, ann_id);
    bob = let_in("bob", &second, bob_id);
    send_down(MSG_JOIN, "41lll", 1U, (unsigned)MSG_SELECT_ROOMS, "ann", "", "guild,match");
    broadcast(0, "guild", "", "[\"guild\"");
    next_is(&ann, "42/axr,[\"guild\"]");
    is_int(expect(MSG_ROOMS, "+guild+match"), first, "her");
    expect(MSG_ACTED, "1:1");
    send_down(MSG_JOIN, "41lll", 2U, (unsigned)MSG_SELECT_ROOMS, "", "guild", "match,guild,match");
    is_int(expect(MSG_ROOMS, "+match+guild"), second, "those who are not in it yet");
    expect(MSG_ACTED, "2:1");
    send_down(MSG_LEAVE, "41lll", 3U, (unsigned)MSG_SELECT_IDS, ann_id, "",
              "guild,allusers,nobody");
    broadcast(0, "guild", "", "[\"for bob\"");
    broadcast(0, "allusers", "", "[\"for bob\"");
    broadcast(0, "", "", "[\"for both\"");
    next_is(&ann, "42/axr,[\"for both\"]");
    for (int i = 0; i < 2; i++)
        next_is(&bob, "42/axr,[\"for bob\"]");
    next_is(&bob, "42/axr,[\"for both\"]");
    is_int(expect(MSG_ROOMS, "-guild-allusers"), first, "by her id");
    expect(MSG_ACTED, "3:1");
    send_down(MSG_LEAVE, "41lll", 4U, (unsigned)MSG_SELECT_ROOMS, "", "", "ann,bob");
    expect_both(MSG_ROOMS, "-ann", "-bob");
    expect(MSG_ACTED, "4:2");
    broadcast(0, "ann", "", "[\"nobody's\"");
    send_down(MSG_JOIN, "41lll", 5U, (unsigned)MSG_SELECT_ROOMS, ann_id, "", "1,2,3,4,5");
    expect(MSG_ROOMS, "+1+2+3+4"); /* beside match: no more than five */
    expect(MSG_ACTED, "5:1");

    send_down(MSG_FETCH, "411ll", 8U, (unsigned)MSG_WHAT_SOCKETS, (unsigned)MSG_SELECT_ROOMS, "4",
              "");
    is_int(expect(MSG_FETCHED, ""), 8, "what there is to be told of her");
    snprintf(want, sizeof(want), "{\"id\":\"%s\",\"handshake\":{\"headers\":{},\"time\":\"",
             ann_id);
    ok(n_fetched == 1 && strncmp(fetched, want, strlen(want)) == 0, "by her id");
    snprintf(want, sizeof(want),
             "\"url\":\"/notifications/?EIO=4&transport=websocket\",\"query\":{\"EIO\":\"4\","
             "\"transport\":\"websocket\"},\"auth\":{}},\"rooms\":[\"%s\",",
             ann_id);
    ok(strstr(fetched, want) != NULL &&
           strcmp(strrchr(fetched, ']'), "],\"data\":{\"uid\":\"ann\"}}") == 0,
       "whole");
    send_down(MSG_FETCH, "411ll", 9U, (unsigned)MSG_WHAT_IDS, (unsigned)MSG_SELECT_ROOMS, "", "4");
    is_int(expect(MSG_FETCHED, ""), 9, "an answer");
    is_str(fetched, bob_id, "the id of the others");

    send_down(MSG_DISCONNECT, "41ll1", 6U, (unsigned)MSG_SELECT_ROOMS, "4", "", 0U);
    broadcast(0, "4", "", "[\"gone\"");
    broadcast(0, "", "", "[\"gone\"");
    next_is(&ann, "41/axr,");
    is_int(expect(MSG_LEFT, "ann"), first, "she is put out");
    expect(MSG_ACTED, "6:1");
    is_int(logged("client disconnected: user=ann address=127.0.0.1") > 0 &&
               logged("reason=\"disconnected by request\"") == 1,
           1, "with the reason in the log");
    ask(&ann, "ann");
    is_int(expect(MSG_ADMIT, "ann"), first, "and may ask again");
    verdict(first, MSG_ADMIT_OK);
    next_is(&ann, "40/axr,{\"sid\":\"");

    old = dial(3, "");
    peer_send(&old, packet("40/axr?token=", jwt_make("old", 0), ""));
    third = expect(MSG_ADMIT, "old");
    verdict(third, MSG_ADMIT_OK);
    next_is(&old, "40/axr");
    next_is(&bob, "42/axr,[\"gone\"]");
    send_down(MSG_DISCONNECT, "41ll1", 7U, (unsigned)MSG_SELECT_ROOMS, "", "match", 1U);
    broadcast(0, "", "", "[\"for bob\"");
    next_is(&ann, "41/axr,");
    next_is(&ann, "<close 0>");
    next_is(&old, "41");
    got = next(&old);
    is_str(got, "41/axr,", "an old one is told of all that it is in");
    next_is(&old, "<close 0>");
    next_is(&bob, "42/axr,[\"for bob\"]");
    expect_both(MSG_LEFT, "ann", "old");
    expect(MSG_ACTED, "7:2");
    hang_up(&ann);
    hang_up(&old);
    hang_up(&bob);
    expect(MSG_LEFT, "bob");
    expect_nothing();
}

/* Emits authenticate with these arguments, which are JSON with a comma before, and
 * asks for an acknowledgement. */
static void renew_as(struct peer *peer, const char *before, const char *token, const char *after)
{
    char text[2048];

    snprintf(text, sizeof(text), "42/axr,5[\"authenticate\"%s%s%s]", before, token, after);
    peer_send(peer, text);
}

static void test_renew(void)
{
    struct peer peer, other, old;
    long long now = time(NULL);
    char want[128], sid[21];
    uint64_t handle;

    /* The first two have a short token; one of them renews it. */
    peer = dial(4, "");
    peer_send(&peer, packet("40/axr,{\"token\":\"", jwt_make("ann", now + 5), "\"}"));
    verdict(expect(MSG_ADMIT, "ann"), MSG_ADMIT_OK);
    next_is(&peer, "40/axr,");
    other = dial(4, "");
    peer_send(&other, packet("40/axr,{\"token\":\"", jwt_make("bob", now + 5), "\"}"));
    verdict(expect(MSG_ADMIT, "bob"), MSG_ADMIT_OK);
    next_is(&other, "40/axr,");
    renew_as(&peer, ",\"", jwt_make("ann", now + 1000), "\"");
    snprintf(want, sizeof(want), "43/axr,5[{\"ok\":true,\"expires\":%lld}]", now + 1000);
    next_is(&peer, want);
    renew_as(&other, ",{\"token\":\"", jwt_make("ann", now + 1000), "\"}");
    next_is(&other, "43/axr,5[{\"ok\":false,\"message\":\"the token is another user's\","
                    "\"code\":\"token_other_user\"}]");
    renew_as(&other, ",\"", jwt_make("bob", 1000), "\"");
    next_is(&other, "43/axr,5[{\"ok\":false,\"message\":\"");
    renew_as(&other, ",\"x.y.z", "", "\"");
    ok(strstr(next(&other), "\"code\":\"token_malformed\"}]") != NULL, "with its code");
    renew_as(&other, "", "", "");
    ok(strstr(next(&other), "\"code\":\"token_missing\"}]") != NULL, "no token at all");
    next_is(&other, "41/axr,");
    expect(MSG_LEFT, "bob");
    ok(clock_wall_ms() >= (now + 5) * 1000,
       "what is refused changes nothing: it ends when it would have");
    is_int(logged("token not renewed: reason=token_other_user address=127.0.0.1:"), 1,
           "refusals are logged");
    is_int(logged("token not renewed: reason=token_malformed address=127.0.0.1:"), 1,
           "a line for each cause");
    settle(&peer);
    hang_up(&other);

    renew_as(&peer, ",\"", jwt_with("{\"uid\":\"ann\",\"exp\":2000000000.25}"), "\"");
    next_is(&peer, "43/axr,5[{\"ok\":true,\"expires\":2000000000.250}]");
    is_int(logged("taken for milliseconds"), 0, "seconds are fine");
    for (int i = 0; i < 2; i++) {
        renew_as(&peer, ",\"", jwt_with("{\"uid\":\"ann\",\"exp\":2000000000250}"), "\"");
        next_is(&peer, "43/axr,5[{\"ok\":true,\"expires\":2000000000.250}]");
    }
    is_int(logged("taken for milliseconds; RFC 7519 wants seconds; said once: user=ann"), 1,
           "milliseconds are warned of once");
    renew_as(&peer, " , \"", jwt_make("ann", 0), "\" , 7");
    next_is(&peer, "43/axr,5[{\"ok\":true,\"expires\":null}]");
    peer_send(&peer, packet("42/axr,[\"authenticate\",\"", jwt_make("ann", now + 1), "\"]"));
    peer_send(&peer, "42/axr,6[\"authenticated\",\"x\"]");
    peer_send(&peer, "42/axr,6[\"authenticate2\"]");
    peer_send(&peer, "42/axr,6[7,\"authenticate\"]");
    peer_send(&peer, "42/axr,6");
    peer_send(&peer, "43/axr,6[\"authenticate\",\"x\"]");
    peer_send(&peer, "451-/axr,6[\"authenticate\",{\"_placeholder\":true,\"num\":0}]");
    write(peer.fd, "\x82\x81\0\0\0\0x", 7) == 7 ? (void)0 : perror("# write");
    settle(&peer); /* nothing was answered */
    renew_as(&peer, ",\"", jwt_make("ann", time(NULL) + 2), "\"");
    next_is(&peer, "43/axr,5[{\"ok\":true,");
    next_is(&peer, "41/axr,"); /* a sooner end counts too */
    expect(MSG_LEFT, "ann");
    hang_up(&peer);

    old = dial(3, "");
    peer_send(&old, packet("40/axr?token=", jwt_make("old", 0), ""));
    handle = expect(MSG_ADMIT, "old");
    renew_as(&old, ",\"", jwt_make("old", 0), "\""); /* not in yet: dropped */
    settle(&old);
    verdict(handle, MSG_ADMIT_OK);
    next_is(&old, "40/axr");
    renew_as(&old, ",\"", jwt_make("old", 0), "\"");
    next_is(&old, "43/axr,5[{\"ok\":true,\"expires\":null}]");
    hang_up(&old);
    expect(MSG_LEFT, "old");
    peer = let_in("ann", &handle, sid);
    hang_up(&peer);
    expect(MSG_LEFT, "ann");
}

/* What ended with an old expiry, and what did not: four clients had it, and one of them has
 * not changed it. */
static void test_expiry_changed(void)
{
    struct peer clock, left, back, renewed;
    long long then = time(NULL) + 3;
    char query[1024];

    left = dial(4, "");
    peer_send(&left, packet("40/axr,{\"token\":\"", jwt_make("left", then), "\"}"));
    verdict(expect(MSG_ADMIT, "left"), MSG_ADMIT_OK);
    next_is(&left, "40/axr,");
    peer_send(&left, "41/axr,");
    expect(MSG_LEFT, "left");

    back = dial(4, "");
    peer_send(&back, packet("40/axr,{\"token\":\"", jwt_make("back", then), "\"}"));
    verdict(expect(MSG_ADMIT, "back"), MSG_ADMIT_OK);
    next_is(&back, "40/axr,");
    peer_send(&back, "41/axr,");
    expect(MSG_LEFT, "back");
    ask(&back, "back");
    verdict(expect(MSG_ADMIT, "back"), MSG_ADMIT_OK);
    next_is(&back, "40/axr,");

    snprintf(query, sizeof(query), "&token=%s", jwt_make("ren", then));
    renewed = dial(4, query);
    peer_send(&renewed, "40/axr,");
    verdict(expect(MSG_ADMIT, "ren"), MSG_ADMIT_OK);
    next_is(&renewed, "40/axr,");
    renew_as(&renewed, ",\"", jwt_make("ren", then + 1000), "\"");
    next_is(&renewed, "43/axr,5[{\"ok\":true,");
    peer_send(&renewed, "41/axr,");
    expect(MSG_LEFT, "ren");

    clock = dial(4, "");
    peer_send(&clock, packet("40/axr,{\"token\":\"", jwt_make("clock", then), "\"}"));
    verdict(expect(MSG_ADMIT, "clock"), MSG_ADMIT_OK);
    next_is(&clock, "40/axr,");
    next_is(&clock, "41/axr,"); /* now it is over */
    expect(MSG_LEFT, "clock");
    hang_up(&clock);

    settle(&left); /* a namespace that was left is not ended by it */
    ask(&left, "left");
    verdict(expect(MSG_ADMIT, "left"), MSG_ADMIT_OK);
    next_is(&left, "40/axr,");
    broadcast(0, "back", "", "[\"still\"");
    next_is(&back, "42/axr,[\"still\"]"); /* nor is a second stay, with another token */
    peer_send(&renewed, "40/axr,");
    verdict(expect(MSG_ADMIT, "ren"), MSG_ADMIT_OK);
    next_is(&renewed, "40/axr,{\"sid\":\""); /* a renewed one counts for a later join */
    hang_up(&left);
    expect(MSG_LEFT, "left");
    hang_up(&back);
    expect(MSG_LEFT, "back");
    hang_up(&renewed);
    expect(MSG_LEFT, "ren");
}

/* Ten at once, then hardly any: to verify them is what costs. */
static void test_renew_flood(void)
{
    uint64_t handle;
    char sid[21];
    struct peer peer = let_in("ann", &handle, sid);
    int verified = 0, refused = 0;

    for (int i = 0; i < 200; i++) {
        const char *got;

        renew_as(&peer, ",\"", jwt_make("ann", 0), "\"");
        got = next(&peer);
        verified += strstr(got, "\"ok\":true") != NULL;
        refused += strstr(got, "\"code\":\"token_rate\"") != NULL;
    }
    is_int(verified + refused, 200, "each of many renewals is answered");
    ok(verified >= 10 && refused > 0, "ten at least are looked at, not all");
    settle(&peer);
    hang_up(&peer);
    expect(MSG_LEFT, "ann");
}

static void test_expiry(void)
{
    struct peer peer = dial(4, ""), far = dial(4, "");
    uint64_t client;
    time_t expires;

    peer_send(&far, packet("40/axr,{\"token\":\"", jwt_make("far", 253402300799LL), "\"}"));
    verdict(expect(MSG_ADMIT, "far"), MSG_ADMIT_OK);
    next_is(&far, "40/axr,{\"sid\":\"");
    expires = time(NULL) + 3;
    peer_send(&peer, packet("40/axr,{\"token\":\"", jwt_make("ann", expires), "\"}"));
    client = expect(MSG_ADMIT, "ann");
    verdict(client, MSG_ADMIT_OK);
    next_is(&peer, "40/axr,{\"sid\":\"");
    next_is(&peer, "41/axr,");
    next_is(&peer, "<close");
    ok(time(NULL) >= expires && time(NULL) < expires + 4, "disconnected when its token expired");
    is_int(expect(MSG_LEFT, "ann"), client, "it was that client");
    hang_up(&peer);

    /* The answer comes when the token has expired. */
    peer = dial(4, "");
    expires = time(NULL) + 2;
    peer_send(&peer, packet("40/axr,{\"token\":\"", jwt_make("ann", expires), "\"}"));
    client = expect(MSG_ADMIT, "ann");
    while (time(NULL) < expires)
        poll(NULL, 0, 50);
    verdict(client, MSG_ADMIT_OK);
    ok(strstr(next(&peer), "token_expired") != NULL, "expired while joining");
    is_int(expect(MSG_LEFT, "ann"), client, "and taken back");
    hang_up(&peer);

    broadcast(0, "far", "", "[\"still\"");
    next_is(&far, "42/axr,[\"still\"]");
    hang_up(&far);
    expect(MSG_LEFT, "far");
}

/* Each broadcast names in its event who is to get it. */
static void test_fanout(void)
{
    struct peer peer[4];
    uint64_t handle[4];
    char sid[4][21], rooms[200];
    static const char *const users[] = {"ann", "ann", "bob", "allusers"};
    static const char *const rows[][3] = {
        /* rooms, except, receivers */
        {"", "", "0123"},         {"ann", "", "01"},           {"bob", "", "2"},
        {"allusers", "", "0123"}, {"ann,bob", "", "012"},      {"bob,ann,allusers,bob", "", "0123"},
        {"nobody", "", ""},       {"", "ann", "23"},           {"ann,bob", "ann", "2"},
        {"", "allusers", ""},     {"ann", "nobody,bob", "01"}, {"", "ann,bob", "3"},
        {"SID0", "", "0"},        {"SID0,SID2", "", "02"},     {"ann,SID0", "", "01"},
        {"", "SID0,SID3", "12"},  {"SID1", "ann", ""},         {"SIDx", "", ""},
    };

    for (int i = 0; i < 4; i++)
        peer[i] = let_in(users[i], &handle[i], sid[i]);
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        char field[2][100], json[200];
        for (int f = 0; f < 2; f++) {
            field[f][0] = '\0';
            for (const char *c = rows[r][f]; *c != '\0'; c++) {
                char word[24] = {*c};
                if (strncmp(c, "SID", 3) == 0) {
                    snprintf(word, sizeof(word), "%s",
                             c[3] == 'x' ? "aaaaaaaaaaaaaaaaaaaa" : sid[c[3] - '0']);
                    c += 3;
                }
                strncat(field[f], word, sizeof(field[f]) - strlen(field[f]) - 1);
            }
        }
        snprintf(json, sizeof(json), "[%zu,\"%s\"", r, rows[r][2]);
        broadcast(0, field[0], field[1], json);
    }
    for (int i = 0; i < 4; i++) {
        for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
            if (strchr(rows[r][2], '0' + i) == NULL)
                continue;
            snprintf(rooms, sizeof(rooms), "42/axr,[%zu,\"%s\"]", r, rows[r][2]);
            is_str(next(&peer[i]), rooms, "each gets its own, once and in order");
        }
    }
    broadcast(BROADCAST_VOLATILE, "", "", "[\"v\"");
    for (int i = 0; i < 4; i++)
        next_is(&peer[i], "42/axr,[\"v\"]");
    for (int i = 0; i < 4; i++) {
        hang_up(&peer[i]);
        is_int(expect(MSG_LEFT, users[i]), handle[i], "the one who hung up has left");
    }
}

static void emit(uint32_t id, uint32_t timeout_ms, uint32_t flags, const char *rooms,
                 const char *except, const char *json, const char *attachments)
{
    send_down(MSG_EMIT, "4488884llbl", id, timeout_ms, (uint64_t)1, (uint64_t)1, clock_us(),
              (uint64_t)0, flags, rooms, except, json, attachments);
}

static uint64_t dropped(void)
{
    uint64_t n = 0;

    send_down(MSG_COUNT, "4", 9U);
    (void)hear(WAIT_MS);
    for (int i = 0; i < ACK_DROPS; i++)
        n += counted.at[COUNTER_ACKS_DROPPED + i];
    return n;
}

/* Clients of both revisions acknowledge. */
static void test_acks(void)
{
    struct peer ann, bob;
    uint64_t handle[2], before;
    char sid[21];

    ann = let_in("ann", &handle[0], sid);
    bob = dial(3, "");
    peer_send(&bob, packet("40/axr?token=", jwt_make("bob", 0), ","));
    handle[1] = expect(MSG_ADMIT, "bob");
    verdict(handle[1], MSG_ADMIT_OK);
    next_is(&bob, "40/axr,");
    before = dropped();

    emit(7, 10000, 0, "ann,bob,nobody", "", "[\"e\"", "");
    is_int(expect(MSG_REACHED, "2"), 7, "two are reached");
    next_is(&ann, "42/axr,0[\"e\"]");
    next_is(&bob, "42/axr,0[\"e\"]");
    peer_send(&bob, "43/axr,0[\"b\",1]");
    is_int(expect(MSG_ACK, "\"b\""), 7, "the first");
    peer_send(&bob, "43/axr,0[\"c\",1]");
    peer_send(&ann, "43/axr,1[\"c\",1]");
    peer_send(&ann, "42/axr,0[\"event\",1]");
    peer_send(&ann, "43/axr,0[]");
    is_int(expect(MSG_ACK, ""), 7, "the second, with nothing");
    peer_send(&ann, "43/axr,0[\"late\"]");
    settle(&ann);
    settle(&bob);
    is_int((long)(dropped() - before), 3, "others are dropped");

    emit(8, 10000, BROADCAST_VOLATILE, sid, "bob", "[\"e\",{\"_placeholder\":true,\"num\":0}",
         "xyz");
    is_int(expect(MSG_REACHED, "1"), 8, "one is reached, by its id");
    next_is(&ann, "451-/axr,1[\"e\",{\"_placeholder\":true,\"num\":0}]");
    is_str(next(&ann), "xyz", "with what belongs to it");
    peer_send(&bob, "462-/axr,1[{}]");
    peer_put(&bob, 2, "\004no");
    peer_put(&bob, 2, "\004no");
    peer_send(&ann, "452-/axr,5[\"event\",{}]");
    peer_put(&ann, 2, "no");
    peer_put(&ann, 2, "no");
    peer_send(&ann, "462-/axr,1[{\"_placeholder\":true,\"num\":1}]");
    peer_put(&ann, 2, "one");
    settle(&bob);
    expect_nothing();
    peer_put(&ann, 2, "two");
    is_int(expect(MSG_ACK, "{\"_placeholder\":true,\"num\":1} one two"), 8,
           "with attachments, when all are there");

    emit(9, 10000, 0, "", "", "[\"e\"", "");
    is_int(expect(MSG_REACHED, "2"), 9, "all");
    next_is(&ann, "42/axr,2[\"e\"]");
    next_is(&bob, "42/axr,2[\"e\"]");
    peer_send(&ann, "41/axr,");
    expect(MSG_LEFT, "ann");
    ask(&ann, "ann");
    verdict(expect(MSG_ADMIT, "ann"), MSG_ADMIT_OK);
    next_is(&ann, "40/axr,{\"sid\"");
    peer_send(&ann, "43/axr,2[\"back\"]");
    settle(&ann);
    expect_nothing();
    peer_send(&bob, "43/axr,2[3]");
    is_int(expect(MSG_ACK, "3"), 9, "who has stayed counts, and who came back does not");

    emit(10, 0, 0, "nobody", "", "[\"e\"", "");
    is_int(expect(MSG_REACHED, "0"), 10, "nobody");
    hang_up(&ann);
    expect(MSG_LEFT, "ann");
    hang_up(&bob);
    expect(MSG_LEFT, "bob");
}

/* A long burst to many clients is cut into turns; all of it arrives in order. */
static void test_burst(void)
{
    enum { PEERS = 60, EVENTS = 20000, EACH = 2000 };
    static struct peer peer[PEERS];
    uint64_t handle;
    char sid[21], json[40];
    int wrong = 0;

    for (int i = 0; i < PEERS; i++)
        peer[i] = let_in("ann", &handle, sid);
    for (int sent = 0; sent < EVENTS && wrong == 0; sent += EACH) {
        for (int i = sent; i < sent + EACH; i++) {
            snprintf(json, sizeof(json), "[%d", i);
            broadcast(0, "", "", json);
        }
        for (int i = 0; i < PEERS; i++) {
            for (int e = sent; e < sent + EACH && wrong == 0; e++) {
                snprintf(json, sizeof(json), "42/axr,[%d]", e);
                wrong += strcmp(next(&peer[i]), json) != 0;
            }
        }
    }
    is_int(wrong, 0, "60 clients get 20,000 notifications each, in order");
    for (int i = 0; i < PEERS; i++) {
        hang_up(&peer[i]);
        expect(MSG_LEFT, "ann");
    }
}

static void test_drain(void)
{
    struct peer peer;
    uint64_t handle, start;
    char sid[21];

    start_worker();
    peer = let_in("ann", &handle, sid);
    send_down(MSG_LOG_LEVEL, "1", (unsigned)LOG_LEVEL_DEBUG);
    send_down(MSG_LOG_REOPEN, "");
    broadcast(0, "", "", "[\"last\"");
    start = clock_ms();
    send_down(MSG_DRAIN, "444", (uint32_t)5000, (uint32_t)0, (uint32_t)0);
    next_is(&peer, "42/axr,[\"last\"]");
    next_is(&peer, "<end>");
    expect(MSG_LEFT, "ann");
    hang_up(&peer);
    is_int(ended(WAIT_MS), 0, "drained: exit 0");
    ok(clock_ms() - start < 5000, "as soon as nobody is left");

    start_worker();
    peer = let_in("ann", &handle, sid);
    start = clock_ms();
    send_down(MSG_DRAIN, "444", (uint32_t)300000, (uint32_t)0, (uint32_t)0);
    send_down(MSG_DRAIN, "444", (uint32_t)100, (uint32_t)0, (uint32_t)0);
    next_is(&peer, "<end>");
    is_int(ended(WAIT_MS), 0, "a second drain hurries the first"); /* the client stays */
    ok(clock_ms() - start < 4500, "exit by the deadline");
    next_is(&peer, "<end>");
    hang_up(&peer);
}

/* --- reload --- */

static void settings_down(const struct conf *changed)
{
    struct buf out = {0};

    if (change_put(&out, changed) < 0 || write(down, out.data, out.len) != (ssize_t)out.len)
        perror("# settings to the worker");
    buf_free(&out);
}

static void test_settings(void)
{
    static const char other[] = "another secret of thirty-two bytes or more";
    struct token_keys *keys = token_keys_new();
    struct conf changed = conf;
    struct peer ann, bob;
    uint64_t handle;
    char sid[21];

    start_worker();
    ann = let_in("ann", &handle, sid);
    if (keys == NULL ||
        token_keys_add_secret(keys, (struct slice){NULL, 0}, other, sizeof(other) - 1, 0) != KEY_OK)
        abort();
    changed.token.keys = keys;
    changed.send_buffer = 4096;
    settings_down(&changed);
    settings_down(&changed); /* what the first one borrowed from is gone */
    broadcast(0, "ann", "", "[\"still\"");
    next_is(&ann, "42/axr,[\"still\"]");
    bob = dial(4, "");
    ask(&bob, "bob");
    ok(strstr(next(&bob), "token_signature") != NULL, "the old key is not taken any more");
    hang_up(&bob);
    settings_down(&conf);
    bob = let_in("bob", &handle, sid);
    hang_up(&bob);
    expect(MSG_LEFT, "bob");
    hang_up(&ann);
    expect(MSG_LEFT, "ann");
    send_down(MSG_DRAIN, "444", (uint32_t)100, (uint32_t)0, (uint32_t)0);
    is_int(ended(WAIT_MS), 0, "the one who was in has stayed");
    token_keys_free(&keys);
}

/* What the worker has counted up to now, as it says when asked. */
static const uint64_t *count(void)
{
    static uint32_t id = 100;
    struct heard heard;

    send_down(MSG_COUNT, "4", ++id);
    heard = hear(WAIT_MS);
    ok(heard.type == MSG_COUNTERS && heard.client == id, "the answer has the question's id");
    return counted.at;
}

/* A broadcast that makes a WebSocket frame of so many bytes. */
static void broadcast_frame(size_t bytes)
{
    static const char around[] = "42/axr,[\"\"]";
    size_t head = bytes > 65535 ? 10 : 4, n = bytes - head - (sizeof(around) - 1);
    char *json = malloc(n + 4);

    if (json == NULL)
        abort();
    memset(json, 'x', n + 3);
    memcpy(json, "[\"", 2);
    strcpy(json + 2 + n, "\"");
    broadcast(0, "", "", json);
    free(json);
}

/* Behind one that the kernel does not take whole: as much as sendBuffer, and a byte more. */
static void test_send_buffer(void)
{
    enum { LIMIT = 5000, HUGE_ONE = 24 << 20 };
    struct conf changed = conf;
    struct counters before;
    struct peer peer;
    uint64_t handle;
    char sid[21];

    start_worker();
    changed.send_buffer = LIMIT;
    settings_down(&changed);
    peer = let_in("ann", &handle, sid);
    broadcast_frame(HUGE_ONE);
    broadcast_frame(LIMIT);
    count();
    before = counted;
    ok(before.at[COUNTER_QUEUED] > LIMIT && before.at[COUNTER_CLIENTS] == 1,
       "exactly sendBuffer waits for it: it stays");
    while (peer.in.len < HUGE_ONE + LIMIT && peer_read(&peer))
        ;
    is_int((long)peer.in.len, HUGE_ONE + LIMIT, "and gets all of it");
    hang_up(&peer);
    expect(MSG_LEFT, "ann");

    peer = let_in("ann", &handle, sid);
    broadcast_frame(HUGE_ONE);
    broadcast_frame(LIMIT + 1);
    expect(MSG_LEFT, "ann"); /* a byte more: it is closed */
    count();
    is_int((long)(counted.at[COUNTER_DISCONNECTS + CLOSE_SEND_BUFFER] -
                  before.at[COUNTER_DISCONNECTS + CLOSE_SEND_BUFFER]),
           1, "for that reason");
    hang_up(&peer);
    send_down(MSG_DRAIN, "444", (uint32_t)100, (uint32_t)0, (uint32_t)0);
    is_int(ended(WAIT_MS), 0, "drained");
}

/* --- clients that come back --- */

#define PID      "PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP" /* as bytes */
#define PID_TEXT "UFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQ"

static struct history *history;
static uint64_t happened; /* the number of the last notification */

/* A notification to ann comes, which is kept; goes_down: the worker is sent it, too. */
static void happens(const char *json, int goes_down)
{
    struct broadcast bc = {0};
    struct buf message = {0};

    bc.offset = 1000 + ++happened;
    slices_put(&bc.rooms, SLICE("ann"));
    buf_puts(&bc.json, json);
    msg_put_broadcast(&message, 1, happened, clock_us(), &bc);
    history_put(history, happened, bc.offset, &bc,
                (struct slice){(const char *)message.data, message.len}, clock_ms());
    if (goes_down && write(down, message.data, message.len) != (ssize_t)message.len)
        perror("# write to the worker");
    buf_free(&message);
    broadcast_clear(&bc);
}

/* Let in, with a session; from: 0, or what it has missed. */
static void let_back(uint64_t client, uint64_t from, const char *session)
{
    send_down(MSG_ADMITTED, "8188b818b1l", client, (unsigned)MSG_ADMIT_OK, (uint64_t)1, happened,
              PID, (uint64_t)0, from != 0, from, session, 0U, "");
}

static struct peer come(const char *pid, uint64_t *client)
{
    struct peer peer = dial(4, "");
    char claim[256];

    snprintf(claim, sizeof(claim), "\"%s}", pid);
    peer_send(&peer, packet("40/axr,{\"token\":\"", jwt_make("ann", 0), claim));
    *client = expect(MSG_ADMIT, "ann");
    return peer;
}

/* 1005, in base64url, as the last argument. */
#define OFFSET_5 "AAAAAAAAA-0"

static void test_comeback(void)
{
    uint64_t client, first;
    struct peer peer, other;
    int status;

    history = history_new(1 << 20, 60000);
    history_file = history_fd(history);
    conf.send_buffer = 4096;
    start_worker();
    peer = come("", &client);
    ok(heard_session.session_len == SESSION_LEN && heard_session.pid_len == 0,
       "a session that is new");
    let_back(client, 0, "");
    ok(strstr(next(&peer), "\"pid\":\"" PID_TEXT "\"") != NULL,
       "which the client can come back to");
    happens("[\"1\"", 1);
    next_is(&peer, "42/axr,[\"1\",\"AAAAAAAAA-k\"]");
    send_down(MSG_OFFSET, "88", happened, (uint64_t)77);
    hang_up(&peer);
    expect(MSG_LEFT, "ann");
    is_int(heard_session.ended, 0, "it may come back");

    first = history_end(history);
    happens("[\"2\"", 0);
    happens("[\"3\"", 0);
    other = dial(4, "");
    peer = come(",\"pid\":\"" PID_TEXT "\",\"offset\":\"AAAAAAAAA-k\"", &client);
    ok(heard_session.pid_len == PID_LEN && heard_session.offset == 1001, "it does");
    let_back(client, first, "sssssssssssssss");
    happens("[\"4\"", 1);
    send_down(MSG_JOIN, "41lll", (uint32_t)5, (unsigned)MSG_SELECT_ROOMS, "ann", "", "club");
    happens("[\"5\"", 1);
    next_is(&peer, "40/axr,{\"sid\":\"c3Nzc3Nzc3Nzc3Nzc3Nz\",\"pid\":\"" PID_TEXT "\"}");
    next_is(&peer, "42/axr,[\"2\",\"AAAAAAAAA-o\"]");
    next_is(&peer, "42/axr,[\"3\",\"AAAAAAAAA-s\"]");
    next_is(&peer, "42/axr,[\"4\",\"AAAAAAAAA-w\"]");
    next_is(&peer, "42/axr,[\"5\",\"" OFFSET_5 "\"]"); /* each once, in order */
    is_int(expect(MSG_ROOMS, "+club"), client, "a request that came behind it means it, too");
    expect(MSG_ACTED, "5:1");

    /* It is elsewhere again, before this connection was found broken. */
    send_down(MSG_KICK, "8b1", client, "ann", (unsigned)MSG_KICK_TAKEN);
    next_is(&peer, "41/axr,");
    is_int(expect(MSG_LEFT, "ann"), client, "taken");
    is_int(heard_session.ended, 0, "its session is not over");
    hang_up(&peer);

    /* More than may wait for a client. */
    first = history_end(history);
    for (int i = 0; i < 40; i++)
        happens("[\"0123456789012345678901234567890123456789012345678901234567890123456789\"", 0);
    peer = come(",\"pid\":\"" PID_TEXT "\",\"offset\":\"" OFFSET_5 "\"", &client);
    let_back(client, first, "sssssssssssssss");
    is_int(expect(MSG_LEFT, "ann"), client, "what it missed does not fit");
    is_int(heard_session.ended, 1, "that session is over");
    is_int(expect(MSG_ADMIT, "ann"), client, "it gets a new one");
    is_int((long)heard_session.pid_len, 0, "without a claim");
    let_back(client, 0, "");
    ok(strstr(next(&peer), "c3Nz") == NULL, "by its own id");
    happens("[\"live\"", 1);
    next_is(&peer, "42/axr,[\"live\""); /* and nothing else */
    hang_up(&peer);
    expect(MSG_LEFT, "ann");

    /* What is gone. */
    first = history_end(history);
    happens("[\"lost\"", 0);
    history_cut(history);
    peer = come(",\"pid\":\"" PID_TEXT "\",\"offset\":\"x\"", &client);
    is_int((long)heard_session.pid_len, 0, "an offset that is none");
    let_back(client, 0, "");
    next_is(&peer, "40/axr,{");
    hang_up(&peer);
    expect(MSG_LEFT, "ann");
    peer = come(",\"pid\":\"" PID_TEXT "\",\"offset\":\"" OFFSET_5 "\"", &client);
    let_back(client, first, "sssssssssssssss");
    is_int(expect(MSG_LEFT, "ann"), client, "what it missed is gone");
    is_int(expect(MSG_ADMIT, "ann"), client, "it gets a new session");
    let_back(client, 0, "");
    next_is(&peer, "40/axr,{");
    send_down(MSG_COUNT, "4", (uint32_t)9);
    expect(MSG_COUNTERS, "");
    is_int((long)counted.at[COUNTER_REPLAYS + REPLAY_RECOVERED], 1, "recovered, counted");
    is_int((long)counted.at[COUNTER_REPLAYS + REPLAY_UNFIT], 1, "too much, counted");
    is_int((long)counted.at[COUNTER_REPLAYS + REPLAY_OVERRUN], 1, "gone, counted");
    is_int((long)counted.at[COUNTER_REPLAYS + REPLAY_MALFORMED], 1, "malformed, counted");
    ok(counted.at[COUNTER_REPLAYED] >= 2 && counted.at[COUNTER_CATCHING] == 0,
       "and what was replayed");
    settle(&other);
    hang_up(&other);
    hang_up(&peer);
    expect(MSG_LEFT, "ann");
    send_down(MSG_DRAIN, "444", (uint32_t)1000, (uint32_t)0, (uint32_t)0);
    status = ended(WAIT_MS);
    is_int(status, 0, "drained");
    history_file = -1;
    history_free(&history);
    conf.send_buffer = 1 << 20;
}

static void test_master_gone(void)
{
    struct peer peer;
    uint64_t handle, start;
    char sid[21];

    start_worker();
    peer = let_in("ann", &handle, sid);
    start = clock_ms();
    close(down);
    down = -1;
    next_is(&peer, "<end>");
    is_int(ended(WAIT_MS), 0, "gone after the master");
    ok(clock_ms() - start < 3000, "soon: a second is what it may take");
    hang_up(&peer);

    start_worker();
    peer = dial(4, "");
    start = clock_ms();
    close(up);
    up = -1;
    ask(&peer, "ann");
    next_is(&peer, "<end>");
    is_int(ended(WAIT_MS), 0, "a master that does not listen has gone too");
    ok(clock_ms() - start < 3000, "noticed with the first word to it");
    hang_up(&peer);
}

static void test_bad_master(void)
{
    struct peer peer;
    uint64_t handle;
    char sid[21];

    fork_worker();
    expect(MSG_WORKER_HELLO, "");
    send_down(MSG_HELLO, "4448", (uint32_t)MSG_VERSION + 1, (uint32_t)0, (uint32_t)1, (uint64_t)1);
    is_int(ended(WAIT_MS), 1, "another version: exit 1");

    fork_worker();
    expect(MSG_WORKER_HELLO, "");
    send_down(MSG_LOG_REOPEN, "");
    is_int(ended(WAIT_MS), 1, "no hello first: exit 1");

    static const struct {
        unsigned type;
        const char *fields;
    } bad[] = {
        {MSG_READY, ""},        {99, ""},
        {MSG_HELLO, "4448"},    {MSG_DRAIN, ""},
        {MSG_DRAIN, "44"},      {MSG_LOG_LEVEL, "1"},
        {MSG_DRAIN, "4444"},    {MSG_SETTINGS, "8"},
        {MSG_LOG_REOPEN, "1"},  {MSG_BROADCAST, "88"},
        {MSG_ADMITTED, "8188"}, {MSG_KICK, "8"},
        {MSG_COUNT, "8"},       {MSG_COUNT, ""},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        start_worker();
        send_down(bad[i].type, bad[i].fields, UINT64_C(77), UINT64_C(0), UINT64_C(0), UINT64_C(0));
        is_int(ended(WAIT_MS), 1, "a bad message: exit 1");
    }

    start_worker();
    peer = let_in("ann", &handle, sid);
    send_down(99, "");
    next_is(&peer, "<end>");
    hang_up(&peer);
    is_int(ended(WAIT_MS), 1, "its clients are told to come back");
}

static void test_counting(void)
{
    uint64_t handle, before[COUNTERS];
    const uint64_t *now;
    struct heard heard;
    struct peer peer, other;
    char sid[21];

    memcpy(before, count(), sizeof(before));
    is_int(before[COUNTER_CLIENTS], 0, "nobody is in");
    peer = let_in("ann", &handle, sid);
    other = dial(3, "");
    now = count();
    is_int(now[COUNTER_CLIENTS], 1, "a client is in");
    is_int(now[COUNTER_CONNECTS] - before[COUNTER_CONNECTS], 1, "it has connected");
    is_int(now[COUNTER_SESSIONS + 3], 1, "a WebSocket of protocol 4");
    is_int(now[COUNTER_SESSIONS + 2], 1, "and one of protocol 3");
    is_int(now[COUNTER_CONNECTIONS], 2, "two connections");
    is_int(now[COUNTER_ROOMS], 2, "two rooms");
    broadcast(0, "ann", "", "[\"m\"");
    broadcast(0, "nobody", "", "[\"m\"");
    next_is(&peer, "42/axr,[\"m\"]");
    now = count();
    is_int(now[COUNTER_BROADCASTS] - before[COUNTER_BROADCASTS], 2, "two notifications came");
    is_int(now[COUNTER_DELIVERIES] - before[COUNTER_DELIVERIES], 1, "one was delivered");
    is_int(now[COUNTER_QUEUED], 0, "nothing waits");
    peer_send(&other, "40/axr?token=junk");
    next_is(&other, "44/axr,");
    peer_send(&peer, "41/axr,");
    expect(MSG_LEFT, "ann");
    ask(&peer, "ann");
    handle = expect(MSG_ADMIT, "ann");
    now = count();
    is_int(now[COUNTER_JOINING], 1, "a client waits for the master");
    is_int(now[COUNTER_DISCONNECTS + 9] - before[COUNTER_DISCONNECTS + 9], 1, "one has left");
    verdict(handle, MSG_ADMIT_USER_LIMIT);
    next_is(&peer, "44/axr,");
    now = count();
    is_int(now[COUNTER_CLIENTS] + now[COUNTER_JOINING], 0, "it is not in");
    next_is(&peer, "41/axr,"); /* 5 s later */
    next_is(&other, "41/axr,");
    hang_up(&other);
    now = count();
    is_int(now[COUNTER_REFUSED] - before[COUNTER_REFUSED], 1, "refused for the user's limit");
    is_int(now[COUNTER_REFUSED + TOKEN_MALFORMED] - before[COUNTER_REFUSED + TOKEN_MALFORMED], 1,
           "and for a malformed token");
    is_int(now[COUNTER_CLOSED + 7] - before[COUNTER_CLOSED + 7], 2, "both as refused");
    hang_up(&peer);
    peer = let_in("bob", &handle, sid);
    do
        heard = hear_any(WAIT_MS);
    while (heard.type == MSG_COUNTERS && counted.at[COUNTER_CLIENTS] == 0);
    ok(heard.type == MSG_COUNTERS && heard.client == 0, "it tells what is new by itself");
    hang_up(&peer);
    expect(MSG_LEFT, "bob");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    close(mkstemp(log_file));
    conf.token.keys = conf.keys = jwt_keys();
    start_worker();
    test_admission();
    test_joining();
    test_tokens();
    test_expiry();
    test_logged();
    test_kick();
    test_requests();
    test_renew();
    test_expiry_changed();
    test_renew_flood();
    test_fanout();
    test_acks();
    test_burst();
    test_counting();
    send_down(MSG_DRAIN, "444", (uint32_t)1000, (uint32_t)0, (uint32_t)0);
    is_int(hear(WAIT_MS).type, 0, "the end of its pipe");
    is_int(counted.at[COUNTER_CLIENTS] + counted.at[COUNTER_CONNECTIONS], 0,
           "its last word is what was counted last");
    is_int(ended(WAIT_MS), 0, "drained with nobody left");
    test_drain();
    test_settings();
    test_send_buffer();
    test_comeback();
    test_master_gone();
    test_bad_master();
    buf_free(&up_buf);
    unlink(log_file);
    return tap_done();
}
