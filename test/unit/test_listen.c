#include "master/listen.h"

#include "master/names.h"

#include "loopback.h"
#include "tap.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[] = "/tmp/test_listen.XXXXXX";
static char path[64];

#define TCP(name, number) ((struct conf_listen){.host = (name), .port = (number)})
#define UNIX(path)        ((struct conf_listen){.unix_path = (path)})

static struct buf error, names;

static int open_one(struct listeners *listeners, const char *host, int port, const char *unix_path)
{
    struct conf_listen one = {
        .host = (char *)(uintptr_t)host, .port = port, .unix_path = (char *)(uintptr_t)unix_path};
    struct conf conf = {.listen = &one, .nlisten = 1};
    int rc;

    buf_reset(&error);
    rc = listen_open(listeners, &conf, NULL, &error);
    buf_putc(&error, '\0');
    return rc;
}

static const char *names_of(const struct listeners *listeners)
{
    buf_reset(&names);
    listen_names(listeners, &names);
    buf_putc(&names, '\0');
    return (char *)names.data;
}

static int port_of(const struct listeners *listeners)
{
    struct sockaddr_in6 addr = {0};
    socklen_t len = sizeof(addr);

    getsockname(listeners->fds[0], (struct sockaddr *)&addr, &len);
    return ntohs(addr.sin6_port);
}

static int can_connect(const struct sockaddr *addr, socklen_t len)
{
    int fd = socket(addr->sa_family, SOCK_STREAM, 0);
    int rc = connect(fd, addr, len);

    close(fd);
    return rc == 0;
}

static void test_tcp(void)
{
    struct listeners first = {0}, second = {0};
    char text[64];
    int port;

    is_int(open_one(&first, "127.0.0.1", 0, NULL), 0, "port 0");
    port = port_of(&first);
    snprintf(text, sizeof(text), "127.0.0.1:%d", port);
    is_str(names_of(&first), text, "the port that was bound is named");
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ok(can_connect((struct sockaddr *)&addr, sizeof(addr)), "and can be connected to");
    is_int(open_one(&second, "127.0.0.1", port, NULL), -1, "a port in use");
    snprintf(text, sizeof(text), "cannot listen on 127.0.0.1:%d: Address already in use", port);
    ok(strstr((char *)error.data, text) != NULL, "says so: %s", (char *)error.data);
    ok(second.n == 0 && second.at == NULL, "and leaves nothing open");
    is_int(open_one(&second, NULL, port, NULL), -1, "all addresses: in use too");
    listen_close(&first, 1);
    is_int(open_one(&second, "127.0.0.1", port, NULL), 0, "free again at once");
    listen_close(&second, 1);
    is_int(open_one(&second, "192.0.2.1", 0, NULL), -1, "an address that is not ours");
    is_int(open_one(&second, "no-such-host.invalid", 0, NULL), -1, "a name that is not known");
}

static void test_everywhere(void)
{
    struct listeners all = {0};
    char text[64];

    is_int(open_one(&all, NULL, 0, NULL), 0, "all addresses");
    is_int((long)all.n, 1, "one socket");
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port_of(&all)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ok(can_connect((struct sockaddr *)&addr, sizeof(addr)), "takes IPv4");

    snprintf(text, sizeof(text), "[::]:%d", port_of(&all));
    ok(strcmp(names_of(&all), text) == 0 || strncmp(names_of(&all), "0.0.0.0:", 8) == 0, "named %s",
       names_of(&all));
    listen_close(&all, 1);
    is_int(open_one(&all, "localhost", 0, NULL), 0, "a name");
    for (size_t i = 1; i < all.n; i++) {
        struct listeners other = {.at = &all.at[i], .fds = &all.fds[i], .n = 1};
        is_int(port_of(&other), port_of(&all), "has one port on all its addresses");
    }
    listen_close(&all, 1);
}

static const char *victim; /* where a link leads that takes the place of a socket at once */

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    int rc = (int)syscall(SYS_bind, fd, addr, len);

    if (victim != NULL && (unlink(path) < 0 || symlink(victim, path) < 0))
        return -1;
    return rc;
}

/* The directory may be another's. */
static void test_swapped(void)
{
    struct listeners listeners = {0};
    mode_t mask = umask(027);
    char file[80];
    struct stat st;

    snprintf(file, sizeof(file), "%s.file", path);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    victim = file;
    (void)open_one(&listeners, NULL, 0, path);
    victim = NULL;
    is_int(stat(path, &st) == 0 ? st.st_mode & 07777 : 0, 0600,
           "where a link leads nothing changes");
    is_int(umask(mask), 027, "nor does the mask");
    listen_close(&listeners, 1);
    unlink(path);
    unlink(file);
}

