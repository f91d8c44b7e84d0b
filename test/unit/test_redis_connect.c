/* Names have the addresses, and addresses answer, as each test wants: both functions are
 * linked with --wrap (Makefile). */
#include "master/redis_connect.h"

#include "base/buf.h"
#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int __real_connect(int fd, const struct sockaddr *to, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *to, socklen_t len);
int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found);

static struct event_base *base;
static const char *const *addresses; /* of the name "many" */

/* Takes no connection and refuses none: its queue is full. */
static struct sockaddr_in hole = {.sin_family = AF_INET};

#define PLUGS 4
static int plugs[PLUGS]; /* connections that nobody accepts */

static int hole_open(void)
{
    socklen_t len = sizeof(hole);
    int fd;

    hole.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&hole, len) < 0 || listen(fd, 0) < 0 ||
        getsockname(fd, (struct sockaddr *)&hole, &len) < 0)
        abort();
    for (size_t i = 0; i < PLUGS; i++) {
        plugs[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)__real_connect(plugs[i], (struct sockaddr *)&hole, len);
    }
    return fd;
}

/* 10.0.0.N fails with the error N; 10.0.1.0 never answers; the rest is as it is. */
int __wrap_connect(int fd, const struct sockaddr *to, socklen_t len)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)to;
    uint32_t host = to->sa_family == AF_INET ? ntohl(in->sin_addr.s_addr) : 0;

    if (host >> 16 != 0x0a00)
        return __real_connect(fd, to, len);
    if (host & 0x100)
        return __real_connect(fd, (struct sockaddr *)&hole, sizeof(hole));
    errno = (int)(host & 0xff);
    return -1;
}

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found)
{
    if (strcmp(host, "many") != 0 || hints->ai_flags & AI_NUMERICHOST)
        return __real_getaddrinfo(host, port, hints, found);
    for (size_t i = 0; addresses[i] != NULL; i++) {
        if (__real_getaddrinfo(addresses[i], port, hints, found) != 0)
            abort();
        found = &(*found)->ai_next;
    }
    return 0;
}

static char said[REDIS_CONNECT_WHY_MAX];
static int is_done, got_fd;

static void on_done(int fd, const char *why, void *arg)
{
    (void)arg;
    is_done = 1;
    got_fd = fd;
    snprintf(said, sizeof(said), "%s", why != NULL ? why : "connected");
}

static const struct redis_connect_ops ops = {on_done};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

/* What comes of it, or what there is to say once that has the words enough in it. */
static const char *connect_until(const char *path, const char *host, int port, const char *enough)
{
    const struct timeval tick = {0, 10000};
    struct event *timer = event_new(base, -1, EV_PERSIST, on_tick, NULL);
    struct redis_connect *attempt;

    is_done = 0;
    got_fd = -1;
    attempt = redis_connect_new(base, path, host, port, &ops, NULL);
    if (attempt == NULL || timer == NULL || event_add(timer, &tick) < 0)
        abort();
    while (!is_done && !(enough != NULL && strstr(redis_connect_why(attempt), enough) != NULL))
        event_base_loop(base, EVLOOP_ONCE);
    if (!is_done)
        snprintf(said, sizeof(said), "%s", redis_connect_why(attempt));
    redis_connect_free(&attempt);
    event_free(timer);
    if (got_fd >= 0)
        close(got_fd);
    return said;
}

static const char *connect_to(const char *path, const char *host, int port)
{
    return connect_until(path, host, port, NULL);
}
#define MANY(...)                                                                                  \
    (addresses = (const char *const[]){__VA_ARGS__, NULL}, connect_to(NULL, "many", 6379))

/* The addresses are those of Linux's numbers; the words are libc's. */
static const char *words(const char *before, int one, const char *between, int two)
{
    static char text[REDIS_CONNECT_WHY_MAX];

    snprintf(text, sizeof(text), "%s%s", before, strerror(one));
    if (between != NULL) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof(text) - len, "%s%s", between, strerror(two));
    }
    return text;
}

static const char *address_of(int error)
{
    static char text[8][32];
    static int at;

    at = (at + 1) % 8;
    snprintf(text[at], sizeof(text[at]), "10.0.0.%d", error);
    return text[at];
}

