/* token - a JSON Web Token (RFC 7519, RFC 7515) and its user.
 *
 * libjwt 1.10.2 takes the algorithm from the token, accepts anything under an
 * empty key, and checks no claim: all of that is done here, before and after
 * it is called. */
#ifndef CODEC_TOKEN_H
#define CODEC_TOKEN_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define TOKEN_UID_MAX   255   /* bytes of a user id */
#define TOKEN_BYTES_CAP 65536 /* largest token_bytes; libjwt puts tokens on the stack */

enum token_alg { /* bits of token_keys.algs */
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
                 TOKEN_ES = 7 << 6
};

/* "HS256" -> its bit, 0 if unknown ("none" is unknown). */
unsigned token_alg_parse(const char *name);

/* What a token must satisfy.  Owned by the configuration. */
struct token_policy {
    const char *secret;     /* HMAC key, or NULL */
    size_t secret_len;      /* bytes, > 0 if secret is set */
    const char *public_key; /* PEM of an RSA or EC public key, or NULL */
    size_t public_key_len;
    unsigned public_algs;         /* what public_key can verify: TOKEN_RS, or the one
                                     TOKEN_ES* of its curve; from token_pem_algs() */
    unsigned algs;                /* accepted algorithms, already cut to the keys' families */
    const char *const *audiences; /* any one of them; NULL-terminated; NULL: unchecked */
    const char *const *issuers;   /* likewise */
    int64_t tolerance_s;          /* clock tolerance for exp and nbf, 0 to 2^31 seconds */
    size_t token_bytes;           /* longest token; TOKEN_BYTES_CAP at most */
};

/* TOKEN_RS for an RSA key of 2048 bits or more, TOKEN_ES256/384/512 for P-256,
 * P-384 and P-521, 0 for anything else (private keys, certificates and more
 * than one key too). */
unsigned token_pem_algs(const char *pem, size_t len);

enum token_result { /* each has a code for data.code and a message for people */
                    TOKEN_OK,
                    TOKEN_MISSING,       /* token_missing:     no token */
                    TOKEN_TOO_LARGE,     /* token_too_large */
                    TOKEN_MALFORMED,     /* token_malformed */
                    TOKEN_BAD_ALGORITHM, /* token_algorithm:   not one that is accepted here */
                    TOKEN_BAD_SIGNATURE, /* token_signature */
                    TOKEN_EXPIRED,       /* token_expired */
                    TOKEN_NOT_YET,       /* token_not_active */
                    TOKEN_BAD_AUDIENCE,  /* token_audience */
                    TOKEN_BAD_ISSUER,    /* token_issuer */
                    TOKEN_BAD_CLAIM, /* token_claim:       exp, nbf, aud or iss of a wrong type, or
                                        crit */
                    TOKEN_NO_USER,   /* token_user:        no usable user id */
                    TOKEN_NO_MEMORY, /* token_internal */
};
const char *token_result_code(enum token_result result);
const char *token_result_message(enum token_result result);

struct token_user {
    char uid[TOKEN_UID_MAX + 1]; /* valid UTF-8 with no NUL in it, terminated */
    size_t uid_len;
    int64_t expires; /* exp + tolerance, seconds since 1970; 0: never */
};

/* Verifies token (len bytes, need not be terminated) at wall-clock time now.
 * TOKEN_OK fills *user; otherwise it is untouched.
 *
 * The header's alg must be among policy->algs and fit a key that is set; a
 * header with crit is refused, and one with a typ other than JWT (in any case)
 * too, because libjwt refuses it.  exp and nbf must be integers of at most 2^53,
 * either way; aud and iss are looked at only where the policy asks for them.
 * A name that is read must not be there twice.
 *
 * The first of these claims that is there decides who the user is; if it is
 * there but unusable, the result is TOKEN_NO_USER and not the next one's id:
 * profile (an object; or a string that holds one as JSON; or, if the claim
 * compression is "zlib", a string that holds that JSON compressed by gzip, as
 * base64, inflating to at most 64 KB), then its member uid; the claim uid; the
 * claim sub.  Numbers are no ids. */
enum token_result token_verify(const struct token_policy *policy, const char *token, size_t len,
                               time_t now, struct token_user *user);

#endif
