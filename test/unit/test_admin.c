/* The admin address on a loopback socket, with workers that are played. */
#include "master/admin.h"

#include "base/clock.h"
#include "base/log.h"
#include "loopback.h"
#include "master/caller.h"
#include "master/stats.h"
#include "tap.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <sys/socket.h>

#define WAIT_MS 10000

static const char metrics[] = "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n";
static struct event_base *base;
static struct stats *stats;
static struct admin *admin;
static int port;
static int up = 1, subscribed = 1, stopping, recovering;
static int finding; /* there are sentinels */
static int silent;  /* workers do not answer */
static int full;    /* they have no place for a client */
static char asked_uid[600];

/* --- what the master knows, and a worker that answers ------------------------------ */

static void on_ask(unsigned lane, uint32_t id, void *arg)
{
    static const struct worst worst[] = {
        {.len = 8, .id = {0x20, 1, 0xd, 0xb8}, .n = {[WORST_REFUSED] = 1}},
        {.len = 4, .id = {192, 0, 2, 7}, .n = {1, 2, 3, 4, 5, 6, 7}}};
    struct counters counters = {{0}};

    (void)arg;
    counters.at[COUNTER_CLIENTS] = 3;
    counters.at[COUNTER_CONNECTS] = 10;
    counters.at[COUNTER_CONNECTIONS] = 7;
    counters.at[COUNTER_LIMIT] = 20;
    counters.at[COUNTER_FULL] = (uint64_t)full;
    counters.at[COUNTER_STRANGERS] = 2;
    counters.at[COUNTER_STRANGERS + 1] = counters.at[COUNTER_STRANGERS + 2] = 1;
    counters.at[COUNTER_STRANGERS_LIMIT] = 5;
    counters.at[COUNTER_EVICTED + 1] = 8;
    counters.at[COUNTER_LATENCY] = 4;
    counters.at[COUNTER_LATENCY + 1] = 5;
    counters.at[COUNTER_LATENCY_LAST] = 1500000;
    stats_worst_told(stats, lane, worst, 2);
    if (!silent)
        stats_told(stats, lane, id, &counters);
}

static const struct stats_ops stats_ops = {on_ask};

static char one[] = "one.example", any[] = "*.one.example", other[] = "two.example",
            kind[] = "ECDSA P-256";
static char *names[] = {one, any, NULL}, *first[] = {one, NULL}, *second[] = {other, NULL};
static struct conf_certificate certificates[] = {
    {.names = names, .kind = kind},
    {.names = first, .kind = kind},
    {.names = second, .kind = kind},
};
static struct conf_tls tls;

static void on_status(struct status *status, void *arg)
{
    (void)arg;
    status->tls = &tls;
    status->certificates = (struct certificates_stats){61, 62};
    status->uptime_ms = 61007;
    status->generation = 3;
    status->users = 2;
    status->rooms = 4;
    status->memberships = 9;
    status->stopping = stopping;
    if (finding) {
        static char name[] = "m\"1", host[] = "::1";
        static struct conf_redis server = {.name = name, .host = host, .port = 7};

        status->sentinels = (struct finder_stats){3, 2, 71};
        status->redis_server = &server;
    }
    status->redis_subscribed = subscribed;
    status->commands.is_ready = 1;
    status->redis.gap_ms = 1234;
    status->relay.dropped[EMIT_MALFORMED] = 6;
    status->recovery = (struct recovery_stats){
        .is_on = recovering,
        .is_shared = recovering,
        .max_bytes = 2000,
        .sessions = 31,
        .gone = 32,
        .forgotten = 33,
        .history = {.bytes = 41, .entries = 42, .age_ms = 43210, .cuts = 44, .crowded = 45},
        .resume = {.recovered = 51,
                   .takeovers = 52,
                   .asked = 53,
                   .answered = 54,
                   .silent = 55,
                   .dropped = 56,
                   .waiting = 57}};
    for (unsigned i = 0; i < RESUME_REFUSALS; i++)
        status->recovery.resume.refused[i] = 1 + i;
    status->nworkers = status->numbers = 2;
    status->workers[0] = (struct status_worker){.number = 1, .up = up, .restarts = 5};
    status->workers[1] = (struct status_worker){.number = 2, .up = 0, .queued = 77};
}

