#include "codec/tls_client.h"

#include "base/log.h"
#include "base/slice.h"
#include "codec/pem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMES_SHOWN    3
#define NAME_MAX_SHOWN 64

struct tls_client {
    SSL_CTX *ctx;
};

/* --- what does not hold, in words ------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void
say(struct tls_client_why *why, enum tls_client_fault kind, const char *fmt, ...)
{
    va_list args;

    why->kind = kind;
    va_start(args, fmt);
    (void)vsnprintf(why->text, sizeof(why->text), fmt, args);
    va_end(args);
}

/* The common name, or where there is none the organisation. */
static const char *name_shown(const X509_NAME *name, char dst[NAME_MAX_SHOWN])
{
    static const int fields[] = {NID_commonName, NID_organizationName};
    char text[256];

    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        int n =
            X509_NAME_get_text_by_NID((X509_NAME *)(uintptr_t)name, fields[i], text, sizeof(text));

        if (n > 0)
            return log_escape(dst, NAME_MAX_SHOWN, text, strnlen(text, (size_t)n));
    }
    return "(no name)";
}

/* 2026-11-30 18:48:25 UTC */
static const char *time_shown(const ASN1_TIME *time, char dst[32])
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1 || strftime(dst, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        return "(no time)";
    return dst;
}

/* Appends ", name" to dst, which has room for that many. */
static void name_add(char *dst, size_t cap, const char *name, size_t len)
{
    char text[NAME_MAX_SHOWN];
    size_t n = strlen(dst);

    log_escape(text, sizeof(text), name, len);
    (void)snprintf(dst + n, cap - n, "%s%s", n > 0 ? ", " : "", text);
}

static void general_name_add(char *dst, size_t cap, const GENERAL_NAME *general)
{
    const ASN1_STRING *value = general->type == GEN_DNS ? general->d.dNSName : general->d.iPAddress;
    const char *bytes = (const char *)ASN1_STRING_get0_data(value);
    int n = ASN1_STRING_length(value);
    char text[INET6_ADDRSTRLEN];

    if (general->type == GEN_DNS)
        name_add(dst, cap, bytes, (size_t)n);
    else if (inet_ntop(n == 4 ? AF_INET : AF_INET6, bytes, text, sizeof(text)) != NULL)
        name_add(dst, cap, text, strlen(text));
}

/* The first names and addresses of a certificate, as they are compared with ours. */
static const char *names_shown(X509 *cert, char *dst, size_t cap)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int n = names != NULL ? sk_GENERAL_NAME_num(names) : 0, shown = 0, more = 0;
    char name[NAME_MAX_SHOWN];

    dst[0] = '\0';
    for (int i = 0; i < n; i++) {
        const GENERAL_NAME *general = sk_GENERAL_NAME_value(names, i);
        int is_ip = general->type == GEN_IPADD && (ASN1_STRING_length(general->d.iPAddress) == 4 ||
                                                   ASN1_STRING_length(general->d.iPAddress) == 16);

        if (general->type != GEN_DNS && !is_ip)
            continue;
        if (shown++ < NAMES_SHOWN)
            general_name_add(dst, cap, general);
        else
            more++;
    }
    GENERAL_NAMES_free(names);
    if (shown == 0)
        (void)snprintf(dst, cap, "%s", name_shown(X509_get_subject_name(cert), name));
    n = (int)strlen(dst);
    if (more > 0)
        (void)snprintf(dst + n, cap - (size_t)n, " and %d more", more);
    return dst;
}

/* Whose certificate it is: the server's, or that of an authority. */
static const char *whose(X509_STORE_CTX *store, X509 *cert, char dst[96])
{
    char name[NAME_MAX_SHOWN];

    if (X509_STORE_CTX_get_error_depth(store) == 0)
        return "its certificate";
    (void)snprintf(dst, 96, "the certificate of its authority %s",
                   name_shown(X509_get_subject_name(cert), name));
    return dst;
}

static void say_untrusted(struct tls_client_why *why, X509 *cert, int error)
{
    char name[NAME_MAX_SHOWN];

    if (error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT) {
        say(why, TLS_CLIENT_CERTIFICATE,
            "its certificate is signed by itself, and not one that is trusted (tls:caFile)");
        return;
    }
    say(why, TLS_CLIENT_CERTIFICATE,
        "its certificate is signed by an authority that is not known: %s%s (tls:caFile)",
        name_shown(X509_get_issuer_name(cert), name),
        error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ? ", self-signed certificate in chain" : "");
}

