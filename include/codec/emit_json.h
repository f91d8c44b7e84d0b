/* emit_json - the data of an emitter's message, from msgpack to JSON text.  Private to
 * emit.c; emit.h says what becomes of which value. */
#ifndef CODEC_EMIT_JSON_H
#define CODEC_EMIT_JSON_H

#include "codec/emit.h"
#include "codec/msgpack.h"

/* Appends array, whose head has been read and whose elements are next in in, to
 * bc->json without its closing bracket, and its binaries to bc->attachments, which
 * borrow from the input.  *bc is incomplete unless EMIT_OK is returned; else what is
 * wrong with a value is one of EMIT_MALFORMED, EMIT_TOO_DEEP, EMIT_TOO_LARGE,
 * EMIT_ATTACHMENTS and EMIT_NO_MEMORY. */
enum emit_result emit_json_put(struct broadcast *bc, const struct msgpack_reader *in,
                               const struct msgpack_item *array, const struct emit_limits *limits);

#endif
