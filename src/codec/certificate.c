#include "codec/certificate.h"

#include "base/wiping.h"
#include "codec/certificate_strength.h"
#include "codec/pem.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_MAX_BYTES 253 /* of a host */

struct certificate {
    X509 *chain[CERTIFICATE_CHAIN_MAX]; /* the server's own is the first */
    size_t n;
    EVP_PKEY *key;
    char **names;
    size_t nnames;
    char kind[CERTIFICATE_KIND_MAX];
    int64_t not_before, not_after;
};

/* Says what is wrong, and that something is. */
__attribute__((format(printf, 2, 3))) static int fault(struct buf *error, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)buf_puts(error, text);
    return -1;
}

static int no_memory(struct buf *error)
{
    error->failed = 1;
    return -1;
}

static int label_is(const struct pem_block *block, const char *label)
{
    return slice_eq(block->label, slice_str(label));
}

static int is_certificate(const struct pem_block *block)
{
    return label_is(block, "CERTIFICATE") || label_is(block, "X509 CERTIFICATE");
}

/* Of any kind: RSA PRIVATE KEY, ENCRYPTED PRIVATE KEY and the like. */
static int is_private(const struct pem_block *block)
{
    static const struct slice end = SLICE("PRIVATE KEY");
    struct slice label = block->label;

    return label.len >= end.len && memcmp(label.ptr + label.len - end.len, end.ptr, end.len) == 0;
}

/* DER, which is what files of Windows often are, begins with a SEQUENCE. */
static int is_der(struct slice text)
{
    return text.len > 1 && (uint8_t)text.ptr[0] == 0x30 && ((uint8_t)text.ptr[1] & 0x80) != 0;
}

/* --- the chain ------------------------------------------------------------------ */

/* One certificate, whose DER is all that is there; NULL if it is none. */
static X509 *chain_decode(const struct pem_block *block)
{
    struct buf der = {0};
    const uint8_t *at;
    X509 *x509 = NULL;

    if (pem_decode(block, &der) == 0) {
        at = der.data;
        x509 = d2i_X509(NULL, &at, (long)der.len);
        if (x509 != NULL && at != der.data + der.len) {
            X509_free(x509);
            x509 = NULL;
        }
    }
    buf_free(&der);
    return x509;
}

static int chain_add(struct certificate *c, const struct pem_block *block, struct buf *error)
{
    X509 *x509;

    if (c->n == CERTIFICATE_CHAIN_MAX)
        return fault(error, "found more than %d certificates", CERTIFICATE_CHAIN_MAX);
    x509 = chain_decode(block);
    /* Its fields are read with the first question for one of them. */
    if (x509 == NULL || X509_get0_pubkey(x509) == NULL ||
        X509_get_extension_flags(x509) & EXFLAG_INVALID) {
        X509_free(x509);
        return fault(error, "certificate %zu cannot be read: it is damaged", c->n + 1);
    }
    c->chain[c->n++] = x509;
    return 0;
}

static int chain_read(struct certificate *c, struct slice text, struct buf *error)
{
    struct slice rest = text;
    struct pem_block block;
    int more;

    while ((more = pem_next(&rest, &block)) > 0)
        if (is_certificate(&block) && chain_add(c, &block, error) < 0)
            return -1;
    if (more < 0 && (c->n == 0 || is_certificate(&block)))
        return fault(error, "found a text that is cut off within %s%.*s",
                     block.label.len > 0 ? "its " : "",
                     (int)(block.label.len < 40 ? block.label.len : 40), block.label.ptr);
    if (c->n > 0)
        return 0;
    if (is_der(text))
        return fault(error, "found DER, wanted PEM (openssl x509 -inform der)");
    return fault(error, "found no certificate in PEM, wanted -----BEGIN CERTIFICATE-----");
}

/* --- the key -------------------------------------------------------------------- */

static const char *key_unusable(const struct pem_block *block)
{
    if (label_is(block, "ENCRYPTED PRIVATE KEY") || pem_is_encrypted(block))
        return "the private key is encrypted, wanted one without a passphrase (openssl pkey)";
    if (label_is(block, "OPENSSH PRIVATE KEY"))
        return "found a key of ssh, wanted one of TLS";
    return NULL;
}

