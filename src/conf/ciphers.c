#include "conf/ciphers.h"

#include "base/slice.h"
#include "codec/certificate.h"
#include "conf/build.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 128

/* Why OpenSSL has just refused something. */
static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    return text != NULL ? text : "no reason given";
}

static void refuse(struct settings *set, const char *path, const char *word)
{
    const struct setting *setting = settings_at(set, path);

    settings_error(set, &setting->source, path, "OpenSSL knows no cipher by \"%s\"", word);
}

/* One word of a list: 0, or -1 if nothing is known by it.  What begins with '@' is no name,
 * and in front of one there may be what is to be done with it. */
static int is_known(SSL_CTX *ctx, const char *word, int (*take)(SSL_CTX *, const char *))
{
    word += strspn(word, "!-+");
    return word[0] == '@' || word[0] == '\0' || take(ctx, word) == 1;
}

/* OpenSSL leaves out what it does not know, as long as something is left. */
static int check_words(SSL_CTX *ctx, struct settings *set, const char *path, const char *list,
                       int (*take)(SSL_CTX *, const char *))
{
    int faults = 0;

    while (*list) {
        size_t len = strcspn(list, ":, ");
        char word[WORD_MAX];

        (void)snprintf(word, sizeof(word), "%.*s", len < sizeof(word) ? (int)len : WORD_MAX, list);
        if (!is_known(ctx, word, take)) {
            refuse(set, path, word);
            faults++;
        }
        list += len + (list[len] != '\0');
    }
    return faults;
}

/* Returns 0, or -1 (reported). */
static int check_list(SSL_CTX *ctx, struct settings *set, const char *path, const char *list,
                      int (*take)(SSL_CTX *, const char *))
{
    if (list == NULL)
        return 0;
    if (check_words(ctx, set, path, list, take) > 0)
        return -1;
    if (take(ctx, list) == 1)
        return 0;
    build_refuse(set, path, "a list of ciphers with one at least");
    return -1;
}

/* --- do they serve the certificates? -------------------------------------------------- */

static int has_cipher_for(SSL_CTX *ctx, const char *kind)
{
    STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(ctx);
    int wanted = strncmp(kind, "RSA", 3) == 0 ? NID_auth_rsa : NID_auth_ecdsa;

    for (int i = 0; i < sk_SSL_CIPHER_num(all); i++)
        if (SSL_CIPHER_get_auth_nid(sk_SSL_CIPHER_value(all, i)) == wanted)
            return 1;
    return 0;
}

static void warn_unserved(SSL_CTX *ctx, const struct conf_tls *tls, struct settings *set)
{
    const struct setting *setting = settings_at(set, "tls:ciphers");

    if (tls->ciphers == NULL || tls->min_version == CONF_TLS_1_3)
        return;
    for (size_t i = 0; i < tls->n; i++) {
        const struct conf_certificate *one = &tls->at[i];

        if (one->unread || has_cipher_for(ctx, one->kind))
            continue;
        settings_warn(set, &setting->source, setting->path,
                      "there is none for %s: clients of TLS 1.2 get no answer with it (%s)",
                      one->cert_file, one->kind);
    }
}

/* --- all of it ------------------------------------------------------------------------ */

/* It has been read and is good; OpenSSL may want more of it, as its own configuration says. */
static void check_certificate(SSL_CTX *ctx, const struct conf_certificate *one,
                              const struct key_source *from, struct settings *set)
{
    struct buf error = {0};
    enum certificate_part part;
    struct certificate *c = certificate_new((struct slice){one->cert, one->cert_len},
                                            (struct slice){one->key, one->key_len}, &error, &part);

    if (c == NULL)
        settings_error(set, NULL, NULL, "out of memory");
    else if (SSL_CTX_use_cert_and_key(ctx, certificate_own(c), certificate_key(c), NULL, 1) != 1)
        settings_error(set, &from->source, from->path, "%s: OpenSSL does not take it: %s",
                       one->cert_file, reason());
    certificate_free(&c);
    buf_free(&error);
}

void ciphers_check(const struct conf *conf, struct settings *set)
{
    const struct conf_tls *tls = &conf->tls;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (ctx == NULL) {
        settings_error(set, NULL, "tls", "OpenSSL: %s", reason());
        return;
    }
    /* Before the lists, which would go to those of one alone. */
    for (size_t i = 0; i < tls->n; i++)
        if (!tls->at[i].unread)
            check_certificate(ctx, &tls->at[i], &set->certificate_sources[i], set);
    if (check_list(ctx, set, "tls:ciphers", tls->ciphers, SSL_CTX_set_cipher_list) == 0)
        warn_unserved(ctx, tls, set);
    (void)check_list(ctx, set, "tls:cipherSuites", tls->cipher_suites, SSL_CTX_set_ciphersuites);
    SSL_CTX_free(ctx);
    ERR_clear_error();
}
