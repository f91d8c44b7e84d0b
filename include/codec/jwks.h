/* jwks - a JWK Set (RFC 7517): kty oct, RSA and EC as RFC 7518 has them.
 *
 * What is sound but not for us is left out with a warning: another kty or curve,
 * an alg that is none of ours, use other than "sig", key_ops without "verify",
 * RSA of a size that is not taken.  What is not sound makes the whole set bad: no
 * JSON, a member that is missing or of a wrong type, an empty secret, a point off
 * its curve, an alg that the key cannot do, a private key. */
#ifndef CODEC_JWKS_H
#define CODEC_JWKS_H

#include "codec/keys.h"

#include <stddef.h>

#define JWKS_MAX_BYTES 262144 /* of a file */

/* Is told what is wrong (bad) or left out or doubtful (not bad), with the line
 * that it is in, from 1.  No text of it holds any of a key; client bytes are
 * escaped.  It is valid only until the call returns. */
typedef void jwks_note_fn(void *arg, int bad, unsigned line, const char *text);

/* Adds the keys of text (len bytes) to keys.  Returns 0, or -1 if the set is bad:
 * then note has been told of the first thing that makes it so, and what is in keys
 * is not to be used. */
int jwks_parse(struct token_keys *keys, const char *text, size_t len, jwks_note_fn *note,
               void *arg);

#endif
