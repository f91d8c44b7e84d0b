#include "master/reload.h"

#include "base/clock.h"
#include "base/logfile.h"
#include "base/slice.h"
#include "conf/server.h"
#include "ipc/change.h"
#include "master/admin_move.h"
#include "master/asking.h"
#include "master/certificates.h"
#include "master/cluster.h"
#include "master/feed.h"
#include "master/keywatch.h"
#include "master/names.h"
#include "master/news.h"
#include "master/pool.h"
#include "master/presence.h"
#include "master/privileges.h"
#include "master/recovery.h"
#include "master/relay.h"
#include "master/running.h"
#include "master/start.h"
#include "master/systemd.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHANGE_ANY (CHANGE_LIVE | CHANGE_MASTER | CHANGE_WORKERS)

#define CONFIGURATION(what) "configuration[: {}]<: " what ">"
#define UNTOLD              "out of memory: the workers do not get the new [{}]<things>"
#define WAITS               "reload waits[: {}]"

struct reload {
    struct running *running;
    struct conf *asking;               /* whose host names are being looked up, or NULL */
    struct names *names;               /* of asking or wanted, or NULL */
    struct conf *wanted;               /* of the generation that starts, or NULL */
    struct listeners wanted_listeners; /* likewise */
    struct admin_move admin;           /* of asking or wanted */
    struct keywatch *keywatch;         /* of the JWKS file that is in force, or NULL */
    struct certificates *certificates; /* those that are in force */
    int again;                         /* another was asked for meanwhile */
    int is_announced, is_stopped;
    struct reload_stats stats;
};

static void count(struct reload *reload, int ok)
{
    struct reload_stats *stats = &reload->stats;

    if (ok)
        stats->good++;
    else
        stats->failed++;
    stats->last_ok = ok;
    stats->last_ms = clock_wall_ms();
}

/* --- checking ----------------------------------------------------------------- */

static void refuse(struct reload *reload, struct conf **wanted)
{
    conf_free(wanted);
    count(reload, 0);
    log_event(ERROR, "configuration_not_reloaded",
              "configuration not reloaded: the old one stays in force");
    news_put(reload->running->news, LOG_LEVEL_ERROR,
             "configuration not reloaded: the old one stays in force; the log says why");
}

/* What was made for it goes as well; another may be what a generation starts with. */
static void give_up(struct reload *reload, struct conf **wanted)
{
    admin_move_clear(&reload->admin);
    names_free(&reload->names);
    refuse(reload, wanted);
}

/* Those that we may not read are left as they are in force; a bad one is none.  Returns 0,
 * or -1 with errors. */
static int certificates_settle(struct reload *reload, struct conf *wanted, struct buf *errors,
                               struct buf *warnings)
{
    size_t unread = 0;
    int rc;

    for (size_t i = 0; i < wanted->tls.n; i++)
        unread += wanted->tls.at[i].unread != 0;
    rc = conf_keep_certificates(reload->running->conf, wanted, errors, warnings);
    if (unread > 0 || rc < 0)
        certificates_count(reload->certificates, 0);
    return rc;
}

/* NULL, with the reasons logged. */
static struct conf *load(struct reload *reload)
{
    static const struct log_entry warning = {"configuration_warning", CONFIGURATION("warning")},
                                  error = {"configuration_error", CONFIGURATION("error")};
    struct buf errors = {0}, warnings = {0};
    struct conf *wanted = conf_load(reload->running->args, CONF_FOR_RELOAD, &errors, &warnings);

    if (wanted != NULL && certificates_settle(reload, wanted, &errors, &warnings) < 0)
        conf_free(&wanted);
    log_lines(LOG_LEVEL_WARN, warning, (const char *)warnings.data, warnings.len);
    log_lines(LOG_LEVEL_ERROR, error, (const char *)errors.data, errors.len);
    if (wanted != NULL && reload->running->detached && wanted->log_target != LOG_TO_FILE)
        wanted->log_target = LOG_TO_SYSLOG;
    buf_free(&errors);
    buf_free(&warnings);
    return wanted;
}

/* Can the log be written there? */
static int target_check(const struct conf *wanted)
{
    if (wanted->log_target != LOG_TO_FILE ||
        log_is(LOG_TO_FILE, wanted->log_file, wanted->log_format))
        return 0;
    if (logfile_try(wanted->log_file) == 0)
        return 0;
    log_event(ERROR, "configuration_error", "configuration[: log:target: {}: {}]<: error>",
              LOG_STR("file", wanted->log_file), LOG_ERRNO());
    return -1;
}