static void test_unix(void)
{
    struct listeners first = {0}, second = {0};
    struct stat st;
    char text[80];
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    FILE *file;
    char longpath[200];

    strcpy(addr.sun_path, path);
    is_int(open_one(&first, NULL, 0, path), 0, "a path");
    snprintf(text, sizeof(text), "unix:%s", path);
    is_str(names_of(&first), text, "named");
    ok(can_connect((struct sockaddr *)&addr, sizeof(addr)), "can be connected to");
    is_int(stat(path, &st) == 0 ? st.st_mode & 0777 : 0, 0666, "by everybody");
    is_int(open_one(&second, NULL, 0, path), -1, "where somebody listens");
    ok(can_connect((struct sockaddr *)&addr, sizeof(addr)), "who is left alone");
    listen_close(&first, 0);
    is_int(access(path, F_OK), 0, "left behind");
    is_int(open_one(&second, NULL, 0, path), 0, "is replaced");
    is_int(open_one(&first, NULL, 0, path), -1, "but not while it lives");
    unlink(path);
    is_int(open_one(&first, NULL, 0, path), 0, "gone: made anew");
    listen_close(&second, 1);
    is_int(access(path, F_OK), 0, "the first owner leaves the second's alone");
    struct pollfd shared = {.fd = dup(first.fds[0]), .events = POLLIN};
    listen_close(&first, 1);
    is_int(access(path, F_OK), -1, "the second takes it away");
    ok(!can_connect((struct sockaddr *)&addr, sizeof(addr)), "and cannot be connected to");
    is_int(poll(&shared, 1, 0), 0, "which those that share it are not woken for");
    close(shared.fd);
    file = fopen(path, "w");
    fclose(file);
    is_int(open_one(&first, NULL, 0, path), -1, "a file that is no socket");
    is_int(access(path, F_OK), 0, "stays");
    unlink(path);

    memset(longpath, 'x', sizeof(longpath) - 1);
    longpath[sizeof(longpath) - 1] = '\0';
    is_int(open_one(&first, NULL, 0, longpath), -1, "a path that is too long");
    memset(longpath + strlen(dir), 'x', sizeof(longpath) - 1 - strlen(dir));
    memcpy(longpath, dir, strlen(dir));
    longpath[strlen(dir)] = '/';
    longpath[108] = '\0';
    is_int(open_one(&first, NULL, 0, longpath), -1, "as is one of 108 bytes");
    longpath[107] = '\0';
    is_int(open_one(&first, NULL, 0, longpath), 0, "one of 107 is not");
    listen_close(&first, 1);
    is_int(access(longpath, F_OK), -1, "and can be removed");
}

static void test_several(void)
{
    struct listeners all = {0};
    struct conf_listen some[] = {TCP((char[]){"127.0.0.1"}, 0), UNIX(path),
                                 TCP((char[]){"192.0.2.1"}, 1)};
    struct conf conf = {.listen = some, .nlisten = 2};

    buf_reset(&error);
    is_int(listen_open(&all, &conf, NULL, &error), 0, "several");
    is_int((long)all.n, 2, "each has its socket");
    ok(strstr(names_of(&all), " unix:") != NULL, "separated by a space: %s", names_of(&all));
    listen_close(&all, 1);
    conf.nlisten = 3;
    is_int(listen_open(&all, &conf, NULL, &error), -1, "one of them fails");
    ok(all.n == 0 && access(path, F_OK) < 0, "and the others are taken back");
}

/* --- on a reload --- */

