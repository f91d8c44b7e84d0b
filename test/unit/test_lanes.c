/* Lanes whose workers are made up: the test reads what would have reached them. */
#include "master/lanes.h"

#include "ipc/handoff.h"
#include "ipc/start.h"

#include "tap.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>

#define CONN_BYTES (offsetof(struct handoff_conn, told) + 1) /* without what pads it */

static struct event_base *base;
static struct lanes *lanes;
static unsigned char serves[START_LANES];

static int on_serves(unsigned lane, void *arg)
{
    (void)arg;
    return serves[lane];
}

static const struct lanes_ops ops = {on_serves};

static void begin(unsigned first_half, unsigned second_half)
{
    memset(serves, 0, sizeof(serves));
    lanes = lanes_new(base, &ops, NULL);
    if (lanes == NULL || lanes_open(lanes, 0, first_half) < 0 ||
        lanes_open(lanes, 1, second_half) < 0)
        abort();
}

static const struct handoff_conn sent = {
    .peer = {.ip = {[10] = 0xff, 0xff, 192, 0, 2, 1}, .port = 4711}, .known = 1, .carried = 1};

/* A connection for that lane; the other end of it is returned. */
static int send_to(unsigned lane, const char *text)
{
    int ends[2];

    if (pipe2(ends, O_NONBLOCK) < 0 || handoff_send(lanes_writers(lanes)[lane], HANDOFF_CONNECTION,
                                                    ends[1], &sent, text, strlen(text)) < 0)
        abort();
    close(ends[1]);
    return ends[0];
}

/* What the worker in that lane reads: "2 hello", or "" for nothing. */
static const char *gets(unsigned lane)
{
    static uint8_t bytes[HANDOFF_MAX_BYTES];
    static char text[64];
    struct handoff_conn got;
    size_t len = 0;
    int fd = -1, kind = handoff_receive(lanes_reader(lanes, lane), &fd, &got, bytes, &len);

    text[0] = '\0';
    if (kind > 0) {
        int same = memcmp(&got, &sent, CONN_BYTES) == 0;
        snprintf(text, sizeof(text), "%d %.*s%s", kind, (int)len, (const char *)bytes,
                 same ? "" : ", of another");
        close(fd);
    }
    return text;
}

static int is_closed(int fd)
{
    char byte;
    int closed = read(fd, &byte, 1) == 0;

    close(fd);
    return closed;
}

static void turn(void)
{
    event_base_loop(base, EVLOOP_NONBLOCK);
}

static void test_orphans(void)
{
    int fd;

    begin(3, 1);
    serves[1] = serves[2] = 1;
    close(send_to(0, "hello"));
    turn();
    is_str(gets(0), "1 hello", "a worker that lives gets its own");
    lanes_vacant(lanes, 0);
    close(send_to(0, "one"));
    close(send_to(0, "two"));
    close(send_to(0, "three"));
    turn();
    is_str(gets(1), "2 one", "what is for one that has gone goes to others, as an orphan");
    is_str(gets(2), "2 two", "in turn");
    is_str(gets(1), "2 three", "all of it");
    serves[1] = serves[2] = 0;
    fd = send_to(0, "four");
    turn();
    ok(is_closed(fd), "where nobody serves it is closed");
    serves[256] = 1;
    close(send_to(0, "five"));
    turn();
    is_str(gets(256), "2 five", "the other generation serves, too");
    lanes_taken(lanes, 0);
    close(send_to(0, "six"));
    turn();
    is_str(gets(0), "1 six", "the next worker in the lane gets what comes then");
    lanes_free(&lanes);
    ok(lanes == NULL, "freed");
}

/* As many as in one turn, and one more. */
static void test_batch(void)
{
    int n = 0;

    begin(2, 0);
    serves[1] = 1;
    lanes_vacant(lanes, 0);
    for (int i = 0; i < 17; i++)
        close(send_to(0, "x"));
    event_base_loop(base, EVLOOP_ONCE);
    while (gets(1)[0] != '\0')
        n++;
    is_int(n, 16, "so many before the loop gets its turn");
    event_base_loop(base, EVLOOP_ONCE);
    is_str(gets(1), "2 x", "the rest in the next one");
    lanes_free(&lanes);
}

static void test_end(void)
{
    begin(2, 0);
    serves[1] = 1;
    lanes_end(lanes);
    lanes_vacant(lanes, 0);
    close(send_to(0, "late"));
    turn();
    is_str(gets(1), "", "where all leave nobody gets orphans");
    is_str(gets(0), "1 late", "they stay where they are");
    lanes_free(&lanes);
}

/* Receives all that has been told: "256+2 0+1". */
static const char *hears(int fd)
{
    static char text[256];
    int fds[HANDOFF_PEERS_MAX];
    unsigned first;
    size_t n, at = 0;

    text[0] = '\0';
    while (handoff_receive_peers(fd, &first, fds, &n) > 0) {
        for (size_t i = 0; i < n; i++)
            close(fds[i]);
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%u+%zu", at ? " " : "", first, n);
    }
    return text;
}

static void test_known(void)
{
    int reader, writer;
    struct lanes_known known;

    begin(1, 0);
    if (handoff_pair(&reader, &writer) < 0)
        abort();
    known = lanes_known(lanes);
    ok(known.n[0] == 1 && known.n[1] == 0, "a worker knows the lanes there are at its fork");
    is_int(lanes_tell(lanes, writer, &known), 0, "nothing is new");
    is_str(hears(reader), "", "and nothing is told");
    lanes_open(lanes, 0, 2);
    lanes_open(lanes, 1, HANDOFF_PEERS_MAX + 1);
    is_int(lanes_tell(lanes, writer, &known), 0, "more are made");
    is_str(hears(reader), "1+1 256+128 384+1", "it hears of each, and of so many at a time");
    is_int(lanes_tell(lanes, writer, &known), 0, "again");
    is_str(hears(reader), "", "of none twice");
    lanes_open(lanes, 0, 1);
    ok(lanes_known(lanes).n[0] == 2, "fewer workers take no lane away");
    lanes_open(lanes, 0, 3);
    close(reader);
    is_int(lanes_tell(lanes, writer, &known), 0, "one that has gone is no fault");
    is_int(lanes_tell(lanes, -1, &known), -1, "another error is");
    close(writer);
    lanes_free(&lanes);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    test_orphans();
    test_batch();
    test_end();
    test_known();
    event_base_free(base);
    return tap_done();
}
