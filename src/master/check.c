#include "master/check.h"

#include "base/clock.h"
#include "base/logfile.h"
#include "conf/args.h"
#include "conf/file.h"
#include "conf/service.h"
#include "master/owners.h"
#include "master/privileges.h"
#include "master/trial.h"
#include "master/trial_address.h"
#include "master/trial_redis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNTIME_DIR "/run/axr-notifyd" /* that unit and init script make */
#define WARNED_MAX  127                /* that a process can say with its end */

/* What is judged. */
struct check {
    const struct conf_args *args;
    struct service service; /* that will run with it */
    int is_ours;            /* ... if it runs with this file */
    int is_service;         /* and it is judged as that; 0: nobody knows who will run with it */
    int connect;            /* redis and addresses are tried, too */
    struct owners *owners;  /* of the sockets on which others listen, for that */
};

static int warned; /* how many lines were warnings */

void check_complain(const struct buf *text, enum log_level level)
{
    const char *mark = log_mark(level), *kind = level == LOG_LEVEL_WARN ? "warning: " : "";
    const char *at = (const char *)text->data, *end = at + text->len;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;

        (void)fprintf(stderr, "%saxr-notifyd: %s%.*s\n", mark, kind, (int)(stop - at), at);
        warned += level == LOG_LEVEL_WARN;
        at = stop + 1;
    }
}

int check_flushed(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    (void)fprintf(stderr, "axr-notifyd: cannot write to standard output\n");
    return -1;
}

/* --- the log ---------------------------------------------------------------------- */

/* The service's directory may be made with its start. */
static int is_made_later(const struct check *check, const char *file)
{
    const char *dir = check->is_service ? check->service.log_dir : NULL;
    size_t len = dir != NULL ? strlen(dir) : 0;

    return len > 0 && strncmp(file, dir, len) == 0 && file[len] == '/' &&
           strchr(file + len + 1, '/') == NULL && access(file, F_OK) < 0 && errno != ELOOP;
}

/* The start opens the log; nothing is made here.  Where root is to start it, another
 * user cannot tell.  Returns 0, or -1 where the start would fail. */
static int check_log(const struct check *check, const struct conf *conf)
{
    int others = geteuid() != 0 && conf->user != NULL && !check->is_service;

    if (conf->log_target != LOG_TO_FILE || is_made_later(check, conf->log_file) ||
        logfile_check(conf->log_file) == 0)
        return 0;
    (void)fprintf(stderr, "axr-notifyd: %slog:target: cannot write to %s: %s\n",
                  others ? "warning: " : "", conf->log_file, strerror(errno));
    warned += others;
    return others ? 0 : -1;
}

/* --- the user --------------------------------------------------------------------- */

static void warn_log(const struct conf *conf)
{
    if (conf->log_target != LOG_TO_FILE || access(conf->log_file, F_OK) < 0 ||
        logfile_check(conf->log_file) == 0)
        return;
    (void)fprintf(stderr,
                  "axr-notifyd: warning: log:target: the user that the daemon runs as cannot "
                  "open %s again: %s\n",
                  conf->log_file, strerror(errno));
    warned++;
}

/* Reads everything once more as the user that the daemon will be then.  Returns 0, or
 * -1 if he cannot. */
static int read_as(const struct privileges *privileges, const struct conf_args *args)
{
    struct buf errors = {0}, warnings = {0};
    struct conf *conf = NULL;
    int result = 0;

    if (privileges_drop(privileges, &errors) < 0)
        buf_putc(&errors, '\n');
    else
        conf = conf_load(args, CONF_FOR_REHEARSAL, &errors, &warnings);
    if (conf != NULL) {
        warn_log(conf);
        buf_reset(&warnings); /* the others have been told */
        conf_unread_put(conf, &warnings);
        check_complain(&warnings, LOG_LEVEL_WARN);
    } else {
        (void)fprintf(stderr,
                      "axr-notifyd: user %s, whom the daemon becomes, cannot read all it needs: a "
                      "reload would fail\n",
                      privileges->user != NULL ? privileges->user : "(as now)");
        check_complain(&errors, LOG_LEVEL_ERROR);
        result = -1;
    }
    conf_free(&conf);
    buf_free(&errors);
    buf_free(&warnings);
    return result;
}