static void on_user(struct slice uid, struct status_user *user, void *arg)
{
    static const struct slice rooms[] = {{"all", 3}, {"\xff-1.5", 5}, {"1", 1}, {"\"\n", 2}};

    (void)arg;
    snprintf(asked_uid, sizeof(asked_uid), "%.*s", (int)uid.len, uid.ptr);
    if (slice_eq(uid, SLICE("nobody")))
        return;
    user->connections = 2;
    if (slice_eq(uid, SLICE("ann")) && slices_put(&user->rooms, uid) < 0)
        abort();
    for (size_t i = 0; slice_eq(uid, SLICE("bob")) && i < 4; i++)
        if (slices_put(&user->rooms, rooms[i]) < 0)
            abort();
    user->has_more = slice_eq(uid, SLICE("bob"));
}

static const struct admin_ops ops = {.status = on_status, .user = on_user};

static void begin(void)
{
    struct listeners listeners = {0};
    struct sockaddr_in addr;
    socklen_t len = sizeof(addr);
    struct buf error = {0};

    if (admin_open(&listeners, "127.0.0.1", 0, NULL, &error) < 0)
        exit(1);
    getsockname(listeners.fds[0], (struct sockaddr *)&addr, &len);
    port = ntohs(addr.sin_port);
    admin = admin_new(base, &listeners, stats, NULL, &ops, NULL);
    ok(admin && listeners.n == 0, "it takes the sockets");
    ok(error.data == NULL, "what has no error needs no memory for one");
}

/* --- a caller ---------------------------------------------------------------------- */

static int call(void)
{
    return loopback_dial(port);
}

static void put(int fd, const char *bytes, size_t len)
{
    if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        perror("# send");
}