static void test_reopen(void)
{
    struct listeners old = {0}, fresh = {0};
    char other[80];
    int port;

    snprintf(other, sizeof(other), "%s/other", dir);
    struct conf_listen before[] = {TCP((char[]){"127.0.0.1"}, 0), UNIX(path)};
    struct conf_listen after[] = {UNIX(other), TCP((char[]){"127.0.0.1"}, 0),
                                  TCP((char[]){"127.0.0.1"}, 0)};
    struct conf was = {.listen = before, .nlisten = 2}, conf = {.listen = after, .nlisten = 3};
    buf_reset(&error);
    is_int(listen_open(&old, &was, NULL, &error), 0, "two");
    port = port_of(&old);
    is_int(listen_reopen(&fresh, &conf, NULL, &old, &was, &error), 0, "three in their place");
    is_int((long)fresh.n, 3, "each has its socket");
    struct listeners rest = {.fds = fresh.fds + 1};
    is_int(port_of(&rest), port, "what was bound is shared");
    rest.fds++;
    ok(port_of(&rest) != port, "once");
    int both[2] = {access(path, F_OK), access(other, F_OK)};
    ok(both[0] == 0 && both[1] == 0, "until the change the old ones stay");
    listen_leave(&old, &fresh);
    is_int(access(path, F_OK), -1, "a socket file of the past is removed");
    ok(old.n == 0 && access(other, F_OK) == 0, "and no other");
    rest.fds = fresh.fds + 1;
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ok(can_connect((struct sockaddr *)&addr, sizeof(addr)), "what is shared goes on listening");

    struct conf_listen bad[] = {TCP((char[]){"127.0.0.1"}, 0), UNIX(other), UNIX(path),
                                TCP((char[]){"127.0.0.1"}, port)};
    struct conf wanted = {.listen = bad, .nlisten = 4};
    struct listeners none = {0};
    buf_reset(&error);
    is_int(listen_reopen(&none, &wanted, NULL, &fresh, &conf, &error), -1, "one cannot be bound");
    ok(none.n == 0 && access(path, F_OK) < 0, "what was new is taken back");
    ok(access(other, F_OK) == 0 && can_connect((struct sockaddr *)&addr, sizeof(addr)),
       "what was there is there");
    listen_close(&fresh, 1);
    is_int(access(other, F_OK), -1, "until the end");
}

static void on_names(const char *why, void *arg)
{
    (void)why;
    (void)arg;
}

/* --- a reload that is refused --- */

static int open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* A port that nobody has. */
static int free_port(void)
{
    int port, fd = loopback_listen(SOCK_CLOEXEC, &port);

    close(fd);
    return port;
}

