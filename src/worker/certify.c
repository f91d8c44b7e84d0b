#include "worker/certify.h"

#include "base/log.h"
#include "conf.h"
#include "engine/engine.h"

#include <openssl/evp.h>
#include <string.h>

static int add(EVP_MD_CTX *hash, const void *bytes, size_t len)
{
    return EVP_DigestUpdate(hash, &len, sizeof(len)) && EVP_DigestUpdate(hash, bytes, len);
}

static int add_text(EVP_MD_CTX *hash, const char *text)
{
    return add(hash, text, text != NULL ? strlen(text) : 0);
}

/* All of it, so that it is known again without the keys.  Returns 0, or -1 without memory. */
static int digest_of(const struct conf_tls *tls, struct certified *digest)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    int ok = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) &&
             add(hash, &tls->min_version, sizeof(tls->min_version)) &&
             add_text(hash, tls->ciphers) && add_text(hash, tls->cipher_suites);

    for (size_t i = 0; i < tls->n && ok; i++)
        ok = add(hash, tls->at[i].cert, tls->at[i].cert_len) &&
             add(hash, tls->at[i].key, tls->at[i].key_len);
    ok = ok && EVP_DigestFinal_ex(hash, digest->digest, NULL);
    EVP_MD_CTX_free(hash);
    return ok ? 0 : -1;
}

static int use(struct engine *engine, const struct conf_tls *tls)
{
    struct buf error = {0};
    int result = engine_certify(engine, tls, &error);

    if (result < 0)
        log_event(ERROR, "certificates_failed", "certificates[: {}]<: not in use>",
                  LOG_STRN("error", (const char *)error.data, error.len));
    buf_free(&error);
    return result;
}

int certify(struct certified *certified, struct engine *engine, const struct conf_tls *tls)
{
    struct certified wanted;
    int result = 0, known = digest_of(tls, &wanted) == 0;

    if (tls->n > 0 && (!known || memcmp(&wanted, certified, sizeof(wanted)) != 0)) {
        result = use(engine, tls);
        if (result == 0 && known)
            *certified = wanted;
    }
    for (size_t i = 0; i < tls->n; i++)
        explicit_bzero(tls->at[i].key, tls->at[i].key_len);
    return result;
}