static int key_decode(struct certificate *c, const struct pem_block *block, struct buf *error)
{
    const char *why = key_unusable(block);
    struct buf der = {.secret = 1};
    const uint8_t *at;

    if (why != NULL)
        return fault(error, "%s", why);
    if (pem_decode(block, &der) == 0) {
        at = der.data;
        wiping_begin();
        c->key = d2i_AutoPrivateKey(NULL, &at, (long)der.len);
        wiping_end();
    }
    buf_free(&der);
    return c->key != NULL ? 0 : fault(error, "the private key cannot be read: it is damaged");
}

static int key_read(struct certificate *c, struct slice text, struct buf *error)
{
    struct slice rest = text;
    struct pem_block block;
    int more;

    while ((more = pem_next(&rest, &block)) > 0)
        if (is_private(&block))
            return key_decode(c, &block, error);
    if (more < 0)
        return fault(error, "found a text that is cut off within its %.*s",
                     (int)(block.label.len < 40 ? block.label.len : 40), block.label.ptr);
    if (is_der(text))
        return fault(error, "found DER, wanted PEM (openssl pkey -inform der)");
    return fault(error, "found no private key in PEM, wanted -----BEGIN PRIVATE KEY-----");
}

/* X509_check_private_key() would leave an error behind, which the next call may take for
 * its own. */
static int key_fits(const struct certificate *c, const X509 *x509)
{
    return EVP_PKEY_eq(X509_get0_pubkey(x509), c->key) == 1;
}

static int key_check(const struct certificate *c, struct buf *error)
{
    if (key_fits(c, c->chain[0]))
        return 0;
    for (size_t i = 1; i < c->n; i++)
        if (key_fits(c, c->chain[i]))
            return fault(error,
                         "the private key is that of certificate %zu of the chain, wanted the "
                         "server's own first",
                         i + 1);
    return fault(error, "the private key does not belong to the certificate");
}

/* --- is it strong enough? --------------------------------------------------------- */

static int strength_check(const struct certificate *c, struct buf *error)
{
    for (size_t i = 0; i < c->n; i++)
        if (certificate_weakness(c->chain[i], i + 1, error) < 0)
            return -1;
    return 0;
}

/* --- names -------------------------------------------------------------------------- */

static int is_host(struct slice name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

    if (name.len > 2 && name.ptr[0] == '*' && name.ptr[1] == '.') {
        name.ptr += 2;
        name.len -= 2;
    }
    if (name.len == 0 || name.len > NAME_MAX_BYTES || name.ptr[0] == '.')
        return 0;
    for (size_t i = 0; i < name.len; i++)
        if (memchr(letters, name.ptr[i], sizeof(letters) - 1) == NULL)
            return 0;
    return 1;
}

static int names_put(struct certificate *c, const char *text, size_t len)
{
    char **grown = realloc(c->names, (c->nnames + 1) * sizeof(*grown)), *name;

    if (grown == NULL)
        return -1;
    c->names = grown;
    name = strndup(text, len);
    if (name == NULL)
        return -1;
    for (char *at = name; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    c->names[c->nnames++] = name;
    return 0;
}

static int names_put_address(struct certificate *c, const ASN1_OCTET_STRING *bytes)
{
    int len = ASN1_STRING_length(bytes);
    char text[INET6_ADDRSTRLEN];

    if ((len != 4 && len != 16) ||
        inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(bytes), text,
                  sizeof(text)) == NULL)
        return 0;
    return names_put(c, text, strlen(text));
}

static struct slice text_of(const ASN1_STRING *string)
{
    return (struct slice){(const char *)ASN1_STRING_get0_data(string),
                          (size_t)ASN1_STRING_length(string)};
}

/* What is no name of a host (an NUL in it, say) is none for clients either. */
static int names_put_one(struct certificate *c, const GENERAL_NAME *name)
{
    struct slice text;
    int type;
    const void *value = GENERAL_NAME_get0_value(name, &type);

    if (type == GEN_IPADD)
        return names_put_address(c, value);
    if (type != GEN_DNS)
        return 0;
    text = text_of(value);
    return is_host(text) ? names_put(c, text.ptr, text.len) : 0;
}

/* The common names of the subject. */
static int names_old(struct certificate *c)
{
    const X509_NAME *subject = X509_get_subject_name(c->chain[0]);
    int at = -1;

    while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0) {
        struct slice text = text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
        if (is_host(text) && names_put(c, text.ptr, text.len) < 0)
            return -1;
    }
    return 0;
}

