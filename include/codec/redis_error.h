/* redis_error - an error that redis answers, as it may be shown. */
#ifndef CODEC_REDIS_ERROR_H
#define CODEC_REDIS_ERROR_H

#include <stddef.h>

/* In dst or not: without the password (or NULL) that it may show, and made harmless for the log and
 * for terminals. */
const char *redis_error_show(const char *error, const char *password, char *dst, size_t cap);

#endif