/* All that comes up to the end.  NULL: the end does not come, or is a reset. */
static const char *all(int fd)
{
    static char reply[1 << 20];
    size_t n = 0;
    uint64_t end = clock_ms() + WAIT_MS;

    while (clock_ms() < end && n < sizeof(reply) - 1) {
        ssize_t r = recv(fd, reply + n, sizeof(reply) - 1 - n, MSG_DONTWAIT);
        if (r > 0)
            n += (size_t)r;
        if (r == 0) {
            reply[n] = '\0';
            return reply;
        }
        if (r < 0 && errno != EAGAIN && errno != EINTR)
            return NULL;
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    return NULL;
}

static const char *ask(const char *request)
{
    int fd = call();
    const char *reply;

    put(fd, request, strlen(request));
    reply = all(fd);
    close(fd);
    return reply != NULL ? reply : "(cut off)";
}

static const char *get(const char *method, const char *target)
{
    char request[9000];

    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: h\r\n\r\n", method, target);
    return ask(request);
}

static int status(const char *reply)
{
    int code = 0;

    (void)sscanf(reply, "HTTP/1.1 %d ", &code);
    return code;
}

static const char *body(const char *reply)
{
    const char *at = strstr(reply, "\r\n\r\n");

    return at != NULL ? at + 4 : "(none)";
}

/* What this daemon alone says of a user. */
#define HERE(n)                                                                                    \
    ",\"here\":{\"connections\":" #n "},\"servers\":1,\"answered\":1,\"cluster\":false}\n"

/* --- tests ------------------------------------------------------------------------- */

static void test_paths(void)
{
    static const struct {
        const char *method, *target;
        int status;
        const char *body;
    } cases[] = {
        {"GET", "/health/live", 200, "{\"status\":\"ok\"}\n"},
        {"GET", "/health/live?x=1", 200, "{\"status\":\"ok\"}\n"},
        {"HEAD", "/health/live", 200, ""},
        {"HEAD", "/metrics", 200, ""},
        {"HEAD", "/nowhere", 404, ""},
        {"GET", "/page.html", 404, "{\"error\":\"Not Found\"}\n"},
        {"GET", "/Status", 404, "{\"error\":\"Not Found\"}\n"},
        {"GET", "/health/", 404, "{\"error\":\"Not Found\"}\n"},
        {"GET", "/users", 404, "{\"error\":\"Not Found\"}\n"},
        {"GET", "/socket.io/?EIO=4&transport=polling", 404,
         "{\"error\":\"Not Found\",\"message\":\"this is the admin address, and clients have "
         "another\"}\n"},
        {"POST", "/status", 405, "{\"error\":\"Method Not Allowed\"}\n"},
        {"DELETE", "/users/u", 405, "{\"error\":\"Method Not Allowed\"}\n"},
        {"get", "/status", 405, "{\"error\":\"Method Not Allowed\"}\n"},
        {"OPTIONS", "*", 405, "{\"error\":\"Method Not Allowed\"}\n"},
        {"GET", "/users/ann", 200,
         "{\"uid\":\"ann\",\"connected\":true,\"connections\":2,\"rooms\":[\"ann\"]" HERE(2)},
        {"GET", "/users/bob", 200,
         "{\"uid\":\"bob\",\"connected\":true,\"connections\":2,"
         "\"rooms\":[\"all\",-1.5,\"1\",\"\\\"\\n\"],\"moreRooms\":true" HERE(2)},
        {"GET", "/users/nobody", 200,
         "{\"uid\":\"nobody\",\"connected\":false,\"connections\":0,\"rooms\":[]" HERE(0)},
        {"GET", "/users/a%2Fb/c", 200,
         "{\"uid\":\"a/b/c\",\"connected\":true,\"connections\":2,\"rooms\":[]" HERE(2)},
        {"GET", "/users/a+%22%0a", 200,
         "{\"uid\":\"a+\\\"\\n\",\"connected\":true,\"connections\":2,\"rooms\":[]" HERE(2)},
        {"GET", "/users/%c3%a9", 200,
         "{\"uid\":\"\xc3\xa9\",\"connected\":true,\"connections\":2,\"rooms\":[]" HERE(2)},
        {"GET", "/users/a%3Fb%23?c=d", 200,
         "{\"uid\":\"a?b#\",\"connected\":true,\"connections\":2,\"rooms\":[]" HERE(2)},
        {"GET", "/users//", 200,
         "{\"uid\":\"/\",\"connected\":true,\"connections\":2,\"rooms\":[]" HERE(2)},
        {"GET", "/users/../status", 200,
         "{\"uid\":\"../status\",\"connected\":true,\"connections\":2,\"rooms\":[]" HERE(2)},
        {"GET", "/users/%F0%9F%98%80", 200,
         "{\"uid\":\"\xf0\x9f\x98\x80\",\"connected\":true,\"connections\":2,\"rooms\":[]" HERE(2)},
        {"HEAD", "/users/ann", 200, ""},
        {"GET", "/users/", 400,
         "{\"error\":\"Bad Request\",\"message\":\"no user has this name\"}\n"},
        {"GET", "/users/?x=1", 400,
         "{\"error\":\"Bad Request\",\"message\":\"no user has this name\"}\n"},
        {"GET", "/users/%4", 400,
         "{\"error\":\"Bad Request\",\"message\":\"no user has this name\"}\n"},
        {"GET", "/users/%c0%af", 400,
         "{\"error\":\"Bad Request\",\"message\":\"no user has this name\"}\n"},
        {"GET", "/users/%ed%a0%80", 400,
         "{\"error\":\"Bad Request\",\"message\":\"no user has this name\"}\n"},
        {"GET", "/users/%", 400,
         "{\"error\":\"Bad Request\",\"message\":\"no user has this name\"}\n"},
        {"GET", "/users/%zz", 400,
         "{\"error\":\"Bad Request\",\"message\":\"no user has this name\"}\n"},
        {"GET", "/users/%ff", 400,
         "{\"error\":\"Bad Request\",\"message\":\"no user has this name\"}\n"},
        {"GET", "/users/a%00b", 400,
         "{\"error\":\"Bad Request\",\"message\":\"no user has this name\"}\n"},
    };
    const char *reply;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        reply = get(cases[i].method, cases[i].target);
        ok(status(reply) == cases[i].status, "%s %s: %d", cases[i].method, cases[i].target,
           cases[i].status);
        is_str(body(reply), cases[i].body, cases[i].target);
    }
    reply = get("POST", "/status");
    ok(strstr(reply, "\r\nAllow: GET, HEAD\r\n") != NULL, "what is allowed");
    ok(strstr(reply, "\r\nConnection: close\r\n") != NULL, "one request for each connection");
}

