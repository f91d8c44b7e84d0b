#include "conf/build.h"

#include "base/clock.h"
#include "base/slice.h"
#include "codec/tls_client.h"
#include "conf/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEM_MAX (1 << 20) /* of all authorities that a system knows, 200 KB */

/* One of both is being built: what it is made of and where it goes. */
struct built {
    struct settings *set;
    const char *path; /* of all of it */
    struct conf_redis_tls *tls;
};

static struct setting *member(const struct built *built, const char *name)
{
    char path[SCHEMA_PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s:%s", built->path, name);
    return settings_at(built->set, path);
}

/* --- on or off -------------------------------------------------------------------- */

/* That member which the source that counts most has given, or NULL. */
static const struct setting *most(const struct built *built)
{
    static const char *const names[] = {"ca",  "caFile",  "cert",       "certFile",
                                        "key", "keyFile", "servername", "rejectUnauthorized"};
    const struct setting *found = NULL;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct setting *at = member(built, names[i]);

        if (!setting_given(at) || (at->value->type == JSONC_STRING && setting_text(at) == NULL))
            continue;
        if (found == NULL || at->source.layer > found->source.layer)
            found = at;
    }
    return found;
}

/* Whoever gives a member wants it on, unless false was said in the same place or in one
 * that counts more. */
static int is_on(const struct built *built)
{
    struct setting *whole = settings_at(built->set, built->path);
    const struct setting *part = most(built);

    if (whole->value == NULL || whole->value->type != JSONC_FALSE)
        return whole->value != NULL;
    if (part == NULL || part->source.layer <= whole->source.layer)
        return 0;
    whole->source = part->source;
    return 1;
}

/* --- texts and files -------------------------------------------------------------- */

static void read_pem(const struct built *built, const struct setting *setting, const char *name,
                     char **field, int is_secret)
{
    /* A shell may give axr-notify one as <(...). */
    enum file_kind kind = built->set->purpose == CONF_FOR_NOTIFY ? FILE_ANY : FILE_REGULAR;
    int may_be_unread = is_secret && (built->set->purpose == CONF_FOR_RELOAD ||
                                      built->set->purpose == CONF_FOR_REHEARSAL);
    struct settings *set = built->set;
    struct file file;

    built->tls->unread = 0;
    if (file_read(&file, name, PEM_MAX, kind) < 0) {
        if (may_be_unread && (errno == EACCES || errno == EPERM)) {
            built->tls->unread = 1;
            return;
        }
        settings_error(set, &setting->source, setting->path, "cannot read %s: %s", name,
                       errno == EFBIG ? "it has more than 1048576 bytes" : file_strerror(errno));
        return;
    }
    if (strlen(file.text) != file.len)
        settings_error(set, &setting->source, setting->path, "%s: found a NUL, wanted PEM", name);
    else
        build_set(field, build_strdup(set, file.text));
    if (is_secret && file.shared)
        settings_warn(set, &setting->source, setting->path, "%s may be read by everyone", name);
    file_clear(&file);
}

/* The text itself or the file that it is in: whichever the source gave that counts more. */
static void take_pem(const struct built *built, const char *text, const char *file,
                     const char *name, char **field)
{
    struct setting *given = member(built, text);
    const struct setting *named = member(built, file);

    if (setting_text(named) == NULL)
        return;
    if (setting_text(given) != NULL && given->source.layer == named->source.layer) {
        settings_error(built->set, &named->source, named->path,
                       "found %s as well, wanted one of them", given->path);
    } else if (given->source.layer <= named->source.layer) {
        given->source = named->source;
        given->path = named->path;
        build_set(field, NULL);
        read_pem(built, named, name, field, strcmp(text, "key") == 0);
    }
}

/* --- is it any good --------------------------------------------------------------- */

static const struct setting *setting_of(const struct built *built, enum tls_client_part part)
{
    static const char *const names[] = {
        [TLS_CLIENT_CA] = "ca", [TLS_CLIENT_CERT] = "cert", [TLS_CLIENT_KEY] = "key"};

    return member(built, names[part]);
}

/* The name of the file and ": ", where it is one. */
static const char *file_of(const struct built *built, enum tls_client_part part, char *dst,
                           size_t cap)
{
    const char *const names[] = {[TLS_CLIENT_CA] = built->tls->ca_file,
                                 [TLS_CLIENT_CERT] = built->tls->cert_file,
                                 [TLS_CLIENT_KEY] = built->tls->key_file};
    const struct setting *setting = setting_of(built, part);
    size_t n = strlen(setting->path);

    dst[0] = '\0';
    if (n > 4 && strcmp(setting->path + n - 4, "File") == 0)
        (void)snprintf(dst, cap, "%s: ", names[part]);
    return dst;
}

