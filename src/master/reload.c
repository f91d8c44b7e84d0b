#include "master/reload.h"

#include "base/logfile.h"
#include "ipc/change.h"
#include "master/admin.h"
#include "master/feed.h"
#include "master/keywatch.h"
#include "master/names.h"
#include "master/pool.h"
#include "master/relay.h"
#include "master/state.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#define CHANGE_ANY (CHANGE_LIVE | CHANGE_MASTER | CHANGE_WORKERS)

/* --- checking ----------------------------------------------------------------- */

static void refuse(struct master *m, struct conf **wanted)
{
    conf_free(wanted);
    m->reloads_failed++;
    log_errorx("configuration not reloaded: the old one stays in force");
}

/* What was made for it goes as well; another may be what a generation starts with. */
static void give_up(struct master *m, struct conf **wanted)
{
    listen_close(&m->admin_listeners, 1);
    names_free(&m->names);
    refuse(m, wanted);
}

/* NULL, with the reasons logged. */
static struct conf *load(struct master *m)
{
    struct buf errors = {0}, warnings = {0};
    struct conf *wanted = conf_load(&m->args, CONF_FOR_RELOAD, &errors, &warnings);

    master_log_lines(&warnings, log_warnx, "configuration: ");
    master_log_lines(&errors, log_errorx, "configuration: ");
    if (wanted != NULL && m->detached && wanted->log_target == LOG_TO_STDERR)
        wanted->log_target = LOG_TO_SYSLOG;
    buf_free(&errors);
    buf_free(&warnings);
    return wanted;
}

static int same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Can the log be written there? */
static int target_check(const struct conf *wanted)
{
    if (wanted->log_target != LOG_TO_FILE ||
        log_is(LOG_TO_FILE, wanted->log_file, wanted->log_format))
        return 0;
    if (logfile_try(wanted->log_file) == 0)
        return 0;
    log_error("configuration: log:target: %s", wanted->log_file);
    return -1;
}

/* A start with it would fail; what has not changed was good at ours. */
static int user_check(const struct conf *now, const struct conf *wanted)
{
    struct buf error = {0};
    int rc;

    if (same_text(now->user, wanted->user) && same_text(now->group, wanted->group))
        return 0;
    rc = privileges_known(wanted, &error);
    if (rc < 0)
        log_errorx("configuration: %.*s", (int)error.len, (const char *)error.data);
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
        log_warnx("configuration: changed, but in force only after a restart: %.*s", (int)keys.len,
                  (const char *)keys.data);
    buf_free(&keys);
    if (change_keep(now, wanted) == 0)
        return 0;
    log_errorx("configuration: out of memory");
    return -1;
}

/* --- the admin address -------------------------------------------------------- */

static int same_admin(const struct conf *a, const struct conf *b)
{
    return a->admin_port == b->admin_port && same_text(a->admin_host, b->admin_host);
}

/* Binds what is to come.  The port that is ours now is not free before it is given up:
 * then only the address is tried, with another port. */
static int admin_check(struct master *m, const struct conf *wanted)
{
    struct buf error = {0};
    int ours, port, rc;

    if (wanted->admin_host == NULL || same_admin(m->conf, wanted))
        return 0;
    ours = m->admin != NULL && wanted->admin_port == m->conf->admin_port;
    port = ours ? 0 : wanted->admin_port;
    rc = admin_open(&m->admin_listeners, wanted->admin_host, port, m->names, &error);
    if (rc < 0)
        log_errorx("configuration: %.*s", (int)error.len, (const char *)error.data);
    else if (ours && wanted->admin_port != 0)
        listen_close(&m->admin_listeners, 1);
    buf_free(&error);
    return rc;
}

static int admin_bind(struct master *m, const struct conf *conf)
{
    struct buf error = {0};
    int rc = 0;

    if (m->admin_listeners.n == 0)
        rc = admin_open(&m->admin_listeners, conf->admin_host, conf->admin_port, m->names, &error);
    if (rc < 0)
        log_errorx("%.*s", (int)error.len, (const char *)error.data);
    buf_free(&error);
    return rc;
}

/* Where it serves now, for admin_bind() to come back to without asking anybody. */
static void admin_remember(struct master *m, const struct conf *was)
{
    struct buf bound = {0};

    if (m->admin == NULL)
        return;
    admin_addresses(m->admin, &bound);
    if (buf_putc(&bound, '\0') == 0)
        (void)names_put(m->names, was->admin_host, (const char *)bound.data);
    buf_free(&bound);
}

