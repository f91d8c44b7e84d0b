#include "net/tls_context.h"

#include "codec/certificate.h"
#include "conf.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h> /* strcasecmp: names are compared as DNS does */

/* Of TLS 1.2 only those that encrypt and authenticate in one, with keys that are made for
 * the connection; what needs the least of a machine with AES first. */
#define CIPHERS                                                                                    \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHER_SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

#define SESSION_S 57600 /* a ticket is good for so long */

/* Of all contexts, so that a ticket of one is good with another. */
static const unsigned char session_context[] = "axr-notifyd";

/* A certificate, and what clients that ask for its names get. */
struct identity {
    struct certificate *certificate;
    SSL_CTX *context;
};

/* The first is for clients that name none of them. */
struct identities {
    struct identity *at;
    size_t n;
};

struct tls_contexts {
    struct identities now;
    struct tickets tickets;
    EVP_CIPHER *ticket_cipher;
};

/* --- words --- */

/* What OpenSSL says last, behind what we say of it.  Returns -1. */
static int fails(struct buf *error, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    buf_printf(error, "%s: %s", what, reason != NULL ? reason : "no memory");
    ERR_clear_error();
    return -1;
}

/* --- certificates and their names --- */

static void identities_clear(struct identities *identities)
{
    for (size_t i = 0; i < identities->n; i++) {
        certificate_free(&identities->at[i].certificate);
        SSL_CTX_free(identities->at[i].context);
    }
    free(identities->at);
    *identities = (struct identities){NULL, 0};
}

static int identity_read(struct identity *identity, const struct conf_certificate *text,
                         struct buf *error)
{
    struct slice chain = {text->cert, text->cert_len}, key = {text->key, text->key_len};
    struct buf why = {0};
    enum certificate_part part;

    identity->certificate = certificate_new(chain, key, &why, &part);
    if (identity->certificate == NULL)
        buf_printf(error, "%s: %.*s", part == CERTIFICATE_KEY ? text->key_file : text->cert_file,
                   (int)why.len, why.len > 0 ? (const char *)why.data : "");
    buf_free(&why);
    return identity->certificate != NULL ? 0 : -1;
}

/* Does pattern stand for name?  A "*" is the whole first label, and no other. */
static int name_is(const char *pattern, const char *name, int exactly)
{
    const char *rest;

    if (exactly || pattern[0] != '*')
        return strcasecmp(pattern, name) == 0;
    rest = strchr(name, '.');
    return rest != NULL && rest != name && strcasecmp(pattern + 1, rest) == 0;
}

static int has_name(const struct identity *identity, const char *name, int exactly)
{
    size_t n = certificate_names(identity->certificate);

    for (size_t i = 0; i < n; i++)
        if (name_is(certificate_name(identity->certificate, i), name, exactly))
            return 1;
    return 0;
}

/* The one whose certificate names it: exactly, or else by a wildcard; or else the first. */
static SSL_CTX *context_for(const struct identities *identities, const char *name)
{
    for (int exactly = 1; exactly >= 0; exactly--)
        for (size_t i = 0; i < identities->n; i++)
            if (has_name(&identities->at[i], name, exactly))
                return identities->at[i].context;
    return identities->at[0].context;
}

static int kind_of(const struct identity *identity)
{
    return EVP_PKEY_get_base_id(certificate_key(identity->certificate));
}

/* Is every name of the one also one of the other, whose key is of another kind? */
static int goes_with(const struct identity *one, const struct identity *other)
{
    size_t n = certificate_names(one->certificate);

    if (kind_of(one) == kind_of(other))
        return 0;
    for (size_t i = 0; i < n; i++) {
        const char *name = certificate_name(one->certificate, i);
        if (!has_name(other, name, name[0] == '*'))
            return 0;
    }
    return 1;
}

/* --- what OpenSSL asks --- */