static void test_long_names(void)
{
    char target[9000] = "/users/";

    memset(target + 7, 'u', 255);
    ok(status(get("GET", target)) == 200 && strlen(asked_uid) == 255, "a name of 255 bytes");
    memset(target + 7, 'u', 256);
    is_int(status(get("GET", target)), 400, "and one of 256");
    target[7] = '\0';
    for (int i = 0; i < 255; i++)
        strcat(target, "%c3");
    is_int(status(get("GET", target)), 400, "not UTF-8");
    target[7] = '\0';
    for (int i = 0; i < 255; i++)
        strcat(target, "%61");
    ok(status(get("GET", target)) == 200 && strlen(asked_uid) == 255, "255 bytes, all escaped");
}

/* With certificates that end in so many days, and half an hour. */
static void tls_set(int days, int days_first, int days_second)
{
    int64_t now = time(NULL) + 1800;

    certificates[0].not_after = now + days * 86400L;
    certificates[1].not_after = now + days_first * 86400L;
    certificates[2].not_after = now + days_second * 86400L;
    tls = (struct conf_tls){.at = certificates, .n = 3};
}

static void test_status_tls(void)
{
    const char *text;
    char want[128];
    long left;

    tls_set(30, 20, -5);
    text = body(get("GET", "/status"));
    ok(strstr(text, ",\"tls\":{\"certificates\":[{\"names\":[\"one.example\",\"*.one.example\"],"
                    "\"key\":\"ECDSA P-256\",\"notAfter\":\"20") != NULL &&
           strstr(text, "Z\",\"daysLeft\":30},{\"names\":[\"one.example\"]") != NULL &&
           strstr(text, "],\"reloads\":61,\"reloadsFailed\":62},") != NULL,
       "certificates are told: %s", text);
    text = body(get("GET", "/metrics"));
    (void)snprintf(want, sizeof(want), "tls_certificate_expiry_seconds{name=\"one.example\"} ");
    text = strstr(text, want);
    left = text != NULL ? strtol(text + strlen(want), NULL, 10) : 0;
    ok(left > 20 * 86400L && left < 20 * 86400L + 1801, "of two of a name the first to end: %ld",
       left);
    ok(text != NULL && strstr(text + 1, want) == NULL, "once");
    (void)snprintf(want, sizeof(want), "tls_certificate_expiry_seconds{name=\"two.example\"} -4");
    ok(strstr(body(get("GET", "/metrics")), want) != NULL, "and one that has expired");
    tls = (struct conf_tls){0};
}

