/* systemd - tells the service manager how we are, where it asks for that
 * (Type=notify: sd_notify(3), systemd.service(5)).
 *
 * All of them do nothing where NOTIFY_SOCKET is not in the environment, and what
 * cannot be sent is lost: a daemon serves without its manager. */
#ifndef MASTER_SYSTEMD_H
#define MASTER_SYSTEMD_H

#include <stdint.h>

struct event_base;
struct event;

struct systemd {
    struct event *watchdog; /* NULL: none is wanted */
};

/* Where WatchdogSec= is set, says from the loop of base that it turns, twice in
 * that time.  Returns 0, or -1 without memory.  systemd_clear() undoes it. */
int systemd_start(struct systemd *systemd, struct event_base *base);
void systemd_clear(struct systemd *systemd);

/* The start is over; also said when a reload is.  Call it for no other reason. */
void systemd_ready(void);

/* A reload begins: systemd_ready() has to follow, whether it succeeds or not. */
void systemd_reloading(void);

/* A stop begins, and may take so long. */
void systemd_stopping(uint32_t within_ms);

/* One line for `systemctl status`, without a newline. */
void systemd_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