/* In a process of its own, whose status is whether he cannot, and how often he was warned. */
static int read_aside(const struct privileges *privileges, const struct conf_args *args)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        warned = 0;
        status = read_as(privileges, args) < 0;
        _exit(status | (warned < WARNED_MAX ? warned : WARNED_MAX) << 1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0) {
        log_event(WARN, "check_impossible",
                  "cannot check what the user that the daemon runs as may read[: {}]", LOG_ERRNO());
        return 0;
    }
    if (!WIFEXITED(status))
        return -1;
    warned += WEXITSTATUS(status) >> 1;
    return (WEXITSTATUS(status) & 1) == 0 ? 0 : -1;
}

/* What comes through a pipe is there once. */
static int is_readable_again(const struct conf_args *args)
{
    struct stat st;

    return args->file == NULL || stat(args->file, &st) < 0 || S_ISREG(st.st_mode) ||
           S_ISCHR(st.st_mode);
}

/* Root may read every file; the user that the daemon becomes has to, with the first
 * reload.  Unknown to us, it may yet be known where the daemon runs, unless that is
 * here, as for who tries it (--connect). */
static int check_user(const struct check *check, const struct conf *conf)
{
    struct privileges privileges;
    struct buf error = {0};
    int is_here = check->is_service || check->connect;
    int result = 0;

    if (geteuid() != 0 && !check->is_service)
        return 0;
    if (privileges_find(&privileges, conf, &error) < 0) {
        buf_putc(&error, '\n');
        check_complain(&error, is_here ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN);
        result = is_here ? -1 : 0;
    } else if (privileges.change && is_readable_again(check->args)) {
        result = read_aside(&privileges, check->args);
    }
    buf_free(&error);
    return result;
}

/* --- all of it -------------------------------------------------------------------- */

static int print_conf(const struct conf *conf)
{
    struct buf out = {0};

    conf_print(conf, &out);
    (void)fwrite(out.data, 1, out.len, stdout);
    buf_free(&out);
    return check_flushed() < 0;
}

/* --- what is outside -------------------------------------------------------------- */

#define ADDRESSES_MS 3000

struct outside {
    const struct check *check;
    const struct conf *conf;
};

static void try_addresses(const void *arg, int fd)
{
    const struct outside *outside = arg;
    const struct check *check = outside->check;
    struct trial_addresses what = {
        .conf = outside->conf,
        .owners = check->owners,
        .file = check->args->file != NULL ? check->args->file : CONF_DEFAULT_FILE,
        .made_dirs = check->is_service ? RUNTIME_DIR : NULL,
        .low_ports = check->is_ours && check->service.low_ports ? check->service.name : NULL,
        .is_unit = check->is_service && check->service.files > 0,
    };
    struct trial trial = {0};

    trial_addresses(&trial, &what);
    trial_send(&trial, fd);
}

/* All at once; each in a process of its own, for a name may take long to look up. */
static int try_outside(const struct check *check, const struct conf *conf)
{
    const struct outside outside = {check, conf};
    struct privileges privileges;
    struct buf error = {0};
    int becomes = privileges_find(&privileges, conf, &error) == 0 && privileges.change;
    struct trial trial = {0};
    struct trial_redis *redis = trial_redis_begin(conf, becomes ? &privileges : NULL);
    struct aside addresses;

    (void)fflush(stdout);
    aside_begin(&addresses, "listen", try_addresses, &outside);
    trial_take(&trial, &addresses, clock_ms() + ADDRESSES_MS);
    trial_redis_end(&trial, &redis);
    warned += trial.odd;
    buf_free(&error);
    return trial_print(&trial);
}

