/* signer - which key has signed a token, and which it was tried with, in words and as JSON: by
 * the setting that they are from, and never what they are. */
#ifndef NOTIFY_SIGNER_H
#define NOTIFY_SIGNER_H

#include "base/buf.h"
#include "conf.h"

#include <stddef.h>
#include <stdint.h>

/* How many keys may be used for one of these algorithms. */
size_t signer_able(const struct conf *conf, unsigned algs);

/* Key number i of conf->keys: the second of 2 secrets (auth:secretFile "old"). */
void signer_put(const struct conf *conf, size_t i, struct buf *out);

/* {"setting":"auth:secretFile","file":"old","number":2,"of":2,"kid":null} */
void signer_put_json(const struct conf *conf, size_t i, struct buf *out);

/* Where the keys are from that a token with that algorithm was tried with (bits, as of
 * token_keys_find()), and where those that it was not, and why: "tried: all 2 of auth:secret; not
 * tried, for the token names another key: auth:keys:0". */
void signer_put_tried(const struct conf *conf, unsigned alg, uint32_t tried, struct buf *out);

/* An array of objects as above. */
void signer_put_tried_json(const struct conf *conf, uint32_t tried, struct buf *out);

#endif