static void test_status(void)
{
    const char *text = body(get("GET", "/status"));
    char time[32] = "";

    ok(sscanf(text,
              "{\"name\":\"axr-notifyd\",\"time\":\"%24[0-9TZ:.-]\",\"version\":\"" AXR_VERSION
              "\",",
              time) == 1 &&
           strlen(time) == 24 && time[10] == 'T' && time[23] == 'Z',
       "name, time, version come first");
    ok(strstr(text, "\"uptime\":61.007,") && strstr(text, "\"generation\":3,"),
       "uptime, generation");
    ok(strstr(text, "\"workers\":{\"configured\":2,\"up\":1,\"restarts\":5}") != NULL, "workers");
    ok(strstr(text, "\"clients\":3,\"users\":2,\"rooms\":4,\"memberships\":9,") != NULL,
       "clients as the worker tells");
    ok(strstr(text,
              "\"redis\":{\"subscribed\":true,\"gaps\":0,\"commands\":true,\"counted\":false},") !=
           NULL,
       "redis");
    ok(strstr(text, ",\"addresses\":[{\"address\":\"192.0.2.7\",\"connections\":1,\"sessions\":2,"
                    "\"strangers\":3,\"handshakes\":4,\"tlsHandshakes\":5,\"tokensRefused\":6,"
                    "\"turnedAway\":7},{\"address\":\"2001:db8::/64\",") != NULL,
       "the worst addresses");
    ok(strstr(text, ",\"recovery\":false}\n") != NULL, "recovery is off");
    ok(strstr(text, ",\"tls\":false,") != NULL, "so is TLS");
    test_status_tls();
    finding = 1;
    text = body(get("GET", "/status"));
    ok(strstr(text, ",\"counted\":false,\"sentinels\":{\"name\":\"m\\\"1\",\"master\":\"[::1]:7\","
                    "\"configured\":3,\"answering\":2,\"switches\":71}},\"addresses\"") != NULL,
       "sentinels");
    finding = 0;
    recovering = 1;
    text = body(get("GET", "/status"));
    ok(strstr(text, ",\"recovery\":{\"recovered\":51,\"refused\":55,\"shared\":true,"
                    "\"history\":{\"bytes\":41,\"limit\":2000,\"messages\":42,"
                    "\"age\":43.210}}}\n") != NULL,
       "recovery is on");
    recovering = 0;
}

static void test_health(void)
{
    is_str(body(get("GET", "/health")),
           "{\"status\":\"ok\",\"reasons\":[],\"workers\":{\"configured\":2,\"up\":1},"
           "\"connections\":{\"now\":7,\"limit\":20,\"full\":0},"
           "\"strangers\":{\"now\":4,\"limit\":5,\"full\":0},"
           "\"redis\":{\"subscribed\":true}}\n",
           "well");
    for (int i = 1; i < 16; i++) {
        const char *reply;
        stopping = i & 1;
        up = !(i & 2);
        subscribed = !(i & 4);
        full = !!(i & 8);
        if (full && !up)
            continue; /* nobody to say so */
        reply = get("GET", "/health");
        is_int(status(reply), 503, "not well");
        ok(!!strstr(reply, "\"stopping\"") == stopping &&
               !!strstr(reply, "\"no worker serves\"") == !up &&
               !!strstr(reply, "\"redis is not subscribed\"") == !subscribed &&
               !!strstr(reply, "\"no place for a client: limits:connections\"") == full &&
               !strstr(reply, "[,") && !strstr(reply, ",]") && !strstr(reply, "\"\""),
           "and why: %s", body(reply));
    }
    is_int(status(get("GET", "/health/live")), 200, "alive all the same");
    stopping = full = 0;
    up = subscribed = 1;
}

