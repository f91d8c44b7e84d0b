/* keys - the keys that tokens are checked with: several at once, each bound to
 * the algorithms of its own family, so that one of one family never serves
 * another.
 *
 * OpenSSL parses a key once, when it is added, and prepares it: a signature then
 * costs what its arithmetic costs. */
#ifndef CODEC_KEYS_H
#define CODEC_KEYS_H

#include "base/buf.h"
#include "base/slice.h"

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

enum token_alg { /* bits (RFC 7518, 3.1) */
                 TOKEN_HS256 = 1 << 0,
                 TOKEN_HS384 = 1 << 1,
                 TOKEN_HS512 = 1 << 2,
                 TOKEN_RS256 = 1 << 3,
                 TOKEN_RS384 = 1 << 4,
                 TOKEN_RS512 = 1 << 5,
                 TOKEN_ES256 = 1 << 6,
                 TOKEN_ES384 = 1 << 7,
                 TOKEN_ES512 = 1 << 8,
                 TOKEN_HS = 7,
                 TOKEN_RS = 7 << 3,
                 TOKEN_ES = 7 << 6,
                 TOKEN_ALGS = 511
};

/* "HS256" -> its bit, 0 if unknown ("none" is unknown). */
unsigned token_alg_parse(const char *name);

/* ["HS256","HS384"], in that order. */
void token_algs_put(struct buf *out, unsigned algs);

#define KEYS_MAX         32    /* of one set */
#define KEY_ID_MAX       255   /* bytes of a kid */
#define KEY_SECRET_MAX   65536 /* bytes of a secret */
#define KEY_RSA_BITS_MIN 2048
#define KEY_RSA_BITS_MAX 4096 /* verifying costs the square of it, whoever sent the token */

/* Owned by whoever made it.  Nothing of it changes once it is complete, and a
 * fork takes it along; but it is for one thread. */
struct token_keys;

/* An empty set, or NULL without memory. */
struct token_keys *token_keys_new(void);

/* Overwrites the secrets; the set, which may be NULL, is empty then. */
void token_keys_clear(struct token_keys *keys);

/* The same, frees and sets *keys to NULL; *keys may be NULL. */
void token_keys_free(struct token_keys **keys);

enum key_result {
    KEY_OK,
    KEY_EMPTY,     /* a secret of no bytes: everyone could sign with it */
    KEY_IS_PUBLIC, /* a secret that is a public key, which all may know: it holds a PEM or a
                      JSON Web Key, is in OpenSSH's form, or the DER of a key or of a
                      certificate, in base64 or not */
    KEY_TOO_LONG,  /* a secret or a kid */
    KEY_BAD_ID,    /* an empty kid, or one with NUL in it */
    KEY_UNUSABLE,  /* no public key, or more than one, or RSA of a size that is not
                      taken, or a curve that is none of the three */
    KEY_OTHER_ALG, /* it cannot do what algs asks for */
    KEY_TOO_MANY,  /* there are KEYS_MAX */
    KEY_NO_MEMORY,
};

/* Each adds a copy of one key, or leaves the set as it was.  kid: what a token
 * may name it by; ptr NULL: nothing.  algs: the only ones that it may be used
 * for, all of the key's family; 0: whatever it can do. */
enum key_result token_keys_add_secret(struct token_keys *keys, struct slice kid, const void *secret,
                                      size_t len, unsigned algs);
/* PEM with one public key (SubjectPublicKeyInfo) and nothing else. */
enum key_result token_keys_add_pem(struct token_keys *keys, struct slice kid, const char *pem,
                                   size_t len, unsigned algs);
/* Takes a reference of key only if it is added.  Its numbers are looked at for
 * microseconds only: an RSA modulus that has no small factor, a point on its curve. */
enum key_result token_keys_add_public(struct token_keys *keys, struct slice kid, EVP_PKEY *key,
                                      unsigned algs);

/* Adds copies of all keys of from.  KEY_OK, KEY_TOO_MANY or KEY_NO_MEMORY; only the first
 * leaves a set to use. */
enum key_result token_keys_add_all(struct token_keys *keys, const struct token_keys *from);

size_t token_keys_count(const struct token_keys *keys);

/* What any of the keys can be used for; 0 for NULL. */
unsigned token_keys_algs(const struct token_keys *keys);

/* Key number i, if it is a secret; else nothing.  Borrowed. */
struct slice token_keys_secret(const struct token_keys *keys, size_t i);

/* What a token may name key number i by; ptr NULL: nothing.  Borrowed. */
struct slice token_keys_kid(const struct token_keys *keys, size_t i);

/* What key number i may be used for. */
unsigned token_keys_algs_at(const struct token_keys *keys, size_t i);

/* Signs text with key number i, a secret that may be used for alg (a single bit): writes
 * KEY_MAC_MAX bytes at most.  Returns how many, or 0 without memory. */
#define KEY_MAC_MAX 64
size_t token_keys_sign(const struct token_keys *keys, size_t i, unsigned alg, struct slice text,
                       uint8_t mac[KEY_MAC_MAX]);

/* Appends what may be known of key number i: kid "a", HS256,HS384,HS512. */
void token_keys_describe(const struct token_keys *keys, size_t i, struct buf *out);

/* How many public keys are there for one algorithm, at most?  Those beyond the
 * tries of a token that has no kid are never tried with it.  nameless: only those
 * without a kid, which any token may be tried with. */
size_t token_keys_rivals(const struct token_keys *keys, int nameless);

/* The number of the key that made signature (its bytes as RFC 7518 has them) over
 * text with alg, a single bit; -1 if none has.
 *
 * With a kid, the keys that have it are tried first, then those without any;
 * keys with another kid are not.  kid.ptr NULL: all keys, in order.
 *
 * Each public key that is tried takes one off *tries, and none is tried at 0, for
 * it may cost a millisecond (P-384); secrets cost less than a microsecond and are
 * tried all.  Bit i of *tried is set for each key number i that was. */
long token_keys_find(const struct token_keys *keys, unsigned alg, struct slice kid,
                     struct slice text, struct slice signature, unsigned *tries, uint32_t *tried);

/* Appends the set with its secrets; what comes out is to be overwritten after
 * use.  At least one key.  Returns 0, or -1 (out->failed, or no key). */
int token_keys_encode(const struct token_keys *keys, struct buf *out);

/* Exactly what token_keys_encode() makes of some set, all len bytes of it; else
 * NULL. */
struct token_keys *token_keys_decode(const void *bytes, size_t len);

/* 1 if both encode to the same (both may be NULL). */
int token_keys_equal(const struct token_keys *a, const struct token_keys *b);

#endif
