/* pem - the blocks of a text in PEM (RFC 7468): certificates, keys, one behind the other,
 * with any text between them. */
#ifndef CODEC_PEM_H
#define CODEC_PEM_H

#include "base/buf.h"
#include "base/slice.h"

struct pem_block {
    struct slice label; /* what it calls itself: "CERTIFICATE" */
    struct slice whole; /* from its first dash to its last */
    struct slice body;  /* the lines between */
};

/* Takes text up to the end of its next block.  Returns 1; 0 if there is none; -1 if one
 * begins and does not end: the text is cut off.  All of *block is borrowed from text. */
int pem_next(struct slice *text, struct pem_block *block);

/* 1 if the body is said to be encrypted, as old keys have it within (RFC 1421). */
int pem_is_encrypted(const struct pem_block *block);

/* Appends the bytes that the body stands for.  Returns 0, or -1 if it is no base64, or
 * without memory (der->failed). */
int pem_decode(const struct pem_block *block, struct buf *der);

#endif