static void test_metrics(void)
{
    static const char *const lines[] = {
        "axr_notifyd_clients 3\n",
        "axr_notifyd_worker_clients{worker=\"1\"} 3\n",
        "# TYPE axr_notifyd_connects_total counter\n",
        "axr_notifyd_connects_total 10\n",
        "axr_notifyd_strangers{kind=\"socket\"} 2\n",
        "axr_notifyd_strangers_evicted_total{kind=\"polling\"} 8\n",
        "# TYPE axr_notifyd_delivery_latency_seconds histogram\n",
        "axr_notifyd_delivery_latency_seconds_bucket{le=\"0.0005\"} 4\n",
        "axr_notifyd_delivery_latency_seconds_bucket{le=\"0.001\"} 9\n",
        "axr_notifyd_delivery_latency_seconds_bucket{le=\"+Inf\"} 9\n",
        "axr_notifyd_delivery_latency_seconds_sum 1.500000\n",
        "axr_notifyd_delivery_latency_seconds_count 9\n",
        "axr_notifyd_worker_delivery_latency_seconds_bucket{worker=\"1\",le=\"0.0005\"} 4\n",
        "axr_notifyd_messages_dropped_total{cause=\"malformed\"} 6\n",
        "axr_notifyd_redis_gap_seconds_total 1.234\n",
        "axr_notifyd_restarts_total 5\n",
        "axr_notifyd_worker_restarts_total{worker=\"1\"} 5\n",
        "axr_notifyd_worker_pipe_queue_bytes{worker=\"2\"} 77\n",
        "axr_notifyd_config_generation 3\n",
        "axr_notifyd_users 2\n",
        "axr_notifyd_further_rooms 4\n",
        "axr_notifyd_memberships 9\n",
        "axr_notifyd_tls_reloads_total{result=\"ok\"} 61\n",
        "axr_notifyd_tls_reloads_total{result=\"failed\"} 62\n",
        "axr_notifyd_recovery_on 0\n",
        "axr_notifyd_recovery_offsets_shared 0\n",
        "axr_notifyd_recovery_sessions 31\n",
        "axr_notifyd_recovery_sessions_gone 32\n",
        "axr_notifyd_recovery_sessions_forgotten_total 33\n",
        "axr_notifyd_history_bytes 41\n",
        "axr_notifyd_history_limit_bytes 2000\n",
        "axr_notifyd_history_messages 42\n",
        "axr_notifyd_history_age_seconds 43.210\n",
        "axr_notifyd_history_cuts_total 44\n",
        "axr_notifyd_history_crowded_total 45\n",
        "axr_notifyd_recovered_total 51\n",
        "axr_notifyd_recovery_refused_total{reason=\"pid\"} 1\n",
        "axr_notifyd_recovery_refused_total{reason=\"busy\"} 10\n",
        "axr_notifyd_recovery_takeovers_total 52\n",
        "axr_notifyd_peers_asked_total 53\n",
        "axr_notifyd_peers_answered_total 54\n",
        "axr_notifyd_peers_silent_total 55\n",
        "axr_notifyd_peers_dropped_total 56\n",
        "axr_notifyd_recovery_waiting 57\n",
        "axr_notifyd_build_info{version=\"" AXR_VERSION "\"} 1\n",
    };
    const char *text = get("GET", "/metrics");

    ok(strstr(text, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n") != NULL,
       "its type");
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        const char *at = strstr(text, lines[i]);
        ok(at && at[-1] == '\n', "%.*s", (int)strlen(lines[i]) - 1, lines[i]);
    }
    ok(strstr(text, "process_resident_memory_bytes ") && strstr(text, "process_open_fds "),
       "and the process");
}

static void test_silent_worker(void)
{
    uint64_t start;
    int fd, is_quick, tries = 0;

    silent = 1;
    start = clock_ms();
    is_int(status(get("GET", "/metrics")), 200, "a worker that does not answer");
    ok(clock_ms() - start >= STATS_MS - 50, "is waited for");
    start = clock_ms();
    is_int(status(get("GET", "/health")), 200, "health waits for it too");
    ok(clock_ms() - start >= STATS_MS - 50, "and asks no less");
    do { /* we may not be run for so long, but not each time */
        start = clock_ms();
        is_int(status(get("GET", "/health/live")), 200, "but not everybody waits");
        is_quick = clock_ms() - start < STATS_MS;
    } while (!is_quick && ++tries < 10);
    ok(is_quick, "to say that the master lives");
    fd = call();
    put(fd, metrics, strlen(metrics));
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    struct linger reset = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd); /* while it is waited for */
    is_int(status(get("GET", "/metrics")), 200, "who goes meanwhile hurts nobody");
    silent = 0;
}

