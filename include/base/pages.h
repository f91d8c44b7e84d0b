/* pages - memory of whole pages, which the system has again as soon as it is freed.
 * malloc() keeps what lies below anything that is still in use. */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

/* 1 where a sanitizer watches who uses what is free: it is malloc()'s then, and nothing
 * that is free should be kept for another use. */
#ifdef __SANITIZE_ADDRESS__
#define PAGES_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PAGES_WATCHED 1
#endif
#endif
#ifndef PAGES_WATCHED
#define PAGES_WATCHED 0
#endif

/* At least size bytes, more than 0, all of them 0.  NULL without memory. */
void *pages_alloc(size_t size);

/* size as it was asked for. */
void pages_free(void *at, size_t size);

/* The system has again what is free of malloc()'s pages, wherever they lie.  Takes as long as
 * there are pieces that are free: some milliseconds after a flood. */
void pages_trim(void);

#endif