static int on_servername(SSL *ssl, int *alert, void *arg)
{
    const struct tls_contexts *contexts = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX *context;

    if (name == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    context = context_for(&contexts->now, name);
    if (context != SSL_get_SSL_CTX(ssl) && SSL_set_SSL_CTX(ssl, context) == NULL) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *len,
                   const unsigned char *offered, unsigned offered_len, void *arg)
{
    static const unsigned char http[] = "http/1.1";

    (void)ssl;
    (void)arg;
    for (unsigned i = 0; i < offered_len; i += 1U + offered[i]) {
        if (offered[i] != sizeof(http) - 1 || memcmp(offered + i + 1, http, sizeof(http) - 1) != 0)
            continue;
        *chosen = offered + i + 1;
        *len = offered[i];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int ticket_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    static char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->hmac, sizeof(key->hmac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_MAC_CTX_set_params(mac, params);
}

static int ticket_make(struct tls_contexts *contexts, unsigned char *name, unsigned char *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct ticket_key *key = &contexts->tickets.at[0];

    if (contexts->tickets.n == 0)
        return 0;
    memcpy(name, key->name, sizeof(key->name));
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(contexts->ticket_cipher)) != 1 ||
        EVP_EncryptInit_ex2(cipher, contexts->ticket_cipher, key->aes, iv, NULL) != 1 ||
        ticket_mac(mac, key) != 1)
        return -1;
    return 1;
}

/* 1, or 2 for one that is to be replaced (in TLS 1.3 each is used once); 0: nobody's, and
 * the handshake is a full one. */
static int ticket_open(struct tls_contexts *contexts, int once, const unsigned char *name,
                       const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    for (uint32_t i = 0; i < contexts->tickets.n; i++) {
        struct ticket_key *key = &contexts->tickets.at[i];

        if (memcmp(name, key->name, sizeof(key->name)) != 0)
            continue;
        if (EVP_DecryptInit_ex2(cipher, contexts->ticket_cipher, key->aes, iv, NULL) != 1 ||
            ticket_mac(mac, key) != 1)
            return -1;
        return i == 0 && !once ? 1 : 2;
    }
    return 0;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int makes)
{
    /* That of the context that it began with: all have the same. */
    struct tls_contexts *contexts = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    return makes ? ticket_make(contexts, name, iv, cipher, mac)
                 : ticket_open(contexts, SSL_version(ssl) >= TLS1_3_VERSION, name, iv, cipher, mac);
}

/* --- making one --- */

static int set_protocols(SSL_CTX *context, const struct conf_tls *tls, struct buf *error)
{
    char groups[] = "X25519:P-256:P-384"; /* OpenSSL only reads it, but does not say so */
    const char *ciphers = tls->ciphers != NULL ? tls->ciphers : CIPHERS,
               *suites = tls->cipher_suites != NULL ? tls->cipher_suites : CIPHER_SUITES;

    if (SSL_CTX_set_min_proto_version(context, tls->min_version) != 1 ||
        SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1)
        return fails(error, "tls:minVersion");
    if (SSL_CTX_set_cipher_list(context, ciphers) != 1)
        return fails(error, "tls:ciphers");
    if (SSL_CTX_set_ciphersuites(context, suites) != 1)
        return fails(error, "tls:cipherSuites");
    if (SSL_CTX_set1_groups_list(context, groups) != 1)
        return fails(error, "TLS groups");
    return 0;
}

/* Returns 0 or -1. */
static int use(SSL_CTX *context, const struct certificate *certificate)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    size_t n = certificate_issuers(certificate);
    int result = chain != NULL ? 0 : -1;

    for (size_t i = 0; i < n && result == 0; i++)
        if (sk_X509_push(chain, certificate_issuer(certificate, i)) <= 0)
            result = -1;
    if (result == 0 && SSL_CTX_use_cert_and_key(context, certificate_own(certificate),
                                                certificate_key(certificate), chain, 1) != 1)
        result = -1;
    sk_X509_free(chain);
    return result;
}