static void test_http(void)
{
    static const char slow[] = "GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n";
    char head[20000] = "GET /health/live HTTP/1.1\r\nHost: h\r\nX: ";
    int fd;

    is_int(status(ask("GET /health/live HTTP/1.0\r\n\r\n")), 200, "HTTP/1.0");
    is_int(status(ask("GET /health/live HTTP/1.1\r\n\r\n")), 400, "no Host");
    is_int(status(ask("\x16\x03\x01\x02\x01\r\n\r\n")), 400, "TLS");
    is_int(status(ask("GET /health/live HTTP/2.0\r\nHost: h\r\n\r\n")), 505, "another version");
    is_int(status(ask("POST /status HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")), 405,
           "a body is not waited for");
    memset(head + strlen(head), 'x', 15000);
    is_int(status(ask(head)), 431, "a head that is too long");
    memset(head, 'x', 15000);
    memcpy(head, "GET /", 5);
    is_int(status(ask(head)), 414, "a line that is too long");
    fd = call();
    for (size_t i = 0; i < sizeof(slow) - 1; i++) {
        put(fd, slow + i, 1);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    is_int(status(all(fd)), 200, "byte by byte");
    close(fd);
    fd = call();
    put(fd, slow, sizeof(slow) - 1);
    shutdown(fd, SHUT_WR);
    is_int(status(all(fd)), 200, "a caller that has closed its side");
    close(fd);
}

/* As many as it likes: the oldest make place, and are gone after their time. */
static void test_crowd(void)
{
    int fds[3 * ADMIN_CALLERS], open = 0, n = (int)(sizeof(fds) / sizeof(*fds));
    char byte;
    uint64_t start = clock_ms(), end;

    for (int i = 0; i < n; i++) {
        fds[i] = call();
        put(fds[i], "GET /", 5);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    is_int(status(get("GET", "/health/live")), 200, "a crowd keeps nobody out");
    for (int i = 0; i < n; i++)
        open += recv(fds[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
    ok(open < ADMIN_CALLERS, "the oldest have made place");
    for (end = start + 3 * CALLER_HEAD_MS; open > 0 && clock_ms() < end;) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        open = 0;
        for (int i = 0; i < n; i++) { /* a byte now and then does not help them */
            open += send(fds[i], "x", 1, MSG_NOSIGNAL) == 1;
        }
        usleep(20000);
    }
    is_int(open, 0, "and none stays for long");
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

static void test_open(void)
{
    struct listeners listeners = {0};
    struct buf error = {0};
    int fd;

    is_int(admin_open(&listeners, "127.0.0.1", port, NULL, &error), -1, "an address in use");
    buf_putc(&error, '\0');
    ok(strncmp((char *)error.data, "admin: cannot listen on 127.0.0.1:", 34) == 0 &&
           strstr((char *)error.data, "Address already in use") != NULL,
       "%s", (char *)error.data);
    buf_reset(&error);
    admin_free(&admin);
    ok(admin == NULL, "freed");
    is_int(admin_open(&listeners, "127.0.0.1", port, NULL, &error), 0, "then it is free");
    is_int((int)error.len, 0, "and nothing is wrong");
    admin = admin_new(base, &listeners, stats, NULL, &ops, NULL);
    is_int(status(get("GET", "/health/live")), 200, "and serves again");
    fd = call();
    silent = 1;
    put(fd, metrics, strlen(metrics));
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    admin_free(&admin); /* with a caller that waits */
    ok(all(fd) == NULL || *all(fd) == '\0', "who waits is cut off");
    close(fd);
    buf_free(&error);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_WARN);
    base = event_base_new();
    stats = stats_new(base, &stats_ops, NULL);
    stats_up(stats, 0);
    begin();
    test_paths();
    test_long_names();
    test_status();
    test_health();
    test_metrics();
    test_silent_worker();
    test_http();
    test_crowd();
    test_open();
    stats_free(&stats);
    event_base_free(base);
    return tap_done();
}
