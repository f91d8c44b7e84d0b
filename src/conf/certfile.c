#include "conf/certfile.h"

#include "base/slice.h"
#include "codec/certificate.h"
#include "conf/build.h"
#include "conf/file.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SAID_MAX 900 /* of what OpenSSL or a certificate says, in one line */

/* --- messages ------------------------------------------------------------------------- */

/* "tls:certFile", or the place of an element and its member. */
static void path_put(const struct certfile_place *place, const char *member, char *dst, size_t cap)
{
    (void)snprintf(dst, cap, "%s%s", place->path, member);
}

static void report(const struct certfile_place *place, const char *member, const char *file,
                   const char *what)
{
    char path[SCHEMA_PATH_MAX];

    path_put(place, member, path, sizeof(path));
    settings_error(place->set, place->source, path, "%s: %.*s", file, SAID_MAX, what);
}

static void warn(const struct certfile_place *place, const char *member, const char *file,
                 const char *what, size_t len)
{
    char path[SCHEMA_PATH_MAX];

    path_put(place, member, path, sizeof(path));
    settings_warn(place->set, place->source, path, "%s: %.*s", file,
                  len < SAID_MAX ? (int)len : SAID_MAX, what);
}

static enum certfile_result no_memory(const struct certfile_place *place)
{
    settings_error(place->set, NULL, NULL, "out of memory");
    return CERTFILE_UNREAD;
}

/* --- files ---------------------------------------------------------------------------- */

static enum certfile_result read_file(const struct certfile_place *place, const char *member,
                                      const char *name, struct file *file, struct buf *why)
{
    char text[128];

    if (file_read(file, name, CERTIFICATE_BYTES_MAX, FILE_REGULAR) == 0)
        return CERTFILE_READ;
    if (errno == EACCES || errno == EPERM) {
        (void)buf_printf(why, "cannot read %s: %s", name, strerror(errno));
        return CERTFILE_FORBIDDEN;
    }
    (void)snprintf(text, sizeof(text), "cannot read it: %s",
                   errno == EFBIG ? "it has more than 262144 bytes" : file_strerror(errno));
    report(place, member, name, text);
    return errno == EFBIG ? CERTFILE_BAD : CERTFILE_UNREAD;
}

struct files {
    struct file cert, key; /* the key's is empty where it is in the other */
};

static void files_clear(struct files *files)
{
    file_clear(&files->cert);
    file_clear(&files->key);
}

static int is_one_file(const struct conf_certificate *certificate)
{
    return strcmp(certificate->cert_file, certificate->key_file) == 0;
}

static enum certfile_result files_read(const struct certfile_place *place,
                                       const struct conf_certificate *certificate,
                                       struct files *files, struct buf *why)
{
    enum certfile_result result =
        read_file(place, "certFile", certificate->cert_file, &files->cert, why);

    if (result == CERTFILE_READ && !is_one_file(certificate))
        result = read_file(place, "keyFile", certificate->key_file, &files->key, why);
    return result;
}

/* --- what is known of it -------------------------------------------------------------- */

static char **names_of(const struct certificate *c)
{
    size_t n = certificate_names(c);
    char **names = calloc(n + 1, sizeof(*names));

    for (size_t i = 0; names != NULL && i < n; i++)
        if ((names[i] = strdup(certificate_name(c, i))) == NULL)
            build_strings_free(&names);
    return names;
}

/* Everything that is kept of what was read.  0, or -1 without memory. */
static int fill(struct conf_certificate *certificate, const struct certificate *c,
                struct slice chain, struct slice key)
{
    struct buf cert = {0}, secret = {.secret = 1};

    if (certificate_excerpt(chain, CERTIFICATE_CHAIN, &cert) < 0 || buf_putc(&cert, '\0') < 0 ||
        certificate_excerpt(key, CERTIFICATE_KEY, &secret) < 0 || buf_putc(&secret, '\0') < 0 ||
        (certificate->names = names_of(c)) == NULL ||
        (certificate->kind = strdup(certificate_kind(c))) == NULL) {
        buf_free(&cert);
        buf_free(&secret);
        return -1;
    }
    certificate->cert = (char *)cert.data;
    certificate->cert_len = cert.len - 1;
    certificate->key = (char *)secret.data;
    certificate->key_len = secret.len - 1;
    certificate->not_before = certificate_not_before(c);
    certificate->not_after = certificate_not_after(c);
    certificate->unread = 0;
    return 0;
}

int certfile_is_timely(const struct conf_certificate *certificate, int64_t now)
{
    return certificate->not_before <= now && now <= certificate->not_after;
}

/* --- what is to be remarked ----------------------------------------------------------- */

