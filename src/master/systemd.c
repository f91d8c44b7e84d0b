/* libsystemd would be one library more for a datagram. */
#include "master/systemd.h"

#include "base/log.h"

#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 512 /* of a status line: systemd shows one line of a terminal */

/* Path or, after an @, abstract name of the manager's socket; 0: there is none. */
static socklen_t address(struct sockaddr_un *addr)
{
    const char *name = getenv("NOTIFY_SOCKET");
    size_t len = name != NULL ? strlen(name) : 0;

    if (len < 2 || len > sizeof(addr->sun_path) || (*name != '/' && *name != '@'))
        return 0;
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(addr->sun_path, name, len);
    if (*name == '@')
        addr->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

/* A socket for each: the manager may have been started anew since the last. */
static void tell(const char *text)
{
    struct sockaddr_un addr;
    socklen_t len = address(&addr);
    int fd;

    if (len == 0)
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&addr, len) < 0)
        log_event(WARN, "service_manager_untold", "cannot notify the service manager[: {}: {}]",
                  LOG_STRN("what", text, strcspn(text, "\n")), LOG_ERRNO());
    if (fd >= 0)
        close(fd);
}

void systemd_ready(void)
{
    tell("READY=1");
}

/* The time tells the manager which READY=1 belongs to it. */
void systemd_reloading(void)
{
    struct timespec now;
    char text[64];

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
                   (unsigned long long)now.tv_sec * 1000000 +
                       (unsigned long long)now.tv_nsec / 1000);
    tell(text);
}

void systemd_stopping(uint32_t within_ms)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
                   (unsigned long long)within_ms * 1000);
    tell(text);
}

void systemd_status(const char *fmt, ...)
{
    char text[TEXT_MAX] = "STATUS=";
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text + strlen(text), sizeof(text) - strlen(text), fmt, args);
    va_end(args);
    tell(text);
}

/* --- the watchdog ------------------------------------------------------------- */

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    tell("WATCHDOG=1");
}

/* A number of the environment, or 0. */
static unsigned long long number(const char *name)
{
    const char *text = getenv(name);
    char *end;
    unsigned long long value;

    if (text == NULL || *text < '0' || *text > '9')
        return 0;
    errno = 0;
    value = strtoull(text, &end, 10);
    return *end || errno != 0 ? 0 : value;
}

int systemd_start(struct systemd *systemd, struct event_base *base)
{
    struct sockaddr_un addr;
    unsigned long long usec = number("WATCHDOG_USEC"), pid = number("WATCHDOG_PID");
    struct timeval tv;

    if (usec < 2 || (pid != 0 && pid != (unsigned long long)getpid()) || address(&addr) == 0)
        return 0;
    tv = (struct timeval){(time_t)(usec / 2 / 1000000), (suseconds_t)(usec / 2 % 1000000)};
    systemd->watchdog = event_new(base, -1, EV_PERSIST, on_watchdog, NULL);
    return systemd->watchdog != NULL ? event_add(systemd->watchdog, &tv) : -1;
}

void systemd_clear(struct systemd *systemd)
{
    if (systemd->watchdog != NULL)
        event_free(systemd->watchdog);
    systemd->watchdog = NULL;
}