static void say_name(struct tls_client_why *why, const char *wanted, X509 *cert)
{
    char names[(NAMES_SHOWN + 1) * (NAME_MAX_SHOWN + 2)], name[NAME_MAX_SHOWN];
    char address[INET6_ADDRSTRLEN];
    struct in6_addr bytes;

    /* OpenSSL writes out each zero. */
    if (inet_pton(AF_INET6, wanted, &bytes) == 1)
        wanted = inet_ntop(AF_INET6, &bytes, address, sizeof(address));
    say(why, TLS_CLIENT_CERTIFICATE, "its certificate is for %.120s, wanted %s (tls:servername)",
        names_shown(cert, names, sizeof(names)),
        log_escape(name, sizeof(name), wanted, strlen(wanted)));
}

/* What is wrong with the chain that the server shows. */
static void say_chain(struct tls_client_why *why, const char *wanted, X509_STORE_CTX *store)
{
    X509 *cert = X509_STORE_CTX_get_current_cert(store);
    int error = X509_STORE_CTX_get_error(store);
    char who[96], when[32];

    switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        say_name(why, wanted, cert);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        say(why, TLS_CLIENT_CERTIFICATE, "%s has expired on %s", whose(store, cert, who),
            time_shown(X509_get0_notAfter(cert), when));
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        say(why, TLS_CLIENT_CERTIFICATE, "%s is not valid before %s", whose(store, cert, who),
            time_shown(X509_get0_notBefore(cert), when));
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        say_untrusted(why, cert, error);
        break;
    default:
        say(why, TLS_CLIENT_CERTIFICATE, "%s: %s", whose(store, cert, who),
            X509_verify_cert_error_string(error));
        break;
    }
}

/* The name that it has to have, as tls_client_session() was given it. */
static char *wanted_name(SSL *ssl)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    char *address = X509_VERIFY_PARAM_get1_ip_asc(param);
    const char *host = X509_VERIFY_PARAM_get0_host(param, 0);

    return address != NULL ? address : OPENSSL_strdup(host != NULL ? host : "");
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_client_why *why = SSL_get_app_data(ssl);
    char *wanted;

    if (ok)
        return 1;
    wanted = wanted_name(ssl);
    if (why->text[0] == '\0')
        say_chain(why, wanted != NULL ? wanted : "", store);
    OPENSSL_free(wanted);
    return 0;
}

/* The server wants a certificate.  What is shown is in the context already. */
static int on_asked(SSL *ssl, void *arg)
{
    struct tls_client_why *why = SSL_get_app_data(ssl);

    (void)arg;
    why->is_asked = 1;
    return 1;
}

static int is_about_ours(int alert)
{
    return (alert >= SSL_AD_BAD_CERTIFICATE && alert <= SSL_AD_CERTIFICATE_UNKNOWN) ||
           alert == SSL_AD_UNKNOWN_CA || alert == SSL_AD_ACCESS_DENIED ||
           alert == SSL_AD_DECRYPT_ERROR || alert == SSL_AD_HANDSHAKE_FAILURE ||
           alert == SSL_AD_CERTIFICATE_REQUIRED;
}

/* It has said why it does not go on. */
static void say_alert(struct tls_client_why *why, int alert, int shows)
{
    const char *text = SSL_alert_desc_string_long(alert);

    if (alert == SSL_AD_CERTIFICATE_REQUIRED || (why->is_asked && !shows && is_about_ours(alert)))
        say(why, TLS_CLIENT_OURS, "it wants a client certificate (tls:certFile, tls:keyFile)");
    else if (why->is_asked && is_about_ours(alert))
        say(why, TLS_CLIENT_OURS, "it does not accept the client certificate: %s (tls:certFile)",
            text);
    else if (alert == SSL_AD_PROTOCOL_VERSION)
        say(why, TLS_CLIENT_SPEECH, "it speaks no TLS 1.2 or later");
    else
        say(why, TLS_CLIENT_SPEECH, "it has sent an alert: %s", text);
}

static void say_error(struct tls_client_why *why, unsigned long error, int shows)
{
    int reason = ERR_GET_REASON(error);
    const char *text = ERR_reason_error_string(error);

    if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET &&
        reason < SSL_AD_REASON_OFFSET + 256) {
        say_alert(why, reason - SSL_AD_REASON_OFFSET, shows);
        return;
    }
    switch (ERR_GET_LIB(error) == ERR_LIB_SSL ? reason : 0) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        say(why, TLS_CLIENT_CERTIFICATE, "its certificate does not hold");
        break;
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        say(why, TLS_CLIENT_CLOSED, "it closed the connection");
        break;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
        say(why, TLS_CLIENT_SPEECH, "it does not speak TLS");
        break;
    case SSL_R_UNSUPPORTED_PROTOCOL:
        say(why, TLS_CLIENT_SPEECH, "it speaks no TLS 1.2 or later");
        break;
    default:
        say(why, TLS_CLIENT_SPEECH, "%s", text != NULL ? text : "broken");
        break;
    }
}