static int names_read(struct certificate *c, struct buf *error)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(c->chain[0], NID_subject_alt_name, NULL, NULL);
    int failed = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(all) && !failed; i++)
        failed = names_put_one(c, sk_GENERAL_NAME_value(all, i)) < 0;
    if (all == NULL)
        failed = names_old(c) < 0;
    GENERAL_NAMES_free(all);
    if (failed)
        return no_memory(error);
    return c->nnames > 0 ? 0
                         : fault(error, "the certificate names no host, wanted a subjectAltName");
}

/* --- times -------------------------------------------------------------------------- */

/* Returns 0, or -1 if it is none. */
static int time_read(const ASN1_TIME *time, int64_t *seconds)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return -1;
    *seconds = timegm(&tm);
    return 0;
}

/* A root that clients know may be in the chain for no use, and its times mean nothing. */
static int times_read(struct certificate *c, struct buf *error)
{
    for (size_t i = 0; i < c->n; i++) {
        int64_t from, until;

        if (time_read(X509_get0_notBefore(c->chain[i]), &from) < 0 ||
            time_read(X509_get0_notAfter(c->chain[i]), &until) < 0)
            return fault(error, "certificate %zu cannot be read: it is damaged", i + 1);
        if (i > 0 && certificate_is_root(c->chain[i]))
            continue;
        if (i == 0 || from > c->not_before)
            c->not_before = from;
        if (i == 0 || until < c->not_after)
            c->not_after = until;
    }
    return 0;
}

/* --- all of it ------------------------------------------------------------------------ */

static int read_both(struct certificate *c, struct slice chain, struct slice key, struct buf *error,
                     enum certificate_part *part)
{
    *part = CERTIFICATE_CHAIN;
    if (chain_read(c, chain, error) < 0)
        return -1;
    *part = CERTIFICATE_KEY;
    if (key_read(c, key, error) < 0 || key_check(c, error) < 0)
        return -1;
    *part = CERTIFICATE_CHAIN;
    return strength_check(c, error) < 0 || names_read(c, error) < 0 || times_read(c, error) < 0 ? -1
                                                                                                : 0;
}

struct certificate *certificate_new(struct slice chain, struct slice key, struct buf *error,
                                    enum certificate_part *part)
{
    struct certificate *c = calloc(1, sizeof(*c));

    *part = CERTIFICATE_CHAIN;
    if (c == NULL)
        error->failed = 1;
    else if (read_both(c, chain, key, error, part) < 0)
        certificate_free(&c);
    else
        certificate_kind_of(X509_get0_pubkey(c->chain[0]), c->kind);
    ERR_clear_error(); /* whoever asks next is not to take ours for theirs */
    return c;
}

void certificate_free(struct certificate **certificate)
{
    struct certificate *c = *certificate;

    if (c == NULL)
        return;
    *certificate = NULL;
    for (size_t i = 0; i < c->n; i++)
        X509_free(c->chain[i]);
    for (size_t i = 0; i < c->nnames; i++)
        free(c->names[i]);
    free(c->names);
    EVP_PKEY_free(c->key);
    free(c);
}

X509 *certificate_own(const struct certificate *certificate)
{
    return certificate->chain[0];
}

EVP_PKEY *certificate_key(const struct certificate *certificate)
{
    return certificate->key;
}

size_t certificate_issuers(const struct certificate *certificate)
{
    return certificate->n - 1;
}

X509 *certificate_issuer(const struct certificate *certificate, size_t i)
{
    return certificate->chain[i + 1];
}

size_t certificate_names(const struct certificate *certificate)
{
    return certificate->nnames;
}

const char *certificate_name(const struct certificate *certificate, size_t i)
{
    return certificate->names[i];
}

const char *certificate_kind(const struct certificate *certificate)
{
    return certificate->kind;
}

int64_t certificate_not_before(const struct certificate *certificate)
{
    return certificate->not_before;
}

int64_t certificate_not_after(const struct certificate *certificate)
{
    return certificate->not_after;
}

int certificate_excerpt(struct slice text, enum certificate_part part, struct buf *out)
{
    struct pem_block block;

    while (pem_next(&text, &block) > 0) {
        if (part == CERTIFICATE_CHAIN ? !is_certificate(&block) : !is_private(&block))
            continue;
        if (buf_put(out, block.whole.ptr, block.whole.len) < 0 || buf_putc(out, '\n') < 0)
            return -1;
        if (part == CERTIFICATE_KEY)
            break; /* the first is the one that counts */
    }
    return 0;
}
