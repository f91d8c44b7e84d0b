/* certificate - a server's certificate with the others of its chain and its private key:
 * read from PEM, checked, and what is to be known of it (names: RFC 9525, 6.3; X.509: RFC 5280).
 *
 * What makes TLS impossible, or is too weak for any client, is an error; what only some
 * clients mind, and times, are remarks: whether they count is for who has a clock.  No copy
 * of the key is left behind but the one that certificate_free() overwrites. */
#ifndef CODEC_CERTIFICATE_H
#define CODEC_CERTIFICATE_H

#include "base/buf.h"
#include "base/slice.h"

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#define CERTIFICATE_BYTES_MAX 262144 /* of a file with a chain, or with a key */
#define CERTIFICATE_CHAIN_MAX 16     /* certificates in it */

struct certificate;

/* Which of the two texts an error is about. */
enum certificate_part { CERTIFICATE_CHAIN, CERTIFICATE_KEY };

/* Reads the server's certificate, which comes first, and those that follow from chain, and
 * the first private key in key, which may be the same text.  NULL, with what was found and
 * what was wanted in error (a line without its end) and *part where; error->failed: no
 * memory. */
struct certificate *certificate_new(struct slice chain, struct slice key, struct buf *error,
                                    enum certificate_part *part);

/* *certificate may be NULL. */
void certificate_free(struct certificate **certificate);

/* Borrowed.  certificate_issuer(c, 0) is the one behind the server's own. */
X509 *certificate_own(const struct certificate *certificate);
EVP_PKEY *certificate_key(const struct certificate *certificate);
size_t certificate_issuers(const struct certificate *certificate);
X509 *certificate_issuer(const struct certificate *certificate, size_t i);

/* The names it is for, one at least: of hosts, in lower case, "*." at the front for any
 * one label there, and addresses. */
size_t certificate_names(const struct certificate *certificate);
const char *certificate_name(const struct certificate *certificate, size_t i);

/* "RSA 2048", "ECDSA P-256", "Ed25519"; terminated, borrowed. */
const char *certificate_kind(const struct certificate *certificate);

/* The first second in which all of the chain is good, and the last: since 1970. */
int64_t certificate_not_before(const struct certificate *certificate);
int64_t certificate_not_after(const struct certificate *certificate);

/* Where the chain ends, or does not go on: the issuer of what comes last, or NULL if
 * that is a root. */
const X509_NAME *certificate_open_end(const struct certificate *certificate);
/* 1 if that issuer is in store. */
int certificate_is_issued_by(const struct certificate *certificate, X509_STORE *store);

/* Appends a line for each thing that some clients will mind, times aside. */
void certificate_remark(const struct certificate *certificate, struct buf *lines);

/* Takes the blocks of one part out of a text, as they are, one behind the other: all else
 * that is there goes.  0, or -1 without memory. */
int certificate_excerpt(struct slice text, enum certificate_part part, struct buf *out);

/* Appends an X.509 name in one line, as "CN = R11, O = Let's Encrypt". */
void certificate_name_put(const X509_NAME *name, struct buf *out);

/* "2027-02-28T12:00:00Z" */
void certificate_time_put(int64_t seconds, struct buf *out);

#endif
