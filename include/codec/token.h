/* token - is a JSON Web Token (codec/jwt.h) good, and who is its user?
 *
 * Its header is read, its algorithm compared, its signature checked (codec/keys.h), and
 * only then are its claims read: what nobody has signed costs no more than that. */
#ifndef CODEC_TOKEN_H
#define CODEC_TOKEN_H

#include "codec/jwt.h"
#include "codec/keys.h"
#include "codec/numeric_date.h"

#include <stddef.h>
#include <stdint.h>

#define TOKEN_UID_MAX   255           /* bytes of a user id */
#define TOKEN_BYTES_CAP JWT_BYTES_MAX /* largest token_bytes */
#define TOKEN_TRIES_MAX 4             /* public keys that one who asks may have tried */

/* What a token must satisfy.  Owned by the configuration. */
struct token_policy {
    const struct token_keys *keys; /* NULL: no token is good */
    unsigned algs;                 /* accepted algorithms; each key has its own limits too */
    const char *const *audiences;  /* any one of them; NULL-terminated; NULL: unchecked */
    const char *const *issuers;    /* likewise */
    const char *const *types;      /* of the header's typ, with or without "application/"; "*" is
                                      any; NULL: unchecked */
    int64_t tolerance_s;           /* clock tolerance for exp and nbf, 0 to 2^31 seconds */
    size_t token_bytes;            /* longest token; TOKEN_BYTES_CAP at most */
    char *rooms_claim;             /* the claim that names rooms, or profile.NAME, a member of the
                                      profile; NULL: none does */
    uint32_t rooms_per_client;     /* how many it may name, but for the two that every client
                                      has without it */
};

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
                    TOKEN_BAD_CLAIM, /* token_claim:       exp, nbf, aud, iss or rooms of a wrong
                                        type, or crit */
                    TOKEN_NO_USER,   /* token_user:        no usable user id */
                    TOKEN_NO_MEMORY, /* token_internal */
                    TOKEN_RESULTS    /* how many there are */
};
const char *token_result_code(enum token_result result);
const char *token_result_message(enum token_result result);

struct token_rooms;

struct token_user {
    char uid[TOKEN_UID_MAX + 1]; /* valid UTF-8 with no NUL in it, terminated */
    size_t uid_len;
    int64_t expires_ms;         /* exp + tolerance, milliseconds since 1970; 0: never */
    enum numeric_date exp_form; /* whoever writes seconds that are none is to be told */
    struct token_rooms *rooms;  /* that it names (codec/token_rooms.h); whoever has it frees it */
};

/* Of one who asks, with however many tokens. */
struct token_trial {
    unsigned tries;     /* public keys that may yet be tried; TOKEN_TRIES_MAX at first */
    const char *wanted; /* of the last token: what it lacked, for people ("exp has to be ..."),
                           without anything that JSON escapes; NULL: the result says it all */
    const char *claim;  /* what that begins with, where the configuration names it, whatever is
                           in that name; NULL: nothing.  As long as the policy */
    long key;           /* number of the key that has signed it; -1: none, or it was not asked */
    uint32_t tried;     /* the keys that it was tried with, of token_keys_find() */
};

/* Verifies token (len bytes, need not be terminated) at wall-clock time now_ms
 * (milliseconds since 1970).
 * TOKEN_OK fills *user; otherwise it is untouched.
 *
 * The header's alg must be among policy->algs and one that a key is for; its kid
 * must be a string, and says which keys are tried (token_keys_find()).  A header
 * with crit is refused, and one with a typ that is none of policy->types (in any case; no
 * typ is fine): it was signed for another purpose (RFC 8725, 3.11).  exp and nbf must be
 * NumericDates, and are compared exactly; aud and iss are looked at only where the policy
 * asks for them.
 *
 * The first of these claims that is there decides who the user is; if it is
 * there but unusable, the result is TOKEN_NO_USER and not the next one's id:
 * profile's member uid, if profile is an object, or a string that is the JSON of one, or,
 * where the claim compression is "zlib", a string that is not empty and has to hold that
 * JSON compressed by gzip, as base64, inflating to at most 64 KB; the claim uid; the claim
 * sub.  Numbers are no ids.
 *
 * The rooms are read last, where policy->rooms_claim names a claim that is there: then that
 * has to be what token_rooms_make() takes.  A member of the profile is one only of the
 * object that says who the user is.
 *
 * A token for which trial has too few tries (token_keys_find()) is TOKEN_BAD_SIGNATURE. */
enum token_result token_verify(const struct token_policy *policy, const char *token, size_t len,
                               int64_t now_ms, struct token_trial *trial, struct token_user *user);

/* What a token says of itself, cut off where it is long; empty where it does not. */
struct token_hint {
    char kid[128], iss[256], uid[TOKEN_UID_MAX + 1];
};

/* Fills *hint for whoever looks for a fault: nothing of it is verified. */
void token_peek(const char *token, size_t len, struct token_hint *hint);

#endif
