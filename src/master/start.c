#include "master/state.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "master/child.h"
#include "master/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* --- what goes wrong ---------------------------------------------------------- */

int start_failed(struct master *m, struct buf *error)
{
    const char *text;

    (void)buf_putc(error, '\0');
    text = error->failed ? "out of memory" : (const char *)error->data;
    log_errorx("%s", text);
    if (m->status_fd >= 0)
        daemon_failed(&m->status_fd, text);
    else if (m->conf->log_target != LOG_TO_STDERR)
        (void)fprintf(stderr, "%saxr-notifyd: %s\n", log_mark(LOG_LEVEL_ERROR), text);
    buf_free(error);
    m->status = 1;
    return -1;
}

int start_failed_errno(struct master *m, const char *what)
{
    struct buf error = {0};

    (void)buf_printf(&error, "%s: %s", what, strerror(errno));
    return start_failed(m, &error);
}

/* --- the log ------------------------------------------------------------------ */

int start_log(struct master *m)
{
    log_set_level(m->conf->log_level);
    log_name("master");
    if (log_open(m->conf->log_target, m->conf->log_file, m->conf->log_format) == 0)
        return 0;
    m->conf->log_target = LOG_TO_STDERR;
    return start_failed_errno(m, m->conf->log_file != NULL ? m->conf->log_file : "log");
}

/* --- the user ----------------------------------------------------------------- */

/* What was opened as root has to be opened again as the user that we have become:
 * the time to hear that it cannot is now. */
static void rehearse(const struct master *m)
{
    struct buf errors = {0}, warnings = {0};
    struct conf *again;

    if (!m->privileges.change)
        return;
    if (log_reopen() < 0)
        log_warn("the log file %s cannot be opened again by the user that this runs as now",
                 m->conf->log_file);
    again = conf_load(&m->args, CONF_FOR_DAEMON, &errors, &warnings);
    if (again == NULL) {
        log_warnx("a reload will fail: the user that this runs as now cannot read all it needs");
        master_log_lines(&errors, log_warnx, "configuration: ");
    }
    conf_free(&again);
    buf_free(&errors);
    buf_free(&warnings);
}

void start_warn_sandbox(const struct conf *conf)
{
    if (!conf->sandbox)
        log_warnx("sandbox: false: the workers may make any system call");
}

int start_privileges(const struct master *m, struct buf *error)
{
    const struct privileges *privileges = &m->privileges;

    if (privileges->change && log_give(privileges->uid, privileges->gid) < 0)
        log_warn("cannot give the log file %s to uid %ld", m->conf->log_file,
                 (long)privileges->uid);
    if (privileges_drop(privileges, error) < 0)
        return -1;
    privileges_harden();
    if (privileges->uid == 0)
        log_warnx("running as root: set user");
    start_warn_sandbox(m->conf);
    rehearse(m);
    return 0;
}

/* --- the terminal ------------------------------------------------------------- */

/* A descriptor that whoever called us left open (a pipe that somebody reads to its
 * end) must not live as long as the daemon. */
static void strangers_close(const struct master *m)
{
    size_t n = 0;
    int *keep = xcalloc(m->listeners.n + m->admin_listeners.n + 1, sizeof(*keep));

    for (size_t i = 0; i < m->listeners.n; i++)
        keep[n++] = m->listeners.fds[i];
    for (size_t i = 0; i < m->admin_listeners.n; i++)
        keep[n++] = m->admin_listeners.fds[i];
    keep[n++] = m->status_fd;
    child_close_fds(keep, n);
    free(keep);
}

int start_detach(struct master *m, int *status)
{
    int rc = daemon_detach(&m->status_fd, status);

    if (rc < 0) {
        *status = 1;
        return start_failed_errno(m, "cannot detach");
    }
    if (rc > 0) { /* the sockets live on in the daemon */
        listen_close(&m->listeners, 0);
        listen_close(&m->admin_listeners, 0);
        return rc;
    }
    strangers_close(m);
    m->detached = 1;
    if (m->conf->log_target != LOG_TO_FILE &&
        log_open(LOG_TO_SYSLOG, NULL, m->conf->log_format) == 0)
        m->conf->log_target = LOG_TO_SYSLOG;
    return rc;
}

/* --- what is noted ------------------------------------------------------------ */

void start_limits_log(const struct master *m)
{
    struct rlimit limit = {0};

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    log_info("limits: connections=%zu strangers=%zu per worker, open files=%llu",
             m->conf->connections_max, m->conf->strangers_max, (unsigned long long)limit.rlim_cur);
}

void start_clocks(struct master *m)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    m->started_ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    m->started_mono_ms = clock_ms();
}