void tls_client_explain(SSL *ssl, int result)
{
    struct tls_client_why *why = SSL_get_app_data(ssl);
    int saved = errno;

    if (why->text[0] == '\0') {
        switch (SSL_get_error(ssl, result)) {
        case SSL_ERROR_SSL:
            say_error(why, ERR_peek_error(), SSL_get_certificate(ssl) != NULL);
            break;
        case SSL_ERROR_SYSCALL:
            if (saved != 0) {
                say(why, TLS_CLIENT_CLOSED, "connection broken: %s", strerror(saved));
                break;
            } /* fall through */
        default:
            say(why, TLS_CLIENT_CLOSED, "it closed the connection");
            break;
        }
    }
    ERR_clear_error();
}

/* --- a context -------------------------------------------------------------------- */

struct making {
    SSL_CTX *ctx;
    struct buf *error;
    enum tls_client_part part;
};

/* Returns -1. */
static int wrong(const struct making *making, const char *text)
{
    buf_puts(making->error, text);
    ERR_clear_error();
    return -1;
}

/* The same in OpenSSL's words, where it has some. */
static int failed(const struct making *making, const char *text)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    return wrong(making, reason != NULL ? reason : text);
}

/* The next certificate of bio, or NULL: *ended says whether that is the end of them. */
static X509 *next_cert(BIO *bio, int *ended)
{
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    unsigned long error = ERR_peek_last_error();

    *ended = cert == NULL && ERR_GET_LIB(error) == ERR_LIB_PEM &&
             ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    if (*ended)
        ERR_clear_error();
    return cert;
}

/* Calls take for each certificate of text, until it returns -1.  Returns how many, or -1. */
static int each_cert(const char *text, int (*take)(void *arg, X509 *cert, int n), void *arg)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    int n = 0, ended = 0, rc = bio != NULL ? 0 : -1;
    X509 *cert;

    while (rc == 0 && (cert = next_cert(bio, &ended)) != NULL) {
        rc = take(arg, cert, n++);
        X509_free(cert);
    }
    BIO_free(bio);
    return rc == 0 && ended ? n : -1;
}

static int trust(void *arg, X509 *cert, int n)
{
    (void)n;
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(arg), cert) == 1 ? 0 : -1;
}

/* The first is ours, the others lead from it to an authority. */
static int show(void *arg, X509 *cert, int n)
{
    if (n == 0)
        return SSL_CTX_use_certificate(arg, cert) == 1 ? 0 : -1;
    return SSL_CTX_add1_chain_cert(arg, cert) == 1 ? 0 : -1;
}

static int use_certs(const struct making *making, const char *text,
                     int (*take)(void *arg, X509 *cert, int n))
{
    int n = each_cert(text, take, making->ctx);

    if (n < 0)
        return failed(making, "a broken certificate");
    return n > 0 ? 0 : wrong(making, "found no certificate, wanted PEM");
}

static int use_ca(struct making *making, const char *ca)
{
    making->part = TLS_CLIENT_CA;
    if (ca != NULL)
        return use_certs(making, ca, trust);
    return SSL_CTX_set_default_verify_paths(making->ctx) == 1
               ? 0
               : failed(making, "the system's authorities cannot be read");
}

static int fit_key(const struct making *making, EVP_PKEY *key)
{
    if (X509_check_private_key(SSL_CTX_get0_certificate(making->ctx), key) != 1)
        return wrong(making, "it does not fit the certificate");
    return SSL_CTX_use_PrivateKey(making->ctx, key) == 1 ? 0 : failed(making, "it cannot be used");
}

static int ends_in(struct slice text, struct slice end)
{
    return text.len >= end.len &&
           slice_eq((struct slice){text.ptr + text.len - end.len, end.len}, end);
}

/* What was freed last of these sizes, which the allocator gives again first. */
static void freed_wipe(size_t from, size_t to)
{
    void *at[8];

    for (size_t len = from; len <= to; len += 16) {
        for (size_t i = 0; i < 8; i++)
            if ((at[i] = malloc(len)) != NULL)
                explicit_bzero(at[i], len);
        for (size_t i = 0; i < 8; i++)
            free(at[i]);
    }
}

/* Not by OpenSSL's reader of PEM, which leaves copies of the key in memory that it has freed.  Its
 * reader of DER leaves one, in a buffer that had grown by more than it held. */