/* One fault hides no other. */
static int judge_outside(const struct check *check, const struct conf *conf)
{
    int faults = check_log(check, conf) < 0;

    faults += check_user(check, conf) < 0;
    if (faults == 0 && conf->user != NULL && (geteuid() == 0 || check->is_service))
        printf("ok: the configuration, and the files that it names, for the user %s, too\n",
               conf->user);
    else if (faults == 0)
        printf("ok: the configuration, and the files that it names\n");
    (void)fflush(stdout);
    if (geteuid() != 0 && conf->user != NULL && !check->is_service) {
        (void)fprintf(
            stderr, "axr-notifyd: warning: user: what the user %s may read is seen by root only\n",
            conf->user);
        warned++;
    }
    faults += try_outside(check, conf) < 0;
    if (faults == 0 && warned > 0)
        printf("ok: nothing that would not work, and %d warning%s\n", warned,
               warned == 1 ? "" : "s");
    faults += check_flushed() < 0;
    return faults > 0;
}

static int judge(const struct check *check)
{
    struct buf errors = {0}, warnings = {0};
    struct conf *conf = conf_load(check->args, CONF_FOR_DAEMON, &errors, &warnings);
    int status = 1;

    check_complain(&warnings, LOG_LEVEL_WARN);
    check_complain(&errors, LOG_LEVEL_ERROR);
    if (conf != NULL && check->connect)
        status = judge_outside(check, conf);
    else if (conf != NULL && check_log(check, conf) == 0 && check_user(check, conf) == 0)
        status = print_conf(conf);
    conf_free(&conf);
    buf_free(&errors);
    buf_free(&warnings);
    return status;
}

/* --- as the service --------------------------------------------------------------- */

/* What is on the command line counts more.  Returns 0, or -1 (reported). */
static int merge(struct conf_args *merged, const struct conf_args *args,
                 const struct service *service)
{
    struct buf errors = {0};
    int result = service_args(merged, service, args, &errors);

    if (result < 0)
        (void)fprintf(stderr, "axr-notifyd: %s: its options are wrong:\n", service->name);
    check_complain(&errors, LOG_LEVEL_ERROR);
    buf_free(&errors);
    return result;
}

/* Becomes who the service is from its start.  Returns 0, or -1 (reported). */
static int become(const struct service *service)
{
    struct privileges privileges;
    struct buf error = {0};
    const struct rlimit files = {(rlim_t)service->files, (rlim_t)service->files};
    int result;

    if (service->files > 0) /* more than the kernel has are not to be had by the unit either */
        (void)setrlimit(RLIMIT_NOFILE, &files);
    result = privileges_named(&privileges, service->user, service->group, service->groups, &error);

    if (result == 0 && privileges.change)
        result = privileges_drop(&privileges, &error);
    if (result < 0)
        (void)fprintf(stderr, "axr-notifyd: %s: %.*s\n", service->name, (int)error.len,
                      (const char *)error.data);
    buf_free(&error);
    return result;
}

static int judge_service(const struct check *given)
{
    const struct service *service = &given->service;
    struct conf_args merged;
    struct check check = *given;
    int status = 1;

    (void)fprintf(stderr, "axr-notifyd: as %s starts it%s%s\n", service->name,
                  service->user != NULL ? ", user " : "",
                  service->user != NULL ? service->user : "");
    check.args = &merged;
    if (merge(&merged, given->args, service) == 0 && become(service) == 0)
        status = judge(&check);
    conf_args_clear(&merged);
    return status;
}

int check_run(const struct conf_args *args, int connect)
{
    struct check check = {.args = args, .connect = connect};
    struct buf notes = {0};
    int status;

    if (service_find(&check.service, "", &notes)) {
        const char *config = service_config(&check.service);

        check.is_ours = args->file == NULL ||
                        file_is_same(args->file, config != NULL ? config : CONF_DEFAULT_FILE);
        check.is_service = check.is_ours && geteuid() == 0;
    }
    if (connect) /* as long as we see whose they are */
        check.owners = owners_read();
    if (check.is_service)
        check_complain(&notes, LOG_LEVEL_WARN);
    status = check.is_service ? judge_service(&check) : judge(&check);
    owners_free(&check.owners);
    service_clear(&check.service);
    buf_free(&notes);
    return status;
}