/* Times may be another machine's that is right. */
static void warn_dates(const struct built *built, enum tls_client_part part, const char *pem)
{
    const struct setting *setting = setting_of(built, part);
    struct buf lines = {0};
    int good = pem != NULL ? tls_client_dates(pem, clock_wall_ms() / 1000, &lines) : 0;
    const char *at = (const char *)lines.data, *end = at + lines.len;
    char file[512];

    /* Of many who are trusted some are old. */
    while (at < end && (part == TLS_CLIENT_CERT || good == 0)) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));

        settings_warn(built->set, &setting->source, setting->path, "%s%.*s",
                      file_of(built, part, file, sizeof(file)), (int)(stop - at), at);
        at = stop + 1;
    }
    buf_free(&lines);
}

/* What is given makes a client. */
static void check(const struct built *built)
{
    const struct conf_redis_tls *tls = built->tls;
    /* The system's authorities are no matter of the configuration. */
    struct tls_client_options options = {tls->ca, tls->cert, tls->key, tls->ca != NULL};
    enum tls_client_part part = TLS_CLIENT_CA;
    struct buf error = {0};
    struct tls_client *client = tls_client_new(&options, &error, &part);
    char file[512];

    if (client == NULL)
        settings_error(built->set, &setting_of(built, part)->source, setting_of(built, part)->path,
                       "%s%.*s", file_of(built, part, file, sizeof(file)), (int)error.len,
                       (const char *)error.data);
    buf_free(&error);
    tls_client_free(&client);
    warn_dates(built, TLS_CLIENT_CA, tls->ca);
    warn_dates(built, TLS_CLIENT_CERT, tls->cert);
}

/* A certificate and its key, or neither. */
static int check_both(const struct built *built)
{
    const struct setting *cert = setting_of(built, TLS_CLIENT_CERT);
    const struct setting *key = setting_of(built, TLS_CLIENT_KEY);

    if ((built->tls->cert == NULL) == (built->tls->key == NULL))
        return 0;
    if (built->tls->key == NULL)
        settings_error(built->set, &cert->source, cert->path,
                       "found a certificate without its key, wanted %s:keyFile as well",
                       built->path);
    else
        settings_error(built->set, &key->source, key->path,
                       "found a key without its certificate, wanted %s:certFile as well",
                       built->path);
    return -1;
}

static void check_words(const struct built *built)
{
    const struct setting *name = member(built, "servername");
    const struct setting *verify = member(built, "rejectUnauthorized");
    const char *servername = built->tls->servername;

    if (servername != NULL && !address_host(servername, strlen(servername)))
        settings_error(built->set, &name->source, name->path, "found no host name and no address");
    if (!built->tls->verify)
        settings_warn(built->set, &verify->source, verify->path,
                      "whoever is on the way can read and answer in place of the server, for its "
                      "certificate is not checked");
}

static int keep(char **text, const char *now)
{
    char *copy = strdup(now);

    if (copy != NULL)
        build_set(text, copy);
    return copy != NULL ? 0 : -1;
}

int build_keep_tls_client(struct settings *set, const char *path, const struct conf_redis_tls *now,
                          struct conf_redis_tls *wanted)
{
    int is_there = now->on && now->cert != NULL && now->key != NULL &&
                   text_eq(now->cert_file, wanted->cert_file) &&
                   text_eq(now->key_file, wanted->key_file);

    if (!wanted->unread)
        return 0;
    if (!is_there) {
        settings_error(set, NULL, path, "cannot read %s as the user that this runs as",
                       wanted->key_file);
        return -1;
    }
    settings_warn(set, NULL, path,
                  "cannot read %s as the user that this runs as: the certificate in force stays "
                  "until a restart",
                  wanted->key_file);
    wanted->unread = 0;
    if (keep(&wanted->cert, now->cert) == 0 && keep(&wanted->key, now->key) == 0)
        return 0;
    settings_error(set, NULL, NULL, "out of memory");
    return -1;
}

void build_no_tls_client(struct settings *set, const char *path, struct conf_redis_tls *tls)
{
    const struct setting *whole = settings_at(set, path);
    const struct built built = {set, path, tls};

    if (tls->on || is_on(&built))
        settings_warn(set, &whole->source, whole->path,
                      "has no effect: over a Unix socket redis has no TLS, and needs none");
    tls->on = 0;
}

void build_tls_client(struct settings *set, const char *path, struct conf_redis_tls *tls)
{
    struct built built = {set, path, tls};
    int before = set->nerrors;

    tls->on = tls->on || is_on(&built);
    if (!tls->on)
        return;
    take_pem(&built, "ca", "caFile", tls->ca_file, &tls->ca);
    take_pem(&built, "cert", "certFile", tls->cert_file, &tls->cert);
    take_pem(&built, "key", "keyFile", tls->key_file, &tls->key);
    check_words(&built);
    if (set->nerrors == before && !tls->unread && check_both(&built) == 0)
        check(&built);
}
