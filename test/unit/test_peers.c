/* Connections that are handed to other workers and taken from them, over real sockets; the
 * engine that takes them is made up here. */
#include "engine/engine.h"
#include "ipc/handoff.h"
#include "ipc/start.h"
#include "log_file.h"
#include "tap.h"
#include "worker/peers.h"
#include "worker/stats.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONN_BYTES (offsetof(struct handoff_conn, told) + 1) /* without what pads it */

/* --- the engine --- */

static int adopted, adopted_orphans, adopt_fails;
static char adopted_bytes[64];
static struct handoff_conn adopted_conn;

int engine_adopt(struct engine *engine, int fd, const struct handoff_conn *known, const void *bytes,
                 size_t len, int orphan)
{
    (void)engine;
    if (adopt_fails)
        return -1;
    adopted++;
    adopted_orphans += orphan;
    adopted_conn = *known;
    snprintf(adopted_bytes, sizeof(adopted_bytes), "%.*s", (int)len, (const char *)bytes);
    close(fd);
    return 0;
}

/* --- lanes --- */

static const struct handoff_conn sent = {
    .peer = {.ip = {0x20, 0x01, 0x0d, 0xb8, [15] = 7}, .port = 51234}, .known = 1, .secure = 1};

enum { OWN = 0, NEAR = 1, LATER = 300, GONE = 7 };

static int lane_read[START_LANES], lane_write[START_LANES]; /* -1: not made */
static int master_read, master_write;                       /* where new lanes are told */
static struct worker_start start;
static struct worker_stats stats;
static struct event_base *base;
static struct peers *peers;

static void lane_make(unsigned lane)
{
    if (handoff_pair(&lane_read[lane], &lane_write[lane]) < 0)
        abort();
}

/* With the worker's own lane, and one that it knows from the start. */
static void begin(void)
{
    for (unsigned i = 0; i < START_LANES; i++)
        lane_read[i] = lane_write[i] = -1;
    lane_make(OWN);
    lane_make(NEAR);
    if (handoff_pair(&master_read, &master_write) < 0)
        abort();
    start = (struct worker_start){.handoff_fd = lane_read[OWN],
                                  .peers_fd = master_read,
                                  .handoff_fds = lane_write,
                                  .nhandoff = START_LANES};
    memset(&stats, 0, sizeof(stats));
    adopted = adopted_orphans = adopt_fails = 0;
    peers = peers_new(base, &start, NULL, &stats);
}

static void end(void)
{
    peers_free(&peers);
    for (unsigned i = 0; i < START_LANES; i++) {
        if (lane_read[i] >= 0)
            close(lane_read[i]);
        if (lane_write[i] >= 0)
            close(lane_write[i]);
    }
    close(master_read);
    if (master_write >= 0)
        close(master_write);
    log_begin();
}

/* The master tells of lanes from first on. */
static void announce(unsigned first, const int *fds, size_t n)
{
    if (handoff_send_peers(master_write, first, fds, n) < 0)
        abort();
}

static void turn(void)
{
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static int hand(uint32_t lane, const char *bytes)
{
    return peers_handoff(peers, lane, STDERR_FILENO, &sent, bytes, strlen(bytes));
}

/* The next that has come to that lane; "" if none has. */
static const char *came(unsigned lane)
{
    static uint8_t bytes[HANDOFF_MAX_BYTES + 1];
    struct handoff_conn got;
    size_t len = 0;
    int fd, kind = handoff_receive(lane_read[lane], &fd, &got, bytes, &len);

    if (kind > 0) {
        close(fd);
        if (memcmp(&got, &sent, CONN_BYTES) != 0)
            return "another's";
    }
    bytes[kind == HANDOFF_CONNECTION ? len : 0] = '\0';
    return (const char *)bytes;
}

static int descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (dir != NULL && readdir(dir) != NULL)
        n++;
    if (dir != NULL)
        closedir(dir);
    return n;
}

/* --- tests --- */

static void test_alone(void)
{
    start = (struct worker_start){.handoff_fd = -1, .peers_fd = -1};
    peers = peers_new(base, &start, NULL, &stats);
    ok(peers != NULL, "a worker that is alone");
    is_int(hand(0, "x"), -1, "hands nothing on");
    peers_set_successors(peers, 256, 2);
    is_int(peers_have_successors(peers), 0, "has no successors");
    is_int(hand(HTTP_SUCCESSOR, "x"), -1, "and hands nothing to them");
    peers_free(&peers);
    ok(peers == NULL, "freed");
    peers_free(&peers);
}