/* A start with it would fail; what has not changed was good at ours. */
static int user_check(const struct conf *now, const struct conf *wanted)
{
    struct buf error = {0};
    int rc;

    if (text_eq(now->user, wanted->user) && text_eq(now->group, wanted->group))
        return 0;
    rc = privileges_known(wanted, &error);
    if (rc < 0)
        log_event(ERROR, "configuration_error", CONFIGURATION("error"),
                  LOG_STRN("detail", (const char *)error.data, error.len));
    buf_free(&error);
    return rc;
}

/* What is not the same, and will not be before the next start. */
static int restart_check(const struct conf *now, struct conf *wanted)
{
    struct buf keys = {0};

    if (user_check(now, wanted) < 0)
        return -1;
    if (change_diff(now, wanted, CHANGE_RESTART, &keys) > 0)
        log_event(WARN, "configuration_restart",
                  "configuration: changed, but in force only after a restart[: {}]",
                  LOG_NAMES("keys", (const char *)keys.data, keys.len, ','));
    buf_free(&keys);
    if (change_keep(now, wanted) == 0)
        return 0;
    log_event(ERROR, "configuration_error", CONFIGURATION("error"),
              LOG_STR("detail", "out of memory"));
    return -1;
}

/* --- in force ----------------------------------------------------------------- */

static int push(struct pool *pool, const struct conf *conf)
{
    struct buf message = {0};
    int rc = change_put(&message, conf);

    if (rc == 0)
        pool_send_all(pool, &message);
    buf_free(&message);
    return rc;
}

/* The old log ends with where to look from now on. */
static void log_move(const struct conf *conf)
{
    static const char *const formats[] = {[LOG_TEXT] = "text", [LOG_JSON] = "json"};
    const char *name = conf->log_target == LOG_TO_FILE     ? conf->log_file
                       : conf->log_target == LOG_TO_SYSLOG ? "syslog"
                       : conf->log_target == LOG_TO_STDOUT ? "stdout"
                                                           : "stderr";

    log_event(INFO, "log_moved", "the log goes on[ in {} as {}]", LOG_STR("file", name),
              LOG_STR("format", formats[conf->log_format]));
    if (log_open(conf->log_target, conf->log_file, conf->log_format) < 0)
        log_event(WARN, "log_open_failed", "cannot open [{}: ]the log[ stays where it is: {}]",
                  LOG_STR("file", conf->log_file), LOG_ERRNO());
}

static void log_configure(const struct conf *conf)
{
    if (!log_is(conf->log_target, conf->log_file, conf->log_format))
        log_move(conf);
    log_set_level(conf->log_level);
}

static void on_keys(void *arg)
{
    struct reload *reload = arg;

    recovery_keys(reload->running->recovery);
    if (push(reload->running->pool, reload->running->conf) < 0)
        log_event(ERROR, "workers_untold", UNTOLD, LOG_STR("what", "keys"));
    news_put(reload->running->news, LOG_LEVEL_INFO, "the keys of tokens were read again: %s",
             reload->running->conf->jwks_file);
}

static void on_certificates(void *arg)
{
    struct reload *reload = arg;

    if (push(reload->running->pool, reload->running->conf) < 0)
        log_event(ERROR, "workers_untold", UNTOLD, LOG_STR("what", "certificates"));
}

int reload_watch(struct reload *reload)
{
    struct conf *conf = reload->running->conf;
    int rc = certificates_watch(reload->certificates, conf);

    keywatch_free(&reload->keywatch);
    if (conf->jwks_file == NULL)
        return rc;
    reload->keywatch = keywatch_new(reload->running->base, conf, on_keys, reload);
    return reload->keywatch != NULL ? rc : -1;
}

static void listeners_log(const struct reload *reload)
{
    struct buf names = {0};

    listen_names(&reload->running->listeners, &names);
    log_event(INFO, "listening", "listening[ on {}]",
              LOG_NAMES("addresses", (const char *)names.data, names.len, ' '));
    buf_free(&names);
}

/* All of wanted (taken) is in force: nothing of this can fail for a reason that its
 * author could mend. */