static void admin_configure(struct master *m, const struct conf *was)
{
    const struct conf *conf = m->conf;

    if (same_admin(was, conf))
        return;
    admin_remember(m, was);
    admin_free(&m->admin);
    if (conf->admin_host == NULL)
        return;
    if (admin_bind(m, conf) < 0 && (was->admin_host == NULL || admin_bind(m, was) < 0))
        return;
    m->admin = admin_new(m->base, &m->admin_listeners, m->stats, &master_admin_ops, m);
    if (m->admin == NULL)
        log_errorx("admin: out of memory");
}

/* --- in force ----------------------------------------------------------------- */

int reload_push(struct pool *pool, const struct conf *conf)
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
                                                           : "stderr";

    log_info("the log goes on in %s as %s", name, formats[conf->log_format]);
    if (log_open(conf->log_target, conf->log_file, conf->log_format) < 0)
        log_warn("cannot open %s: the log stays where it is", conf->log_file);
}

static void log_configure(const struct conf *conf)
{
    if (!log_is(conf->log_target, conf->log_file, conf->log_format))
        log_move(conf);
    log_set_level(conf->log_level);
}

static void on_keys(void *arg)
{
    struct master *m = arg;

    if (reload_push(m->pool, m->conf) < 0)
        log_errorx("out of memory: the workers do not get the new keys");
}

int reload_watch(struct master *m)
{
    keywatch_free(&m->keywatch);
    if (m->conf->jwks_file == NULL)
        return 0;
    m->keywatch = keywatch_new(m->base, m->conf, on_keys, m);
    return m->keywatch != NULL ? 0 : -1;
}

static void listeners_log(const struct master *m)
{
    struct buf names = {0};

    listen_names(&m->listeners, &names);
    log_info("listening on %.*s", (int)names.len, (const char *)names.data);
    buf_free(&names);
}

/* All of wanted (taken) is in force: nothing of this can fail for a reason that its
 * author could mend. */
static void commit(struct master *m, struct conf *wanted)
{
    struct conf *was = m->conf;
    struct buf keys = {0};
    int n = change_diff(was, wanted, CHANGE_ANY, &keys);

    m->conf = wanted;
    if (reload_watch(m) < 0)
        log_errorx("out of memory: the JWKS file is not watched");
    else if (m->keywatch != NULL)
        (void)keywatch_look(m->keywatch); /* it may have changed while workers started */
    relay_configure(m->relay, wanted);
    pool_configure(m->pool, wanted, &m->listeners);
    log_configure(wanted);
    feed_configure(m->feed, was, wanted);
    admin_configure(m, was);
    m->reloads++;
    if (reload_push(m->pool, wanted) < 0)
        log_errorx("out of memory: the workers do not get the new settings");
    if (was->sandbox)
        start_warn_sandbox(wanted);
    log_info("configuration reloaded; changed: %.*s", n > 0 ? (int)keys.len : 7,
             n > 0 ? (const char *)keys.data : "nothing");
    buf_free(&keys);
    conf_free(&was);
    names_free(&m->names);
}

/* The service manager hears of the end once nothing is under way or waits. */
static void over(const struct master *m)
{
    if (m->announced && m->wanted == NULL && m->asking == NULL && !m->again && !m->stops)
        systemd_ready();
}

/* --- new workers -------------------------------------------------------------- */

static void replace(struct master *m, struct conf *wanted)
{
    struct buf error = {0};

    if (listen_reopen(&m->wanted_listeners, wanted, m->names, &m->listeners, m->conf, &error) < 0) {
        log_errorx("configuration: %.*s", (int)error.len, (const char *)error.data);
        buf_free(&error);
        give_up(m, &wanted);
        return;
    }
    m->wanted = wanted;
    if (pool_replace(m->pool, wanted, &m->wanted_listeners) < 0) {
        log_error("new workers cannot be started");
        listen_leave(&m->wanted_listeners, &m->listeners);
        give_up(m, &m->wanted);
    }
}

void reload_replaced(struct master *m, int ok)
{
    struct conf *wanted = m->wanted;
    struct listeners old;

    m->wanted = NULL;
    if (!ok) {
        listen_leave(&m->wanted_listeners, &m->listeners);
        give_up(m, &wanted);
        over(m);
        return;
    }
    old = m->listeners;
    m->listeners = m->wanted_listeners;
    m->wanted_listeners = (struct listeners){0};
    listen_leave(&old, &m->listeners);
    commit(m, wanted);
    listeners_log(m);
    over(m);
    reload_ready(m);
}

