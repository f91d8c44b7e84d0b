/* What was tried, told; trials aside, which may hang; and whose sockets are. */
#include "base/clock.h"
#include "master/owners.h"
#include "master/trial.h"
#include "master/trial_address.h"
#include "tap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLENTY_MS 20000

/* --- lines --- */

static const char *text_of(struct trial *trial)
{
    buf_putc(&trial->lines, '\0');
    trial->lines.len--;
    return (const char *)trial->lines.data;
}

static void test_lines(void)
{
    struct trial trial = {0};

    trial_say(&trial, TRIAL_GOOD, "a %d", 1);
    trial_say(&trial, TRIAL_ODD, "b\nc\x1b[2J");
    is_int(trial.bad, 0, "nothing is bad");
    trial_say(&trial, TRIAL_BAD, "d");
    is_str(text_of(&trial), "+a 1\n?b c [2J\n-d\n", "a line for each, and nothing else in it");
    is_int(trial.bad, 1, "one is bad");
    is_int(trial_print(&trial), -1, "which is what comes of it");
    is_int(trial.lines.len, 0, "and nothing stays");
    is_int(trial.odd, 1, "and one odd");
    trial = (struct trial){0};
    trial_say(&trial, TRIAL_ODD, "odd");
    is_int(trial_print(&trial), 0, "what is odd may be");
}

/* --- aside --- */

static void say_two(const void *arg, int fd)
{
    struct trial trial = {0};

    trial_say(&trial, TRIAL_GOOD, "%s", (const char *)arg);
    trial_say(&trial, TRIAL_ODD, "odd");
    trial_say(&trial, TRIAL_BAD, "bad");
    trial_send(&trial, fd);
}

static void say_much(const void *arg, int fd)
{
    struct trial trial = {0};

    (void)arg;
    for (int i = 0; i < 5000; i++)
        trial_say(&trial, TRIAL_GOOD, "a line that fills the pipe, number %d", i);
    trial_send(&trial, fd);
}

static void hang(const void *arg, int fd)
{
    (void)arg;
    (void)!write(fd, "+begun\n", 7);
    for (;;)
        pause();
}

static void die(const void *arg, int fd)
{
    (void)arg;
    (void)fd;
    (void)raise(SIGKILL);
}

static void taken(struct trial *trial, void (*run)(const void *arg, int fd), uint64_t until)
{
    struct aside aside;

    aside_begin(&aside, "it", run, "said");
    trial_take(trial, &aside, until);
    is_int(waitpid(-1, NULL, WNOHANG), -1, "no process is left");
}

static void test_aside(void)
{
    struct trial trial = {0};
    uint64_t now = clock_ms();

    taken(&trial, say_two, now + PLENTY_MS);
    is_str(text_of(&trial), "+said\n?odd\n-bad\n", "what it says");
    is_int(trial.odd, 1, "what is odd counts");
    is_int(trial.bad, 1, "what is bad counts");
    buf_reset(&trial.lines);
    taken(&trial, say_much, now + PLENTY_MS);
    ok(strstr(text_of(&trial), "number 4999\n") != NULL, "more than a pipe takes");
    is_int(trial.bad, 1, "nothing more is bad");
    buf_reset(&trial.lines);
    taken(&trial, die, now + PLENTY_MS);
    is_str(text_of(&trial),
           "-it: nothing came of it in time: is it a name server that does not answer?\n",
           "one that dies");
    buf_reset(&trial.lines);
    taken(&trial, hang, clock_ms() + 50);
    ok(strstr(text_of(&trial), "-it: nothing came of it in time") != NULL, "one that hangs");
    is_int(trial.bad, 3, "is bad, too");
    buf_free(&trial.lines);
}

/* What has come is taken, however late we look. */
static void test_late(void)
{
    struct trial trial = {0};
    struct aside aside;
    siginfo_t info;

    aside_begin(&aside, "it", say_two, "said");
    is_int(waitid(P_PID, (id_t)aside.pid, &info, WEXITED | WNOWAIT), 0, "it is over");
    trial_take(&trial, &aside, 0);
    is_str(text_of(&trial), "+said\n?odd\n-bad\n", "what it said is there");
    buf_free(&trial.lines);
}

/* --- ports that only others may bind --- */

static const char *low_ports; /* who gives the right to them */

