/* jwt - a JSON Web Token in its compact form (RFC 7515, RFC 7519): taken apart here, its
 * JSON read by libjwt.
 *
 * What is to be added to a token, libjwt reads more strictly than jwt_decode() reads a
 * token: one object and nothing behind it, no name twice on any level, no NUL, no half of
 * a surrogate pair, integers of 64 bits.  jwt_decode() would also take the key out of its
 * PEM for every token: 340 us for RS256 against 20.  So signatures are for codec/keys, in
 * between header and claims. */
#ifndef CODEC_JWT_H
#define CODEC_JWT_H

#include "base/slice.h"

#include <stddef.h>

#define JWT_BYTES_MAX  65536 /* of a token */
#define JWT_HEADER_MAX 2048  /* bytes of a header, decoded; for the caller to check */

struct jwt; /* libjwt's jwt_t */

struct jwt_parts {
    struct slice text;           /* what is signed; borrowed from the token */
    struct slice header, claims; /* JSON, terminated */
    struct slice signature;
    struct jwt *json; /* what has been read of the two */
    char *decoded;    /* what the three are in; owned */
    size_t decoded_len;
};

/* For this process and those that it forks: draws what the tables of names are hashed
 * with, which takes a file (/dev/urandom), and gives libjwt's JSON its memory.  The first
 * token does it, if nobody has. */
void jwt_parts_prepare(void);

/* Takes a token apart: three segments of base64url, without padding, line ends or bits
 * left over, and no NUL in what is JSON.  *parts is zeroed before; jwt_parts_clear()
 * undoes it, failed or not.  Returns 0, or -1 if it is malformed or, with errno ENOMEM,
 * there was no memory, as do the next two. */
int jwt_parts_split(struct jwt_parts *parts, const char *token, size_t len);

/* Reads the header; and then, of a token that somebody vouches for, the claims. */
int jwt_parts_read_header(struct jwt_parts *parts);
int jwt_parts_read_claims(struct jwt_parts *parts);

/* Overwrites and frees. */
void jwt_parts_clear(struct jwt_parts *parts);

/* What follows is valid until jwt_parts_clear(). */

/* The string that a member of the header, or a claim, is; NULL if it is none, and then
 * *there says if it is something else.  *there may be NULL. */
const char *jwt_parts_header(const struct jwt_parts *parts, const char *name, int *there);
const char *jwt_parts_claim(const struct jwt_parts *parts, const char *name, int *there);

/* A claim as JSON text without white space, NULL if there is none: a number that was
 * written as no integer has a fraction or an exponent. */
const char *jwt_parts_claim_json(const struct jwt_parts *parts, const char *name);

#endif