void reload_ready(struct master *m)
{
    if (m->again && !m->stops)
        reload(m);
}

/* --- from the file into force ------------------------------------------------- */

static int needs_workers(const struct master *m, const struct conf *wanted)
{
    struct buf keys = {0};
    int n = change_diff(m->conf, wanted, CHANGE_WORKERS, &keys);

    buf_free(&keys);
    return n > 0;
}

/* 1 if it has to be read again later. */
static int waits(struct master *m, const struct conf *wanted)
{
    if (pool_is_starting(m->pool)) {
        log_info("reload waits: workers are starting");
    } else if (needs_workers(m, wanted) && !pool_has_room(m->pool)) {
        log_info("reload waits: two generations of workers live");
        pool_hurry(m->pool);
    } else {
        return 0;
    }
    m->again = 1;
    return 1;
}

/* All names in it (taken) are known. */
static void proceed(struct master *m, struct conf *wanted)
{
    if (admin_check(m, wanted) < 0)
        give_up(m, &wanted);
    else if (needs_workers(m, wanted))
        replace(m, wanted);
    else
        commit(m, wanted);
}

static void on_names(const char *why, void *arg)
{
    struct master *m = arg;
    struct conf *wanted = m->asking;

    m->asking = NULL;
    if (m->stops) {
        conf_free(&wanted);
        return;
    }
    if (why != NULL) {
        log_errorx("configuration: %s", why);
        give_up(m, &wanted);
    } else {
        proceed(m, wanted);
    }
    over(m);
}

static const struct names_ops names_ops = {on_names};

/* Begins to look up what will be bound.  Returns 0, or -1 with errno. */
static int names_ask(struct master *m, const struct conf *wanted)
{
    m->names = names_new(m->base, &names_ops, m);
    if (m->names == NULL || listen_ask(m->names, wanted, m->conf) < 0)
        return -1;
    if (wanted->admin_host == NULL || same_admin(m->conf, wanted))
        return 0;
    return names_add(m->names, wanted->admin_host);
}

/* ... and what comes of it when it need not be waited for. */
static void ask(struct master *m)
{
    int rc = names_ask(m, m->asking);
    struct conf *wanted;

    if (rc == 0 && names_waiting(m->names) > 0) {
        log_info("reload waits: host names are looked up");
        return;
    }
    if (rc < 0)
        log_error("configuration: host names cannot be looked up");
    wanted = m->asking;
    m->asking = NULL;
    if (rc < 0)
        give_up(m, &wanted);
    else
        proceed(m, wanted);
}

/* Another configuration has come before the names of the last one. */
static void asking_end(struct master *m)
{
    if (m->asking == NULL)
        return;
    log_info("the reload that waits for host names is given up for another");
    conf_free(&m->asking);
    names_free(&m->names);
}

static void apply(struct master *m)
{
    struct conf *wanted;

    asking_end(m);
    wanted = load(m);
    if (wanted == NULL || target_check(wanted) < 0 || restart_check(m->conf, wanted) < 0) {
        refuse(m, &wanted);
    } else if (waits(m, wanted)) {
        conf_free(&wanted);
    } else {
        m->asking = wanted; /* before there are children: reload_wipe() */
        ask(m);
    }
}

void reload(struct master *m)
{
    if (m->stops)
        return;
    if (m->announced)
        systemd_reloading();
    m->again = 0; /* it is read now */
    apply(m);
    over(m);
}

/* --- the end ------------------------------------------------------------------ */

static void conf_wipe(struct conf *conf, const struct conf *own)
{
    if (conf == NULL)
        return;
    if (conf->redis.password != NULL)
        explicit_bzero(conf->redis.password, strlen(conf->redis.password));
    token_keys_clear(conf->given_keys); /* for the master, to read the JWKS file again */
    if (conf != own)
        token_keys_clear(conf->keys);
}

void reload_wipe(struct master *m, const struct conf *own)
{
    conf_wipe(m->conf, own);
    conf_wipe(m->wanted, own);
    conf_wipe(m->asking, own);
    if (m->feed != NULL)
        feed_wipe(m->feed);
}

void reload_clear(struct master *m)
{
    keywatch_free(&m->keywatch);
    conf_free(&m->wanted);
    conf_free(&m->asking);
    names_free(&m->names);
    listen_leave(&m->wanted_listeners, &m->listeners);
}
