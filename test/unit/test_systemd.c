/* This test is the service manager: it reads what comes in at NOTIFY_SOCKET. */
#include "base/log.h"
#include "master/systemd.h"
#include "tap.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 10000

static char heard[1024];
static char abstract[64]; /* of this process alone */

/* A socket of that name (with @: abstract), which is then the one to notify. */
static int manager(const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(addr.sun_path, name, len);
    if (name[0] == '@')
        addr.sun_path[0] = '\0';
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr,
                       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
        abort();
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

/* The next datagram, or "" if there is none. */
static const char *hear(int fd, int wait_ms)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    ssize_t n = poll(&ready, 1, wait_ms) == 1 ? read(fd, heard, sizeof(heard) - 1) : 0;

    heard[n > 0 ? n : 0] = '\0';
    return heard;
}

static unsigned long long monotonic_usec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000;
}

static void test_messages(const char *name)
{
    static const char reloading[] = "RELOADING=1\nMONOTONIC_USEC=";
    unsigned long long before, said = 0;
    int fd = manager(name);

    systemd_ready();
    is_str(hear(fd, WAIT_MS), "READY=1", "the end of the start");
    before = monotonic_usec();
    systemd_reloading();
    hear(fd, WAIT_MS);
    ok(strncmp(heard, reloading, strlen(reloading)) == 0, "a reload is told");
    said = strtoull(heard + strlen(reloading), NULL, 10);
    ok(said >= before && said <= monotonic_usec(), "and when");
    systemd_stopping(12000);
    is_str(hear(fd, WAIT_MS), "STOPPING=1\nEXTEND_TIMEOUT_USEC=12000000", "a stop");
    systemd_status("%d workers", 3);
    is_str(hear(fd, WAIT_MS), "STATUS=3 workers", "a line");
    close(fd);
}

static void test_nobody(const char *name)
{
    int fd = manager(abstract);

    if (name != NULL)
        setenv("NOTIFY_SOCKET", name, 1);
    else
        unsetenv("NOTIFY_SOCKET");
    systemd_ready();
    systemd_reloading();
    systemd_stopping(1);
    systemd_status("x");
    is_str(hear(fd, 0), "", "nothing is said to a socket that is not the one");
    close(fd);
}

/* How many arrive while the loop turns, at most two. */
static int watchdog(const char *usec, const char *pid)
{
    struct systemd systemd = {0};
    struct event_base *base = event_base_new();
    int fd = manager(abstract), count = 0;

    setenv("WATCHDOG_USEC", usec, 1);
    if (pid != NULL)
        setenv("WATCHDOG_PID", pid, 1);
    else
        unsetenv("WATCHDOG_PID");
    if (base == NULL || systemd_start(&systemd, base) < 0)
        abort();
    while (count < 2 && event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED) > 0) {
        event_base_loop(base, EVLOOP_ONCE);
        count += strcmp(hear(fd, WAIT_MS), "WATCHDOG=1") == 0;
    }
    systemd_clear(&systemd);
    event_base_free(base);
    close(fd);
    return count;
}

int main(void)
{
    char dir[] = "/tmp/axr-systemd-XXXXXX", path[64], pid[32], endless[200];

    log_open(LOG_TO_FILE, "/dev/null", LOG_TEXT);
    if (mkdtemp(dir) == NULL)
        abort();
    snprintf(path, sizeof(path), "%s/notify", dir);
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    snprintf(abstract, sizeof(abstract), "@axr-test-systemd-%s", pid);
    test_messages(path);
    unlink(path);
    test_messages(abstract);
    test_nobody(NULL);
    test_nobody("");
    test_nobody("@");
    test_nobody("relative");
    test_nobody(path); /* is not there any more */
    memset(endless, 'x', sizeof(endless) - 1);
    endless[0] = '/';
    endless[sizeof(endless) - 1] = '\0';
    test_nobody(endless);
    is_int(watchdog("20000", NULL), 2, "a watchdog is fed");
    is_int(watchdog("20000", pid), 2, "that is ours");
    is_int(watchdog("20000", "1"), 0, "another's is not");
    is_int(watchdog("x", NULL), 0, "nor where there is none");
    is_int(watchdog("0", NULL), 0, "or it is switched off");
    rmdir(dir);
    (void)log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    return tap_done();
}
