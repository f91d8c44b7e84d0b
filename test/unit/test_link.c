#include "base/clock.h"
#include "ipc/link.h"
#include "nomem.h"
#include "tap.h"

#include <event2/event.h>

#include <fcntl.h>
#include <signal.h>

static struct event_base *base;

/* One end of a link, and what it was told. */
struct end {
    struct link *link;
    struct buf got; /* the bodies of MSG_LEFT, one behind the other */
    int messages, batches, closed;
    char why[40];
    int answer;      /* send each message back */
    int refuse;      /* call the message with this number malformed */
    int pause;       /* stop reading at the message with this number */
    int starve;      /* have no memory, so many times, for the message with number 2 */
    int hold;        /* stop reading before it, so many times */
    int free_closed; /* link_free in closed() */
    int batch_at_close;
};

static int on_message(struct link *link, struct msg *msg, void *arg)
{
    struct end *end = arg;
    uint64_t client = msg_get_u64(msg);
    struct slice body = msg_get_bytes(msg);

    if (end->messages == 1 && end->starve > 0) {
        end->starve--;
        return 1;
    }
    if (end->messages == 1 && end->hold > 0) {
        end->hold--;
        link_read_enable(link, 0);
        return 1;
    }
    if (msg->type != MSG_LEFT || msg_close(msg) < 0 || ++end->messages == end->refuse)
        return -1;
    buf_put(&end->got, body.ptr, body.len);
    if (end->messages == end->pause)
        link_read_enable(link, 0);
    if (end->answer) {
        struct buf out = {0};
        size_t mark = msg_begin(&out, MSG_LEFT);

        msg_put_u64(&out, client);
        msg_put_bytes(&out, body.ptr, body.len);
        msg_end(&out, mark);
        link_send(link, out.data, out.len);
        buf_free(&out);
    }
    return 0;
}

static void on_batch_end(struct link *link, void *arg)
{
    (void)link;
    ((struct end *)arg)->batches++;
}

static void on_closed(struct link *link, const char *why, void *arg)
{
    struct end *end = arg;

    end->closed++;
    end->batch_at_close = end->batches;
    snprintf(end->why, sizeof(end->why), "%s", why);
    if (link != end->link)
        end->closed += 100;
    if (end->free_closed)
        link_free(&end->link);
}

static const struct link_ops ops = {on_message, on_batch_end, on_closed};
static const struct link_options roomy = {8 << 20, 16 << 20, 256 << 10};

static struct end *end_new(int read_fd, int write_fd, const struct link_options *options)
{
    struct end *end = calloc(1, sizeof(*end));

    if (end == NULL)
        abort();
    end->link = link_new(base, read_fd, write_fd, options, &ops, end);
    if (end->link == NULL)
        abort();
    return end;
}

static void end_free(struct end *end)
{
    link_free(&end->link);
    buf_free(&end->got);
    free(end);
}

static void pipe_new(int ends[2])
{
    if (pipe2(ends, O_NONBLOCK) < 0)
        abort();
}

/* Two links that face each other. */
static void pair_new(struct end **a, struct end **b, const struct link_options *options)
{
    int there[2], back[2];

    pipe_new(there);
    pipe_new(back);
    *a = end_new(back[0], there[1], options);
    *b = end_new(there[0], back[1], options);
}

static void put(struct buf *out, const void *body, size_t len)
{
    size_t mark = msg_begin(out, MSG_LEFT);

    msg_put_u64(out, 1);
    msg_put_bytes(out, body, len);
    msg_end(out, mark);
}

static int send_body(struct end *end, const void *body, size_t len)
{
    struct buf out = {0};
    int result;

    put(&out, body, len);
    result = link_send(end->link, out.data, out.len);
    buf_free(&out);
    return result;
}

