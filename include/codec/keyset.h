/* keyset - what a set of keys is made of.  Private to keys.c and keywire.c, of
 * which the latter turns a set into bytes and back. */
#ifndef CODEC_KEYSET_H
#define CODEC_KEYSET_H

#include "codec/keys.h"

#define KEY_HASHES 3 /* that HMAC is used with */

/* A secret or a public key: the other's members are NULL. */
struct token_key {
    char *kid; /* or NULL */
    size_t kid_len;
    unsigned algs; /* of one family */
    uint8_t *secret;
    size_t secret_len;
    EVP_MAC_CTX *mac[KEY_HASHES]; /* keyed; NULL where algs lacks it */
    EVP_PKEY *pkey;
};

struct token_keys {
    unsigned algs; /* of all keys */
    size_t n;
    struct token_key at[KEYS_MAX];
};

/* token_keys_add_public() for a key that has passed through it before: without
 * the check of its numbers. */
enum key_result keyset_add_checked(struct token_keys *keys, struct slice kid, EVP_PKEY *pkey,
                                   unsigned algs);

#endif
