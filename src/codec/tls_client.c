#include "codec/tls_client.h"

#include "base/slice.h"
#include "base/wiping.h"
#include "codec/pem.h"
#include "codec/tls_words.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct tls_client {
    SSL_CTX *ctx;
};

/* --- while it speaks -------------------------------------------------------------- */

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
        tls_words_chain(why, wanted != NULL ? wanted : "", store);
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

void tls_client_explain(SSL *ssl, int result)
{
    struct tls_client_why *why = SSL_get_app_data(ssl);

    if (why->text[0] == '\0')
        tls_words_failure(why, ssl, result);
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

/* 1 if certificates are found there by the hash of their name, "4042bcee.0". */
static int is_hashed(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *item;
    int found = 0;

    while (dir != NULL && !found && (item = readdir(dir)) != NULL)
        found = strspn(item->d_name, "0123456789abcdef") == 8 && item->d_name[8] == '.';
    if (dir != NULL)
        closedir(dir);
    return found;
}

/* The file with all of them takes 50 ms to read, in which nobody is served: only where it is
 * asked for by the environment, or they are nowhere else. */
static int use_system(const struct making *making)
{
    const char *dir = secure_getenv(X509_get_default_cert_dir_env());
    int rc;

    if (secure_getenv(X509_get_default_cert_file_env()) == NULL &&
        is_hashed(dir != NULL ? dir : X509_get_default_cert_dir()))
        rc = SSL_CTX_set_default_verify_dir(making->ctx);
    else
        rc = SSL_CTX_set_default_verify_paths(making->ctx);
    return rc == 1 ? 0 : failed(making, "the system's authorities cannot be read");
}

static int use_ca(struct making *making, const char *ca)
{
    making->part = TLS_CLIENT_CA;
    return ca != NULL ? use_certs(making, ca, trust) : use_system(making);
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

/* Not by OpenSSL's reader of PEM, which leaves copies of the key in more places. */
static EVP_PKEY *decode_key(const struct pem_block *block)
{
    struct buf der = {.secret = 1};
    const unsigned char *at;
    EVP_PKEY *key = NULL;

    if (pem_decode(block, &der) == 0) {
        at = der.data;
        wiping_begin();
        key = d2i_AutoPrivateKey(NULL, &at, (long)der.len);
        wiping_end();
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
    wiping_begin();
    SSL_CTX_free((*client)->ctx);
    wiping_end();
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
    char name[TLS_WORDS_NAME], when[TLS_WORDS_TIME];

    (void)n;
    if (!is_over && X509_cmp_time(from, &dates->now) <= 0)
        dates->good++;
    else
        buf_printf(dates->lines, "the certificate of %s %s %s\n",
                   tls_words_name(X509_get_subject_name(cert), name),
                   is_over ? "has expired on" : "is not valid before",
                   tls_words_time(is_over ? to : from, when));
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