static void commit(struct reload *reload, struct conf *wanted)
{
    struct conf *was = reload->running->conf;
    struct buf keys = {0};
    int n = change_diff(was, wanted, CHANGE_ANY, &keys);

    reload->running->conf = wanted;
    if (reload_watch(reload) < 0)
        log_event(ERROR, "files_unwatched", "out of memory: not all files are watched");
    else if (reload->keywatch != NULL)
        (void)keywatch_look(reload->keywatch); /* it may have changed while workers started */
    if (wanted->tls.n > 0 && !change_same_certificates(&was->tls, &wanted->tls))
        certificates_count(reload->certificates, 1);
    relay_configure(reload->running->relay, wanted);
    cluster_configure(reload->running->cluster, wanted);
    recovery_configure(reload->running->recovery, wanted);
    presence_set(reload->running->presence, wanted->presence);
    pool_configure(reload->running->pool, wanted, &reload->running->listeners);
    log_configure(wanted);
    feed_configure(reload->running->feed, was, wanted);
    admin_move_make(&reload->admin, was, reload->names);
    count(reload, 1);
    if (push(reload->running->pool, wanted) < 0)
        log_event(ERROR, "workers_untold", UNTOLD, LOG_STR("what", "settings"));
    if (was->sandbox)
        start_warn_sandbox(wanted);
    log_event(INFO, "configuration_reloaded", "configuration reloaded[; changed: {}]",
              n > 0 ? LOG_NAMES("keys", (const char *)keys.data, keys.len, ',')
                    : LOG_SHOWN("nothing"));
    news_put(reload->running->news, LOG_LEVEL_INFO, "configuration reloaded; changed: %.*s",
             n > 0 ? (int)keys.len : 7, n > 0 ? (const char *)keys.data : "nothing");
    buf_free(&keys);
    conf_free(&was);
    names_free(&reload->names);
}

/* The service manager hears of the end once nothing is under way or waits. */
static void over(const struct reload *reload)
{
    if (reload->is_announced && reload->wanted == NULL && reload->asking == NULL &&
        !reload->again && !reload->is_stopped)
        systemd_ready();
}

/* --- new workers -------------------------------------------------------------- */

static void replace(struct reload *reload, struct conf *wanted)
{
    struct buf error = {0};

    if (listen_reopen(&reload->wanted_listeners, wanted, reload->names, &reload->running->listeners,
                      reload->running->conf, &error) < 0) {
        log_event(ERROR, "configuration_error", CONFIGURATION("error"),
                  LOG_STRN("detail", (const char *)error.data, error.len));
        buf_free(&error);
        give_up(reload, &wanted);
        return;
    }
    reload->wanted = wanted;
    if (recovery_prepare(reload->running->recovery, wanted) < 0 ||
        pool_replace(reload->running->pool, wanted, &reload->wanted_listeners) < 0) {
        log_event(ERROR, "workers_not_started", "new workers cannot be started[: {}]", LOG_ERRNO());
        recovery_give_up(reload->running->recovery);
        listen_leave(&reload->wanted_listeners, &reload->running->listeners);
        give_up(reload, &reload->wanted);
    }
}

void reload_replaced(struct reload *reload, int ok)
{
    struct conf *wanted = reload->wanted;
    struct listeners old;

    reload->wanted = NULL;
    if (!ok) {
        recovery_give_up(reload->running->recovery);
        listen_leave(&reload->wanted_listeners, &reload->running->listeners);
        give_up(reload, &wanted);
        over(reload);
        return;
    }
    old = reload->running->listeners;
    reload->running->listeners = reload->wanted_listeners;
    reload->wanted_listeners = (struct listeners){0};
    listen_leave(&old, &reload->running->listeners);
    commit(reload, wanted);
    listeners_log(reload);
    over(reload);
    reload_ready(reload);
}

void reload_ready(struct reload *reload)
{
    if (reload->again && !reload->is_stopped)
        reload_begin(reload);
}

/* --- from the file into force ------------------------------------------------- */

static int needs_workers(const struct reload *reload, const struct conf *wanted)
{
    struct buf keys = {0};
    int n = change_diff(reload->running->conf, wanted, CHANGE_WORKERS, &keys);

    buf_free(&keys);
    return n > 0;
}

/* 1 if it has to be read again later. */
static int waits(struct reload *reload, const struct conf *wanted)
{
    if (pool_is_starting(reload->running->pool)) {
        log_event(INFO, "reload_waits", WAITS, LOG_STR("reason", "workers are starting"));
    } else if (needs_workers(reload, wanted) && !pool_has_room(reload->running->pool)) {
        log_event(INFO, "reload_waits", WAITS,
                  LOG_STR("reason", "two generations of workers live"));
        pool_hurry(reload->running->pool);
    } else {
        return 0;
    }
    reload->again = 1;
    return 1;
}

/* All names in it (taken) are known. */
static void proceed(struct reload *reload, struct conf *wanted)
{
    if (admin_move_check(&reload->admin, wanted, reload->names) < 0)
        give_up(reload, &wanted);
    else if (needs_workers(reload, wanted))
        replace(reload, wanted);
    else
        commit(reload, wanted);
}

static void on_names(const char *why, void *arg)
{
    struct reload *reload = arg;
    struct conf *wanted = reload->asking;

    reload->asking = NULL;
    if (reload->is_stopped) {
        conf_free(&wanted);
        return;
    }
    if (why != NULL) {
        log_event(ERROR, "configuration_error", CONFIGURATION("error"), LOG_STR("detail", why));
        give_up(reload, &wanted);
    } else {
        proceed(reload, wanted);
    }
    over(reload);
}

