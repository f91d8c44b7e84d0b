/* base64 - RFC 4648, sections 4 (base64) and 5 (base64url, here without padding). */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that n input bytes need, padding included, no terminator. */
#define BASE64_LEN(n)    (((n) + 2) / 3 * 4)
#define BASE64URL_LEN(n) (((n)*4 + 2) / 3)

/* Both write exactly BASE64_LEN(n) or BASE64URL_LEN(n) characters to dst, with
 * no terminator, and return that length. */
size_t base64_encode(char *dst, const void *bytes, size_t n);
size_t base64url_encode(char *dst, const void *bytes, size_t n);

/* Decodes either alphabet, with or without padding, strictly (no white space,
 * no bits left over).  dst has room for len * 3 / 4 bytes.  Returns the bytes
 * written, or -1 if src is not base64. */
long base64_decode(uint8_t *dst, const char *src, size_t len);
/* The same of base64url alone, without padding. */
long base64url_decode(uint8_t *dst, const char *src, size_t len);

#endif
