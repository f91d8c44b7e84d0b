#include "codec/keyset.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

/* --- on the wire ------------------------------------------------------------- */
/* A byte with the number of keys; for each a byte with the length of its kid (0:
 * none), the kid, two bytes of algorithms, four with the length of the key, and
 * the key: a secret, or the DER of a SubjectPublicKeyInfo.  Big-endian. */

static void put_uint(struct buf *out, size_t value, int bytes)
{
    while (bytes-- > 0)
        buf_putc(out, (uint8_t)(value >> (8 * bytes)));
}

static void encode_key(const struct token_key *key, struct buf *out)
{
    uint8_t *der = NULL;
    int len = 0;

    put_uint(out, key->kid_len, 1);
    buf_put(out, key->kid, key->kid_len);
    put_uint(out, key->algs, 2);
    if (key->pkey == NULL) {
        put_uint(out, key->secret_len, 4);
        buf_put(out, key->secret, key->secret_len);
        return;
    }
    len = i2d_PUBKEY(key->pkey, &der);
    if (len > 0) {
        put_uint(out, (size_t)len, 4);
        buf_put(out, der, (size_t)len);
    } else {
        out->failed = 1; /* without memory */
    }
    OPENSSL_free(der);
}

int token_keys_encode(const struct token_keys *keys, struct buf *out)
{
    if (keys->n == 0)
        return -1;
    put_uint(out, keys->n, 1);
    for (size_t i = 0; i < keys->n; i++)
        encode_key(&keys->at[i], out);
    return out->failed ? -1 : 0;
}

/* Takes a number of that many bytes off the front. */
static int get_uint(struct slice *in, int bytes, size_t *value)
{
    if (in->len < (size_t)bytes)
        return -1;
    *value = 0;
    for (; bytes > 0; bytes--, in->ptr++, in->len--)
        *value = *value << 8 | (uint8_t)*in->ptr;
    return 0;
}

static int get_bytes(struct slice *in, size_t len, struct slice *bytes)
{
    if (in->len < len)
        return -1;
    *bytes = (struct slice){in->ptr, len};
    in->ptr += len;
    in->len -= len;
    return 0;
}

/* DER as i2d_PUBKEY() writes it, and no other form of the same key.  It comes
 * from a set whose keys were sound. */
static enum key_result add_der(struct token_keys *keys, struct slice kid, struct slice der,
                               unsigned algs)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)der.len);
    enum key_result result = KEY_UNUSABLE;
    uint8_t *again = NULL;
    int len = pkey != NULL ? i2d_PUBKEY(pkey, &again) : 0;

    if (len > 0 && (size_t)len == der.len && memcmp(again, der.ptr, der.len) == 0)
        result = keyset_add_checked(keys, kid, pkey, algs);
    OPENSSL_free(again);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return result;
}

static int decode_key(struct slice *in, struct token_keys *keys)
{
    size_t kid_len, algs, len;
    struct slice kid, key;
    enum key_result result;

    if (get_uint(in, 1, &kid_len) != 0 || get_bytes(in, kid_len, &kid) != 0 ||
        get_uint(in, 2, &algs) != 0 || get_uint(in, 4, &len) != 0 ||
        get_bytes(in, len, &key) != 0 || algs == 0)
        return -1;
    if (kid_len == 0)
        kid.ptr = NULL;
    if ((algs & TOKEN_HS) != 0)
        result = token_keys_add_secret(keys, kid, key.ptr, key.len, (unsigned)algs);
    else
        result = add_der(keys, kid, key, (unsigned)algs);
    return result == KEY_OK ? 0 : -1;
}

struct token_keys *token_keys_decode(const void *bytes, size_t len)
{
    struct slice in = {bytes, len};
    struct token_keys *keys = token_keys_new();
    size_t n;
    int bad = keys == NULL || get_uint(&in, 1, &n) != 0 || n == 0;

    for (size_t i = 0; !bad && i < n; i++)
        bad = decode_key(&in, keys) != 0;
    if (bad || in.len > 0)
        token_keys_free(&keys);
    return keys;
}

static int same_key(const struct token_key *a, const struct token_key *b)
{
    if (a->algs != b->algs || (a->pkey == NULL) != (b->pkey == NULL) ||
        !slice_eq((struct slice){a->kid, a->kid_len}, (struct slice){b->kid, b->kid_len}))
        return 0;
    if (a->pkey != NULL)
        return EVP_PKEY_eq(a->pkey, b->pkey) == 1;
    return a->secret_len == b->secret_len && memcmp(a->secret, b->secret, a->secret_len) == 0;
}

int token_keys_equal(const struct token_keys *a, const struct token_keys *b)
{
    if (a == NULL || b == NULL || a->n != b->n)
        return a == b;
    for (size_t i = 0; i < a->n; i++)
        if (!same_key(&a->at[i], &b->at[i]))
            return 0;
    return 1;
}