static const struct names_ops names_ops = {on_names};

/* Begins to look up what will be bound.  Returns 0, or -1 with errno. */
static int names_ask(struct reload *reload, const struct conf *wanted)
{
    reload->names = names_new(reload->running->base, &names_ops, reload);
    if (reload->names == NULL || listen_ask(reload->names, wanted, reload->running->conf) < 0)
        return -1;
    if (wanted->admin_host == NULL || admin_move_is_none(reload->running->conf, wanted))
        return 0;
    return names_add(reload->names, wanted->admin_host);
}

/* Begins to look up the names of reload->asking; where all are known, goes on at once. */
static void ask(struct reload *reload)
{
    int rc = names_ask(reload, reload->asking);
    struct conf *wanted;

    if (rc == 0 && names_waiting(reload->names) > 0) {
        log_event(INFO, "reload_waits", WAITS, LOG_STR("reason", "host names are looked up"));
        return;
    }
    if (rc < 0)
        log_event(ERROR, "configuration_error",
                  "configuration[: host names cannot be looked up: {}]<: error>", LOG_ERRNO());
    wanted = reload->asking;
    reload->asking = NULL;
    if (rc < 0)
        give_up(reload, &wanted);
    else
        proceed(reload, wanted);
}

/* Another configuration has come before the names of the last one. */
static void asking_end(struct reload *reload)
{
    if (reload->asking == NULL)
        return;
    log_event(INFO, "reload_given_up",
              "the reload that waits for host names is given up for another");
    conf_free(&reload->asking);
    names_free(&reload->names);
}

static void apply(struct reload *reload)
{
    struct conf *wanted;

    asking_end(reload);
    wanted = load(reload);
    if (wanted == NULL || target_check(wanted) < 0 ||
        restart_check(reload->running->conf, wanted) < 0) {
        refuse(reload, &wanted);
    } else if (waits(reload, wanted)) {
        conf_free(&wanted);
    } else {
        reload->asking = wanted; /* before there are children: reload_wipe() */
        ask(reload);
    }
}

void reload_begin(struct reload *reload)
{
    if (reload->is_stopped)
        return;
    if (reload->is_announced)
        systemd_reloading();
    reload->again = 0; /* it is read now */
    apply(reload);
    over(reload);
}

/* --- for the master ----------------------------------------------------------- */

static void conf_wipe(struct conf *conf, const struct conf *own)
{
    if (conf == NULL)
        return;
    server_wipe(&conf->redis);
    if (conf->admin_token != NULL)
        explicit_bzero(conf->admin_token, strlen(conf->admin_token));
    if (conf->recovery_secret != NULL)
        explicit_bzero(conf->recovery_secret, conf->recovery_secret_len);
    token_keys_clear(conf->given_keys); /* for the master, to read the JWKS file again */
    if (conf == own)
        return;
    token_keys_clear(conf->keys);
    conf_tls_wipe(&conf->tls);
}

void reload_wipe(struct reload *reload, const struct conf *own)
{
    conf_wipe(reload->running->conf, own);
    conf_wipe(reload->wanted, own);
    conf_wipe(reload->asking, own);
    if (reload->running->feed != NULL)
        feed_disown(reload->running->feed);
    if (reload->running->asking != NULL)
        asking_wipe(reload->running->asking);
    if (reload->running->recovery != NULL)
        recovery_wipe(reload->running->recovery);
}

struct certificates_stats reload_certificates(const struct reload *reload)
{
    return certificates_stats(reload->certificates);
}

const struct reload_stats *reload_stats(const struct reload *reload)
{
    return &reload->stats;
}

/* --- coming and going --------------------------------------------------------- */

struct reload *reload_new(struct running *running)
{
    struct reload *reload = calloc(1, sizeof(*reload));

    if (reload == NULL)
        return NULL;
    reload->running = running;
    reload->admin.running = running;
    reload->certificates = certificates_new(running->base, running->news, on_certificates, reload);
    if (reload->certificates == NULL)
        reload_free(&reload);
    return reload;
}

void reload_announced(struct reload *reload)
{
    reload->is_announced = 1;
}

void reload_stop(struct reload *reload)
{
    reload->is_stopped = 1;
    listen_close(&reload->wanted_listeners, 1);
}

void reload_free(struct reload **reloadp)
{
    struct reload *reload = *reloadp;

    if (reload == NULL)
        return;
    *reloadp = NULL;
    keywatch_free(&reload->keywatch);
    certificates_free(&reload->certificates);
    conf_free(&reload->wanted);
    conf_free(&reload->asking);
    names_free(&reload->names);
    listen_leave(&reload->wanted_listeners, &reload->running->listeners);
    admin_move_clear(&reload->admin);
    free(reload);
}
