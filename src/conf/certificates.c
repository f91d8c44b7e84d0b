#include "conf.h"

#include "base/slice.h"
#include "conf/build.h"
#include "conf/certfile.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMES_SHOWN 8

static int is_same_place(const struct conf_certificate *a, const struct conf_certificate *b)
{
    return strcmp(a->cert_file, b->cert_file) == 0 && strcmp(a->key_file, b->key_file) == 0;
}

static int is_same(const struct conf_certificate *a, const struct conf_certificate *b)
{
    return a->cert_len == b->cert_len && a->key_len == b->key_len &&
           memcmp(a->cert, b->cert, a->cert_len) == 0 && memcmp(a->key, b->key, a->key_len) == 0;
}

static const struct conf_certificate *find(const struct conf_tls *tls,
                                           const struct conf_certificate *wanted)
{
    for (size_t i = 0; i < tls->n; i++)
        if (!tls->at[i].unread && is_same_place(&tls->at[i], wanted))
            return &tls->at[i];
    return NULL;
}

static char *copy(const char *text, size_t len)
{
    char *copy = malloc(len + 1);

    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

static char **names_copy(char *const *names)
{
    size_t n = 0;
    char **copies;

    while (names[n] != NULL)
        n++;
    copies = calloc(n + 1, sizeof(*copies));
    for (size_t i = 0; copies != NULL && i < n; i++)
        if ((copies[i] = strdup(names[i])) == NULL)
            build_strings_free(&copies);
    return copies;
}

/* Fills in what was not read.  0, or -1 without memory. */
static int keep(struct conf_certificate *wanted, const struct conf_certificate *now)
{
    wanted->cert = copy(now->cert, now->cert_len);
    wanted->cert_len = now->cert_len;
    wanted->key = copy(now->key, now->key_len);
    wanted->key_len = now->key_len;
    wanted->names = names_copy(now->names);
    wanted->kind = strdup(now->kind);
    wanted->not_before = now->not_before;
    wanted->not_after = now->not_after;
    wanted->unread = 0;
    if (wanted->cert != NULL && wanted->key != NULL && wanted->names != NULL &&
        wanted->kind != NULL)
        return 0;
    if (wanted->key == NULL)
        wanted->key_len = 0;
    return -1;
}

/* It is good for nobody at this time, and that in force is. */
static int is_worse(const struct conf_certificate *wanted, const struct conf_certificate *now)
{
    int64_t seconds = time(NULL);

    return certfile_is_timely(now, seconds) && !certfile_is_timely(wanted, seconds);
}

static void say_worse(struct settings *set, const struct conf_certificate *wanted)
{
    settings_error(set, NULL, "tls", "%s: %s, and the certificate in force is good",
                   wanted->cert_file,
                   wanted->not_after < time(NULL) ? "it has expired" : "it is not valid yet");
}

static int settle(struct settings *set, const struct conf_tls *now, struct conf_certificate *wanted)
{
    const struct conf_certificate *old = find(now, wanted);

    if (!wanted->unread) {
        if (old == NULL || !is_worse(wanted, old))
            return 0;
        say_worse(set, wanted);
        return -1;
    }
    if (old == NULL) {
        settings_error(set, NULL, "tls", "cannot read %s and its key as the user that this runs as",
                       wanted->cert_file);
        return -1;
    }
    settings_warn(set, NULL, "tls",
                  "cannot read %s and its key as the user that this runs as: the certificate in "
                  "force stays until a restart",
                  wanted->cert_file);
    if (keep(wanted, old) == 0)
        return 0;
    settings_error(set, NULL, NULL, "out of memory");
    return -1;
}

int conf_keep_certificates(const struct conf *now, struct conf *wanted, struct buf *errors,
                           struct buf *warnings)
{
    struct settings set = {.errors = errors, .warnings = warnings};
    int result = 0;

    for (size_t i = 0; i < wanted->tls.n; i++)
        if (settle(&set, &now->tls, &wanted->tls.at[i]) < 0)
            result = -1;
    if (build_keep_tls_client(&set, "socket.io:redis:tls", &now->redis.tls, &wanted->redis.tls) < 0)
        result = -1;
    if (build_keep_tls_client(&set, "socket.io:redis:sentinelTLS", &now->redis.sentinel_tls,
                              &wanted->redis.sentinel_tls) < 0)
        result = -1;
    return result;
}

static void client_unread_put(const char *path, const struct conf_redis_tls *tls, struct buf *lines)
{
    if (tls->unread)
        (void)buf_printf(lines,
                         "%s: %s cannot be read by the user that the daemon runs as: a new key "
                         "comes into force with a restart only\n",
                         path, tls->key_file);
}

void conf_unread_put(const struct conf *conf, struct buf *lines)
{
    for (size_t i = 0; i < conf->tls.n; i++)
        if (conf->tls.at[i].unread)
            (void)buf_printf(lines,
                             "tls: %s and its key cannot be read by the user that the daemon runs "
                             "as: new ones come into force with a restart only\n",
                             conf->tls.at[i].cert_file);
    client_unread_put("socket.io:redis:tls", &conf->redis.tls, lines);
    client_unread_put("socket.io:redis:sentinelTLS", &conf->redis.sentinel_tls, lines);
}

/* --- while they are in force -------------------------------------------------------------- */

/* Another of the same files, without what it holds. */
static int same_files(const struct conf_certificate *one, struct conf_certificate *fresh)
{
    *fresh = (struct conf_certificate){.cert_file = strdup(one->cert_file),
                                       .key_file = strdup(one->key_file)};
    return fresh->cert_file != NULL && fresh->key_file != NULL ? 0 : -1;
}

static int judge(struct settings *set, const struct conf_certificate *one,
                 const struct conf_certificate *fresh, enum certfile_result result, struct buf *why)
{
    switch (result) {
    case CERTFILE_READ:
        break;
    case CERTFILE_FORBIDDEN:
        (void)buf_putc(why, '\0');
        settings_error(set, NULL, "tls", "%s", (const char *)why->data);
        return CONF_CERTIFICATE_FORBIDDEN;
    case CERTFILE_UNREAD:
        return CONF_CERTIFICATE_UNREAD;
    case CERTFILE_BAD:
        return -1;
    }
    if (is_same(one, fresh))
        return 0;
    if (!is_worse(fresh, one))
        return 1;
    say_worse(set, fresh);
    return -1;
}

int conf_reread_certificate(struct conf *conf, size_t i, struct buf *errors, struct buf *warnings)
{
    struct settings set = {.errors = errors, .warnings = warnings};
    const struct certfile_place place = {&set, NULL, "tls:"};
    struct conf_certificate *one = &conf->tls.at[i], fresh;
    struct buf why = {0};
    int result = CONF_CERTIFICATE_UNREAD;

    if (same_files(one, &fresh) < 0)
        settings_error(&set, NULL, NULL, "out of memory");
    else
        result = judge(&set, one, &fresh, certfile_read(&place, &fresh, &why), &why);
    if (result > 0) {
        struct conf_certificate old = *one;

        *one = fresh;
        fresh = old;
    }
    certfile_clear(&fresh);
    buf_free(&why);
    return result;
}

void conf_certificate_put_names(const struct conf_certificate *certificate, struct buf *out)
{
    size_t n = 0;

    for (; n < NAMES_SHOWN && certificate->names[n] != NULL; n++)
        (void)buf_printf(out, "%s%s", n > 0 ? ", " : "", certificate->names[n]);
    for (size_t more = n; certificate->names[more] != NULL; more++)
        if (certificate->names[more + 1] == NULL)
            (void)buf_printf(out, " and %zu more", more + 1 - n);
}

void conf_tls_wipe(const struct conf_tls *tls)
{
    for (size_t i = 0; i < tls->n; i++)
        if (tls->at[i].key != NULL)
            explicit_bzero(tls->at[i].key, tls->at[i].key_len);
}