static void test_why(void)
{
    const char *refused = address_of(ECONNREFUSED), *unreachable = address_of(ENETUNREACH);
    char path[300];

    is_str(connect_to(NULL, refused, 1), words("connect: ", ECONNREFUSED, NULL, 0),
           "an address that was given is not named");
    is_str(MANY(refused), words("connect to 10.0.0.111: ", ECONNREFUSED, NULL, 0),
           "one that was found is");
    is_str(MANY(unreachable, refused),
           words("connect to 10.0.0.111, the last of 2: ", ECONNREFUSED, "; before: ", ENETUNREACH),
           "of several the last, with its error, and that of the other");
    is_str(MANY(refused, refused, refused),
           words("connect to 10.0.0.111, the last of 3: ", ECONNREFUSED, NULL, 0),
           "an error is said once");
    is_str(MANY(unreachable, refused, unreachable, refused),
           words("connect to 10.0.0.111, the last of 4: ", ECONNREFUSED, "; before: ", ENETUNREACH),
           "so is another");
    MANY(address_of(EHOSTUNREACH), refused, unreachable, "10.0.0.111");
    ok(strstr(said, words("before: ", EHOSTUNREACH, ", ", ENETUNREACH)) != NULL, "all are: %s",
       said);
    ok(strncmp(connect_to(NULL, "no-such-host.invalid", 1), "resolve: ", 9) == 0,
       "a name that is not known: %s", said);
    is_str(connect_to("/nowhere/redis.sock", NULL, 0), words("connect: ", ENOENT, NULL, 0),
           "a path that is not there");

    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    is_str(connect_to(path, NULL, 0), words("connect: ", ENAMETOOLONG, NULL, 0),
           "one that is too long");
}

/* Eight different errors are told, and no more; and the last, which is. */
static void test_many_errors(void)
{
    static const int errors[] = {EPERM, ENOENT, ESRCH,   EINTR, EIO,
                                 ENXIO, E2BIG,  ENOEXEC, EBADF, ECHILD};
    const char *many[11] = {NULL};
    char texts[10][32];

    for (int n = 8; n <= 10; n++) {
        struct buf want = {0};
        for (int i = 0; i < n; i++) {
            (void)snprintf(texts[i], sizeof(texts[i]), "10.0.0.%d", errors[i]);
            many[i] = texts[i];
        }
        many[n] = NULL;
        addresses = many;
        connect_to(NULL, "many", 1);
        buf_printf(&want, "connect to 10.0.0.%d, the last of %d: %s", errors[n - 1], n,
                   strerror(errors[n - 1]));
        for (int i = 0; i < 8 && i < n - 1; i++)
            buf_printf(&want, "%s%s", i == 0 ? "; before: " : ", ", strerror(errors[i]));
        if (want.len >= REDIS_CONNECT_WHY_MAX)
            want.len = REDIS_CONNECT_WHY_MAX - 1;
        is_mem(said, strlen(said), want.data, want.len, "as many as there is room for");
        buf_free(&want);
    }
}

/* A path of 107 bytes, which is the longest, and one more. */
static void test_long_path(void)
{
    char dir[] = "/tmp/test_redis_connect.XXXXXX";
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char path[109];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (mkdtemp(dir) == NULL)
        abort();
    memset(path, 'x', sizeof(path));
    memcpy(path, dir, strlen(dir));
    path[strlen(dir)] = '/';
    path[107] = '\0';
    memcpy(addr.sun_path, path, 108);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 4) < 0)
        abort();
    is_str(connect_to(path, NULL, 0), "connected", "a path of 107 bytes");
    unlink(path);
    path[107] = 'x';
    path[108] = '\0';
    is_str(connect_to(path, NULL, 0), words("connect: ", ENAMETOOLONG, NULL, 0), "one of 108");
    close(fd);
    rmdir(dir);
}

static void test_on_its_way(void)
{
    addresses = (const char *const[]){"10.0.0.111", "10.0.1.0", NULL};
    is_str(connect_until(NULL, "many", 1, "last of 2"),
           words("connect to 10.0.1.0, the last of 2: no answer; before: ", ECONNREFUSED, NULL, 0),
           "one that does not answer is named before it is given up");
    addresses = (const char *const[]){"10.0.1.0", "10.0.0.111", NULL};
    is_str(connect_to(NULL, "many", 1),
           words("connect to 10.0.0.111, the last of 2: ", ECONNREFUSED, "; before: ", ETIMEDOUT),
           "and given up after a second, for there is another");
}

static void test_connected(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, 4) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        abort();
    addresses = (const char *const[]){"10.0.0.111", "127.0.0.1", NULL};
    is_str(connect_to(NULL, "many", ntohs(addr.sin_port)), "connected", "the next address does");
    close(fd);
}

int main(void)
{
    int fd;

    base = event_base_new();
    fd = hole_open();
    test_why();
    test_many_errors();
    test_long_path();
    test_on_its_way();
    test_connected();
    for (size_t i = 0; i < PLUGS; i++)
        close(plugs[i]);
    close(fd);
    event_base_free(base);
    return tap_done();
}
