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
static void describe(const struct conf_certificate *one, struct buf *out)
{
    conf_certificate_put_names(one, out);
    (void)buf_puts(out, ": valid until ");
    certificate_time_put(one->not_after, out);
    (void)buf_printf(out, " (%s)", one->cert_file);
}

static void remind_of(struct news *news, const struct conf_certificate *one, int64_t now)
{
    int64_t left = one->not_after - now;
    struct buf text = {0};

    describe(one, &text);
    news_put(news, left < NEARER_DAYS * DAY_S ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN,
             left < 0 ? "a certificate has expired: %.*s" : "a certificate expires soon: %.*s",
             (int)text.len, (const char *)text.data);
    if (left < 0)
        log_errorx("tls: a certificate has expired: %.*s", (int)text.len, (const char *)text.data);
    else if (left < NEARER_DAYS * DAY_S)
        log_errorx("tls: a certificate expires in %lld days: %.*s", (long long)(left / DAY_S),
                   (int)text.len, (const char *)text.data);
    else
        log_warnx("tls: a certificate expires in %lld days: %.*s", (long long)(left / DAY_S),
                  (int)text.len, (const char *)text.data);
    buf_free(&text);
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
    struct buf text = {0};

    if (!changed) {
        log_info("tls: %s is good again, and as it was", one->cert_file);
        return;
    }
    watched->all->stats.good++;
    describe(one, &text);
    log_info("tls: another certificate is in force: %.*s", (int)text.len, (const char *)text.data);
    news_put(watched->all->news, LOG_LEVEL_INFO, "another certificate is in force: %.*s",
             (int)text.len, (const char *)text.data);
    buf_free(&text);
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

static const struct filewatch_ops ops = {.reread = on_reread,
                                         .good = on_good,
                                         .bad = on_bad,
                                         .changed = on_changed,
                                         .stays = "the certificate stays as it is: ",
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
