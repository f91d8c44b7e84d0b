#include "master/start.h"

#include "base/log.h"
#include "base/mem.h"
#include "master/child.h"
#include "master/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* --- what goes wrong ---------------------------------------------------------- */

int start_failed(struct start *start, struct buf *error)
{
    const char *text;

    (void)buf_putc(error, '\0');
    text = error->failed ? "out of memory" : (const char *)error->data;
    log_event(ERROR, "start_failed", "[{}]<the start has failed>", LOG_STR("error", text));
    if (start->status_fd >= 0)
        daemon_failed(&start->status_fd, text);
    else if (start->conf->log_target != LOG_TO_STDERR)
        (void)fprintf(stderr, "%saxr-notifyd: %s\n", log_mark(LOG_LEVEL_ERROR), text);
    buf_free(error);
    return -1;
}

int start_failed_errno(struct start *start, const char *what)
{
    struct buf error = {0};

    (void)buf_printf(&error, "%s: %s", what, strerror(errno));
    return start_failed(start, &error);
}

/* --- the log ------------------------------------------------------------------ */

int start_log(struct start *start)
{
    log_set_level(start->conf->log_level);
    log_name("master", 0);
    if (log_open(start->conf->log_target, start->conf->log_file, start->conf->log_format) == 0)
        return 0;
    start->conf->log_target = LOG_TO_STDERR;
    return start_failed_errno(start, start->conf->log_file != NULL ? start->conf->log_file : "log");
}

/* --- the user ----------------------------------------------------------------- */

/* What was opened as root has to be opened again as the user that we have become:
 * the time to hear that it cannot is now. */
static void rehearse(const struct start *start, const struct privileges *privileges)
{
    static const struct log_entry unreadable = {"configuration_unreadable",
                                                "configuration[: {}]<: not readable>"},
                                  unread = {"file_unreadable", "[{}]<a file is not readable>"};
    struct buf errors = {0}, warnings = {0};
    struct conf *again;

    if (!privileges->change)
        return;
    if (log_reopen() < 0)
        log_event(
            WARN, "log_file_forbidden",
            "the log file[ {}] cannot be opened again by the user that this runs as now[: {}]",
            LOG_STR("file", start->conf->log_file), LOG_ERRNO());
    again = conf_load(start->args, CONF_FOR_REHEARSAL, &errors, &warnings);
    if (again == NULL) {
        log_event(WARN, "reload_would_fail",
                  "a reload will fail: the user that this runs as now cannot read all it needs");
        log_lines(LOG_LEVEL_WARN, unreadable, (const char *)errors.data, errors.len);
    } else {
        buf_reset(&warnings); /* the others have been told */
        conf_unread_put(again, &warnings);
        log_lines(LOG_LEVEL_WARN, unread, (const char *)warnings.data, warnings.len);
    }
    conf_free(&again);
    buf_free(&errors);
    buf_free(&warnings);
}

void start_warn_sandbox(const struct conf *conf)
{
    if (!conf->sandbox)
        log_event(WARN, "sandbox_off", "sandbox: false: the workers may make any system call");
}

int start_privileges(const struct start *start, const struct privileges *privileges,
                     struct buf *error)
{
    if (privileges->change && log_give(privileges->uid, privileges->gid) < 0)
        log_event(WARN, "log_file_kept", "cannot give the log file[ {} to uid {}: {}]< away>",
                  LOG_STR("file", start->conf->log_file), LOG_INT("system_uid", privileges->uid),
                  LOG_ERRNO());
    if (privileges_drop(privileges, error) < 0)
        return -1;
    privileges_harden();
    if (privileges->uid == 0)
        log_event(WARN, "running_as_root", "running as root: set user");
    start_warn_sandbox(start->conf);
    rehearse(start, privileges);
    return 0;
}

/* --- the terminal ------------------------------------------------------------- */

/* A descriptor that whoever called us left open (a pipe that somebody reads to its
 * end) must not live as long as the daemon. */
static void others_close(const struct start *start, const struct listeners *listeners,
                         const struct listeners *admin)
{
    size_t n = 0;
    int *keep = xcalloc(listeners->n + admin->n + 1, sizeof(*keep));

    for (size_t i = 0; i < listeners->n; i++)
        keep[n++] = listeners->fds[i];
    for (size_t i = 0; i < admin->n; i++)
        keep[n++] = admin->fds[i];
    keep[n++] = start->status_fd;
    child_close_fds(keep, n);
    free(keep);
}

int start_detach(struct start *start, struct listeners *listeners, struct listeners *admin,
                 int *status)
{
    struct conf *conf = start->conf;
    int rc = daemon_detach(&start->status_fd, status);

    if (rc < 0) {
        *status = 1;
        return start_failed_errno(start, "cannot detach");
    }
    if (rc > 0) { /* the sockets live on in the daemon */
        listen_close(listeners, 0);
        listen_close(admin, 0);
        return rc;
    }
    others_close(start, listeners, admin);
    if (conf->log_target != LOG_TO_FILE && log_open(LOG_TO_SYSLOG, NULL, conf->log_format) == 0)
        conf->log_target = LOG_TO_SYSLOG;
    return rc;
}

/* --- what is noted ------------------------------------------------------------ */

void start_limits_log(const struct conf *conf)
{
    struct rlimit limit = {0};

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    log_event(INFO, "limits", "limits[: connections={} strangers={} per worker, open files={}]",
              LOG_UINT("connections_limit", conf->connections_max),
              LOG_UINT("strangers_limit", conf->strangers_max),
              LOG_UINT("open_files", limit.rlim_cur));
}
