/* hiredis_count - the type in which hiredis tells a callback how many elements an array
 * has: since 1.0 another one. */
#ifndef CODEC_HIREDIS_COUNT_H
#define CODEC_HIREDIS_COUNT_H

#include <hiredis/hiredis.h>

#include <stddef.h>

#if HIREDIS_MAJOR < 1
typedef int hiredis_count;
#else
typedef size_t hiredis_count;
#endif

#endif
