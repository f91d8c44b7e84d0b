#include "codec/certificate.h"

#include "codec/certificate_strength.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

/* --- words ---------------------------------------------------------------------------- */

void certificate_name_put(const X509_NAME *name, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const char *text = NULL;
    long len = 0;

    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE) >= 0)
        len = BIO_get_mem_data(bio, &text);
    if (len > 0)
        (void)buf_put(out, text, (size_t)len);
    else
        (void)buf_puts(out, "an empty name");
    BIO_free(bio);
    ERR_clear_error();
}

void certificate_time_put(int64_t seconds, struct buf *out)
{
    time_t time = (time_t)seconds;
    char text[32];
    struct tm tm;

    if (gmtime_r(&time, &tm) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        (void)buf_printf(out, "%lld s after 1970", (long long)seconds);
    else
        (void)buf_puts(out, text);
}

/* --- the chain ------------------------------------------------------------------------ */

static X509 *at(const struct certificate *c, size_t i)
{
    return i == 0 ? certificate_own(c) : certificate_issuer(c, i - 1);
}

/* Where that which issued x509 is in the chain; 0: nowhere. */
static size_t issuer_of(const struct certificate *c, X509 *x509)
{
    for (size_t i = 1; i <= certificate_issuers(c); i++)
        if (at(c, i) != x509 && X509_check_issued(at(c, i), x509) == X509_V_OK)
            return i;
    return 0;
}

/* The last one that can be reached from the server's own. */
static X509 *end_of(const struct certificate *c)
{
    X509 *x509 = at(c, 0);
    size_t next;

    for (size_t steps = 0; steps <= certificate_issuers(c) && !certificate_is_root(x509); steps++) {
        next = issuer_of(c, x509);
        if (next == 0)
            break;
        x509 = at(c, next);
    }
    return x509;
}

const X509_NAME *certificate_open_end(const struct certificate *certificate)
{
    X509 *x509 = end_of(certificate);

    return certificate_is_root(x509) ? NULL : X509_get_issuer_name(x509);
}

int certificate_is_issued_by(const struct certificate *certificate, X509_STORE *store)
{
    X509_STORE_CTX *search = X509_STORE_CTX_new();
    X509 *x509 = end_of(certificate), *issuer = NULL;
    int found = search != NULL && X509_STORE_CTX_init(search, store, x509, NULL) == 1 &&
                X509_STORE_CTX_get1_issuer(&issuer, search, x509) == 1;

    X509_free(issuer);
    X509_STORE_CTX_free(search);
    ERR_clear_error();
    return found;
}

/* Clients of TLS 1.2 may take the certificates in the order in which they come. */
static void remark_order(const struct certificate *c, struct buf *lines)
{
    for (size_t i = 1; i <= certificate_issuers(c); i++)
        if (X509_check_issued(at(c, i), at(c, i - 1)) != X509_V_OK) {
            (void)buf_printf(
                lines, "certificate %zu of the chain has not issued the one before it\n", i + 1);
            return;
        }
}

/* --- what browsers mind --------------------------------------------------------------- */

static void remark_key(const struct certificate *c, struct buf *lines)
{
    const char *kind = certificate_kind(c);

    if (strcmp(kind, "ECDSA P-521") == 0 || strncmp(kind, "Ed", 2) == 0 ||
        strncmp(kind, "RSA-PSS", 7) == 0)
        (void)buf_printf(lines, "not all browsers take a key of this kind (%s)\n", kind);
    else if (strncmp(kind, "RSA ", 4) == 0 && EVP_PKEY_get_bits(certificate_key(c)) > 4096)
        (void)buf_printf(lines, "a key of this kind (%s) makes handshakes slow\n", kind);
}

static void remark_use(const struct certificate *c, struct buf *lines)
{
    X509 *own = certificate_own(c);

    if (X509_get_ext_by_NID(own, NID_subject_alt_name, -1) < 0)
        (void)buf_puts(lines, "there is no subjectAltName: browsers take no name from elsewhere\n");
    if (X509_get_extension_flags(own) & EXFLAG_XKUSAGE &&
        !(X509_get_extended_key_usage(own) & (XKU_SSL_SERVER | XKU_ANYEKU)))
        (void)buf_puts(lines,
                       "it is not for servers, says its extendedKeyUsage: clients refuse it\n");
}

void certificate_remark(const struct certificate *certificate, struct buf *lines)
{
    remark_key(certificate, lines);
    remark_use(certificate, lines);
    remark_order(certificate, lines);
    ERR_clear_error();
}