/* One: what is ready is served, and then not asked again. */
static void turn(void)
{
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void turns(int n)
{
    while (n-- > 0)
        turn();
}

/* Turns the loop until n messages are there, or for 10 s. */
static void until(const struct end *end, int n)
{
    uint64_t limit = clock_ms() + 10000;

    while (end->messages < n && !end->closed && clock_ms() < limit)
        turn();
}

static void *pattern(size_t len, unsigned seed)
{
    uint8_t *bytes = malloc(len + 1);

    if (bytes == NULL)
        abort();
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
    return bytes;
}

static void test_round_trip(void)
{
    struct end *a, *b;

    pair_new(&a, &b, &roomy);
    b->answer = 1;
    is_int(send_body(a, "hello", 5), 0, "send");
    is_int(b->messages, 0, "not before the loop runs");
    until(a, 1);
    is_mem(b->got.data, b->got.len, "hello", 5, "arrived");
    is_mem(a->got.data, a->got.len, "hello", 5, "and came back, sent from the handler");
    is_int(b->batches, 1, "one batch");
    is_int(link_queued(a->link), 0, "nothing left");
    is_int(link_stalled_since(a->link), 0, "nothing stalled");
    end_free(a);
    end_free(b);
}

static void test_byte_by_byte(void)
{
    int ends[2];
    struct buf in = {0};
    struct end *end;

    pipe_new(ends);
    end = end_new(ends[0], -1, &roomy);
    put(&in, "one", 3);
    put(&in, "", 0);
    put(&in, "three", 5);
    for (size_t i = 0; i < in.len; i++) {
        if (write(ends[1], in.data + i, 1) != 1)
            abort();
        turn();
    }
    is_int(end->messages, 3, "three messages, a byte at a time");
    is_mem(end->got.data, end->got.len, "onethree", 8, "their bodies");
    is_int(end->batches, 3, "a batch each");
    is_int(link_send(end->link, "x", 1), -1, "a link without a way to write refuses");
    is_int(link_flush(end->link), 0, "and has nothing to flush");
    close(ends[1]);
    turn();
    is_int(end->closed, 1, "closed");
    end_free(end);
    buf_free(&in);
}

/* 5 MB go through a pipe of 1 MiB at most: partial writes and partial reads. */
static void test_big(void)
{
    size_t len = 5000000;
    uint8_t *body = pattern(len, 1);
    struct end *a, *b;

    pair_new(&a, &b, &roomy);
    send_body(a, "before", 6);
    is_int(send_body(a, body, len), 0, "a message of 5 MB");
    send_body(a, "after", 5);
    is_int(link_flush(a->link), 1, "does not go at once");
    ok(link_queued(a->link) > 3000000, "most of it waits");
    until(b, 3);
    ok(b->got.len == len + 11 && memcmp(b->got.data, "before", 6) == 0 &&
           memcmp(b->got.data + 6, body, len) == 0 &&
           memcmp(b->got.data + 6 + len, "after", 5) == 0,
       "and arrives whole, between its neighbours");
    is_int(link_queued(a->link), 0, "nothing left");
    send_body(a, "small", 5);
    until(b, 4);
    is_int(b->messages, 4, "the link goes on");
    end_free(a);
    end_free(b);
    free(body);
}

/* Sizes of all kinds, both ways at once, through the smallest of pipes. */
static void test_mixed(void)
{
    struct buf sent[2] = {{0}, {0}};
    uint8_t *body = pattern(300000, 2);
    unsigned seed = 3;
    int there[2], back[2], refused = 0;
    struct end *a, *b;

    pipe_new(there);
    pipe_new(back);
    a = end_new(back[0], there[1], &roomy);
    b = end_new(there[0], back[1], &roomy);
    fcntl(there[1], F_SETPIPE_SZ, 4096);
    fcntl(back[1], F_SETPIPE_SZ, 4096);
    for (int i = 0; i < 400; i++) {
        size_t len = (seed = seed * 1103515245 + 12345) >> 16;

        len = i % 50 == 7 ? len * 4 % 300000 : i % 3 ? len % 100 : len % 9000;
        for (int k = 0; k < 2; k++) {
            refused += send_body(k ? b : a, body + i + k, len) != 0;
            buf_put(&sent[k], body + i + k, len);
        }
        if (i % 5 == 0)
            turn();
    }
    until(a, 400);
    until(b, 400);
    is_int(refused, 0, "400 messages each way taken");
    ok(b->got.len == sent[0].len && memcmp(b->got.data, sent[0].data, sent[0].len) == 0, "there");
    ok(a->got.len == sent[1].len && memcmp(a->got.data, sent[1].data, sent[1].len) == 0, "back");
    end_free(a);
    end_free(b);
    buf_free(&sent[0]);
    buf_free(&sent[1]);
    free(body);
}

static void test_queue_full(void)
{
    static const struct link_options tight = {1 << 20, 100000, 256 << 10};
    static uint8_t body[1000];
    int ends[2], taken = 0;
    struct end *a, *b;
    uint64_t since;

    pipe_new(ends);
    a = end_new(-1, ends[1], &tight);
    is_int(link_send(a->link, body, 100001), -1, "more than the queue holds is refused");
    while (taken < 5000 && send_body(a, body, sizeof(body)) == 0)
        taken++;
    ok(taken > 150 && taken < 5000, "a pipe and a queue take so much (%d), then refuse", taken);
    ok(link_queued(a->link) <= 100000 && link_queued(a->link) > 98000, "the queue is full");
    is_int(send_body(a, body, sizeof(body)), -1, "and stays so");
    since = link_stalled_since(a->link);
    ok(since > 0 && since <= clock_ms(), "stalled since some time");
    usleep(15000);
    turns(3);
    ok(link_stalled_since(a->link) == since, "and still, without progress");
    is_int(a->closed, 0, "a full queue is not an error of the link");

    b = end_new(ends[0], -1, &roomy);
    turns(2);
    ok(link_stalled_since(a->link) == 0 || link_stalled_since(a->link) > since,
       "a reader that goes on is progress");
    until(b, taken);
    is_int(b->messages, taken, "what was taken arrives");
    is_int(link_stalled_since(a->link), 0, "no longer stalled");
    is_int(send_body(a, "more", 4), 0, "room again");
    until(b, taken + 1);
    is_int(b->messages, taken + 1, "it arrives as well");
    end_free(a);
    end_free(b);
}

/* To the last byte: nobody reads, so what is sent need be no message. */
static void test_queue_filled(void)
{
    static const struct link_options tight = {1 << 20, 100000, 256 << 10};
    static uint8_t bytes[100001];
    int ends[2], n = 0;
    struct end *a;
    size_t rest;

    pipe_new(ends);
    a = end_new(-1, ends[1], &tight);
    is_int(link_send(a->link, bytes, 100001), -1, "more than the queue holds");
    is_int(link_send(a->link, bytes, 100000), 0, "is a byte more than this");
    while (link_send(a->link, bytes, 1000) == 0 && n < 5000)
        n++;
    rest = 100000 - link_queued(a->link);
    ok(n < 5000 && rest < 1000, "the pipe is full, and %zu bytes are left in the queue", rest);
    is_int(link_send(a->link, bytes, rest + 1), -1, "one more is refused");
    is_int(link_send(a->link, bytes, rest), 0, "they are not");
    is_int(link_queued(a->link), 100000, "and fill it");
    is_int(link_send(a->link, bytes, 1), -1, "then not one is taken");
    end_free(a);
    close(ends[0]);
}

/* More than a queue in one turn is no reason to refuse while the pipe takes it. */
static void test_queue_flushes_when_full(void)
{
    static const struct link_options tight = {1 << 20, 5000, 256 << 10};
    static uint8_t body[1000];
    struct end *a, *b;
    int refused = 0;

    pair_new(&a, &b, &tight);
    for (int i = 0; i < 40; i++)
        refused += send_body(a, body, sizeof(body)) != 0;
    is_int(refused, 0, "40 kB through a queue of 5 kB in one turn");
    until(b, 40);
    is_int(b->messages, 40, "arrive");
    end_free(a);
    end_free(b);
}

static void test_one_turn(void)
{
    int ends[2];
    struct end *a, *b;
    struct buf want = {0};
    char byte;

    pipe_new(ends);
    a = end_new(-1, ends[1], &roomy);
    for (int i = 0; i < 1000; i++) {
        char text[16];
        int n = snprintf(text, sizeof(text), "%d,", i);

        send_body(a, text, (size_t)n);
        buf_put(&want, text, (size_t)n);
    }
    is_int(read(ends[0], &byte, 1), -1, "nothing leaves before the turn ends");
    turn();
    is_int(link_queued(a->link), 0, "then everything does");
    b = end_new(ends[0], -1, &roomy);
    turn();
    is_int(b->messages, 1000, "1000 messages are read in one turn");
    is_int(b->batches, 1, "in one batch");
    is_mem(b->got.data, b->got.len, want.data, want.len, "in their order");
    send_body(a, "x", 1);
    is_int(link_flush(a->link), 0, "flush");
    is_int(link_queued(a->link), 0, "needs no turn");
    turn();
    is_int(b->messages, 1001, "and it arrives");
    buf_free(&want);
    end_free(a);
    end_free(b);
}

static void test_turn_bytes(void)
{
    static const struct link_options patient = {1 << 20, 1 << 20, 1};
    static uint8_t body[8000];
    struct end *a, *b;
    int most = 0;

    pair_new(&a, &b, &patient);
    for (int i = 0; i < 50; i++)
        send_body(a, body, sizeof(body));
    for (int i = 0; b->messages < 50 && i < 100; i++) {
        int before = b->messages;

        turn();
        most = b->messages - before > most ? b->messages - before : most;
    }
    is_int(b->messages, 50, "all are read");
    ok(most <= 9, "a turn reads 64 kB at most here (%d messages)", most);
    ok(b->batches >= 6, "with a batch a turn (%d)", b->batches);
    end_free(a);
    end_free(b);
}

static void test_peer_closes(void)
{
    struct end *a, *b;
    int ends[2];

    pair_new(&a, &b, &roomy);
    send_body(a, "last words", 10);
    link_flush(a->link);
    end_free(a);
    turns(5);
    is_mem(b->got.data, b->got.len, "last words", 10, "what was sent before is read");
    is_int(b->closed, 1, "then closed is called, once");
    is_str(b->why, "closed by peer", "why");
    is_int(link_peer_closed(b->link), 1, "which a program can ask for");
    is_int(send_body(b, "x", 1), -1, "a closed link refuses to send");
    is_int(link_flush(b->link), -1, "or to flush");
    link_read_enable(b->link, 0);
    link_read_enable(b->link, 1);
    turns(5);
    is_int(b->closed, 1, "still once");
    end_free(b);

    pipe_new(ends);
    b = end_new(ends[0], -1, &roomy);
    b->free_closed = 1;
    is_int(link_peer_closed(b->link), 0, "an open link");
    if (write(ends[1], "\5\0\0\0\1", 5) != 5)
        abort();
    close(ends[1]);
    turns(5);
    is_int(b->closed, 1, "closed in the middle");
    is_str(b->why, "closed within a message", "why");
    ok(b->link == NULL, "freed from within closed()");
    end_free(b);
}

/* A broken pipe is found where closed() must not be called: in send and flush. */
static void test_reader_gone(void)
{
    struct end *a;
    int ends[2];

    pipe_new(ends);
    a = end_new(-1, ends[1], &roomy);
    a->free_closed = 1;
    close(ends[0]);
    is_int(send_body(a, "x", 1), 0, "send to nobody");
    is_int(link_flush(a->link), -1, "flush notices");
    is_int(a->closed, 0, "but does not call closed()");
    is_int(link_flush(a->link), -1, "not even the second time");
    turn();
    is_int(a->closed, 1, "the loop does");
    is_str(a->why, "closed by peer", "why");
    turns(3);
    is_int(a->closed, 1, "once");
    end_free(a);

    pipe_new(ends);
    a = end_new(-1, ends[1], &roomy);
    for (int i = 0; i < 3; i++) {
        uint8_t *body = pattern(1 << 20, 1);

        send_body(a, body, 1 << 20);
        free(body);
    }
    turns(3);
    is_int(a->closed, 0, "a full pipe waits");
    close(ends[0]);
    turns(3);
    is_int(a->closed, 1, "until its reader goes");
    end_free(a);
}

static void check_malformed(const char *name, const void *bytes, size_t len, int refuse)
{
    static const struct link_options small = {1000, 1000, 1 << 20};
    struct end *end;
    struct buf in = {0};
    int ends[2];

    pipe_new(ends);
    end = end_new(ends[0], -1, &small);
    end->refuse = refuse;
    end->free_closed = 1;
    put(&in, "good", 4);
    buf_put(&in, bytes, len);
    put(&in, "never", 5);
    if (write(ends[1], in.data, in.len) != (ssize_t)in.len)
        abort();
    turns(5);
    is_int(end->closed, 1, name);
    is_str(end->why, "malformed message", "why");
    is_mem(end->got.data, end->got.len, "good", 4, "what came before was taken, the rest not");
    is_int(end->batch_at_close, 1, "and its batch ended first");
    close(ends[1]);
    buf_free(&in);
    end_free(end);
}

static void test_pause(void)
{
    struct end *a, *b;

    pair_new(&a, &b, &roomy);
    b->pause = 2;
    for (int i = 0; i < 5; i++)
        send_body(a, &"12345"[i], 1);
    turns(5);
    is_mem(b->got.data, b->got.len, "12", 2, "paused in the second message");
    send_body(a, "6", 1);
    turns(5);
    is_int(b->messages, 2, "nothing more is read");
    link_read_enable(b->link, 1);
    is_int(b->messages, 2, "not from within link_read_enable either");
    turns(5);
    is_mem(b->got.data, b->got.len, "123456", 6, "all the rest when it goes on");
    b->pause = 9;
    for (int i = 0; i < 3; i++)
        send_body(a, &"789"[i], 1);
    turns(5);
    end_free(a);
    turns(5);
    is_int(b->closed, 0, "paused, it does not see the end");
    link_read_enable(b->link, 1);
    turns(5);
    is_int(b->closed, 1, "but when it goes on");
    end_free(b);
}

/* What is not to be taken yet is the first that comes when reading goes on. */
static void test_held(void)
{
    struct end *a, *b;

    pair_new(&a, &b, &roomy);
    b->hold = 2;
    for (int i = 0; i < 3; i++)
        send_body(a, &"123"[i], 1);
    turns(5);
    is_mem(b->got.data, b->got.len, "1", 1, "the second is held");
    is_int(b->hold, 1, "and not handed over again before it goes on");
    link_read_enable(b->link, 1);
    turns(5);
    is_int(b->hold, 0, "then it is, and held once more");
    is_mem(b->got.data, b->got.len, "1", 1, "with what is behind it");
    link_read_enable(b->link, 1);
    turns(5);
    is_mem(b->got.data, b->got.len, "123", 3, "at last it is taken, once, in order, at once");
    end_free(a);
    end_free(b);
}

/* Memory that is out for a while costs nothing but that time. */
static void test_starved(void)
{
    enum { BIG = 1 << 20 };
    uint8_t *body = pattern(BIG, 7);
    struct end *a, *b;
    uint64_t start = clock_ms();

    pair_new(&a, &b, &roomy);
    b->starve = 2;
    for (int i = 0; i < 3; i++)
        send_body(a, &"123"[i], 1);
    until(b, 3);
    is_int(b->starve, 0, "no memory to take a message, twice");
    is_mem(b->got.data, b->got.len, "123", 3, "it comes again, is taken once, and in order");
    ok(clock_ms() - start >= 190, "but not again and again");
    buf_reset(&b->got);
    send_body(a, body, BIG);
    link_flush(a->link);
    start = clock_ms();
    nomem = 3;
    until(b, 4);
    is_int(nomem, 0, "no memory to read, three times");
    is_mem(b->got.data, b->got.len, body, BIG, "what waited comes whole");
    ok(clock_ms() - start >= 190, "that takes a while"); /* one may have been the sender's */
    b->messages = 1;
    b->starve = 1;
    send_body(a, "4", 1);
    turns(3);
    link_read_enable(b->link, 0);
    start = clock_ms();
    while (clock_ms() - start < 150)
        turn();
    is_int(b->messages, 1, "a pause lasts beyond that");
    link_read_enable(b->link, 1);
    until(b, 2);
    is_int(b->messages, 2, "until it is over");
    is_int(b->closed, 0, "and the link has never failed");
    end_free(a);
    end_free(b);
    free(body);
}

/* What is short can be said without memory: there is some from the start, and more
 * when the pipe has taken what waits. */
static void test_send_starved(void)
{
    struct buf out = {0}, large = {0};
    static char body[5000];
    struct end *a, *b;

    pair_new(&a, &b, &roomy);
    put(&out, body, 1000);
    put(&large, body, sizeof(body));
    nomem = 1000;
    for (int i = 0; i < 20; i++)
        is_int(link_send(a->link, out.data, out.len), 0, "a message without memory");
    is_int(link_send(a->link, large.data, large.len), -1, "not one that is too long");
    nomem = 0;
    until(b, 20);
    is_int(b->messages, 20, "they come");
    is_int(link_send(a->link, large.data, large.len), 0, "and the long one, when there is memory");
    until(b, 21);
    is_int(b->messages, 21, "comes too");
    buf_free(&out);
    buf_free(&large);
    end_free(a);
    end_free(b);
}

static void test_new(void)
{
    struct end nobody = {0};
    struct link *none = NULL;
    int ends[2];

    pipe_new(ends);
    fcntl(ends[0], F_SETFL, 0);
    nobody.link = link_new(base, ends[0], ends[1], &roomy, &ops, &nobody);
    ok(nobody.link != NULL, "a link to itself");
    ok(fcntl(ends[0], F_GETFL) & O_NONBLOCK, "does not block");
    ok(fcntl(ends[0], F_GETFD) & FD_CLOEXEC, "is closed on exec");
    send_body(&nobody, "self", 4);
    turns(2);
    is_mem(nobody.got.data, nobody.got.len, "self", 4, "hears itself");
    send_body(&nobody, "never", 5);
    link_free(&nobody.link);
    ok(nobody.link == NULL && fcntl(ends[0], F_GETFD) < 0 && fcntl(ends[1], F_GETFD) < 0,
       "free closes the descriptors, with something queued");
    turns(2);
    link_free(&none);
    ok(link_new(base, ends[0], ends[1], &roomy, &ops, &nobody) == NULL, "no link on closed ones");
    buf_free(&nobody.got);
}

/* libevent tells stderr of each failure that a test makes. */
static void quiet(int severity, const char *text)
{
    (void)severity;
    (void)text;
}

int main(void)
{
    event_set_log_callback(quiet);
    signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    if (base == NULL)
        return 1;
    test_new();
    test_round_trip();
    test_byte_by_byte();
    test_big();
    test_mixed();
    test_queue_full();
    test_queue_filled();
    test_queue_flushes_when_full();
    test_one_turn();
    test_turn_bytes();
    test_peer_closes();
    test_reader_gone();
    check_malformed("length 0", "\0\0\0\0", 4, 0);
    check_malformed("length above message_max", "\xe9\3\0\0", 4, 0);
    check_malformed("a type that its handler refuses", "\1\0\0\0\x41", 5, 0);
    check_malformed("a message that its handler refuses", "", 0, 2);
    test_pause();
    test_held();
    test_starved();
    test_send_starved();
    event_base_free(base);
    libevent_global_shutdown();
    return tap_done();
}
