#include "master/certificates.h"

#include "base/log.h"
#include "codec/certificate.h"
#include "master/filewatch.h"
#include "master/news.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define DAY_S       INT64_C(86400)
#define REMIND_S    3600 /* so often it is looked whether a day is over */
#define NEAR_DAYS   14   /* before the end: a warning */
#define NEARER_DAYS 3    /* an error */
#define TOGETHER_MS 10
#define PATIENCE    2 /* looks: chain and key are written one after the other */

struct watched {
    struct certificates *all;
    int is_forbidden; /* we may not read it, which was told when that began */
    size_t i;         /* of conf->tls.at */
    struct filewatch *files;
};

struct certificates {
    certificates_fn *fn;
    void *arg;
    struct event_base *base;
    struct news *news;
    struct event *timer;
    struct event *together; /* pending while a change is to be told */
    struct conf *conf;
    struct watched *at;
    size_t n;
    int64_t reminded; /* when; 0: never */
    struct certificates_stats stats;
};

static const struct conf_certificate *of(const struct watched *watched)
{
    return &watched->all->conf->tls.at[watched->i];
}

/* --- ends ------------------------------------------------------------------------------- */

/* "example.org: valid until 2027-02-28T12:00:00Z (/etc/...)" */
#define ABOUT "{}: valid until {} ({})"
#define ABOUT_FIELDS(about)                                                                        \
    LOG_NAMES("names", (const char *)(about)->names.data, (about)->names.len, ','),                \
        LOG_STRN("not_after", (const char *)(about)->until.data, (about)->until.len),              \
        LOG_STR("file", (about)->file)

struct about {
    struct buf names, until;
    const char *file;
};

static void describe(const struct conf_certificate *one, struct about *about)
{
    *about = (struct about){.file = one->cert_file};
    conf_certificate_put_names(one, &about->names);
    certificate_time_put(one->not_after, &about->until);
}

static void about_clear(struct about *about)
{
    buf_free(&about->names);
    buf_free(&about->until);
}

static void news_about(struct news *news, enum log_level level, const char *what,
                       const struct about *about)
{
    news_put(news, level, "%s: %.*s: valid until %.*s (%s)", what, (int)about->names.len,
             (const char *)about->names.data, (int)about->until.len,
             (const char *)about->until.data, about->file);
}

static void remind_of(struct news *news, const struct conf_certificate *one, int64_t now)
{
    int64_t left = one->not_after - now;
    enum log_level level = left < NEARER_DAYS * DAY_S ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN;
    struct about about;

    describe(one, &about);
    news_about(news, level, left < 0 ? "a certificate has expired" : "a certificate expires soon",
               &about);
    if (left < 0)
        log_event(ERROR, "certificate_expired", "tls: a certificate has expired[: " ABOUT "]",
                  ABOUT_FIELDS(&about));
    else
        log_event_at(left < NEARER_DAYS * DAY_S ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN,
                     "certificate_expires",
                     "tls: a certificate expires [in {} days: " ABOUT "]<soon>",
                     LOG_INT("days", left / DAY_S), ABOUT_FIELDS(&about));
    about_clear(&about);
}