static int is_there(const char *variable, const char *deflt, int is_dir)
{
    const char *name = getenv(variable);
    const struct dirent *entry;
    int found = 0;
    DIR *dir;

    name = name != NULL ? name : deflt;
    if (!is_dir)
        return access(name, R_OK) == 0;
    dir = opendir(name);
    if (dir == NULL)
        return 0;
    while (!found && (entry = readdir(dir)) != NULL)
        found = entry->d_name[0] != '.';
    closedir(dir);
    return found;
}

/* A machine without authorities cannot tell which are known elsewhere. */
static int has_authorities(void)
{
    return is_there(X509_get_default_cert_file_env(), X509_get_default_cert_file(), 0) ||
           is_there(X509_get_default_cert_dir_env(), X509_get_default_cert_dir(), 1);
}

static int is_known(const struct certificate *c)
{
    X509_STORE *store = X509_STORE_new();
    int known = store == NULL || X509_STORE_set_default_paths(store) != 1 ||
                certificate_is_issued_by(c, store);

    X509_STORE_free(store);
    ERR_clear_error();
    return known;
}

static void remark_chain(const struct certificate *c, struct buf *lines)
{
    const X509_NAME *end = certificate_open_end(c);

    /* One that lacks what is between it and the authority is the common mistake. */
    if (end == NULL || (has_authorities() ? is_known(c) : certificate_issuers(c) > 0))
        return;
    (void)buf_puts(lines, "the chain ends with a certificate issued by \"");
    certificate_name_put(end, lines);
    (void)buf_puts(lines, "\", which is neither in the file nor among the authorities of this "
                          "machine: clients without it refuse\n");
}

static void remark_times(const struct conf_certificate *certificate, struct buf *lines)
{
    int64_t now = time(NULL);

    if (certfile_is_timely(certificate, now))
        return;
    (void)buf_puts(lines, now > certificate->not_after ? "it has expired: it is valid until "
                                                       : "it is not valid yet, but from ");
    certificate_time_put(
        now > certificate->not_after ? certificate->not_after : certificate->not_before, lines);
    (void)buf_puts(lines, now > certificate->not_after ? "\n" : " on\n");
}

static void remark(const struct certfile_place *place, const struct conf_certificate *certificate,
                   const struct certificate *c, const struct files *files)
{
    const struct file *secret = is_one_file(certificate) ? &files->cert : &files->key;
    const char *shared = "a private key, and the file may be read by everyone";
    struct buf lines = {0};

    remark_times(certificate, &lines);
    remark_chain(c, &lines);
    certificate_remark(c, &lines);
    for (size_t at = 0, n; at < lines.len; at += n + 1) {
        n = (size_t)((const uint8_t *)memchr(lines.data + at, '\n', lines.len - at) -
                     (lines.data + at));
        warn(place, "certFile", certificate->cert_file, (const char *)lines.data + at, n);
    }
    if (secret->shared)
        warn(place, is_one_file(certificate) ? "certFile" : "keyFile", certificate->key_file,
             shared, strlen(shared));
    buf_free(&lines);
}

/* --- all of it ------------------------------------------------------------------------ */

static void report_fault(const struct certfile_place *place,
                         const struct conf_certificate *certificate, enum certificate_part part,
                         struct buf *error)
{
    int of_key = part == CERTIFICATE_KEY;

    (void)buf_putc(error, '\0');
    report(place, of_key && !is_one_file(certificate) ? "keyFile" : "certFile",
           of_key ? certificate->key_file : certificate->cert_file, (const char *)error->data);
}

enum certfile_result certfile_read(const struct certfile_place *place,
                                   struct conf_certificate *certificate, struct buf *why)
{
    struct files files = {0};
    enum certfile_result result = files_read(place, certificate, &files, why);
    const struct file *key_file = is_one_file(certificate) ? &files.cert : &files.key;
    struct slice chain = {files.cert.text, files.cert.len}, key = {key_file->text, key_file->len};
    struct certificate *c = NULL;
    enum certificate_part part;
    struct buf error = {0};

    if (result == CERTFILE_READ) {
        c = certificate_new(chain, key, &error, &part);
        if (error.failed || (c != NULL && fill(certificate, c, chain, key) < 0)) {
            result = no_memory(place);
        } else if (c == NULL) {
            report_fault(place, certificate, part, &error);
            result = CERTFILE_BAD;
        } else {
            remark(place, certificate, c, &files);
        }
    }
    certificate_free(&c);
    buf_free(&error);
    files_clear(&files);
    return result;
}

void certfile_clear(struct conf_certificate *certificate)
{
    if (certificate->key != NULL)
        explicit_bzero(certificate->key, certificate->key_len);
    free(certificate->key);
    free(certificate->cert);
    free(certificate->cert_file);
    free(certificate->key_file);
    build_strings_free(&certificate->names);
    free(certificate->kind);
    memset(certificate, 0, sizeof(*certificate));
}