static void test_to(void)
{
    int second[2];

    begin();
    is_int(hand(NEAR, "hello"), 0, "to one that is known");
    is_str(came(NEAR), "hello", "it comes with its bytes");
    is_int(hand(NEAR, ""), 0, "or without");
    is_int(hand(LATER, "x"), -1, "to one that is not");
    is_int(hand(START_LANES, "x"), -1, "the last lane is the one before");
    is_int(hand(UINT32_MAX - 1, "x"), -1, "nor is there one far behind");
    lane_make(LATER);
    lane_make(START_LANES - 1);
    announce(LATER, &lane_write[LATER], 1);
    is_int(hand(LATER, "at once"), 0, "the master told of it, this turn");
    is_str(came(LATER), "at once", "it comes");
    announce(START_LANES - 1, &lane_write[START_LANES - 1], 1);
    turn();
    is_int(hand(START_LANES - 1, "last"), 0, "the last lane");
    is_str(came(START_LANES - 1), "last", "it comes, too");

    /* What is told twice, or of no lane, is closed: its reader sees the end. */
    if (handoff_pair(&second[0], &second[1]) < 0)
        abort();
    announce(NEAR, &second[1], 1);
    announce(START_LANES, &second[1], 1);
    close(second[1]);
    turn();
    int fd;
    size_t len;
    struct handoff_conn got;
    static uint8_t bytes[HANDOFF_MAX_BYTES];
    is_int(handoff_receive(second[0], &fd, &got, bytes, &len), -1, "nothing came");
    is_int(errno, EPIPE, "and nobody has its end");
    close(second[0]);
    is_int(hand(NEAR, "still"), 0, "the first one stays");
    is_str(came(NEAR), "", "(the one without bytes)");
    is_str(came(NEAR), "still", "in use");
    is_int(logged("warn"), 0, "all that is no cause for a warning");

    send(master_write, "x", 1, 0);
    is_int(hand(GONE, "x"), -1, "what is malformed tells of no lane");
    is_int(logged("handoff dropped: times=1: "), 1, "and is logged");
    end();
}

/* Until its socket takes no more.  Returns how many that were. */
static int fill(unsigned lane)
{
    static char big[100000];
    int n = 0;

    memset(big, 'x', sizeof(big) - 1);
    while (hand(lane, big) == 0)
        n++;
    return n;
}

static void test_successors(void)
{
    static const char *const names[] = {"a", "b", "c", "d"};

    begin();
    is_int(peers_have_successors(peers), 0, "none at first");
    is_int(hand(HTTP_SUCCESSOR, "x"), -1, "and nothing for them");
    for (unsigned i = 0; i < 3; i++)
        lane_make(LATER + i);
    announce(LATER, &lane_write[LATER], 3);
    peers_set_successors(peers, LATER, 3);
    is_int(peers_have_successors(peers), 1, "three");
    for (int i = 0; i < 4; i++)
        is_int(hand(HTTP_SUCCESSOR, names[i]), 0, "to one of them");
    is_str(came(LATER), "a", "in turn");
    is_str(came(LATER + 1), "b", "one behind");
    is_str(came(LATER + 2), "c", "the other");
    is_str(came(LATER), "d", "and again");
    ok(fill(LATER + 1) > 0, "one is full");
    is_int(hand(LATER + 1, "x"), 1, "it takes nothing now");
    is_int(hand(HTTP_SUCCESSOR, "e"), 0, "then it is another's turn");
    is_str(came(LATER + 2), "e", "the next one's");
    fill(LATER);
    fill(LATER + 2);
    is_int(hand(HTTP_SUCCESSOR, "x"), 1, "all are full");
    peers_set_successors(peers, LATER, 0);
    is_int(peers_have_successors(peers), 0, "none any more");
    is_int(hand(HTTP_SUCCESSOR, "x"), -1, "nobody");
    peers_set_successors(peers, GONE, 1);
    is_int(hand(HTTP_SUCCESSOR, "x"), -1, "one that has no lane yet");
    end();
}

static void test_from(void)
{
    int before;

    begin();
    before = descriptors();
    for (int i = 0; i < 20; i++)
        handoff_send(lane_write[OWN], i == 0 ? HANDOFF_ORPHAN : HANDOFF_CONNECTION, STDERR_FILENO,
                     &sent, "GET", 3);
    turn();
    is_int(adopted, 16, "so many in one turn of the loop");
    is_str(adopted_bytes, "GET", "with their bytes");
    is_mem(&adopted_conn, CONN_BYTES, &sent, CONN_BYTES, "and what is known of them");
    turn();
    is_int(adopted, 20, "and the others in the next");
    is_int(adopted_orphans, 1, "an orphan is told as one");
    is_int((long)stats.handoffs_lost, 0, "none is lost");

    adopt_fails = 1;
    handoff_send(lane_write[OWN], HANDOFF_CONNECTION, STDERR_FILENO, &sent, "GET", 3);
    turn();
    is_int((long)stats.handoffs_lost, 1, "one that the engine does not take is lost");
    is_int(descriptors(), before, "and closed");
    adopt_fails = 0;
    send(lane_write[OWN], "x", 1, 0);
    handoff_send(lane_write[OWN], HANDOFF_CONNECTION, STDERR_FILENO, &sent, "GET", 3);
    turn();
    is_int((long)stats.handoffs_lost, 2, "so is what is malformed");
    is_int(adopted, 21, "what comes behind it is not");
    is_int(descriptors(), before, "all are closed");
    end();
}

static void test_master_gone(void)
{
    begin();
    is_int(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 2, "both are waited for");
    close(master_write);
    master_write = -1;
    turn();
    is_int(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 1,
           "the master's end is not looked at for ever");
    is_int(hand(LATER, "x"), -1, "no lane comes any more");
    handoff_send(lane_write[OWN], HANDOFF_CONNECTION, STDERR_FILENO, &sent, "GET", 3);
    turn();
    is_int(adopted, 1, "connections do");
    is_int(logged("\n"), 0, "the link tells of it, not this");
    end();
}

int main(void)
{
    log_begin_at(LOG_LEVEL_WARN);
    base = event_base_new();
    test_alone();
    test_to();
    test_successors();
    test_from();
    test_master_gone();
    event_base_free(base);
    log_end();
    return tap_done();
}