static EVP_PKEY *decode_key(const struct pem_block *block)
{
    struct buf der = {.secret = 1};
    const unsigned char *at;
    EVP_PKEY *key = NULL;

    if (pem_decode(block, &der) == 0) {
        at = der.data;
        key = d2i_AutoPrivateKey(NULL, &at, (long)der.len);
        freed_wipe(der.len, 2 * der.len);
    }
    buf_free(&der);
    return key;
}

/* The first private key of a text. */
static int use_key(struct making *making, const char *text)
{
    struct slice rest = slice_str(text);
    struct pem_block block;
    EVP_PKEY *key;
    int rc;

    making->part = TLS_CLIENT_KEY;
    do {
        if (pem_next(&rest, &block) <= 0)
            return wrong(making, "found no private key, wanted PEM");
    } while (!ends_in(block.label, SLICE("PRIVATE KEY")));
    if (pem_is_encrypted(&block) || slice_eq(block.label, SLICE("ENCRYPTED PRIVATE KEY")))
        return wrong(making, "found a key with a password, wanted one without");
    key = decode_key(&block);
    rc = key != NULL ? fit_key(making, key) : failed(making, "a broken key");
    EVP_PKEY_free(key);
    return rc;
}

static int configure(struct making *making, const struct tls_client_options *options)
{
    SSL_CTX *ctx = making->ctx;

    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
        return failed(making, "out of memory");
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    /* What is no data of the application comes back to whoever reads, who has others to serve. */
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_cert_cb(ctx, on_asked, NULL);
    if (options->verify) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify);
        if (use_ca(making, options->ca) < 0)
            return -1;
    }
    if (options->cert == NULL)
        return 0;
    making->part = TLS_CLIENT_CERT;
    return use_certs(making, options->cert, show) < 0 ? -1 : use_key(making, options->key);
}

struct tls_client *tls_client_new(const struct tls_client_options *options, struct buf *error,
                                  enum tls_client_part *part)
{
    struct tls_client *client = calloc(1, sizeof(*client));
    struct making making = {SSL_CTX_new(TLS_client_method()), error, TLS_CLIENT_CA};

    if (client != NULL && configure(&making, options) == 0) {
        client->ctx = making.ctx;
        return client;
    }
    *part = making.part;
    SSL_CTX_free(making.ctx);
    free(client);
    return NULL;
}

void tls_client_free(struct tls_client **client)
{
    if (*client == NULL)
        return;
    SSL_CTX_free((*client)->ctx);
    free(*client);
    *client = NULL;
}

/* --- dates ------------------------------------------------------------------------ */

struct dates {
    time_t now;
    struct buf *lines;
    int good;
};

static int look_at_dates(void *arg, X509 *cert, int n)
{
    const ASN1_TIME *from = X509_get0_notBefore(cert), *to = X509_get0_notAfter(cert);
    struct dates *dates = arg;
    int is_over = X509_cmp_time(to, &dates->now) <= 0;
    char name[NAME_MAX_SHOWN], when[32];

    (void)n;
    if (!is_over && X509_cmp_time(from, &dates->now) <= 0)
        dates->good++;
    else
        buf_printf(dates->lines, "the certificate of %s %s %s\n",
                   name_shown(X509_get_subject_name(cert), name),
                   is_over ? "has expired on" : "is not valid before",
                   time_shown(is_over ? to : from, when));
    return 0;
}

int tls_client_dates(const char *pem, int64_t now_s, struct buf *lines)
{
    struct dates dates = {(time_t)now_s, lines, 0};

    (void)each_cert(pem, look_at_dates, &dates);
    ERR_clear_error();
    return dates.good;
}

/* --- a session -------------------------------------------------------------------- */

/* As a certificate has it: without the dot that ends a full name, or the zone of an address. */
static int set_name(SSL *ssl, const char *name)
{
    struct in6_addr address;
    char plain[256];
    size_t n = strcspn(name, "%");

    if (n >= sizeof(plain))
        return -1;
    memcpy(plain, name, n);
    plain[n] = '\0';
    if (inet_pton(AF_INET, plain, &address) == 1 || inet_pton(AF_INET6, plain, &address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), plain) == 1 ? 0 : -1;
    if (n > 1 && plain[n - 1] == '.')
        plain[n - 1] = '\0';
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, plain) == 1 && SSL_set_tlsext_host_name(ssl, plain) == 1 ? 0 : -1;
}

SSL *tls_client_session(const struct tls_client *client, const char *name,
                        struct tls_client_why *why)
{
    SSL *ssl = SSL_new(client->ctx);

    *why = (struct tls_client_why){0};
    if (ssl == NULL || SSL_set_app_data(ssl, why) != 1 || set_name(ssl, name) < 0) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    SSL_set_connect_state(ssl);
    return ssl;
}