static void try_low_port(const void *arg, int fd)
{
    struct conf_listen port = {.host = strdup("127.0.0.1"), .port = 1};
    const struct conf conf = {.workers = 1, .listen = &port, .nlisten = 1, .connections_max = 1};
    const struct trial_addresses what = {.conf = &conf, .file = "/etc/it", .low_ports = low_ports};
    struct trial trial = {0};

    (void)arg;
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
        return;
    trial_addresses(&trial, &what);
    trial_send(&trial, fd);
    free(port.host);
}

static void test_low_port(void)
{
    FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
    struct trial trial = {0};
    int first = 1024;

    if (file != NULL && fscanf(file, "%d", &first) != 1)
        first = 0;
    if (file != NULL)
        (void)fclose(file);
    if (first <= 1) {
        ok(1, "low ports # SKIP everybody may bind them");
        return;
    }
    taken(&trial, try_low_port, clock_ms() + PLENTY_MS);
    ok(strstr(text_of(&trial), "-listen: 127.0.0.1:1: a port below 1024 needs root") != NULL,
       "nobody is known who may bind it");
    buf_reset(&trial.lines);
    low_ports = "/x.service";
    taken(&trial, try_low_port, clock_ms() + PLENTY_MS);
    ok(strstr(text_of(&trial),
              "?listen: 127.0.0.1:1 cannot be tried: nobody listens there, but a port below 1024 "
              "is for root, and for the service, to which /x.service gives CAP_NET_BIND_SERVICE; "
              "this is tried as the user ") != NULL,
       "it is said who may, and why it is not tried");
    ok(strstr(text_of(&trial), " --ambient-caps +net_bind_service axr-notifyd -t --connect -c "
                               "/etc/it\n") != NULL,
       "and how it can be");
    buf_free(&trial.lines);
}

/* --- owners --- */

static void test_tcp(int family, const char *name)
{
    struct sockaddr_storage addr = {.ss_family = (sa_family_t)family};
    socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in other = {.sin_family = AF_INET};
    struct owners *owners;
    struct owner owner;

    if (family == AF_INET)
        ((struct sockaddr_in *)&addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0) {
        ok(1, "%s # SKIP no such addresses here", name);
        if (fd >= 0)
            close(fd);
        return;
    }
    (void)getsockname(fd, (struct sockaddr *)&addr, &len);
    owners = owners_read();
    is_int(owners_find(owners, (struct sockaddr *)&addr, &owner), 0, "one that is only bound");
    owners_free(&owners);
    (void)listen(fd, 1);
    owners = owners_read();
    if (ok(owners_find(owners, (struct sockaddr *)&addr, &owner), "%s: it listens", name))
        is_int(owner.pid, getpid(), "and is ours");
    other.sin_port = ((struct sockaddr_in *)&addr)->sin_port;
    is_int(owners_find(owners, (struct sockaddr *)&other, &owner), 1, "it is among all addresses");
    other.sin_addr.s_addr = htonl(0xc0000201);
    is_int(owners_find(owners, (struct sockaddr *)&other, &owner), family == AF_INET6,
           "another address is in its way only where it is all");
    owners_free(&owners);
    close(fd);
}

static void test_path(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct owners *owners;
    struct owner owner;

    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/axr trial %ld", (long)getpid());
    is_int(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0, "a path with blanks");
    (void)listen(fd, 1);
    owners = owners_read();
    if (is_int(owners_find_path(owners, addr.sun_path, &owner), 1, "it is found"))
        is_int(owner.pid, getpid(), "and ours");
    is_int(owners_find_path(owners, "/tmp/axr", &owner), 0, "a part of it is not");
    is_int(owners_find_path(NULL, addr.sun_path, &owner), 0, "nor is anything without memory");
    owners_free(&owners);
    close(fd);
    (void)unlink(addr.sun_path);
    is_int(owners_named("no process is called so"), 0, "a name that nobody has");
}

int main(void)
{
    if (freopen("/dev/null", "w", stderr) == NULL) /* what is bad is no fault of ours */
        return 1;
    test_lines();
    test_aside();
    test_late();
    test_low_port();
    test_tcp(AF_INET, "IPv4");
    test_tcp(AF_INET6, "IPv6, all of it");
    test_path();
    return tap_done();
}