/* 1 if anybody else can listen there. */
static int is_free(const char *host, int port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, rc;

    inet_pton(AF_INET, host, &addr.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    rc = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
    if (rc == 0)
        rc = listen(fd, 1);
    close(fd);
    return rc == 0;
}

/* A client comes in by each of them. */
static int all_accept(const struct listeners *listeners)
{
    int good = 1;

    for (size_t i = 0; i < listeners->n; i++) {
        struct sockaddr_storage addr;
        socklen_t len = sizeof(addr);
        int fd;
        getsockname(listeners->fds[i], (struct sockaddr *)&addr, &len);
        good &= can_connect((struct sockaddr *)&addr, len);
        fd = accept4(listeners->fds[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        good &= fd >= 0;
        close(fd);
    }
    return good;
}

/* What cannot be bound is the last: all before it is given back, and what is in force goes
 * on as it was. */
static void test_refused(void)
{
    static const struct names_ops ops = {on_names};
    struct event_base *base = event_base_new();
    struct names *known = names_new(base, &ops, NULL);
    struct listeners old = {0}, fresh = {0};
    char other[80];
    int busy_port, busy = loopback_listen(SOCK_CLOEXEC, &busy_port), fds;
    int ports[] = {free_port(), free_port(), free_port()};

    snprintf(other, sizeof(other), "%s/other", dir);
    names_put(known, "site.test", "127.0.0.1\n127.0.0.2\n");
    struct conf_listen before[] = {TCP((char[]){"127.0.0.1"}, 0), UNIX(path)};
    struct conf_listen after[] = {
        TCP((char[]){"127.0.0.1"}, ports[0]), TCP(NULL, ports[1]),           UNIX(other),
        TCP((char[]){"site.test"}, ports[2]), TCP((char[]){"127.0.0.1"}, 0), UNIX(path),
        TCP((char[]){"127.0.0.1"}, busy_port)};
    struct conf was = {.listen = before, .nlisten = 2}, conf = {.listen = after, .nlisten = 7};
    buf_reset(&error);
    is_int(listen_open(&old, &was, NULL, &error), 0, "what is in force");
    fds = open_fds();
    is_int(listen_reopen(&fresh, &conf, known, &old, &was, &error), -1, "a port is in use");
    ok(fresh.n == 0 && fresh.at == NULL && fresh.fds == NULL, "nothing is left of the others");
    is_int(open_fds(), fds, "no descriptor");
    ok(is_free("127.0.0.1", ports[0]), "an address is free");
    ok(is_free("127.0.0.1", ports[1]) && is_free("0.0.0.0", ports[1]), "so are all addresses");
    ok(is_free("127.0.0.1", ports[2]) && is_free("127.0.0.2", ports[2]), "and those of a name");
    is_int(access(other, F_OK), -1, "there is no socket file");
    is_int(access(path, F_OK), 0, "but the one of before");
    ok(all_accept(&old), "clients come in as before");
    close(busy);
    is_int(listen_reopen(&fresh, &conf, known, &old, &was, &error), 0, "the port is free now");
    is_int((long)fresh.n, 8, "all are bound");
    ok(all_accept(&fresh), "and clients come in");
    listen_leave(&fresh, &old);
    ok(all_accept(&old), "given up after all: clients come in as before");
    is_int(open_fds(), fds - 1, "no descriptor is left");
    ok(is_free("127.0.0.1", ports[0]) && is_free("127.0.0.2", ports[2]), "nor a port");
    listen_close(&old, 1);
    names_free(&known);
    event_base_free(base);
}

/* The same of the first set: who starts and cannot leaves all as it was. */
static void test_not_started(void)
{
    struct listeners all = {0};
    int busy_port, busy = loopback_listen(SOCK_CLOEXEC, &busy_port), fds = open_fds();
    int ports[] = {free_port(), free_port()};
    struct conf_listen some[] = {TCP((char[]){"127.0.0.1"}, ports[0]), UNIX(path),
                                 TCP(NULL, ports[1]), TCP((char[]){"127.0.0.1"}, busy_port)};
    struct conf conf = {.listen = some, .nlisten = 4};

    buf_reset(&error);
    is_int(listen_open(&all, &conf, NULL, &error), -1, "the last cannot be bound");
    ok(all.n == 0 && all.at == NULL && all.fds == NULL, "nothing is left of the others");
    is_int(open_fds(), fds, "no descriptor");
    ok(is_free("127.0.0.1", ports[0]) && is_free("0.0.0.0", ports[1]), "no port");
    is_int(access(path, F_OK), -1, "no socket file");
    close(busy);
}

/* What a host name is has been found out before; nobody is asked in here. */
static void test_names(void)
{
    static const struct names_ops ops = {on_names};
    struct event_base *base = event_base_new();
    struct names *known = names_new(base, &ops, NULL);
    struct listeners old = {0}, fresh = {0};
    struct conf_listen before[] = {TCP((char[]){"127.0.0.1"}, 0)};
    struct conf_listen after[] = {TCP((char[]){"127.0.0.1"}, 0), TCP((char[]){"site.test"}, 0)};
    struct conf was = {.listen = before, .nlisten = 1}, conf = {.listen = after, .nlisten = 2};

    buf_reset(&error);
    is_int(listen_open(&old, &was, NULL, &error), 0, "an address");
    is_int(listen_ask(known, &was, &was), 0, "of the same");
    is_int(names_waiting(known), 0, "nothing is to be known");
    is_int(listen_ask(known, &conf, &conf), 0, "of a name that is bound already");
    is_int(names_waiting(known), 0, "neither");
    is_int(listen_ask(known, &conf, &was), 0, "of one that is new");
    is_int(names_waiting(known), 1, "what it is");
    names_free(&known);
    known = names_new(base, &ops, NULL);
    is_int(listen_reopen(&fresh, &conf, known, &old, &was, &error), -1, "not known");
    names_put(known, "site.test", "127.0.0.1\n192.0.2.1\n127.0.0.2\n");
    is_int(listen_reopen(&fresh, &conf, known, &old, &was, &error), 0, "known");
    is_int((long)fresh.n, 3, "a socket for each address that is ours");
    struct listeners rest = {.fds = fresh.fds + 1}, last = {.fds = fresh.fds + 2};
    is_int(port_of(&last), port_of(&rest), "of one port");
    buf_reset(&error);
    listen_addresses(&fresh, &error);
    buf_putc(&error, '\0');
    is_str((char *)error.data, "127.0.0.1\n127.0.0.1\n127.0.0.2\n", "their addresses");
    listen_close(&fresh, 1);
    listen_close(&old, 1);
    names_free(&known);
    event_base_free(base);
}

int main(void)
{
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(path, sizeof(path), "%s/sock", dir);
    test_tcp();
    test_everywhere();
    test_unix();
    test_swapped();
    test_several();
    test_reopen();
    test_names();
    test_refused();
    test_not_started();
    buf_free(&error);
    buf_free(&names);
    rmdir(dir);
    return tap_done();
}
