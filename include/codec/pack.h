/* pack - values -> msgpack, in the forms that notepack.io 3 picks. */
#ifndef CODEC_PACK_H
#define CODEC_PACK_H

#include "base/buf.h"
#include "base/slices.h"

#include <stddef.h>
#include <stdint.h>

/* Each appends one item (of an array or map the head only) and returns 0, or -1
 * without memory (out->failed is set). */
int pack_str(struct buf *out, const char *bytes, size_t len);
int pack_array(struct buf *out, uint32_t elements);
int pack_map(struct buf *out, uint32_t pairs);
int pack_bool(struct buf *out, int value);

/* The shortest integer form, or 64-bit floating point for what is no integer or
 * has more than 64 bits. */
int pack_number(struct buf *out, double value);

/* A whole JSON value, of which json_span() has said that it is one, as
 * JSON.parse reads it; but keys keep their order and repetitions.  An escaped
 * lone surrogate becomes U+FFFD.  White space may follow. */
int pack_json(struct buf *out, const char *text, size_t len);

/* The same with binary in place of the objects {"_placeholder":true,"num":k} (in this order or
 * the other) where there is a bins[k]. */
int pack_json_bins(struct buf *out, const char *text, size_t len, const struct slices *bins);

#endif