void certificates_remind(struct certificates *certificates, int64_t now)
{
    int64_t since = now - certificates->reminded;
    const struct conf_tls *tls = certificates->conf != NULL ? &certificates->conf->tls : NULL;

    /* A clock that was set back does not silence it. */
    if (tls == NULL || (certificates->reminded != 0 && since >= 0 && since < DAY_S))
        return;
    for (size_t i = 0; i < tls->n; i++) {
        if (tls->at[i].not_after - now >= NEAR_DAYS * DAY_S)
            continue;
        remind_of(certificates->news, &tls->at[i], now);
        certificates->reminded = now;
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    certificates_remind(arg, time(NULL));
}

/* --- files ------------------------------------------------------------------------------ */

static int on_reread(struct buf *errors, struct buf *warnings, void *arg)
{
    struct watched *watched = arg;
    int changed = conf_reread_certificate(watched->all->conf, watched->i, errors, warnings);

    if (changed == CONF_CERTIFICATE_FORBIDDEN && watched->is_forbidden)
        return 0;
    watched->is_forbidden = 0;
    return changed <= CONF_CERTIFICATE_UNREAD ? FILEWATCH_UNREAD : changed;
}

static void on_good(int changed, void *arg)
{
    const struct watched *watched = arg;
    const struct conf_certificate *one = of(watched);
    struct about about;

    if (!changed) {
        log_event(INFO, "certificate_good_again",
                  "tls: [{}]<a certificate> is good again, and as it was",
                  LOG_STR("file", one->cert_file));
        return;
    }
    watched->all->stats.good++;
    describe(one, &about);
    log_event(INFO, "certificate_changed", "tls: another certificate is in force[: " ABOUT "]",
              ABOUT_FIELDS(&about));
    news_about(watched->all->news, LOG_LEVEL_INFO, "another certificate is in force", &about);
    about_clear(&about);
}

static void on_bad(void *arg)
{
    const struct watched *watched = arg;

    watched->all->stats.failed++;
    news_put(watched->all->news, LOG_LEVEL_ERROR,
             "the certificate stays as it is, for its files are not good; the log says why: %s",
             of(watched)->cert_file);
}

/* Others may change in the same moment, and all of them go to the workers together. */
static void on_changed(void *arg)
{
    const struct watched *watched = arg;
    const struct timeval soon = {0, TOGETHER_MS * 1000L};

    if (event_add(watched->all->together, &soon) < 0)
        watched->all->fn(watched->all->arg);
}

static void on_together(evutil_socket_t fd, short what, void *arg)
{
    const struct certificates *certificates = arg;

    (void)fd;
    (void)what;
    certificates->fn(certificates->arg);
}

static const struct filewatch_ops ops = {
    .reread = on_reread,
    .good = on_good,
    .bad = on_bad,
    .changed = on_changed,
    .stays = {"certificate_stays", "the certificate stays as it is[: {}]"},
    .patience = PATIENCE};

static void unwatch(struct certificates *certificates)
{
    for (size_t i = 0; i < certificates->n; i++)
        filewatch_free(&certificates->at[i].files);
    free(certificates->at);
    certificates->at = NULL;
    certificates->n = 0;
}

static int is_forbidden(const char *name)
{
    return faccessat(AT_FDCWD, name, R_OK, AT_EACCESS) < 0 && errno == EACCES;
}

static int watch(struct certificates *certificates, size_t i)
{
    struct watched *watched = &certificates->at[i];
    const struct conf_certificate *one = &certificates->conf->tls.at[i];
    const char *const names[] = {one->cert_file, one->key_file};

    *watched = (struct watched){.all = certificates,
                                .i = i,
                                .is_forbidden =
                                    is_forbidden(one->cert_file) || is_forbidden(one->key_file)};
    watched->files = filewatch_new(certificates->base, names, 2, &ops, watched);
    return watched->files != NULL ? 0 : -1;
}

int certificates_watch(struct certificates *certificates, struct conf *conf)
{
    size_t n = conf != NULL ? conf->tls.n : 0;
    int result = 0;

    unwatch(certificates);
    certificates->conf = conf;
    if (n == 0)
        return 0;
    certificates->at = calloc(n, sizeof(*certificates->at));
    if (certificates->at == NULL)
        return -1;
    for (; certificates->n < n; certificates->n++)
        if (watch(certificates, certificates->n) < 0)
            result = -1;
    certificates_remind(certificates, time(NULL));
    return result;
}

int certificates_look(struct certificates *certificates)
{
    int changed = 0;

    for (size_t i = 0; i < certificates->n; i++)
        changed +=
            certificates->at[i].files != NULL && filewatch_look(certificates->at[i].files) > 0;
    return changed;
}

/* --- coming and going ------------------------------------------------------------------- */

void certificates_count(struct certificates *certificates, int good)
{
    if (good)
        certificates->stats.good++;
    else
        certificates->stats.failed++;
}

struct certificates_stats certificates_stats(const struct certificates *certificates)
{
    return certificates->stats;
}

struct certificates *certificates_new(struct event_base *base, struct news *news,
                                      certificates_fn *fn, void *arg)
{
    const struct timeval every = {REMIND_S, 0};
    struct certificates *certificates = calloc(1, sizeof(*certificates));

    if (certificates == NULL)
        return NULL;
    certificates->base = base;
    certificates->news = news;
    certificates->fn = fn;
    certificates->arg = arg;
    certificates->timer = event_new(base, -1, EV_PERSIST, on_timer, certificates);
    certificates->together = event_new(base, -1, 0, on_together, certificates);
    if (certificates->timer == NULL || certificates->together == NULL ||
        event_add(certificates->timer, &every) < 0)
        certificates_free(&certificates);
    return certificates;
}

void certificates_free(struct certificates **certificatesp)
{
    struct certificates *certificates = *certificatesp;

    if (certificates == NULL)
        return;
    *certificatesp = NULL;
    unwatch(certificates);
    if (certificates->timer != NULL)
        event_free(certificates->timer);
    if (certificates->together != NULL)
        event_free(certificates->together);
    free(certificates);
}
