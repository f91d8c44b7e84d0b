#include "codec/tls_words.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAMES_SHOWN 3

/* --- names and times -------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void
say(struct tls_client_why *why, enum tls_client_fault kind, const char *fmt, ...)
{
    va_list args;

    why->kind = kind;
    va_start(args, fmt);
    (void)vsnprintf(why->text, sizeof(why->text), fmt, args);
    va_end(args);
}

const char *tls_words_name(const X509_NAME *name, char dst[TLS_WORDS_NAME])
{
    static const int fields[] = {NID_commonName, NID_organizationName};

    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        int at = X509_NAME_get_index_by_NID(name, fields[i], -1);
        const X509_NAME_ENTRY *entry = at >= 0 ? X509_NAME_get_entry(name, at) : NULL;
        const ASN1_STRING *text = entry != NULL ? X509_NAME_ENTRY_get_data(entry) : NULL;

        if (text != NULL && ASN1_STRING_length(text) > 0)
            return log_escape(dst, TLS_WORDS_NAME, (const char *)ASN1_STRING_get0_data(text),
                              (size_t)ASN1_STRING_length(text));
    }
    return "(no name)";
}

const char *tls_words_time(const ASN1_TIME *time, char dst[TLS_WORDS_TIME])
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1 ||
        strftime(dst, TLS_WORDS_TIME, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        return "(no time)";
    return dst;
}

/* Appends ", name" to dst, which has room for that many. */
static void name_add(char *dst, size_t cap, const char *name, size_t len)
{
    char text[TLS_WORDS_NAME];
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
    char name[TLS_WORDS_NAME];

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
        (void)snprintf(dst, cap, "%s", tls_words_name(X509_get_subject_name(cert), name));
    n = (int)strlen(dst);
    if (more > 0)
        (void)snprintf(dst + n, cap - (size_t)n, " and %d more", more);
    return dst;
}

/* Whose certificate it is: the server's, or that of an authority. */
static const char *whose(X509_STORE_CTX *store, X509 *cert, char dst[96])
{
    char name[TLS_WORDS_NAME];

    if (X509_STORE_CTX_get_error_depth(store) == 0)
        return "its certificate";
    (void)snprintf(dst, 96, "the certificate of its authority %s",
                   tls_words_name(X509_get_subject_name(cert), name));
    return dst;
}

static void say_untrusted(struct tls_client_why *why, X509 *cert, int error)
{
    char name[TLS_WORDS_NAME];

    if (error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT) {
        say(why, TLS_CLIENT_CERTIFICATE,
            "its certificate is signed by itself, and not one that is trusted (tls:caFile)");
        return;
    }
    say(why, TLS_CLIENT_CERTIFICATE,
        "its certificate is signed by an authority that is not known: %s%s (tls:caFile)",
        tls_words_name(X509_get_issuer_name(cert), name),
        error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ? ", self-signed certificate in chain" : "");
}

static void say_name(struct tls_client_why *why, const char *wanted, X509 *cert)
{
    char names[(NAMES_SHOWN + 1) * (TLS_WORDS_NAME + 2)], name[TLS_WORDS_NAME];
    char address[INET6_ADDRSTRLEN];
    struct in6_addr bytes;

    /* OpenSSL writes out each zero. */
    if (inet_pton(AF_INET6, wanted, &bytes) == 1)
        wanted = inet_ntop(AF_INET6, &bytes, address, sizeof(address));
    say(why, TLS_CLIENT_CERTIFICATE, "its certificate is for %.120s, wanted %s (tls:servername)",
        names_shown(cert, names, sizeof(names)),
        log_escape(name, sizeof(name), wanted, strlen(wanted)));
}

void tls_words_chain(struct tls_client_why *why, const char *wanted, X509_STORE_CTX *store)
{
    X509 *cert = X509_STORE_CTX_get_current_cert(store);
    int error = X509_STORE_CTX_get_error(store);
    char who[96], when[TLS_WORDS_TIME];

    switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        say_name(why, wanted, cert);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        say(why, TLS_CLIENT_CERTIFICATE, "%s has expired on %s", whose(store, cert, who),
            tls_words_time(X509_get0_notAfter(cert), when));
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        say(why, TLS_CLIENT_CERTIFICATE, "%s is not valid before %s", whose(store, cert, who),
            tls_words_time(X509_get0_notBefore(cert), when));
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

/* --- what it says ---------------------------------------------------------------- */

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

void tls_words_failure(struct tls_client_why *why, SSL *ssl, int result)
{
    int saved = errno;

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