/* What is not needed is off: what a client asks for again and again, or what remembers. */
static void set_behaviour(SSL_CTX *context, struct tls_contexts *contexts)
{
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(context, SESSION_S);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_max_early_data(context, 0);
    SSL_CTX_set_recv_max_early_data(context, 0);
    SSL_CTX_set_app_data(context, contexts);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
    SSL_CTX_set_tlsext_servername_callback(context, on_servername);
    SSL_CTX_set_tlsext_servername_arg(context, contexts);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
}

/* 1 if number k is the first of its kind of key that goes with own. */
static int is_first_beside(const struct identities *identities, const struct identity *own,
                           size_t k)
{
    const struct identity *beside = &identities->at[k];

    if (!goes_with(own, beside))
        return 0;
    for (size_t i = 0; i < k; i++)
        if (kind_of(&identities->at[i]) == kind_of(beside) && goes_with(own, &identities->at[i]))
            return 0;
    return 1;
}

/* For the names of number i: with that, and the first of each other kind of key for them. */
static int context_make(struct tls_contexts *contexts, struct identities *identities, size_t i,
                        const struct conf_tls *tls, struct buf *error)
{
    struct identity *own = &identities->at[i];
    SSL_CTX *context = own->context = SSL_CTX_new(TLS_server_method());

    if (context == NULL)
        return fails(error, "TLS");
    set_behaviour(context, contexts);
    if (SSL_CTX_set_session_id_context(context, session_context, sizeof(session_context) - 1) != 1)
        return fails(error, "TLS");
    if (set_protocols(context, tls, error) < 0)
        return -1;
    for (size_t k = 0; k < identities->n; k++)
        if ((k == i || is_first_beside(identities, own, k)) &&
            use(context, identities->at[k].certificate) < 0)
            return fails(error, tls->at[k].cert_file);
    return 0;
}

/* --- for others --- */

struct tls_contexts *tls_contexts_new(void)
{
    struct tls_contexts *contexts = calloc(1, sizeof(*contexts));

    if (contexts == NULL)
        return NULL;
    contexts->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (contexts->ticket_cipher == NULL)
        tls_contexts_free(&contexts);
    return contexts;
}

void tls_contexts_free(struct tls_contexts **contextsp)
{
    struct tls_contexts *contexts = *contextsp;

    *contextsp = NULL;
    if (contexts == NULL)
        return;
    identities_clear(&contexts->now);
    EVP_CIPHER_free(contexts->ticket_cipher);
    explicit_bzero(contexts, sizeof(*contexts));
    free(contexts);
}

int tls_contexts_certify(struct tls_contexts *contexts, const struct conf_tls *tls,
                         struct buf *error)
{
    struct identities made = {calloc(tls->n, sizeof(struct identity)), tls->n};
    int result = 0;

    assert(tls->n > 0);
    ERR_clear_error();
    if (made.at == NULL) {
        buf_puts(error, "no memory");
        return -1;
    }
    for (size_t i = 0; i < made.n && result == 0; i++)
        result = identity_read(&made.at[i], &tls->at[i], error);
    for (size_t i = 0; i < made.n && result == 0; i++)
        result = context_make(contexts, &made, i, tls, error);
    if (result == 0) {
        struct identities old = contexts->now;
        contexts->now = made;
        made = old;
    }
    identities_clear(&made);
    return result;
}

void tls_contexts_tickets(struct tls_contexts *contexts, const struct tickets *tickets)
{
    contexts->tickets = *tickets;
}

SSL *tls_contexts_accept(struct tls_contexts *contexts)
{
    SSL *ssl = contexts->now.n > 0 ? SSL_new(contexts->now.at[0].context) : NULL;

    if (ssl == NULL)
        return NULL;
    SSL_set_accept_state(ssl);
    if (contexts->tickets.n == 0) {
        SSL_set_options(ssl, SSL_OP_NO_TICKET);
        SSL_set_num_tickets(ssl, 0);
    }
    return ssl;
}
